"""Driving a strategy by ask and tell over a made-up objective, without any training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from hpbench.space import SearchSpace
from hpbench.strategies.base import Strategy
from hpbench.trial import Config, Proposal, Status, Trial

__all__ = ["Failing", "always", "drive", "drive_ahead", "never", "smooth_error", "sometimes", "told"]

Failing = Callable[[int], bool]
"""Whether the trial of this number is to fail."""


def never(number: int) -> bool:  # noqa: ARG001 - one of several answers to the same question
    """Let no trial fail."""
    return False


def always(number: int) -> bool:  # noqa: ARG001
    """Let every trial fail."""
    return True


def sometimes(number: int) -> bool:
    """Let every third trial fail, the third first."""
    return number % 3 == 2  # noqa: PLR2004


def smooth_error(space: SearchSpace, config: Config) -> float:
    """Return an error in [0, 1]: the mean squared distance from a fixed point, later names weighing less."""
    distances = [
        (space[name].to_unit(value) - 0.3) ** 2 / (1 + place)
        for place, (name, value) in enumerate(config.items())
    ]
    return min(1.0, sum(distances) / max(len(distances), 1))


def told(
    space: SearchSpace, full_epochs: int, number: int, proposals: Sequence[Proposal], failing: Failing
) -> Trial:
    """Return the result of trial ``number``, computed from its proposal alone."""
    proposal = proposals[number]
    epochs = full_epochs if proposal.epochs is None else proposal.epochs
    epochs_from = 0
    if proposal.parent is not None:
        epochs_from = told(space, full_epochs, proposal.parent, proposals, failing).epochs
    failed = failing(number)
    error = smooth_error(space, proposal.config)
    return Trial(
        number=number,
        config=proposal.config,
        status=Status.DIVERGED if failed else Status.OK,
        objective=None if failed else error,
        epochs_from=epochs_from,
        epochs=epochs_from if failed else epochs,
        parent=proposal.parent,
        curve=() if failed else (error,) * (epochs - epochs_from),
    )


def drive(
    strategy: Strategy, space: SearchSpace, full_epochs: int, trials: int, failing: Failing
) -> list[Proposal]:
    """Return what ``strategy`` proposes, told every result before it is asked again."""
    proposals: list[Proposal] = []
    for number in range(trials):
        proposal = strategy.ask()
        if proposal is None:
            break
        proposals.append(proposal)
        strategy.tell(told(space, full_epochs, number, proposals, failing))
    return proposals


def drive_ahead(strategy: Strategy, trials: int) -> list[Proposal]:
    """Return what ``strategy`` proposes if it is told nothing at all."""
    return list(islice(iter(strategy.ask, None), trials))

"""What all samplers of Optuna share: a study of their own, and the space as the library suggests it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Unpack

from hpbench.errors import UsageError
from hpbench.space import Categorical, Float, Parameter, SearchSpace
from hpbench.strategies.adapting import check_known, check_least, check_searchable, plain, single
from hpbench.strategies.base import Capability, Given, Strategy
from hpbench.trial import Proposal, Trial, Value

__all__ = ["OptunaStrategy"]

_LEAST = {"n_ei_candidates": 1, "popsize": 2}
"""CMA-ES recombines half of a generation."""


class OptunaStrategy(Strategy):
    """A sampler of Optuna in a study of its own, asked and told one trial at a time.

    Hyperparameters are suggested in the order of the space, define-by-run, as the library is used:
    reals and integers natively, on a logarithmic scale where the space is; ordered choices as their
    place in the list, unordered ones as categories; what exists only under a condition is suggested
    where the condition holds. A hyperparameter with a single value is not shown to the library.

    A failed trial is told as ``TrialState.FAIL``: the library stores it and no sampler learns from it.

    Args:
        space: what is searched.
        full_epochs: the full fidelity.
        seed: of the sampler.
        budget_trials: not used.
        options: what the sampler is built with, beside the seed.

    Raises:
        UsageError: the space has nothing to search, or conditions that the sampler would leave to
            chance, or the library refuses an option.
    """

    library: ClassVar[str | None] = "optuna"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.PARALLEL})
    name: ClassVar[str]
    _sampler: ClassVar[str]
    """The class in ``optuna.samplers``."""

    def __init__(self, space: SearchSpace, *, options: Mapping[str, Any], **given: Unpack[Given]) -> None:
        super().__init__(space, **given)
        check_searchable(self.name, type(self), space)
        check_least(self.name, _LEAST, options)
        self._study = self._created(options)
        self._trials: list[Any] = []

    def ask(self) -> Proposal:
        """Return what the sampler suggests, in built-in types."""
        trial = self._study.ask()
        self._trials.append(trial)
        config: dict[str, Value] = {}
        for item in self.space.parameters:
            if item.when is None or item.when.holds(config):
                config[item.name] = item.from_unit(0.5) if single(item) else _suggested(trial, item)
        return Proposal(config)

    def tell(self, trial: Trial) -> None:
        """Tell the study; a failed trial as failed."""
        from optuna.trial import TrialState  # noqa: PLC0415 - slow to import, and listing does without

        failed = trial.objective is None
        self._study.tell(
            self._trials[trial.number],
            trial.objective,
            state=TrialState.FAIL if failed else TrialState.COMPLETE,
        )

    def _created(self, options: Mapping[str, Any]) -> Any:
        """Return a study in memory with the sampler."""
        import optuna  # noqa: PLC0415 - slow to import, and listing does without

        kind = getattr(optuna.samplers, self._sampler)
        check_known(self.name, "optuna", kind.__init__, options)
        with warnings.catch_warnings(), _quiet():
            # what is experimental is said in the option's own words
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            try:
                built = kind(seed=self.seed, **options)
            except ValueError as error:
                raise UsageError(f"strategy {self.name!r}: Optuna refuses its options: {error}") from error
            return optuna.create_study(direction="minimize", sampler=built)


def _suggested(trial: Any, parameter: Parameter) -> Value:
    """Return the value that the library suggests for ``parameter`` in ``trial``."""
    if isinstance(parameter, Categorical):
        last = len(parameter.choices) - 1
        if parameter.ordered:
            return plain(parameter, trial.suggest_int(parameter.name, 0, last))
        # by place, because the library takes 1, 1.0 and True for the same choice
        return plain(parameter, trial.suggest_categorical(parameter.name, list(range(last + 1))))
    suggest = trial.suggest_float if isinstance(parameter, Float) else trial.suggest_int
    return plain(parameter, suggest(parameter.name, parameter.low, parameter.high, log=parameter.log))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from announcing each new study."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)

"""What all optimisers of Nevergrad share: asking, telling, and what the library must find around it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Unpack

import numpy as np

from hpbench.errors import UsageError
from hpbench.space import SearchSpace
from hpbench.strategies.adapting import (
    WorstSoFar,
    check_known,
    check_least,
    check_searchable,
    completed,
    conditions_on_choices,
)
from hpbench.strategies.base import Capability, Given, Strategy
from hpbench.strategies.isolation import PrivateGenerators, in_a_daemon
from hpbench.strategies.nevergrad.insides import settle
from hpbench.strategies.nevergrad.parametrization import flat, nested
from hpbench.trial import Proposal, Trial

__all__ = ["NevergradStrategy"]


class NevergradStrategy(Strategy):
    """An optimiser of Nevergrad for one worker, asked and told one trial at a time.

    Hyperparameters become the library's own parameters: reals ``Scalar`` and ``Log`` with both bounds,
    integers the same with integer casting, but fewer than ten values on a linear scale, and ordered
    choices, a ``TransitionChoice``, as the library advises; unordered choices ``Choice``. What exists
    only under a condition stands in the branches of the choice that it waits for; where several
    branches hold it, each has a variable of its own. A hyperparameter with a single value is not shown
    to the library.

    The library knows no failed trials: one is told as the worst objective so far, or 1 before any trial
    has succeeded. The library draws from numpy's global generator here and there, which is exchanged for
    a private one.

    Args:
        space: what is searched; conditions wait for choices, not for numbers.
        full_epochs: the full fidelity.
        seed: of the parametrization's ``random_state``.
        budget_trials: ``budget`` of the library, by which some optimisers plan.
        options: what a configuration is made with.

    Raises:
        UsageError: the space has nothing to search or a condition that the library cannot express, or
            the library refuses an option.
    """

    library: ClassVar[str | None] = "nevergrad"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CONDITIONAL})
    name: ClassVar[str]
    _configured: ClassVar[str]
    """The optimiser, or its configuration, in ``nevergrad.optimizers``."""

    def __init__(self, space: SearchSpace, *, options: Mapping[str, Any], **given: Unpack[Given]) -> None:
        super().__init__(space, **given)
        check_searchable(self.name, type(self), space)
        check_least(self.name, {"popsize": 1}, options)
        with PrivateGenerators(0):  # importing it draws random numbers
            import nevergrad  # noqa: F401, PLC0415 - slow, and listing does without
        self._generators = PrivateGenerators(self.seed)
        self._candidates: list[Any] = []
        self._failures = WorstSoFar()
        with self._inside():
            self._optimizer = self._built(options)

    def ask(self) -> Proposal:
        """Return what the optimiser suggests, in built-in types."""
        with self._inside():
            candidate = in_a_daemon(self._optimizer.ask)
        self._candidates.append(candidate)
        return Proposal(completed(self.space, dict(flat(self.space, candidate.value))))

    def tell(self, trial: Trial) -> None:
        """Tell the optimiser; a failed trial as the worst objective so far."""
        with self._inside():
            self._optimizer.tell(self._candidates[trial.number], self._failures.counted(trial.objective))
            settle(self._optimizer)

    def _built(self, options: Mapping[str, Any]) -> Any:
        """Return the optimiser for one worker."""
        import nevergrad  # noqa: PLC0415 - as above

        kind = getattr(nevergrad.optimizers, self._configured)
        parametrization = self._parametrization()
        try:
            if options:
                check_known(self.name, "nevergrad", kind, options)
                kind = kind(**options)
            return kind(parametrization, budget=self.budget_trials, num_workers=1)
        except (AssertionError, ValueError) as error:
            raise UsageError(f"strategy {self.name!r}: Nevergrad refuses its options: {error}") from error

    def _parametrization(self) -> Any:
        """Return the space as the library's nested parameters, with a random state of its own."""
        found = nested(self.space, conditions_on_choices(self.name, self.space))
        found.random_state = np.random.RandomState(self.seed)
        return found

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Let the library run with private generators, and without its advice on budgets and workers."""
        from nevergrad.common.errors import NevergradWarning  # noqa: PLC0415 - as above

        with self._generators, _mended(), warnings.catch_warnings():
            warnings.simplefilter("ignore", NevergradWarning)
            # the library passes a tolerance of zero, which scipy's Cobyla corrects aloud
            warnings.filterwarnings("ignore", "COBYLA: Invalid RHOEND", UserWarning)
            yield


@contextmanager
def _mended() -> Iterator[None]:
    """Let the library's metamodels take the only element of an array for a float, as numpy did before 2.4."""
    from nevergrad.optimization import metamodel  # noqa: PLC0415 - as above

    metamodel.float = _as_float
    try:
        yield
    finally:
        del metamodel.float


def _as_float(value: Any) -> float:
    """Return ``value``, a number or an array of one element, as a float."""
    return float(value.item() if isinstance(value, np.ndarray) else value)

"""Adapters to Hyperopt: its ``suggest`` functions over its own ``Domain`` and ``Trials``, as ``fmin`` calls them.

References:
    Bergstra, Bardenet, Bengio & Kégl (2011), NeurIPS 24 (tree-structured Parzen estimators).
    Bergstra, Yamins & Cox (2013), ICML (the library).
    Arsenault (2018), "Optimizing optimization", Electric Brain (adaptive TPE).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, ClassVar, Unpack, final

import numpy as np

from hpbench.space import Categorical, Condition, Float, Parameter, SearchSpace
from hpbench.strategies.adapting import (
    WorstSoFar,
    check_known,
    check_least,
    check_searchable,
    completed,
    conditions_on_choices,
    searched,
)
from hpbench.strategies.base import Capability, Given, Strategy
from hpbench.strategies.isolation import PrivateGenerators
from hpbench.trial import Proposal, Trial, Value

__all__ = [
    "AdaptiveParzenStrategy",
    "AnnealingStrategy",
    "HyperoptStrategy",
    "ParzenStrategy",
    "RandomDrawsStrategy",
]

_LEAST = {"n_EI_candidates": 1, "prior_weight": 0.0, "avg_best_idx": 1.0, "shrink_coef": 0.0}
"""``1 / avg_best_idx`` is the probability of a geometric distribution."""

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
"""Stands for when a trial began and ended: one algorithm subtracts the two, none uses the difference."""


class HyperoptStrategy(Strategy):
    """A ``suggest`` function of Hyperopt, called as the library's ``fmin`` calls it.

    Hyperparameters become the library's own expressions: reals ``hp.uniform`` and ``hp.loguniform``;
    integers, and ordered choices by their place in the list, ``hp.quniform`` and ``hp.qloguniform``
    over a range that gives every value an equal share; unordered choices ``hp.choice``. What exists
    only under a condition stands in the branches of the ``hp.choice`` that it waits for, which for that
    purpose an ordered choice becomes, too. A hyperparameter with a single value is not shown to the
    library.

    A failed trial is told as ``STATUS_FAIL`` without a loss, which the library ranks behind all others.

    Args:
        space: what is searched; conditions wait for choices, not for numbers.
        full_epochs: the full fidelity.
        seed: of the generator that gives every suggestion a seed of its own (``rstate``).
        budget_trials: not used.
        options: what the function is called with, beside what ``fmin`` gives it.

    Raises:
        UsageError: the space has nothing to search or a condition that the library cannot express, or
            the library refuses an option.
    """

    library: ClassVar[str | None] = "hyperopt"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CONDITIONAL, Capability.PARALLEL})
    name: ClassVar[str]
    _module: ClassVar[str]

    def __init__(
        self,
        space: SearchSpace,
        *,
        options: Mapping[str, Any],
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        check_searchable(self.name, type(self), space)
        check_least(self.name, _LEAST, options)
        self._searched = searched(space)
        self._generators = PrivateGenerators(self.seed)
        self._rstate = np.random.default_rng(self.seed)
        self._suggest = import_module(f"hyperopt.{self._module}").suggest
        self._options = dict(options)
        check_known(self.name, "hyperopt", self._suggest, options)
        from hyperopt.base import Domain, Trials  # noqa: PLC0415 - slow to import, and listing does without

        self._domain = Domain(_never_called, _expression(self.name, space))
        self._trials = Trials()

    def ask(self) -> Proposal:
        """Return what the library suggests, in built-in types."""
        from hyperopt.base import JOB_STATE_RUNNING  # noqa: PLC0415 - as above

        trials = self._trials
        ids = trials.new_trial_ids(1)
        trials.refresh()
        seed = self._rstate.integers(2**31 - 1)
        with self._generators, warnings.catch_warnings():
            # adaptive TPE correlates losses, also equal ones, and copes with what comes of it
            warnings.filterwarnings("ignore", "An input array is constant", RuntimeWarning)
            (document,) = self._suggest(ids, self._domain, trials, seed, **self._options)
        document.update(state=JOB_STATE_RUNNING, book_time=_ANY_TIME)
        trials.insert_trial_docs([document])
        trials.refresh()
        drawn = document["misc"]["vals"]
        values = {item.name: _value(item, drawn[item.name][0]) for item in self._searched if drawn[item.name]}
        return Proposal(completed(self.space, values))

    def tell(self, trial: Trial) -> None:
        """Tell the library; a failed trial as failed."""
        from hyperopt.base import JOB_STATE_DONE  # noqa: PLC0415 - as above

        document = self._trials.trials[trial.number]
        document.update(state=JOB_STATE_DONE, result=self._result(trial), refresh_time=_ANY_TIME)
        self._trials.refresh()

    def _result(self, trial: Trial) -> dict[str, Any]:
        """Return what an objective function would have returned to ``fmin``."""
        from hyperopt.base import STATUS_FAIL, STATUS_OK  # noqa: PLC0415 - as above

        if trial.objective is None:
            return {"status": STATUS_FAIL}
        return {"status": STATUS_OK, "loss": float(trial.objective)}


@final
class ParzenStrategy(HyperoptStrategy):
    """Tree-structured Parzen estimators of Hyperopt, one density for each hyperparameter.

    Args:
        prior_weight: of the prior, in trials.
        n_startup_jobs: trials drawn at random before.
        n_EI_candidates: candidates of which the best is proposed.
        gamma: times the square root of the number of trials: how many count as good.
    """

    name: ClassVar[str] = "hyperopt-tpe"
    typical_ask_seconds: ClassVar[float] = 0.01
    _module: ClassVar[str] = "tpe"

    def __init__(
        self,
        space: SearchSpace,
        *,
        prior_weight: float = 1.0,
        n_startup_jobs: int = 20,
        n_EI_candidates: int = 24,  # noqa: N803 - the library's name
        gamma: float = 0.25,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(
            space,
            options={
                "prior_weight": prior_weight,
                "n_startup_jobs": n_startup_jobs,
                "n_EI_candidates": n_EI_candidates,
                "gamma": gamma,
            },
            **given,
        )


@final
class AdaptiveParzenStrategy(HyperoptStrategy):
    """Adaptive TPE of Hyperopt: trained models choose what TPE is run with, and which values it keeps.

    The library flattens conditions away, so CONDITIONAL is missing; it fails at trials without a loss,
    so PARALLEL is missing, and a failed trial is told as the worst objective so far, or 1 before any
    trial has succeeded. It draws from the global generators, which are exchanged for private ones.
    """

    name: ClassVar[str] = "hyperopt-atpe"
    typical_ask_seconds: ClassVar[float] = 0.2
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    _module: ClassVar[str] = "atpe"

    def __init__(self, space: SearchSpace, **given: Unpack[Given]) -> None:
        super().__init__(space, options={}, **given)
        with PrivateGenerators(0):  # importing it draws, and the library would import it at its first use
            import lightgbm  # noqa: F401, PLC0415 - slow to import, and listing does without
        self._failures = WorstSoFar()

    def _result(self, trial: Trial) -> dict[str, Any]:
        """Return a result with a loss, whatever happened."""
        from hyperopt.base import STATUS_OK  # noqa: PLC0415 - as above

        return {"status": STATUS_OK, "loss": self._failures.counted(trial.objective)}


@final
class AnnealingStrategy(HyperoptStrategy):
    """Annealing of Hyperopt: draws around good trials, in ranges that shrink.

    Args:
        avg_best_idx: mean of the geometric distribution over the rank of the trial to draw around.
        shrink_coef: how fast the ranges shrink.
    """

    name: ClassVar[str] = "hyperopt-anneal"
    typical_ask_seconds: ClassVar[float] = 0.002
    _module: ClassVar[str] = "anneal"

    def __init__(
        self,
        space: SearchSpace,
        *,
        avg_best_idx: float = 2.0,
        shrink_coef: float = 0.1,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(
            space,
            options={"avg_best_idx": avg_best_idx, "shrink_coef": shrink_coef},
            **given,
        )


@final
class RandomDrawsStrategy(HyperoptStrategy):
    """Random search of Hyperopt."""

    name: ClassVar[str] = "hyperopt-random"
    typical_ask_seconds: ClassVar[float] = 0.002
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.CONDITIONAL, Capability.PARALLEL, Capability.NON_ADAPTIVE}
    )
    _module: ClassVar[str] = "rand"

    def __init__(self, space: SearchSpace, **given: Unpack[Given]) -> None:
        super().__init__(space, options={}, **given)


def _never_called(point: Any) -> float:
    """Stand where ``fmin`` has the objective function; trials are evaluated elsewhere."""
    raise NotImplementedError(f"{point!r} is evaluated by the task.")


def _expression(name: str, space: SearchSpace) -> dict[str, Any]:
    """Return the space as the library's nested expressions, each label one node.

    Raises:
        UsageError: a condition waits for a number.
    """
    conditions = conditions_on_choices(name, space)
    nodes: dict[str, Any] = {}
    # a condition names an earlier parameter, so what waits for a parent is there when the parent is built
    for item in reversed(searched(space)):
        waiting = {key: when for key, when in conditions.items() if when and when.parent == item.name}
        nodes[item.name] = _branches(item, waiting, nodes) if waiting else _leaf(item)
    return {item.name: nodes[item.name] for item in searched(space) if conditions[item.name] is None}


def _branches(parameter: Parameter, waiting: Mapping[str, Condition], nodes: Mapping[str, Any]) -> Any:
    """Return a choice whose branches hold what waits for it."""
    from hyperopt import hp  # noqa: PLC0415 - as above

    assert isinstance(parameter, Categorical), "checked before"  # noqa: S101 - our own invariant
    branches = [
        {name: nodes[name] for name, when in waiting.items() if when.allows(choice)}
        for choice in parameter.choices
    ]
    return hp.choice(parameter.name, branches)


def _leaf(parameter: Parameter) -> Any:
    """Return the library's expression for a hyperparameter that nothing waits for."""
    from hyperopt import hp  # noqa: PLC0415 - as above

    if isinstance(parameter, Float):
        if parameter.log:
            return hp.loguniform(parameter.name, math.log(parameter.low), math.log(parameter.high))
        return hp.uniform(parameter.name, parameter.low, parameter.high)
    if isinstance(parameter, Categorical):
        places = len(parameter.choices)
        if parameter.ordered:
            return hp.quniform(parameter.name, -0.5, places - 0.5, 1)
        return hp.choice(parameter.name, list(range(places)))
    low, high = parameter.low - 0.5, parameter.high + 0.5
    if parameter.log:
        return hp.qloguniform(parameter.name, math.log(low), math.log(high), 1)
    return hp.quniform(parameter.name, low, high, 1)


def _value(parameter: Parameter, drawn: Any) -> Value:
    """Return what the library has drawn as a plain value; the edges of a range round into it."""
    if isinstance(parameter, Float):
        return min(max(float(drawn), float(parameter.low)), float(parameter.high))
    if isinstance(parameter, Categorical):
        return parameter.choices[min(max(int(drawn), 0), len(parameter.choices) - 1)]
    return min(max(int(drawn), parameter.low), parameter.high)

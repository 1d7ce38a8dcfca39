"""Adapters to Nevergrad: its optimisers behind ``ask`` and ``tell``, one worker, each under its own defaults.

References:
    Bennet, Doerr, Moreau, Rapin, Teytaud & Teytaud (2021), SIGEVOlution 14(1), 8-15 (the library).
    Meunier, Rakotoarison, Wong, Roziere, Rapin, Teytaud, Moreau & Doerr (2022), IEEE Transactions on
    Evolutionary Computation 26, 490-500 (the meta-optimiser NGOpt).
    Storn & Price (1997), Journal of Global Optimization 11, 341-359 (differential evolution).
    Zambrano-Bigiarini, Clerc & Rojas (2013), IEEE CEC (particle swarms, SPSO2011).
    Schumer & Steiglitz (1968), IEEE Transactions on Automatic Control 13, 270-276 (step sizes of (1+1)).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, final

import numpy as np

from hpbench.errors import UsageError
from hpbench.space import Categorical, Condition, Float, Parameter, SearchSpace
from hpbench.strategies.adapting import (
    WorstSoFar,
    check_known,
    check_searchable,
    completed,
    conditions_on_choices,
    plain,
    searched,
)
from hpbench.strategies.base import Capability, Strategy
from hpbench.strategies.isolation import PrivateGenerators, in_a_daemon
from hpbench.trial import Proposal, Trial, Value

__all__ = [
    "DifferentialEvolutionStrategy",
    "MetaStrategy",
    "NevergradStrategy",
    "OnePlusOneStrategy",
    "ParticleSwarmStrategy",
    "TunedMetaStrategy",
]

_FEW = 10
"""Below so many values the library advises against casting to integers, and for transitions."""


_REPEATABLE = frozenset({"BFGS", "COBYLA", "L-BFGS-B", "LBFGSB", "Nelder-Mead", "Powell", "RBFGS", "SLSQP"})
"""Loops of scipy that some optimisers run in a thread; others seed themselves by the clock."""


_PATIENCE_SECONDS = 0.05
"""How often it is looked whether a thread has ended without a word."""


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
        configured: the optimiser or its configuration in ``nevergrad.optimizers``.
        options: what the configuration is made with.

    Raises:
        UsageError: the space has nothing to search or a condition that the library cannot express, or
            the library refuses an option.
    """

    library: ClassVar[str | None] = "nevergrad"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CONDITIONAL})
    name: ClassVar[str]

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        configured: str,
        options: Mapping[str, Any],
    ) -> None:
        super().__init__(space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials)
        check_searchable(self.name, type(self), space)
        with PrivateGenerators(0):  # importing it draws random numbers
            import nevergrad  # noqa: F401, PLC0415 - slow, and listing does without
        self._generators = PrivateGenerators(seed)
        self._candidates: list[Any] = []
        self._failures = WorstSoFar()
        with self._inside():
            self._optimizer = self._built(self._parametrization(), configured, options)

    def ask(self) -> Proposal:
        """Return what the optimiser suggests, in built-in types."""
        with self._inside():
            candidate = in_a_daemon(self._optimizer.ask)
        self._candidates.append(candidate)
        return Proposal(completed(self.space, dict(_flat(self.space, candidate.value))))

    def tell(self, trial: Trial) -> None:
        """Tell the optimiser; a failed trial as the worst objective so far."""
        with self._inside():
            self._optimizer.tell(self._candidates[trial.number], self._failures.counted(trial.objective))
            _settle(self._optimizer)

    def _built(self, parametrization: Any, configured: str, options: Mapping[str, Any]) -> Any:
        """Return the optimiser ``configured`` for one worker."""
        import nevergrad  # noqa: PLC0415 - as above

        kind = getattr(nevergrad.optimizers, configured)
        if options:
            check_known(self.name, "nevergrad", kind, options)
            try:
                kind = kind(**options)
            except (AssertionError, ValueError) as error:
                raise UsageError(f"strategy {self.name!r}: Nevergrad refuses its options: {error}") from error
        try:
            return kind(parametrization, budget=self.budget_trials, num_workers=1)
        except (AssertionError, ValueError) as error:
            raise UsageError(f"strategy {self.name!r}: Nevergrad refuses its options: {error}") from error

    def _parametrization(self) -> Any:
        """Return the space as the library's nested parameters, with a random state of its own."""
        found = _nested(self.space, conditions_on_choices(self.name, self.space))
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


class _BudgetedStrategy(NevergradStrategy):
    """A meta-optimiser, which chooses by the budget and therefore needs one in trials.

    Where it chooses a loop that takes no seed, it is refused. Where it chooses a metamodel, the library gives
    that 20 seconds by the clock for a proposal, of which it takes a fraction.

    Raises:
        UsageError: there is no budget in trials, or the choice could not be repeated.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        configured: str,
    ) -> None:
        if budget_trials is None:
            raise UsageError(
                f"strategy {self.name!r} needs a budget in trials or epochs, because it chooses an "
                "optimiser by the number of trials; got one in seconds."
            )
        super().__init__(
            space,
            full_epochs=full_epochs,
            seed=seed,
            budget_trials=budget_trials,
            configured=configured,
            options={},
        )
        with self._inside(), PrivateGenerators(seed):
            # looked at in a second one, because looking makes choices and draws
            names = sorted(set(_unrepeatable(self._built(self._parametrization(), configured, {}))))
        if names:
            raise UsageError(
                f"strategy {self.name!r} cannot be used on this space with {budget_trials} trials: Nevergrad "
                f"chooses {', '.join(names)}, which takes no seed, so a run could not be repeated; use fewer trials."
            )


@final
class MetaStrategy(_BudgetedStrategy):
    """NGOpt of Nevergrad: chooses an optimiser by the kinds of hyperparameters and the budget."""

    name: ClassVar[str] = "nevergrad-ngopt"

    def __init__(self, space: SearchSpace, *, full_epochs: int, seed: int, budget_trials: int | None) -> None:
        super().__init__(
            space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials, configured="NGOpt"
        )


@final
class TunedMetaStrategy(_BudgetedStrategy):
    """NgIohTuned of Nevergrad, the newer meta-optimiser: chooses by hyperparameters and budget, too."""

    name: ClassVar[str] = "nevergrad-ngioh"

    def __init__(self, space: SearchSpace, *, full_epochs: int, seed: int, budget_trials: int | None) -> None:
        super().__init__(
            space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials, configured="NgIohTuned"
        )


@final
class DifferentialEvolutionStrategy(NevergradStrategy):
    """Differential evolution of Nevergrad, towards the best and a population of 30.

    Within a budget below the population it is random search.

    Args:
        initialization: how the first population is drawn.
        scale: of the random part of the first population, where ``initialization`` has one.
        crossover: rate, or kind of crossover.
        F1: weight of the difference between two individuals.
        F2: weight of the difference to the best.
        popsize: individuals; "standard" is 30, "dimension" one more than the dimension if that is more,
            "large" seven times the dimension.
        propagate_heritage: hand on what individuals carry, also to losers (experimental).
    """

    name: ClassVar[str] = "nevergrad-de"

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        initialization: Literal["gaussian", "LHS", "QO", "SO", "QR", "parametrization"] = "parametrization",
        scale: float | Literal["mini"] = 1.0,
        crossover: float
        | Literal[
            "dimension", "random", "onepoint", "twopoints", "rotated_twopoints", "parametrization"
        ] = 0.5,
        F1: float = 0.8,  # noqa: N803 - the library's name
        F2: float = 0.8,  # noqa: N803
        popsize: int | Literal["standard", "small", "dimension", "large"] = "standard",
        propagate_heritage: bool = False,
    ) -> None:
        super().__init__(
            space,
            full_epochs=full_epochs,
            seed=seed,
            budget_trials=budget_trials,
            configured="DifferentialEvolution",
            options={
                "initialization": initialization,
                "scale": scale,
                "crossover": crossover,
                "F1": F1,
                "F2": F2,
                "popsize": popsize,
                "propagate_heritage": propagate_heritage,
            },
        )


@final
class ParticleSwarmStrategy(NevergradStrategy):
    """Particle swarm optimisation of Nevergrad, 40 particles, as the library registers it under ``PSO``.

    Within a budget below the number of particles it is random search.

    Args:
        transform: from the swarm's space to the real numbers.
        popsize: particles; None for 40.
        omega: inertia.
        phip: pull towards a particle's own best.
        phig: pull towards the swarm's best.
        qo: start with opposite pairs.
        sqo: opposite speeds, too; needs ``qo``.
        so: opposite pairs at special distances.
    """

    name: ClassVar[str] = "nevergrad-pso"

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        transform: Literal["arctan", "gaussian", "identity"] = "arctan",
        popsize: int | None = None,
        omega: float = 0.5 / math.log(2.0),
        phip: float = 0.5 + math.log(2.0),
        phig: float = 0.5 + math.log(2.0),
        qo: bool = False,
        sqo: bool = False,
        so: bool = False,
    ) -> None:
        if sqo and not qo:
            raise UsageError(f"`qo = true` must hold for strategy {self.name!r} when `sqo = true`.")
        super().__init__(
            space,
            full_epochs=full_epochs,
            seed=seed,
            budget_trials=budget_trials,
            configured="ConfPSO",
            options={
                "transform": transform,
                "popsize": popsize,
                "omega": omega,
                "phip": phip,
                "phig": phig,
                "qo": qo,
                "sqo": sqo,
                "so": so,
            },
        )


@final
class OnePlusOneStrategy(NevergradStrategy):
    """The (1+1) evolution strategy of Nevergrad with the one-fifth rule; it begins in the middle.

    Args:
        noise_handling: trains a random or the most promising point again now and then.
        mutation: how the best point is changed, such as "gaussian", "cauchy", "discrete", "fastga",
            "portfolio" or "lengler".
        crossover: cross every other proposal with an earlier point.
        rotation: rotate the crossed stretch.
        annealing: accept worse points by a schedule over the budget, such as "Exp0.9" or "LinAuto".
        sparse: set variables to their middle now and then.
        roulette_size: earlier points that a crossover chooses among.
    """

    name: ClassVar[str] = "nevergrad-1plus1"

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        noise_handling: Literal["random", "optimistic"] | None = None,
        mutation: str = "gaussian",
        crossover: bool = False,
        rotation: bool = False,
        annealing: Literal[
            "none", "Exp0.9", "Exp0.99", "Exp0.9Auto", "Lin100.0", "Lin1.0", "LinAuto"
        ] = "none",
        sparse: bool = False,
        roulette_size: int = 2,
    ) -> None:
        if annealing != "none" and budget_trials is None:
            raise UsageError(f"strategy {self.name!r} needs a budget in trials or epochs for its annealing.")
        super().__init__(
            space,
            full_epochs=full_epochs,
            seed=seed,
            budget_trials=budget_trials,
            configured="ParametrizedOnePlusOne",
            options={
                "noise_handling": noise_handling,
                "mutation": mutation,
                "crossover": crossover,
                "rotation": rotation,
                "annealing": annealing,
                "sparse": sparse,
                "roulette_size": roulette_size,
            },
        )


def _nested(space: SearchSpace, conditions: Mapping[str, Condition | None]) -> Any:
    """Return the space as the library's nested parameters."""
    import nevergrad  # noqa: PLC0415 - as above

    def branch(parent: str | None, value: Value | None = None) -> Any:
        """Return what waits for ``value`` of ``parent``, or for nothing, as a dictionary of parameters."""
        held = {}
        for item in searched(space):
            when = conditions[item.name]
            if (when is None and parent is None) or (
                when is not None and when.parent == parent and value is not None and when.allows(value)
            ):
                held[item.name] = node(item)
        return nevergrad.p.Dict(**held)

    def node(item: Parameter) -> Any:
        """Return the library's parameter for ``item``, with what waits for it."""
        if not any(when is not None and when.parent == item.name for when in conditions.values()):
            return _leaf(item)
        assert isinstance(item, Categorical), "checked before"  # noqa: S101 - our own invariant
        kind = nevergrad.p.TransitionChoice if item.ordered else nevergrad.p.Choice
        return kind(
            [nevergrad.p.Tuple(place, branch(item.name, choice)) for place, choice in enumerate(item.choices)]
        )

    return branch(None)


def _leaf(item: Parameter) -> Any:
    """Return the library's parameter for a hyperparameter that nothing waits for."""
    import nevergrad  # noqa: PLC0415 - as above

    if isinstance(item, Categorical):
        kind = nevergrad.p.TransitionChoice if item.ordered else nevergrad.p.Choice
        return kind(range(len(item.choices)))
    if isinstance(item, Float):
        kind = nevergrad.p.Log if item.log else nevergrad.p.Scalar
        return kind(lower=item.low, upper=item.high)
    if item.log:
        return nevergrad.p.Log(lower=item.low, upper=item.high).set_integer_casting()
    if item.n_values < _FEW:
        return nevergrad.p.TransitionChoice(range(item.low, item.high + 1))
    return nevergrad.p.Scalar(lower=item.low, upper=item.high).set_integer_casting()


def _flat(space: SearchSpace, value: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield the name and plain value of everything in a nested suggestion."""
    for name, suggested in value.items():
        if isinstance(suggested, tuple):
            place, held = suggested
            yield name, plain(space[name], place)
            yield from _flat(space, held)
        else:
            yield name, plain(space[name], suggested)


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


def _unrepeatable(optimizer: Any) -> Iterator[str]:
    """Yield the names of the optimisers inside that run a foreign loop with random numbers of its own."""
    if optimizer.recast and getattr(optimizer, "method", None) not in _REPEATABLE:
        yield optimizer.name
    # a meta-optimiser chooses when its choice is looked at
    for inner in (*_inner(optimizer), *([optimizer.optim] if hasattr(optimizer, "optim") else [])):
        yield from _unrepeatable(inner)


def _inner(optimizer: Any) -> Iterator[Any]:
    """Yield the optimisers that ``optimizer`` consists of, as far as they exist."""
    from nevergrad.optimization.base import Optimizer  # noqa: PLC0415 - as above

    for value in vars(optimizer).values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, Optimizer):
                yield inner


def _settle(optimizer: Any) -> None:
    """Return once no optimiser inside computes in its thread any more: each waits for an answer or has ended.

    Otherwise it would go on while others hold the process-wide generators and warning filters.
    """
    thread = getattr(optimizer, "_messaging_thread", None)
    answered = optimizer.num_tell - optimizer.num_tell_not_asked
    if thread is not None and answered == optimizer.num_ask:
        question = thread.messages_ask
        with question.not_empty:
            while not question.queue and thread.is_alive():
                question.not_empty.wait(_PATIENCE_SECONDS)
    for inner in _inner(optimizer):
        _settle(inner)

"""The optimisers of Nevergrad, each with its options."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Unpack, final

from hpbench.errors import UnsuitableSpaceError, UsageError
from hpbench.space import SearchSpace
from hpbench.strategies.base import Given
from hpbench.strategies.isolation import PrivateGenerators
from hpbench.strategies.nevergrad.adapter import NevergradStrategy
from hpbench.strategies.nevergrad.insides import unrepeatable

__all__ = [
    "DifferentialEvolutionStrategy",
    "MetaStrategy",
    "OnePlusOneStrategy",
    "ParticleSwarmStrategy",
    "TunedMetaStrategy",
]


class _BudgetedStrategy(NevergradStrategy):
    """A meta-optimiser, which chooses by the budget and therefore needs one in trials.

    Where it chooses a loop that takes no seed, it is refused. Where it chooses a metamodel, the library gives
    that 20 seconds by the clock for a proposal, of which it takes a fraction.

    Raises:
        UsageError: there is no budget in trials.
        UnsuitableSpaceError: what would be chosen on this space could not be repeated.
    """

    def __init__(self, space: SearchSpace, **given: Unpack[Given]) -> None:
        if given["budget_trials"] is None:
            raise UsageError(
                f"strategy {self.name!r} needs a budget in trials or epochs, because it chooses an "
                "optimiser by the number of trials; got one in seconds."
            )
        super().__init__(space, options={}, **given)
        with self._inside(), PrivateGenerators(self.seed):
            # looked at in a second one, because looking makes choices and draws
            names = sorted(set(unrepeatable(self._built({}))))
        if names:
            raise UnsuitableSpaceError(
                f"strategy {self.name!r} cannot be used on this space with {self.budget_trials} trials: Nevergrad "
                f"chooses {', '.join(names)}, which takes no seed, so a run could not be repeated; use fewer trials."
            )


@final
class MetaStrategy(_BudgetedStrategy):
    """NGOpt of Nevergrad: chooses an optimiser by the kinds of hyperparameters and the budget."""

    name: ClassVar[str] = "nevergrad-ngopt"
    typical_ask_seconds: ClassVar[float] = 0.01
    _configured: ClassVar[str] = "NGOpt"


@final
class TunedMetaStrategy(_BudgetedStrategy):
    """NgIohTuned of Nevergrad, the newer meta-optimiser: chooses by hyperparameters and budget, too."""

    name: ClassVar[str] = "nevergrad-ngioh"
    typical_ask_seconds: ClassVar[float] = 0.01
    _configured: ClassVar[str] = "NgIohTuned"


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
    typical_ask_seconds: ClassVar[float] = 0.01
    _configured: ClassVar[str] = "DifferentialEvolution"

    def __init__(
        self,
        space: SearchSpace,
        *,
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
        **given: Unpack[Given],
    ) -> None:
        super().__init__(
            space,
            options={
                "initialization": initialization,
                "scale": scale,
                "crossover": crossover,
                "F1": F1,
                "F2": F2,
                "popsize": popsize,
                "propagate_heritage": propagate_heritage,
            },
            **given,
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
    typical_ask_seconds: ClassVar[float] = 0.01
    _configured: ClassVar[str] = "ConfPSO"

    def __init__(
        self,
        space: SearchSpace,
        *,
        transform: Literal["arctan", "gaussian", "identity"] = "arctan",
        popsize: int | None = None,
        omega: float = 0.5 / math.log(2.0),
        phip: float = 0.5 + math.log(2.0),
        phig: float = 0.5 + math.log(2.0),
        qo: bool = False,
        sqo: bool = False,
        so: bool = False,
        **given: Unpack[Given],
    ) -> None:
        if sqo and not qo:
            raise UsageError(f"`qo = true` must hold for strategy {self.name!r} when `sqo = true`.")
        super().__init__(
            space,
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
            **given,
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
    typical_ask_seconds: ClassVar[float] = 0.01
    _configured: ClassVar[str] = "ParametrizedOnePlusOne"

    def __init__(
        self,
        space: SearchSpace,
        *,
        noise_handling: Literal["random", "optimistic"] | None = None,
        mutation: str = "gaussian",
        crossover: bool = False,
        rotation: bool = False,
        annealing: Literal[
            "none", "Exp0.9", "Exp0.99", "Exp0.9Auto", "Lin100.0", "Lin1.0", "LinAuto"
        ] = "none",
        sparse: bool = False,
        roulette_size: int = 2,
        **given: Unpack[Given],
    ) -> None:
        if annealing != "none" and given["budget_trials"] is None:
            raise UsageError(f"strategy {self.name!r} needs a budget in trials or epochs for its annealing.")
        super().__init__(
            space,
            options={
                "noise_handling": noise_handling,
                "mutation": mutation,
                "crossover": crossover,
                "rotation": rotation,
                "annealing": annealing,
                "sparse": sparse,
                "roulette_size": roulette_size,
            },
            **given,
        )

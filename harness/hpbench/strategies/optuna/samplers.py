"""The samplers of Optuna, each with its options."""

from __future__ import annotations

from typing import ClassVar, Literal, Unpack, final

from hpbench.errors import UnsuitableSpaceError
from hpbench.space import Categorical, Parameter, SearchSpace
from hpbench.strategies.adapting import searched
from hpbench.strategies.base import Capability, Given
from hpbench.strategies.optuna.study import OptunaStrategy

__all__ = [
    "CmaEsStrategy",
    "GaussianProcessStrategy",
    "IndependentParzenStrategy",
    "NondominatedSortingStrategy",
    "ParzenStrategy",
    "QuasiMonteCarloStrategy",
    "RandomDrawsStrategy",
]


@final
class ParzenStrategy(OptunaStrategy):
    """Tree-structured Parzen estimators as Optuna has them by default, multivariate since version 5.

    Joint densities cover what all trials have in common; what exists only under a condition has
    a density of its own.

    Args:
        n_startup_trials: trials drawn at random before.
        n_ei_candidates: candidates of which the best is proposed.
        multivariate: one density over all hyperparameters; None for the library's choice, which is yes
            with one objective.
        group: one density for each group of hyperparameters that occur together (experimental).
        constant_liar: keep away from trials that are under way.
    """

    name: ClassVar[str] = "optuna-tpe"
    typical_ask_seconds: ClassVar[float] = 0.005
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CONDITIONAL, Capability.PARALLEL})
    _sampler: ClassVar[str] = "TPESampler"

    def __init__(
        self,
        space: SearchSpace,
        *,
        n_startup_trials: int = 10,
        n_ei_candidates: int = 24,
        multivariate: bool | None = None,
        group: bool = False,
        constant_liar: bool = True,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(
            space,
            options={
                "n_startup_trials": n_startup_trials,
                "n_ei_candidates": n_ei_candidates,
                "multivariate": multivariate,
                "group": group,
                "constant_liar": constant_liar,
            },
            **given,
        )


@final
class IndependentParzenStrategy(OptunaStrategy):
    """Tree-structured Parzen estimators of Optuna, one for each hyperparameter by itself.

    This was the library's default before version 5. It differs from ``optuna-tpe`` by
    ``multivariate=False`` alone.

    Args:
        n_startup_trials: trials drawn at random before.
        n_ei_candidates: candidates of which the best is proposed.
        constant_liar: keep away from trials that are under way.
    """

    name: ClassVar[str] = "optuna-tpe-independent"
    typical_ask_seconds: ClassVar[float] = 0.01
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CONDITIONAL, Capability.PARALLEL})
    _sampler: ClassVar[str] = "TPESampler"

    def __init__(
        self,
        space: SearchSpace,
        *,
        n_startup_trials: int = 10,
        n_ei_candidates: int = 24,
        constant_liar: bool = True,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(
            space,
            options={
                "n_startup_trials": n_startup_trials,
                "n_ei_candidates": n_ei_candidates,
                "multivariate": False,
                "constant_liar": constant_liar,
            },
            **given,
        )


@final
class GaussianProcessStrategy(OptunaStrategy):
    """Bayesian optimisation of Optuna: a Gaussian process, Matérn 5/2, logarithmic expected improvement.

    What exists only under a condition the library would draw at random, so CONDITIONAL is missing.

    Args:
        n_startup_trials: trials drawn at random before.
        deterministic_objective: take the objective for free of noise (experimental).
    """

    name: ClassVar[str] = "optuna-gp"
    typical_ask_seconds: ClassVar[float] = 0.3
    _sampler: ClassVar[str] = "GPSampler"

    def __init__(
        self,
        space: SearchSpace,
        *,
        n_startup_trials: int = 10,
        deterministic_objective: bool = False,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(
            space,
            options={
                "n_startup_trials": n_startup_trials,
                "deterministic_objective": deterministic_objective,
            },
            **given,
        )


@final
class CmaEsStrategy(OptunaStrategy):
    """CMA-ES of Optuna over the numbers; unordered choices the library draws at random, as it warns.

    What exists only under a condition it would draw at random, too, so CONDITIONAL is missing.

    Args:
        n_startup_trials: trials drawn at random before.
        popsize: trials of a generation; None for the library's rule, 4 + ⌊3 ln(dimensions)⌋.
        use_separable_cma: a diagonal covariance (experimental).
        with_margin: keep a margin of probability for every integer (experimental).
        lr_adapt: adapt the learning rate (experimental).

    Raises:
        UnsuitableSpaceError: there is not a single number to search.
    """

    name: ClassVar[str] = "optuna-cmaes"
    typical_ask_seconds: ClassVar[float] = 0.002
    _sampler: ClassVar[str] = "CmaEsSampler"

    def __init__(
        self,
        space: SearchSpace,
        *,
        n_startup_trials: int = 1,
        popsize: int | None = None,
        use_separable_cma: bool = False,
        with_margin: bool = False,
        lr_adapt: bool = False,
        **given: Unpack[Given],
    ) -> None:
        if not any(_is_numeric(item) for item in searched(space)):
            raise UnsuitableSpaceError(
                f"strategy {self.name!r} needs a number to search, or an ordered choice; "
                f"got {', '.join(space.names) or 'nothing'}."
            )
        super().__init__(
            space,
            options={
                "n_startup_trials": n_startup_trials,
                "popsize": popsize,
                "use_separable_cma": use_separable_cma,
                "with_margin": with_margin,
                "lr_adapt": lr_adapt,
                "warn_independent_sampling": False,  # said above, once and not at every trial
            },
            **given,
        )


@final
class NondominatedSortingStrategy(OptunaStrategy):
    """NSGA-II of Optuna with one objective: a genetic algorithm whose first generation is random.

    Within a budget below ``population_size`` it is random search. What exists only under a condition
    the library would draw at random, so CONDITIONAL is missing.

    Args:
        population_size: trials of a generation.
        mutation_prob: of a hyperparameter; None for one over their number.
        crossover_prob: of two parents instead of one.
        swapping_prob: of each hyperparameter at a crossover.
    """

    name: ClassVar[str] = "optuna-nsga2"
    typical_ask_seconds: ClassVar[float] = 0.001
    _sampler: ClassVar[str] = "NSGAIISampler"

    def __init__(
        self,
        space: SearchSpace,
        *,
        population_size: int = 50,
        mutation_prob: float | None = None,
        crossover_prob: float = 0.9,
        swapping_prob: float = 0.5,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(
            space,
            options={
                "population_size": population_size,
                "mutation_prob": mutation_prob,
                "crossover_prob": crossover_prob,
                "swapping_prob": swapping_prob,
            },
            **given,
        )


@final
class QuasiMonteCarloStrategy(OptunaStrategy):
    """Quasi-random search of Optuna: one random trial, then a Sobol or Halton sequence.

    The sequence is the same for every seed unless it is scrambled. What exists only under a condition
    the library would draw at random, so CONDITIONAL is missing.

    Args:
        qmc_type: which sequence.
        scramble: shuffle it by the seed.
    """

    name: ClassVar[str] = "optuna-qmc"
    typical_ask_seconds: ClassVar[float] = 0.001
    _sampler: ClassVar[str] = "QMCSampler"

    def __init__(
        self,
        space: SearchSpace,
        *,
        qmc_type: Literal["sobol", "halton"] = "sobol",
        scramble: bool = False,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(
            space,
            options={"qmc_type": qmc_type, "scramble": scramble, "warn_independent_sampling": False},
            **given,
        )


@final
class RandomDrawsStrategy(OptunaStrategy):
    """Random search of Optuna."""

    name: ClassVar[str] = "optuna-random"
    typical_ask_seconds: ClassVar[float] = 0.001
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.CONDITIONAL, Capability.PARALLEL, Capability.NON_ADAPTIVE}
    )
    _sampler: ClassVar[str] = "RandomSampler"

    def __init__(self, space: SearchSpace, **given: Unpack[Given]) -> None:
        super().__init__(
            space,
            options={},
            **given,
        )


def _is_numeric(parameter: Parameter) -> bool:
    """Return whether the library is shown a number."""
    return not isinstance(parameter, Categorical) or parameter.ordered

"""Adapters to Optuna: its samplers behind ``Study.ask`` and ``Study.tell``, each under its own defaults.

References:
    Akiba, Sano, Yanase, Ohta & Koyama (2019), KDD (the library).
    Bergstra, Bardenet, Bengio & Kégl (2011), NeurIPS 24 (tree-structured Parzen estimators).
    Falkner, Klein & Hutter (2018), ICML (their multivariate form).
    Watanabe (2023), arXiv:2304.11127 (what the parts of the library's estimator do).
    Ament, Daulton, Eriksson, Balandat & Bakshy (2023), NeurIPS 36 (logarithmic expected improvement).
    Hansen (2016), arXiv:1604.00772 (CMA-ES).
    Deb, Pratap, Agarwal & Meyarivan (2002), IEEE Transactions on Evolutionary Computation 6, 182-197 (NSGA-II).
    Bergstra & Bengio (2012), JMLR 13, 281-305 (random and quasi-random search).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, final

from hpbench.errors import UsageError
from hpbench.space import Categorical, Float, Parameter, SearchSpace
from hpbench.strategies.adapting import check_known, check_searchable, plain, searched, single
from hpbench.strategies.base import Capability, Strategy
from hpbench.trial import Proposal, Trial, Value

__all__ = [
    "CmaEsStrategy",
    "GaussianProcessStrategy",
    "IndependentParzenStrategy",
    "NondominatedSortingStrategy",
    "OptunaStrategy",
    "ParzenStrategy",
    "QuasiMonteCarloStrategy",
    "RandomDrawsStrategy",
]


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
        sampler: the class in ``optuna.samplers``.
        options: what it is built with, beside the seed.

    Raises:
        UsageError: the space has nothing to search, or conditions that the sampler would leave to
            chance, or the library refuses an option.
    """

    library: ClassVar[str | None] = "optuna"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.PARALLEL})
    name: ClassVar[str]

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        sampler: str,
        options: Mapping[str, Any],
    ) -> None:
        super().__init__(space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials)
        check_searchable(self.name, type(self), space)
        self._study = self._created(sampler, options)
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

    def _created(self, sampler: str, options: Mapping[str, Any]) -> Any:
        """Return a study in memory with the sampler."""
        import optuna  # noqa: PLC0415 - slow to import, and listing does without

        kind = getattr(optuna.samplers, sampler)
        check_known(self.name, "optuna", kind.__init__, options)
        with warnings.catch_warnings(), _quiet():
            # what is experimental is said in the option's own words
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            try:
                built = kind(seed=self.seed, **options)
            except ValueError as error:
                raise UsageError(f"strategy {self.name!r}: Optuna refuses its options: {error}") from error
            return optuna.create_study(direction="minimize", sampler=built)


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
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CONDITIONAL, Capability.PARALLEL})

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        n_startup_trials: int = 10,
        n_ei_candidates: int = 24,
        multivariate: bool | None = None,
        group: bool = False,
        constant_liar: bool = True,
    ) -> None:
        super().__init__(
            space,
            full_epochs=full_epochs,
            seed=seed,
            budget_trials=budget_trials,
            sampler="TPESampler",
            options={
                "n_startup_trials": n_startup_trials,
                "n_ei_candidates": n_ei_candidates,
                "multivariate": multivariate,
                "group": group,
                "constant_liar": constant_liar,
            },
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
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CONDITIONAL, Capability.PARALLEL})

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        n_startup_trials: int = 10,
        n_ei_candidates: int = 24,
        constant_liar: bool = True,
    ) -> None:
        super().__init__(
            space,
            full_epochs=full_epochs,
            seed=seed,
            budget_trials=budget_trials,
            sampler="TPESampler",
            options={
                "n_startup_trials": n_startup_trials,
                "n_ei_candidates": n_ei_candidates,
                "multivariate": False,
                "constant_liar": constant_liar,
            },
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

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        n_startup_trials: int = 10,
        deterministic_objective: bool = False,
    ) -> None:
        super().__init__(
            space,
            full_epochs=full_epochs,
            seed=seed,
            budget_trials=budget_trials,
            sampler="GPSampler",
            options={
                "n_startup_trials": n_startup_trials,
                "deterministic_objective": deterministic_objective,
            },
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
        UsageError: there is not a single number to search.
    """

    name: ClassVar[str] = "optuna-cmaes"

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        n_startup_trials: int = 1,
        popsize: int | None = None,
        use_separable_cma: bool = False,
        with_margin: bool = False,
        lr_adapt: bool = False,
    ) -> None:
        if not any(_is_numeric(item) for item in searched(space)):
            raise UsageError(
                f"strategy {self.name!r} needs a number to search, or an ordered choice; "
                f"got {', '.join(space.names) or 'nothing'}."
            )
        super().__init__(
            space,
            full_epochs=full_epochs,
            seed=seed,
            budget_trials=budget_trials,
            sampler="CmaEsSampler",
            options={
                "n_startup_trials": n_startup_trials,
                "popsize": popsize,
                "use_separable_cma": use_separable_cma,
                "with_margin": with_margin,
                "lr_adapt": lr_adapt,
                "warn_independent_sampling": False,  # said above, once and not at every trial
            },
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

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        population_size: int = 50,
        mutation_prob: float | None = None,
        crossover_prob: float = 0.9,
        swapping_prob: float = 0.5,
    ) -> None:
        super().__init__(
            space,
            full_epochs=full_epochs,
            seed=seed,
            budget_trials=budget_trials,
            sampler="NSGAIISampler",
            options={
                "population_size": population_size,
                "mutation_prob": mutation_prob,
                "crossover_prob": crossover_prob,
                "swapping_prob": swapping_prob,
            },
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

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        qmc_type: Literal["sobol", "halton"] = "sobol",
        scramble: bool = False,
    ) -> None:
        super().__init__(
            space,
            full_epochs=full_epochs,
            seed=seed,
            budget_trials=budget_trials,
            sampler="QMCSampler",
            options={"qmc_type": qmc_type, "scramble": scramble, "warn_independent_sampling": False},
        )


@final
class RandomDrawsStrategy(OptunaStrategy):
    """Random search of Optuna."""

    name: ClassVar[str] = "optuna-random"
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.CONDITIONAL, Capability.PARALLEL, Capability.NON_ADAPTIVE}
    )

    def __init__(self, space: SearchSpace, *, full_epochs: int, seed: int, budget_trials: int | None) -> None:
        super().__init__(
            space,
            full_epochs=full_epochs,
            seed=seed,
            budget_trials=budget_trials,
            sampler="RandomSampler",
            options={},
        )


def _is_numeric(parameter: Parameter) -> bool:
    """Return whether the library is shown a number."""
    return not isinstance(parameter, Categorical) or parameter.ordered


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

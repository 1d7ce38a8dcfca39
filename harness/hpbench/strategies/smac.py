"""Adapters to SMAC3: Bayesian optimisation with a random forest, and with a Gaussian process.

References:
    Hutter, Hoos & Leyton-Brown (2011), LION 5, 507-523 (SMAC).
    Lindauer et al. (2022), JMLR 23 (54), 1-9 (SMAC3).
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Unpack, final

from hpbench.errors import UsageError
from hpbench.space import Categorical, Float, Parameter, SearchSpace
from hpbench.strategies.adapting import (
    WorstSoFar,
    check_least,
    check_searchable,
    completed,
    plain,
    searched,
    single,
)
from hpbench.strategies.base import Capability, Given, Strategy
from hpbench.strategies.isolation import PrivateGenerators
from hpbench.trial import Proposal, Trial

__all__ = ["BlackBoxStrategy", "ForestStrategy", "SmacStrategy"]

_USUAL_TRIALS = 100
"""``n_trials`` of a scenario that does not say; it bounds the initial design."""

_PARTS = {
    "initial_design": ("n_configs", "n_configs_per_hyperparameter", "max_ratio"),
    "random_design": ("probability",),
    "acquisition_function": ("xi",),
    "acquisition_maximizer": ("challengers", "local_search_iterations"),
    "config_selector": ("retrain_after", "retries"),
    "model": ("n_trees",),
}
"""Component of a facade → the options that it is made with."""


class SmacStrategy(Strategy):
    """A facade of SMAC3, asked and told one trial at a time.

    Hyperparameters become ConfigSpace's own: floats and integers with ``log`` where the space is
    logarithmic, ordinals for ordered choices, categories for the others, and conditions. A
    hyperparameter with a single value is left out and filled in.

    The scenario is ``deterministic``, because within a repetition a configuration always gets the same
    result; otherwise SMAC would train promising configurations again. Its ``n_trials`` is the budget,
    100 where only seconds limit it. SMAC's files go to a temporary folder that is gone when the strategy
    has been built.

    The starting points of its local searches are kept in order, because SMAC puts them into a set, whose order
    differs from process to process.

    A failed trial is told as crashed. SMAC trains its model on crashed trials too, and its default cost
    for them is infinite, which no model can be trained on: they are told the worst objective that any
    trial of the run has reached so far, 1 until one has succeeded.

    Args:
        space: what is searched.
        full_epochs: the full fidelity.
        seed: of the scenario.
        budget_trials: ``n_trials`` of the scenario.
        options: what the components are made with; of both facades these:
        n_configs: size of the initial Sobol design; None: by the number of hyperparameters.
        n_configs_per_hyperparameter: initial configurations a hyperparameter.
        max_ratio: the initial design takes at most this share of the budget.
        probability: how often a random configuration is interleaved.
        xi: exploration of expected improvement.
        challengers: candidates at which the acquisition function is evaluated.
        local_search_iterations: iterations of its local search.
        retrain_after: configurations between two fits of the model.
        retries: how often a new configuration is looked for.

    Raises:
        UsageError: the space has nothing to search, or the library refuses an option.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CONDITIONAL, Capability.PARALLEL})
    library: ClassVar[str | None] = "smac"
    name: ClassVar[str]
    _kind: ClassVar[str]
    """The facade class in ``smac``."""

    def __init__(self, space: SearchSpace, *, options: Mapping[str, Any], **given: Unpack[Given]) -> None:
        super().__init__(space, **given)
        check_searchable(self.name, type(self), space)
        check_least(self.name, {"n_trees": 1, "local_search_iterations": 1}, options)
        if not 0.0 <= options["probability"] <= 1.0:
            raise UsageError(
                f"`0 <= probability <= 1` must hold for strategy {self.name!r}, "
                f"got probability = {options['probability']!r}."
            )
        with PrivateGenerators(0):  # importing it draws random numbers
            import smac  # noqa: F401, PLC0415 - slow, and listing options does without
        try:
            self._facade = self._built(options)
        except ValueError as error:
            raise UsageError(f"strategy {self.name!r}: SMAC refuses its options: {error}") from error
        self._asked: list[Any] = []
        self._failures = WorstSoFar()

    def ask(self) -> Proposal | None:
        """Return the configuration that SMAC suggests, in built-in types; None if it finds no new one."""
        from smac.main.exceptions import ConfigurationSpaceExhaustedException  # noqa: PLC0415 - slow to import

        with _in_order(), warnings.catch_warnings():
            # SMAC averages the times of a local search for its log, also where the search had no step
            warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
            warnings.filterwarnings("ignore", "invalid value encountered", RuntimeWarning, "numpy")
            try:
                info = self._facade.ask()
            except (StopIteration, ConfigurationSpaceExhaustedException):
                return None
        self._asked.append(info)
        values = {
            item.name: plain(item, info.config[item.name])
            for item in searched(self.space)
            if item.name in info.config
        }
        return Proposal(completed(self.space, values))

    def tell(self, trial: Trial) -> None:
        """Tell SMAC; a failed trial as crashed, with the worst cost so far."""
        from smac.runhistory.dataclasses import TrialValue  # noqa: PLC0415 - slow to import
        from smac.runhistory.enumerations import StatusType  # noqa: PLC0415

        cost = self._failures.counted(trial.objective)
        status = StatusType.CRASHED if trial.objective is None else StatusType.SUCCESS
        self._facade.tell(self._asked[trial.number], TrialValue(cost=cost, status=status), save=False)

    def _built(self, options: Mapping[str, Any]) -> Any:
        """Return the facade with its components."""
        import smac  # noqa: PLC0415 - slow to import, and listing options does without

        # what SMAC logs is for people who run SMAC; without a handler Python prints it
        logging.getLogger("smac").addHandler(logging.NullHandler())
        kind = getattr(smac, self._kind)
        trials = _USUAL_TRIALS if self.budget_trials is None else self.budget_trials
        with tempfile.TemporaryDirectory(prefix="hpbench-smac-") as folder:
            scenario = smac.Scenario(
                _configspace(self.space, self.seed),
                name="hpbench",
                output_directory=Path(folder),
                deterministic=True,
                n_trials=trials,
                seed=self.seed,
            )
            parts = {
                part: getattr(kind, f"get_{part}")(
                    scenario, **{name: options[name] for name in names if name in options}
                )
                for part, names in _PARTS.items()
            }
            return kind(scenario, None, logging_level=False, overwrite=True, **parts)


@final
class ForestStrategy(SmacStrategy):
    """SMAC3's facade for hyperparameters: a random forest, log-scaled costs, log expected improvement.

    Args:
        n_trees: trees of the forest.
    """

    name: ClassVar[str] = "smac-forest"
    typical_ask_seconds: ClassVar[float] = 0.2
    _kind: ClassVar[str] = "HyperparameterOptimizationFacade"

    def __init__(
        self,
        space: SearchSpace,
        *,
        n_configs: int | None = None,
        n_configs_per_hyperparameter: int = 10,
        max_ratio: float = 0.25,
        probability: float = 0.2,
        xi: float = 0.0,
        challengers: int = 10000,
        local_search_iterations: int = 10,
        retrain_after: int = 8,
        retries: int = 16,
        n_trees: int = 10,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(
            space,
            options={
                "n_configs": n_configs,
                "n_configs_per_hyperparameter": n_configs_per_hyperparameter,
                "max_ratio": max_ratio,
                "probability": probability,
                "xi": xi,
                "challengers": challengers,
                "local_search_iterations": local_search_iterations,
                "retrain_after": retrain_after,
                "retries": retries,
                "n_trees": n_trees,
            },
            **given,
        )


@final
class BlackBoxStrategy(SmacStrategy):
    """SMAC3's facade for black boxes: a Gaussian process, expected improvement."""

    name: ClassVar[str] = "smac-gp"
    typical_ask_seconds: ClassVar[float] = 1.3
    _kind: ClassVar[str] = "BlackBoxFacade"

    def __init__(
        self,
        space: SearchSpace,
        *,
        n_configs: int | None = None,
        n_configs_per_hyperparameter: int = 8,
        max_ratio: float = 0.25,
        probability: float = 0.08447232371720552,
        xi: float = 0.0,
        challengers: int = 1000,
        local_search_iterations: int = 10,
        retrain_after: int = 1,
        retries: int = 16,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(
            space,
            options={
                "n_configs": n_configs,
                "n_configs_per_hyperparameter": n_configs_per_hyperparameter,
                "max_ratio": max_ratio,
                "probability": probability,
                "xi": xi,
                "challengers": challengers,
                "local_search_iterations": local_search_iterations,
                "retrain_after": retrain_after,
                "retries": retries,
            },
            **given,
        )


@contextmanager
def _in_order() -> Iterator[None]:
    """Let SMAC's local searches keep their starting points in the order that SMAC documents.

    It puts them into a set to drop what comes twice. That orders them by hashes of text, which differ from
    process to process, and a run could not be repeated.
    """
    from smac.acquisition.maximizer import local_search  # noqa: PLC0415 - slow to import

    names = vars(local_search)
    names["set"] = _set_in_order
    try:
        yield
    finally:
        del names["set"]


def _set_in_order(items: Iterable[Any] | None = None) -> Collection[Any]:
    """Return what stands in for ``set``: without items it is one, else a collection that keeps their order."""
    return set() if items is None else dict.fromkeys(items).keys()


def _configspace(space: SearchSpace, seed: int) -> Any:
    """Return the library's space for ``space``."""
    from ConfigSpace import ConfigurationSpace, InCondition  # noqa: PLC0415 - slow to import

    made = ConfigurationSpace(seed=seed)
    here: dict[str, Any] = {}
    for item in searched(space):
        here[item.name] = _hyperparameter(item)
        made.add(here[item.name])
    for item in searched(space):
        condition = item.when
        # a parent with a single value always has it, so the condition always holds or was refused before
        if condition is None or single(space[condition.parent]):
            continue
        parent = space[condition.parent]
        values = [
            parent.index(value) if isinstance(parent, Categorical) else value for value in condition.values
        ]
        made.add(InCondition(here[item.name], here[condition.parent], values))
    return made


def _hyperparameter(parameter: Parameter) -> Any:
    """Return the library's hyperparameter for ``parameter``; choices by their place in the list."""
    import ConfigSpace as cs  # noqa: PLC0415, N813 - slow to import

    if isinstance(parameter, Categorical):
        places = list(range(len(parameter.choices)))
        if parameter.ordered:
            return cs.OrdinalHyperparameter(parameter.name, places)
        return cs.CategoricalHyperparameter(parameter.name, places)
    kind = cs.UniformFloatHyperparameter if isinstance(parameter, Float) else cs.UniformIntegerHyperparameter
    return kind(parameter.name, parameter.low, parameter.high, log=parameter.log)

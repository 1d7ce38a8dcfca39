"""SMAC3 through hpbench proposes what SMAC3 itself would, and keeps the kit's promises."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from hpbench.errors import UsageError
from hpbench.space import Categorical, Integer, SearchSpace
from hpbench.strategies.base import Strategy
from hpbench.strategies.factory import describe_options
from hpbench.strategies.smac import BlackBoxStrategy, ForestStrategy, SmacStrategy
from hpbench.testing.driving import always, drive, never, smooth_error
from hpbench.testing.strategy_kit import SPACES, StrategyConformance
from hpbench.trial import Config, Status, Trial

smac = pytest.importorskip("smac", reason="needs the extra 'smac'")

ALL = (ForestStrategy, BlackBoxStrategy)
QUICK: dict[str, Any] = {"n_configs": 3, "challengers": 100, "local_search_iterations": 1}
TRIALS = 9
THEIRS = {ForestStrategy: "HyperparameterOptimizationFacade", BlackBoxStrategy: "BlackBoxFacade"}


class TestSmac(StrategyConformance):
    @pytest.fixture(autouse=True, params=ALL)
    def strategy_under_test(self, request: pytest.FixtureRequest) -> None:
        self.strategy = request.param
        self.options = {**QUICK, "n_trees": 2} if request.param is ForestStrategy else QUICK
        self.trials = 8 if request.param is ForestStrategy else 5  # three of them come from the design


def build(
    kind: type[SmacStrategy],
    space: SearchSpace,
    seed: int = 3,
    budget_trials: int | None = TRIALS,
    **options: Any,
) -> Strategy:
    made: Any = kind
    strategy: Strategy = made(space, full_epochs=3, seed=seed, budget_trials=budget_trials, **options)
    return strategy


def mixed_space() -> Any:
    """Return ``SPACES["mixed"]`` as a user of SMAC would write it."""
    import ConfigSpace as cs  # noqa: N813 - the module is skipped without it

    space = cs.ConfigurationSpace()
    space.add(
        cs.Float("learning_rate", (1e-4, 1e-1), log=True),
        cs.Float("dropout", (0.0, 0.5)),
        cs.Integer("layers", (1, 3)),
        cs.Integer("width", (8, 512), log=True),
        cs.OrdinalHyperparameter("batch_size", [0, 1, 2, 3]),
        cs.Categorical("activation", [0, 1, 2]),
        cs.Categorical("nesterov", [0, 1]),
    )
    return space


def conditional_space() -> Any:
    """Return ``SPACES["conditional"]`` as a user of SMAC would write it."""
    import ConfigSpace as cs  # noqa: N813 - the module is skipped without it

    space = cs.ConfigurationSpace()
    optimizer, nesterov = cs.Categorical("optimizer", [0, 1]), cs.Categorical("nesterov", [0, 1])
    momentum, warm_up = cs.Float("momentum", (0.0, 0.99)), cs.Integer("warm_up", (1, 5))
    space.add(optimizer, cs.Float("learning_rate", (1e-4, 1e-1), log=True), momentum, nesterov, warm_up)
    space.add(cs.InCondition(momentum, optimizer, [0]), cs.InCondition(nesterov, optimizer, [0]))
    space.add(cs.InCondition(warm_up, nesterov, [1]))
    return space


def read(space: SearchSpace, configuration: Any) -> Config:
    """Return one of SMAC's configurations as hpbench writes it: choices in place of their numbers."""
    found = dict(configuration)
    return {
        item.name: item.choices[found[item.name]] if isinstance(item, Categorical) else found[item.name]
        for item in space.parameters
        if item.name in found
    }


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(("name", "written"), [("mixed", mixed_space), ("conditional", conditional_space)])
def test_it_proposes_what_smac_itself_would(
    kind: type[SmacStrategy], name: str, written: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smac.acquisition.maximizer import local_search

    space = SPACES[name]
    theirs: list[Config] = []

    def target(config: Any, seed: int = 0) -> float:
        del seed
        theirs.append(read(space, config))
        return smooth_error(space, theirs[-1])

    facade = getattr(smac, THEIRS[kind])
    scenario = smac.Scenario(
        written(), output_directory=tmp_path, deterministic=True, n_trials=TRIALS, seed=3
    )
    with monkeypatch.context() as patch:
        # the order that the library documents; a set has another one in every process
        patch.setattr(
            local_search, "set", lambda *items: dict.fromkeys(*items) if items else set(), raising=False
        )
        facade(scenario, target, logging_level=False, overwrite=True).optimize()
    ours = drive(build(kind, space), space, 3, TRIALS, never)
    assert [proposal.config for proposal in ours] == theirs


@pytest.mark.parametrize("kind", ALL)
def test_defaults_are_those_of_the_library(kind: type[SmacStrategy]) -> None:
    facade = getattr(smac, THEIRS[kind])
    parts = (
        "initial_design",
        "random_design",
        "acquisition_function",
        "acquisition_maximizer",
        "config_selector",
    )
    theirs: dict[str, Any] = {}
    for part in (*parts, "model"):
        theirs |= inspect.signature(getattr(facade, f"get_{part}")).parameters
    for option in describe_options(kind.name):
        assert option.default == theirs[option.name].default, option.name


def test_no_file_is_left_in_the_working_folder_or_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    drive(build(ForestStrategy, SPACES["mixed"], **QUICK), SPACES["mixed"], 3, 5, never)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["here", "temporary"]


@pytest.mark.parametrize("kind", ALL)
def test_a_failed_trial_is_told_as_crashed_with_the_worst_so_far(kind: type[SmacStrategy]) -> None:
    strategy: Any = build(kind, SPACES["mixed"], **QUICK)
    for number, objective in enumerate([None, 0.4, 0.9, None]):
        config = strategy.ask().config
        status = Status.DIVERGED if objective is None else Status.OK
        strategy.tell(Trial(number, config, status, objective, 0, 3))
    told = [(value.cost, value.status.name) for value in strategy._facade.runhistory.values()]
    assert told == [(1.0, "CRASHED"), (0.4, "SUCCESS"), (0.9, "SUCCESS"), (0.9, "CRASHED")]


@pytest.mark.parametrize("kind", ALL)
def test_nothing_but_failures_is_survived_beyond_the_initial_design(kind: type[SmacStrategy]) -> None:
    assert len(drive(build(kind, SPACES["mixed"], **QUICK), SPACES["mixed"], 3, 8, always)) == 8


@pytest.mark.parametrize("kind", ALL)
def test_a_finished_space_is_exhausted(kind: type[SmacStrategy]) -> None:
    space = SearchSpace((Categorical("c", ("a", "b")), Integer("n", 1, 2)))
    strategy = build(kind, space, **QUICK)
    found = [tuple(item.config.values()) for item in drive(strategy, space, 3, 9, never)]
    assert sorted(found) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert strategy.ask() is None


def test_the_budget_bounds_the_initial_design() -> None:
    def size(budget_trials: int | None) -> int:
        strategy: Any = build(BlackBoxStrategy, SPACES["mixed"], budget_trials=budget_trials)
        return len(strategy._facade._initial_design.select_configurations())

    assert (size(20), size(None)) == (5, 25)


def test_impossible_options_are_refused() -> None:
    for option in ("n_trees", "local_search_iterations"):
        with pytest.raises(UsageError, match=f"`{option} >= 1` must hold for strategy 'smac-forest', got"):
            build(ForestStrategy, SPACES["mixed"], **{option: 0})
    with pytest.raises(UsageError, match="0 <= probability <= 1"):
        build(ForestStrategy, SPACES["mixed"], probability=2.0)
    with pytest.raises(UsageError, match="two or more values"):
        build(ForestStrategy, SearchSpace((Integer("n", 3, 3),)))

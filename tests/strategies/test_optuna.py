from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from hpbench.errors import UnsuitableSpaceError, UsageError
from hpbench.space import Categorical, Float, Integer, SearchSpace
from hpbench.strategies import REGISTRY
from hpbench.strategies.base import Capability
from hpbench.strategies.factory import create, describe_options
from hpbench.testing.driving import drive, never, smooth_error
from hpbench.testing.strategy_kit import FULL_EPOCHS, SPACES, StrategyConformance
from hpbench.trial import Status, Trial

optuna = pytest.importorskip("optuna", reason="needs the extra 'optuna'")
pytest.importorskip("cmaes", reason="needs the extra 'optuna'")

SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "optuna-cmaes": ("CmaEsSampler", {"warn_independent_sampling": False}),
    "optuna-gp": ("GPSampler", {}),
    "optuna-nsga2": ("NSGAIISampler", {}),
    "optuna-qmc": ("QMCSampler", {"warn_independent_sampling": False}),
    "optuna-random": ("RandomSampler", {}),
    "optuna-tpe": ("TPESampler", {}),
    "optuna-tpe-independent": ("TPESampler", {"multivariate": False}),
}
"""Name → the library's sampler, and in what it differs from the library's default."""

CONDITIONAL = [name for name in SAMPLERS if Capability.CONDITIONAL in REGISTRY.get(name).capabilities]
QUICK: dict[str, dict[str, Any]] = {
    "optuna-gp": {"n_startup_trials": 4},
    "optuna-nsga2": {"population_size": 4},
    "optuna-tpe": {"n_startup_trials": 4},
    "optuna-tpe-independent": {"n_startup_trials": 4},
}


class TestEveryEntry(StrategyConformance):
    @pytest.fixture(autouse=True, params=sorted(SAMPLERS))
    def strategy_under_test(self, request: pytest.FixtureRequest) -> None:
        self.strategy = REGISTRY.get(request.param)
        self.options = QUICK.get(request.param, {})
        if request.param == "optuna-gp":
            self.trials = 7


def test_every_entry_is_tested() -> None:
    assert set(SAMPLERS) == {name for name in REGISTRY.builtin if name.startswith("optuna-")}


def mixed(trial: Any) -> dict[str, Any]:
    """Suggest what the mixed space holds, as a user of the library writes it."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "layers": trial.suggest_int("layers", 1, 3),
        "width": trial.suggest_int("width", 8, 512, log=True),
        "batch_size": (16, 32, 64, 128)[trial.suggest_int("batch_size", 0, 3)],
        "activation": trial.suggest_categorical("activation", ["relu", "tanh", "gelu"]),
        "nesterov": trial.suggest_categorical("nesterov", [False, True]),
    }


def conditional(trial: Any) -> dict[str, Any]:
    """Suggest what the conditional space holds, define-by-run."""
    config = {
        "optimizer": trial.suggest_categorical("optimizer", ["sgd", "adam"]),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
    }
    if config["optimizer"] == "sgd":
        config["momentum"] = trial.suggest_float("momentum", 0.0, 0.99)
        config["nesterov"] = trial.suggest_categorical("nesterov", [False, True])
        if config["nesterov"]:
            config["warm_up"] = trial.suggest_int("warm_up", 1, 5)
    return config


def optimised(
    name: str,
    space: str,
    suggest: Callable[[Any], dict[str, Any]],
    trials: int,
    *,
    failing: int | None = None,
) -> list[dict[str, Any]]:
    """Return what the library's own ``Study.optimize`` proposes; trial ``failing`` raises."""
    seen: list[dict[str, Any]] = []

    def objective(trial: Any) -> float:
        seen.append(suggest(trial))
        if trial.number == failing:
            raise ArithmeticError
        return smooth_error(SPACES[space], seen[-1])

    sampler, options = SAMPLERS[name]
    optuna.logging.disable_default_handler()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            built = getattr(optuna.samplers, sampler)(seed=11, **options)
        study = optuna.create_study(sampler=built)
        study.optimize(objective, n_trials=trials, catch=(ArithmeticError,))
    finally:
        optuna.logging.enable_default_handler()
    return seen


def through_hpbench(
    name: str, space: str, trials: int, *, failing: int | None = None
) -> list[dict[str, Any]]:
    strategy = create(name, SPACES[space], full_epochs=9, seed=11, budget_trials=trials, options={})
    driven = drive(strategy, SPACES[space], FULL_EPOCHS, trials, lambda number: number == failing)
    return [dict(proposal.config) for proposal in driven]


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_it_proposes_what_the_librarys_own_loop_does(name: str) -> None:
    trials = {"optuna-nsga2": 60, "optuna-gp": 16}.get(name, 25)
    assert through_hpbench(name, "mixed", trials) == optimised(name, "mixed", mixed, trials)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_so_it_does_where_hyperparameters_come_and_go(name: str) -> None:
    assert through_hpbench(name, "conditional", 30) == optimised(name, "conditional", conditional, 30)


@pytest.mark.parametrize("name", ["optuna-cmaes", "optuna-qmc", "optuna-tpe"])
def test_a_failed_trial_is_to_the_library_what_a_raising_objective_is(name: str) -> None:
    ours = through_hpbench(name, "mixed", 18, failing=5)
    assert ours == optimised(name, "mixed", mixed, 18, failing=5)
    assert ours != through_hpbench(name, "mixed", 18) or name == "optuna-qmc"


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_defaults_are_those_of_the_library(name: str) -> None:
    sampler, _ = SAMPLERS[name]
    theirs = inspect.signature(getattr(optuna.samplers, sampler).__init__).parameters
    for option in describe_options(name):
        assert option.default == theirs[option.name].default, option.name


def test_what_the_two_parzen_estimators_differ_in_is_no_option_of_the_independent_one() -> None:
    assert "multivariate" not in {option.name for option in describe_options("optuna-tpe-independent")}
    assert (
        through_hpbench("optuna-tpe", "mixed", 14)[:10]
        == through_hpbench("optuna-tpe-independent", "mixed", 14)[:10]
    )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("optuna-nsga2", {"population_size": 1}, "Optuna refuses its options: `population_size`"),
        ("optuna-cmaes", {"lr_adapt": True, "with_margin": True}, "Optuna refuses its options"),
        ("optuna-tpe", {"group": True, "multivariate": False}, "Optuna refuses its options"),
        ("optuna-tpe", {"n_ei_candidates": 0}, "`n_ei_candidates >= 1` must hold"),
        ("optuna-tpe-independent", {"n_ei_candidates": -1}, "`n_ei_candidates >= 1` must hold"),
        ("optuna-cmaes", {"popsize": 1}, "`popsize >= 2` must hold"),
        ("optuna-tpe", {"n_startup": 3}, "Did you mean 'n_startup_trials'"),
        ("optuna-qmc", {"qmc_type": "lattice"}, "option 'qmc_type'"),
    ],
)
def test_impossible_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create(name, SPACES["mixed"], full_epochs=9, seed=1, budget_trials=9, options=options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("optuna-tpe", {"group": True}),
        ("optuna-gp", {"deterministic_objective": True, "n_startup_trials": 2}),
        ("optuna-cmaes", {"with_margin": True}),
        ("optuna-cmaes", {"use_separable_cma": True, "popsize": 4}),
        ("optuna-qmc", {"qmc_type": "halton", "scramble": True}),
    ],
)
def test_options_reach_the_library_without_a_warning(name: str, options: dict[str, Any]) -> None:
    def proposed(options: dict[str, Any]) -> Any:
        strategy = create(name, SPACES["mixed"], full_epochs=9, seed=1, budget_trials=9, options=options)
        return drive(strategy, SPACES["mixed"], FULL_EPOCHS, 12 if name != "optuna-gp" else 4, never)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = proposed(options)
    assert name == "optuna-tpe" or given != proposed({})


def test_cma_es_needs_a_number() -> None:
    space = SearchSpace((Categorical("c", ("a", "b")), Float("x", 1.0, 1.0)))
    with pytest.raises(
        UnsuitableSpaceError, match="needs a number to search, or an ordered choice; got c, x"
    ):
        create("optuna-cmaes", space, full_epochs=9, seed=1, budget_trials=9, options={})
    numbers = SearchSpace((Categorical("c", ("a", "b")), Integer("n", 1, 9)))
    assert create("optuna-cmaes", numbers, full_epochs=9, seed=1, budget_trials=9, options={}).ask()


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - set(CONDITIONAL)))
def test_a_condition_that_would_be_left_to_chance_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="lacks CONDITIONAL"):
        create(name, SPACES["conditional"], full_epochs=9, seed=1, budget_trials=9, options={})


def test_a_failed_trial_is_stored_as_failed() -> None:
    strategy: Any = create("optuna-tpe", SPACES["mixed"], full_epochs=9, seed=1, budget_trials=9, options={})
    strategy.tell(Trial(0, strategy.ask().config, Status.DIVERGED, None, 0, 0))
    strategy.tell(Trial(1, strategy.ask().config, Status.OK, 0.25, 0, 9))
    assert [trial.state.name for trial in strategy._study.trials] == ["FAIL", "COMPLETE"]
    assert [trial.value for trial in strategy._study.trials] == [None, 0.25]


def test_the_librarys_logger_is_left_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger("optuna").level
    create("optuna-random", SPACES["mixed"], full_epochs=9, seed=1, budget_trials=9, options={})
    assert logging.getLogger("optuna").level == before
    assert capfd.readouterr().err == ""

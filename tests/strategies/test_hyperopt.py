from __future__ import annotations

import inspect
import math
import random
from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from hpbench.errors import UsageError
from hpbench.space import Categorical, Condition, Float, Integer, SearchSpace
from hpbench.strategies import REGISTRY
from hpbench.strategies.base import Capability
from hpbench.strategies.factory import create, describe_options
from hpbench.testing import global_generators
from hpbench.testing.driving import drive, never, smooth_error
from hpbench.testing.strategy_kit import FULL_EPOCHS, SPACES, StrategyConformance
from hpbench.trial import Status, Trial

hyperopt = pytest.importorskip("hyperopt", reason="needs the extra 'hyperopt'")
pytest.importorskip("lightgbm", reason="needs the extra 'hyperopt'")

MODULES = {
    "hyperopt-anneal": "anneal",
    "hyperopt-atpe": "atpe",
    "hyperopt-random": "rand",
    "hyperopt-tpe": "tpe",
}
CONDITIONAL = [name for name in MODULES if Capability.CONDITIONAL in REGISTRY.get(name).capabilities]


class TestEveryEntry(StrategyConformance):
    @pytest.fixture(autouse=True, params=sorted(MODULES))
    def strategy_under_test(self, request: pytest.FixtureRequest) -> None:
        self.strategy = REGISTRY.get(request.param)
        if request.param == "hyperopt-tpe":
            self.options = {"n_startup_jobs": 4}


def test_every_entry_is_tested() -> None:
    assert set(MODULES) == {name for name in REGISTRY.builtin if name.startswith("hyperopt-")}


def mixed() -> dict[str, Any]:
    """Return the mixed space as a user of the library writes it."""
    hp = hyperopt.hp
    return {
        "learning_rate": hp.loguniform("learning_rate", math.log(1e-4), math.log(1e-1)),
        "dropout": hp.uniform("dropout", 0.0, 0.5),
        "layers": hp.quniform("layers", 0.5, 3.5, 1),
        "width": hp.qloguniform("width", math.log(7.5), math.log(512.5), 1),
        "batch_size": hp.quniform("batch_size", -0.5, 3.5, 1),
        "activation": hp.choice("activation", ["relu", "tanh", "gelu"]),
        "nesterov": hp.choice("nesterov", [False, True]),
    }


def mixed_config(point: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the objective function of such a user makes of a point."""
    return {
        **point,
        "layers": int(point["layers"]),
        "width": int(point["width"]),
        "batch_size": (16, 32, 64, 128)[int(point["batch_size"])],
    }


def conditional() -> dict[str, Any]:
    """Return the conditional space as nested choices."""
    hp = hyperopt.hp
    nesterov = hp.choice(
        "nesterov", [{"on": False}, {"on": True, "warm_up": hp.quniform("warm_up", 0.5, 5.5, 1)}]
    )
    sgd = {"kind": "sgd", "momentum": hp.uniform("momentum", 0.0, 0.99), "nesterov": nesterov}
    return {
        "optimizer": hp.choice("optimizer", [sgd, {"kind": "adam"}]),
        "learning_rate": hp.loguniform("learning_rate", math.log(1e-4), math.log(1e-1)),
    }


def conditional_config(point: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat configuration of a nested point."""
    chosen = point["optimizer"]
    config = {"optimizer": chosen["kind"], "learning_rate": point["learning_rate"]}
    if chosen["kind"] == "sgd":
        config |= {"momentum": chosen["momentum"], "nesterov": chosen["nesterov"]["on"]}
        if chosen["nesterov"]["on"]:
            config["warm_up"] = int(chosen["nesterov"]["warm_up"])
    return config


KINDS = {"mixed": (mixed, mixed_config), "conditional": (conditional, conditional_config)}


def minimised(name: str, space: str, trials: int, *, failing: int | None = None) -> list[dict[str, Any]]:
    """Return what the library's own ``fmin`` proposes; trial ``failing`` reports a failure."""
    expression, config_of = KINDS[space]
    seen: list[dict[str, Any]] = []

    def objective(point: Mapping[str, Any]) -> dict[str, Any]:
        config = config_of(point)  # in the library's order; the objective weighs by the order of the space
        seen.append({key: config[key] for key in SPACES[space].names if key in config})
        if len(seen) - 1 == failing:
            return {"status": hyperopt.STATUS_FAIL}
        return {"status": hyperopt.STATUS_OK, "loss": smooth_error(SPACES[space], seen[-1])}

    with global_generators.preserved():
        random.seed(11)  # adaptive TPE draws from the global generators
        np.random.seed(11)  # noqa: NPY002
        hyperopt.fmin(
            objective,
            expression(),
            algo=import_module(f"hyperopt.{MODULES[name]}").suggest,
            max_evals=trials,
            rstate=np.random.default_rng(11),
            verbose=False,
        )
    return seen


def through_hpbench(
    name: str, space: str, trials: int, *, failing: int | None = None
) -> list[dict[str, Any]]:
    strategy = create(name, SPACES[space], full_epochs=9, seed=11, budget_trials=trials, options={})
    driven = drive(strategy, SPACES[space], FULL_EPOCHS, trials, lambda number: number == failing)
    return [dict(proposal.config) for proposal in driven]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_it_proposes_what_the_librarys_own_loop_does(name: str) -> None:
    assert through_hpbench(name, "mixed", 30) == minimised(name, "mixed", 30)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_so_it_does_where_hyperparameters_come_and_go(name: str) -> None:
    assert through_hpbench(name, "conditional", 35) == minimised(name, "conditional", 35)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_failed_trial_is_to_the_library_what_its_own_failures_are(name: str) -> None:
    ours = through_hpbench(name, "mixed", 26, failing=5)
    assert ours == minimised(name, "mixed", 26, failing=5)


def test_to_adaptive_tpe_a_failed_trial_is_the_worst_so_far() -> None:
    strategy: Any = create(
        "hyperopt-atpe", SPACES["mixed"], full_epochs=9, seed=1, budget_trials=9, options={}
    )
    for number, objective in enumerate([None, 0.25, 0.75, None]):
        status = Status.DIVERGED if objective is None else Status.OK
        strategy.tell(Trial(number, strategy.ask().config, status, objective, 0, 9))
    assert strategy._trials.losses() == [1.0, 0.25, 0.75, 0.75]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_defaults_are_those_of_the_library(name: str) -> None:
    theirs: dict[str, Any] = {}
    module = import_module(f"hyperopt.{MODULES[name]}")
    for function in (module.suggest, getattr(module, "AnnealingAlgo", module.suggest)):
        theirs |= inspect.signature(function).parameters
    for option in describe_options(name):
        assert option.default == theirs[option.name].default, option.name


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("hyperopt-tpe", "n_EI_candidates", 0),
        ("hyperopt-tpe", "prior_weight", -1.0),
        ("hyperopt-anneal", "avg_best_idx", 0.5),
        ("hyperopt-anneal", "shrink_coef", -1.0),
    ],
)
def test_impossible_values_are_refused_before_the_first_trial(name: str, option: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"`{option} >= .* must hold for strategy '{name}', got"):
        create(name, SPACES["mixed"], full_epochs=9, seed=1, budget_trials=9, options={option: value})


def test_unknown_options_are_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean 'n_startup_jobs'"):
        create(
            "hyperopt-tpe", SPACES["mixed"], full_epochs=9, seed=1, budget_trials=9, options={"n_startup": 3}
        )


def test_options_reach_the_library() -> None:
    def proposed(name: str, **options: Any) -> Any:
        strategy = create(name, SPACES["mixed"], full_epochs=9, seed=1, budget_trials=9, options=options)
        return drive(strategy, SPACES["mixed"], FULL_EPOCHS, 12, never)

    assert proposed("hyperopt-tpe", n_startup_jobs=3) != proposed("hyperopt-tpe")
    assert proposed("hyperopt-anneal", shrink_coef=0.5) != proposed("hyperopt-anneal")


def test_every_value_has_an_equal_share() -> None:
    space = SearchSpace((Integer("n", 1, 4), Categorical("c", (8, 16, 32), ordered=True)))
    strategy = create("hyperopt-random", space, full_epochs=9, seed=1, budget_trials=9, options={})
    drawn = [proposal.config for proposal in drive(strategy, space, FULL_EPOCHS, 1200, never)]
    for name, values in (("n", 4), ("c", 3)):
        counts = Counter(config[name] for config in drawn)
        assert len(counts) == values
        assert all(abs(count - 1200 / values) < 60 for count in counts.values())


FAMILY = SearchSpace(
    (
        Categorical("kind", ("one", "two", "three")),
        Categorical("only", ("one",), when=Condition("kind", ("one", "two"))),
        Float("shared", 0.0, 1.0, when=Condition("only", ("one",))),
        Categorical("size", (1, 2, 3), ordered=True, when=Condition("kind", ("three",))),
        Integer("deep", 1, 9, when=Condition("size", (2, 3))),
    )
)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_branches_may_share_nest_and_hang_on_single_values(name: str) -> None:
    strategy = create(name, FAMILY, full_epochs=9, seed=1, budget_trials=60, options={})
    drawn = [dict(proposal.config) for proposal in drive(strategy, FAMILY, FULL_EPOCHS, 60, never)]
    for config in drawn:
        FAMILY.check(config)
    assert {frozenset(config) for config in drawn} == {
        frozenset({"kind", "only", "shared"}),
        frozenset({"kind", "size"}),
        frozenset({"kind", "size", "deep"}),
    }


def test_a_condition_on_a_number_is_refused() -> None:
    space = SearchSpace(
        (Integer("layers", 1, 3), Float("dropout", 0.0, 0.5, when=Condition("layers", (2, 3))))
    )
    with pytest.raises(UsageError, match="conditions on choices, got one on the number 'layers'"):
        create("hyperopt-tpe", space, full_epochs=9, seed=1, budget_trials=9, options={})


def test_adaptive_tpe_would_flatten_conditions_and_is_refused() -> None:
    with pytest.raises(UsageError, match="lacks CONDITIONAL"):
        create("hyperopt-atpe", SPACES["conditional"], full_epochs=9, seed=1, budget_trials=9, options={})

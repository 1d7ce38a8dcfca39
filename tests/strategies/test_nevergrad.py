from __future__ import annotations

import inspect
import subprocess
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from hpbench.errors import UsageError
from hpbench.space import Categorical, Condition, Float, Integer, SearchSpace
from hpbench.strategies import REGISTRY
from hpbench.strategies.factory import create, describe_options
from hpbench.testing import global_generators
from hpbench.testing.driving import drive, never, smooth_error
from hpbench.testing.strategy_kit import FULL_EPOCHS, SPACES, StrategyConformance
from hpbench.trial import Status, Trial

nevergrad = pytest.importorskip("nevergrad", reason="needs the extra 'nevergrad'")

from nevergrad.optimization import metamodel  # noqa: E402 - only where the library is there

OPTIMIZERS = {
    "nevergrad-1plus1": "OnePlusOne",
    "nevergrad-de": "DE",
    "nevergrad-ngioh": "NgIohTuned",
    "nevergrad-ngopt": "NGOpt",
    "nevergrad-pso": "PSO",
}
"""Name → what the library registers."""
CONFIGURED = {
    "nevergrad-1plus1": "ParametrizedOnePlusOne",
    "nevergrad-de": "DifferentialEvolution",
    "nevergrad-pso": "ConfPSO",
}
REALS = SearchSpace((Float("x", 0.0, 1.0), Float("y", 1e-4, 1.0, log=True), Float("z", -1.0, 1.0)))


class TestEveryEntry(StrategyConformance):
    @pytest.fixture(autouse=True, params=sorted(OPTIMIZERS))
    def strategy_under_test(self, request: pytest.FixtureRequest) -> None:
        self.strategy = REGISTRY.get(request.param)
        if request.param in {"nevergrad-de", "nevergrad-pso"}:
            self.options = {"popsize": 5}


def test_every_entry_is_tested() -> None:
    assert set(OPTIMIZERS) == {name for name in REGISTRY.builtin if name.startswith("nevergrad-")}


def mixed() -> Any:
    """Return the mixed space as a user of the library writes it."""
    p = nevergrad.p
    return p.Dict(
        learning_rate=p.Log(lower=1e-4, upper=1e-1),
        dropout=p.Scalar(lower=0.0, upper=0.5),
        layers=p.TransitionChoice([1, 2, 3]),
        width=p.Log(lower=8, upper=512).set_integer_casting(),
        batch_size=p.TransitionChoice([16, 32, 64, 128]),
        activation=p.Choice(["relu", "tanh", "gelu"]),
        nesterov=p.Choice([False, True]),
    )


def conditional() -> Any:
    """Return the conditional space as nested choices."""
    p = nevergrad.p
    nesterov = p.Choice([p.Dict(on=False), p.Dict(on=True, warm_up=p.TransitionChoice([1, 2, 3, 4, 5]))])
    sgd = p.Dict(kind="sgd", momentum=p.Scalar(lower=0.0, upper=0.99), nesterov=nesterov)
    return p.Dict(optimizer=p.Choice([sgd, p.Dict(kind="adam")]), learning_rate=p.Log(lower=1e-4, upper=1e-1))


def conditional_config(point: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat configuration of a nested point."""
    chosen = point["optimizer"]
    config = {"optimizer": chosen["kind"], "learning_rate": point["learning_rate"]}
    if chosen["kind"] == "sgd":
        config |= {"momentum": chosen["momentum"], "nesterov": chosen["nesterov"]["on"]}
        if chosen["nesterov"]["on"]:
            config["warm_up"] = chosen["nesterov"]["warm_up"]
    return config


def reals() -> Any:
    """Return a space of reals alone, on which meta-optimisers choose otherwise."""
    p = nevergrad.p
    return p.Dict(
        x=p.Scalar(lower=0.0, upper=1.0), y=p.Log(lower=1e-4, upper=1.0), z=p.Scalar(lower=-1.0, upper=1.0)
    )


KINDS = {
    "mixed": (SPACES["mixed"], mixed, dict),
    "conditional": (SPACES["conditional"], conditional, conditional_config),
    "reals": (REALS, reals, dict),
}


def within(space: SearchSpace, name: str, value: Any) -> Any:
    """Return ``value`` without the last digit by which a logarithm and back may leave the range."""
    item = space[name]
    return min(max(value, item.low), item.high) if isinstance(item, Float) else value


def minimised(name: str, kind: str, trials: int) -> list[dict[str, Any]]:
    """Return what the library's own ``minimize`` proposes."""
    space, parametrization_of, config_of = KINDS[kind]
    seen: list[dict[str, Any]] = []

    def objective(point: Mapping[str, Any]) -> float:
        config = config_of(point)  # in the library's order; the objective weighs by the order of the space
        seen.append({key: within(space, key, config[key]) for key in space.names if key in config})
        return smooth_error(space, seen[-1])

    with global_generators.preserved(), warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        # what numpy before 2.4 did by itself; metamodels of the library fail without it
        patch.setattr(metamodel, "float", lambda value: np.asarray(value).item(), raising=False)
        warnings.simplefilter("ignore")
        np.random.seed(11)  # noqa: NPY002 - the library draws from it here and there
        parametrization = parametrization_of()
        parametrization.random_state = np.random.RandomState(11)
        optimizer = nevergrad.optimizers.registry[OPTIMIZERS[name]](parametrization, budget=trials)
        optimizer.minimize(objective)
    return seen


def through_hpbench(name: str, kind: str, trials: int, **options: Any) -> list[dict[str, Any]]:
    space = KINDS[kind][0]
    strategy = create(name, space, full_epochs=9, seed=11, budget_trials=trials, options=options)
    return [dict(proposal.config) for proposal in drive(strategy, space, FULL_EPOCHS, trials, never)]


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_it_proposes_what_the_librarys_own_loop_does(name: str, kind: str) -> None:
    trials = {"nevergrad-de": 50, "nevergrad-pso": 60}.get(name, 40)
    assert through_hpbench(name, kind, trials) == minimised(name, kind, trials)


@pytest.mark.parametrize(
    ("name", "trials"),
    [("nevergrad-ngioh", 12), ("nevergrad-ngioh", 100), ("nevergrad-ngioh", 120), ("nevergrad-ngopt", 100)],
)
def test_so_it_does_where_a_meta_optimiser_chooses_by_the_budget(name: str, trials: int) -> None:
    assert through_hpbench(name, "reals", trials) == minimised(name, "reals", trials)


@pytest.mark.parametrize("name", sorted(CONFIGURED))
def test_defaults_are_those_of_the_library(name: str) -> None:
    signature = inspect.signature(getattr(nevergrad.optimizers, CONFIGURED[name])).parameters
    registered = nevergrad.optimizers.registry[OPTIMIZERS[name]]._config
    for option in describe_options(name):
        theirs = registered.get(option.name, signature[option.name].default)
        assert option.default == theirs, option.name


def test_options_reach_the_library() -> None:
    assert through_hpbench("nevergrad-de", "mixed", 12, popsize=4) != through_hpbench(
        "nevergrad-de", "mixed", 12
    )
    assert through_hpbench("nevergrad-pso", "mixed", 12, popsize=4) != through_hpbench(
        "nevergrad-pso", "mixed", 12
    )
    plain = through_hpbench("nevergrad-1plus1", "mixed", 12)
    for options in (
        {"mutation": "cauchy"},
        {"crossover": True},
        {"annealing": "Lin1.0"},
        {"mutation": "lognormal"},
    ):
        assert through_hpbench("nevergrad-1plus1", "mixed", 12, **options) != plain


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nevergrad-de", {"crossover": "none"}, "option 'crossover'"),
        ("nevergrad-de", {"popsiz": 3}, "Did you mean 'popsize'"),
        ("nevergrad-de", {"popsize": -1}, "`popsize >= 1` must hold"),
        ("nevergrad-pso", {"popsize": 0}, "`popsize >= 1` must hold"),
        ("nevergrad-1plus1", {"mutation": "gauss"}, "Nevergrad refuses its options: Unk"),
        ("nevergrad-pso", {"sqo": True}, "`qo = true` must hold"),
    ],
)
def test_impossible_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create(name, SPACES["mixed"], full_epochs=9, seed=1, budget_trials=9, options=options)


@pytest.mark.parametrize(
    ("name", "options"), [("nevergrad-ngopt", {}), ("nevergrad-1plus1", {"annealing": "LinAuto"})]
)
def test_what_plans_by_the_number_of_trials_needs_one(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="needs a budget in trials or epochs"):
        create(name, SPACES["mixed"], full_epochs=9, seed=1, budget_trials=None, options=options)
    assert create(
        "nevergrad-de", SPACES["mixed"], full_epochs=9, seed=1, budget_trials=None, options={}
    ).ask()


def test_a_choice_that_could_not_be_repeated_is_refused() -> None:
    with pytest.raises(UsageError, match="with 400 trials: Nevergrad chooses CmaFmin2, which takes no seed"):
        create("nevergrad-ngopt", REALS, full_epochs=9, seed=1, budget_trials=400, options={})


def test_a_failed_trial_is_told_as_the_worst_so_far() -> None:
    strategy: Any = create(
        "nevergrad-de", SPACES["mixed"], full_epochs=9, seed=1, budget_trials=9, options={}
    )
    for number, objective in enumerate([None, 0.25, 0.75, None]):
        status = Status.DIVERGED if objective is None else Status.OK
        strategy.tell(Trial(number, strategy.ask().config, status, objective, 0, 9))
    assert [candidate.loss for candidate in strategy._candidates] == [1.0, 0.25, 0.75, 0.75]


FAMILY = SearchSpace(
    (
        Categorical("kind", ("one", "two", "three")),
        Categorical("only", ("one",), when=Condition("kind", ("one", "two"))),
        Float("shared", 0.0, 1.0, when=Condition("only", ("one",))),
        Categorical("size", (1, 2, 3), ordered=True, when=Condition("kind", ("three",))),
        Integer("deep", 1, 90, when=Condition("size", (2, 3))),
    )
)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_branches_may_share_nest_and_hang_on_single_values(name: str) -> None:
    strategy = create(name, FAMILY, full_epochs=9, seed=1, budget_trials=60, options={})
    drawn = [dict(proposal.config) for proposal in drive(strategy, FAMILY, FULL_EPOCHS, 60, never)]
    for config in drawn:
        FAMILY.check(config)
    assert len({frozenset(config) for config in drawn}) > 1


def test_a_condition_on_a_number_is_refused() -> None:
    space = SearchSpace(
        (Integer("layers", 1, 3), Float("dropout", 0.0, 0.5, when=Condition("layers", (2, 3))))
    )
    with pytest.raises(UsageError, match="conditions on choices, got one on the number 'layers'"):
        create("nevergrad-de", space, full_epochs=9, seed=1, budget_trials=9, options={})


def test_an_optimiser_in_a_thread_of_its_own_lets_the_process_end() -> None:
    code = (
        "from hpbench.space import Float, SearchSpace\n"
        "from hpbench.strategies.factory import create\n"
        "space = SearchSpace((Float('x', 0.0, 1.0), Float('y', 0.0, 1.0)))\n"
        "kept = create('nevergrad-ngopt', space, full_epochs=9, seed=1, budget_trials=9, options={})\n"
        "kept.itself = kept\n"  # a circle, so that nothing tidies up in time
        "import threading\n"
        "kept.ask()\n"
        "print(threading.active_count())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "2\n"

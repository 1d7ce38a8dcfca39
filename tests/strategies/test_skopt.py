from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import pytest
from skopt import Optimizer, forest_minimize, gbrt_minimize, gp_minimize
from skopt.space import Categorical as Choice
from skopt.space import Integer as Whole
from skopt.space import Real

from hpbench.errors import UsageError
from hpbench.space import Categorical, Float, Integer, SearchSpace
from hpbench.strategies import REGISTRY
from hpbench.strategies.factory import create, describe_options
from hpbench.strategies.quantile_trees import quantile_trees
from hpbench.strategies.random import RandomStrategy
from hpbench.strategies.skopt import (
    BoostedTreesStrategy,
    ExpectedImprovementStrategy,
    ForestStrategy,
    GaussianProcessStrategy,
    RandomForestStrategy,
    SkoptStrategy,
    _dimension,
)
from hpbench.testing.driving import drive, never, smooth_error
from hpbench.testing.strategy_kit import SPACES
from hpbench.trial import Status, Trial

ALL = (
    BoostedTreesStrategy,
    ExpectedImprovementStrategy,
    ForestStrategy,
    GaussianProcessStrategy,
    RandomForestStrategy,
)
NAMES = ("skopt-forest", "skopt-gbrt", "skopt-gp", "skopt-gp-ei", "skopt-random-forest")
MIXED = SPACES["mixed"]
SMOOTH = SearchSpace((Float("x", 0.0, 1.0), Float("y", 1e-4, 1.0, log=True), Float("z", -1.0, 1.0)))
QUICK: dict[str, Any] = {"acq_optimizer_kwargs": {"n_points": 100}}


def build(
    kind: type[SkoptStrategy] = GaussianProcessStrategy,
    space: SearchSpace = MIXED,
    seed: int = 0,
    **options: Any,
) -> SkoptStrategy:
    return kind(space, full_epochs=3, seed=seed, budget_trials=20, **options)


def tell(strategy: SkoptStrategy, number: int, config: Any, objective: float | None) -> None:
    status = Status.DIVERGED if objective is None else Status.OK
    strategy.tell(Trial(number, config, status, objective, 0, 3))


def test_every_entry_is_tested() -> None:
    assert set(NAMES) == {name for name in REGISTRY.builtin if name.startswith("skopt-")}
    assert {REGISTRY.get(name) for name in NAMES} == set(ALL)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_those_of_the_library(name: str) -> None:
    theirs = inspect.signature(Optimizer).parameters
    for option in describe_options(name):
        assert option.default == theirs[option.name].default, option.name


def test_the_gaussian_process_beats_random_search_on_a_smooth_function() -> None:
    def best(strategy: Any) -> float:
        return min(smooth_error(SMOOTH, item.config) for item in drive(strategy, SMOOTH, 3, 16, never))

    seeds = range(6)
    wins = sum(
        best(build(space=SMOOTH, seed=seed, n_initial_points=6, **QUICK))
        < best(RandomStrategy(SMOOTH, full_epochs=3, seed=seed, budget_trials=16))
        for seed in seeds
    )
    assert wins >= 5


def minimised(name: str, seed: int, trials: int) -> list[dict[str, Any]]:
    """Return what the library's own loop proposes over the mixed space, as its users write that."""
    dimensions = [
        Real(1e-4, 1e-1, prior="log-uniform"),
        Real(0.0, 0.5),
        Whole(1, 3),
        Whole(8, 512, prior="log-uniform"),
        Whole(0, 3),
        Choice(["relu", "tanh", "gelu"]),
        Choice([False, True]),
    ]
    seen: list[dict[str, Any]] = []

    def objective(point: list[Any]) -> float:
        config = dict(zip(MIXED.names, point, strict=True))
        config |= {"activation": str(config["activation"]), "nesterov": bool(config["nesterov"])}
        seen.append(config | {"batch_size": (16, 32, 64, 128)[config["batch_size"]]})
        return smooth_error(MIXED, seen[-1])

    loops: dict[str, Any] = {
        "skopt-forest": partial(forest_minimize, base_estimator="ET", acq_func="gp_hedge"),
        "skopt-gbrt": partial(gbrt_minimize, base_estimator=quantile_trees(seed, 1), acq_func="gp_hedge"),
        "skopt-gp": gp_minimize,
        "skopt-gp-ei": partial(gp_minimize, acq_func="EI"),
        "skopt-random-forest": partial(forest_minimize, base_estimator="RF", acq_func="gp_hedge"),
    }
    loops[name](objective, dimensions, n_calls=trials, random_state=seed)
    return seen


@pytest.mark.parametrize("name", NAMES)
def test_it_proposes_what_the_librarys_own_loop_does(name: str) -> None:
    strategy = create(name, MIXED, full_epochs=3, seed=7, budget_trials=13, options={})
    ours = [dict(proposal.config) for proposal in drive(strategy, MIXED, 3, 13, never)]
    assert ours == minimised(name, 7, 13)


def test_hyperparameters_become_the_librarys_own_dimensions() -> None:
    real = _dimension(Float("x", 1e-4, 1e-1, log=True))
    assert (real.low, real.high, real.prior) == (1e-4, 1e-1, "log-uniform")
    whole = _dimension(Integer("n", 8, 512, log=True))
    assert (whole.low, whole.high, whole.prior) == (8, 512, "log-uniform")
    ordered = _dimension(Categorical("b", (16, 32, 64), ordered=True))
    assert (ordered.low, ordered.high, ordered.prior) == (0, 2, "uniform")
    assert _dimension(Categorical("a", ("relu", "tanh"))).categories == ("'relu'", "'tanh'")


def test_choices_that_numpy_would_mix_up_keep_their_types() -> None:
    space = SearchSpace((Categorical("c", (1, 1.0, True, "1")), Float("x", 0.0, 1.0)))
    strategy = build(space=space)
    seen = {repr(strategy.ask().config["c"]) for _ in range(60)}
    assert seen == {"1", "1.0", "True", "'1'"}


def test_a_single_value_is_filled_in() -> None:
    proposal = build(space=SPACES["awkward"]).ask()
    assert proposal.config["single_float"] == 0.1
    assert proposal.config["single_int"] == 7
    assert proposal.config["single_choice"] == "only"


def test_a_failed_trial_counts_as_the_worst_so_far_and_follows_it() -> None:
    strategy = build(n_initial_points=10)
    for number, objective in enumerate([None, 0.4, None, 0.9, None, 0.2]):
        tell(strategy, number, strategy.ask().config, objective)
    assert strategy._optimizer.yi == [0.9, 0.4, 0.9, 0.9, 0.9, 0.2]


def test_before_any_success_a_failed_trial_counts_one() -> None:
    strategy = build(n_initial_points=10)
    tell(strategy, 0, strategy.ask().config, None)
    assert strategy._optimizer.yi == [1.0]


@pytest.mark.parametrize("kind", ALL)
def test_a_tiny_space_is_repeated_without_a_warning(kind: type[SkoptStrategy]) -> None:
    space = SearchSpace((Categorical("c", ("a", "b")), Integer("n", 1, 2)))
    proposals = drive(build(kind, space, n_initial_points=2, **QUICK), space, 3, 7, never)
    assert len(proposals) == 7


@pytest.mark.parametrize("generator", ["halton", "hammersly", "lhs", "grid"])
def test_initial_points_can_come_from_the_librarys_generators(generator: str) -> None:
    strategy = build(n_initial_points=4, initial_point_generator=generator, **QUICK)
    for proposal in drive(strategy, MIXED, 3, 5, never):
        MIXED.check(proposal.config)


@pytest.mark.parametrize("acquisition", ["EI", "LCB", "PI"])
def test_other_acquisitions_work(acquisition: str) -> None:
    strategy = build(space=SMOOTH, n_initial_points=2, acq_func=acquisition, **QUICK)
    assert len(drive(strategy, SMOOTH, 3, 4, never)) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"acq_func": "MES"}, "global generator"),
        ({"acq_func": "EIps"}, "seconds of every trial"),
        ({"acq_func": "ucb"}, "scikit-optimize refuses"),
        ({"n_initial_points": 0}, "n_initial_points >= 1"),
        ({"model_queue_size": 0}, "model_queue_size >= 1"),
        ({"acq_func_kwargs": {"kapa": 2.0}}, "Did you mean 'kappa'"),
        ({"acq_optimizer_kwargs": {"points": 5}}, "Did you mean 'n_points'"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(**options)


def test_what_needs_a_gaussian_process_is_refused_for_trees() -> None:
    for options, message in (
        ({"acq_func": "PVRS"}, "Gaussian process"),
        ({"acq_optimizer": "lbfgs"}, "sampling"),
    ):
        with pytest.raises(UsageError, match=message):
            build(ForestStrategy, **options)


def test_conditional_and_empty_spaces_are_refused() -> None:
    with pytest.raises(UsageError, match="CONDITIONAL"):
        build(space=SPACES["conditional"])
    with pytest.raises(UsageError, match="two or more values"):
        build(space=SearchSpace((Integer("n", 3, 3),)))


def test_quantile_trees_order_their_quantiles_and_say_how_sure_they_are() -> None:
    points = [[place / 40] for place in range(40)]
    values = [point[0] ** 2 for point in points]
    trees = quantile_trees(3, 1).fit(points, values)
    median, deviation = trees.predict(points, return_std=True)
    low, middle, high = trees.predict(points, return_quantiles=True).T
    assert (median == middle).all()
    assert (deviation == (high - low) / 2).all()
    assert (trees.predict(points) == median).all()
    assert low.mean() < middle.mean() < high.mean()
    assert abs(median - values).mean() < 0.1

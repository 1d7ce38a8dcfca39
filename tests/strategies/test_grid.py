from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpbench.errors import UsageError
from hpbench.space import Categorical, Condition, Float, Integer, Parameter, SearchSpace
from hpbench.strategies.grid import GridStrategy, fit_levels
from hpbench.testing.strategy_kit import SPACES

PLANE = SearchSpace((Float("x", 0.0, 1.0), Float("y", 1e-4, 1.0, log=True)))
NESTED = SPACES["conditional"]


def visited(space: SearchSpace, budget: int | None, seed: int = 0, **options: Any) -> list[dict[str, Any]]:
    strategy = GridStrategy(space, full_epochs=3, seed=seed, budget_trials=budget, **options)
    configs = []
    while (proposal := strategy.ask()) is not None:
        configs.append(dict(proposal.config))
    return configs


def counts(space: SearchSpace, budget: int, **overrides: int) -> dict[str, int]:
    return {name: len(values) for name, values in fit_levels(space, budget, overrides).items()}


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(1, (1, 1)), (2, (2, 1)), (3, (3, 1)), (4, (2, 2)), (20, (5, 4)), (24, (6, 4)), (25, (5, 5))],
)
def test_levels_grow_evenly_and_use_the_budget(budget: int, expected: tuple[int, int]) -> None:
    assert tuple(counts(PLANE, budget).values()) == expected


def test_the_grid_contains_both_ends_and_is_even_on_the_scale() -> None:
    levels = fit_levels(PLANE, 25, {})
    assert levels["x"] == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert levels["y"] == pytest.approx((1e-4, 1e-3, 1e-2, 1e-1, 1.0))
    assert (levels["y"][0], levels["y"][-1]) == (1e-4, 1.0)


def test_a_hyperparameter_with_one_level_stays_at_its_default() -> None:
    space = SearchSpace(PLANE.parameters, defaults={"y": 0.02})
    assert {config["y"] for config in visited(space, 3)} == {0.02}


def test_every_point_comes_once_then_none_for_ever() -> None:
    configs = visited(PLANE, 20)
    assert len(configs) == 20
    assert len({json.dumps(config) for config in configs}) == 20


@pytest.mark.parametrize(("space", "budget"), [(PLANE, 7), (NESTED, 12), (NESTED, None)])
def test_a_grid_says_how_many_points_it_has(space: SearchSpace, budget: int | None) -> None:
    options = {"points": 9} if budget is None else {}
    strategy = GridStrategy(space, full_epochs=3, seed=0, budget_trials=budget, **options)
    assert strategy.n_proposals == len(visited(space, budget, **options))


def test_the_seed_changes_the_order_only() -> None:
    first, second = visited(PLANE, 20, seed=1), visited(PLANE, 20, seed=2)
    assert first != second
    assert sorted(map(json.dumps, first)) == sorted(map(json.dumps, second))


def test_overridden_levels_are_kept_and_the_rest_is_fitted() -> None:
    assert counts(PLANE, 20, x=3) == {"x": 3, "y": 6}


def test_choices_never_get_more_levels_than_there_are() -> None:
    space = SearchSpace((Categorical("c", ("a", "b")), Integer("n", 1, 3), Float("x", 0.0, 1.0)))
    assert counts(space, 60) == {"c": 2, "n": 3, "x": 10}


def test_a_finite_space_is_visited_whole() -> None:
    space = SearchSpace((Categorical("c", ("a", "b", "c")), Integer("n", 1, 4)))
    assert len(visited(space, 1000)) == 12


def test_integers_on_a_logarithmic_scale_skip_numbers_that_add_nothing() -> None:
    space = SearchSpace((Integer("n", 1, 4, log=True),))
    assert sorted(config["n"] for config in visited(space, 4)) == [1, 2, 3, 4]


def test_points_that_differ_only_in_inactive_names_are_one() -> None:
    configs = visited(NESTED, 24)
    assert len({json.dumps(config, sort_keys=True) for config in configs}) == len(configs) <= 24
    for config in configs:
        NESTED.check(config)
    assert {config["optimizer"] for config in configs} == {"sgd", "adam"}


def test_conditional_grids_use_what_inactive_names_save() -> None:
    space = SearchSpace(
        (
            Categorical("kind", ("plain", "fancy")),
            Integer("extra", 1, 9, when=Condition("kind", ("fancy",))),
        )
    )
    assert len(visited(space, 10)) == 10


def test_points_size_the_grid_where_trials_are_not_counted() -> None:
    assert len(visited(PLANE, None, points=9)) == 9
    assert len(visited(PLANE, 20, points=9)) == 9


@pytest.mark.parametrize(
    ("budget", "options", "message"),
    [
        (None, {}, r"give it options = \{ points = 20 \}"),
        (None, {"points": 0}, "points >= 1"),
        (5, {"points": 6}, "at most the budget of 5 trials"),
        (20, {"levels": {"x": 0}}, "levels.x >= 1"),
        (20, {"levels": {"z": 2}}, "unknown hyperparameter 'z'"),
        (20, {"levels": {"x": 5, "y": 5}}, "at most 20 points, the budget; got 25"),
    ],
)
def test_impossible_sizes_are_refused(budget: int | None, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        GridStrategy(PLANE, full_epochs=3, seed=0, budget_trials=budget, **options)


def test_more_levels_than_values_are_refused() -> None:
    space = SearchSpace((Integer("n", 1, 3),))
    with pytest.raises(UsageError, match=r"at most 3, the number of values"):
        fit_levels(space, 20, {"n": 4})


def test_a_space_without_parameters_has_one_point() -> None:
    assert visited(SearchSpace(()), 5) == [{}]


@given(
    budget=st.integers(1, 300),
    choices=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    reals=st.integers(0, 2),
)
def test_no_grid_bursts_its_budget_and_none_could_grow(budget: int, choices: list[int], reals: int) -> None:
    parameters: list[Parameter] = [
        Categorical(f"c{place}", tuple(range(size))) for place, size in enumerate(choices)
    ]
    parameters += [Float(f"x{place}", 0.0, 1.0) for place in range(reals)]
    space = SearchSpace(tuple(parameters))
    levels = {name: len(values) for name, values in fit_levels(space, budget, {}).items()}
    size = len(visited(space, budget))
    assert size <= budget
    for parameter in parameters:
        count = levels[parameter.name]
        if count < parameter.n_values:
            assert size // count * (count + 1) > budget

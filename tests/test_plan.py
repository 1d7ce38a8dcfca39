"""Tests of the plan: what would run, what is refused, how it is shared out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpbench import shards
from hpbench.compilation import Steps
from hpbench.errors import UnsuitableSpaceError, UsageError
from hpbench.plan import Plan, estimate_calibration, estimate_seconds, make_plan
from hpbench.shards import plan_shards, run_bytes, runs_in_shard
from hpbench.space import SearchSpace
from hpbench.strategies import REGISTRY
from hpbench.strategies.base import Given
from hpbench.strategies.random import RandomStrategy
from hpbench.suite import Suite, load_suite
from hpbench.trial import RunKey


def digits(*strategies: str, **keys: object) -> Suite:
    """Return a suite that searches the mlp on digits, a conditional space."""
    content = {
        "schema": 1,
        "name": "s",
        "root_seed": 1,
        "repetitions": 2,
        "budget": {"trials": 4},
        "tasks": [{"dataset": "digits", "network": "mlp", "epochs": 3}],
        "strategies": [{"use": name} for name in strategies or ("random", "grid")],
    }
    return Suite.of({**content, **keys})


def test_a_plan_has_every_run_in_the_order_of_the_suite() -> None:
    suite = digits("random", "grid")
    plan = make_plan(suite)
    assert plan.runs == tuple(suite.run_keys())
    assert [str(run) for run in plan.runs] == [
        "digits-mlp/random/0",
        "digits-mlp/random/1",
        "digits-mlp/grid/0",
        "digits-mlp/grid/1",
    ]
    assert plan.refused == ()


@pytest.mark.parametrize(
    ("budget", "trials", "epochs"),
    [({"trials": 4}, 16, 48), ({"epochs": 10}, 12, 36), ({"seconds": 9.0}, None, None)],
)
def test_totals_follow_from_the_budget(budget: dict, trials: int | None, epochs: int | None) -> None:
    plan = make_plan(digits(budget=budget, strategies=[{"use": "random"}, {"use": "sobol"}]))
    assert (plan.n_trials, plan.n_epochs) == (trials, epochs)


@pytest.mark.parametrize(
    ("budget", "trials"),
    [({"trials": 9}, (1, 4, 9)), ({"epochs": 20}, (1, 4, 6)), ({"seconds": 900.0}, (1, 4, None))],
)
def test_a_strategy_that_ends_before_the_budget_is_planned_as_far_as_it_goes(
    budget: dict, trials: tuple[int | None, ...]
) -> None:
    short = [{"use": "default"}, {"use": "grid", "options": {"points": 4}}]
    suite = digits(strategies=[*short, {"use": "random"}], budget=budget, repetitions=1)
    plan = make_plan(suite)
    assert tuple(map(plan.trials_of, plan.runs)) == trials
    assert plan.n_trials == (None if None in trials else sum(trials))
    default, grid, random = map(estimate_seconds(plan, suite).get, plan.runs)
    assert grid == pytest.approx(4 * default)
    assert random == (900.0 if trials[2] is None else pytest.approx(trials[2] * default))


def test_a_strategy_that_lacks_what_the_space_needs_is_refused_with_the_reason() -> None:
    plan = make_plan(digits("random", "skopt-gp"))
    (refusal,) = plan.refused
    assert (refusal.task, refusal.strategy) == ("digits-mlp", "skopt-gp")
    assert str(refusal).startswith(
        "strategy 'skopt-gp' cannot search 'mlp' on 'digits': it lacks CONDITIONAL"
    )
    assert str(refusal).endswith("Skipped.")
    assert {run.strategy for run in plan.runs} == {"random"}


class Planar(RandomStrategy):
    """Searches spaces of two hyperparameters alone."""

    def __init__(self, space: SearchSpace, *, depth: int = 0, **given: Unpack[Given]) -> None:
        if len(space.names) > 2:
            raise UnsuitableSpaceError(f"a plane has two dimensions, got {len(space.names)}.")
        if depth:
            raise UsageError(f"`depth = 0` must hold, got {depth}.")
        super().__init__(space, **given)


PAIRS = """
schema = 1
name = "pair"
root_seed = 7
repetitions = 1
budget = { trials = 4 }
objective = "loss"
tasks = [{ function = "hartmann6" }, { function = "branin" }]
strategies = [{ use = "random" }, { use = "planar", name = "mine", options = { depth = DEPTH } }]
"""


@pytest.mark.usefixtures("forgotten")
def test_a_space_that_a_strategy_cannot_search_is_skipped_and_any_other_error_ends_the_suite(
    tmp_path: Path,
) -> None:
    REGISTRY.add("planar", Planar)
    path = tmp_path / "pair.toml"
    path.write_text(PAIRS.replace("DEPTH", "0"), encoding="utf-8")
    plan = make_plan(load_suite(path)[0])
    assert [str(run) for run in plan.runs] == ["hartmann6/random/0", "branin/random/0", "branin/mine/0"]
    (refusal,) = plan.refused
    assert str(refusal) == (
        "strategy 'mine' cannot search 'hartmann6': a plane has two dimensions, got 6. Skipped."
    )
    path.write_text(PAIRS.replace("DEPTH", "1"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"`depth = 0` must hold, got 1 \(strategies\[1\]\.options\)"):
        load_suite(path)


def test_a_plan_in_which_everything_is_refused_is_an_error_that_gives_the_reasons() -> None:
    with pytest.raises(UsageError, match=r"no pairing[\s\S]*lacks CONDITIONAL"):
        make_plan(digits("skopt-gp"))


def test_a_condition_that_the_suite_has_settled_is_no_reason_to_refuse() -> None:
    table = {"dataset": "digits", "network": "mlp", "epochs": 3, "space": {"optimizer": "adam"}}
    assert make_plan(digits("skopt-gp", tasks=[table])).refused == ()


def test_an_impossible_option_shows_before_anything_trains() -> None:
    suite = digits(strategies=[{"use": "genetic", "options": {"population_size": -1}}])
    with pytest.raises(UsageError, match="population_size"):
        make_plan(suite)


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ("*", 4),
        ("digits-mlp", 4),
        ("digits-mlp/random", 2),
        ("digits-mlp/random/1", 1),
        ("*/*/0", 2),
        ("*/g*/?", 2),
        ("d*p/[rg]*/0", 2),
    ],
)
def test_only_selects_by_pattern(only: str, expected: int) -> None:
    assert len(make_plan(digits(), only=only).runs) == expected


@pytest.mark.parametrize("only", ["no-such-task", "*/random/7", "*/Random"])
def test_only_that_matches_nothing_is_an_error_that_names_what_there_is(only: str) -> None:
    with pytest.raises(
        UsageError, match=r"matches no run. Tasks: digits-mlp. Strategies: random, grid. Rep.*0 to 1"
    ):
        make_plan(digits(), only=only)


@pytest.mark.parametrize("only", ["a/b/c/d", "a//c", "", "/"])
def test_only_of_another_form_is_an_error(only: str) -> None:
    with pytest.raises(UsageError, match="TASK/STRATEGY/REPETITION"):
        make_plan(digits(), only=only)


def test_the_estimate_grows_with_the_work_and_counts_thinking() -> None:
    table = {"dataset": "digits", "network": "mlp", "epochs": 3, "space": {"optimizer": "adam"}}
    suite = digits("random", "skopt-gp", tasks=[table])
    plan = make_plan(suite)
    costs = estimate_seconds(plan, suite)
    assert set(costs) == set(plan.runs)
    assert 0 < costs[RunKey("digits-mlp", "random", 0)] < costs[RunKey("digits-mlp", "skopt-gp", 0)]
    longer = suite.replace(budget={"trials": 8})
    assert estimate_seconds(make_plan(longer), longer)[plan.runs[0]] == pytest.approx(2 * costs[plan.runs[0]])


def test_a_fixed_batch_size_is_counted(fake: ModuleType) -> None:
    del fake
    table = {"dataset": "digits", "network": "mlp", "epochs": 3}
    costs = []
    for size in (16, 128):
        suite = digits("random", tasks=[{**table, "space": {"batch_size": size}}])
        costs.append(estimate_seconds(make_plan(suite), suite)[RunKey("digits-mlp", "random", 0)])
    assert costs[0] > 6 * costs[1]


def test_a_budget_in_seconds_is_its_own_estimate() -> None:
    suite = digits("random", budget={"seconds": 12.5})
    assert set(estimate_seconds(make_plan(suite), suite).values()) == {12.5}


@st.composite
def plans(draw: st.DrawFn) -> tuple[Plan, dict[RunKey, float], dict[str, int]]:
    """Draw runs of a few tasks with costs and group sizes."""
    sizes = draw(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 12), min_size=1))
    runs = [RunKey(task, "s", repetition) for task, count in sizes.items() for repetition in range(count)]
    costs = {run: draw(st.floats(0, 100)) for run in runs}
    groups = {task: draw(st.integers(1, 6)) for task in sizes}
    return Plan(tuple(runs), (), dict.fromkeys(sizes, 1), dict.fromkeys(sizes, 1)), costs, groups


@given(plans())
def test_shards_hold_every_run_once_and_only_runs_of_one_task(
    drawn: tuple[Plan, dict[RunKey, float], dict[str, int]],
) -> None:
    plan, costs, groups = drawn
    shards = plan_shards(plan, costs, runs_per_shard=groups)
    assert sorted(run for shard in shards for run in shard) == sorted(plan.runs)
    for shard in shards:
        (task,) = {run.task for run in shard}
        assert 1 <= len(shard) <= groups[task]
    totals = [sum(costs[run] for run in shard) for shard in shards]
    assert totals == sorted(totals, reverse=True)


@pytest.mark.parametrize(
    ("trainer", "workers", "expected"), [("reference", 2, 1), ("cohort", 2, 2), ("cohort", 3, 2)]
)
def test_only_cohorts_want_company(trainer: str, workers: int, expected: int) -> None:
    suite = digits(trainer=trainer, compile="never")
    assert runs_in_shard(make_plan(suite), suite, workers=workers) == {"digits-mlp": expected}


@pytest.mark.parametrize(
    ("repetitions", "workers", "expected"), [(10, 2, 5), (20, 2, 10), (3, 2, 3), (1, 2, 1)]
)
def test_every_worker_gets_two_shards_of_a_task_unless_runs_are_few(
    repetitions: int, workers: int, expected: int
) -> None:
    suite = digits(trainer="cohort", compile="never", repetitions=repetitions)
    assert runs_in_shard(make_plan(suite), suite, workers=workers) == {"digits-mlp": expected}


def test_a_task_without_runs_has_a_shard_size_too() -> None:
    suite = digits(
        trainer="cohort",
        compile="never",
        tasks=[{"dataset": name, "network": "mlp", "epochs": 1} for name in ("iris", "wine")],
    )
    sizes = runs_in_shard(make_plan(suite, only="iris-mlp"), suite, workers=2)
    assert sizes == {"iris-mlp": 2, "wine-mlp": 1}


def test_a_family_that_declares_no_cohorts_is_planned_as_the_reference_trainer_runs_it() -> None:
    suite = digits(trainer="cohort", compile="never", repetitions=20)
    plan = make_plan(suite)
    alone = replace(plan, steps={"digits-mlp": Steps("plain", "no cohorts")})
    assert runs_in_shard(alone, suite, workers=2) == {"digits-mlp": 1}
    run = plan.runs[0]
    assert estimate_seconds(alone, suite)[run] > estimate_seconds(plan, suite)[run]


def test_memory_bounds_a_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    suite = digits(trainer="cohort", compile="never", repetitions=20)
    one = run_bytes(suite, suite.tasks[0], compiled=False)
    assert one == 1797 * 64 * 4
    monkeypatch.setattr(shards, "_SHARD_BYTES", 3 * one + 1)
    assert runs_in_shard(make_plan(suite), suite, workers=2) == {"digits-mlp": 3}
    monkeypatch.setattr(shards, "_SHARD_BYTES", 1)
    assert runs_in_shard(make_plan(suite), suite, workers=2) == {"digits-mlp": 1}


def test_kept_states_count(fake: ModuleType) -> None:
    suite = Suite.of(fake.suite_of("fake-adaptive", "fake-resumes", budget={"trials": 50}))
    forgetful = Suite.of(fake.suite_of("fake-adaptive", budget={"trials": 50}))
    data = 60 * 4 * 4
    assert run_bytes(forgetful, forgetful.tasks[0], compiled=False) == data
    assert run_bytes(suite, suite.tasks[0], compiled=False) > data
    longer = suite.replace(budget={"trials": 500})
    states = run_bytes(suite, suite.tasks[0], compiled=False) - data
    assert run_bytes(longer, longer.tasks[0], compiled=False) - data == 10 * states


def test_a_modelled_clock_says_what_it_calibrates() -> None:
    assert estimate_calibration(make_plan(digits()), digits()) == {}
    suite = digits(clock="modelled")
    found = estimate_calibration(make_plan(suite), suite)["digits-mlp"]
    assert found.signatures == 672
    assert 20.0 < found.seconds < 60.0  # measured: half a minute on a quiet machine, more on a busy one


def test_only_what_is_selected_is_calibrated() -> None:
    tasks = [{"dataset": name, "network": "mlp", "epochs": 1} for name in ("iris", "wine")]
    suite = digits(clock="modelled", tasks=tasks)
    assert set(estimate_calibration(make_plan(suite), suite)) == {"iris-mlp", "wine-mlp"}
    assert set(estimate_calibration(make_plan(suite, only="wine-mlp"), suite)) == {"wine-mlp"}


def test_how_steps_are_taken_follows_from_the_whole_suite_not_from_what_is_selected() -> None:
    suite = digits("random", "sobol", trainer="cohort", repetitions=100, budget={"trials": 300})
    whole, part = make_plan(suite), make_plan(suite, only="*/random/0")
    assert whole.steps == part.steps
    assert make_plan(digits()).steps["digits-mlp"].kind == "plain"
    assert set(whole.as_dict()["steps"]["digits-mlp"]) == {"kind", "reason"}


def test_a_plan_is_given_to_programs_as_json_values() -> None:
    found = make_plan(digits("random", "skopt-gp")).as_dict()
    assert found["n_runs"] == len(found["runs"]) == 2
    assert found["n_trials"] == 8
    assert found["refused"][0]["strategy"] == "skopt-gp"


def test_planning_imports_no_torch() -> None:
    code = (
        "import sys; from hpbench.suite import Suite; from hpbench.plan import make_plan, estimate_seconds\n"
        "s = Suite.of(dict(schema=1, name='s', root_seed=1, repetitions=1, budget=dict(trials=2),"
        " tasks=[dict(dataset='iris', network='mlp', epochs=1)], strategies=[dict(use='random')]))\n"
        "estimate_seconds(make_plan(s), s); import hpbench.runner; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

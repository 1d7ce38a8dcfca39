"""Tests of the decision whether cohorts take compiled steps."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from hpbench import compilation
from hpbench.compilation import (
    REPAID_STEPS,
    SHARED_STEPS,
    clipped_batches,
    decide_steps,
    planned_steps,
    steps_per_epoch,
)
from hpbench.errors import UsageError
from hpbench.overrides import apply_overrides
from hpbench.suite import Suite, space_of
from hpbench.tasks.networks import REGISTRY

TASK = {"dataset": "digits", "network": "mlp", "epochs": 10}
CC = ["cc"]


def suite_of(**keys: Any) -> Suite:
    content = {
        "name": "s",
        "root_seed": 1,
        "repetitions": 2,
        "budget": {"trials": 10},
        "trainer": "cohort",
        "tasks": [TASK],
        "strategies": [{"use": "random"}],
    }
    return Suite.of({**content, **keys})


def kind(n_runs: int, *, compiler: list[str] | None = CC, **keys: Any) -> str:
    suite = suite_of(**keys)
    return decide_steps(suite, suite.tasks[0], n_runs=n_runs, compiler=compiler).kind


def runs_to_repay(**space: Any) -> int:
    """Return the fewest runs with which the task is compiled."""
    suite = suite_of(tasks=[{**TASK, "space": space}])
    counts = range(1, 100_000)
    low, high = 0, len(counts)
    while low + 1 < high:
        middle = (low + high) // 2
        found = decide_steps(suite, suite.tasks[0], n_runs=counts[middle], compiler=CC).kind
        low, high = (low, middle) if found == "compiled" else (middle, high)
    return counts[high]


def test_steps_are_counted_over_the_batch_sizes_of_the_space() -> None:
    space = space_of(suite_of().tasks[0])
    assert steps_per_epoch(space, 1078.2) == (67 + 33 + 16 + 8) / 4
    assert steps_per_epoch(space.fixed("batch_size", 50), 1078.2) == 21
    assert steps_per_epoch(space.fixed("batch_size", 5000), 1078.2) == 1


def test_batch_sizes_above_the_training_part_are_told_and_refused_where_nothing_else_is_left() -> None:
    family = REGISTRY.get("mlp")
    assert clipped_batches(family.space, 1078.2) == []
    assert clipped_batches(family.space, 107.0) == [128]
    assert clipped_batches(family.space.fixed("batch_size", 5000), 107.0) == [5000]
    wide = apply_overrides(family.space, {"batch_size": [5000, 6000]}, limits=family.limits)
    assert clipped_batches(wide, 5500.0) == [6000]
    with pytest.raises(
        UsageError, match=r"must have a value below the 107 training examples, got \[5000, 6000\]"
    ):
        clipped_batches(wide, 107.0)


@pytest.mark.parametrize(
    ("budget", "trials"), [({"trials": 10}, 10), ({"epochs": 59}, 5), ({"seconds": 1.3}, 1000 / (10 * 31))]
)
def test_planned_steps_follow_from_the_budget(budget: dict[str, Any], trials: float) -> None:
    suite = suite_of(budget=budget)
    assert planned_steps(suite, suite.tasks[0], n_runs=3) == pytest.approx(3 * trials * 10 * 31)


def test_auto_compiles_where_the_planned_steps_repay_it() -> None:
    all_depths, one_depth = runs_to_repay(), runs_to_repay(layers=2)
    assert all_depths == one_depth == pytest.approx(REPAID_STEPS / (10 * 10 * 31), abs=1)
    assert kind(all_depths - 1) == "plain"
    assert kind(all_depths) == "compiled"


def test_without_a_compiler_steps_are_traced_where_cohorts_fill() -> None:
    three_depths = math.ceil(3 * SHARED_STEPS / (10 * 10 * 31))
    assert kind(three_depths, compiler=None) == "traced"
    assert kind(three_depths - 1, compiler=None) == "plain"
    images = [{**TASK, "network": "cnn"}]
    assert kind(10**6, compiler=None, tasks=images) == "plain"
    assert kind(10**6, compile="never", tasks=images) == "traced"


def test_a_family_that_cannot_be_compiled_is_traced_or_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    family = replace(REGISTRY_MLP, compiled=False)
    monkeypatch.setattr(compilation.networks.REGISTRY, "get", lambda _: family)
    suite = suite_of(compile="always")
    found = decide_steps(suite, suite.tasks[0], n_runs=10**6, compiler=CC)
    assert str(found) == "traced steps (family 'mlp' has layers that cannot be compiled)"
    found = decide_steps(suite, suite.tasks[0], n_runs=1, compiler=CC)
    assert found.kind == "plain"
    assert "too few for cohorts" in found.reason


def test_what_is_said_in_the_suite_counts_more_than_the_size() -> None:
    assert kind(10**6, compile="never") == "traced"
    assert kind(1, compile="always") == "compiled"


def test_without_a_compiler_steps_are_traced_and_always_is_refused() -> None:
    suite = suite_of()
    found = decide_steps(suite, suite.tasks[0], n_runs=10**6, compiler=None)
    assert str(found) == "traced steps (no C compiler on this machine)"
    assert kind(10**6, compiler=None, compile="never") == "traced"
    with pytest.raises(UsageError, match="where there is no C"):
        kind(1, compiler=None, compile="always")


def test_nothing_is_compiled_for_another_device() -> None:
    suite = suite_of(compile="always")
    found = decide_steps(suite, suite.tasks[0], n_runs=10**6, compiler=CC, device="cuda:1")
    assert str(found) == "traced steps (steps are compiled for the CPU alone, and the device is cuda:1)"


def test_the_reference_trainer_takes_plain_steps_whatever_is_said() -> None:
    assert kind(10**6, trainer="reference", compile="always", compiler=None) == "plain"


def test_a_family_that_declares_no_cohorts_is_trained_plainly_and_the_reason_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compilation.networks.REGISTRY, "get", lambda _: replace(REGISTRY_MLP, cohort=False))
    suite = suite_of(compile="never")
    found = decide_steps(suite, suite.tasks[0], n_runs=1, compiler=None)
    assert found.kind == "plain"
    assert "family 'mlp' cannot train in cohorts: trained by the reference trainer" in found.reason


REGISTRY_MLP = REGISTRY.get("mlp")


def test_no_timing_enters_and_equal_suites_decide_alike() -> None:
    suite = suite_of()
    again = Suite.of(suite.resolved())
    for n_runs in (1, 100, 1000, 10**5):
        first = decide_steps(suite, suite.tasks[0], n_runs=n_runs, compiler=CC)
        assert first == decide_steps(again, again.tasks[0], n_runs=n_runs, compiler=CC)


def test_a_time_limit_is_said_to_leave_cohorts_of_one_trial() -> None:
    for trainer, kinds in (("cohort", "compiled"), ("reference", "plain")):
        suite = suite_of(trainer=trainer, limits={"trial_seconds": 9})
        found = decide_steps(suite, suite.tasks[0], n_runs=10**6, compiler=CC)
        assert found.kind == kinds
        assert ("limits.trial_seconds: cohorts of one trial" in found.reason) is (trainer == "cohort")

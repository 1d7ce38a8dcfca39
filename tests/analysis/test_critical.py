from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpbench.analysis import load_frames
from hpbench.analysis.across import Across, across_tasks
from hpbench.analysis.canvas import drawing
from hpbench.analysis.claims import across_claim
from hpbench.analysis.comparison import Study, study_of
from hpbench.analysis.contrasts import contrast_figures
from hpbench.analysis.critical import CriticalDifference, critical_difference_of, ranking_of
from hpbench.seeding import bootstrap_stream

MakeStudy = Callable[..., Path]
EIGHT = tuple(f"task-{number}" for number in range(8))
CLEAR = {"skopt-gp": 0.05, "genetic": 0.03, "grid": 0.01}
WORSE = {"random": 0.3, "grid": 0.2, "genetic": 0.1}


def study(make_study: MakeStudy, **options: Any) -> Study:
    return study_of(load_frames(make_study(**options)))


def critical(finals: list[list[float]]) -> CriticalDifference:
    """Return the tests on tasks in which every strategy has one repetition with this final error."""
    errors = tuple(np.repeat(np.array(row)[:, None, None], 100, axis=2) for row in finals)
    names = tuple(f"t{number}" for number in range(len(finals)))
    parts: dict[Any, Any] = {"val": errors, "test": errors}
    found = Across(tuple(range(len(finals[0]))), (), names, parts, parts, 0)
    return critical_difference_of(found, bootstrap_stream(0))


def ordered(n_tasks: int, k: int) -> list[list[float]]:
    """Return tasks on all of which the strategies end in the same order."""
    return [[0.1 * place for place in range(1, k + 1)] for _ in range(n_tasks)]


@pytest.mark.parametrize(
    ("n_tasks", "k", "test", "passed"),
    [
        (2, 3, "none", False),  # 6 orders: p = 1/6
        (2, 7, "none", True),  # the critical difference of 6.4 is above the largest, 6
        (3, 4, "nemenyi", True),
        (4, 2, "nemenyi", False),  # Nemenyi's normal approximation alone would call 4 : 0 a difference
        (7, 7, "nemenyi", True),
        (8, 4, "wilcoxon", True),
        (11, 8, "wilcoxon", True),
    ],
)
def test_what_is_tested_depends_on_the_number_of_tasks(
    n_tasks: int, k: int, test: str, *, passed: bool
) -> None:
    found = critical(ordered(n_tasks, k))
    assert found.test == test
    assert found.passed == passed
    assert bool(found.reason) == (test == "none")
    if not passed:
        assert found.bars == ()


def test_nemenyis_bars_join_ranks_within_its_critical_difference() -> None:
    found = critical(ordered(7, 7))
    assert found.limit == pytest.approx(3.40, abs=0.01)
    assert found.bars == ((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 6))


def test_one_task_has_no_test_across_tasks() -> None:
    found = critical(ordered(1, 4))
    assert not found.passed
    assert found.reason.startswith("Over 1 task there is no test across tasks")


def test_no_bar_before_the_omnibus_test_passes() -> None:
    rng = np.random.default_rng(1)
    found = critical(rng.uniform(size=(9, 4)).tolist())
    assert found.p > 0.05
    assert found.bars == ()


def test_bars_join_what_no_test_tells_apart() -> None:
    rng = np.random.default_rng(2)
    noise = rng.uniform(0, 0.01, size=(12, 4))
    found = critical((noise + np.array([0.1, 0.1, 0.5, 0.5])).tolist())
    assert found.passed
    assert {frozenset(bar) for bar in found.bars} == {frozenset({0, 1}), frozenset({2, 3})}


def test_a_run_without_a_result_ranks_its_strategy_last() -> None:
    assert critical([[0.1, math.nan, 0.3]] * 3).ranks.tolist() == [1.0, 2.5, 2.5]


def test_the_claim_over_tasks_names_the_best(make_study: MakeStudy) -> None:
    clear = study(make_study, tasks=EIGHT, repetitions=2, gains=CLEAR, failure_rate=0.0)
    assert "the best mean rank" in across_claim(clear)
    assert "skopt-gp" in across_claim(clear)
    alike = study(make_study, tasks=EIGHT, repetitions=3, trials=2, gains={}, failure_rate=0.0)
    assert "no difference in rank can be shown" in across_claim(alike)


def test_three_tasks_can_show_that_ranks_differ_and_claim_nothing_for_others(make_study: MakeStudy) -> None:
    made = study(make_study, repetitions=2, worse=WORSE, failure_rate=0.0)
    claim = across_claim(made)
    assert claim.startswith(
        "Over 3 tasks the strategies rank differently; the best mean rank, 1.00, has skopt-gp"
    )
    assert "speak for no others" in claim
    two = study(make_study, repetitions=2, tasks=EIGHT[:2], worse=WORSE, failure_rate=0.0)
    assert "Nemenyi's test needs at least 3 tasks, Wilcoxon's with Holm's adjustment 8." in across_claim(two)


def test_the_figure_names_its_test_and_shows_nemenyis_critical_difference(make_study: MakeStudy) -> None:
    made = study(make_study, repetitions=2, worse=WORSE, failure_rate=0.0)
    two = study(make_study, repetitions=2, tasks=EIGHT[:2], worse=WORSE, failure_rate=0.0)
    with drawing():
        drawn = {item.name: item for item in contrast_figures(made)}["critical-difference"]
        (panel,) = drawn.figure.axes
        ruler = panel.lines[-1].get_xdata()
        assert "critical-difference" not in {item.name for item in contrast_figures(two)}
    limit = ranking_of(made, across_tasks(made)).limit
    assert np.ptp(np.asarray(ruler)) == pytest.approx(limit)
    assert [text.get_text() for text in panel.texts] == ["CD 2.71"]
    assert (
        "Nemenyi's test, by which mean ranks differ from a critical difference (CD) of 2.71 on"
        in drawn.caption
    )

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpbench.analysis import load_frames
from hpbench.analysis.claims import claims, summary
from hpbench.analysis.comparison import Cell, Study, study_of
from hpbench.analysis.frames import Frames
from hpbench.study import RunState

MakeStudy = Callable[..., Path]
StudyWith = Callable[..., Frames]
TASK = "wine-mlp"


def cell(study: Study, task: str, strategy: str) -> Cell:
    return next(found for found in study.comparisons[task].cells if found.strategy == strategy)


def test_a_better_strategy_beats_the_baseline(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study()))
    found = cell(study, "digits-mlp", "skopt-gp")
    assert found.best
    assert found.versus is not None
    assert found.versus.verdict == "better"
    assert found.versus.difference.low > 0
    assert found.versus.difference.method == "bootstrap"
    assert cell(study, "digits-mlp", "random").versus is None
    base, mine = (study.curves["digits-mlp"].final_error("test")[i] for i in (0, 2))
    assert found.versus.difference.centre == pytest.approx(np.mean(base - mine))
    assert sum(found.versus.wins) == 10


def test_equal_strategies_are_not_told_apart(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study(gains={})))
    verdicts = {c.versus.verdict for t in study.comparisons.values() for c in t.cells if c.versus}
    assert verdicts == {"not shown"}
    assert any("no difference can be shown at this budget" in claim for claim in claims(study))


def test_results_do_not_depend_on_the_order_of_the_suite(make_study: MakeStudy) -> None:
    one = study_of(load_frames(make_study(strategies=("random", "grid", "skopt-gp"))))
    other = study_of(
        load_frames(make_study(strategies=("skopt-gp", "random", "grid"), tasks=("wine-mlp", "digits-mlp")))
    )
    for task in ("wine-mlp", "digits-mlp"):
        for strategy in ("random", "grid", "skopt-gp"):
            assert repr(cell(one, task, strategy)) == repr(cell(other, task, strategy))


def test_few_repetitions_have_no_interval_and_no_verdict(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study(repetitions=3)))
    found = cell(study, "wine-mlp", "skopt-gp")
    assert not found.test.exists
    assert found.versus is not None
    assert found.versus.verdict == "too few"
    text = " ".join(claims(study))
    assert "too few repetitions" in text
    assert "needs 7" in text
    assert "beats" not in text


def test_missing_failed_and_skipped_cells_are_counted(
    make_study: MakeStudy, awkward_options: dict[str, Any]
) -> None:
    study = study_of(load_frames(make_study(**awkward_options)))
    assert cell(study, "digits-mlp", "genetic").counts.failed == 1
    assert cell(study, "digits-cnn", "random").counts.missing == 1
    assert cell(study, "digits-mlp", "grid").counts.exhausted == 10
    skipped = cell(study, "wine-mlp", "skopt-gp")
    assert "CONDITIONAL" in skipped.counts.skipped
    assert skipped.counts.n == 0
    assert math.isnan(skipped.rank)
    assert study.comparisons["digits-cnn"].blocks == 9
    assert "was skipped on wine-mlp" in summary(study)
    assert "**partial: 108 of 110 runs**" in summary(study)


def test_one_of_something_is_said_as_one(make_study: MakeStudy) -> None:
    options = {"tasks": ("wine-mlp",), "strategies": ("random", "grid"), "trials": 1, "failure_rate": 0.0}
    text = summary(study_of(load_frames(make_study(repetitions=8, **options))))
    assert "budget 1 trial a run" in text
    assert "repetitions, by task and strategy" not in text
    pending = {("wine-mlp", "random", 0): RunState.PENDING}
    none = dict.fromkeys(pending, 0)
    alone = options | {"strategies": ("random",), "repetitions": 1}
    assert "partial: 0 of 1 run**" in summary(
        study_of(load_frames(make_study(**alone, states=pending, lengths=none)))
    )


@pytest.mark.parametrize(
    ("state", "text"), [(RunState.FAILED, "a result."), (RunState.RUNNING, "a result yet.")]
)
def test_results_are_awaited_only_where_a_run_is_to_come(
    make_study: MakeStudy, state: RunState, text: str
) -> None:
    states = {("wine-mlp", name, r): state for name in ("random", "grid") for r in range(2)}
    options = {"tasks": ("wine-mlp",), "strategies": ("random", "grid"), "repetitions": 2, "trials": 2}
    assert f"wine-mlp: no run has {text}" in claims(
        study_of(load_frames(make_study(**options, states=states)))
    )


def test_a_failed_run_ranks_last(make_study: MakeStudy) -> None:
    states = {("wine-mlp", "skopt-gp", r): RunState.FAILED for r in range(10)}
    study = study_of(load_frames(make_study(states=states)))
    found = cell(study, "wine-mlp", "skopt-gp")
    assert found.rank == 4.0
    assert found.counts.failed == 10
    assert found.versus is not None
    assert found.versus.verdict == "worse"
    assert not found.best


def test_selection_never_gains(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study()))
    for task in study.comparisons.values():
        for found in task.cells:
            assert found.selection.gap.centre >= found.selection.overtuning.centre >= 0
            assert 0 <= found.selection.overtuned <= 1


def test_one_strategy_and_one_repetition(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study(strategies=("random",), repetitions=1)))
    assert any("nothing to compare" in claim for claim in claims(study))


def test_a_study_without_a_trial_claims_nothing(make_study: MakeStudy) -> None:
    assert claims(study_of(load_frames(make_study(trials=0)))) == ["No trial has finished yet."]


def steady(n: int = 10) -> np.ndarray:
    """Return errors of one strategy that differ by whole examples of 360."""
    return np.random.default_rng(n).integers(20, 40, n) / 360


def test_the_test_and_not_the_mean_says_who_is_better(study_with: StudyWith) -> None:
    base = steady(20)
    mine = base - np.linspace(0.004, 0.006, 20)
    mine[0] = base[0] + 0.6
    study = study_of(study_with({TASK: np.stack([base, mine])}))
    versus = cell(study, TASK, "grid").versus
    assert versus is not None
    assert versus.difference.centre < -0.02
    assert versus.verdict == "better"
    (claim,) = [text for text in claims(study) if text.startswith("grid beats random on 1 of 1 task")]
    assert "although the mean difference is -2.5" in claim
    assert "paired P = 0.95" in claim


@pytest.mark.parametrize("failed", [3, 9, 10])
def test_nobody_wins_by_crashing(study_with: StudyWith, failed: int) -> None:
    base = steady()
    mine = base - 0.02
    mine[:failed] = math.inf
    study = study_of(study_with({TASK: np.stack([base, base + 0.001, mine])}))
    found = cell(study, TASK, "skopt-gp")
    assert found.versus is not None
    assert found.versus.wins == (10 - failed, 0, failed)
    assert found.versus.improvement == (10 - failed) / 10
    assert found.versus.verdict == ("not shown" if failed == 3 else "worse")
    assert [cell(study, TASK, name).best for name in ("random", "grid", "skopt-gp")] == [True, False, False]
    text = " ".join(claims(study))
    assert f"failed runs: skopt-gp on {TASK} ({failed} of 10)" in text
    assert (f"in {10 - failed} of 10 runs)" in text) == (failed < 10)
    assert ("skopt-gp is worse than random" in text) == (failed > 3)
    assert "skopt-gp beats" not in text


def test_where_every_strategy_crashed_none_is_the_best(study_with: StudyWith) -> None:
    errors = np.stack([steady(), steady() - 0.02])
    errors[0, 0] = errors[1, 3] = math.inf
    study = study_of(study_with({TASK: errors}))
    assert not any(found.best or found.like_best for found in study.comparisons[TASK].cells)
    assert claims(study)[0] == f"{TASK}: runs of every strategy failed, so none is named best."


def test_the_best_mean_does_not_depend_on_the_order_of_its_sum(study_with: StudyWith) -> None:
    rng = np.random.default_rng(0)
    wrong = np.array([5, 8, 11, 12, 13, 17, 19, 21, 22, 30])
    # the same errors in other orders, and other errors of the same sum
    errors = np.stack([rng.permutation(wrong) for _ in range(4)]) / 359
    errors[3, :2] += np.array([1, -1]) / 359
    assert len(set(errors.mean(axis=1))) > 1
    study = study_of(study_with({TASK: errors}))
    assert all(found.best and not found.like_best for found in study.comparisons[TASK].cells)


def test_six_pairs_are_enough_beside_ten(study_with: StudyWith) -> None:
    base = steady()
    short = np.where(np.arange(10) < 6, base + 0.1, math.nan)
    study = study_of(study_with({TASK: np.stack([base, base + 0.1, short])}))
    assert [cell(study, TASK, name).versus.verdict for name in ("grid", "skopt-gp")] == ["worse"] * 2  # type: ignore[union-attr]
    assert "too few" not in " ".join(claims(study))

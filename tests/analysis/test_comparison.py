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

MakeStudy = Callable[..., Path]


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


def test_a_failed_run_ranks_last(make_study: MakeStudy) -> None:
    from hpbench.study import RunState  # noqa: PLC0415

    states = {("wine-mlp", "skopt-gp", r): RunState.FAILED for r in range(10)}
    study = study_of(load_frames(make_study(states=states)))
    found = cell(study, "wine-mlp", "skopt-gp")
    assert found.rank == 4.0
    assert found.counts.failed == 10
    assert found.versus is None
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

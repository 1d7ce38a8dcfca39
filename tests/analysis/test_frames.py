from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpbench.analysis import load_frames
from hpbench.analysis.frames import frames_of
from hpbench.errors import UsageError
from hpbench.store import Store
from hpbench.study import RunState

MakeStudy = Callable[..., Path]


def test_every_trial_is_a_row_in_suite_order(make_study: MakeStudy) -> None:
    frames = load_frames(
        make_study(tasks=("b-task", "a-task"), strategies=("z", "a"), repetitions=2, trials=3)
    )
    assert len(frames.trials) == 2 * 2 * 2 * 3
    assert frames.tasks == ("b-task", "a-task")
    assert list(frames.trials["task"].unique()) == ["b-task", "a-task"]
    assert list(frames.trials["strategy"].unique()) == ["z", "a"]
    assert frames.trials["number"].to_list()[:4] == [0, 1, 2, 0]


def test_errors_come_from_counts_and_failed_trials_have_none(make_study: MakeStudy) -> None:
    folder = make_study(failure_rate=0.3, repetitions=2)
    frames = load_frames(folder)
    with Store.open(folder, read_only=True) as store:
        records = {(str(r.run), r.number): r.evaluation for r in store.records()}
    for row in frames.trials.itertuples():
        found = records[f"{row.task}/{row.strategy}/{row.repetition}", row.number]
        if found.status == "ok":
            assert found.val_correct is not None
            assert found.val_total is not None
            assert row.val_error == (found.val_total - found.val_correct) / found.val_total
            assert row.objective == row.val_error
        else:
            assert math.isnan(row.val_error)
            assert math.isnan(row.test_error)
            assert math.isnan(row.objective)


def test_the_objective_may_be_the_loss(make_study: MakeStudy) -> None:
    trials = load_frames(make_study(objective="loss", failure_rate=0.0)).trials
    assert trials["objective"].to_list() == trials["val_loss"].to_list()


def test_every_cell_of_the_suite_is_a_run(make_study: MakeStudy, awkward_options: dict[str, Any]) -> None:
    frames = load_frames(make_study(**awkward_options))
    runs = frames.runs.set_index(["task", "strategy", "repetition"])
    assert len(runs) == 3 * 4 * 10
    assert runs.loc[("wine-mlp", "skopt-gp", 4), "state"] == RunState.SKIPPED
    assert "CONDITIONAL" in runs.loc[("wine-mlp", "skopt-gp", 4), "message"]
    assert runs.loc[("digits-mlp", "genetic", 3), "trials"] == 7
    assert frames.progress == (108, 110)
    assert frames.partial == "partial: 108 of 110 runs"


def test_a_run_that_nobody_registered_is_pending(make_study: MakeStudy) -> None:
    with Store.open(make_study(repetitions=1), read_only=True) as store:
        frames = frames_of([], [], store.info)
    assert set(frames.runs["state"]) == {"pending"}
    assert frames.trials.empty
    assert frames.trials["objective"].dtype == np.float64


def test_failures_are_counted_by_run(make_study: MakeStudy) -> None:
    frames = load_frames(make_study(failure_rate=0.4, repetitions=3))
    assert frames.runs["failures"].sum() == (frames.trials["status"] != "ok").sum() > 0


@pytest.mark.parametrize(
    ("strategies", "baseline"),
    [(("grid", "random"), "random"), (("grid", "genetic"), "grid"), (("grid",), None)],
)
def test_the_baseline_is_random_or_the_first(
    make_study: MakeStudy, strategies: tuple[str, ...], baseline: str | None
) -> None:
    assert load_frames(make_study(strategies=strategies, repetitions=1)).baseline == baseline


def test_words_about_the_study(make_study: MakeStudy) -> None:
    frames = load_frames(make_study(repetitions=1, labels={"random": "Random search"}))
    assert frames.label("random") == "Random search"
    assert frames.label("grid") == "grid"
    assert frames.budget == "20 trials"
    assert frames.clock == "measured"
    assert frames.full_epochs("wine-mlp") == 10
    assert frames.size_of("wine-mlp", "val") == 360
    assert frames.partial == ""


def test_no_study_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no study"):
        load_frames(tmp_path)

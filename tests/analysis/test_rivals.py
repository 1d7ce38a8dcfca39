from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpbench.analysis import load_frames
from hpbench.analysis.across import across_tasks
from hpbench.analysis.comparison import study_of
from hpbench.analysis.frames import Frames
from hpbench.analysis.rivals import across_table, pairs_table, reference_table, running_time_table
from hpbench.analysis.writers import to_latex, to_markdown

MakeStudy = Callable[..., Path]


def test_running_times_carry_their_successes(make_study: MakeStudy) -> None:
    table = running_time_table(study_of(load_frames(make_study(repetitions=3, tasks=("wine-mlp",)))))
    assert [column.header for column in table.columns][-1] == "Speed-up over random"
    cells = {row[1].text: [mark.text for mark in row[2:]] for row in table.cells()}
    assert all(text.endswith("/3)") for row in cells.values() for text in row[:3])
    assert cells["random"][3] == "-"
    assert "∞" in to_markdown(table) or all(row["successes_75"] for row in table.values.to_dict("records"))


def test_every_pair_is_the_mirror_of_the_other(make_study: MakeStudy) -> None:
    values = pairs_table(study_of(load_frames(make_study()))).values.set_index(["task", "strategy"])
    assert set(values.index.get_level_values(0)) == {"digits-mlp", "digits-cnn", "wine-mlp", "all tasks"}
    for task in ("digits-mlp", "all tasks"):
        there = values.loc[(task, "random")]
        back = values.loc[(task, "skopt-gp")]
        assert there["skopt-gp: difference"] == pytest.approx(-back["random: difference"])
        assert there["skopt-gp: p"] == back["random: p"]
        assert there["skopt-gp: won"] == back["random: lost"]


def test_three_tasks_are_too_few_and_ten_repetitions_are_not(make_study: MakeStudy) -> None:
    rows = pairs_table(study_of(load_frames(make_study()))).cells()
    texts = {row[0].text: [mark.text for mark in row[2:] if mark.text != "-"] for row in rows}
    assert all(text.endswith("too few") for text in texts["all tasks"])
    assert not any(text.endswith("too few") for text in texts["digits-mlp"])
    assert any(mark.bold for row in rows for mark in row)


def test_the_table_over_tasks_ranks_within_bounds(
    make_study: MakeStudy, awkward_options: dict[str, Any]
) -> None:
    table = across_table(study_of(load_frames(make_study(**awkward_options))))
    assert table.values["strategy"].tolist() == ["random", "grid", "genetic"]
    assert table.values["rank"].sum() == pytest.approx(6.0)
    assert table.values["regret_val"].between(0, 100).all()
    assert "Left out, for they cannot search every task: skopt-gp." in table.caption
    assert r"\toprule" in to_latex(table)


def test_the_area_leaves_out_what_lies_before_every_runs_first_trial(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study(repetitions=3, trials=4, failure_rate=0.0)))
    table = across_table(study)
    regrets = across_tasks(study).regrets["val"]
    after_trials = np.mean([values[:, :, [24, 49, 74, 99]].mean(axis=1) for values in regrets], axis=0)
    shares = np.array([25, 25, 25, 1]) / 76  # of the budget from 25 % on, after each of the trials
    assert table.values["area_val"].to_numpy() == pytest.approx(after_trials @ shares)
    assert "mean regret from 25 % of the budget" in table.caption


def test_what_is_measured_from_is_written_down(make_study: MakeStudy) -> None:
    table = reference_table(study_of(load_frames(make_study(repetitions=2))))
    assert len(table.values) == 3
    assert (table.values["best_val_error"] < table.values["reference_val_error"]).all()


def test_a_study_in_which_nothing_succeeded_has_no_scale(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study(repetitions=2, trials=2, failure_rate=1.0)))
    assert running_time_table(study).values.empty
    assert across_table(study).values["regret_val"].isna().all()
    assert math.isnan(reference_table(study).values["best_val_error"].iloc[0])
    texts = {mark.text for row in pairs_table(study).cells() for mark in row[2:]}
    assert texts == {"-", "-; 0/2/0; too few"}  # one failed run is as bad as another


def test_a_failed_run_is_a_lost_block_and_has_the_highest_error_of_its_task(
    study_with: Callable[..., Frames],
) -> None:
    base = np.linspace(0.1, 0.2, 10)
    crashed = np.where(np.arange(10) < 4, math.inf, base - 0.02)
    gone = np.full(10, math.inf)
    errors = {task: np.stack([base, crashed, gone]) for task in ("wine-mlp", "digits-mlp")}
    table = pairs_table(study_of(study_with(errors)))
    values = table.values.set_index(["task", "strategy"])
    row = values.loc[("wine-mlp", "grid")]
    assert [row[f"random: {kind}"] for kind in ("won", "tied", "lost")] == [6, 0, 4]
    assert row["random: difference"] == pytest.approx(0.02)
    worst = (4 * 0.2 + np.sum(base[4:] - 0.02)) / 10
    assert values.loc[("all tasks", "grid")]["random: difference"] == pytest.approx(base.mean() - worst)
    assert values.loc[("all tasks", "skopt-gp")]["random: difference"] == pytest.approx(base.mean() - 0.2)
    cells = {(row[0].text, row[1].text): row[2] for row in table.cells()}
    assert cells["wine-mlp", "skopt-gp"].text == "-; 0/0/10; p .006"

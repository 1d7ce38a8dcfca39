from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpbench.analysis import load_frames
from hpbench.analysis.accounts import trouble_table
from hpbench.analysis.comparison import study_of
from hpbench.analysis.report import all_tables
from hpbench.analysis.writers import Table
from hpbench.store import Store
from hpbench.study import RunState
from hpbench.trial import RunKey

MakeStudy = Callable[..., Path]


@pytest.fixture
def awkward(make_study: MakeStudy, awkward_options: dict[str, Any]) -> dict[str, Table]:
    study = study_of(load_frames(make_study(**awkward_options)))
    return {table.name: table for table in all_tables(study)}


def shown(table: Table) -> list[dict[str, str]]:
    headers = [column.header for column in table.columns]
    return [dict(zip(headers, (mark.text for mark in row), strict=True)) for row in table.cells()]


def test_every_cell_of_the_suite_has_a_row_in_the_final_table(awkward: dict[str, Table]) -> None:
    rows = shown(awkward["final"])
    assert len(rows) == 12
    by_name = {(row["Task"], row["Strategy"]): row for row in rows}
    assert by_name["wine-mlp", "skopt-gp"]["n"] == "skipped"
    assert by_name["digits-mlp", "genetic"]["n"] == "9 (1 failed)"
    assert by_name["digits-cnn", "random"]["n"] == "9 (1 missing)"
    assert by_name["digits-mlp", "grid"]["n"] == "10 (10 exhausted)"
    assert by_name["digits-mlp", "random"]["Test vs random (points)"] == "-"
    assert by_name["digits-mlp", "skopt-gp"]["Test vs random (points)"].startswith("+")


def test_exactly_the_best_of_each_task_is_bold(awkward: dict[str, Table]) -> None:
    table = awkward["final"]
    bold = [
        row
        for row, marks in zip(table.values.to_dict("records"), table.cells(), strict=True)
        if any(m.bold for m in marks)
    ]
    for task in ("digits-mlp", "digits-cnn", "wine-mlp"):
        rows = table.values[table.values["task"] == task]
        best = rows.loc[rows["test_error"].idxmin(), "strategy"]
        assert best in [row["strategy"] for row in bold if row["task"] == task]


def test_every_caption_says_what_the_table_rests_on(awkward: dict[str, Table]) -> None:
    for table in awkward.values():
        assert "Partial: 108 of 110 runs." in table.caption
        assert "n = 10 of each" in table.caption
        assert "Failed: " in table.caption
        assert "1 of 120 runs" in table.caption


def test_a_skipped_strategy_has_no_mean_rank(awkward: dict[str, Table]) -> None:
    rows = {row["Strategy"]: row for row in shown(awkward["ranks"])}
    assert rows["skopt-gp"]["Mean of tasks"] == "-"
    assert rows["skopt-gp"]["wine-mlp"] == "-"
    assert float(rows["random"]["Mean of tasks"]) > 1


def test_time_by_part_adds_up(awkward: dict[str, Table], make_study: MakeStudy) -> None:
    values = awkward["time"].values
    parts = values[["ask_seconds", "train_seconds", "evaluate_seconds", "tell_seconds"]].sum(axis=1)
    assert values["seconds"].to_list() == pytest.approx(parts.to_list())
    frames = load_frames(make_study(repetitions=2))
    total = sum(frames.trials[f"{part}_seconds"].sum() for part in ("ask", "train", "evaluate", "tell"))
    table = next(t for t in all_tables(study_of(frames)) if t.name == "time")
    assert table.values["total_seconds"].sum() == pytest.approx(total)


def test_statuses_add_up_to_the_trials_and_runs(awkward: dict[str, Table]) -> None:
    values = awkward["status"].values
    assert values[["ok", "diverged"]].to_numpy().sum() == awkward["time"].values["trials"].sum()
    states = ["pending", "running", "complete", "exhausted", "failed", "skipped"]
    assert (values[states].sum(axis=1) == 10).all()
    headers = [column.header for column in awkward["status"].columns]
    assert "Trials diverged" in headers
    assert "Trials timeout" not in headers


def test_trouble_is_listed_with_its_reason(awkward: dict[str, Table]) -> None:
    rows = shown(awkward["trouble"])
    assert [row["State"] for row in rows] == ["failed", "skipped"]
    assert rows[0]["Message"] == "ValueError: it broke"
    assert "CONDITIONAL" in rows[1]["Message"]
    assert rows[1]["Repetition"] == "all"


def test_finished_runs_that_lost_trials_are_one_row_a_cell_with_the_most_frequent_reason(
    make_study: MakeStudy,
) -> None:
    folder = make_study(repetitions=4, failure_rate=0.3)
    with Store.open(folder) as store:
        for number, reason in enumerate(("diverged", "error: no", "error: no")):
            run = RunKey("wine-mlp", "grid", number)
            store.set_run_state(run, RunState.EXHAUSTED, f"{reason}\nsomewhere")
    frames = load_frames(folder)
    (row,) = shown(trouble_table(frames))
    cells = frames.runs[(frames.runs["task"] == "wine-mlp") & (frames.runs["strategy"] == "grid")]
    assert (row["Task"], row["Strategy"], row["State"], row["Message"]) == (
        "wine-mlp",
        "grid",
        "exhausted",
        "error: no",
    )
    assert row["Repetition"] == "3 of them"
    assert (row["Trials"], row["Failed trials"]) == ("60", str(cells["failures"].iloc[:3].sum()))


def test_a_study_without_trouble_has_no_table_of_it(make_study: MakeStudy) -> None:
    names = [table.name for table in all_tables(study_of(load_frames(make_study(repetitions=2))))]
    expected = ["final", "across", "ranks", "pairs", "targets", "selection", "time", "status", "references"]
    assert names == expected


def test_a_single_strategy_is_compared_with_nothing(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study(strategies=("random",), repetitions=2)))
    headers = [column.header for column in all_tables(study)[0].columns]
    assert not [header for header in headers if "vs" in header]


def test_selection_table_shows_costs(awkward: dict[str, Table]) -> None:
    values = awkward["selection"].values
    assert (values["gap"] >= 0).all()
    assert (values["gap"] >= values["overtuning"] - 1e-12).all()
    assert len(values) == 11  # the skipped cell has nothing to show

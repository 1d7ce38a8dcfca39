"""Tasks that have a value and no accuracy, in the figures of the report and in a notebook."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from hpbench.analysis import load_frames, write_report
from hpbench.analysis.canvas import drawing
from hpbench.analysis.comparison import final_values, study_of
from hpbench.analysis.notebook import load
from hpbench.analysis.value_curves import value_figure

MakeStudy = Callable[..., Path]
MIXED: dict[str, Any] = {
    "tasks": ("digits-mlp", "branin"),
    "functions": ("branin",),
    "objective": "loss",
    "repetitions": 6,
    "trials": 6,
}


def test_the_curve_of_a_value_ends_at_the_median_of_the_final_values(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study(**MIXED)))
    medians = np.median(final_values(study.curves["branin"]), axis=1)
    with drawing():
        drawn = value_figure(study, "trials")
    (readout,) = drawn.readouts
    assert readout.names == ("best-value-trials", "branin")
    for median, line in zip(medians, readout.lines.values(), strict=True):
        assert line.y[-1] == pytest.approx(median)
        assert np.all(line.low <= line.y)
        assert np.all(np.diff(line.y) <= 0)
    (panel,) = drawn.figure.axes
    low, high = panel.get_ylim()
    assert low < medians.min() < medians.max() < high
    assert "accuracy (%)" not in panel.get_ylabel()


def test_no_figure_calls_a_value_an_accuracy_or_a_finished_task_empty(make_study: MakeStudy) -> None:
    for options, accuracy in ((MIXED, True), ({**MIXED, "tasks": ("branin",)}, False)):
        folder = make_study(**options)
        write_report(folder)
        names = {path.stem for path in (folder / "figures").glob("*.svg")}
        assert {"best-value-trials", "best-value-seconds", "final-test", "regret-by-task"} <= names
        assert ("best-validation-trials" in names) == ("difference" in names) == accuracy
        page = (folder / "report.html").read_text(encoding="utf-8")
        assert "no results" not in page
        assert page.count('id="view-trials-value-') == 1
        index = (folder / "figures" / "README.md").read_text(encoding="utf-8")
        with_accuracy = ("best-test", "best-validation", "difference", "learning")
        left_out = "Left out, for they have values and no accuracy: branin."
        assert index.count(left_out) == sum(name.startswith(with_accuracy) for name in names)
        said = "There are no test data in branin: the value that is minimised stands for both errors."
        assert index.count(said) == len(names & {"regret", "rank", "profile", "regret-by-task"})
        rows = csv.DictReader(io.StringIO((folder / "tables" / "curves.csv").read_text(encoding="utf-8")))
        assert {row["part"] for row in rows if row["task"] == "branin"} == {"value"}


def test_a_notebook_draws_the_values_of_a_task_without_accuracy(make_study: MakeStudy) -> None:
    study = load(make_study(**MIXED))
    (panel,) = study.plot_best(task="branin").axes
    assert panel.get_ylabel() == "smallest value so far"
    assert [axes.get_title() for axes in study.plot_best().axes] == ["digits-mlp"]
    axes = Figure().add_subplot()
    study.plot_best("seconds", task="branin", ax=axes)
    assert axes.get_ylabel() == "smallest value so far"
    assert len(axes.lines) > 0

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpbench.analysis import load_frames
from hpbench.analysis.comparison import study_of
from hpbench.analysis.curve_keys import Axis, about_curves, legend_entries
from hpbench.analysis.curves import (
    TaskCurves,
    band_over_seconds,
    band_over_trainings,
    band_over_trials,
    step_at,
    task_curves,
)
from hpbench.analysis.figures import bands_of
from hpbench.study import RunState

MakeStudy = Callable[..., Path]
NAN = math.nan


def curves_of(
    objective: list[list[float]], states: list[str], seconds: list[list[float]] | None = None
) -> TaskCurves:
    """Return the curves of one strategy; NaN at the end of a row means that the run ended."""
    values = np.array([objective])
    length = np.array([[max((i + 1 for i, v in enumerate(row) if v != -1), default=0) for row in objective]])
    values = np.where(values == -1, NAN, values)
    times = np.array([seconds]) if seconds else np.ones(values.shape)
    return TaskCurves(
        task="t",
        strategies=("s",),
        state=np.array([states]),
        length=length,
        objective=values,
        errors={"val": values, "test": values + 0.1},
        status=np.zeros(values.shape, dtype=np.int8),
        elapsed=np.cumsum(times, axis=2),
        trainings=np.cumsum(times, axis=2) / 2,
        full_epochs=2,
    )


END = -1.0


def test_dense_arrays_hold_every_trial_in_its_place(make_study: MakeStudy) -> None:
    frames = load_frames(make_study(repetitions=3, trials=5))
    curves = task_curves(frames, "digits-cnn")
    assert curves.objective.shape == (4, 3, 5)
    rows = frames.trials[frames.trials["task"] == "digits-cnn"]
    for row in rows.itertuples():
        place = (frames.strategies.index(row.strategy), row.repetition, row.number)
        assert curves.objective[place] == pytest.approx(row.objective, nan_ok=True)
        assert curves.errors["test"][place] == pytest.approx(row.test_error, nan_ok=True)
    total = rows[[c for c in rows if c.endswith("_seconds")]].to_numpy().sum()
    assert curves.elapsed[..., -1].sum() == pytest.approx(total)


def test_the_median_of_complete_runs() -> None:
    curves = curves_of([[0.5, 0.3], [0.4, 0.4], [0.6, NAN]], ["complete"] * 3)
    band = band_over_trials(curves, 0, "val")
    assert band.x.tolist() == [1, 2]
    assert band.centre.tolist() == [0.5, 0.4]
    assert band.n == 3
    assert band_over_trials(curves, 0, "test").centre == pytest.approx([0.6, 0.5])


def test_a_finished_grid_is_carried_on_and_marked() -> None:
    curves = curves_of([[0.5, 0.3, END, END], [0.4, 0.2, END, END]], ["exhausted"] * 2)
    band = band_over_trials(curves, 0, "val")
    assert band.centre == pytest.approx([0.45, 0.25, 0.25, 0.25])
    assert band.exhausted_at == 2


@pytest.mark.parametrize("seconds", [[[1.0, 2.0], [2.0, 2.0]], [[1.0], [2.0]]])
def test_wall_time_ends_with_the_first_exhausted_run_marked_and_not_carried_on(
    seconds: list[list[float]],
) -> None:
    """The second case is a strategy of one trial: its first run ends before the second has a result."""
    curves = curves_of([[0.5, 0.3][: len(row)] for row in seconds], ["exhausted"] * 2, seconds=seconds)
    band = band_over_seconds(curves, 0, "val")
    assert band.exhausted_at == band.x[-1]
    assert not band.carried_on


def test_a_run_that_is_exhausted_after_the_end_of_the_curve_is_not_marked() -> None:
    curves = curves_of([[0.5, 0.3], [0.4, 0.2]], ["exhausted", "complete"], seconds=[[1, 9], [1, 2]])
    assert band_over_seconds(curves, 0, "val").exhausted_at is None


def test_legend_and_caption_say_carried_on_only_where_a_curve_is(make_study: MakeStudy) -> None:
    ends = {("digits-mlp", "grid", r): 3 for r in range(2)}
    study = study_of(
        load_frames(
            make_study(
                tasks=("digits-mlp",),
                repetitions=2,
                trials=6,
                failure_rate=0.0,
                lengths=ends,
                states=dict.fromkeys(ends, RunState.EXHAUSTED),
            )
        )
    )
    expected: tuple[tuple[Axis, bool], ...] = (("trials", True), ("seconds", False))
    for axis, carried in expected:
        bands = bands_of(study, axis, "val")
        texts = [text for _, text in legend_entries(study.frames, bands, twice=False)]
        assert ("exhausted, carried on" in texts, "exhausted" in texts) == (carried, not carried)
        (told,) = [
            line
            for line in about_curves(study.frames, bands, axis, twice=False)
            if line.startswith("A cross")
        ]
        assert told.endswith("carried on.") == carried


def test_a_crashed_run_is_not_carried_on_but_counts_as_worst() -> None:
    curves = curves_of(
        [[0.1, END, END], [0.4, 0.3, 0.2], [0.5, 0.4, 0.3]], ["failed", "complete", "complete"]
    )
    band = band_over_trials(curves, 0, "val")
    assert band.n == 3
    assert band.centre == pytest.approx([0.4, 0.4, 0.3])
    assert np.isnan(band.runs[0, 1:]).all()
    assert np.isnan(curves.final_error("val")[0, 0])


def test_before_the_first_success_a_run_counts_as_worst() -> None:
    curves = curves_of([[NAN, 0.1], [0.4, 0.3], [NAN, 0.2]], ["complete"] * 3)
    assert band_over_trials(curves, 0, "val").centre == pytest.approx([math.inf, 0.2])


def test_running_runs_wait_until_they_have_ended_if_others_have() -> None:
    curves = curves_of([[0.4, 0.3, 0.2], [0.1, END, END]], ["complete", "running"])
    band = band_over_trials(curves, 0, "val")
    assert band.n == 1
    assert band.centre.tolist() == [0.4, 0.3, 0.2]


def test_while_none_has_ended_curves_go_as_far_as_all_have_come() -> None:
    curves = curves_of([[0.4, 0.3, 0.2], [0.2, 0.1, END], [END, END, END]], ["running", "running", "pending"])
    band = band_over_trials(curves, 0, "val")
    assert band.n == 2
    assert band.centre == pytest.approx([0.3, 0.2])


def test_a_run_in_which_nothing_succeeded_has_failed() -> None:
    curves = curves_of([[NAN, NAN], [0.2, 0.1]], ["complete", "complete"])
    assert curves.failed.tolist() == [[True, False]]
    assert np.isnan(curves.final_error("test")[0, 0])


def test_wall_time_starts_when_all_have_a_result_and_ends_with_the_first_end() -> None:
    curves = curves_of(
        [[0.5, 0.3, 0.2], [NAN, 0.4, 0.1]], ["complete"] * 2, seconds=[[1.0, 1.0, 4.0], [1.5, 1.5, 1.0]]
    )
    band = band_over_seconds(curves, 0, "val")
    assert (band.x[0], band.x[-1]) == (3.0, 4.0)
    assert band.runs[:, 0].tolist() == [0.3, 0.4]
    assert band.runs[:, -1].tolist() == [0.3, 0.1]


def test_full_trainings_are_an_axis_like_seconds(make_study: MakeStudy) -> None:
    curves = curves_of(
        [[0.5, 0.3, 0.2], [NAN, 0.4, 0.1]], ["complete"] * 2, seconds=[[1.0, 1.0, 4.0], [1.5, 1.5, 1.0]]
    )
    band = band_over_trainings(curves, 0, "val")
    assert (band.x[0], band.x[-1]) == (1.5, 2.0)
    frames = load_frames(make_study(repetitions=1, trials=4))
    assert task_curves(frames, "wine-mlp").trainings[0, 0].tolist() == [1, 2, 3, 4]


def test_a_crashed_run_does_not_choose_the_end_of_wall_time() -> None:
    curves = curves_of(
        [[0.5, END], [0.4, 0.2], [0.4, 0.3]],
        ["failed", "complete", "complete"],
        seconds=[[1, 1], [2, 8], [2, 9]],
    )
    band = band_over_seconds(curves, 0, "val")
    assert (band.x[0], band.x[-1]) == (2.0, 10.0)
    assert np.isnan(band.runs[0, -1])
    assert band.centre[-1] == pytest.approx(
        0.4
    )  # 0.2, 0.4 (its trial ends at 11), and the crashed one as worst


def test_wall_time_of_nothing_is_empty() -> None:
    curves = curves_of([[END, END]], ["pending"])
    assert len(band_over_seconds(curves, 0, "val").x) == 0
    assert len(band_over_trials(curves, 0, "val").x) == 0


def test_steps_hold_the_previous_value_never_a_mixture() -> None:
    times, values = np.array([[1.0, 3.0, END]]), np.array([[0.5, 0.2, NAN]])
    grid = np.array([0.5, 1.0, 2.9, 3.0, 9.0])
    found = step_at(times, values, np.array([2]), grid, np.array([False]))
    assert found[0].tolist()[1:] == [0.5, 0.5, 0.2, 0.2]
    assert math.isnan(found[0, 0])
    crashed = step_at(times, values, np.array([2]), grid, np.array([True]))
    assert math.isnan(crashed[0, -1])


def test_final_scores_need_a_run_that_ended(make_study: MakeStudy, awkward_options: dict[str, Any]) -> None:
    frames = load_frames(make_study(**awkward_options))
    curves = task_curves(frames, "digits-cnn")
    final = curves.final_error("test")
    assert curves.state[0, 9] == RunState.RUNNING
    assert np.isnan(final[0, 9])
    assert np.isfinite(final[0, :9]).all()


def test_a_task_without_a_trial_has_empty_curves(make_study: MakeStudy) -> None:
    curves = task_curves(load_frames(make_study(trials=0, repetitions=2)), "wine-mlp")
    assert curves.n_trials == 0
    assert np.isnan(curves.final_error("val")).all()

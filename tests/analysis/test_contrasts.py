from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from hpbench.analysis import load_frames
from hpbench.analysis.canvas import drawing, settle
from hpbench.analysis.comparison import study_of
from hpbench.analysis.contrasts import contrast_figures, heat_figure
from hpbench.analysis.figures import bands_of, best_figure
from hpbench.analysis.overview import status_figure
from hpbench.analysis.rivals import across_table
from hpbench.analysis.scores import final_figure
from hpbench.analysis.standing import standing_figures
from hpbench.study import RunState

MakeStudy = Callable[..., Path]
TWO = ("digits-mlp", "breast-cancer-mlp")
MANY = tuple(f"openml-task-{number}" for number in range(25))
EIGHT = tuple(f"task-{number}" for number in range(8))


def test_the_critical_difference_is_drawn_from_enough_tasks_on(make_study: MakeStudy) -> None:
    gains = {"skopt-gp": 0.05, "genetic": 0.05}
    study = study_of(load_frames(make_study(tasks=EIGHT, repetitions=2, gains=gains, failure_rate=0.0)))
    with drawing():
        drawn = {item.name: item for item in contrast_figures(study)}
        (panel,) = drawn["critical-difference"].figure.axes
        assert "Friedman's test" in drawn["critical-difference"].caption
        widths = [line.get_linewidth() for line in panel.lines]
        assert len(panel.get_yticklabels()) == 4
        assert widths.count(3) >= 1  # bars, and as many as there are cliques
        assert "Pairs: Wilcoxon's signed-rank test" in drawn["critical-difference"].caption


def test_a_difference_to_the_right_is_better(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study(repetitions=10, tasks=("digits-mlp",))))
    with drawing():
        (forest,) = [item for item in contrast_figures(study) if item.name == "difference"]
        (panel,) = forest.figure.axes
        points = [line.get_xydata() for line in panel.lines if len(line.get_xydata()) == 1]
        cells = {cell.strategy: cell for cell in study.comparisons["digits-mlp"].cells}
        shown = {float(np.asarray(point)[0, 1]): float(np.asarray(point)[0, 0]) for point in points}
        for row, name in enumerate(("grid", "skopt-gp", "genetic")):
            versus = cells[name].versus
            assert versus is not None
            assert shown[row] == pytest.approx(100 * versus.difference.centre)


@pytest.mark.parametrize(("repetitions", "strokes", "intervals"), [(4, 4, 0), (7, 7, 1), (10, 0, 1)])
def test_few_differences_are_shown_one_by_one(
    make_study: MakeStudy, repetitions: int, strokes: int, intervals: int
) -> None:
    options = {"tasks": ("digits-mlp",), "strategies": ("random", "skopt-gp"), "failure_rate": 0.0}
    study = study_of(load_frames(make_study(repetitions=repetitions, **options)))
    with drawing():
        (forest,) = [item for item in contrast_figures(study) if item.name == "difference"]
        (panel,) = forest.figure.axes
    drawn = [np.asarray(line.get_xdata()) for line in panel.lines if line.get_marker() == "|"]
    assert [len(x) for x in drawn] == [strokes] * (strokes > 0)
    assert sum(line.get_linewidth() == 1.4 for line in panel.lines) == intervals
    keys = [text.get_text() for text in forest.figure.legends[0].get_texts()]
    assert any("95 %" in key for key in keys) == bool(intervals)
    final = study.curves["digits-mlp"].final_error("test")
    for x in drawn:
        assert sorted(x) == pytest.approx(sorted(100 * (final[0] - final[1])))


@pytest.mark.parametrize(
    ("repetitions", "band", "dots"),
    [(4, "No bands below 5", True), (7, "Student's t", True), (10, "stratified percentile", False)],
)
def test_uncertainty_over_tasks_is_shown_as_the_repetitions_allow(
    make_study: MakeStudy, repetitions: int, band: str, *, dots: bool
) -> None:
    study = study_of(load_frames(make_study(repetitions=repetitions, trials=4, failure_rate=0.0)))
    with drawing():
        drawn = {item.name: item for item in standing_figures(study)}
        for name in ("regret", "rank", "profile"):
            item = drawn[name]
            assert band in item.caption
            assert f"(n = {repetitions}), then over 3 tasks." in item.caption
            assert any(panel.collections for panel in item.figure.axes) == (repetitions > 4)
            (legend,) = item.figure.legends
            assert any("band" in text.get_text() for text in legend.texts) == (repetitions > 4)
        ends = [line for line in drawn["rank"].figure.axes[0].lines if line.get_marker() == "."]
        assert [len(line.get_xydata()) for line in ends] == [repetitions] * 4 * dots
        assert ("dots at the end" in drawn["rank"].caption) == dots
        for name in ("regret", "rank"):
            asked = [(readout.names, len(readout.lines)) for readout in drawn[name].readouts]
            assert asked == [((name, "val"), 4), ((name, "test"), 4)]


def test_captions_count_the_tasks_that_have_a_scale_and_the_repetitions_used(make_study: MakeStudy) -> None:
    pending = {("digits-mlp", "genetic", place): 0 for place in range(3, 10)}
    states = dict.fromkeys(pending, RunState.PENDING)
    frames = load_frames(make_study(trials=3, lengths=pending, states=states, failure_rate=0.0))
    frames.trials.loc[frames.trials["task"] == "wine-mlp", "test_error"] = 0.25
    study = study_of(frames)
    with drawing():
        caption = {item.name: item.caption for item in standing_figures(study)}["regret"]
    for text in (caption, across_table(study).caption):
        assert "(n = 3 to 10), then over 3 tasks on validation data, 2 tasks on test data." in text
        assert "regret has no scale: on test data wine-mlp." in text


def test_the_heat_map_prints_every_number_and_a_dash_for_none(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study(repetitions=2, skipped=[("wine-mlp", "skopt-gp")])))
    with drawing():
        (heat,) = [item for item in contrast_figures(study) if item.name == "regret-by-task"]
        texts = [text.get_text() for text in heat.figure.axes[0].texts]
    assert len(texts) == 12
    assert texts.count("-") == 1


@pytest.mark.parametrize(("strategies", "tasks"), [(4, TWO), (22, TWO), (22, EIGHT), (7, EIGHT), (3, MANY)])
def test_no_text_of_the_heat_map_lies_on_another(
    make_study: MakeStudy, strategies: int, tasks: tuple[str, ...]
) -> None:
    names = ("random", *(f"library-strategy-{number}" for number in range(strategies - 1)))
    study = study_of(load_frames(make_study(tasks=tasks, strategies=names, repetitions=2, trials=3)))
    with drawing():
        figure = heat_figure(study).figure
        (panel,) = figure.axes
        settle(figure)
        renderer = FigureCanvasAgg(figure).get_renderer()
        for texts in (panel.texts, panel.get_xticklabels(), panel.get_yticklabels()):
            boxes = [text.get_window_extent(renderer) for text in texts]
            assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
            assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
        assert len(panel.texts) == strategies * len(tasks)


def test_one_strategy_alone_is_compared_with_nobody(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study(repetitions=2, trials=3, strategies=("genetic",))))
    with drawing():
        assert [item.name for item in contrast_figures(study)] == ["regret-by-task"]
        assert [item.name for item in standing_figures(study)] == ["targets"]


def test_a_legend_names_who_takes_part_and_a_caption_who_does_not(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study(repetitions=2, skipped=[("wine-mlp", "skopt-gp")])))
    with drawing():
        for drawn in standing_figures(study):
            names = set().union(*(readout.lines for readout in drawn.readouts))
            assert "skopt-gp" not in names
            if drawn.name == "targets":
                assert "Left out, for on some task no run of theirs has ended: skopt-gp." in drawn.caption
            if drawn.name in {"regret", "rank", "profile"}:
                assert "Left out, for they cannot search every task: skopt-gp." in drawn.caption


def test_without_any_result_the_figures_are_empty_but_whole(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study(repetitions=2, trials=2, failure_rate=1.0)))
    with drawing():
        names = {item.name for item in [*standing_figures(study), *contrast_figures(study)]}
    assert {"targets", "regret-by-task", "difference"} <= names


def test_what_is_counted_has_whole_ticks_alone(make_study: MakeStudy) -> None:
    options = {"tasks": EIGHT, "repetitions": 2, "trials": 1, "failure_rate": 0.0}
    study = study_of(load_frames(make_study(**options, gains={"skopt-gp": 0.05, "genetic": 0.05})))
    bands = bands_of(study, "trials", "val")
    with drawing():
        drawn = {item.name: item for item in (*contrast_figures(study), *standing_figures(study))}
        counting = {
            "trials": best_figure(study, bands, "trials", "val", "accuracy").figure.axes[0].xaxis,
            "status": status_figure(study).figure.axes[0].xaxis,
            "critical": drawn["critical-difference"].figure.axes[0].xaxis,
            "rank": drawn["rank"].figure.axes[0].yaxis,
        }
        for name, axis in counting.items():
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_majorticklocs() if low <= tick <= high]
            assert ticks, name
            assert all(float(tick).is_integer() for tick in ticks), (name, ticks)


@pytest.mark.parametrize(
    ("strategies", "repetitions", "entries"), [(1, 1, 1), (1, 5, 2), (2, 4, 2), (2, 5, 3)]
)
def test_the_legend_of_final_scores_names_what_is_drawn(
    make_study: MakeStudy, strategies: int, repetitions: int, entries: int
) -> None:
    names = ("random", "grid")[:strategies]
    failed = {("wine-mlp", "random", 0): RunState.FAILED} if repetitions == 4 else {}
    options = {"strategies": names, "repetitions": repetitions, "states": failed, "failure_rate": 0.0}
    with drawing():
        drawn = final_figure(study_of(load_frames(make_study(tasks=("wine-mlp",), trials=2, **options))))
    assert len(drawn.figure.legends[0].get_texts()) == entries
    assert ("1 run ended without a result and has no point." in drawn.caption) == bool(failed)

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
from hpbench.analysis.standing import standing_figures

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
        few = study_of(load_frames(make_study(repetitions=2)))
        assert "critical-difference" not in {item.name for item in contrast_figures(few)}


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

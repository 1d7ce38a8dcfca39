"""The figure of the final scores: every run a point, repetitions joined."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpbench.analysis.canvas import Drawn, Entry, legend_below, no_results, panels
from hpbench.analysis.captions import basis, sentence_case
from hpbench.analysis.comparison import Study, final_values
from hpbench.analysis.statistics import Array
from hpbench.analysis.statistics.intervals import MIN_INTERVAL
from hpbench.analysis.style import Look, looks, wrapped
from hpbench.wording import counted

__all__ = ["final_figure"]


def final_figure(study: Study) -> Drawn:
    """Return F8: final test accuracy of every run, repetitions joined by thin lines, a panel a task.

    A task that has a value and no accuracy shows the smallest value of each run.
    """
    frames = study.frames
    k = len(frames.strategies)
    figure, axes = panels(len(frames.tasks), height=0.9 + 0.27 * k)
    styles = looks(frames.strategies)
    for place, (panel, task) in enumerate(zip(axes, frames.tasks, strict=True)):
        has_errors = frames.counted(task)
        curves = study.curves[task]
        scores = 100.0 * (1.0 - curves.final_error("test")) if has_errors else final_values(curves)
        panel.set_title(wrapped(task, 34))
        panel.set_yticks(range(k))
        panel.set_yticklabels(
            [wrapped(frames.label(name), 22, 2) for name in frames.strategies] if place % 3 == 0 else []
        )
        panel.set_ylim(k - 0.5, -0.5)
        panel.set_xlabel(f"final test {frames.measure(task)} (%)" if has_errors else "smallest value")
        if np.isfinite(scores).any():
            _draw_final(panel, scores, list(styles.values()), least=0.3 if has_errors else 0.0)
        else:
            no_results(panel)
    legend_below(figure, _entries(study))
    values = ", ".join(frames.value_tasks)
    measured = [f"test {frames.measure(*frames.counted_tasks)}"] if frames.counted_tasks else []
    shown = " and ".join([*measured, *(["smallest value"] if values else [])])
    caption = (
        f"{sentence_case(shown)} of each run's final incumbent; the points of one repetition, trained under the same seeds, "
        f"are joined. Boxes: median and middle half, from 5 repetitions on. {_without(study)}"
        + (f"Smaller is better in {values}, where the value is that of the search. " if values else "")
        + basis(frames)
    )
    return Drawn("final-test", f"Final {shown} of every run", caption, figure)


def _entries(study: Study) -> list[Entry]:
    """Return the legend of what is drawn: points, lines where there are two strategies, boxes from 5 repetitions on."""
    entries: list[Entry] = [(Line2D([], [], color="#777777", marker="o", linestyle=""), "one repetition")]
    if len(study.frames.strategies) > 1:
        entries.append((Line2D([], [], color="#BBBBBB", linewidth=0.6), "the same repetition"))
    cells = [cell for found in study.comparisons.values() for cell in found.cells]
    if any(cell.counts.n >= MIN_INTERVAL for cell in cells):
        entries.append((Patch(facecolor="#EEEEEE", edgecolor="#555555"), "median, middle half"))
    return entries


def _without(study: Study) -> str:
    """Return how many runs have no final score."""
    lost = sum(cell.counts.failed for found in study.comparisons.values() for cell in found.cells)
    if not lost:
        return ""
    return f"{counted(lost, 'run')} ended without a result and {'has' if lost == 1 else 'have'} no point. "


def _draw_final(panel: Axes, scores: Array, styles: list[Look], *, least: float) -> None:
    """Draw points, boxes and joining lines; ``scores`` has shape ``(k, n)``, ``least`` is beside them."""
    k, n = scores.shape
    shift = np.linspace(-0.16, 0.16, n) if n > 1 else np.zeros(1)
    height = np.arange(k)[:, None] + shift
    paths = np.stack([scores.T, height.T], axis=-1)
    if n <= 200:  # noqa: PLR2004 -- more lines are a grey sheet
        panel.add_collection(LineCollection(list(paths), colors="#BBBBBB", linewidths=0.4, zorder=1))
    for place, look in enumerate(styles):
        values = scores[place][np.isfinite(scores[place])]
        if len(values) >= MIN_INTERVAL:
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            panel.barh(
                place, high - low, 0.56, low, facecolor=look.colour, alpha=0.18, edgecolor="none", zorder=2
            )
            panel.plot(
                [middle, middle], [place - 0.28, place + 0.28], color=look.colour, linewidth=1.8, zorder=3
            )
        panel.plot(
            scores[place],
            height[place],
            look.marker,
            color=look.colour,
            markersize=2.6,
            alpha=0.8,
            zorder=4,
        )
    panel.grid(visible=False, axis="y")
    low, high = float(np.nanmin(scores)), float(np.nanmax(scores))
    pad = max(0.05 * (high - low), least) or 1.0
    panel.set_xlim(low - pad, high + pad)

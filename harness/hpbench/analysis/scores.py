"""The figure of the final scores: every run a point, repetitions joined."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpbench.analysis.canvas import Drawn, legend_below, no_results, panels
from hpbench.analysis.captions import basis
from hpbench.analysis.comparison import Study
from hpbench.analysis.statistics import Array
from hpbench.analysis.statistics.intervals import MIN_INTERVAL
from hpbench.analysis.style import Look, looks, wrapped

__all__ = ["final_figure"]


def final_figure(study: Study) -> Drawn:
    """Return F8: final test accuracy of every run, repetitions joined by thin lines, a panel a task."""
    frames = study.frames
    k = len(frames.strategies)
    figure, axes = panels(len(frames.tasks), height=0.9 + 0.27 * k, extra=0.35)
    styles = looks(frames.strategies)
    for place, (panel, task) in enumerate(zip(axes, frames.tasks, strict=True)):
        accuracy = 100.0 * (1.0 - study.curves[task].final_error("test"))
        panel.set_title(wrapped(task, 34))
        panel.set_yticks(range(k))
        panel.set_yticklabels(
            [wrapped(frames.label(name), 22, 2) for name in frames.strategies] if place % 3 == 0 else []
        )
        panel.set_ylim(k - 0.5, -0.5)
        panel.set_xlabel(f"final test {frames.measure(task)} (%)")
        if np.isfinite(accuracy).any():
            _draw_final(panel, accuracy, list(styles.values()))
        else:
            no_results(panel)
    legend_below(
        figure,
        [
            (Line2D([], [], color="#777777", marker="o", linestyle=""), "one repetition"),
            (Line2D([], [], color="#BBBBBB", linewidth=0.6), "the same repetition"),
            (Patch(facecolor="#EEEEEE", edgecolor="#555555"), "median, middle half"),
        ],
    )
    caption = (
        f"Test {frames.measure()} of each run's final incumbent; the points of one repetition, trained under the same seeds, "
        f"are joined. Boxes: median and middle half, from 5 repetitions on. {_without(study)}{basis(frames)}"
    )
    return Drawn("final-test", f"Final test {frames.measure()} of every run", caption, figure)


def _without(study: Study) -> str:
    """Return how many runs have no final score."""
    lost = sum(cell.counts.failed for found in study.comparisons.values() for cell in found.cells)
    return f"{lost} runs ended without a result and have no point. " if lost else ""


def _draw_final(panel: Axes, accuracy: Array, styles: list[Look]) -> None:
    """Draw points, boxes and joining lines; ``accuracy`` has shape ``(k, n)``."""
    k, n = accuracy.shape
    shift = np.linspace(-0.16, 0.16, n) if n > 1 else np.zeros(1)
    height = np.arange(k)[:, None] + shift
    paths = np.stack([accuracy.T, height.T], axis=-1)
    if n <= 200:  # noqa: PLR2004 -- more lines are a grey sheet
        panel.add_collection(LineCollection(list(paths), colors="#BBBBBB", linewidths=0.4, zorder=1))
    for place, look in enumerate(styles):
        values = accuracy[place][np.isfinite(accuracy[place])]
        if len(values) >= MIN_INTERVAL:
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            panel.barh(
                place, high - low, 0.56, low, facecolor=look.colour, alpha=0.18, edgecolor="none", zorder=2
            )
            panel.plot(
                [middle, middle], [place - 0.28, place + 0.28], color=look.colour, linewidth=1.8, zorder=3
            )
        panel.plot(
            accuracy[place],
            height[place],
            look.marker,
            color=look.colour,
            markersize=2.6,
            alpha=0.8,
            zorder=4,
        )
    panel.grid(visible=False, axis="y")
    low, high = float(np.nanmin(accuracy)), float(np.nanmax(accuracy))
    pad = max(0.05 * (high - low), 0.3)
    panel.set_xlim(low - pad, high + pad)

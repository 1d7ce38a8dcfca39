"""The figures of differences: paired ones to the baseline, regret by task, and the critical difference."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpbench.analysis.across import (
    Across,
    across_tasks,
    regret_scale,
)
from hpbench.analysis.canvas import Drawn, legend_below, no_results, panels, whole_ticks
from hpbench.analysis.captions import METHODS, about_accuracy, about_values, basis
from hpbench.analysis.comparison import Study, final_values
from hpbench.analysis.critical import CriticalDifference, ranking_of
from hpbench.analysis.evidence import ROPE
from hpbench.analysis.frames import Frames
from hpbench.analysis.statistics import Array, normalised_regret
from hpbench.analysis.statistics.intervals import MIN_BOOTSTRAP
from hpbench.analysis.style import DOUBLE, SINGLE, looks, wrapped
from hpbench.wording import counted

__all__ = ["SHADES", "contrast_figures", "critical_figure", "forest_figure", "heat_figure"]

_POINTS = 100 * ROPE
_DARK = "#111111"
_LIGHT = "#FEFEFE"
_HALF = 0.5
SHADES = colormaps["cividis_r"].resampled(100)
"""Shades of regret; so many that none is a grey that a dark page replaces."""

_NARROW = 6
"""Columns of numbers that fit a column of a paper."""

_LETTERS = 17.0
"""Characters of tick labels on an inch, roughly."""


def contrast_figures(study: Study) -> Iterator[Drawn]:
    """Yield the figures of differences that the study allows."""
    if study.frames.baseline is not None and study.frames.counted_tasks:
        yield forest_figure(study)
    found = across_tasks(study)
    if found.possible:
        critical = ranking_of(study, found)
        if not critical.reason:
            yield critical_figure(study, found, critical)
    yield heat_figure(study)


def forest_figure(study: Study) -> Drawn:
    """Return F9: paired differences of final test accuracy to the baseline, a panel a task that has one."""
    frames = study.frames
    tasks = frames.counted_tasks
    assert frames.baseline is not None  # noqa: S101 -- the caller saw to it
    rivals = [name for name in frames.strategies if name != frames.baseline]
    figure, axes = panels(len(tasks), height=0.95 + 0.25 * len(rivals))
    styles = looks(frames.strategies)
    intervals = False
    for place, (panel, task) in enumerate(zip(axes, tasks, strict=True)):
        cells = {cell.strategy: cell for cell in study.comparisons[task].cells}
        panel.axvspan(-_POINTS, _POINTS, color="#BBBBBB", alpha=0.35, linewidth=0, zorder=0)
        panel.axvline(0.0, color="#555555", linewidth=0.7, zorder=1)
        drawn = False
        for row, name in enumerate(rivals):
            versus = cells[name].versus
            if versus is None or not math.isfinite(versus.difference.centre):
                continue
            drawn = True
            found, look = versus.difference, styles[name]
            if found.n < MIN_BOOTSTRAP:
                seeds = _differences(study.curves[task].final_error("test"), frames, name)
                panel.plot(
                    100 * seeds, np.full(len(seeds), row), "|", color=look.colour, markersize=5, zorder=1
                )
            panel.plot(100 * found.centre, row, look.marker, color=look.colour, markersize=4.5)
            if found.exists:
                intervals = True
                panel.plot([100 * found.low, 100 * found.high], [row, row], color=look.colour, linewidth=1.4)
        panel.set_title(wrapped(task, 34))
        panel.set_yticks(range(len(rivals)))
        panel.set_yticklabels([wrapped(frames.label(n), 22, 2) for n in rivals] if place % 3 == 0 else [])
        panel.set_ylim(len(rivals) - _HALF, -_HALF)
        panel.set_xlabel(f"points of test {frames.measure(task)}")
        panel.grid(visible=False, axis="y")
        if not drawn:
            no_results(panel)
    base = frames.label(frames.baseline)
    legend_below(
        figure,
        [
            (
                Line2D([], [], color="#777777", marker="o", linestyle="-" if intervals else ""),
                f"mean difference to {base}" + (", 95 %" if intervals else ""),
            ),
            (Patch(color="#BBBBBB", alpha=0.6, linewidth=0), f"within ± {_POINTS:g} points"),
        ],
    )
    caption = (
        f"Paired difference of final test {frames.measure(*tasks)} to {base}, mean over the repetitions in which neither run failed; "
        f"right of zero the strategy is better. {METHODS} Below 10 repetitions each of them is a stroke. Grey: differences of "
        f"at most {_POINTS:g} points, practically none. {about_accuracy(frames)}{basis(frames)}"
    )
    return Drawn("difference", "Paired differences to the baseline", caption, figure)


def _differences(errors: Array, frames: Frames, strategy: str) -> Array:
    """Return the differences to the baseline, one a repetition that both have; positive is better."""
    assert frames.baseline is not None  # noqa: S101 -- the caller saw to it
    found = errors[frames.strategies.index(frames.baseline)] - errors[frames.strategies.index(strategy)]
    return np.asarray(found[np.isfinite(found)])


def heat_figure(study: Study) -> Drawn:
    """Return F11: mean final normalised test regret of every strategy on every task, numbers printed.

    The longer list goes down the page, where there is room.
    """
    frames = study.frames
    values = np.array([_final_regrets(study, task) for task in frames.tasks])
    across = [wrapped(frames.label(name), 14, 3) for name in frames.strategies]
    down = [wrapped(task, 22, 2) for task in frames.tasks]
    if len(across) > len(down):
        values = values.T
        across, down = (
            [wrapped(task, 14, 3) for task in frames.tasks],
            [wrapped(frames.label(name), 22, 2) for name in frames.strategies],
        )
    width = SINGLE if len(across) <= _NARROW else DOUBLE
    figure, (panel,) = panels(1, width=width, height=0.95 + 0.24 * len(down))
    _draw_heat(panel, values)
    panel.set_xticks(range(len(across)))
    panel.set_xticklabels(across)
    if (_letters(across) + 1) * len(across) > _LETTERS * width - _letters(down) - 3:
        panel.tick_params(axis="x", labelrotation=90)
    panel.set_yticks(range(len(down)))
    panel.set_yticklabels(down)
    caption = (
        "Mean final normalised regret by test error: 0 the lowest test error of any incumbent of the study on the task, "
        "1 the baseline's median after its first trial; lower is better. A failed run counts as 1, or as the worst of "
        f"its task; a dash: no run has ended, or nothing differs. {about_values(frames)}{basis(frames)}"
    )
    return Drawn("regret-by-task", "Normalised regret by task and strategy", caption, figure)


def _letters(texts: list[str]) -> int:
    """Return the characters of the longest line."""
    return max(len(line) for text in texts for line in text.splitlines())


def _draw_heat(panel: Axes, values: Array) -> None:
    """Draw a matrix of regrets in shades, each with its number; NaN as a dash."""
    rows, columns = values.shape
    panel.pcolormesh(
        np.arange(columns + 1) - _HALF,
        np.arange(rows + 1) - _HALF,
        np.ma.masked_where(np.isnan(values), np.clip(np.where(np.isnan(values), 0.0, values), 0.0, 1.0)),
        cmap=SHADES,
        vmin=0.0,
        vmax=1.0,
    )
    for (row, column), value in np.ndenumerate(values):
        text = "-" if math.isnan(value) else f"{value:.2f}"
        colour = "#555555" if math.isnan(value) else _LIGHT if value > 0.55 else _DARK  # noqa: PLR2004 -- by eye
        panel.text(column, row, text, ha="center", va="center", color=colour)
    panel.set_ylim(rows - _HALF, -_HALF)
    panel.grid(visible=False)


def _final_regrets(study: Study, task: str) -> Array:
    """Return the mean final regret of every strategy on one task, shape ``(k,)``."""
    curves = study.curves[task]
    best, reference = regret_scale(study.frames, curves, "test")
    if not reference > best:
        return np.full(len(curves.strategies), math.nan)
    has_errors = study.frames.counted(task)
    final = curves.final_error("test") if has_errors else final_values(curves)
    values = normalised_regret(final, best=best, reference=reference)
    worst = max(1.0, float(np.nanmax(values, initial=1.0)))
    values = np.where(curves.failed, worst, values)
    ended = np.isfinite(values)
    return np.array(
        [row[seen].mean() if seen.any() else math.nan for row, seen in zip(values, ended, strict=True)]
    )


def critical_figure(study: Study, found: Across, critical: CriticalDifference) -> Drawn:
    """Return F7: mean ranks over the tasks; bars join strategies that no test tells apart."""
    frames = study.frames
    names = [frames.strategies[index] for index in found.strategies]
    figure, (panel,) = panels(1, height=0.9 + 0.22 * len(names) + 0.12 * len(critical.bars))
    _draw_ranks(panel, frames, names, critical)
    if critical.test == "nemenyi":
        _draw_ruler(panel, critical.limit)
    caption = (
        f"Mean rank by test error over {counted(critical.n_tasks, 'task')} (each the mean of its repetitions), 1 is best. "
        f"{critical.omnibus}. {_PAIRS[critical.test].format(critical.limit, critical.needed)} "
        + (
            "Bars join strategies between any two of which it shows no difference. "
            if critical.passed
            else "As Friedman's test shows no difference, no bar is drawn. "
        )
        + about_values(frames)
        + basis(frames)
    )
    return Drawn("critical-difference", "Ranks over tasks and critical differences", caption, figure)


_PAIRS = {
    "wilcoxon": "Pairs: Wilcoxon's signed-rank test, Holm-adjusted over all of them.",
    "nemenyi": (
        "Pairs: Nemenyi's test, by which mean ranks differ from a critical difference (CD) of {:.2f} on; "
        "for Wilcoxon's with Holm's adjustment it takes {} tasks."
    ),
}


def _draw_ranks(panel: Axes, frames: Frames, names: list[str], critical: CriticalDifference) -> None:
    """Draw the strategies on a line of ranks, a row each, and the bars below them."""
    styles = looks(frames.strategies)
    order = np.argsort(critical.ranks, kind="stable")
    for row, index in enumerate(order):
        look = styles[names[index]]
        panel.plot(critical.ranks[index], row, look.marker, color=look.colour, markersize=5)
    for level, bar in enumerate(critical.bars):
        ends = critical.ranks[list(bar)]
        height = len(order) - 0.2 + 0.5 * level
        panel.plot([ends.min() - 0.03, ends.max() + 0.03], [height, height], color="#333333", linewidth=3)
    panel.set_yticks(range(len(order)))
    panel.set_yticklabels(
        [f"{wrapped(frames.label(names[i]), 26, 1)} ({critical.ranks[i]:.2f})" for i in order]
    )
    panel.set_ylim(len(order) - 0.4 + 0.5 * len(critical.bars), -0.5)
    panel.set_xlim(0.9, len(order) + 0.1)
    whole_ticks(panel.xaxis, most=9)
    panel.set_xlabel("mean rank (1 is best)")
    panel.grid(visible=False, axis="y")


def _draw_ruler(panel: Axes, limit: float) -> None:
    """Draw the critical difference as a length above the strategies, from rank 1 on."""
    bottom, _ = panel.get_ylim()
    panel.plot([1.0, 1.0 + limit], [-0.8, -0.8], color="#333333", linewidth=1.2, marker="|", markersize=6)
    panel.text(
        1.0 + limit / 2, -1.0, f"CD {limit:.2f}", ha="center", va="bottom", fontsize=6, color="#333333"
    )
    panel.set_ylim(bottom, -1.9)

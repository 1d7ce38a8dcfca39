"""The figures of two studies: what changed, the same curves over both clocks, the time of each trial."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from hpbench.analysis.canvas import Drawn, Entry, legend_below, log_ticks, no_results, panels
from hpbench.analysis.captions import METHODS
from hpbench.analysis.figures import Axis, bands_of
from hpbench.analysis.strokes import jumps
from hpbench.analysis.style import gid, looks, wrapped
from hpbench.analysis.two_studies import Between, Gate
from hpbench.wording import counted

__all__ = ["two_figures"]

_HALF = 0.5
_DASHES: tuple[tuple[float, tuple[float, ...]], ...] = ((0, ()), (0, (1.2, 1.2)))
_STARTUP = 0.15


def two_figures(between: Between, matched: pd.DataFrame, gate: Gate | None) -> Iterator[Drawn]:
    """Yield the figures that the studies allow."""
    yield _changes(between, gate)
    yield _curves(between, "trials")
    yield _curves(between, "seconds")
    if (matched["same"] & matched["ok"]).any():
        yield _times(between, matched)


def _changes(between: Between, gate: Gate | None) -> Drawn:
    """Return the change of every strategy with its interval, a panel a task."""
    names = between.strategies
    figure, axes = panels(len(between.tasks), height=0.95 + 0.25 * len(names))
    styles = looks(between.a.frames.strategies)
    for place, (panel, task) in enumerate(zip(axes, between.tasks, strict=True)):
        panel.axvline(0.0, color="#555555", linewidth=0.7, zorder=1)
        if gate is not None and gate.margin:
            panel.axvline(-100 * gate.margin, color="#D55E00", linewidth=0.8, linestyle="--", zorder=1)
        for change in (item for item in between.changes if item.task == task):
            rise, look, row = change.rise, styles[change.strategy], names.index(change.strategy)
            if not math.isfinite(rise.centre):
                continue
            panel.plot(-100 * rise.centre, row, look.marker, color=look.colour, markersize=4.5)
            if rise.exists:
                panel.plot([-100 * rise.high, -100 * rise.low], [row, row], color=look.colour, linewidth=1.4)
        panel.set_title(wrapped(task, 34))
        panel.set_yticks(range(len(names)))
        labels = [wrapped(between.a.frames.label(name), 22, 2) for name in names]
        panel.set_yticklabels(labels if place % 3 == 0 else [])
        panel.set_ylim(len(names) - _HALF, -_HALF)
        panel.set_xlabel(f"points of test {between.a.frames.measure(task)}")
        panel.grid(visible=False, axis="y")
    entries: list[Entry] = [(Line2D([], [], color="#777777", marker="o"), "mean change, 95 %")]
    if gate is not None and gate.margin:
        entries.append((Line2D([], [], color="#D55E00", linestyle="--"), f"error risen by {gate.margin:g}"))
    legend_below(figure, entries)
    caption = (
        f"Change of final test {between.a.frames.measure()} from {between.names[0]} to {between.names[1]}; right of zero the second is "
        f"better. {METHODS} Where repetitions are not paired, Welch's interval. Intervals are no tests: those are "
        "Wilcoxon's signed-rank test, unpaired his rank-sum test, Holm-adjusted, in the table."
    )
    return Drawn("compare-changes", "What changed", caption, figure)


def _curves(between: Between, axis: Axis) -> Drawn:
    """Return the median curves of both studies, a panel a task: the first solid, the second dotted."""
    figure, axes = panels(len(between.tasks))
    styles = looks(between.a.frames.strategies)
    bands = [bands_of(study, axis, "val") for study in (between.a, between.b)]
    for place, (panel, task) in enumerate(zip(axes, between.tasks, strict=True)):
        late: list[np.ndarray] = []
        for side, dash in enumerate(_DASHES):
            for name in between.strategies:
                band = bands[side][task].get(name)
                if band is None:
                    continue
                y = 100 * (1 - np.where(np.isfinite(band.centre), band.centre, math.nan))
                x, height = jumps(band.x, y)
                panel.step(
                    x,
                    height,
                    where="post",
                    color=styles[name].colour,
                    linestyle=dash,
                    gid=gid("line", f"{axis}{'ab'[side]}", task, name),
                )
                late.append(_late(y))
        if late:
            values = np.concatenate(late)
            pad = max(0.06 * float(np.nanmax(values) - np.nanmin(values)), 0.15)
            panel.set_ylim(float(np.nanmin(values)) - pad, float(np.nanmax(values)) + pad)
            if axis == "seconds":
                log_ticks(panel, "x")
        else:
            no_results(panel)
        panel.set_title(wrapped(task, 34))
        clocks = sorted({between.a.frames.clock, between.b.frames.clock})
        panel.set_xlabel("trials" if axis == "trials" else f"seconds ({' / '.join(clocks)} clock)")
        if place % 3 == 0:
            panel.set_ylabel(f"validation {between.a.frames.measure()} (%)")
    entries: list[Entry] = [
        (Line2D([], [], color=styles[name].colour), between.a.frames.label(name))
        for name in between.strategies
    ]
    entries += [
        (Line2D([], [], color="#777777", linestyle=dash), name)
        for dash, name in zip(_DASHES, between.names, strict=True)
    ]
    legend_below(figure, entries)
    what = "trials" if axis == "trials" else "seconds, each study on its own clock"
    caption = (
        f"Validation {between.a.frames.measure()} of the best so far against {what}: median over repetitions, {between.names[0]} solid, "
        f"{between.names[1]} dotted. A run without a result counts as worse than every other. The y axis may leave out "
        "the start of a curve."
    )
    return Drawn(f"compare-{axis}", f"The same curves against {axis}", caption, figure)


def _late(y: np.ndarray) -> np.ndarray:
    """Return the heights after the start, by which the limits are chosen."""
    start = int(len(y) * _STARTUP) if len(y) > 1 else 0
    chosen = y[start:]
    return chosen if np.isfinite(chosen).any() else y


def _times(between: Between, matched: pd.DataFrame) -> Drawn:
    """Return F14: seconds of the same trial in both studies, log-log, with the identity line."""
    good = matched[matched["same"] & matched["ok"]]
    good = good[(good["seconds_a"] > 0) & (good["seconds_b"] > 0)]
    figure, (panel,) = panels(1, height=2.9)
    seconds = good[["seconds_a", "seconds_b"]].to_numpy()
    ends = np.array([seconds.min() / 1.4, seconds.max() * 1.4])
    panel.plot(ends, ends, color="#555555", linewidth=0.8)
    entries: list[Entry] = []
    for task, look in looks(between.tasks).items():
        chosen = seconds[(good["task"] == task).to_numpy()]
        if len(chosen):
            marks = panel.plot(
                chosen[:, 0],
                chosen[:, 1],
                look.marker,
                color=look.colour,
                alpha=0.45,
                markersize=2.6,
                rasterized=len(good) > 2000,  # noqa: PLR2004 -- beyond, points as paths make the page large
                gid=gid("checks", "times", task),
            )
            entries.append((marks[0], task))
    panel.set_xlim(*ends)
    panel.set_ylim(*ends)
    log_ticks(panel, "x")
    log_ticks(panel, "y")
    panel.set_xlabel(wrapped(f"seconds a trial, {between.names[0]}", 60))
    panel.set_ylabel(wrapped(f"seconds a trial, {between.names[1]}", 34))
    entries.append((Line2D([], [], color="#555555", linewidth=0.8), "equal"))
    legend_below(figure, entries)
    caption = (
        f"Seconds of training and evaluation of {counted(len(good), 'trial')} that both studies were proposed alike and "
        f"that succeeded in both, each on its own clock ({between.a.frames.clock}, {between.b.frames.clock}); below the "
        f"line {between.names[1]} is faster."
    )
    return Drawn("compare-times", "Seconds of the same trial in both studies", caption, figure)

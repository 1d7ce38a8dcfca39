"""The figures about what a study took and how it ended: time by part, overhead, status, the clock's check."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpbench.analysis.canvas import Drawn, legend_below, log_ticks, no_results, panels, whole_ticks
from hpbench.analysis.captions import basis
from hpbench.analysis.clocks import BAND, agreement_text
from hpbench.analysis.comparison import Study
from hpbench.analysis.curves import STATUSES, TaskCurves
from hpbench.analysis.frames import TIME_PARTS, Frames
from hpbench.analysis.style import PART_COLOURS, STATUS_COLOURS, gid, looks, wrapped

__all__ = ["clock_figure", "overhead_figure", "status_figure", "time_figure"]

_HATCHES = {"ask": "", "train": "///", "evaluate": "\\\\\\\\\\\\", "tell": "xxx"}


def time_figure(study: Study) -> Drawn:
    """Return F12: mean seconds a trial, stacked by part, a panel a task."""
    frames = study.frames
    figure, axes = panels(len(frames.tasks), height=0.85 + 0.24 * len(frames.strategies))
    columns = [f"{part}_seconds" for part in TIME_PARTS]
    means = frames.trials.groupby(["task", "strategy"], observed=True)[columns].mean()
    for place, (panel, task) in enumerate(zip(axes, frames.tasks, strict=True)):
        rows = means.reindex(pd.MultiIndex.from_product([[task], frames.strategies])).fillna(0.0).to_numpy()
        _strategy_axis(panel, frames, task, labelled=place % 3 == 0)
        left = np.zeros(len(rows))
        for part, values in zip(TIME_PARTS, rows.T, strict=True):
            panel.barh(
                range(len(rows)),
                values,
                0.62,
                left,
                facecolor=PART_COLOURS[part],
                hatch=_HATCHES[part],
                edgecolor="white",
                linewidth=0,
            )
            left = left + values
        panel.set_xlabel("seconds a trial (mean)")
        if not left.any():
            no_results(panel)
    legend_below(
        figure,
        [
            (Patch(facecolor=PART_COLOURS[p], hatch=_HATCHES[p], edgecolor="white", linewidth=0), p)
            for p in TIME_PARTS
        ],
    )
    caption = (
        f"Mean seconds a trial by part on the {frames.clock} clock, failed trials included. {basis(frames)}"
    )
    return Drawn("time-by-part", "Where the time goes", caption, figure)


def _strategy_axis(panel: Axes, frames: Frames, task: str, *, labelled: bool) -> None:
    """Give the panel one line a strategy, the first on top."""
    panel.set_title(wrapped(task, 34))
    panel.set_yticks(range(len(frames.strategies)))
    names = [wrapped(frames.label(name), 22, 2) for name in frames.strategies]
    panel.set_yticklabels(names if labelled else [])
    panel.set_ylim(len(frames.strategies) - 0.5, -0.5)
    panel.grid(visible=False, axis="y")


def overhead_figure(study: Study) -> Drawn:
    """Return ask + tell seconds a trial, one point a run, logarithmic, a panel a task."""
    frames = study.frames
    figure, axes = panels(len(frames.tasks), height=0.85 + 0.24 * len(frames.strategies))
    thinking = frames.trials["ask_seconds"] + frames.trials["tell_seconds"]
    keys = [frames.trials[name] for name in ("task", "strategy", "repetition")]
    means = thinking.groupby(keys, observed=True).mean()
    styles = looks(frames.strategies)
    for place, (panel, task) in enumerate(zip(axes, frames.tasks, strict=True)):
        _strategy_axis(panel, frames, task, labelled=place % 3 == 0)
        drawn = []
        for row, (strategy, look) in enumerate(styles.items()):
            wanted = (means.index.get_level_values(0) == task) & (means.index.get_level_values(1) == strategy)
            values = np.maximum(means[wanted].to_numpy() * 1e3, 1e-4)
            if len(values):
                shift = np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else np.zeros(1)
                panel.plot(values, row + shift, look.marker, color=look.colour, markersize=2.8, alpha=0.6)
                middle = float(np.median(values))
                panel.plot([middle, middle], [row - 0.28, row + 0.28], color=look.colour, linewidth=1.8)
                drawn.append(values)
        panel.set_xlabel("ask + tell, ms a trial")
        if not drawn:
            no_results(panel)
            continue
        low, high = float(np.min(np.concatenate(drawn))), float(np.max(np.concatenate(drawn)))
        panel.set_xlim(low / 1.3, high * 1.3)
        log_ticks(panel, "x")
    legend_below(
        figure,
        [
            (Line2D([], [], color="#777777", marker="o", linestyle=""), "one run"),
            (Line2D([], [], color="#777777", linewidth=1.8), "median run"),
        ],
    )
    caption = f"What a strategy's own thinking takes: ask + tell, mean a trial of each run. {basis(frames)}"
    return Drawn("overhead", "Overhead of the strategies", caption, figure)


def status_figure(study: Study) -> Drawn:
    """Return F13: the status of every trial, a line a run, a panel a task."""
    frames = study.frames
    figure, axes = panels(len(frames.tasks), height=0.9 + 0.32 * len(frames.strategies))
    names = [*STATUSES, "none"]
    colours = ListedColormap([STATUS_COLOURS[name] for name in names])
    seen: set[str] = set()
    for place, (panel, task) in enumerate(zip(axes, frames.tasks, strict=True)):
        curves = study.curves[task]
        image = _status_image(curves)
        seen |= {names[code] for code in np.unique(image)}
        n = curves.state.shape[1]
        panel.imshow(
            image,
            cmap=colours,
            vmin=-0.5,
            vmax=len(names) - 0.5,
            aspect="auto",
            interpolation="nearest",
            extent=(0.5, image.shape[1] + 0.5, len(image) - 0.5, -0.5),
        )
        for border in range(1, len(curves.strategies)):
            panel.axhline(border * n - 0.5, color="#303030", linewidth=0.6)  # dark on every page, like pixels
        panel.set_title(wrapped(task, 34))
        panel.set_yticks([(row + 0.5) * n - 0.5 for row in range(len(curves.strategies))])
        labels = [wrapped(frames.label(name), 22, 2) for name in curves.strategies]
        panel.set_yticklabels(labels if place % 3 == 0 else [])
        panel.grid(visible=False)
        panel.set_xlabel("trial")
        whole_ticks(panel.xaxis, most=5)
    legend_below(
        figure,
        [
            (
                Patch(facecolor=STATUS_COLOURS[name], edgecolor="#777777", linewidth=0.5),
                _STATUS_WORDS.get(name, name),
            )
            for name in names
            if name in seen
        ],
    )
    caption = (
        "Status of every trial; one line a repetition, from 0 on top, grouped by strategy. White: no such trial "
        f"(not run yet, exhausted, failed or skipped). {basis(frames)}"
    )
    return Drawn("status", "Status of every trial", caption, figure)


def clock_figure(study: Study) -> Drawn:
    """Return modelled against measured seconds of the trials that were trained again, both logarithmic."""
    frames = study.frames
    figure, (panel,) = panels(1, height=2.8)
    styles = looks(frames.tasks)
    seconds = frames.checks[["modelled", "measured"]].to_numpy()
    ends = np.array([seconds.min() / 1.4, seconds.max() * 1.4])
    panel.fill_between(ends, ends * BAND[0], ends * BAND[1], color="#999999", alpha=0.3, linewidth=0)
    panel.plot(ends, ends, color="#555555", linewidth=0.8)
    drawn = []
    for task, look in styles.items():
        chosen = seconds[(frames.checks["task"] == task).to_numpy()]
        if not len(chosen):
            continue
        marks = panel.plot(
            chosen[:, 1],
            chosen[:, 0],
            look.marker,
            color=look.colour,
            alpha=0.8,
            gid=gid("checks", "clock", task),
        )
        drawn.append((marks[0], task))
    panel.set_xlim(*ends)
    panel.set_ylim(*ends)
    log_ticks(panel, "x")
    log_ticks(panel, "y")
    panel.set_xlabel("measured seconds a trial, alone")
    panel.set_ylabel("modelled seconds a trial")
    band = Patch(color="#999999", alpha=0.3, linewidth=0)
    legend_below(figure, [*drawn, (band, f"ratio {BAND[0]:g} to {BAND[1]:g}")])
    caption = (
        f"Seconds of training and evaluation of random trials: what they were charged, and what the reference trainer "
        f"took for them alone; the line is equality. {agreement_text(frames)} {basis(frames)}"
    )
    return Drawn("clock", "Modelled against measured seconds", caption, figure)


_STATUS_WORDS = {"out_of_memory": "out of memory", "none": "no trial"}
_WIDEST = 2000


def _status_image(curves: TaskCurves) -> np.ndarray:
    """Return status codes, shape ``(k * n, T)``, long runs thinned so that failures stay visible."""
    k, n, size = curves.status.shape
    if size == 0:
        return np.full((k * n, 1), len(STATUSES))
    codes = np.where(curves.status < 0, len(STATUSES), curves.status).reshape(k * n, size)
    if size <= _WIDEST:
        return codes
    step = math.ceil(size / _WIDEST)
    padded = np.pad(codes, ((0, 0), (0, -size % step)), constant_values=len(STATUSES))
    blocks = padded.reshape(k * n, -1, step)
    failures = np.where(blocks < len(STATUSES), blocks, -1).max(axis=2)
    return np.where(failures < 0, len(STATUSES), failures)

"""The curves: accuracy or error of the incumbent against trials and wall time, one panel a task."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hpbench.analysis.canvas import Drawn, Entry, legend_below, log_ticks, no_results, panels
from hpbench.analysis.captions import basis, repetitions_text
from hpbench.analysis.comparison import Study
from hpbench.analysis.curves import Band, Part, band_over_seconds, band_over_trials
from hpbench.analysis.frames import Frames
from hpbench.analysis.statistics import Array
from hpbench.analysis.statistics.intervals import MIN_INTERVAL
from hpbench.analysis.style import Look, gid, looks, wrapped

__all__ = ["Axis", "Bands", "Scale", "bands_of", "best_figure"]

Axis = Literal["trials", "seconds"]
Scale = Literal["accuracy", "error"]

_PARTS: dict[Part, str] = {"val": "validation", "test": "test"}
_STARTUP = 0.2
_MARKS = 6
_CROWD = 5


Bands = dict[str, dict[str, Band]]
"""Task → strategy → band; strategies without a result are absent."""


def bands_of(study: Study, axis: Axis, part: Part) -> Bands:
    """Return the centre and spread of every curve."""
    make = band_over_trials if axis == "trials" else band_over_seconds
    bands: Bands = {}
    for task, curves in study.curves.items():
        made = {name: make(curves, place, part) for place, name in enumerate(curves.strategies)}
        bands[task] = {name: band for name, band in made.items() if np.isfinite(band.centre).any()}
    return bands


def best_figure(study: Study, bands: Bands, axis: Axis, part: Part, scale: Scale) -> Drawn:
    """Return the incumbent's accuracy (or error, logarithmic) against trials or wall time, a panel a task."""
    frames = study.frames
    figure, axes = panels(len(frames.tasks), extra=_legend_height(len(frames.strategies) + 2))
    name = f"best-{_PARTS[part]}-{axis}" + ("-error" if scale == "error" else "")
    styles = looks(frames.strategies)
    for place, (panel, task) in enumerate(zip(axes, frames.tasks, strict=True)):
        panel.set_title(wrapped(task, 34))
        _draw_bands(panel, bands[task], styles, _view(frames, task, part, scale), (name, task))
        if bands[task]:
            _set_axes(panel, bands[task], axis, scale, _view(frames, task, part, scale))
        else:
            no_results(panel)
        panel.set_xlabel("trials" if axis == "trials" else f"seconds ({frames.clock} clock)")
        if place % 3 == 0:
            panel.set_ylabel(f"{_PARTS[part]} {'accuracy' if scale == 'accuracy' else 'error'} (%)")
    legend_below(figure, _legend(frames, bands, styles))
    what = "best by validation" if part == "val" else "test score of the best by validation"
    title = f"{'Accuracy' if scale == 'accuracy' else 'Error'} of the incumbent ({what}) against {axis}"
    return Drawn(name, title, _caption(frames, bands, axis, part, scale), figure)


def _view(frames: Frames, task: str, part: Part, scale: Scale) -> Callable[[Array], Array]:
    """Return the map from an error to what the y axis shows, in per cent.

    On the logarithmic scale an error of 0 is drawn at half an example.
    """
    size = frames.size_of(task, part)
    floor = 0.5 / size if size else 1e-4

    def view(error: Array) -> Array:
        known = np.where(np.isfinite(error), error, math.nan)
        return 100.0 * (1.0 - known) if scale == "accuracy" else 100.0 * np.maximum(known, floor)

    return view


def _draw_bands(
    panel: Axes,
    bands: dict[str, Band],
    styles: dict[str, Look],
    view: Callable[[Array], Array],
    names: tuple[str, str],
) -> None:
    """Draw every strategy of one task: the median, and the quartiles or the single repetitions."""
    alpha = 0.15 if len(bands) <= _CROWD else 0.07
    for place, (strategy, band) in enumerate(bands.items()):
        look = styles[strategy]
        _draw_spread(panel, band, look, view, (*names, strategy), alpha=alpha)
        _draw_centre(panel, band, look, view(band.centre), (*names, strategy))
        spots = _spots(len(band.x), place, len(bands))
        panel.plot(
            band.x[spots],
            view(band.centre)[spots],
            look.marker,
            color=look.colour,
            gid=gid("marks", *names, strategy),
        )


def _draw_spread(
    panel: Axes,
    band: Band,
    look: Look,
    view: Callable[[Array], Array],
    names: tuple[str, ...],
    *,
    alpha: float,
) -> None:
    """Draw the quartiles, from 5 repetitions on, or else the single repetitions."""
    if band.n < MIN_INTERVAL:
        lines = [_stepped(np.column_stack(_jumps(band.x, row))) for row in view(band.runs)]
        panel.add_collection(
            LineCollection(lines, colors=look.colour, linewidths=0.5, alpha=0.5, gid=gid("runs", *names))
        )
        return
    low = view(band.low)
    high = view(np.where(np.isfinite(band.high), band.high, 1.0))
    if band.x[0] == band.x[-1]:  # one point in time: an area would have no width
        panel.vlines(band.x[:1], low[:1], high[:1], color=look.colour, alpha=0.4, gid=gid("band", *names))
        return
    kept = _changes(np.stack([low, high]))
    panel.fill_between(
        band.x[kept],
        low[kept],
        high[kept],
        where=list(np.isfinite(low[kept])),
        step="post",
        color=look.colour,
        alpha=alpha,
        linewidth=0,
        gid=gid("band", *names),
    )


def _draw_centre(panel: Axes, band: Band, look: Look, centre: Array, names: tuple[str, ...]) -> None:
    """Draw the median: dotted, after a cross, once a run was exhausted."""
    until = len(band.x) if band.exhausted_at is None else int(np.sum(band.x <= band.exhausted_at))
    x, y = _jumps(band.x[:until], centre[:until])
    panel.step(x, y, where="post", color=look.colour, linestyle=look.dash, gid=gid("line", *names))
    if band.exhausted_at is None or not until:
        return
    x, y = _jumps(band.x[until - 1 :], centre[until - 1 :])
    panel.step(x, y, where="post", color=look.colour, linewidth=0.8, linestyle=":", gid=gid("filled", *names))
    panel.plot(x[0], y[0], "x", color="#222222", markersize=7, markeredgewidth=1.5, zorder=6)


def _stepped(line: Array) -> Array:
    """Return the corners of a right-continuous step function through ``line``, shape ``(n, 2)``."""
    doubled = np.repeat(line, 2, axis=0)
    return np.column_stack([doubled[1:, 0], doubled[:-1, 1]])


def _jumps(x: Array, y: Array) -> tuple[Array, Array]:
    """Return the points at which a step function changes, with its ends."""
    kept = _changes(y[None])
    return x[kept], y[kept]


def _changes(values: Array) -> NDArray[np.bool_]:
    """Return where any of several step functions, shape ``(n_functions, n_points)``, changes, and the ends."""
    before, after = values[:, :-1], values[:, 1:]
    changed = np.any((after != before) & ~(np.isnan(after) & np.isnan(before)), axis=0)
    kept = np.ones(values.shape[1], dtype=np.bool_)
    kept[1:-1] = changed[:-1]
    return kept


def _spots(n_points: int, place: int, count: int) -> list[int]:
    """Return where a curve's markers stand: spread out, and shifted from strategy to strategy."""
    if n_points <= _MARKS:
        return list(range(n_points))
    gap = n_points / _MARKS
    return sorted({min(int(gap * (mark + (place + 0.5) / count)), n_points - 1) for mark in range(_MARKS)})


def _set_axes(
    panel: Axes, bands: dict[str, Band], axis: Axis, scale: Scale, view: Callable[[Array], Array]
) -> None:
    """Choose limits in which the differences after the start are visible."""
    values = np.concatenate([view(_extent(band)[:, _late(band, axis)]).ravel() for band in bands.values()])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if axis == "seconds":
        log_ticks(panel, "x")
    else:
        if max(band.x[-1] for band in bands.values()) <= 1:
            panel.set_xlim(0.5, 1.5)
        panel.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if scale == "error":
        panel.set_ylim(low / 1.15, max(high * 1.15, low * 1.5))
        log_ticks(panel, "y")
        return
    pad = max(0.06 * (high - low), 0.15)
    panel.set_ylim(low - pad, min(high + pad, 100.0 + pad))


def _extent(band: Band) -> Array:
    """Return the errors that have to fit between the limits, shape ``(n_lines, n_points)``."""
    if band.n < MIN_INTERVAL:
        return band.runs
    return np.stack([band.low, band.centre, np.where(np.isfinite(band.high), band.high, band.centre)])


def _late(band: Band, axis: Axis) -> np.ndarray:
    """Return the points after the start, by which the limits are chosen."""
    if axis == "seconds":
        start = band.x[0] + _STARTUP * (math.sqrt(band.x[0] * band.x[-1]) - band.x[0])
    else:
        start = band.x[0] + _STARTUP * (band.x[-1] - band.x[0]) - 1e-9
    chosen = (band.x >= start) & np.isfinite(band.centre)
    return chosen if chosen.any() else np.isfinite(band.centre)


def _legend(frames: Frames, bands: Bands, styles: dict[str, Look]) -> list[Entry]:
    """Return the legend: the strategies, what the band is, what a cross means."""
    drawn = [band for by_strategy in bands.values() for band in by_strategy.values()]
    present = {name for by_strategy in bands.values() for name in by_strategy}
    entries: list[Entry] = [
        (Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.dash), frames.label(name))
        for name, look in styles.items()
        if name in present
    ]
    if any(band.n >= MIN_INTERVAL for band in drawn):
        entries.append((Patch(color="#777777", alpha=0.3, linewidth=0), "band: middle half (IQR)"))
    if any(1 < band.n < MIN_INTERVAL for band in drawn):
        entries.append((Line2D([], [], color="#777777", linewidth=0.5), "thin: single repetitions"))
    if any(band.exhausted_at is not None for band in drawn):
        entries.append((Line2D([], [], color="#777777", marker="x", linestyle=":"), "exhausted, carried on"))
    return entries


def _legend_height(entries: int) -> float:
    """Return the height of a legend in inches, roughly."""
    return 0.15 + 0.16 * -(-entries // 3)


def _caption(frames: Frames, bands: Bands, axis: Axis, part: Part, scale: Scale) -> str:
    """Return what is drawn, of how many repetitions, and what was done about failures."""
    counts = [band.n for by_strategy in bands.values() for band in by_strategy.values()]
    chosen = "The incumbent is the best trial so far by validation " + (
        "error" if frames.objective == "error" else "cross-entropy"
    )
    key = (
        "Lines: median over repetitions; bands: the middle half of them (IQR), from 5 repetitions on; "
        "below, thin lines show the single repetitions."
    )
    lines = [
        f"{chosen}; shown is its {_PARTS[part]} {scale}.",
        key,
        f"{repetitions_text(min(counts), max(counts)).capitalize()} runs a curve." if counts else "",
        "A run without a result (yet), or after a crash, counts as worse than every other.",
        "Curves of a grid show the order of enumeration, shuffled with the seed.",
    ]
    if axis == "seconds":
        lines.append(
            "Wall time is ask + train + evaluate + tell; a curve starts when each of its runs has a result "
            "and ends with the run that ended first."
        )
    if any(band.exhausted_at is not None for by_strategy in bands.values() for band in by_strategy.values()):
        lines.append("A cross marks the first run that was exhausted; its last result is carried on.")
    lines.append(
        "The y axis may leave out the start of a curve."
        if scale == "accuracy"
        else "An error of 0 is drawn at half an example; the y axis may leave out the start of a curve."
    )
    return " ".join([*(line for line in lines if line), basis(frames)])

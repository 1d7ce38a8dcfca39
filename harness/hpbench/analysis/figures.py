"""The curves: accuracy or error of the incumbent against trials and wall time, one panel a task."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from hpbench.analysis.canvas import Drawn, Entry, Line, Readout, legend_below, log_ticks, no_results, panels
from hpbench.analysis.captions import basis, repetitions_text, sentence_case
from hpbench.analysis.comparison import Study
from hpbench.analysis.curves import (
    Band,
    Part,
    band_over_epochs,
    band_over_seconds,
    band_over_trainings,
    band_over_trials,
)
from hpbench.analysis.frames import Frames
from hpbench.analysis.statistics import Array
from hpbench.analysis.statistics.intervals import MIN_INTERVAL
from hpbench.analysis.strokes import draw_bands
from hpbench.analysis.style import GREY, crowd_text, looks, wrapped
from hpbench.analysis.targets import random_name, random_twice

__all__ = ["Axis", "Bands", "Scale", "axes_of", "bands_of", "best_figure", "draw_best", "measured"]

Axis = Literal["trials", "trainings", "epochs", "seconds"]
Scale = Literal["accuracy", "error"]

_AXES: dict[Axis, str] = {
    "trials": "trials",
    "trainings": "full trainings' worth of epochs",
    "epochs": "epochs",
    "seconds": "seconds ({clock} clock)",
}
_PARTS: dict[Part, str] = {"val": "validation", "test": "test"}
_STARTUP = 0.2
_TRAININGS = "The x axis counts epochs in full trainings, so that trials that stop early cost what they took"


Bands = dict[str, dict[str, Band]]
"""Task → strategy → band; strategies without a result are absent."""


def bands_of(study: Study, axis: Axis, part: Part) -> Bands:
    """Return the centre and spread of every curve."""
    return study.once(("bands_of", axis, part), lambda: _bands_of(study, axis, part))


def _bands_of(study: Study, axis: Axis, part: Part) -> Bands:
    """Return the same, computed."""
    make = {
        "trials": band_over_trials,
        "trainings": band_over_trainings,
        "epochs": band_over_epochs,
        "seconds": band_over_seconds,
    }[axis]
    bands: Bands = {}
    for task, curves in study.curves.items():
        made = {name: make(curves, place, part) for place, name in enumerate(curves.strategies)}
        bands[task] = {name: band for name, band in made.items() if np.isfinite(band.centre).any()}
    return bands


def best_figure(
    study: Study, bands: Bands, axis: Axis, part: Part, scale: Scale, *, tasks: Sequence[str] | None = None
) -> Drawn:
    """Return the incumbent's accuracy (or error, logarithmic) against trials or time, a panel a task.

    Args:
        study: everything.
        bands: from :func:`bands_of`, of the same axis and part.
        axis: trials, full trainings' worth of epochs, or seconds.
        part: whose score is shown; the incumbent is always chosen by validation.
        scale: accuracy, linear, or error, logarithmic.
        tasks: the panels; all tasks by default.
    """
    frames = study.frames
    shown = tuple(frames.tasks if tasks is None else tasks)
    figure, axes = panels(len(shown), extra=_legend_height(len(frames.strategies) + 2))
    name = f"best-{_PARTS[part]}-{axis}" + ("-error" if scale == "error" else "")
    twice = False
    for place, (panel, task) in enumerate(zip(axes, shown, strict=True)):
        panel.set_title(wrapped(task, 34))
        twice |= _draw_task(panel, study, bands, task, (axis, part, scale), name=name)
        if place % 3 == 0:
            panel.set_ylabel(f"{_PARTS[part]} {measured(frames, shown, scale)} (%)")
    legend_below(figure, _legend(frames, {task: bands[task] for task in shown}, twice=twice))
    readouts = tuple(
        Readout(axis, "%", (name, task), _readings(bands[task], _view(frames, task, part, scale)))
        for task in shown
    )
    what = "best by validation" if part == "val" else "test score of the best by validation"
    title = f"{sentence_case(measured(frames, shown, scale))} of the incumbent ({what}) against {_AXES[axis].split(' (')[0]}"
    return Drawn(name, title, _caption(frames, bands, axis, part, scale, twice=twice), figure, readouts)


def measured(frames: Frames, tasks: Sequence[str], scale: Scale) -> str:
    """Return what the y axis shows."""
    measure = frames.measure(*tasks)
    if scale == "accuracy":
        return measure
    return {"accuracy": "error", "R²": "1 - R²"}.get(measure, "error or 1 - R²")


def draw_best(
    panel: Axes, study: Study, bands: Bands, task: str, *, axis: Axis, part: Part, scale: Scale
) -> list[Entry]:
    """Draw the curves of one task into somebody's axes, and return the entries of a legend."""
    twice = _draw_task(panel, study, bands, task, (axis, part, scale), name=f"best-{_PARTS[part]}-{axis}")
    panel.set_ylabel(f"{_PARTS[part]} {measured(study.frames, (task,), scale)} (%)")
    return _legend(study.frames, {task: bands[task]}, twice=twice)


def _draw_task(
    panel: Axes, study: Study, bands: Bands, task: str, what: tuple[Axis, Part, Scale], *, name: str
) -> bool:
    """Draw the curves of one task; return whether random search with twice the trials is among them."""
    frames = study.frames
    axis, part, scale = what
    view = _view(frames, task, part, scale)
    twice = False
    draw_bands(panel, bands[task], looks(frames.strategies), view, (name, task))
    if bands[task]:
        twice = part == "val" and _draw_twice(panel, study, task, axis, view)
        _set_axes(panel, bands[task], axis, scale, view)
    else:
        no_results(panel)
    panel.set_xlabel(_AXES[axis].format(clock=frames.clock))
    return twice


def _draw_twice(panel: Axes, study: Study, task: str, axis: Axis, view: Callable[[Array], Array]) -> bool:
    """Draw random search with two trials for every one, in grey; return whether there is such a line."""
    if axis != "trials" or study.frames.objective != "error" or random_name(study.frames) is None:
        return False
    expected = random_twice(study, task)
    if expected is None:
        return False
    x = np.arange(1.0, len(expected) + 1)
    panel.step(x, view(expected), where="post", color=GREY, linestyle="--", linewidth=1.0, zorder=1.5)
    return True


def _view(frames: Frames, task: str, part: Part, scale: Scale) -> Callable[[Array], Array]:
    """Return the map from an error to what the y axis shows, in per cent.

    On the logarithmic scale an error of 0 is drawn at half an example.
    """
    size = frames.size_of(task, part)
    floor = 0.5 / size if size and not frames.regression(task) else 1e-4

    def view(error: Array) -> Array:
        known = np.where(np.isfinite(error), error, math.nan)
        return 100.0 * (1.0 - known) if scale == "accuracy" else 100.0 * np.maximum(known, floor)

    return view


def _set_axes(
    panel: Axes, bands: dict[str, Band], axis: Axis, scale: Scale, view: Callable[[Array], Array]
) -> None:
    """Choose limits in which the differences after the start are visible."""
    values = np.concatenate([view(_extent(band)[:, _late(band, axis)]).ravel() for band in bands.values()])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if axis == "seconds":
        log_ticks(panel, "x")
    elif axis == "trials":
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


def _readings(bands: dict[str, Band], view: Callable[[Array], Array]) -> dict[str, Line]:
    """Return what a reader can ask the curves of one panel for; no spread below 5 repetitions."""
    nothing = np.array(math.nan)
    return {
        name: Line(
            band.x,
            view(band.centre),
            *(
                view(end if band.n >= MIN_INTERVAL else np.broadcast_to(nothing, end.shape))
                for end in (band.low, band.high)
            ),
        )
        for name, band in bands.items()
    }


def axes_of(study: Study) -> tuple[Axis, ...]:
    """Return the x axes worth drawing: full trainings only where trials are not all full trainings."""
    for curves in study.curves.values():
        numbers = np.arange(1.0, curves.n_trials + 1)
        inside = numbers <= curves.length[..., None]
        if np.any(inside & (np.abs(curves.trainings - numbers) > 1e-9)):  # noqa: PLR2004 -- rounding
            return ("trials", "trainings", "seconds")
    return ("trials", "seconds")


def _legend(frames: Frames, bands: Bands, *, twice: bool) -> list[Entry]:
    """Return the legend: the strategies, what the band is, what a cross means."""
    drawn = [band for by_strategy in bands.values() for band in by_strategy.values()]
    present = {name for by_strategy in bands.values() for name in by_strategy}
    entries: list[Entry] = [
        (Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.dash), frames.label(name))
        for name, look in looks(frames.strategies).items()
        if name in present
    ]
    if any(band.n >= MIN_INTERVAL for band in drawn):
        entries.append((Patch(color="#777777", alpha=0.3, linewidth=0), "band: middle half (IQR)"))
    if any(1 < band.n < MIN_INTERVAL for band in drawn):
        entries.append((Line2D([], [], color="#777777", linewidth=0.5), "thin: single repetitions"))
    if any(band.exhausted_at is not None for band in drawn):
        entries.append((Line2D([], [], color="#777777", marker="x", linestyle=":"), "exhausted, carried on"))
    if twice:
        entries.append((Line2D([], [], color=GREY, linestyle="--"), "random, 2 trials for each"))
    return entries


def _legend_height(entries: int) -> float:
    """Return the height of a legend in inches, roughly."""
    return 0.15 + 0.16 * -(-entries // 3)


def _caption(frames: Frames, bands: Bands, axis: Axis, part: Part, scale: Scale, *, twice: bool) -> str:
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
        f"{chosen}; shown is its {_PARTS[part]} {measured(frames, tuple(bands), scale)}.",
        f"{key} {crowd_text(frames.strategies)}".strip(),
        f"Runs of a curve: {repetitions_text(min(counts), max(counts))}." if counts else "",
        "A run without a result (yet), or after a crash, counts as worse than every other.",
        "Curves of a grid show the order of enumeration, shuffled with the seed.",
    ]
    if axis != "trials":
        spent = "Wall time is ask + train + evaluate + tell" if axis == "seconds" else _TRAININGS
        lines.append(
            f"{spent}; a curve starts when each of its runs has a result and ends with the run that ended first."
        )
    if twice:
        lines.append(
            "Grey, dashed: random search with two trials for each trial of the others, the unbiased expected best "
            "of 2 t of its T trials, median over repetitions; it ends at t = T / 2, for further it would take runs of "
            "more trials than the budget allows."
        )
    if any(band.exhausted_at is not None for by_strategy in bands.values() for band in by_strategy.values()):
        lines.append("A cross marks the first run that was exhausted; its last result is carried on.")
    lines.append(
        "The y axis may leave out the start of a curve."
        if scale == "accuracy"
        else "An error of 0 is drawn at half an example; the y axis may leave out the start of a curve."
    )
    return " ".join([*(line for line in lines if line), basis(frames)])

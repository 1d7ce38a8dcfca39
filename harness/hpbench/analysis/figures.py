"""The curves: accuracy or error of the incumbent against trials and wall time, one panel a task."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from hpbench.analysis.canvas import (
    Drawn,
    Entry,
    Line,
    Readout,
    legend_below,
    log_ticks,
    no_results,
    panels,
    whole_ticks,
)
from hpbench.analysis.captions import about_accuracy, basis, sentence_case
from hpbench.analysis.comparison import Study
from hpbench.analysis.curve_keys import Axis, Bands, about_curves, legend_entries
from hpbench.analysis.curves import (
    Band,
    Part,
    Score,
    band_over_epochs,
    band_over_seconds,
    band_over_trainings,
    band_over_trials,
)
from hpbench.analysis.frames import Frames
from hpbench.analysis.statistics import Array
from hpbench.analysis.statistics.intervals import MIN_INTERVAL
from hpbench.analysis.strokes import draw_bands, draw_twice
from hpbench.analysis.style import looks, wrapped
from hpbench.analysis.targets import random_name, random_twice

__all__ = [
    "AXES",
    "Axis",
    "Bands",
    "Scale",
    "axes_of",
    "bands_of",
    "best_figure",
    "draw_best",
    "extent",
    "measured",
    "readings",
    "set_x",
]

Scale = Literal["accuracy", "error"]

AXES: dict[Axis, str] = {
    "trials": "trials",
    "trainings": "full trainings' worth of epochs",
    "epochs": "epochs",
    "seconds": "seconds ({clock} clock)",
}
_PARTS: dict[Part, str] = {"val": "validation", "test": "test"}
_STARTUP = 0.2


def bands_of(study: Study, axis: Axis, part: Score) -> Bands:
    """Return the centre and spread of every curve."""
    return study.once(("bands_of", axis, part), lambda: _bands_of(study, axis, part))


def _bands_of(study: Study, axis: Axis, part: Score) -> Bands:
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
        tasks: the panels; by default all tasks that have an accuracy.
    """
    frames = study.frames
    shown = tuple(frames.counted_tasks if tasks is None else tasks)
    figure, axes = panels(len(shown))
    name = f"best-{_PARTS[part]}-{axis}" + ("-error" if scale == "error" else "")
    twice = False
    for place, (panel, task) in enumerate(zip(axes, shown, strict=True)):
        panel.set_title(wrapped(task, 34))
        twice |= _draw_task(panel, study, bands, task, (axis, part, scale), name=name)
        if place % 3 == 0:
            panel.set_ylabel(f"{_PARTS[part]} {measured(frames, shown, scale)} (%)")
    legend_below(figure, legend_entries(frames, {task: bands[task] for task in shown}, twice=twice))
    readouts = tuple(
        Readout(axis, "%", (name, task), readings(bands[task], _view(frames, task, part, scale)))
        for task in shown
    )
    what = "best by validation" if part == "val" else "test score of the best by validation"
    title = f"{sentence_case(measured(frames, shown, scale))} of the incumbent ({what}) against {AXES[axis].split(' (')[0]}"
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
    return legend_entries(study.frames, {task: bands[task]}, twice=twice)


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
        set_x(panel, bands[task], axis)
        _set_y(panel, extent(bands[task], axis, view), scale)
    else:
        no_results(panel)
    panel.set_xlabel(AXES[axis].format(clock=frames.clock))
    return twice


def _draw_twice(panel: Axes, study: Study, task: str, axis: Axis, view: Callable[[Array], Array]) -> bool:
    """Draw random search with two trials for every one, in violet; return whether there is such a line."""
    if axis != "trials" or study.frames.objective != "error" or random_name(study.frames) is None:
        return False
    expected = random_twice(study, task)
    if expected is None:
        return False
    draw_twice(panel, view(expected))
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


def set_x(panel: Axes, bands: dict[str, Band], axis: Axis) -> None:
    """Choose scale and ticks of the x axis."""
    if axis == "seconds":
        log_ticks(panel, "x")
    elif axis == "trials":
        if max(band.x[-1] for band in bands.values()) <= 1:
            panel.set_xlim(0.5, 1.5)
        whole_ticks(panel.xaxis, most=6)


def _set_y(panel: Axes, limits: tuple[float, float], scale: Scale) -> None:
    """Choose limits of the y axis a little beyond those given."""
    low, high = limits
    if scale == "error":
        panel.set_ylim(low / 1.15, max(high * 1.15, low * 1.5))
        log_ticks(panel, "y")
        return
    pad = max(0.06 * (high - low), 0.15)
    panel.set_ylim(low - pad, min(high + pad, 100.0 + pad))


def extent(bands: dict[str, Band], axis: Axis, view: Callable[[Array], Array]) -> tuple[float, float]:
    """Return the ends of what is drawn after the start, in which the differences are visible."""
    values = np.concatenate([view(_heights(band)[:, _late(band, axis)]).ravel() for band in bands.values()])
    return float(np.nanmin(values)), float(np.nanmax(values))


def _heights(band: Band) -> Array:
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


def readings(bands: dict[str, Band], view: Callable[[Array], Array]) -> dict[str, Line]:
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


def _caption(frames: Frames, bands: Bands, axis: Axis, part: Part, scale: Scale, *, twice: bool) -> str:
    """Return what is drawn, of how many repetitions, and what was done about failures."""
    chosen = "The incumbent is the best trial so far by validation " + (
        "error" if frames.objective == "error" else "cross-entropy"
    )
    start = "the y axis may leave out the start of a curve."
    lines = [
        f"{chosen}; shown is its {_PARTS[part]} {measured(frames, frames.counted_tasks, scale)}.",
        *about_curves(frames, bands, axis, twice=twice),
        sentence_case(start)
        if scale == "accuracy"
        else f"An error of 0 is drawn at half an example; {start}",
    ]
    return f"{' '.join(lines)} {about_accuracy(frames)}{basis(frames)}"

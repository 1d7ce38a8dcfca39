"""The curves of tasks that count no examples, such as closed-form functions: the best value so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from hpbench.analysis.canvas import Drawn, Entry, Readout, legend_below, no_results, panels
from hpbench.analysis.captions import basis
from hpbench.analysis.comparison import Study
from hpbench.analysis.curve_keys import Axis, about_curves, legend_entries
from hpbench.analysis.curves import Band
from hpbench.analysis.figures import AXES, bands_of, extent, readings, set_x
from hpbench.analysis.statistics import Array
from hpbench.analysis.strokes import draw_bands, draw_twice
from hpbench.analysis.style import looks, wrapped
from hpbench.analysis.targets import random_twice

__all__ = ["draw_value", "value_figure"]


def value_figure(study: Study, axis: Axis, *, tasks: Sequence[str] | None = None) -> Drawn:
    """Return the smallest value so far against trials or time, a panel a task.

    Args:
        study: everything.
        axis: trials, full trainings' worth of epochs, or seconds.
        tasks: the panels; by default all tasks that have a value and no accuracy.
    """
    frames = study.frames
    shown = tuple(frames.value_tasks if tasks is None else tasks)
    bands = {task: bands_of(study, axis, "value")[task] for task in shown}
    figure, axes = panels(len(shown))
    name = f"best-value-{axis}"
    twice = False
    for place, (panel, task) in enumerate(zip(axes, shown, strict=True)):
        panel.set_title(wrapped(task, 34))
        twice |= _draw(panel, study, task, axis, bands[task])
        if place % 3 == 0:
            panel.set_ylabel("smallest value so far")
    legend_below(figure, legend_entries(frames, bands, twice=twice))
    readouts = tuple(Readout(axis, "", (name, task), readings(bands[task], _view)) for task in shown)
    title = f"Smallest value so far against {AXES[axis].split(' (')[0]}"
    lines = [
        "The smallest value so far of what the strategies minimise, on tasks that have no accuracy and no test data.",
        *about_curves(frames, bands, axis, twice=twice),
        "The y axis may leave out the start of a curve.",
        basis(frames),
    ]
    return Drawn(name, title, " ".join(lines), figure, readouts)


def draw_value(panel: Axes, study: Study, task: str, axis: Axis) -> list[Entry]:
    """Draw the curves of one task into somebody's axes, and return the entries of a legend."""
    bands = {task: bands_of(study, axis, "value")[task]}
    twice = _draw(panel, study, task, axis, bands[task])
    panel.set_ylabel("smallest value so far")
    return legend_entries(study.frames, bands, twice=twice)


def _draw(panel: Axes, study: Study, task: str, axis: Axis, bands: dict[str, Band]) -> bool:
    """Draw the curves of one task; return whether random search with twice the trials is among them."""
    panel.set_xlabel(AXES[axis].format(clock=study.frames.clock))
    if not bands:
        no_results(panel)
        return False
    ends = [float(np.nanmax(_view(band.runs))) for band in bands.values()]
    names = (f"best-value-{axis}", task)
    draw_bands(panel, bands, looks(study.frames.strategies), _view, names, worst=max(ends))
    set_x(panel, bands, axis)
    low, high = extent(bands, axis, _view)
    pad = 0.06 * (high - low) or 0.06 * (abs(high) or 1.0)
    panel.set_ylim(low - pad, high + pad)
    expected = random_twice(study, task) if axis == "trials" else None
    if expected is None:
        return False
    draw_twice(panel, _view(expected))
    return True


def _view(value: Array) -> Array:
    """Return values as they are, NaN for none."""
    return np.where(np.isfinite(value), value, math.nan)

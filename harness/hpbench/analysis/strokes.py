"""How a curve is drawn: its median as steps, with the middle half or the single repetitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from numpy.typing import NDArray

from hpbench.analysis.curves import Band
from hpbench.analysis.statistics import Array
from hpbench.analysis.statistics.intervals import MIN_INTERVAL
from hpbench.analysis.style import REFERENCE, Look, gid

__all__ = ["changes", "draw_bands", "draw_twice", "jumps"]

_MARKS = 6
_CROWD = 5


def draw_bands(
    panel: Axes,
    bands: dict[str, Band],
    styles: dict[str, Look],
    view: Callable[[Array], Array],
    names: tuple[str, str],
    *,
    worst: float = 1.0,
) -> None:
    """Draw every strategy of one task: the median, and for those with a colour the quartiles or the repetitions.

    A quartile that is no number, because a quarter of the runs have no result, is drawn at ``worst``.
    """
    alpha = 0.15 if len(bands) <= _CROWD else 0.07
    for place, (strategy, band) in enumerate(bands.items()):
        look = styles[strategy]
        if look.banded:
            full = replace(band, high=np.where(np.isfinite(band.high), band.high, worst))
            _draw_spread(panel, full, look, view, (*names, strategy), alpha=alpha)
        _draw_centre(panel, band, look, view(band.centre), (*names, strategy))
        spots = _spots(len(band.x), place, len(bands))
        panel.plot(
            band.x[spots],
            view(band.centre)[spots],
            look.marker,
            color=look.colour,
            zorder=look.order,
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
        lines = [_stepped(np.column_stack(jumps(band.x, row))) for row in view(band.runs)]
        panel.add_collection(
            LineCollection(lines, colors=look.colour, linewidths=0.5, alpha=0.5, gid=gid("runs", *names))
        )
        return
    low = view(band.low)
    high = view(band.high)
    if band.x[0] == band.x[-1]:  # one point in time: an area would have no width
        panel.vlines(band.x[:1], low[:1], high[:1], color=look.colour, alpha=0.4, gid=gid("band", *names))
        return
    kept = changes(np.stack([low, high]))
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
    x, y = jumps(band.x[:until], centre[:until])
    style: dict[str, Any] = {"color": look.colour, "zorder": look.order}
    panel.step(x, y, where="post", linestyle=look.dash, gid=gid("line", *names), **style)
    if band.exhausted_at is None or not until:
        return
    x, y = jumps(band.x[until - 1 :], centre[until - 1 :])
    panel.step(x, y, where="post", linewidth=0.8, linestyle=":", gid=gid("filled", *names), **style)
    panel.plot(
        x[0],
        y[0],
        "x",
        color="#222222",
        markersize=7,
        markeredgewidth=1.5,
        zorder=6,
        gid=gid("cross", *names),
    )


def _stepped(line: Array) -> Array:
    """Return the corners of a right-continuous step function through ``line``, shape ``(n, 2)``."""
    doubled = np.repeat(line, 2, axis=0)
    return np.column_stack([doubled[1:, 0], doubled[:-1, 1]])


def draw_twice(panel: Axes, values: Array) -> None:
    """Draw random search with two trials for every one, in violet, by the values after each trial."""
    x = np.arange(1.0, len(values) + 1)
    panel.step(x, values, where="post", color=REFERENCE, linestyle="--", linewidth=1.0, zorder=2.1)


def jumps(x: Array, y: Array) -> tuple[Array, Array]:
    """Return the points at which a step function changes, with its ends."""
    kept = changes(y[None])
    return x[kept], y[kept]


def changes(values: Array) -> NDArray[np.bool_]:
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

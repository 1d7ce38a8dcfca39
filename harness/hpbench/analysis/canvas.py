"""What every figure shares: panels, legends, logarithmic ticks, and files whose bytes repeat."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from hpbench.analysis.memory import rarely_collected
from hpbench.analysis.statistics import Array
from hpbench.analysis.style import DOUBLE, RC, SINGLE, wrapped

__all__ = [
    "Drawn",
    "Entry",
    "Line",
    "Readout",
    "drawing",
    "legend_below",
    "log_ticks",
    "no_results",
    "panels",
    "printed",
    "settle",
    "whole_ticks",
]

_DPI = 200

_DIGITS: tuple[tuple[float, tuple[float, ...]], ...] = (
    (4.0, (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)),
    (12.0, (1.0, 2.0, 3.0, 5.0, 7.0)),
    (50.0, (1.0, 2.0, 5.0)),
    (1e3, (1.0, 3.0)),
    (math.inf, (1.0,)),
)
"""Digits at which a logarithmic axis is labelled, by the ratio of its ends."""

_LONG = 1e-3
"""Below it the texts of ticks, such as 0.0002, are so long that fewer of them fit beside each other."""

_OBJECTS = 200_000
"""New objects after which garbage is looked for while figures are drawn."""

_CHARACTERS = 17
"""Characters of a legend on an inch, roughly."""

_HANDLE = 9
"""What a legend's handle and gaps take, in characters."""

_LABEL = 26
"""Characters on a line of a legend."""

_SHORT_LABEL = 18
"""Characters on a line of a legend in a column of a paper, so that two entries stand side by side."""


@dataclass(frozen=True)
class Line:
    """A step curve, shape ``(n_points,)`` each; NaN in ``low`` and ``high`` means that there is no band."""

    x: Array
    y: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Readout:
    """What a reader can ask a panel for: its curves in the units of its axes.

    Attributes:
        x: what the x axis counts.
        unit: of the y axis, written after a value.
        names: the parts of its ids between the kind and the strategy.
        lines: by name of the strategy.
    """

    x: str
    unit: str
    names: tuple[str, ...]
    lines: Mapping[str, Line]


@dataclass(frozen=True)
class Drawn:
    """A figure with its file name, title, caption, and what its panels, in order, can be asked for."""

    name: str
    title: str
    caption: str
    figure: Figure
    readouts: tuple[Readout, ...] = ()


Entry = tuple[Artist, str]
"""A handle and its text."""


@contextmanager
def drawing() -> Iterator[None]:
    """Draw and save inside this: the defaults of hpbench instead of the user's, put back afterwards.

    Drawing makes millions of objects that live until their figure is done.
    """
    with mpl.rc_context(), rarely_collected(_OBJECTS):
        mpl.rcdefaults()
        mpl.rcParams.update(RC)  # type: ignore[arg-type]  # the stubs list every key literally
        yield


def panels(count: int, *, height: float = 1.9, width: float | None = None) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``count`` panels, at most three in a row: one on a column of a paper, more on a page.

    Args:
        count: panels.
        height: of one panel, in inches; legends add their own.
        width: of the figure, in inches, if it is to have another.
    """
    columns = min(count, 3)
    rows = -(-count // columns)
    if width is None:
        width = DOUBLE if columns > 1 else SINGLE
    figure = Figure(figsize=(width, rows * height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(count)]
    return figure, axes


def log_ticks(axes: Axes, axis: Literal["x", "y"]) -> None:
    """Make ``axis`` logarithmic, ticks at 1, 2 and 5 (at all digits, or fewer) written as plain numbers."""
    chosen: XAxis | YAxis
    if axis == "x":
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        chosen = axes.xaxis
    else:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        chosen = axes.yaxis
    ratio = high / low
    place = next(place for place, (limit, _) in enumerate(_DIGITS) if ratio <= limit)
    if axis == "x" and low < _LONG and place < len(_DIGITS) - 2:
        place += 1  # not on to the powers of ten, of which a short axis may have a single one
    chosen.set_major_locator(LogLocator(subs=_DIGITS[place][1]))
    chosen.set_major_formatter(FuncFormatter(_plain))
    chosen.set_minor_formatter(NullFormatter())


def whole_ticks(axis: XAxis | YAxis, *, most: int) -> None:
    """Label ``axis`` with at most about ``most`` whole numbers; a range that holds a single one has one tick."""
    axis.set_major_locator(MaxNLocator(nbins=most, integer=True, min_n_ticks=1))


def _plain(value: float, _place: int | None) -> str:
    """Return the text of a tick; a figure that holds no lambda can be sent to another process."""
    return f"{value:g}"


def settle(figure: Figure) -> None:
    """Compute the layout of ``figure`` once and freeze it."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")


def printed(figure: Figure) -> dict[str, bytes]:
    """Return ``figure`` as PNG, SVG and PDF by kind; equal figures give equal bytes on every run.

    The layout is computed once, then frozen. The canvases print without ``Figure.savefig``, which
    would draw everything twice for each file. The figure is not to be used afterwards.
    """
    settle(figure)
    figure.set_dpi(_DPI)
    png, svg, pdf = io.BytesIO(), io.BytesIO(), io.BytesIO()
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})  # type: ignore[no-untyped-call]
    FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})  # type: ignore[no-untyped-call]
    FigureCanvasPdf(figure).print_pdf(pdf, metadata={"CreationDate": None})  # type: ignore[no-untyped-call]
    return {"png": png.getvalue(), "svg": svg.getvalue(), "pdf": pdf.getvalue()}


def no_results(panel: Axes) -> None:
    """Say in an empty panel that there is nothing: not yet, or for ever, if every run failed."""
    panel.text(0.5, 0.5, "no results", ha="center", va="center", transform=panel.transAxes, color="#555555")
    panel.set_xticks([])
    panel.set_yticks([])


def legend_below(figure: Figure, entries: Sequence[Entry]) -> None:
    """Put one legend under all panels of :func:`panels`, and make the figure higher by what it takes.

    Texts are set afterwards, so that none is taken for a command.
    """
    if not entries:
        return
    texts = [
        wrapped(label, _LABEL if figure.get_figwidth() > SINGLE else _SHORT_LABEL) for _, label in entries
    ]
    widest = max(len(line) for text in texts for line in text.splitlines())
    fitting = int(figure.get_figwidth() * _CHARACTERS / (widest + _HANDLE))
    columns = max(1, min(fitting, len(entries), 6))
    legend = figure.legend(
        [handle for handle, _ in entries],
        [f"entry {place}" for place in range(len(texts))],
        loc="outside lower center",
        ncols=columns,
        handlelength=2.6,
        columnspacing=1.2,
    )
    for drawn, text in zip(legend.get_texts(), texts, strict=True):
        drawn.set_text(text)
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    height = legend.get_window_extent(renderer).height / figure.dpi
    figure.set_figheight(figure.get_figheight() + height)

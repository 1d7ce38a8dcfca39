"""How figures look: one colour, marker and line style a strategy, everywhere the same.

The palette is Okabe and Ito's, safe for colour-blind readers; markers and line styles say the same
once more for print in grey. Text is never read as mathematics, so that a name may hold any character.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, get_font

from hpbench.analysis.writers import clean

__all__ = [
    "DOUBLE",
    "KINDS",
    "PART_COLOURS",
    "RC",
    "REFERENCE",
    "SINGLE",
    "STATUS_COLOURS",
    "Look",
    "crowd_text",
    "drawable",
    "gid",
    "looks",
    "wrapped",
]

SINGLE = 3.25
"""Width of a column of a paper, in inches."""

DOUBLE = 6.75
"""Width of a page of a paper, in inches."""

_OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#B8A800")
_GREYS = ("#555555", "#888888", "#AAAAAA")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")
_DASHES: tuple[tuple[int, tuple[float, ...]], ...] = (
    (0, ()),
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (5, 1.5, 1.2, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
)

KINDS = ("band", "cross", "filled", "line", "marks", "runs")
"""First part of the ids of everything that shows one strategy's curve."""

PART_COLOURS = {"ask": "#E69F00", "train": "#56B4E9", "evaluate": "#009E73", "tell": "#CC79A7"}
"""Colours of the parts of a trial's time."""

REFERENCE = "#8250C4"
"""Of a reference that is no strategy of the study: a violet that no strategy has, grey or not."""

STATUS_COLOURS = {
    "ok": "#9ECAE1",
    "diverged": "#D55E00",
    "out_of_memory": "#0A0A0A",
    "timeout": "#E69F00",
    "error": "#CC79A7",
    "killed": "#6A3D9A",
    "none": "#FDFDFD",
}
"""Colours of a trial's status; ``none``: there is no such trial.

They colour pixels, which a dark page cannot replace, so none is a colour that it replaces elsewhere.
"""

RC: Mapping[str, object] = {
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "hpbench",
    "text.parse_math": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
}


@dataclass(frozen=True)
class Look:
    """How one strategy is drawn.

    Attributes:
        colour: of everything that shows it.
        marker: of its points.
        dash: of its lines.
        banded: whether what spreads around its curve is drawn too; many grey bands would hide every line.
        order: of drawing; coloured lines lie above grey ones.
    """

    colour: str
    marker: str
    dash: tuple[int, tuple[float, ...]]
    banded: bool = True
    order: float = 2.0


def looks(strategies: Sequence[str]) -> dict[str, Look]:
    """Return the look of each strategy by its place in the suite; no two are alike up to 68.

    Beyond eight strategies colours would repeat: the rest are grey, told apart by marker and dashes.
    """
    found: dict[str, Look] = {}
    for place, name in enumerate(strategies):
        rest = place - len(_OKABE_ITO)
        colour = _OKABE_ITO[place] if rest < 0 else _GREYS[rest % len(_GREYS)]
        marker = _MARKERS[place % len(_MARKERS)]
        dash = _DASHES[place % len(_DASHES)]
        order = 2.0 if rest < 0 else 1.9
        found[name] = Look(colour, marker, dash, banded=rest < 0, order=order)
    return found


def crowd_text(strategies: Sequence[str]) -> str:
    """Return what a caption says of curves beyond the eighth, ending in a space; nothing where there are none."""
    if len(strategies) <= len(_OKABE_ITO):
        return ""
    return f"The first {len(_OKABE_ITO)} strategies have colours, and bands where there are any; the others are grey lines alone. "


@cache
def _charmap() -> frozenset[int]:
    """Return the characters that the figures' font can draw."""
    return frozenset(get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())


def drawable(text: str) -> str:
    """Return ``text`` on one line, a box in the place of every character that the font lacks."""
    known = _charmap()
    return "".join(char if ord(char) in known else "\N{WHITE SQUARE}" for char in clean(text))


def wrapped(text: str, width: int = 26, lines: int = 3) -> str:
    """Return ``text`` broken into at most ``lines`` lines of ``width`` characters, at hyphens only where it must."""
    shown = drawable(text)
    long = any(len(word) > width for word in shown.split())
    broken = textwrap.wrap(shown, width, break_on_hyphens=long) or [""]
    if len(broken) > lines:
        broken = [*broken[: lines - 1], broken[lines - 1][: width - 1] + "…"]
    return "\n".join(broken)


def gid(*parts: str) -> str:
    """Return an id for an element of an SVG, safe in XML, CSS and URLs; different parts, different ids."""
    joined = "-".join(parts)
    safe = re.sub(r"[^a-zA-Z0-9_.-]", "", joined)
    if safe == joined and all("-" not in part for part in parts[1:-1]):
        return safe
    return f"{safe}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:8]}"

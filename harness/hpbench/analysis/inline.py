"""Figures for a web page: SVG with real text, ids of its own, colours that a dark page can change."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG

from hpbench.analysis.canvas import Drawn, Line, settle
from hpbench.analysis.html import CLASSES
from hpbench.analysis.statistics import Array
from hpbench.analysis.strokes import changes
from hpbench.analysis.style import KINDS, gid

__all__ = ["Inline", "inline"]

_POINTS = 72.0
_SMALL = 200
"""Characters of a path that may be a marker, whose shape needs hundredths of a point."""

_CHANGED = ("#000000", "#111111", "#222222", "#333333", "#555555", "#777777", "#bbbbbb", "#dddddd", "#ffffff")
"""Colours that a dark page replaces; what must stay dark or light on a coloured ground is none of them."""

_GEOMETRY = ("x", "y", "width", "height", "transform", "points", "viewBox")
_STYLES = tuple((re.compile(colour, re.IGNORECASE), f"var(--c{colour[1:]})") for colour in _CHANGED)
_NUMBER = re.compile(r"-?\d+(?:\.\d+(?:e-?\d+)?)?(?![\w.])")
_FAMILY = re.compile(r"font-family: [^;]*; ?|stroke-(?:linecap: square|linejoin: miter)(?:; ?|$)")
_SHARED = ("style", "clip-path")
_OPACITY = re.compile(r"(?:^|;)\s*opacity")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


@dataclass(frozen=True)
class Inline:
    """A figure as text for a page.

    Attributes:
        svg: an element without a namespace, every id in use with the figure's name in front; what shows a
            strategy carries ``data-s``, its place in the suite.
        panels: for every panel that can be asked: ``box`` (left, top, right, bottom in the units of
            the view box), ``lim`` (of the x axis), ``log``, ``x``, ``unit``, and ``lines`` by place
            of the strategy, each with ``x``, ``y``, ``l``, ``h`` at its jumps.
    """

    svg: str
    panels: list[dict[str, Any]]


def inline(drawn: Drawn, name: str, strategies: tuple[str, ...]) -> Inline:
    """Return ``drawn`` for a page; its layout is frozen, it can still be saved.

    Args:
        drawn: the figure.
        name: put in front of every id; differs from figure to figure.
        strategies: names in suite order.
    """
    settle(drawn.figure)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        FigureCanvasSVG(drawn.figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    root = ET.fromstring(buffer.getvalue())  # noqa: S314 -- what matplotlib wrote just now
    places = {strategy: place for place, strategy in enumerate(strategies)}
    owners = {
        gid(kind, *readout.names, strategy): str(places[strategy])
        for readout in drawn.readouts
        for strategy in readout.lines
        for kind in KINDS
    }
    _clean(root, name, owners)
    root.set("role", "img")
    root.set("aria-label", drawn.title)
    text = ET.tostring(root, encoding="unicode").replace(" />", "/>")  # in a text, > is written otherwise
    return Inline(text, _panels(drawn, places))


def _clean(root: ET.Element, name: str, owners: Mapping[str, str]) -> None:
    """Strip namespaces, metadata and digits, mark what shows a strategy, keep only ids that are used."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.tail = None
        if element.text and not element.text.strip():
            element.text = None
        for key, value in list(element.attrib.items()):
            del element.attrib[key]
            element.attrib[key.rpartition("}")[2]] = value
    used = [found for element in root.iter() for value in element.attrib.values() for found in _ids_in(value)]
    ids = {own: f"{name}-{place}" for place, own in enumerate(dict.fromkeys(used))}
    for element in root.iter():
        own = element.attrib.pop("id", "")
        element.attrib.update({key: _attribute(key, value, ids) for key, value in element.attrib.items()})
        if own in owners:
            element.set("data-s", owners[own])
        if own in ids:
            element.set("id", ids[own])
        if element.get("transform", "").startswith("rotate(0 "):
            del element.attrib["transform"]
    _flatten(root)
    _shorten_styles(root)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("style", f"--w:{root.get('viewBox', '0 0 480 0').split()[2]}")


def _shorten_styles(root: ET.Element) -> None:
    """Leave out what a used element says itself, and name the styles that a page has thousands of."""
    own = {f"#{element.get('id')}": element.get("style") for element in root.iter() if element.get("id")}
    for element in root.iter():
        style = element.get("style")
        if style is None:
            continue
        if element.tag == "use" and style == own.get(element.get("href", "")):
            del element.attrib["style"]
        elif style in CLASSES and not element.get("id"):  # rules of the page do not reach what is used
            element.set("class", CLASSES[element.attrib.pop("style")])


def _flatten(parent: ET.Element) -> None:
    """Put the children of groups that say nothing in the place of the group, and leave metadata out."""
    children: list[ET.Element] = []
    for child in list(parent):
        _flatten(child)
        if child.tag == "g" and not child.attrib:
            children += list(child)
        elif child.tag not in {"metadata", "style"} and (child.tag != "defs" or len(child)):
            children.append(child)
    for child in list(parent):
        parent.remove(child)
    for (_, *shared), run in groupby(children, _shareable):
        alike = list(run)
        if not any(shared) or len(alike) == 1:
            parent.extend(alike)
            continue
        attributes = {key: value for key, value in zip(_SHARED, shared, strict=True) if value}
        group = parent if _takes(parent, alike, children, attributes) else ET.SubElement(parent, "g")
        group.attrib.update(attributes)
        for child in alike:
            for key in attributes:
                del child.attrib[key]
        group.extend(alike)


def _shareable(element: ET.Element) -> tuple[str, ...]:
    """Return the tag, and what elements in a row can inherit from a group, or be clipped by at once.

    The opacity of a group is not that of its members, which may overlap; what is moved is clipped after
    that; the page has a rule for the colour of texts, which would win.
    """
    style, clip = (element.get(key, "") for key in _SHARED)
    if element.tag not in {"path", "use"} or element.get("transform") or _OPACITY.search(style):
        return (element.tag, "", "")
    return (element.tag, style, clip)


def _takes(
    parent: ET.Element, alike: list[ET.Element], children: list[ET.Element], attributes: Mapping[str, str]
) -> bool:
    """Return whether a group that holds nothing else can say itself what its members share."""
    free = parent.tag == "g" and not parent.get("transform") and not attributes.keys() & parent.attrib.keys()
    return free and len(alike) == len(children)


def _ids_in(value: str) -> list[str]:
    """Return the ids that an attribute refers to."""
    return [value[1:]] if value.startswith("#") else _REFERENCE.findall(value)


def _attribute(key: str, value: str, ids: Mapping[str, str]) -> str:
    """Return the value of one attribute as the page has it; ``ids`` are the page's by matplotlib's."""
    if key == "href":
        return f"#{ids[value[1:]]}" if value.startswith("#") else value
    if key == "d":
        return _path(value)
    if key in _GEOMETRY:
        return " ".join(
            _NUMBER.sub(lambda found: _rounded(found[0], 4 if key == "transform" else 1), value).split()
        )
    value = _REFERENCE.sub(lambda found: f"url(#{ids[found[1]]})", value)
    if key == "style":
        value = re.sub(r"([:;]) ", r"\1", _FAMILY.sub("", value))
        for pattern, replacement in _STYLES:
            value = pattern.sub(replacement, value)
        value = value.rstrip("; ")
    return value


def _path(value: str) -> str:
    """Return a path in fewer characters: steps as ``H`` and ``V``, what repeats or lies between left out."""
    digits = 2 if len(value) < _SMALL else 1
    words = [_rounded(word, digits) if _NUMBER.fullmatch(word) else word for word in value.split()]
    if not set(words[0::3]) <= {"M", "L", "z"} or len(words) % 3 > 1:
        return " ".join(words)
    out: list[tuple[str, ...]] = []
    at = ("", "")
    for place in range(0, len(words) - 2, 3):
        command, x, y = words[place : place + 3]
        if command == "L" and (x, y) == at:
            continue
        step = (
            ("H", x)
            if command == "L" and y == at[1]
            else ("V", y)
            if command == "L" and x == at[0]
            else (command, x, y)
        )
        if out and len(step) == 2 and out[-1][0] == step[0] and _onward(out, step):  # noqa: PLR2004 -- H or V
            out.pop()
        out.append(step)
        at = (x, y)
    return _relative(out, digits) + ("z" if words[-1] == "z" else "")


def _relative(steps: Sequence[tuple[str, ...]], digits: int) -> str:
    """Return steps to points as text, each by its distance from the last point, which is shorter.

    Distances are those of rounded points, so that nothing adds up.
    """
    out = []
    x = y = 0.0
    for command, *numbers in steps:
        to_x = x if command == "V" else float(numbers[0])
        to_y = y if command == "H" else float(numbers[-1])
        across, down = _rounded(str(to_x - x), digits), _rounded(str(to_y - y), digits)
        pair = across + (down if down.startswith("-") else f" {down}")
        x, y = to_x, to_y
        out.append(
            {"M": f"M{' '.join(numbers)}", "L": f"l{pair}", "H": f"h{across}", "V": f"v{down}"}[command]
        )
    return "".join(out)


def _onward(out: list[tuple[str, ...]], step: tuple[str, ...]) -> bool:
    """Return whether the last step of ``out`` lies between the one before and ``step``."""
    index = 1 if step[0] == "H" else 2
    before = next((item for item in reversed(out[:-1]) if item[0] in {step[0], "M", "L"}), None)
    if before is None:
        return False
    start = float(before[1] if len(before) == 2 else before[index])  # noqa: PLR2004 -- H or V
    return (float(out[-1][1]) - start) * (float(step[1]) - float(out[-1][1])) >= 0


def _rounded(number: str, digits: int) -> str:
    """Return a number with at most ``digits`` decimals."""
    text = f"{float(number):.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def _panels(drawn: Drawn, places: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return where the panels lie and what they can be asked for."""
    width, height = (float(side) * _POINTS for side in drawn.figure.get_size_inches())
    panels = []
    for axes, readout in zip(drawn.figure.axes, drawn.readouts, strict=False):
        box = axes.get_position()
        panels.append(
            {
                "box": [
                    round(float(value), 1)
                    for value in (
                        box.x0 * width,
                        (1 - box.y1) * height,
                        box.x1 * width,
                        (1 - box.y0) * height,
                    )
                ],
                "lim": [_short(float(value)) for value in axes.get_xlim()],
                "log": axes.get_xscale() == "log",
                "x": readout.x,
                "unit": readout.unit,
                "lines": {str(places[strategy]): _line(line) for strategy, line in readout.lines.items()},
            }
        )
    return panels


def _line(line: Line) -> dict[str, list[float | None]]:
    """Return a step curve at its jumps; no band where it has none."""
    kept = changes(np.stack([line.y, line.low, line.high])) if len(line.x) else np.empty(0, dtype=np.bool_)
    found = {"x": _shorts(line.x[kept]), "y": _shorts(line.y[kept])}
    if np.isfinite(line.low).any():
        found |= {"l": _shorts(line.low[kept]), "h": _shorts(line.high[kept])}
    return found


def _shorts(values: Array) -> list[float | None]:
    """Return numbers with five digits, None for what is none."""
    return [_short(float(value)) if np.isfinite(value) else None for value in values]


def _short(value: float) -> float:
    """Return a number with five significant digits."""
    text = float(f"{value:.5g}")
    return int(text) if text == int(text) else text

"""The frame of a page that needs no network: escaping, the data block, the policy for its one script.

Every text is escaped by jinja2, but for what the template marks as safe: our own SVG,
style and script, and the numbers for hovering and copying, a JSON block in which no tag can end. The
page's policy lets its one script run and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from hpbench.analysis.writers import Mark, Table, clean, to_csv, to_latex

__all__ = [
    "CLASSES",
    "Picture",
    "Swatch",
    "block",
    "figure_entry",
    "line",
    "render",
    "section_entry",
    "table_entry",
]

CLASSES = {
    "fill:none;stroke:var(--cdddddd);stroke-width:0.5": "g",
    "stroke:var(--c000000);stroke-width:0.8": "k",
    "font-size:7px;text-anchor:middle": "m",
    "font-size:7px;text-anchor:end": "e",
    "font-size:8px;text-anchor:middle": "t",
}
"""Style → class of what a page has thousands of: grid lines, ticks, texts along the axes, titles."""


_SHEET = 130
"""Characters on the width of a printed page; wider tables are printed with the header in front of each cell."""


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        name: the figure's id on the page.
        title: one line.
        caption: whole sentences.
        svg: its element, from our own drawing; empty until it is printed.
        panels: what its panels can be asked for, see :class:`hpbench.analysis.inline.Inline`.
        task: the task whose view it is; empty for a figure of all tasks.
        view: of a task's figure, ``x``, ``part`` and ``scale``; ``x`` alone where it shows a value.
    """

    name: str
    title: str
    caption: str
    svg: str = ""
    panels: list[dict[str, Any]] = field(default_factory=list)
    task: str = ""
    view: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Swatch:
    """How the legend shows a strategy: its name, colour and dashes."""

    label: str
    colour: str
    dash: str


def render(
    context: Mapping[str, Any],
    *,
    tables: Sequence[Table],
    pictures: Sequence[Picture],
    swatches: Sequence[Swatch],
) -> str:
    """Return the page.

    Args:
        context: what the template shows besides: name, description, partial, about, claims, sections,
            provenance, origin, commands, documents.
        tables: whose texts can be copied.
        pictures: whose values can be asked.
        swatches: the legend, in suite order.
    """
    script = _file("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(_file("report.html.j2")).render(
        **context,
        strategies=[
            {
                "label": line(item.label),
                "stroke": f"var(--c{item.colour[1:].lower()},{item.colour})",
                "dash": item.dash,
            }
            for item in (swatches if pictures else ())
        ],
        style=_file("report.css") + "".join(f".fig .{key}{{{style}}}" for style, key in CLASSES.items()),
        script=script,
        script_hash=f"sha256-{digest}",
        data=_json(tables, pictures, swatches),
    )


def _file(name: str) -> str:
    """Return the text of a file of the template."""
    return (resources.files("hpbench.analysis") / "template" / name).read_text(encoding="utf-8")


def line(text: str) -> str:
    """Return ``text`` on one line without control characters."""
    return clean(text)


def block(text: str) -> str:
    """Return a text of several lines without control characters."""
    return "\n".join(clean(row) for row in text.splitlines())


def _json(tables: Sequence[Table], pictures: Sequence[Picture], swatches: Sequence[Swatch]) -> str:
    """Return the data block; no character of it can end the element that it stands in."""
    data = {
        "strategies": [{"label": line(item.label), "colour": item.colour} for item in swatches],
        "figures": {picture.name: picture.panels for picture in pictures if picture.panels},
        "tables": {table.name: {"latex": to_latex(table), "csv": to_csv(table.values)} for table in tables},
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def section_entry(name: str, title: str) -> dict[str, Any]:
    """Return an empty section."""
    return {"id": name, "title": title, "text": "", "tasks": [], "captions": [], "figures": [], "tables": []}


def figure_entry(picture: Picture) -> dict[str, Any]:
    """Return what the template shows of a figure."""
    return {
        "id": picture.name,
        "title": picture.title,
        "caption": line(picture.caption),
        "svg": picture.svg,
    }


def table_entry(table: Table) -> dict[str, Any]:
    """Return what the template shows of a table."""
    numeric = [column.numeric for column in table.columns]
    rows = table.cells()
    columns = zip(
        [column.header for column in table.columns],
        *([mark.text for mark in row] for row in rows),
        strict=True,
    )
    return {
        "wide": sum(map(_narrowest, columns)) > _SHEET,
        "name": table.name,
        "title": table.title,
        "caption": line(table.caption),
        "headers": [{"text": line(column.header), "numeric": column.numeric} for column in table.columns],
        "rows": [[_cell(mark, right) for mark, right in zip(row, numeric, strict=True)] for row in rows],
    }


def _narrowest(texts: Sequence[str]) -> int:
    """Return the least width of a column in characters, with its gap: that of its longest word."""
    return 2 + max((len(word) for text in texts for word in text.split()), default=0)


def _cell(mark: Mark, numeric: bool) -> dict[str, str]:  # noqa: FBT001 -- a column's alignment
    """Return the text and the classes of one cell."""
    flags = (("num", numeric), ("best", mark.bold), ("like", mark.underlined))
    return {"text": line(mark.text), "classes": " ".join(name for name, holds in flags if holds)}

"""``report.html``: one page that holds everything, needs no network, and reads well without a script.

Every text is escaped by jinja2, but for what the template marks as safe: our own SVG,
style and script, and the numbers for hovering and copying, a JSON block in which no tag can end. The
page's policy lets its one script run and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from hpbench.analysis.captions import basis
from hpbench.analysis.claims import claims
from hpbench.analysis.clocks import clock_text, steps_text
from hpbench.analysis.comparison import Study
from hpbench.analysis.writers import Mark, Table, clean, to_csv, to_latex

__all__ = ["Picture", "Swatch", "page_text"]


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        name: the figure's id on the page.
        title: one line.
        caption: whole sentences.
        svg: its element, from our own drawing.
        panels: what its panels can be asked for, see :class:`hpbench.analysis.inline.Inline`.
        task: the task whose view it is; empty for a figure of all tasks.
        view: of a task's figure, ``x``, ``part`` and ``scale``.
    """

    name: str
    title: str
    caption: str
    svg: str
    panels: list[dict[str, Any]]
    task: str = ""
    view: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Swatch:
    """How the legend shows a strategy: its name, colour and dashes."""

    label: str
    colour: str
    dash: str


_SECTIONS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "scores",
        "Final scores",
        ("final-test", "difference"),
        ("final", "pairs", "selection"),
    ),
    (
        "across",
        "Over all tasks",
        ("regret", "rank", "targets", "profile", "critical-difference", "regret-by-task"),
        ("across", "ranks", "targets"),
    ),
    ("time", "Time and overhead", ("time-by-part", "overhead", "clock"), ("time",)),
    ("failures", "Failures", ("status",), ("status", "trouble")),
    ("sources", "What regret and targets are measured from", (), ("references",)),
)
"""Sections after the curves: id, title, figures and tables, those that the study has."""

_CURVES = "Curves by task"
_PROVENANCE = "Where this comes from"


def page_text(
    study: Study,
    tables: Sequence[Table],
    pictures: Sequence[Picture],
    swatches: Sequence[Swatch],
    folder: Path,
) -> str:
    """Return the page.

    Args:
        study: everything.
        tables: to be shown, sorted, filtered and copied.
        pictures: figures of all tasks and views of single ones.
        swatches: the legend, in suite order.
        folder: the results directory; its last part alone is named on the page.
    """
    frames = study.frames
    script = _file("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sections = _sections(tables, pictures, frames.tasks)
    about = [basis(frames), clock_text(frames), steps_text(frames)]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(_file("report.html.j2")).render(
        name=_line(str(frames.info.suite["name"])),
        description=_line(str(frames.info.suite.get("description", ""))),
        partial=frames.partial.capitalize(),
        about=[_line(text) for text in about if text],
        claims=[_line(claim) for claim in claims(study)],
        strategies=[
            {
                "label": _line(item.label),
                "stroke": f"var(--c{item.colour[1:].lower()},{item.colour})",
                "dash": item.dash,
            }
            for item in (swatches if pictures else ())
        ],
        sections=[
            {"id": "shows", "title": "Claims"},
            *sections,
            {"id": "provenance", "title": _PROVENANCE},
        ],
        provenance=_PROVENANCE,
        commands=_commands(study, folder),
        suite_text=_block(frames.info.suite_text),
        manifest=_block(json.dumps(_manifest(study), indent=1, ensure_ascii=False, sort_keys=True)),
        style=_file("report.css"),
        script=script,
        script_hash=f"sha256-{digest}",
        data=_json(tables, pictures, swatches),
    )


def _file(name: str) -> str:
    """Return the text of a file of the template."""
    return (resources.files("hpbench.analysis") / "template" / name).read_text(encoding="utf-8")


def _line(text: str) -> str:
    """Return ``text`` on one line without control characters."""
    return clean(text)


def _block(text: str) -> str:
    """Return a text of several lines without control characters."""
    return "\n".join(clean(line) for line in text.splitlines())


def _json(tables: Sequence[Table], pictures: Sequence[Picture], swatches: Sequence[Swatch]) -> str:
    """Return the data block; no character of it can end the element that it stands in."""
    data = {
        "strategies": [{"label": _line(item.label), "colour": item.colour} for item in swatches],
        "figures": {picture.name: picture.panels for picture in pictures if picture.panels},
        "tables": {table.name: {"latex": to_latex(table), "csv": to_csv(table.values)} for table in tables},
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _sections(
    tables: Sequence[Table], pictures: Sequence[Picture], tasks: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the sections that have something to show."""
    by_name = {picture.name: picture for picture in pictures}
    found = []
    views = [picture for picture in pictures if picture.task]
    if views:
        found.append(_curves(views, tasks))
    for place, title, figures, wanted in _SECTIONS:
        section = _section(place, title)
        section["figures"] = [
            _figure(by_name[key]) for key in (f"fig-{name}" for name in figures) if key in by_name
        ]
        section["tables"] = [_table(table) for key in wanted for table in tables if table.name == key]
        if section["figures"] or section["tables"]:
            found.append(section)
    return found


def _section(name: str, title: str) -> dict[str, Any]:
    """Return an empty section."""
    return {"id": name, "title": title, "text": "", "tasks": [], "captions": [], "figures": [], "tables": []}


def _curves(views: Sequence[Picture], tasks: Sequence[str]) -> dict[str, Any]:
    """Return the section of the curves: every view of every task, and every view's caption once."""
    section = _section("curves", _CURVES)
    for task in tasks:
        mine = [
            {"id": picture.name, "title": picture.title, "svg": picture.svg, **picture.view}
            for picture in views
            if picture.task == task
        ]
        section["tasks"].append({"name": _line(task), "figures": mine})
    captions = {tuple(picture.view.items()): picture.caption for picture in views}
    section["captions"] = [{"text": _line(text), **dict(view)} for view, text in captions.items()]
    return section


def _figure(picture: Picture) -> dict[str, Any]:
    """Return what the template shows of a figure."""
    return {
        "id": picture.name,
        "title": picture.title,
        "caption": _line(picture.caption),
        "svg": picture.svg,
    }


def _table(table: Table) -> dict[str, Any]:
    """Return what the template shows of a table."""
    numeric = [column.numeric for column in table.columns]
    return {
        "name": table.name,
        "title": table.title,
        "caption": _line(table.caption),
        "headers": [{"text": _line(column.header), "numeric": column.numeric} for column in table.columns],
        "rows": [
            [_cell(mark, right) for mark, right in zip(row, numeric, strict=True)] for row in table.cells()
        ],
    }


def _cell(mark: Mark, numeric: bool) -> dict[str, str]:  # noqa: FBT001 -- a column's alignment
    """Return the text and the classes of one cell."""
    flags = (("num", numeric), ("best", mark.bold), ("like", mark.underlined))
    return {"text": _line(mark.text), "classes": " ".join(name for name, holds in flags if holds)}


def _commands(study: Study, folder: Path) -> str:
    """Return the commands that make the page and the study again."""
    results = shlex.quote(_line(folder.resolve().name))
    suite = shlex.quote(_line(f"{study.frames.info.suite['name']}.toml"))
    device = shlex.quote(_line(study.frames.info.device))
    return f"hpbench report {results}\nhpbench run {suite} --results {results} --device {device}"


def _manifest(study: Study) -> dict[str, Any]:
    """Return what the study was, field by field; nothing of the environment but what was recorded on purpose."""
    info = study.frames.info
    return {
        "hpbench_version": info.hpbench_version,
        "created_at": info.created_at,
        "device": info.device,
        "suite": info.suite,
        "suite_digest": info.suite_digest,
        "environment": info.environment,
        "tasks": info.tasks,
        "strategies": info.strategies,
        "skipped": info.skipped,
    }

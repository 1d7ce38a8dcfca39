"""``report.html``: one page that holds everything, needs no network, and reads well without a script."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpbench.analysis.captions import basis
from hpbench.analysis.claims import claims
from hpbench.analysis.clocks import clock_text, steps_text
from hpbench.analysis.comparison import Study
from hpbench.analysis.html import (
    Picture,
    Swatch,
    block,
    figure_entry,
    line,
    render,
    section_entry,
    table_entry,
)
from hpbench.analysis.manifest import analysis_of, report_command
from hpbench.analysis.writers import Table

__all__ = ["page_text"]


_SECTIONS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "scores",
        "Final scores",
        ("final-test", "difference"),
        ("final", "values", "pairs", "evidence", "selection"),
    ),
    (
        "across",
        "Over all tasks",
        ("regret", "rank", "targets", "profile", "critical-difference", "regret-by-task"),
        ("across", "ranks", "targets"),
    ),
    (
        "hyperparameters",
        "Hyperparameters",
        ("importance", "effects", "parallel", "learning"),
        ("importance", "spaces"),
    ),
    ("time", "Time and overhead", ("time-by-part", "overhead", "clock"), ("time",)),
    ("failures", "Failures", ("status",), ("status", "trouble")),
    ("sources", "What regret and targets are measured from", (), ("references",)),
)
"""Sections after the curves: id, title, figures and tables, those that the study has."""

_CURVES = "Curves by task"
_PROVENANCE = "Where this comes from"
_ORIGIN = (
    "This page is made from the store alone; the first command makes it again. The second repeats the study from the "
    "suite below, saved as a file."
)


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
    about = [basis(frames), clock_text(frames), steps_text(frames)]
    sections = _sections(tables, pictures, frames.tasks)
    manifest = json.dumps(_manifest(study, folder), indent=1, ensure_ascii=False, sort_keys=True)
    context = {
        "name": line(str(frames.info.suite["name"])),
        "description": line(str(frames.info.suite.get("description", ""))),
        "partial": frames.partial.capitalize(),
        "about": [line(text) for text in about if text],
        "claims": [line(claim) for claim in claims(study)],
        "claims_title": "What this study shows",
        "sections": [
            {"id": "shows", "title": "Claims"},
            *sections,
            {"id": "provenance", "title": _PROVENANCE},
        ],
        "provenance": _PROVENANCE,
        "origin": _ORIGIN,
        "commands": _commands(study, folder),
        "documents": [
            {"title": "The suite", "text": block(frames.info.suite_text)},
            {"title": "The manifest", "text": block(manifest)},
            *({"title": "Installed packages", "text": block(text)} for text in _packages(study)),
        ],
    }
    return render(context, tables=tables, pictures=pictures, swatches=swatches)


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
        section = section_entry(place, title)
        section["figures"] = [
            figure_entry(by_name[key]) for key in (f"fig-{name}" for name in figures) if key in by_name
        ]
        section["tables"] = [table_entry(table) for key in wanted for table in tables if table.name == key]
        if section["figures"] or section["tables"]:
            found.append(section)
    return found


def _curves(views: Sequence[Picture], tasks: Sequence[str]) -> dict[str, Any]:
    """Return the section of the curves: every view of every task, and every view's caption once."""
    section = section_entry("curves", _CURVES)
    for task in tasks:
        mine = [
            {"id": picture.name, "title": picture.title, "svg": picture.svg, **picture.view}
            for picture in views
            if picture.task == task
        ]
        section["tasks"].append({"name": line(task), "figures": mine})
    captions = {tuple(picture.view.items()): picture.caption for picture in views}
    section["captions"] = [{"text": line(text), **dict(view)} for view, text in captions.items()]
    return section


def _commands(study: Study, folder: Path) -> str:
    """Return the commands that make the page and the study again."""
    results = shlex.quote(line(folder.resolve().name))
    suite = shlex.quote(line(f"{study.frames.info.suite['name']}.toml"))
    device = shlex.quote(line(study.frames.info.device))
    return f"{report_command(folder)}\nhpbench run {suite} --results {results} --device {device}"


def _packages(study: Study) -> list[str]:
    """Return the installed packages as one text in lines of a readable length; nothing if none were recorded."""
    packages = study.frames.info.environment.get("packages", {})
    listed = " ".join(f"{name}=={version}" for name, version in packages.items())
    return ["\n".join(textwrap.wrap(listed, 100, break_on_hyphens=False))] if listed else []


def _manifest(study: Study, folder: Path) -> dict[str, Any]:
    """Return what the study was, field by field; nothing of the environment but what was recorded on purpose."""
    info = study.frames.info
    environment = {key: value for key, value in info.environment.items() if key != "packages"}
    return {
        "hpbench_version": info.hpbench_version,
        "created_at": info.created_at,
        "device": info.device,
        "suite": info.suite,
        "suite_digest": info.suite_digest,
        "environment": environment,
        "workers": list(study.frames.workers),
        "analysis": analysis_of(study, folder),
        "tasks": info.tasks,
        "strategies": info.strategies,
        "skipped": info.skipped,
    }

"""``hpbench compare`` on disk: ``compare.html``, tables and figures of two studies."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from hpbench.analysis.agreement import agreement_table, matched_trials, ratio_table
from hpbench.analysis.children import Children
from hpbench.analysis.frames import load_frames
from hpbench.analysis.html import Picture, block, figure_entry, line, render, section_entry, table_entry
from hpbench.analysis.two_studies import Between, Gate, compare_studies, gate_of
from hpbench.analysis.two_tables import change_table, headline, statements, two_basis
from hpbench.analysis.writers import Table, escape_markdown, to_csv, to_latex, to_markdown
from hpbench.files import atomic_write

if TYPE_CHECKING:
    from hpbench.analysis.canvas import Drawn

__all__ = ["TwoReport", "compare_results", "write_comparison"]

PAGE = "compare.html"
_PROVENANCE = "Where this comes from"


@dataclass(frozen=True)
class TwoReport:
    """Two studies, compared.

    Attributes:
        between: what changed.
        gate: whether a margin is broken; None if there was none to keep.
        matched: trials that both have.
        folders: where the studies lie.
    """

    between: Between
    gate: Gate | None
    matched: pd.DataFrame
    folders: tuple[Path, Path]

    @property
    def headline(self) -> str:
        """One sentence about what changed."""
        return headline(self.between, self.gate)

    @property
    def changes(self) -> Table:
        """The table of what changed."""
        return change_table(self.between, self.gate)

    @property
    def tables(self) -> list[Table]:
        """Every table that has a row; captions end with what both studies rest on."""
        found = [
            self.changes,
            agreement_table(self.between, self.matched),
            ratio_table(self.between, self.matched),
        ]
        return [
            replace(table, caption=f"{table.caption} {_rests(self.between)}")
            for table in found
            if len(table.values)
        ]

    @property
    def statements(self) -> list[str]:
        """What the comparison shows, in plain words."""
        return statements(self.between, self.matched, self.gate)


def compare_results(first: Path, second: Path, *, margin: float | None = None) -> TwoReport:
    """Return the comparison of two results directories.

    Args:
        first: the study to compare with.
        second: the other one.
        margin: rise of error in [0, 1) that is tested for; None: none is.

    Raises:
        UsageError: one of them holds no study, they share nothing that has ended, or the margin cannot be
            tested.
        StoreError: one of them is damaged.
    """
    between = compare_studies(load_frames(first), load_frames(second), _names(first, second))
    gate = None if margin is None else gate_of(between, margin)
    return TwoReport(between, gate, matched_trials(between), (first, second))


def _rests(between: Between) -> str:
    """Return what both studies rest on, for captions: tasks, repetitions, budgets, clocks, devices, failures."""
    return " ".join(two_basis(between))


def _names(first: Path, second: Path) -> tuple[str, str]:
    """Return the last parts of both paths that tell them apart."""
    one, other = first.resolve().parts, second.resolve().parts
    for length in range(1, max(len(one), len(other)) + 1):
        names = "/".join(one[-length:]), "/".join(other[-length:])
        if names[0] != names[1]:
            return line(names[0]), line(names[1])
    return "A", "B"


def write_comparison(report: TwoReport, out: Path) -> list[Path]:
    """Write ``compare.html``, ``tables/`` and ``figures/`` into ``out`` and return their paths.

    Raises:
        OSError: the folder cannot be written.
    """
    tables = report.tables
    written = []
    for table in tables:
        for kind, text in (
            ("md", to_markdown(table)),
            ("csv", to_csv(table.values)),
            ("tex", to_latex(table)),
        ):
            written.append(out / "tables" / f"{table.name}.{kind}")
            atomic_write(written[-1], text)
    written.append(out / "tables" / "summary.md")
    listed = "\n".join(f"- {escape_markdown(text)}" for text in report.statements)
    title = escape_markdown(" against ".join(report.between.names[::-1]))
    atomic_write(written[-1], "\n".join([f"# {title}\n\n{listed}\n", *map(to_markdown, tables)]))
    figures, pictures = _write_figures(report, out / "figures")
    page = out / PAGE
    atomic_write(page, _page(report, tables, pictures))
    return [page, *written, *figures]


def _write_figures(report: TwoReport, folder: Path) -> tuple[list[Path], list[Picture]]:
    """Write each figure in three formats; return the files and what the page shows."""
    from hpbench.analysis import canvas, printing, two_figures  # noqa: PLC0415 -- matplotlib, only where drawing happens

    def sheet_of(drawn: Drawn) -> printing.Sheet:
        drawn = replace(drawn, caption=f"{drawn.caption} {_rests(report.between)}")
        picture = Picture(f"fig-{drawn.name}", drawn.title, drawn.caption)
        return printing.Sheet(drawn, picture, f"f-{drawn.name}")

    written: list[Path] = []
    shown: list[Picture] = []
    index = ["# Figures\n"]
    with Children("hpbench.analysis.printing") as children, canvas.drawing():
        sheets = map(sheet_of, two_figures.two_figures(report.between, report.matched, report.gate))
        for sheet, found in printing.print_sheets(sheets, report.between.strategies, children):
            drawn = sheet.drawn
            if sheet.picture and found.inline:
                shown.append(replace(sheet.picture, svg=found.inline.svg))
            written += printing.write_files(found.files, folder, drawn.name)
            index.append(
                f"## {drawn.title}\n\n![{drawn.title}]({drawn.name}.png)\n\n{escape_markdown(drawn.caption)}\n"
            )
    written.append(folder / "README.md")
    atomic_write(written[-1], "\n".join(index))
    return written, shown


_SECTIONS = (
    ("changes", "What changed", ("compare-changes",), ("compare",)),
    ("curves", "The same curves over both clocks", ("compare-trials", "compare-seconds"), ()),
    ("agreement", "Agreement trial by trial", (), ("agreement",)),
    ("time", "Time of the same network", ("compare-times",), ("ratio",)),
)


def _page(report: TwoReport, tables: list[Table], pictures: list[Picture]) -> str:
    """Return the page."""
    between = report.between
    by_name = {picture.name: picture for picture in pictures}
    sections = []
    for place, title, figures, wanted in _SECTIONS:
        section = section_entry(place, title)
        section["figures"] = [
            figure_entry(by_name[f"fig-{name}"]) for name in figures if f"fig-{name}" in by_name
        ]
        section["tables"] = [table_entry(table) for table in tables if table.name in wanted]
        if section["figures"] or section["tables"]:
            sections.append(section)
    context = {
        "name": line(f"{between.names[1]} against {between.names[0]}"),
        "description": "Two studies side by side.",
        "partial": " ".join(study.frames.partial for study in (between.a, between.b) if study.frames.partial),
        "about": [line(text) for text in two_basis(between)],
        "claims": [line(text) for text in report.statements],
        "claims_title": "What this comparison shows",
        "sections": [
            {"id": "shows", "title": "Claims"},
            *sections,
            {"id": "provenance", "title": _PROVENANCE},
        ],
        "provenance": _PROVENANCE,
        "origin": "This page is made from both stores alone, by the first command.",
        "commands": _command(report),
        "documents": [
            {"title": f"The suite of {line(name)}", "text": block(study.frames.info.suite_text)}
            for name, study in zip(between.names, (between.a, between.b), strict=True)
        ]
        + [
            {
                "title": f"The environment of {line(name)}",
                "text": block(_pretty(study.frames.info.environment)),
            }
            for name, study in zip(between.names, (between.a, between.b), strict=True)
        ],
    }
    return render(context, tables=tables, pictures=pictures, swatches=[])


def _pretty(value: object) -> str:
    """Return JSON for people."""
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True)


def _command(report: TwoReport) -> str:
    """Return the command that makes the page again; of the paths the last parts that tell them apart."""
    words = ["hpbench", "compare", *report.between.names]
    if report.gate is not None:
        words += ["--fail-if-worse", f"{report.gate.margin:g}"]
    return shlex.join(words)

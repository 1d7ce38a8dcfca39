"""``write_report``: from the store to tables, figures and the page on disk, all of them rebuilt each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hpbench.analysis.accounts import status_table, time_table, trouble_table
from hpbench.analysis.children import Children
from hpbench.analysis.claims import across_claim, summary
from hpbench.analysis.comparison import Study, study_of
from hpbench.analysis.curves import Part
from hpbench.analysis.evidence import evidence_table
from hpbench.analysis.frames import load_frames
from hpbench.analysis.html import Picture, Swatch
from hpbench.analysis.importance import importance_table, space_table
from hpbench.analysis.manifest import analysis_of
from hpbench.analysis.page import page_text
from hpbench.analysis.rivals import across_table, pairs_table, reference_table, running_time_table
from hpbench.analysis.tables import final_table, rank_table, selection_table
from hpbench.analysis.values import value_table
from hpbench.analysis.writers import Table, escape_markdown, to_csv, to_latex, to_markdown
from hpbench.export import MANIFEST, write_manifest
from hpbench.files import atomic_write
from hpbench.store import Store

if TYPE_CHECKING:
    from hpbench.analysis.canvas import Drawn
    from hpbench.analysis.figures import Bands, Scale

__all__ = ["all_tables", "read_and_report", "write_report"]


def write_report(results_dir: Path) -> list[Path]:
    """Write ``report.html``, ``tables/``, ``figures/`` and ``manifest.json`` beside the store in ``results_dir``, and return their paths.

    Works on a study that is running or partial: what is missing is said, never left out in silence.

    Raises:
        UsageError: there is no study.
        StoreError: the store is damaged.
        OSError: the folder cannot be written.
        ChildError: a process that reads trials or prints figures died.
    """
    return read_and_report(results_dir)[1]


def read_and_report(results_dir: Path) -> tuple[Study, list[Path]]:
    """Return what was read and what was written by :func:`write_report`; large studies take long to read."""
    with Children("hpbench.analysis.printing") as children:
        study = study_of(load_frames(results_dir, children))
        tables = all_tables(study)
        written = _write_tables(results_dir / "tables", tables, study)
        figures, pictures, legend = _write_figures(results_dir, study, children)
    page, manifest = results_dir / "report.html", results_dir / MANIFEST
    atomic_write(page, page_text(study, tables, pictures, legend, results_dir))
    with Store.open(results_dir, read_only=True) as store:
        write_manifest(store, manifest, analysis=analysis_of(study, results_dir))
    return study, [page, manifest, *written, *figures]


def all_tables(study: Study) -> list[Table]:
    """Return every table that the study can fill; a table without a row is left out."""
    frames = study.frames
    tables = [
        final_table(study),
        value_table(study),
        across_table(study),
        rank_table(study),
        pairs_table(study),
        running_time_table(study),
        evidence_table(study),
        selection_table(study),
        time_table(frames),
        status_table(frames),
        trouble_table(frames),
        importance_table(frames, study.importance),
        space_table(frames),
        reference_table(study),
    ]
    return [table for table in tables if len(table.values)]


def _write_tables(folder: Path, tables: list[Table], study: Study) -> list[Path]:
    """Write each table in three formats, and the summary that holds them all."""
    written = []
    for table in tables:
        texts = {"md": to_markdown(table), "csv": to_csv(table.values), "tex": to_latex(table)}
        for kind, text in texts.items():
            path = folder / f"{table.name}.{kind}"
            atomic_write(path, text)
            written.append(path)
    path = folder / "summary.md"
    atomic_write(path, "\n".join([summary(study), *(to_markdown(table) for table in tables)]))
    return [*written, path]


def _write_figures(
    results_dir: Path, study: Study, children: Children
) -> tuple[list[Path], list[Picture], list[Swatch]]:
    """Write each figure in three formats with an index of captions, and the plotted numbers as CSV.

    Returns:
        the files, and what the page shows: its figures and its legend.
    """
    from hpbench.analysis import canvas, pictures, printing  # noqa: PLC0415 -- matplotlib is loaded only where drawing happens

    folder = results_dir / "figures"
    if study.frames.trials.empty:
        path = folder / "README.md"
        atomic_write(path, "# Figures\n\nNo trial has finished yet, so there is nothing to draw.\n")
        return [path], [], []
    written: list[Path] = []
    shown: list[Picture] = []
    about = across_claim(study)
    index = ["# Figures\n", *([f"{escape_markdown(about)}\n"] if about else [])]
    plotted: list[pd.DataFrame] = []
    with canvas.drawing():
        sheets = chain(map(pictures.sheet_of, _drawn(study, plotted), count()), pictures.views(study))
        for sheet, found in printing.print_sheets(sheets, study.frames.strategies, children):
            drawn = sheet.drawn
            if sheet.picture and found.inline:
                shown.append(pictures.filled(sheet.picture, found.inline))
            if sheet.filed:
                written += printing.write_files(found.files, folder, drawn.name)
                caption = escape_markdown(drawn.caption)
                index.append(f"## {drawn.title}\n\n![{drawn.title}]({drawn.name}.png)\n\n{caption}\n")
        legend = pictures.swatches(study)
    curves = results_dir / "tables" / "curves.csv"
    atomic_write(curves, to_csv(pd.concat(plotted, ignore_index=True)))
    path = folder / "README.md"
    atomic_write(path, "\n".join(index))
    return [*written, curves, path], shown, legend


def _drawn(study: Study, plotted: list[pd.DataFrame]) -> Iterator[Drawn]:
    """Yield the figures one by one; the numbers of the curves are appended to ``plotted``."""
    from hpbench.analysis import contrasts, effects, figures, overview, scores, standing, value_curves  # noqa: PLC0415 -- matplotlib, only where drawing happens

    parts: tuple[Part, ...] = ("val", "test")
    scales: tuple[Scale, ...] = ("accuracy", "error")
    for axis in figures.axes_of(study):
        for part in parts:
            bands = figures.bands_of(study, axis, part)
            plotted.append(_plotted(bands, axis, part, study.frames.counted_tasks))
            for scale in scales if study.frames.counted_tasks else ():
                yield figures.best_figure(study, bands, axis, part, scale)
        if study.frames.value_tasks:
            plotted.append(
                _plotted(figures.bands_of(study, axis, "value"), axis, "value", study.frames.value_tasks)
            )
            yield value_curves.value_figure(study, axis)
    yield from standing.standing_figures(study)
    yield from contrasts.contrast_figures(study)
    yield scores.final_figure(study)
    yield from effects.effect_figures(study, study.importance)
    yield overview.time_figure(study)
    yield overview.overhead_figure(study)
    yield overview.status_figure(study)
    if not study.frames.checks.empty:
        yield overview.clock_figure(study)


def _plotted(bands: Bands, axis: str, part: str, tasks: Sequence[str]) -> pd.DataFrame:
    """Return the numbers of one figure's curves, one row a point; infinite where half have none.

    They are errors in [0, 1]; in rows whose part is ``value``, values of tasks that have no error.
    """
    pieces = [
        pd.DataFrame(
            {
                "axis": axis,
                "part": part,
                "task": task,
                "strategy": strategy,
                "x": band.x,
                "n": np.isfinite(band.runs).sum(axis=0),
                "median_error": band.centre,
                "quartile_low": band.low,
                "quartile_high": band.high,
            }
        )
        for task in tasks
        for strategy, band in bands[task].items()
    ]
    return pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame()

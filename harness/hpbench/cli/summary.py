"""What ``hpbench run`` and ``hpbench report`` print when page, tables and figures are written."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hpbench.analysis.captions import percent, sentence_case
from hpbench.analysis.comparison import Cell, Study
from hpbench.analysis.frames import Frames
from hpbench.analysis.report import read_and_report
from hpbench.analysis.retrained import retrained_of
from hpbench.analysis.statistics import Interval
from hpbench.analysis.values import value_table
from hpbench.cli.text import clean, table
from hpbench.errors import StoreError
from hpbench.store import store_path
from hpbench.study import RunRow
from hpbench.wording import counted

__all__ = ["failures_text", "files_of", "files_text", "final_text", "rebuild"]

_MOST_FAILURES = 10


def rebuild(results: Path) -> tuple[Study, list[Path]]:
    """Write page, tables and figures; return the study and their paths.

    Raises:
        StoreError: the folder cannot be written, or the store is damaged.
        UsageError: there is no study.
    """
    try:
        return read_and_report(results)
    except OSError as error:
        raise StoreError(f"{results} cannot be written: {error.strerror or error}.") from error


def final_text(study: Study) -> str:
    """Return the final accuracy (or value) of every strategy on every task, and what is missing."""
    final = bool(study.frames.info.suite.get("final"))
    rows = [
        [
            cell.task,
            study.frames.label(cell.strategy),
            _percent(cell.test),
            *([_retrained(study.frames, cell)] if final else []),
            "-" if math.isnan(cell.val.centre) else f"{100 * (1 - cell.val.centre):.2f}",
            _counted(cell),
        ]
        for task, comparison in study.comparisons.items()
        for cell in comparison.cells
        if study.frames.counted(task)
    ]
    header = ["TASK", "STRATEGY", "TEST (%)", *(["RETRAINED (%)"] if final else []), "VALIDATION (%)", "RUNS"]
    lines = []
    if rows:
        counted = [task for task in study.comparisons if study.frames.counted(task)]
        kind = sentence_case(study.frames.measure(*counted))
        lines += [
            f"{kind} of what validation chose, mean over repetitions [95 % interval].",
            "",
            table(header, rows, right=tuple(range(2, len(header)))),
        ]
    values = value_table(study).values
    if len(values):
        shown = [
            [str(row["task"]), str(row["label"]), f"{float(row['value']):.4g}", str(row["n"])]
            for row in values.to_dict("records")
        ]
        lines += [
            *([""] if lines else []),
            "Smallest value of each run, mean over repetitions.",
            "",
            table(["TASK", "STRATEGY", "VALUE", "RUNS"], shown, right=(2, 3)),
        ]
    if study.frames.partial:
        lines += ["", f"The study is {study.frames.partial}."]
    return "\n".join(lines)


def _retrained(frames: Frames, cell: Cell) -> str:
    """Return what the incumbents reach when they are trained again: mean and deviation between seeds."""
    found = retrained_of(frames, cell.task, cell.strategy)
    text = percent(found.error)
    return f"{text} \u00b1 {100 * found.deviation:.2f}" if math.isfinite(found.deviation) else text


def _percent(error: Interval) -> str:
    """Return an error's interval as accuracy in per cent."""
    if math.isnan(error.centre):
        return "-"
    text = f"{100 * (1 - error.centre):.2f}"
    if math.isfinite(error.low):
        text += f" [{100 * (1 - error.high):.2f}, {100 * (1 - error.low):.2f}]"
    return text


def _counted(cell: Cell) -> str:
    """Return how many repetitions have a result, and what became of the others."""
    counts = cell.counts
    if counts.skipped:
        return "skipped"
    missing = [
        f"{number} {word}"
        for word, number in (("failed", counts.failed), ("missing", counts.missing))
        if number
    ]
    return f"{counts.n}" + (f" ({', '.join(missing)})" if missing else "")


def files_text(results: Path, paths: Sequence[Path]) -> str:
    """Return where the results lie: the store, the page, and the folders of the files that were written."""
    return _listed([["Trials", str(store_path(results))]], paths, results)


def files_of(paths: Sequence[Path], folder: Path) -> str:
    """Return where files lie: those in ``folder`` itself, and its folders."""
    return _listed([], paths, folder)


def _listed(rows: list[list[str]], paths: Sequence[Path], results: Path) -> str:
    """Return ``rows``, then the files in ``results`` and the folders in it, in columns."""
    folders = Counter(path.parent for path in paths if path.parent != results)
    rows += [[path.stem.capitalize(), str(path)] for path in paths if path.parent == results]
    rows += [[folder.name.capitalize(), f"{folder} ({count} files)"] for folder, count in folders.items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{clean(name):{width}}  {clean(place)}" for name, place in rows)


def failures_text(failed: Sequence[RunRow]) -> str:
    """Return the failed runs, the first ones with the first line of their message."""
    which = "it" if len(failed) == 1 else "them"
    lines = [f"{counted(len(failed), 'run')} failed; the same command tries {which} again:"]
    for row in failed[:_MOST_FAILURES]:
        first = (row.message.strip().splitlines() or ["no reason was given"])[0]
        lines.append(f"  {clean(str(row.run))}: {clean(first)}")
    if len(failed) > _MOST_FAILURES:
        lines.append(f"  and {len(failed) - _MOST_FAILURES} more; see tables/trouble.md")
    return "\n".join(lines)

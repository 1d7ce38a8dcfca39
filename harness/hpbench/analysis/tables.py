"""The tables about scores: final accuracy, ranks, and what selecting by validation cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from hpbench.analysis.captions import METHODS, about_measure, basis, p_text, percent, points, sentence_case
from hpbench.analysis.comparison import Cell, Study
from hpbench.analysis.frames import Frames
from hpbench.analysis.retrained import retrained_caption, retrained_of
from hpbench.analysis.statistics import Interval
from hpbench.analysis.writers import NAMES, Column, Mark, Table, column

__all__ = ["final_table", "rank_table", "selection_table"]

_Row = Mapping[str, Any]


def _cells(study: Study) -> list[Cell]:
    """Return every cell in suite order, without tasks that have no accuracy."""
    counted = [found for task, found in study.comparisons.items() if study.frames.counted(task)]
    return [cell for comparison in counted for cell in comparison.cells]


def _ends(prefix: str, interval: Interval) -> dict[str, float]:
    """Return an interval as three values."""
    return {prefix: interval.centre, f"{prefix}_low": interval.low, f"{prefix}_high": interval.high}


def final_table(study: Study) -> Table:
    """Return T1: final validation and test accuracy of every cell, against the baseline."""
    frames = study.frames
    measure = frames.measure()
    rows = [
        {**_final_row(cell), **_retrained_row(frames, cell), "label": frames.label(cell.strategy)}
        for cell in _cells(study)
    ]
    columns = [
        *NAMES,
        Column(f"Test {measure} (%)", _accuracy("test_error")),
        *([Column("Retrained (%)", _retrained)] if frames.info.suite.get("final") else []),
        Column(f"Validation {measure} (%)", _accuracy("val_error")),
        column("Mean rank", "rank", _two_digits),
    ]
    caption = (
        f"{sentence_case(measure)} of the final incumbent (best by validation), mean over repetitions [95 % interval]. "
        f"{about_measure(frames)}{retrained_caption(frames)}Bold: highest mean test {measure} of the task among strategies without a failed run; underlined "
        "(in Markdown: italics): no difference from it is shown (Wilcoxon, Holm). Rank by test error in the repetitions "
        "that are complete, a run without a result last. "
    )
    if frames.baseline is not None:
        against = frames.label(frames.baseline)
        columns += [
            Column(f"Test vs {against} (points)", _difference),
            Column(
                "p (Holm)",
                lambda row: "" if _is_none(row["enough"]) else p_text(row["p"], enough=row["enough"]),
            ),
            Column("Better / tied / worse", _wins),
        ]
        caption += (
            f"Against {against}: paired difference of test {measure} in percentage points, positive is better; p by "
            "Wilcoxon's signed-rank test, Holm-adjusted within the task; 'too few': so few pairs cannot "
            "reach p < 0.05. A failed run counts as worse than every result in p, ranks and 'better / tied / worse', and "
            "is left out of means and differences. "
        )
    columns.append(Column("n", _n_text))
    caption += f"{METHODS} {basis(frames)}"
    return Table("final", f"Final {measure}", caption, pd.DataFrame(rows), tuple(columns))


def _final_row(cell: Cell) -> dict[str, Any]:
    """Return the values of one cell."""
    versus = cell.versus
    nothing = Interval(math.nan, math.nan, math.nan, 0, "none")
    wins = versus.wins if versus else (None, None, None)
    return {
        "task": cell.task,
        "strategy": cell.strategy,
        **_ends("test_error", cell.test),
        **_ends("val_error", cell.val),
        "interval": cell.test.method,
        "rank": cell.rank,
        **_ends("gain", versus.difference if versus else nothing),
        "p": versus.p if versus else math.nan,
        "probability_of_improvement": versus.improvement if versus else math.nan,
        **dict(zip(("won", "tied", "lost"), wins, strict=True)),
        "enough": versus.enough if versus else None,
        "n": cell.counts.n,
        "failed_runs": cell.counts.failed,
        "missing_runs": cell.counts.missing,
        "exhausted_runs": cell.counts.exhausted,
        "skipped": cell.counts.skipped,
        "best": cell.best,
        "like_best": cell.like_best,
    }


def _retrained_row(frames: Frames, cell: Cell) -> dict[str, Any]:
    """Return the values of a cell's retrainings; nothing where the suite asks for none."""
    if not frames.info.suite.get("final"):
        return {}
    found = retrained_of(frames, cell.task, cell.strategy)
    return {
        "retrained_error": found.error,
        "retrained_deviation": found.deviation,
        "retrained_runs": found.n,
        "retrained_failed": found.failed,
    }


def _retrained(row: _Row) -> str:
    """Return the mean of the retrainings and their standard deviation between seeds."""
    text = percent(row["retrained_error"])
    spread = row["retrained_deviation"]
    return f"{text} \u00b1 {100 * spread:.2f}" if math.isfinite(spread) else text


def _accuracy(key: str) -> Callable[[_Row], Mark]:
    """Return the form of an accuracy with its interval; the test accuracy carries the emphasis."""

    def form(row: _Row) -> Mark:
        text = percent(row[key])
        if math.isfinite(row[f"{key}_low"]):
            text += f" [{percent(row[f'{key}_high'])}, {percent(row[f'{key}_low'])}]"
        shown = key == "test_error" and math.isfinite(row[key])
        return Mark(text, bold=shown and row["best"], underlined=shown and row["like_best"])

    return form


def _difference(row: _Row) -> str:
    """Return the paired difference; nothing for the baseline itself."""
    return points(row["gain"], row["gain_low"], row["gain_high"])


def _wins(row: _Row) -> str:
    """Return won, tied and lost repetitions."""
    if _is_none(row["won"]):
        return "-"
    return f"{row['won']:.0f} / {row['tied']:.0f} / {row['lost']:.0f}"


def _n_text(row: _Row) -> str:
    """Return n with what it lacks."""
    if row["skipped"]:
        return "skipped"
    notes = [
        f"{row[f'{kind}_runs']} {kind}" for kind in ("failed", "missing", "exhausted") if row[f"{kind}_runs"]
    ]
    return f"{row['n']}" + (f" ({', '.join(notes)})" if notes else "")


def _is_none(value: object) -> bool:
    """Return whether a cell of a frame is empty (pandas turns None into NaN)."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _two_digits(value: float) -> str:
    """Return two decimals."""
    return "-" if math.isnan(value) else f"{value:.2f}"


def rank_table(study: Study) -> Table:
    """Return the mean rank of each strategy on each task and over the tasks."""
    frames = study.frames
    ranks = {task: [cell.rank for cell in found.cells] for task, found in study.comparisons.items()}
    blocks = {task: found.blocks for task, found in study.comparisons.items()}
    known = np.array([ranks[task] for task in frames.tasks if blocks[task]])
    complete = known[:, ~np.isnan(known).any(axis=0)] if len(known) else known
    values = pd.DataFrame(
        {"strategy": list(frames.strategies), "label": [frames.label(name) for name in frames.strategies]}
    )
    for place, task in enumerate(frames.tasks):
        values[f"task {place + 1}: {task}"] = ranks[task]
    values["mean"] = known.mean(axis=0) if complete.size else math.nan
    columns = [NAMES[1]]
    columns += [
        column(task, f"task {place + 1}: {task}", _two_digits) for place, task in enumerate(frames.tasks)
    ]
    columns.append(column("Mean of tasks", "mean", _two_digits))
    counts = ", ".join(f"{task} {blocks[task]}" for task in frames.tasks)
    caption = (
        "Mean rank by test error, 1 is best, ties averaged, a run without a result last; within each repetition, "
        f"then over repetitions, then over tasks. Complete repetitions: {counts}. Ranks are among the "
        f"strategies that can search the task; one that was skipped on a task has no mean. {basis(frames)}"
    )
    return Table("ranks", "Mean ranks", caption, values, tuple(columns))


def selection_table(study: Study) -> Table:
    """Return T4: what choosing the incumbent by validation cost on the test part."""
    measure = study.frames.measure()
    rows = [_selection_row(study.frames, cell) for cell in _cells(study) if cell.counts.n]
    columns = (
        *NAMES,
        Column("Validation - test (points)", lambda row: _two_digits(100 * row["optimism"])),
        Column("Best test seen - test (points)", _cost("gap")),
        Column("Overtuning (points)", _cost("overtuning")),
        Column(
            "Runs overtuned (%)",
            lambda row: "-" if math.isnan(row["overtuned"]) else f"{100 * row['overtuned']:.0f}",
        ),
        column("n", "n"),
    )
    caption = (
        f"What choosing by validation cost, in points of {measure}, mean over repetitions [95 % interval]. "
        f"Validation - test: how much the incumbent's validation {measure} flatters it. Best test seen - test: "
        f"the best test {measure} of any trial of the run less the incumbent's; it could be had only by "
        f"looking at the test part. Overtuning: the best test {measure} of an earlier incumbent less the final "
        f"one's. {METHODS} {basis(study.frames)}"
    )
    return Table("selection", "What selection cost", caption, pd.DataFrame(rows), columns)


def _selection_row(frames: Frames, cell: Cell) -> dict[str, Any]:
    """Return the values of one cell."""
    return {
        "task": cell.task,
        "strategy": cell.strategy,
        "label": frames.label(cell.strategy),
        "optimism": cell.test.centre - cell.val.centre,
        **_ends("gap", cell.selection.gap),
        **_ends("overtuning", cell.selection.overtuning),
        "overtuned": cell.selection.overtuned,
        "n": cell.counts.n,
    }


def _cost(key: str) -> Callable[[_Row], str]:
    """Return the form of a cost with its interval."""

    def form(row: _Row) -> str:
        text = _two_digits(100 * row[key])
        if math.isfinite(row[f"{key}_low"]):
            text += f" [{100 * row[f'{key}_low']:.2f}, {100 * row[f'{key}_high']:.2f}]"
        return text

    return form

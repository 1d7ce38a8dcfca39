"""The table of tasks that count no examples, such as closed-form functions: final values in place of accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hpbench.analysis.captions import METHODS, basis, p_text
from hpbench.analysis.comparison import Study, final_values
from hpbench.analysis.curves import TaskCurves
from hpbench.analysis.statistics import mean_interval
from hpbench.analysis.versus import against
from hpbench.analysis.writers import NAMES, Column, Table, column
from hpbench.seeding import bootstrap_stream

__all__ = ["value_table"]


def value_table(study: Study) -> Table:
    """Return the final value of every strategy on every task that has no accuracy; no row if there is none."""
    frames = study.frames
    rows = [
        {**row, "label": frames.label(row["strategy"])}
        for task in frames.tasks
        if not frames.counted(task)
        for row in _rows(study, study.curves[task])
    ]
    columns = [
        *NAMES,
        Column("Final value", _interval),
        column("Above the minimum", "excess", _short),
        column("Mean rank", "rank", lambda value: "-" if math.isnan(value) else f"{value:.2f}"),
    ]
    caption = (
        "Tasks whose result is a value to be minimised and no share of correct examples: the smallest value of "
        "each run, mean over repetitions [95 % interval], and how far that mean lies above the known minimum of "
        "the function, if the suite left its space as it is. Such tasks have no accuracy, so they are left out of tables and figures "
        "of accuracy; ranks, regret and targets follow the value. "
    )
    if frames.baseline is not None:
        columns.append(Column(f"p vs {frames.label(frames.baseline)} (Holm)", _p))
        caption += (
            "p by Wilcoxon's signed-rank test, two-sided, Holm-adjusted within the task; a failed run counts as worse "
            "than every result there and is left out of the means. "
        )
    columns.append(column("n", "n"))
    return Table(
        "values", "Final values", f"{caption}{METHODS} {basis(frames)}", pd.DataFrame(rows), tuple(columns)
    )


def _rows(study: Study, curves: TaskCurves) -> list[dict[str, Any]]:
    """Return one row a strategy."""
    frames = study.frames
    values = final_values(curves)
    minimum = frames.info.tasks.get(curves.task, {}).get("minimum")
    base = None if frames.baseline is None else frames.strategies.index(frames.baseline)
    p, enough = against(np.where(curves.failed, math.inf, values), base)
    stream = bootstrap_stream(int(frames.info.suite["root_seed"])).child(curves.task)
    found = []
    for place, strategy in enumerate(frames.strategies):
        interval = mean_interval(values[place], rng=stream.child(strategy, "value").generator())
        found.append(
            {
                "task": curves.task,
                "strategy": strategy,
                "value": interval.centre,
                "value_low": interval.low,
                "value_high": interval.high,
                "excess": math.nan if minimum is None else interval.centre - minimum,
                "rank": study.comparisons[curves.task].cells[place].rank,
                "p": float(p[place]),
                "enough": bool(enough[place]),
                "n": int(np.isfinite(values[place]).sum()),
            }
        )
    return found


def _short(value: float) -> str:
    """Return four significant digits."""
    return "-" if math.isnan(value) else f"{value:.4g}"


def _interval(row: Mapping[str, Any]) -> str:
    """Return a value with its interval."""
    text = _short(row["value"])
    if math.isfinite(row["value_low"]):
        text += f" [{_short(row['value_low'])}, {_short(row['value_high'])}]"
    return text


def _p(row: Mapping[str, Any]) -> str:
    """Return the adjusted p; nothing where there is none."""
    return "" if math.isnan(row["p"]) else p_text(row["p"], enough=row["enough"])

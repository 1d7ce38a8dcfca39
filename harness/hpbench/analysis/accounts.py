"""The tables about what a study took and how it ended: time by part, statuses, runs with trouble."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from hpbench.analysis.captions import basis, seconds
from hpbench.analysis.frames import TIME_PARTS, Frames
from hpbench.analysis.writers import NAMES, Column, Table, column
from hpbench.study import FINISHED, RunState
from hpbench.trial import Status

__all__ = ["status_table", "time_table", "trouble_table"]


def time_table(frames: Frames) -> Table:
    """Return T5: seconds by part, a trial on average and in total."""
    trials = frames.trials
    parts = [f"{part}_seconds" for part in TIME_PARTS]
    grouped = trials.groupby(["task", "strategy"], observed=True)[parts]
    values = grouped.mean().reset_index()
    values["task"] = values["task"].astype(str)
    values["strategy"] = values["strategy"].astype(str)
    values["label"] = [frames.label(name) for name in values["strategy"]]
    values["seconds"] = values[parts].sum(axis=1)
    values["overhead"] = (values["ask_seconds"] + values["tell_seconds"]) / values["seconds"].where(
        values["seconds"] > 0
    )
    values["trials"] = grouped.size().to_numpy()
    values["total_seconds"] = values["seconds"] * values["trials"]
    columns = (
        *NAMES,
        *(column(f"{part.capitalize()} (s/trial)", f"{part}_seconds", seconds) for part in TIME_PARTS),
        column("All (s/trial)", "seconds", seconds),
        Column(
            "Ask + tell (%)",
            lambda row: "-" if math.isnan(row["overhead"]) else f"{100 * row['overhead']:.1f}",
        ),
        column("Trials", "trials"),
        column("Total (s)", "total_seconds", seconds),
    )
    caption = (
        f"Seconds on the {frames.clock} clock, mean over all trials of all repetitions, failed ones included; what "
        f"the harness itself takes is not part of it. {basis(frames)}"
    )
    return Table("time", "Time by part", caption, values, columns)


def status_table(frames: Frames) -> Table:
    """Return how trials and runs of each cell ended."""
    key = ["task", "strategy"]
    statuses = [str(status) for status in Status]
    states = [str(state) for state in RunState]
    ended = _crosstab(frames.trials, key, "status", statuses)
    runs = _crosstab(frames.runs, key, "state", states)
    values = runs.join(ended, how="left").fillna(0).astype(np.int64).reset_index()
    values["label"] = [frames.label(name) for name in values["strategy"]]
    used = [name for name in statuses if name == Status.OK or values[name].sum()]
    seen = [name for name in states if name == RunState.COMPLETE or values[name].sum()]
    columns = (
        *NAMES,
        *(column(f"Trials {name.replace('_', ' ')}", name) for name in used),
        *(column(f"Runs {name}", name) for name in seen),
    )
    caption = f"How trials and runs ended; a status that does not occur has no column. {basis(frames)}"
    return Table("status", "Trials and runs by status", caption, values, columns)


def _crosstab(frame: pd.DataFrame, key: list[str], column: str, names: list[str]) -> pd.DataFrame:
    """Return counts of ``names`` in ``column`` for each pair of ``key``."""
    plain = pd.DataFrame({name: frame[name].astype(str) for name in [*key, column]})
    indicators = plain[key].assign(**{name: plain[column] == name for name in names})
    return indicators.groupby(key, sort=False)[list(names)].sum()


def trouble_table(frames: Frames) -> Table:
    """Return the runs that failed, the finished ones that lost trials, and the skipped pairings, with reasons."""
    runs = frames.runs
    failed = runs[runs["state"] == RunState.FAILED]
    skipped = runs[runs["state"] == RunState.SKIPPED].drop_duplicates(["task", "strategy"])
    rows = [_trouble(frames, row, str(row.repetition)) for row in failed.itertuples()]
    rows += [_trouble(frames, row, str(row.repetition)) for row in _losses(runs).itertuples()]
    rows += [_trouble(frames, row, "all") for row in skipped.itertuples()]
    values = pd.DataFrame(
        rows, columns=["task", "strategy", "label", "repetition", "state", "trials", "failures", "message"]
    )
    columns = (
        *NAMES,
        column("Repetition", "repetition"),
        column("State", "state", numeric=False),
        column("Trials", "trials"),
        column("Failed trials", "failures"),
        column("Message", "message", _shortened, numeric=False),
    )
    caption = (
        "Why a run failed or was skipped; of finished runs that lost trials, the status and message that most of "
        f"these have. {basis(frames)}"
    )
    return Table("trouble", "Runs that failed, lost trials or were skipped", caption, values, columns)


def _losses(runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each cell with finished runs that lost trials, and the message that most of them have."""
    lost = runs[runs["state"].isin(FINISHED) & (runs["message"] != "")]
    cells = lost.astype({"task": str, "strategy": str}).groupby(["task", "strategy"], sort=False)
    return cells.agg(
        repetition=("repetition", lambda numbers: f"{len(numbers)} of them"),
        state=("state", lambda states: " or ".join(states.unique())),
        trials=("trials", "sum"),
        failures=("failures", "sum"),
        message=("message", lambda messages: messages.value_counts(sort=True).index[0]),
    ).reset_index()


def _trouble(frames: Frames, row: Any, repetition: str) -> tuple[str, str, str, str, str, int, int, str]:
    """Return one row."""
    strategy = str(row.strategy)
    return (
        str(row.task),
        strategy,
        frames.label(strategy),
        repetition,
        str(row.state),
        row.trials,
        row.failures,
        row.message,
    )


def _shortened(message: str) -> str:
    """Return the first and, of a traceback, the last line of ``message``, at most 200 characters."""
    lines = [line.strip() for line in message.strip().splitlines() if line.strip()]
    text = lines[-1] if lines and lines[0].startswith("Traceback") else " ".join(lines[:1])
    return text if len(text) <= 200 else f"{text[:197]}..."  # noqa: PLR2004 -- what a table cell can hold

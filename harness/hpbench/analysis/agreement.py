"""Whether two studies agree trial by trial, and how much time each took for the same network.

A trial of one study is matched with the trial of the same task, strategy, repetition and number of
the other. Where both were proposed the same configuration, the same network was trained from the
same start on the same data, so whatever differs is rounding, the device, or the version.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpbench.analysis.captions import seconds
from hpbench.analysis.details import PREFIX
from hpbench.analysis.frames import Frames
from hpbench.analysis.two_studies import Between
from hpbench.analysis.writers import NAMES, Column, Table, column
from hpbench.trial import Status

__all__ = ["agreement_table", "architectures", "matched_trials", "ratio_table"]

_KEY = ["task", "strategy", "repetition", "number"]
_FEW = 4
"""Distinct values up to which a hyperparameter is shown value by value; beyond, in three ranges."""


def matched_trials(between: Between) -> pd.DataFrame:
    """Return one row a trial that both studies have, on tasks whose repetitions are paired.

    Columns: task, strategy, repetition, number; ``same``: both proposals are equal; ``ok``: both
    trials succeeded; and, with the suffixes ``_a`` and ``_b``, status, val_error, test_error,
    val_loss, and ``seconds`` of training and evaluation on each study's own clock.
    """
    tasks = [task for task in between.tasks if task not in between.unpaired]
    sides = [
        _side(study.frames, tasks, between.strategies, end)
        for study, end in ((between.a, "_a"), (between.b, "_b"))
    ]
    names = sorted({name[:-2] for side in sides for name in map(str, side) if name.startswith(PREFIX)})
    both = sides[0].merge(sides[1], on=_KEY, how="inner", sort=False)
    equal = np.ones(len(both), dtype=bool)
    for name in names:
        one, other = _values(both, f"{name}_a"), _values(both, f"{name}_b")
        equal &= ((one == other) | (pd.isna(one) & pd.isna(other))).to_numpy()
    both["same"] = equal
    both["ok"] = ((both["status_a"] == Status.OK) & (both["status_b"] == Status.OK)).to_numpy()
    return both


def _side(frames: Frames, tasks: Sequence[str], strategies: Sequence[str], end: str) -> pd.DataFrame:
    """Return one study's trials of these tasks and strategies, names as text, ``end`` after other columns."""
    trials = frames.trials
    chosen = trials[trials["task"].isin(list(tasks)) & trials["strategy"].isin(list(strategies))]
    kept = ["repetition", "number", "status", "val_error", "test_error", "val_loss"]
    kept += [name for name in chosen.columns if name.startswith(PREFIX)]
    side = chosen[kept].assign(
        task=chosen["task"].astype(str),
        strategy=chosen["strategy"].astype(str),
        status=chosen["status"].astype(str),
        seconds=chosen["train_seconds"] + chosen["evaluate_seconds"],
    )
    return side.rename(columns={name: f"{name}{end}" for name in side.columns if name not in _KEY})


def _values(both: pd.DataFrame, name: str) -> pd.Series:
    """Return one side's values of a hyperparameter; all missing if that study lacks it."""
    if name in both:
        return both[name].astype(object)
    return pd.Series(np.full(len(both), math.nan), index=both.index, dtype=object)


def agreement_table(between: Between, matched: pd.DataFrame) -> Table:
    """Return how many proposals and results are equal, and how far results of equal proposals lie apart."""
    rows = [
        _agreement(between, str(task), str(strategy), group)
        for (task, strategy), group in matched.groupby(["task", "strategy"], sort=False)
    ]
    columns = (
        *NAMES,
        column("Trials in both", "trials"),
        Column("Equal proposals", lambda row: _share(row, "same", "trials")),
        Column("Equal validation errors", lambda row: _share(row, "equal", "compared")),
        column("Mean difference (points)", "mean", _points),
        column("Largest (points)", "largest", _points),
        column("Other status", "other_status"),
    )
    caption = (
        "Trials of one task, strategy, repetition and number in both studies. Of equal proposals that succeeded in "
        "both: how many have the very same validation error, and the absolute difference in points of accuracy, of "
        "which the mean counts those without a difference, too. Once a result differs, a strategy that adapts proposes "
        "something else; that is no disagreement of the training. Other status: equal proposals that succeeded in one "
        "study alone or failed in another way."
    )
    return Table("agreement", "Agreement trial by trial", caption, pd.DataFrame(rows), columns)


def _agreement(between: Between, task: str, strategy: str, group: pd.DataFrame) -> dict[str, Any]:
    """Return the values of one row."""
    same = group[group["same"]]
    good = same[same["ok"]]
    apart = (good["val_error_a"] - good["val_error_b"]).abs().to_numpy()
    return {
        "task": task,
        "strategy": strategy,
        "label": between.a.frames.label(strategy),
        "trials": len(group),
        "same": len(same),
        "compared": len(good),
        "equal": int((apart == 0).sum()),
        "mean": float(apart.mean()) if len(apart) else math.nan,
        "largest": float(apart.max()) if len(apart) else math.nan,
        "other_status": int((same["status_a"] != same["status_b"]).sum()),
    }


def _share(row: Mapping[str, Any], part: str, whole: str) -> str:
    """Return ``"37 of 40"``."""
    return f"{row[part]:,} of {row[whole]:,}"


def _points(value: float) -> str:
    """Return points of accuracy."""
    return "-" if math.isnan(value) else f"{100 * value:.3f}"


def architectures(frames: Frames, task: str, rows: pd.DataFrame) -> NDArray[np.str_]:
    """Return for every row what the network's sizes are: its whole-numbered hyperparameters but the batch size.

    One with up to 4 different values is shown value by value, others in three ranges of the space.
    """
    texts = np.full(len(rows), "", dtype=object)
    for parameter in frames.info.tasks[task].get("space", []):
        name = PREFIX + parameter["name"]
        if name not in rows or not _is_size(parameter):
            continue
        values = rows[name].to_numpy(dtype=np.float64)
        known = np.isfinite(values)
        words = np.full(len(rows), "-", dtype=object)
        words[known] = _ranges(parameter, values[known])
        texts = np.array(
            [f"{text}, {parameter['name']} {word}" for text, word in zip(texts, words, strict=True)],
            dtype=object,
        )
    return np.array([text.removeprefix(", ") or "all" for text in texts], dtype=str)


def _is_size(parameter: Mapping[str, Any]) -> bool:
    """Return whether a hyperparameter is a size of the network: a whole number, and not the batch's size."""
    if parameter["name"] == "batch_size":
        return False
    choices = parameter.get("choices", ())
    return parameter["kind"] == "integer" or (
        bool(choices) and all(type(choice) is int for choice in choices)
    )


def _ranges(parameter: Mapping[str, Any], values: np.ndarray) -> list[str]:
    """Return each value as text: itself, or the range that it lies in."""
    if "choices" in parameter:
        return [f"{value:.0f}" for value in values]
    low, high = int(parameter["low"]), int(parameter["high"])
    if high - low < _FEW:
        return [f"{value:.0f}" for value in values]
    ends = np.geomspace(low, high + 1, 4) if parameter.get("log") else np.linspace(low, high + 1, 4)
    edges = np.unique(np.rint(ends).astype(int))
    places = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    return [f"{edges[place]} to {edges[place + 1] - 1}" for place in places]


def ratio_table(between: Between, matched: pd.DataFrame) -> Table:
    """Return how much time each study took for the same network, by its sizes."""
    good = matched[matched["same"] & matched["ok"] & (matched["seconds_b"] > 0)]
    rows: list[dict[str, Any]] = []
    for task in between.tasks:
        chosen = good[good["task"] == task]
        plain = chosen.rename(columns=lambda name: str(name).removesuffix("_a"))
        kinds = architectures(between.a.frames, task, plain)
        rows += [_ratio(task, str(kind), chosen[kinds == kind]) for kind in sorted(set(kinds), key=_natural)]
    names = between.names
    columns = (
        NAMES[0],
        column("Network", "network", numeric=False),
        column(f"{names[0]} (s/trial)", "seconds_a", seconds),
        column(f"{names[1]} (s/trial)", "seconds_b", seconds),
        Column("Times faster", _faster),
        column("Trials", "trials"),
    )
    clocks = between.a.frames.clock, between.b.frames.clock
    caption = (
        f"Seconds of training and evaluation of equal proposals that succeeded in both, median; {names[0]} on the "
        f"{clocks[0]} clock, {names[1]} on the {clocks[1]} clock. Times faster: seconds in {names[0]} over seconds in "
        f"{names[1]}, median [middle half]; above 1 {names[1]} is the faster one."
    )
    return Table("ratio", "Time by network", caption, pd.DataFrame(rows), columns)


def _natural(text: str) -> tuple[list[int], str]:
    """Return a key that sorts by the numbers in a text."""
    return [int(number) for number in re.findall(r"\d+", text)], text


def _ratio(task: str, kind: str, rows: pd.DataFrame) -> dict[str, Any]:
    """Return the values of one row."""
    ratio = (rows["seconds_a"] / rows["seconds_b"]).to_numpy()
    low, middle, high = np.quantile(ratio, [0.25, 0.5, 0.75])
    return {
        "task": task,
        "network": kind,
        "seconds_a": float(rows["seconds_a"].median()),
        "seconds_b": float(rows["seconds_b"].median()),
        "ratio": float(middle),
        "ratio_low": float(low),
        "ratio_high": float(high),
        "trials": len(rows),
    }


def _faster(row: Mapping[str, Any]) -> str:
    """Return the ratio with its middle half."""
    return f"{row['ratio']:.3g} [{row['ratio_low']:.3g}, {row['ratio_high']:.3g}]"

"""From the store to two data frames: one row a trial, one row a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpbench.analysis.blocks import Block, joined, read_blocks, recorded_blocks
from hpbench.analysis.children import Children
from hpbench.analysis.retrained import retrainings_frame
from hpbench.analysis.statistics import Array
from hpbench.store import Store
from hpbench.study import ENDED, Event, RunRow, RunState, StudyInfo
from hpbench.trial import Record, RunKey, Status

__all__ = ["TIME_PARTS", "Frames", "frames_of", "load_frames"]

TIME_PARTS = ("ask", "train", "evaluate", "tell")
"""The parts of a trial's time, in the order in which they are spent."""


@dataclass(frozen=True)
class Frames:
    """A study as data frames; names appear in suite order everywhere.

    Attributes:
        trials: one row a trial, sorted by task, strategy, repetition and number: task and strategy
            (categorical), repetition, number, status (categorical), objective (what is minimised),
            val_error, val_loss, test_error, test_loss (NaN for a failed trial; the error of a
            regression is 1 - R²), epochs_from, epochs, ask_seconds, train_seconds, evaluate_seconds,
            tell_seconds, and the columns of :meth:`hpbench.analysis.blocks.Block.details`.
        runs: one row for every cell of the suite, stored or not: task, strategy (categorical),
            repetition, state, message, trials (finished), failures (trials that did not end ok).
        info: what the study is.
        checks: one row a trial that was trained again for the modelled clock: task (categorical),
            modelled, measured (seconds of training and evaluation).
        retrained: one row a retraining of an incumbent: task, strategy, repetition, number, status,
            test_error (NaN for one that failed).
        epoch_errors: validation errors after each epoch of all trials, shape ``(n_epochs,)``; a trial's
            lie from ``curve_from`` to ``curve_to``.
        workers: what torch said of itself in training processes; each entry once.
    """

    trials: pd.DataFrame
    runs: pd.DataFrame
    info: StudyInfo
    checks: pd.DataFrame = field(default_factory=pd.DataFrame)
    retrained: pd.DataFrame = field(default_factory=pd.DataFrame)
    epoch_errors: Array = field(default_factory=lambda: np.zeros(0))
    workers: tuple[Mapping[str, Any], ...] = ()

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return _names(self.info.suite, "tasks")

    @cached_property
    def strategies(self) -> tuple[str, ...]:
        """Names of the strategies."""
        return _names(self.info.suite, "strategies")

    @property
    def repetitions(self) -> int:
        """Repetitions that the suite asks for."""
        return int(self.info.suite["repetitions"])

    @property
    def clock(self) -> str:
        """``"measured"`` or ``"modelled"``."""
        return str(self.info.suite.get("clock", "measured"))

    @property
    def objective(self) -> str:
        """What the strategies minimise: ``"error"`` or ``"loss"``."""
        return str(self.info.suite.get("objective", "error"))

    @cached_property
    def baseline(self) -> str | None:
        """The strategy that others are compared with: random search, else the first; None if alone."""
        if len(self.strategies) < 2:  # noqa: PLR2004 -- one strategy has nothing to be compared with
            return None
        for name in self.strategies:
            if self.info.strategies.get(name, {}).get("use", name) == "random":
                return name
        return self.strategies[0]

    def label(self, strategy: str) -> str:
        """Return what readers see for ``strategy``."""
        return str(self.info.strategies.get(strategy, {}).get("label") or strategy)

    def trainings(self, task: str) -> int:
        """Return how many times a trial of ``task`` pays its epochs: once a fold; a function has no folds."""
        folds = self.info.suite.get("validation", {}).get("folds") or 1
        return 1 if "function" in self.info.tasks[task] else int(folds)

    def full_epochs(self, task: str) -> int:
        """Return the full fidelity of ``task``."""
        return int(self.info.tasks[task]["epochs"])

    def regression(self, task: str) -> bool:
        """Return whether ``task`` predicts a number, so that its error is 1 - R² and may be above 1."""
        return bool(self.info.tasks.get(task, {}).get("target_kind") == "regression")

    def measure(self, *tasks: str) -> str:
        """Return what 1 less the error is called on these tasks, by default all: accuracy, R², or either."""
        kinds = {self.regression(task) for task in tasks or self.tasks}
        return "accuracy or R²" if len(kinds) > 1 else "R²" if kinds == {True} else "accuracy"

    def counted(self, task: str) -> bool:
        """Return whether ``task`` counts correct examples; a closed-form function has a value alone."""
        return bool(self.info.tasks.get(task, {}).get("counts", True))

    @property
    def counted_tasks(self) -> tuple[str, ...]:
        """The tasks that have an accuracy."""
        return tuple(filter(self.counted, self.tasks))

    @property
    def value_tasks(self) -> tuple[str, ...]:
        """The tasks that have a value and no accuracy."""
        return tuple(task for task in self.tasks if not self.counted(task))

    def size_of(self, task: str, part: str) -> int | None:
        """Return the number of examples in ``part`` (``"val"`` or ``"test"``) of ``task``, if known."""
        size = self.info.tasks.get(task, {}).get(f"n_{part}")
        return None if size is None else int(size)

    @property
    def budget(self) -> str:
        """The budget of one run in words, such as ``"20 trials"``."""
        known = [(kind, value) for kind, value in self.info.suite["budget"].items() if value is not None]
        kind, value = known[0]
        return f"{value:g} {kind.removesuffix('s') if value == 1 else kind}"

    @cached_property
    def progress(self) -> tuple[int, int]:
        """How many runs have ended, and how many there are to be, skipped pairings left out."""
        wanted = self.runs["state"] != RunState.SKIPPED
        return int(self.runs["state"].isin(ENDED).sum()), int(wanted.sum())

    @property
    def partial(self) -> str:
        """``"partial: 37 of 60 runs"``, or nothing if every run has ended."""
        done, wanted = self.progress
        return "" if done == wanted else f"partial: {done} of {wanted} {'run' if wanted == 1 else 'runs'}"


def load_frames(path: str | Path, children: Children | None = None) -> Frames:
    """Return the frames of the study at ``path``, a results directory or a store's file.

    Args:
        path: where it is.
        children: who help to read many trials.

    Raises:
        UsageError: there is no study.
        StoreError: it is damaged.
    """
    with Store.open(path, read_only=True) as store:
        counts = store.counts()
        order = _in_suite_order(counts, store.info)
        blocks = read_blocks(store.path, {run: counts[run] for run in order}, children)
        retrained = retrainings_frame(store.retrainings(), store.info)
        return replace(_frames(blocks, store.runs(), store.info, store.events()), retrained=retrained)


def frames_of(
    records: Iterable[Record], runs: Iterable[RunRow], info: StudyInfo, events: Iterable[Event] = ()
) -> Frames:
    """Return the frames of these records and runs.

    Args:
        records: finished trials, in any order.
        runs: every registered run with its state.
        info: what the study is; its suite names the tasks, strategies and repetitions.
        events: what happened to the study; those of workers and of the modelled clock's check are used.
    """
    blocks = recorded_blocks(records)
    return _frames([blocks[run] for run in _in_suite_order(blocks, info)], runs, info, events)


def _in_suite_order(runs: Iterable[RunKey], info: StudyInfo) -> list[RunKey]:
    """Return runs in the order of frames: by task, strategy and repetition; strangers come last, by name."""
    tasks, strategies = (
        {name: place for place, name in enumerate(_names(info.suite, key))} for key in ("tasks", "strategies")
    )

    def place(run: RunKey) -> tuple[int, str, int, str, int]:
        return (
            tasks.get(run.task, len(tasks)),
            run.task,
            strategies.get(run.strategy, len(strategies)),
            run.strategy,
            run.repetition,
        )

    return sorted(runs, key=place)


def _frames(
    blocks: Sequence[Block], runs: Iterable[RunRow], info: StudyInfo, events: Iterable[Event]
) -> Frames:
    """Return the frames of trials in suite order."""
    block = joined(blocks)
    trials = _trials(block, info)
    listed = list(events)
    workers: list[Mapping[str, Any]] = []
    for event in listed:
        if event.kind == "worker" and event.payload not in workers:
            workers.append(event.payload)
    return Frames(
        trials,
        _runs(runs, trials, info),
        info,
        _checks(listed, info),
        epoch_errors=block.epoch_errors,
        workers=tuple(workers),
    )


def _checks(events: Iterable[Event], info: StudyInfo) -> pd.DataFrame:
    """Return one row a trial that was trained again for the modelled clock."""
    found = [event.payload for event in events if event.kind == "clock_check"]
    return pd.DataFrame(
        {
            "task": _categorical([item["task"] for item in found], _names(info.suite, "tasks")),
            "modelled": np.array([item["modelled"] for item in found], dtype=np.float64),
            "measured": np.array([item["measured"] for item in found], dtype=np.float64),
        }
    )


def _names(suite: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the names under ``suite[key]``, in suite order."""
    return tuple(str(item["name"]) for item in suite[key])


def _trials(block: Block, info: StudyInfo) -> pd.DataFrame:
    """Return one row a trial."""
    number, sizes = block.columns, block.counts
    statuses = tuple(str(status) for status in Status)
    ok = number["status"] == statuses.index(Status.OK)
    numbers = {name for name, task in info.tasks.items() if task.get("target_kind") == "regression"}
    uncounted = np.repeat(np.array([run.task in numbers for run in block.runs], dtype=np.bool_), sizes)
    val_loss, test_loss = (np.where(ok, number[f"{part}_loss"], math.nan) for part in ("val", "test"))
    val_error, test_error = (
        np.where(uncounted, loss, _error(number[f"{part}_correct"], number[f"{part}_total"], ok))
        for part, loss in (("val", val_loss), ("test", test_loss))
    )
    return pd.DataFrame(
        {
            "task": _repeated([run.task for run in block.runs], sizes, _names(info.suite, "tasks")),
            "strategy": _repeated(
                [run.strategy for run in block.runs], sizes, _names(info.suite, "strategies")
            ),
            "repetition": np.repeat(np.array([run.repetition for run in block.runs], dtype=np.int64), sizes),
            "number": number["number"],
            "status": pd.Categorical.from_codes(number["status"], pd.Index(statuses), ordered=True),
            "objective": val_loss if info.suite.get("objective", "error") == "loss" else val_error,
            "val_error": val_error,
            "val_loss": val_loss,
            "test_error": test_error,
            "test_loss": test_loss,
            "epochs_from": number["epochs_from"],
            "epochs": number["epochs"],
            **{f"{part}_seconds": number[f"{part}_seconds"] for part in TIME_PARTS},
            **block.details(),
        }
    )


def _repeated(values: Sequence[str], sizes: NDArray[np.int64], names: tuple[str, ...]) -> pd.Categorical:
    """Return each value as many times as ``sizes`` says, as ordered categories."""
    found = _categorical(values, names)
    return pd.Categorical.from_codes(np.repeat(found.codes, sizes), dtype=found.dtype)


def _error(correct: np.ndarray, total: np.ndarray, ok: np.ndarray) -> np.ndarray:
    """Return the share of wrong examples, NaN where the trial failed or nothing was counted."""
    counted = ok & (total > 0)
    out = np.full(len(ok), math.nan)
    np.divide(total - correct, total, out=out, where=counted)
    return out


def _categorical(values: Iterable[object], names: tuple[str, ...]) -> pd.Categorical:
    """Return ``values`` as ordered categories, ``names`` first and others after, sorted."""
    listed = list(values)
    others = sorted({str(value) for value in listed} - set(names))
    return pd.Categorical(listed, categories=[*names, *others], ordered=True)


def _runs(rows: Iterable[RunRow], trials: pd.DataFrame, info: StudyInfo) -> pd.DataFrame:
    """Return one row for every cell of the suite; a cell that nobody registered is pending."""
    tasks, strategies = _names(info.suite, "tasks"), _names(info.suite, "strategies")
    skipped = {(item["task"], item["strategy"]): str(item["reason"]) for item in info.skipped}
    known = {(row.run.task, row.run.strategy, row.run.repetition): (row.state, row.message) for row in rows}
    table: list[tuple[str, str, int, str, str]] = []
    for task in tasks:
        for strategy in strategies:
            for repetition in range(int(info.suite["repetitions"])):
                state, message = known.get((task, strategy, repetition), (RunState.PENDING, ""))
                if (task, strategy) in skipped:
                    state, message = RunState.SKIPPED, skipped[task, strategy]
                table.append((task, strategy, repetition, str(state), message))
    frame = pd.DataFrame(table, columns=["task", "strategy", "repetition", "state", "message"])
    frame["task"] = _categorical(frame["task"], tasks)
    frame["strategy"] = _categorical(frame["strategy"], strategies)
    counts = _counts(trials, frame)
    frame["trials"], frame["failures"] = counts[0], counts[1]
    return frame


def _counts(trials: pd.DataFrame, runs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the finished and the failed trials of every row of ``runs``."""
    key = ["task", "strategy", "repetition"]
    failed = (trials["status"] != Status.OK).to_numpy()
    grouped = trials.assign(failed=failed).groupby(key, observed=True)["failed"].agg(["size", "sum"])
    found = grouped.reindex(pd.MultiIndex.from_frame(runs[key])).fillna(0)
    return found["size"].to_numpy(dtype=np.int64), found["sum"].to_numpy(dtype=np.int64)

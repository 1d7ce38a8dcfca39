"""Incumbent curves: every run of a task as rows of dense arrays, and their centre and spread.

Curves are right-continuous step functions. A run that is exhausted (a finished grid) keeps its last
incumbent to the end of the budget; a run that crashed does not: after its end it has no result, and
a run without a result counts as worse than every result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpbench.analysis.frames import TIME_PARTS, Frames
from hpbench.analysis.statistics import Array, incumbent_index, incumbent_of, quantile_worst
from hpbench.study import ENDED, FINISHED, RunState
from hpbench.trial import Status

__all__ = [
    "Band",
    "Part",
    "Score",
    "TaskCurves",
    "band_over_epochs",
    "band_over_seconds",
    "band_over_trainings",
    "band_over_trials",
    "step_at",
    "task_curves",
]

Part = Literal["val", "test"]
"""Which data a score is of: validation, or test."""

Score = Literal["val", "test", "value"]
"""What a curve shows of the incumbent: its error on validation or test data, or the value that is minimised."""

_GRID = 256


@dataclass(frozen=True)
class TaskCurves:
    """All runs of one task; k strategies, n repetitions, T trials of the longest run.

    Attributes:
        task: its name.
        strategies: names, shape ``(k,)``.
        state: :class:`RunState` values as text, shape ``(k, n)``.
        length: finished trials of each run, shape ``(k, n)``.
        objective: of each trial, shape ``(k, n, T)``; NaN for a failed trial or none.
        errors: by part, the error of each trial in [0, 1], shape ``(k, n, T)``.
        status: code of each trial (place in :class:`Status`), -1 where there is none.
        elapsed: seconds from the run's start to the end of each trial, shape ``(k, n, T)``.
        trainings: full trainings' worth of epochs spent until the end of each trial, ``(k, n, T)``.
        full_epochs: epochs of a full training, over all folds of a cross-validation.
    """

    task: str
    strategies: tuple[str, ...]
    state: NDArray[np.str_]
    length: NDArray[np.int64]
    objective: Array
    errors: dict[Part, Array]
    status: NDArray[np.int8]
    elapsed: Array
    trainings: Array
    full_epochs: int

    @property
    def n_trials(self) -> int:
        """Trials of the longest run."""
        return int(self.objective.shape[2])

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """Number of the incumbent after each trial, -1 before the first; shape ``(k, n, T)``."""
        return incumbent_index(self.objective)

    @cached_property
    def filled(self) -> NDArray[np.bool_]:
        """Where a run has a result: up to its end, and to the end of the budget if it ended in peace."""
        inside = np.arange(self.n_trials) < self.length[..., None]
        peaceful = np.isin(self.state, sorted(FINISHED))
        return np.asarray((inside | peaceful[..., None]) & (self.index >= 0), dtype=np.bool_)

    def incumbent_error(self, part: Score) -> Array:
        """Return the error (or value) of the incumbent after each trial, ``(k, n, T)``; NaN without one."""
        return self._incumbent_errors[part]

    @cached_property
    def _incumbent_errors(self) -> dict[Score, Array]:
        """The error of the incumbent after each trial by part; every strategy and every axis asks for it."""
        scores: dict[Score, Array] = {"value": self.objective}
        scores.update(self.errors.items())
        return {
            part: np.where(self.filled, incumbent_of(errors, self.index), math.nan)
            for part, errors in scores.items()
        }

    @cached_property
    def ended(self) -> NDArray[np.bool_]:
        """Which runs have no trial to come, shape ``(k, n)``."""
        return np.isin(self.state, sorted(ENDED))

    @cached_property
    def failed(self) -> NDArray[np.bool_]:
        """Which runs ended without a usable result: they crashed, or no trial succeeded; ``(k, n)``."""
        crashed = self.state == str(RunState.FAILED)
        useless = self.ended & ~np.isfinite(self.objective).any(axis=2)
        return np.asarray(crashed | useless, dtype=np.bool_)

    def final_error(self, part: Part) -> Array:
        """Return the error of each run's last incumbent, shape ``(k, n)``; NaN if failed or not ended."""
        if self.n_trials == 0:
            return np.full(self.state.shape, math.nan)
        last = incumbent_of(self.errors[part], self.index)[..., -1]
        return np.where(self.ended & ~self.failed, last, math.nan)

    def final_losses(self) -> Array:
        """Return the final test errors as tests and ranks take them, ``(k, n)``: infinite if failed, NaN if not ended."""
        errors = self.final_error("test")
        return np.where(self.ended & np.isnan(errors), math.inf, errors)

    def shown(self, strategy: int) -> tuple[NDArray[np.int64], int]:
        """Return the repetitions that a curve of this strategy is made of, and its number of trials.

        Runs that have ended; while there is none, the started ones up to their smallest length.
        """
        ended = np.flatnonzero(self.ended[strategy]).astype(np.int64)
        if len(ended):
            longest = self.length[strategy, ended].max(initial=0)
            exhausted = np.any(self.state[strategy, ended] == str(RunState.EXHAUSTED))
            return np.asarray(ended), self.n_trials if exhausted else int(longest)
        started = np.flatnonzero(self.length[strategy] > 0).astype(np.int64)
        return started, int(self.length[strategy, started].min(initial=self.n_trials)) if len(started) else 0


def task_curves(frames: Frames, task: str) -> TaskCurves:
    """Return the runs of ``task`` as dense arrays, one row for every strategy and repetition."""
    k, n = len(frames.strategies), frames.repetitions
    rows = frames.runs[frames.runs["task"] == task]
    trials = frames.trials[frames.trials["task"] == task]
    size = int(trials["number"].max()) + 1 if len(trials) else 0
    place = (_codes(trials, frames), trials["repetition"].to_numpy(), trials["number"].to_numpy())
    seconds = sum((trials[f"{part}_seconds"] for part in TIME_PARTS), start=pd.Series(0.0, trials.index))
    errors: dict[Part, Array] = {
        "val": _dense(trials["val_error"], place, (k, n, size)),
        "test": _dense(trials["test_error"], place, (k, n, size)),
    }
    status = np.full((k, n, size), -1, dtype=np.int8)
    status[place] = trials["status"].cat.codes.to_numpy()
    epochs = trials["epochs"] - trials["epochs_from"]
    return TaskCurves(
        task=task,
        strategies=frames.strategies,
        state=rows["state"].to_numpy(dtype=str).reshape(k, n),
        length=rows["trials"].to_numpy().reshape(k, n),
        objective=_dense(trials["objective"], place, (k, n, size)),
        errors=errors,
        status=status,
        elapsed=_summed(seconds, place, (k, n, size)),
        trainings=_summed(epochs, place, (k, n, size)) / frames.full_epochs(task),
        full_epochs=frames.full_epochs(task) * frames.trainings(task),
    )


def _codes(trials: pd.DataFrame, frames: Frames) -> NDArray[np.int64]:
    """Return the place of each trial's strategy in the suite."""
    assert set(trials["strategy"].unique()) <= set(frames.strategies)  # noqa: S101 -- the store's invariant
    return np.asarray(trials["strategy"].cat.codes, dtype=np.int64)


def _dense(values: pd.Series, place: tuple[np.ndarray, ...], shape: tuple[int, ...]) -> Array:
    """Return an array with ``values`` at ``place`` and NaN elsewhere."""
    array = np.full(shape, math.nan)
    array[place] = values.to_numpy(dtype=np.float64)
    return array


def _summed(values: pd.Series, place: tuple[np.ndarray, ...], shape: tuple[int, ...]) -> Array:
    """Return the running sums of ``values`` along each run."""
    sums: Array = np.cumsum(np.nan_to_num(_dense(values, place, shape)), axis=2)
    return sums


@dataclass(frozen=True)
class Band:
    """The centre and spread of one strategy's curve on one axis.

    Attributes:
        x: trials (from 1) or seconds, shape ``(n_points,)``.
        centre: median error over repetitions, shape ``(n_points,)``; infinite where half have none.
        low: lower quartile of the error.
        high: upper quartile.
        runs: each repetition's error, shape ``(n_runs, n_points)``; NaN without a result.
        exhausted_at: where the first run had nothing more to propose; None if none did before the curve ends.
    """

    x: Array
    centre: Array
    low: Array
    high: Array
    runs: Array
    exhausted_at: float | None = None

    @property
    def n(self) -> int:
        """Repetitions behind the curve."""
        return int(self.runs.shape[0])

    @property
    def carried_on(self) -> bool:
        """Whether the curve goes on after the first run had nothing more to propose."""
        return self.exhausted_at is not None and bool(self.exhausted_at < self.x[-1])


def band_over_trials(curves: TaskCurves, strategy: int, part: Score) -> Band:
    """Return the incumbent's error against the number of trials."""
    chosen, stop = curves.shown(strategy)
    runs = curves.incumbent_error(part)[strategy, chosen, :stop]
    over = (curves.state[strategy, chosen] == str(RunState.EXHAUSTED)) & (
        curves.length[strategy, chosen] < stop
    )
    ends = curves.length[strategy, chosen][over]
    return _band(np.arange(1.0, stop + 1.0), runs, float(ends.min()) if len(ends) else None)


def band_over_seconds(curves: TaskCurves, strategy: int, part: Score) -> Band:
    """Return the incumbent's error against wall time, seconds on the study's clock.

    The curve starts when every run (of those that ever had a result) has one and ends with the run
    that ended first; runs that crashed take no part in choosing the end, they count as worst after
    their own. The grid is logarithmic, for so is the axis.
    """
    return _band_over(curves, curves.elapsed, strategy, part)


def band_over_trainings(curves: TaskCurves, strategy: int, part: Score) -> Band:
    """Return the incumbent's error against the epochs spent, in full trainings; starts and ends likewise."""
    return _band_over(curves, curves.trainings, strategy, part)


def band_over_epochs(curves: TaskCurves, strategy: int, part: Score) -> Band:
    """Return the incumbent's error against the epochs spent; starts and ends likewise."""
    return _band_over(curves, curves.trainings * curves.full_epochs, strategy, part)


def _band_over(curves: TaskCurves, spent: Array, strategy: int, part: Score) -> Band:
    """Return the incumbent's error against what was ``spent`` until the end of each trial, ``(k, n, T)``."""
    chosen, stop = curves.shown(strategy)
    runs = curves.incumbent_error(part)[strategy, chosen, :stop]
    times = spent[strategy, chosen, :stop]
    length = np.minimum(curves.length[strategy, chosen], stop)
    used = np.isfinite(runs).any(axis=1)
    steady = used & ~curves.failed[strategy, chosen]
    if not np.any(steady):
        return _band(np.empty(0), np.empty((len(chosen), 0)), None)
    first = np.take_along_axis(times, np.argmax(np.isfinite(runs), axis=1)[:, None], axis=1)[:, 0]
    ends = times[np.arange(len(chosen)), length - 1]
    exhausted = curves.state[strategy, chosen] == str(RunState.EXHAUSTED)
    start = float(first[used].max())
    stop_at = float(ends[steady].min())
    grid = np.geomspace(start, max(stop_at, start), _GRID) if start > 0 else np.linspace(0, stop_at, _GRID)
    grid[0], grid[-1] = start, max(stop_at, start)
    crashed = curves.failed[strategy, chosen]
    over = bool(np.any(exhausted & steady & (ends <= stop_at)))
    return _band(grid, step_at(times, runs, length, grid, crashed), float(grid[-1]) if over else None)


def step_at(
    times: Array, values: Array, length: NDArray[np.int64], grid: Array, crashed: NDArray[np.bool_]
) -> Array:
    """Return step functions at the points of ``grid``: the value of the latest trial that has ended.

    Args:
        times: ends of the trials, rising, shape ``(n, T)``.
        values: value after each trial, shape ``(n, T)``.
        length: trials of each run, shape ``(n,)``.
        grid: points, shape ``(n_points,)``.
        crashed: runs that have no value after their last trial, shape ``(n,)``.

    Returns:
        shape ``(n, n_points)``; NaN before the first trial, and after the end of a crashed run.
    """
    result = np.full((len(times), len(grid)), math.nan)
    for run, count in enumerate(length):
        if count == 0:
            continue
        place = np.searchsorted(times[run, :count], grid, side="right") - 1
        result[run] = np.where(place >= 0, values[run, np.maximum(place, 0)], math.nan)
        if crashed[run]:
            result[run, grid > times[run, count - 1]] = math.nan
    return result


def _band(x: Array, runs: Array, exhausted_at: float | None) -> Band:
    """Return median and quartiles of ``runs``, shape ``(n_runs, n_points)``."""
    centre, low, high = (quantile_worst(runs, q) for q in (0.5, 0.25, 0.75))
    return Band(x, centre, low, high, runs, exhausted_at)


STATUSES = tuple(str(status) for status in Status)
"""Names of the status codes."""

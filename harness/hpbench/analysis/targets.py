"""How fast strategies reach targets that nobody chose, and how much faster than random search.

Everything here is about what strategies minimise on validation data, counted in trials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpbench.analysis.comparison import Study
from hpbench.analysis.curves import TaskCurves
from hpbench.analysis.frames import Frames
from hpbench.analysis.statistics import (
    Array,
    best_of_n,
    ecdf,
    expected_running_time,
    first_hits,
    incumbent_of,
    quantile_worst,
    runlength_targets,
    speed_up,
)

__all__ = [
    "SHARES",
    "Pace",
    "Race",
    "hits_of",
    "levels_of",
    "objective_incumbent",
    "pace_of",
    "race_of",
    "random_name",
    "random_twice",
    "targets_of",
]

SHARES = (0.25, 0.5, 0.75)
"""Shares of the way from the baseline's first trial to the best seen that make the targets of T2."""


def random_name(frames: Frames) -> str | None:
    """Return the name of random search in this study; None if it did not take part."""
    for name in frames.strategies:
        if frames.info.strategies.get(name, {}).get("use", name) == "random":
            return name
    return None


def objective_incumbent(curves: TaskCurves) -> Array:
    """Return what is minimised of the incumbent after each trial, ``(k, n, T)``; NaN without one."""
    return np.where(curves.filled, incumbent_of(curves.objective, curves.index), math.nan)


def _reference(frames: Frames) -> int:
    """Return the place of the strategy that sets the targets: the baseline, or the only one."""
    return 0 if frames.baseline is None else frames.strategies.index(frames.baseline)


def targets_of(frames: Frames, curves: TaskCurves) -> Array:
    """Return the run-length-based targets of a task: the baseline's medians after 1, 2, 4, … trials."""
    place = _reference(frames)
    runs = objective_incumbent(curves)[place][curves.ended[place]]
    return runlength_targets(runs) if runs.size else np.empty(0)


def hits_of(curves: TaskCurves, strategy: int, targets: Array) -> Array:
    """Return after how many trials the ended runs reach the targets, shape ``(n, n_targets)``."""
    return first_hits(objective_incumbent(curves)[strategy][curves.ended[strategy]], targets)


@dataclass(frozen=True)
class Race:
    """The share of targets reached against the number of trials, averaged over tasks.

    Attributes:
        trials: budgets, shape ``(n_points,)``.
        reached: for every strategy that took part in every task, its share, shape ``(n_points,)``.
        twice: random search with two trials for every one, as far as its trials reach; None without.
        n_targets: targets in all.
        n_tasks: tasks that have targets.
    """

    trials: Array
    reached: dict[str, Array]
    twice: Array | None
    n_targets: int
    n_tasks: int


def race_of(study: Study) -> Race:
    """Return the ECDF over tasks, runs and run-length-based targets; every task weighs the same."""
    frames = study.frames
    targets = {task: targets_of(frames, curves) for task, curves in study.curves.items()}
    tasks = [task for task in frames.tasks if len(targets[task])]
    longest = max((study.curves[task].n_trials for task in tasks), default=0)
    trials = np.arange(1.0, longest + 1)
    reached: dict[str, Array] = {}
    for place, name in enumerate(frames.strategies):
        if all(study.curves[task].ended[place].any() for task in tasks) and tasks:
            shares = [ecdf(hits_of(study.curves[task], place, targets[task]), trials) for task in tasks]
            reached[name] = np.mean(shares, axis=0)
    random = random_name(frames)
    twice = reached[random][1::2] if random in reached and longest > 1 else None
    return Race(trials, reached, twice, sum(len(found) for found in targets.values()), len(tasks))


def random_twice(study: Study, task: str) -> Array | None:
    """Return what random search's best of ``2 t`` trials is expected to be, for ``t`` from 1 to ``T / 2``.

    Unbiased in every repetition: the mean of the minimum over all subsets of ``2 t`` of its trials;
    then the median over repetitions. It ends at half the budget, where all trials are used.

    Returns:
        shape ``(T // 2,)``; None without random search or a repetition of it that is complete.
    """
    return study.once(("random_twice", task), lambda: _random_twice(study.frames, study.curves[task]))


def _random_twice(frames: Frames, curves: TaskCurves) -> Array | None:
    """Return the same, computed."""
    values = _random_trials(frames, curves)
    if values is None or values.shape[1] < 2:  # noqa: PLR2004 -- two trials for the first one
        return None
    expected = np.stack([best_of_n(values, 2 * t) for t in range(1, values.shape[1] // 2 + 1)], axis=1)
    return quantile_worst(np.where(np.isfinite(expected), expected, math.nan), 0.5)


def _random_trials(frames: Frames, curves: TaskCurves) -> Array | None:
    """Return the objective of random search's trials in its runs that have ended, shape ``(n, T)``.

    A run that failed has NaN in every place, for it counts as worse than every result; None without a
    run that has one.
    """
    name = random_name(frames)
    if name is None:
        return None
    place = frames.strategies.index(name)
    ended, failed = curves.ended[place], curves.failed[place]
    if not np.any(ended & ~failed):
        return None
    size = int(curves.length[place, ended & ~failed].min())
    values = np.where(failed[:, None], math.nan, curves.objective[place, :, :size])
    return np.asarray(values[ended], dtype=np.float64)


@dataclass(frozen=True)
class Pace:
    """How one strategy's search compares in trials on one task.

    Attributes:
        ert: by share of :data:`SHARES`, expected trials to the target and how many runs reached it.
        runs: runs that it rests on.
        random_trials: trials of random search that are expected to reach the strategy's final mean;
            infinite if all of them do not, NaN if a run of the strategy or of random search has no result.
        own_trials: trials after which the strategy's mean is as good as random search's expected
            best of all its trials; infinite if never.
        budget: trials of random search; 0 without one, or if a run of it has no result.
    """

    ert: tuple[tuple[float, int], ...]
    runs: int
    random_trials: float
    own_trials: float
    budget: int

    @property
    def speed_up(self) -> float:
        """How many times faster than random search; below 1 slower, NaN without random search."""
        if self.budget == 0:
            return math.nan
        if math.isfinite(self.own_trials):
            return self.budget / self.own_trials
        return self.random_trials / self.budget


def pace_of(study: Study, task: str, strategy: int) -> Pace:
    """Return the expected running times of a strategy and its speed-up over random search."""
    frames = study.frames
    curves = study.curves[task]
    chosen = curves.ended[strategy]
    incumbents = objective_incumbent(curves)[strategy][chosen]
    n = len(incumbents)
    levels = levels_of(frames, curves)
    hits = first_hits(incumbents, levels)
    budgets = curves.length[strategy][chosen].astype(np.float64)
    ert = tuple(expected_running_time(hits[:, place], budgets) for place in range(len(levels)))
    random = _random_trials(frames, curves)
    if random is None or not n or np.isnan(random).all(axis=1).any():
        return Pace(ert, n, math.nan, math.nan, 0)
    lost = np.isnan(incumbents) | curves.failed[strategy][chosen][:, None]
    mean = np.where(lost, math.inf, incumbents).mean(axis=0)
    goal = float(best_of_n(random, random.shape[1]).mean())
    met = np.flatnonzero(mean <= goal + 1e-12)
    slower = math.nan
    if math.isfinite(mean[-1]):
        slower = speed_up(random, float(mean[-1]) + 1e-12, random.shape[1]) * random.shape[1]
    return Pace(ert, n, slower, float(met[0] + 1) if len(met) else math.inf, random.shape[1])


def levels_of(frames: Frames, curves: TaskCurves) -> Array:
    """Return the targets of T2: shares of the way from the baseline's first trial to the best seen."""
    values = objective_incumbent(curves)
    place = _reference(frames)
    start = quantile_worst(values[place][curves.ended[place]], 0.5)
    known = start[np.isfinite(start)]
    if not len(known):
        return np.empty(0)
    best = float(np.nanmin(values))
    return float(known[0]) - np.array(SHARES) * (float(known[0]) - best)

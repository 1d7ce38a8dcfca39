"""What can be said over all tasks: normalised regret, ranks, profiles and the critical difference.

Only strategies that can search every task take part, and only repetitions in which all of these have
ended: within each of them the strategies saw the same data and seeds. A run without a result (yet)
ranks last and has the worst regret that was seen on its task; it is never left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hpbench.analysis.captions import counted
from hpbench.analysis.comparison import ALPHA, Study
from hpbench.analysis.curves import Part, TaskCurves, step_at
from hpbench.analysis.frames import Frames
from hpbench.analysis.statistics import (
    Array,
    Friedman,
    cliques,
    friedman,
    incumbent_of,
    normalised_regret,
    quantile_worst,
    rank_losses,
    smallest_n,
    wilcoxon_holm,
)
from hpbench.analysis.statistics.intervals import MIN_INTERVAL, bootstrap_indices
from hpbench.seeding import bootstrap_stream
from hpbench.study import RunState

__all__ = [
    "FRACTIONS",
    "Across",
    "CriticalDifference",
    "Progress",
    "across_tasks",
    "critical_difference_of",
    "mean_over_tasks",
    "rank_progress",
    "regret_progress",
    "regret_scale",
]

FRACTIONS = np.arange(1, 101) / 100
"""Shares of the budget at which strategies are compared across tasks."""

_RESAMPLES = 2000


@dataclass(frozen=True)
class Across:
    """The runs that are comparable across tasks.

    Attributes:
        strategies: places in the suite of those that take part, shape ``(k,)``.
        left_out: names of those that cannot search every task.
        tasks: names of the tasks with a complete repetition.
        errors: by part, for every task the incumbent's error, shape ``(k, n, 100)``, at each of
            :data:`FRACTIONS` of the budget; NaN without a result.
        regrets: the same, normalised by :func:`regret_scale`; a missing result is the task's worst.
            All NaN for a task in which nothing differs.
    """

    strategies: tuple[int, ...]
    left_out: tuple[str, ...]
    tasks: tuple[str, ...]
    errors: dict[Part, tuple[Array, ...]]
    regrets: dict[Part, tuple[Array, ...]]

    @property
    def start(self) -> int:
        """The place in :data:`FRACTIONS` at which the first strategy has a result."""
        known = [np.isfinite(values).any(axis=(0, 1)) for values in self.errors["val"]]
        return int(np.argmax(np.any(known, axis=0))) if known else 0

    @property
    def possible(self) -> bool:
        """Whether there are two strategies and a task to compare them on."""
        return len(self.strategies) > 1 and bool(self.tasks)

    def final_regrets(self, part: Part) -> Array:
        """Return the mean final regret, shape ``(n_tasks, k)``; NaN for a task that has no scale."""
        return np.array([values[:, :, -1].mean(axis=1) for values in self.regrets[part]])


def across_tasks(study: Study) -> Across:
    """Return the runs that are comparable across tasks, with their errors and normalised regrets."""
    frames = study.frames
    skipped = {
        place
        for curves in study.curves.values()
        for place in np.flatnonzero(np.any(curves.state == str(RunState.SKIPPED), axis=1))
    }
    places = tuple(place for place in range(len(frames.strategies)) if place not in skipped)
    whole = {task: curves.ended[list(places)].all(axis=0) for task, curves in study.curves.items()}
    tasks = tuple(
        task for task, curves in study.curves.items() if places and curves.n_trials and whole[task].any()
    )
    errors: dict[Part, tuple[Array, ...]] = {}
    regrets: dict[Part, tuple[Array, ...]] = {}
    parts: tuple[Part, ...] = ("val", "test")
    for part in parts:
        errors[part] = tuple(
            _at_fractions(frames, study.curves[task], part)[list(places)][:, whole[task]] for task in tasks
        )
        scales = [regret_scale(frames, study.curves[task], part) for task in tasks]
        pairs = zip(errors[part], scales, strict=True)
        regrets[part] = tuple(_regret(values, *scale) for values, scale in pairs)
    return Across(
        places, tuple(frames.strategies[place] for place in sorted(skipped)), tasks, errors, regrets
    )


def _at_fractions(frames: Frames, curves: TaskCurves, part: Part) -> Array:
    """Return the incumbents' errors at every share of the budget, shape ``(k, n, 100)``."""
    kind, amount = next((key, value) for key, value in frames.info.suite["budget"].items() if value)
    if kind == "seconds":
        spent, budget = curves.elapsed, float(amount)
    elif kind == "epochs":
        spent, budget = curves.trainings, float(amount) / curves.full_epochs
    else:
        spent = np.broadcast_to(np.arange(1.0, curves.n_trials + 1), curves.objective.shape)
        budget = float(amount)
    grid = np.append(budget * FRACTIONS[:-1], math.inf) + 1e-9
    errors = incumbent_scores(frames, curves, part)
    rows = [
        step_at(spent[k], errors[k], curves.length[k], grid, curves.failed[k]) for k in range(len(errors))
    ]
    return np.stack(rows)


def incumbent_scores(frames: Frames, curves: TaskCurves, part: Part) -> Array:
    """Return the incumbents' error after each trial, or its value on tasks that count no examples.

    Regret and ranks have no unit, so both kinds of task can stand beside each other.
    """
    if frames.counted(curves.task):
        return curves.incumbent_error(part)
    return np.where(curves.filled, incumbent_of(curves.objective, curves.index), math.nan)


def regret_scale(frames: Frames, curves: TaskCurves, part: Part) -> tuple[float, float]:
    """Return the errors that count as regret 0 and 1 on a task.

    0 is the lowest error that any incumbent of the study had; 1 the baseline's (random search's)
    median after its first trial. NaN where there is none.
    """
    errors = incumbent_scores(frames, curves, part)
    if not np.isfinite(errors).any():
        return math.nan, math.nan
    place = 0 if frames.baseline is None else frames.strategies.index(frames.baseline)
    start = quantile_worst(errors[place][curves.length[place] > 0], 0.5)
    known = start[np.isfinite(start)]
    return float(np.nanmin(errors)), float(known[0]) if len(known) else math.nan


def _regret(errors: Array, best: float, reference: float) -> Array:
    """Return the normalised regret; all NaN if the scale has no length."""
    if not reference > best:
        return np.full_like(errors, math.nan)
    values = normalised_regret(errors, best=best, reference=reference)
    worst = max(1.0, float(np.nanmax(values, initial=1.0)))
    return np.where(np.isnan(values), worst, values)


@dataclass(frozen=True)
class Progress:
    """A mean over tasks against the share of the budget.

    Attributes:
        centre: shape ``(k, 100)``.
        low: lower end of the 95 % interval; NaN with fewer than 5 repetitions.
        high: its upper end.
        n_tasks: tasks behind it.
    """

    centre: Array
    low: Array
    high: Array
    n_tasks: int


def regret_progress(frames: Frames, across: Across, part: Part) -> Progress:
    """Return the mean normalised regret over the tasks that have a scale."""
    known = [values for values in across.regrets[part] if np.isfinite(values).all()]
    return mean_over_tasks(known, _stream(frames, "regret", part))


def rank_progress(frames: Frames, across: Across, part: Part) -> Progress:
    """Return the mean rank: within each task and repetition, then over repetitions, then over tasks."""
    ranks = [np.moveaxis(rank_losses(np.moveaxis(values, 0, -1)), -1, 0) for values in across.errors[part]]
    return mean_over_tasks(ranks, _stream(frames, "rank", part))


def _stream(frames: Frames, purpose: str, part: Part) -> Generator:
    """Return the generator of one bootstrap."""
    return bootstrap_stream(int(frames.info.suite["root_seed"])).child("across", purpose, part).generator()


def mean_over_tasks(values: list[Array], rng: Generator) -> Progress:
    """Return the mean over repetitions, then tasks, with a stratified paired percentile bootstrap.

    Repetitions are resampled within each task, the same ones for every strategy: the interval is
    for these tasks, and says nothing about new ones.

    Args:
        values: one a task, shape ``(k, n_repetitions, n_points)``.
        rng: source of randomness.
    """
    if not values:
        nothing = np.empty((0, 0))
        return Progress(nothing, nothing, nothing, 0)
    centre = np.mean([task.mean(axis=1) for task in values], axis=0)
    if min(task.shape[1] for task in values) < MIN_INTERVAL:
        unknown = np.full_like(centre, math.nan)
        return Progress(centre, unknown, unknown, len(values))
    means = np.zeros((_RESAMPLES, *centre.shape))
    for task in values:
        n = task.shape[1]
        picks = bootstrap_indices(n, n_resamples=_RESAMPLES, rng=rng)
        weights = np.stack([np.sum(picks == place, axis=1) for place in range(n)], axis=1) / n
        means += np.einsum("bn,knp->bkp", weights, task) / len(values)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return Progress(centre, low, high, len(values))


@dataclass(frozen=True)
class CriticalDifference:
    """Whether strategies rank differently over the tasks, and which are alike.

    Attributes:
        ranks: mean rank over the tasks, shape ``(k,)``.
        omnibus: Friedman's test over the tasks; None with fewer than two of them.
        p: Holm-adjusted Wilcoxon p-values between all pairs, shape ``(k, k)``.
        bars: places of the strategies that no test tells apart, in rank order; none unless the
            omnibus test passes.
        needed: tasks from which on the smallest p of all pairs can pass after Holm.
        n_tasks: tasks that there are.
    """

    ranks: Array
    omnibus: Friedman | None
    p: NDArray[np.float64]
    bars: tuple[tuple[int, ...], ...]
    needed: int
    n_tasks: int

    @property
    def enough(self) -> bool:
        """Whether there are tasks enough for a test over tasks."""
        return self.n_tasks >= self.needed

    @property
    def passed(self) -> bool:
        """Whether the omnibus test says that not all strategies rank alike."""
        return self.enough and self.omnibus is not None and self.omnibus.f_p < ALPHA

    @property
    def reason(self) -> str:
        """Return why no diagram is drawn; nothing if one is."""
        if self.enough:
            return ""
        return (
            f"Over {counted(self.n_tasks, 'task')} no test across tasks can reach p < 0.05 between "
            f"{len(self.ranks)} strategies: that takes at least {self.needed} tasks. So no critical-difference "
            "diagram is drawn; the comparisons within each task stand on their repetitions."
        )


def critical_difference_of(across: Across) -> CriticalDifference:
    """Return the tests over tasks; the block is the task, its value the mean final test error.

    The mean is over repetitions; a run without a result has the highest error of its task.
    """
    blocks = np.array([_filled(values[:, :, -1]).mean(axis=1) for values in across.errors["test"]])
    k, n = len(across.strategies), len(across.tasks)
    needed = smallest_n(k * (k - 1) // 2, alpha=ALPHA)
    ranks = rank_losses(blocks).mean(axis=0)
    omnibus = friedman(blocks) if n > 1 else None
    p = wilcoxon_holm(blocks)
    found = CriticalDifference(ranks, omnibus, p, (), needed, n)
    if not found.passed:
        return found
    return CriticalDifference(ranks, omnibus, p, tuple(cliques(ranks, p < ALPHA)), needed, n)


def _filled(errors: Array) -> Array:
    """Return ``errors`` with the highest of all in the place of a missing one."""
    return np.where(np.isnan(errors), np.nanmax(errors, initial=0.0), errors)

"""What can be said over all tasks: normalised regret, ranks and profiles.

Only strategies that can search every task take part, and only repetitions in which all of these have
ended: within each of them the strategies saw the same data and seeds. A run without a result (yet)
ranks last and has the worst regret that was seen on its task; it is never left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hpbench.analysis.captions import repetitions_text
from hpbench.analysis.comparison import Study
from hpbench.analysis.curves import Part, TaskCurves, step_at
from hpbench.analysis.frames import Frames
from hpbench.analysis.statistics import (
    Array,
    StratifiedMean,
    incumbent_of,
    normalised_regret,
    quantile_worst,
    rank_losses,
    stratified_mean,
)
from hpbench.seeding import bootstrap_stream
from hpbench.study import RunState
from hpbench.wording import counted

__all__ = [
    "FRACTIONS",
    "Across",
    "Progress",
    "across_tasks",
    "left_text",
    "mean_over_tasks",
    "mean_text",
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
        start: the place in :data:`FRACTIONS` from which on every run has ended a trial; regrets and
            ranks before it are of runs that could not have a result yet.
    """

    strategies: tuple[int, ...]
    left_out: tuple[str, ...]
    tasks: tuple[str, ...]
    errors: dict[Part, tuple[Array, ...]]
    regrets: dict[Part, tuple[Array, ...]]
    start: int

    @property
    def possible(self) -> bool:
        """Whether there are two strategies and a task to compare them on."""
        return len(self.strategies) > 1 and bool(self.tasks)

    def scaled(self, part: Part) -> dict[str, Array]:
        """Return the regrets of the tasks that have a scale, by name."""
        pairs = zip(self.tasks, self.regrets[part], strict=True)
        return {task: values for task, values in pairs if np.isfinite(values).all()}


def across_tasks(study: Study) -> Across:
    """Return the runs that are comparable across tasks, with their errors and normalised regrets."""
    frames = study.frames
    skipped = {
        place
        for curves in study.curves.values()
        for place in np.flatnonzero(np.any(curves.state == str(RunState.SKIPPED), axis=1))
    }
    places = tuple(place for place in range(len(frames.strategies)) if place not in skipped)
    whole = {
        task: np.asarray(curves.ended[list(places)].all(axis=0)) for task, curves in study.curves.items()
    }
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
    firsts = [_first_share(frames, study.curves[task], places, whole[task]) for task in tasks]
    start = int(np.searchsorted(FRACTIONS[:-1] + 1e-9, max(firsts, default=0.0)))
    left_out = tuple(frames.strategies[place] for place in sorted(skipped))
    return Across(places, left_out, tasks, errors, regrets, start)


def _first_share(
    frames: Frames, curves: TaskCurves, places: tuple[int, ...], whole: NDArray[np.bool_]
) -> float:
    """Return the share of the budget after which the last of the runs has ended its first trial."""
    spent, budget = _spent(frames, curves)
    first = spent[list(places)][:, whole, 0][curves.length[list(places)][:, whole] > 0]
    return float(np.max(first, initial=0.0)) / budget


def _at_fractions(frames: Frames, curves: TaskCurves, part: Part) -> Array:
    """Return the incumbents' errors at every share of the budget, shape ``(k, n, 100)``."""
    spent, budget = _spent(frames, curves)
    grid = np.append(budget * FRACTIONS[:-1], math.inf) + 1e-9
    errors = incumbent_scores(frames, curves, part)
    rows = [
        step_at(spent[k], errors[k], curves.length[k], grid, curves.failed[k]) for k in range(len(errors))
    ]
    return np.stack(rows)


def _spent(frames: Frames, curves: TaskCurves) -> tuple[Array, float]:
    """Return what is spent after every trial, shape ``(k, n, T)``, and the budget, in the budget's unit."""
    kind, amount = next((key, value) for key, value in frames.info.suite["budget"].items() if value)
    if kind == "seconds":
        return curves.elapsed, float(amount)
    if kind == "epochs":
        return curves.trainings, float(amount) / curves.full_epochs
    return np.broadcast_to(np.arange(1.0, curves.n_trials + 1), curves.objective.shape), float(amount)


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
        mean: of shape ``(k, 100)``, with its interval.
        single: the single repetitions at the last point, each the mean over the tasks, shape ``(k, n)``;
            of tasks with different numbers of them as many as all have.
        tasks: names of the tasks behind it.
        repetitions: the smallest and the largest number of repetitions of a task.
    """

    mean: StratifiedMean
    single: Array
    tasks: tuple[str, ...]
    repetitions: tuple[int, int]


def regret_progress(frames: Frames, across: Across, part: Part) -> Progress | None:
    """Return the mean normalised regret over the tasks that have a scale; None without any."""
    return mean_over_tasks(across.scaled(part), _stream(frames, "regret", part))


def rank_progress(frames: Frames, across: Across, part: Part) -> Progress | None:
    """Return the mean rank: within each task and repetition, then over repetitions, then over tasks."""
    ranks = [np.moveaxis(rank_losses(np.moveaxis(values, 0, -1)), -1, 0) for values in across.errors[part]]
    return mean_over_tasks(dict(zip(across.tasks, ranks, strict=True)), _stream(frames, "rank", part))


def _stream(frames: Frames, purpose: str, part: Part) -> Generator:
    """Return the generator of one bootstrap."""
    return bootstrap_stream(int(frames.info.suite["root_seed"])).child("across", purpose, part).generator()


def mean_over_tasks(values: Mapping[str, Array], rng: Generator) -> Progress | None:
    """Return the mean over repetitions, then tasks; None without a task.

    Args:
        values: by task, shape ``(k, n_repetitions, n_points)``.
        rng: source of randomness of the bootstrap.
    """
    if not values:
        return None
    sizes = [task.shape[1] for task in values.values()]
    single = np.mean([task[:, : min(sizes), -1] for task in values.values()], axis=0)
    mean = stratified_mean(list(values.values()), rng=rng, n_resamples=_RESAMPLES)
    return Progress(mean, single, tuple(values), (min(sizes), max(sizes)))


def mean_text(found: Across, progresses: Mapping[str, Progress | None]) -> str:
    """Return what means over repetitions, then tasks rest on, for captions.

    Args:
        found: the runs that are comparable.
        progresses: by what tells them apart, such as ``"test data"``.
    """
    known = {word: progress for word, progress in progresses.items() if progress}
    sizes = [size for progress in known.values() for size in progress.repetitions]
    used = f" ({repetitions_text(min(sizes), max(sizes))})" if sizes else ""
    counts = {word: counted(len(p.tasks) if p else 0, "task") for word, p in progresses.items()}
    over = ", ".join(f"{text} on {word}" for word, text in counts.items())
    missing = {word: [t for t in found.tasks if not p or t not in p.tasks] for word, p in progresses.items()}
    if not any(missing.values()):
        over = next(iter(counts.values()))
    flat = "; ".join(f"on {word} {', '.join(names)}" for word, names in missing.items() if names)
    text = f"Mean over the repetitions in which all have ended{used}, then over {over}. "
    return text + (
        f"Left out, for nothing is better than the baseline's first trial and regret has no scale: {flat}. "
        if flat
        else ""
    )


def left_text(frames: Frames, found: Across) -> str:
    """Return which strategies and tasks do not take part, for captions; nothing if all do."""
    names = ", ".join(frames.label(name) for name in found.left_out)
    tasks = ", ".join(task for task in frames.tasks if task not in found.tasks)
    return (f"Left out, for they cannot search every task: {names}. " if names else "") + (
        f"Left out, for in no repetition have all ended: {tasks}. " if tasks else ""
    )

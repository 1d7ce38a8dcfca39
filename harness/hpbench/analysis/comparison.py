"""What the tables and the claims say: every strategy of every task against the baseline and the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpbench.analysis.curves import TaskCurves, task_curves
from hpbench.analysis.evidence import Evidence, evidence_of
from hpbench.analysis.frames import Frames
from hpbench.analysis.importance import TaskImportance, importance_of
from hpbench.analysis.statistics import (
    Array,
    Interval,
    incumbent_of,
    mean_interval,
    overtuning,
    probability_of_improvement,
    rank_biserial,
    rank_losses,
    same_best,
    selection_gap,
    win_tie_loss,
)
from hpbench.analysis.versus import ALPHA, Versus, against, both_ended
from hpbench.seeding import bootstrap_stream
from hpbench.study import RunState

__all__ = [
    "Cell",
    "Counts",
    "Selection",
    "Study",
    "TaskComparison",
    "compare",
    "final_values",
    "study_of",
]

T = TypeVar("T")


@dataclass(frozen=True)
class Counts:
    """How the repetitions of one strategy on one task ended.

    Attributes:
        n: with a result.
        failed: ended without one.
        missing: not ended.
        exhausted: had nothing more to propose.
        skipped: why the pairing was refused; empty if it was not.
    """

    n: int
    failed: int
    missing: int
    exhausted: int
    skipped: str


@dataclass(frozen=True)
class Selection:
    """What choosing by validation cost on the test part, in error.

    Attributes:
        gap: test error of the final incumbent less the lowest test error of any trial.
        overtuning: test error of the final incumbent less that of the best-testing earlier incumbent.
        overtuned: share of runs in which that is above zero.
    """

    gap: Interval
    overtuning: Interval
    overtuned: float


@dataclass(frozen=True)
class Cell:
    """One strategy on one task; errors in [0, 1], of the final incumbents.

    Attributes:
        task: its name.
        strategy: its name.
        val: mean validation error with its interval.
        test: mean test error with its interval.
        rank: mean rank by test error over the complete repetitions, 1 the best; NaN without any.
        counts: how its repetitions ended.
        versus: the comparison with the baseline; None for the baseline itself.
        best: whether it has the lowest mean test error of the strategies without a failed run.
        like_best: not the best, but no difference from it is shown by the same test.
        selection: what choosing by validation cost.
    """

    task: str
    strategy: str
    val: Interval
    test: Interval
    rank: float
    counts: Counts
    versus: Versus | None
    best: bool
    like_best: bool
    selection: Selection


@dataclass(frozen=True)
class TaskComparison:
    """All strategies on one task.

    Attributes:
        task: its name.
        cells: one a strategy, in suite order.
        blocks: repetitions in which every strategy has ended; ranks are taken within these.
    """

    task: str
    cells: tuple[Cell, ...]
    blocks: int


@dataclass(frozen=True)
class Study:
    """Everything that tables, figures and claims are made of, computed once."""

    frames: Frames
    curves: dict[str, TaskCurves]
    comparisons: dict[str, TaskComparison]
    _known: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return what ``compute`` gives, computed when it is first asked for under ``key``."""
        if key not in self._known:
            self._known[key] = compute()
        found: T = self._known[key]
        return found

    @cached_property
    def evidence(self) -> tuple[Evidence, ...]:
        """How sure the differences to the baseline are."""
        return tuple(evidence_of(self.frames, self.curves))

    @cached_property
    def importance(self) -> dict[str, TaskImportance]:
        """The importance of the hyperparameters of every task that has trials enough."""
        found = {task: importance_of(self.frames, task) for task in self.frames.tasks}
        return {task: item for task, item in found.items() if item is not None}


def study_of(frames: Frames) -> Study:
    """Return the curves and comparisons of every task."""
    curves = {task: task_curves(frames, task) for task in frames.tasks}
    return Study(frames, curves, {task: compare(frames, found) for task, found in curves.items()})


def final_values(curves: TaskCurves) -> Array:
    """Return the smallest objective of each run, shape ``(k, n)``; NaN if it failed or has not ended.

    It stands for the error where a task counts no examples.
    """
    if curves.n_trials == 0:
        return np.full(curves.state.shape, math.nan)
    last = incumbent_of(curves.objective, curves.index)[..., -1]
    return np.where(curves.ended & ~curves.failed, last, math.nan)


def compare(frames: Frames, curves: TaskCurves) -> TaskComparison:
    """Return every strategy of one task against the baseline and against the best."""
    counted = frames.counted(curves.task)
    test = curves.final_error("test")
    losses = curves.final_losses() if counted else test
    ranks, blocks = _ranks(curves, test if counted else final_values(curves))
    best = same_best(_means(losses))
    alike = _like_best(losses, best)
    base = None if frames.baseline is None else frames.strategies.index(frames.baseline)
    p, enough = against(losses, base)
    cells = []
    for place, strategy in enumerate(frames.strategies):
        versus = None
        if base not in (None, place):
            versus = _versus(frames, curves, losses, place, p=float(p[place]), enough=bool(enough[place]))
        cells.append(
            Cell(
                task=curves.task,
                strategy=strategy,
                val=_interval(frames, curves, strategy, "val", curves.final_error("val")[place]),
                test=_interval(frames, curves, strategy, "test", test[place]),
                rank=float(ranks[place]),
                counts=_counts(frames, curves, place),
                versus=versus,
                best=bool(best[place]),
                like_best=bool(alike[place]),
                selection=_selection(frames, curves, place),
            )
        )
    return TaskComparison(curves.task, tuple(cells), blocks)


def _means(losses: Array) -> Array:
    """Return the mean over the runs that have ended, shape ``(k,)``; infinite if one of them failed or none has."""
    ended = (row[~np.isnan(row)] for row in losses)
    return np.array([np.mean(row) if len(row) else math.inf for row in ended])


def _like_best(losses: Array, best: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which strategies are not shown to differ from one of the best."""
    alike = np.zeros_like(best)
    for place in np.flatnonzero(best):
        alike |= against(losses, int(place))[0] >= ALPHA
    return alike & ~best


def _interval(frames: Frames, curves: TaskCurves, strategy: str, purpose: str, values: Array) -> Interval:
    """Return the mean and interval of ``values``, its stream named by what it is for."""
    stream = bootstrap_stream(int(frames.info.suite["root_seed"])).child(curves.task, strategy, purpose)
    return mean_interval(values, rng=stream.generator())


def _ranks(curves: TaskCurves, test: Array) -> tuple[Array, int]:
    """Return mean ranks over the repetitions that are complete, and their number."""
    ranks = np.full(len(test), math.nan)
    took_part = ~np.all(curves.state == str(RunState.SKIPPED), axis=1)
    if not np.any(took_part):
        return ranks, 0
    whole = curves.ended[took_part].all(axis=0)
    if np.any(whole):
        ranks[took_part] = rank_losses(test[took_part][:, whole].T).mean(axis=0)
    return ranks, int(whole.sum())


def _versus(
    frames: Frames, curves: TaskCurves, losses: Array, place: int, *, p: float, enough: bool
) -> Versus | None:
    """Return the comparison with the baseline; None without a repetition that has ended in both."""
    assert frames.baseline is not None  # noqa: S101 -- the caller saw to it
    mine, theirs = both_ended(losses[place], losses[frames.strategies.index(frames.baseline)])
    if not len(mine):
        return None
    both = np.isfinite(mine) & np.isfinite(theirs)
    return Versus(
        difference=_interval(
            frames, curves, frames.strategies[place], "difference", theirs[both] - mine[both]
        ),
        p=p,
        effect=rank_biserial(theirs, mine),
        improvement=probability_of_improvement(mine, theirs),
        wins=win_tie_loss(mine, theirs),
        enough=enough,
    )


def _counts(frames: Frames, curves: TaskCurves, place: int) -> Counts:
    """Return how many repetitions have a result, failed, are missing, were exhausted; why it was skipped."""
    state = curves.state[place]
    skipped = state == str(RunState.SKIPPED)
    reason = ""
    if skipped.all():
        rows = frames.runs[
            (frames.runs["task"] == curves.task) & (frames.runs["strategy"] == curves.strategies[place])
        ]
        reason = str(rows["message"].iloc[0]) or "refused"
    return Counts(
        n=int((curves.ended[place] & ~curves.failed[place]).sum()),
        failed=int(curves.failed[place].sum()),
        missing=int((~curves.ended[place] & ~skipped).sum()),
        exhausted=int((state == str(RunState.EXHAUSTED)).sum()),
        skipped=reason,
    )


def _selection(frames: Frames, curves: TaskCurves, place: int) -> Selection:
    """Return what choosing by validation cost on the test part."""
    strategy = curves.strategies[place]
    usable = curves.ended[place] & ~curves.failed[place]
    if curves.n_trials == 0 or not np.any(usable):
        nothing = Interval(math.nan, math.nan, math.nan, 0, "none")
        return Selection(nothing, nothing, math.nan)
    chosen = curves.incumbent_error("test")[place, usable]
    gap = selection_gap(chosen, curves.errors["test"][place, usable])
    lost = overtuning(chosen)
    known = lost[np.isfinite(lost)]
    return Selection(
        gap=_interval(frames, curves, strategy, "gap", gap),
        overtuning=_interval(frames, curves, strategy, "overtuning", lost),
        overtuned=float(np.mean(known > 0)) if len(known) else math.nan,
    )

"""What the tables and the claims say: every strategy of every task against the baseline and the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from hpbench.analysis.curves import TaskCurves, task_curves
from hpbench.analysis.evidence import Evidence, evidence_of
from hpbench.analysis.frames import Frames
from hpbench.analysis.importance import TaskImportance, importance_of
from hpbench.analysis.statistics import (
    Array,
    Interval,
    holm,
    incumbent_of,
    mean_interval,
    overtuning,
    probability_of_improvement,
    rank_losses,
    selection_gap,
    smallest_n,
    wilcoxon,
    win_tie_loss,
)
from hpbench.seeding import bootstrap_stream
from hpbench.study import RunState

__all__ = [
    "ALPHA",
    "Cell",
    "Counts",
    "Selection",
    "Study",
    "TaskComparison",
    "Versus",
    "compare",
    "final_values",
    "study_of",
]

T = TypeVar("T")

ALPHA = 0.05


@dataclass(frozen=True)
class Versus:
    """A strategy against the baseline on one task, in the repetitions in which both have a result.

    Attributes:
        difference: the baseline's test error less the strategy's: positive where the strategy is better.
        p: Wilcoxon's signed-rank test, adjusted by Holm over the strategies of the task.
        improvement: share of repetitions in which the strategy is better, ties half.
        wins: repetitions won, tied and lost.
        enough: whether so many pairs can reach p < 0.05 at all.
    """

    difference: Interval
    p: float
    improvement: float
    wins: tuple[int, int, int]
    enough: bool

    @property
    def verdict(self) -> str:
        """``"better"``, ``"worse"``, ``"not shown"`` or ``"too few"``."""
        if not self.enough:
            return "too few"
        if self.p < ALPHA and self.difference.centre != 0.0:
            return "better" if self.difference.centre > 0 else "worse"
        return "not shown"


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
        best: whether it has the lowest mean test error of the task.
        like_best: no difference from the best is shown by the same test.
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
    test = curves.final_error("test")
    ranks, blocks = _ranks(curves, test if frames.counted(curves.task) else final_values(curves))
    means = np.array([np.mean(row[np.isfinite(row)]) if np.isfinite(row).any() else math.inf for row in test])
    best = int(np.argmin(means)) if np.isfinite(means).any() else None
    base = None if frames.baseline is None else frames.strategies.index(frames.baseline)
    from_best = _p_values(test, best)
    from_base = _p_values(test, base)
    cells = []
    for place, strategy in enumerate(frames.strategies):
        versus = None if base in (None, place) else _versus(frames, curves, test, place, from_base[place])
        cells.append(
            Cell(
                task=curves.task,
                strategy=strategy,
                val=_interval(frames, curves, strategy, "val", curves.final_error("val")[place]),
                test=_interval(frames, curves, strategy, "test", test[place]),
                rank=float(ranks[place]),
                counts=_counts(frames, curves, place),
                versus=versus,
                best=bool(best is not None and means[place] == means[best]),
                like_best=_like(from_best[place]),
                selection=_selection(frames, curves, place),
            )
        )
    return TaskComparison(curves.task, tuple(cells), blocks)


def _interval(frames: Frames, curves: TaskCurves, strategy: str, purpose: str, values: Array) -> Interval:
    """Return the mean and interval of ``values``, its stream named by what it is for."""
    stream = bootstrap_stream(int(frames.info.suite["root_seed"])).child(curves.task, strategy, purpose)
    return mean_interval(values, rng=stream.generator())


def _like(p: float) -> bool:
    """Return whether no difference from the best is shown (NaN: it could not be tested)."""
    return not math.isnan(p) and p >= ALPHA


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


def _p_values(test: Array, reference: int | None) -> Array:
    """Return Holm-adjusted p of every strategy against ``reference``; NaN where it cannot be tested."""
    raw = np.full(len(test), math.nan)
    if reference is None:
        return raw
    for place, row in enumerate(test):
        both = np.isfinite(row) & np.isfinite(test[reference])
        if place != reference and np.any(both):
            raw[place] = wilcoxon(row[both], test[reference][both])
    return holm(raw)


def _versus(frames: Frames, curves: TaskCurves, test: Array, place: int, p: float) -> Versus | None:
    """Return the comparison with the baseline; None without a repetition that both have."""
    assert frames.baseline is not None  # noqa: S101 -- the caller saw to it
    base = test[frames.strategies.index(frames.baseline)]
    both = np.isfinite(test[place]) & np.isfinite(base)
    if not np.any(both):
        return None
    mine, theirs = test[place][both], base[both]
    return Versus(
        difference=_interval(frames, curves, frames.strategies[place], "difference", theirs - mine),
        p=float(p),
        improvement=probability_of_improvement(mine, theirs),
        wins=win_tie_loss(mine, theirs),
        enough=int(both.sum()) >= smallest_n(_rivals(curves), alpha=ALPHA),
    )


def _rivals(curves: TaskCurves) -> int:
    """Return how many strategies of the task are compared with the baseline."""
    took_part = ~np.all(curves.state == str(RunState.SKIPPED), axis=1)
    return max(int(took_part.sum()) - 1, 1)


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

"""Two studies side by side: another version, another device, another machine.

Only what both have is compared: tasks and strategies of one name. Repetitions are paired where both
studies trained them on the same data under the same seeds; where they did not, the tests are unpaired,
and the reason is said.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from hpbench.analysis.comparison import Study, study_of
from hpbench.analysis.frames import Frames
from hpbench.analysis.statistics import (
    Array,
    Interval,
    attainable,
    holm,
    mean_interval,
    probability_of_improvement,
    probability_of_improvement_unpaired,
    rank_biserial,
    rank_sum,
    welch_interval,
    wilcoxon,
    win_tie_loss,
)
from hpbench.analysis.two_facts import (
    Untested,
    differences,
    shared_names,
    shared_tasks,
    untested,
    why_unpaired,
)
from hpbench.analysis.versus import ALPHA, verdict_of
from hpbench.errors import UsageError
from hpbench.seeding import bootstrap_stream

__all__ = ["Between", "Change", "Gate", "compare_studies", "gate_of"]


@dataclass(frozen=True)
class Change:
    """One strategy on one task in both studies; errors in [0, 1] on test data, of the final incumbents.

    Attributes:
        task: its name.
        strategy: its name.
        a: mean error of the first study with its interval.
        b: the same of the second.
        rise: mean of the second less mean of the first: positive where the error rose.
        p: two-sided, Holm-adjusted over all comparisons; Wilcoxon's signed-rank test of the pairs, or
            the rank-sum test. A failed run counts as worse than every result.
        effect: direction of the test, above 0 where the second is better; the mean may have the other sign.
        improvement: share of pairs (of all combinations if unpaired) in which the second is better,
            ties half.
        wins: pairs in which the second is better, equal, worse; None if unpaired.
        paired: whether repetitions are paired.
        counts: repetitions behind the test, first and second study.
        failed: failed runs among them, first and second study.
        enough: whether so many repetitions can reach p < 0.05 at all.
    """

    task: str
    strategy: str
    a: Interval
    b: Interval
    rise: Interval
    p: float
    effect: float
    improvement: float
    wins: tuple[int, int, int] | None
    paired: bool
    counts: tuple[int, int]
    failed: tuple[int, int]
    enough: bool

    @property
    def verdict(self) -> str:
        """``"better"``, ``"worse"``, ``"not shown"`` or ``"too few"``; of the second study."""
        return verdict_of(self.p, self.effect, enough=self.enough)


@dataclass(frozen=True)
class Between:
    """Two studies and what changed between them.

    Attributes:
        a: the first, the one to compare with.
        b: the second.
        names: what readers see for each.
        tasks: names that both have.
        strategies: names that both have.
        changes: one a task and strategy with repetitions to compare.
        untested: tasks and strategies that both have, and that could not be compared.
        unpaired: task → why its repetitions are not paired; empty if they are.
        notes: what differs besides, in whole sentences.
    """

    a: Study
    b: Study
    names: tuple[str, str]
    tasks: tuple[str, ...]
    strategies: tuple[str, ...]
    changes: tuple[Change, ...]
    untested: tuple[Untested, ...]
    unpaired: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Gate:
    """Whether an error rose significantly by more than a margin.

    Attributes:
        margin: of error, in [0, 1].
        p: for every change, one-sided, that the rise is above the margin, Holm-adjusted.
        broken: the places of the changes that did.
    """

    margin: float
    p: Array
    broken: tuple[int, ...]


def compare_studies(first: Frames, second: Frames, names: tuple[str, str]) -> Between:
    """Return what changed from the first study to the second.

    Args:
        first: the study to compare with.
        second: the other one.
        names: what readers see for each, such as the names of the directories.

    Raises:
        UsageError: they share no task with test errors, no strategy, or no task and strategy with results on both sides.
    """
    tasks = shared_tasks(first, second)
    strategies = shared_names("strategy", first.strategies, second.strategies)
    a, b = study_of(first), study_of(second)
    unpaired = {task: reason for task in tasks if (reason := why_unpaired(first, second, task))}
    left = untested((a, b), tasks, strategies, names, unpaired)
    found = []
    for task, strategy in itertools.product(tasks, strategies):
        if all((task, strategy) != (cell.task, cell.strategy) for cell in left):
            sides = tuple(_final(study, task, strategy) for study in (a, b))
            found.append(_change((first, second), task, strategy, sides, paired=task not in unpaired))
    if not found:
        raise UsageError(
            "the studies share tasks and strategies, but none of them has a run that has ended in both. Let them "
            "finish, then compare again."
        )
    p = holm(np.array([change.p for change in found]))
    floors = np.array([_floor(change.counts, paired=change.paired, sides=2) for change in found])
    enough = attainable(floors, alpha=ALPHA)
    changes = tuple(
        replace(change, p=float(p[place]), enough=bool(enough[place])) for place, change in enumerate(found)
    )
    notes = (*differences(first, second, names), *(cell.note for cell in left))
    return Between(a, b, names, tasks, strategies, changes, left, unpaired, notes)


def gate_of(between: Between, margin: float) -> Gate:
    """Return which errors rose significantly by more than ``margin``.

    Of every change a one-sided test is made that the second study's errors, less the margin, are
    above the first's; p is Holm-adjusted over all changes, and broken are those below 0.05.

    Args:
        between: both studies.
        margin: of error, such as 0.01 for a point of accuracy; 0 tests for any rise.

    Raises:
        UsageError: the margin is not in [0, 1), a task and strategy of both studies has nothing to test, or
            has so few repetitions that no rise of it alone could be significant.
    """
    if not 0.0 <= margin < 1.0:
        raise UsageError(f"the margin must lie in [0, 1), as an error does, got {margin:g}.")
    _check_testable(between)
    raw = [
        _p_value(
            *(_final(study, change.task, change.strategy) for study in (between.a, between.b)),
            shift=margin,
            paired=change.paired,
            greater=True,
        )
        for change in between.changes
    ]
    p = holm(np.array(raw))
    return Gate(margin, p, tuple(int(place) for place in np.flatnonzero(p < ALPHA)))


def _check_testable(between: Between) -> None:
    """Raise unless a rise of every task and strategy that both studies have could be shown."""
    lost = [
        f"{cell.strategy} on {cell.task} ({cell.reason})" for cell in between.untested if not cell.refused
    ]
    if lost:
        raise UsageError(
            f"a rise cannot be ruled out where nothing can be compared: {', '.join(lost)}. Let the runs finish, or "
            "compare studies of suites without them."
        )
    n = len(between.changes)
    few = [
        change
        for change in between.changes
        if n * _floor(change.counts, paired=change.paired, sides=1) >= ALPHA
    ]
    if few:
        listed = ", ".join(f"{change.strategy} on {change.task}" for change in few)
        most = max(min(change.counts) for change in few)
        raise UsageError(
            f"no rise can be significant{'' if len(few) == n else f' of {listed}'}: {n} comparisons of at most {most} "
            "repetitions each cannot reach p < 0.05 after Holm's adjustment. Run more repetitions, or compare fewer "
            "strategies."
        )


_Side = tuple[np.ndarray, Array]
"""Repetitions that have ended, and their final test errors, infinite for a failed run."""


def _final(study: Study, task: str, strategy: str) -> _Side:
    """Return the repetitions of one cell that have ended and their final test errors."""
    curves = study.curves[task]
    place = curves.strategies.index(strategy)
    ended = np.flatnonzero(curves.ended[place])
    return ended, curves.final_losses()[place, ended]


def _matched(a: _Side, b: _Side) -> tuple[Array, Array]:
    """Return the errors of the repetitions that have ended in both studies."""
    _, one, other = np.intersect1d(a[0], b[0], return_indices=True)
    return a[1][one], b[1][other]


def _change(
    studies: tuple[Frames, Frames], task: str, strategy: str, sides: tuple[_Side, ...], *, paired: bool
) -> Change:
    """Return the comparison of one cell, its p-value not yet adjusted.

    The interval of each side is that of its study's own report, as long as the same runs have ended.
    """
    a, b = _matched(*sides) if paired else (sides[0][1], sides[1][1])
    streams = [
        bootstrap_stream(int(frames.info.suite["root_seed"])).child(task, strategy) for frames in studies
    ]
    good = [side[np.isfinite(side)] for side in (a, b)]
    means = [
        mean_interval(side, rng=stream.child("test").generator())
        for side, stream in zip(good, streams, strict=True)
    ]
    known = np.isfinite(a) & np.isfinite(b) if paired else np.zeros(0, dtype=bool)
    if paired:
        rise = mean_interval(b[known] - a[known], rng=streams[0].child("rise").generator())
    else:
        rise = welch_interval(*good)
    improvement = (probability_of_improvement if paired else probability_of_improvement_unpaired)(b, a)
    return Change(
        task=task,
        strategy=strategy,
        a=means[0],
        b=means[1],
        rise=rise,
        p=_p_value(*sides, shift=0.0, paired=paired, greater=False),
        effect=rank_biserial(a, b) if paired else 2 * improvement - 1,
        improvement=improvement,
        wins=win_tie_loss(b, a) if paired else None,
        paired=paired,
        counts=(len(a), len(b)),
        failed=(int(np.isinf(a).sum()), int(np.isinf(b).sum())),
        enough=True,
    )


def _p_value(a: _Side, b: _Side, *, shift: float, paired: bool, greater: bool) -> float:
    """Return the p-value that ``b`` less ``shift`` differs from (or is greater than) ``a``.

    A failed run is worse than every result, and as bad as another failed run, whatever the shift.
    """
    one, other = _matched(a, b) if paired else (a[1], b[1])
    test = wilcoxon if paired else rank_sum
    return test(other - shift, one, alternative="greater" if greater else "two-sided")


def _floor(counts: tuple[int, int], *, paired: bool, sides: int) -> float:
    """Return the smallest p that so many repetitions can give."""
    ways = 2.0 ** counts[0] if paired else math.comb(sum(counts), counts[0])
    return min(1.0, sides / ways)

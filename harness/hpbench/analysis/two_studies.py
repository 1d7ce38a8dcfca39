"""Two studies side by side: another version, another device, another machine.

Only what both have is compared: tasks and strategies of one name. Repetitions are paired where both
studies trained them on the same data under the same seeds; where they did not, the tests are unpaired,
and the reason is said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from hpbench.analysis.comparison import ALPHA, Study, study_of
from hpbench.analysis.frames import Frames
from hpbench.analysis.statistics import (
    Array,
    Interval,
    holm,
    mean_interval,
    probability_of_improvement,
    probability_of_improvement_unpaired,
    rank_sum,
    wilcoxon,
    win_tie_loss,
)
from hpbench.analysis.statistics.intervals import MIN_INTERVAL
from hpbench.analysis.two_facts import differences, shared_names, shared_tasks, why_unpaired
from hpbench.errors import UsageError
from hpbench.seeding import bootstrap_stream

__all__ = ["Between", "Change", "Gate", "compare_studies", "gate_of", "welch_interval"]


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
    improvement: float
    wins: tuple[int, int, int] | None
    paired: bool
    counts: tuple[int, int]
    failed: tuple[int, int]
    enough: bool

    @property
    def verdict(self) -> str:
        """``"better"``, ``"worse"``, ``"not shown"`` or ``"too few"``; of the second study."""
        if not self.enough:
            return "too few"
        if self.p < ALPHA:
            return "better" if self.improvement > 0.5 else "worse"  # noqa: PLR2004 -- a half is a draw
        return "not shown"


@dataclass(frozen=True)
class Between:
    """Two studies and what changed between them.

    Attributes:
        a: the first, the one to compare with.
        b: the second.
        names: what readers see for each.
        tasks: names that both have.
        strategies: names that both have.
        changes: one a task and strategy that both ran.
        unpaired: task → why its repetitions are not paired; empty if they are.
        notes: what differs besides, in whole sentences.
    """

    a: Study
    b: Study
    names: tuple[str, str]
    tasks: tuple[str, ...]
    strategies: tuple[str, ...]
    changes: tuple[Change, ...]
    unpaired: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Gate:
    """Whether an error rose significantly by more than a margin.

    Attributes:
        margin: of error, in [0, 1].
        p: for every change, one-sided, that the rise is above the margin, Holm-adjusted; NaN if it
            could not be tested.
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
    found = []
    for task in tasks:
        for strategy in strategies:
            sides = tuple(_final(study, task, strategy) for study in (a, b))
            if all(len(side[0]) for side in sides):
                found.append(_change((first, second), task, strategy, sides, paired=task not in unpaired))
    if not found:
        raise UsageError(
            "the studies share tasks and strategies, but none of them has a run that has ended in both. Let them "
            "finish, then compare again."
        )
    p = holm(np.array([change.p for change in found]))
    n_tests = int(np.isfinite(p).sum())
    changes = tuple(_adjusted(change, float(value), n_tests) for change, value in zip(found, p, strict=True))
    return Between(
        a, b, names, tasks, strategies, changes, unpaired, tuple(differences(first, second, names))
    )


def gate_of(between: Between, margin: float) -> Gate:
    """Return which errors rose significantly by more than ``margin``.

    Of every change a one-sided test is made that the second study's errors, less the margin, are
    above the first's; p is Holm-adjusted over all changes, and broken are those below 0.05.

    Args:
        between: both studies.
        margin: of error, such as 0.01 for a point of accuracy; 0 tests for any rise.

    Raises:
        UsageError: the margin is not in [0, 1), or nowhere are there repetitions enough for a rise to
            be significant.
    """
    if not 0.0 <= margin < 1.0:
        raise UsageError(f"the margin must lie in [0, 1), as an error does, got {margin:g}.")
    samples = [
        tuple(_final(study, change.task, change.strategy) for study in (between.a, between.b))
        for change in between.changes
    ]
    raw = np.array(
        [
            _p_value(*sides, shift=margin, paired=change.paired, greater=True)
            for sides, change in zip(samples, between.changes, strict=True)
        ]
    )
    floors = [_floor(change.counts, paired=change.paired, sides=1) for change in between.changes]
    if min(floors) * len(floors) >= ALPHA:
        most = max(min(change.counts) for change in between.changes)
        raise UsageError(
            f"no rise can be significant: {len(floors)} comparisons of at most {most} repetitions each cannot reach "
            "p < 0.05 after Holm's adjustment. Run more repetitions, or compare fewer strategies."
        )
    p = holm(raw)
    return Gate(margin, p, tuple(int(place) for place in np.flatnonzero(p < ALPHA)))


_Side = tuple[np.ndarray, Array]
"""Repetitions that have ended, and their final test errors, infinite for a failed run."""


def _final(study: Study, task: str, strategy: str) -> _Side:
    """Return the repetitions of one cell that have ended and their final test errors."""
    curves = study.curves[task]
    place = curves.strategies.index(strategy)
    ended = np.flatnonzero(curves.ended[place])
    errors = curves.final_error("test")[place, ended]
    return ended, np.where(curves.failed[place, ended] | np.isnan(errors), math.inf, errors)


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
    shown_a, shown_b = _finite(a, b)
    return Change(
        task=task,
        strategy=strategy,
        a=means[0],
        b=means[1],
        rise=rise,
        p=_p_value(*sides, shift=0.0, paired=paired, greater=False),
        improvement=_improvement(shown_a, shown_b, paired=paired),
        wins=win_tie_loss(shown_b, shown_a) if paired and len(shown_a) else None,
        paired=paired,
        counts=(len(a), len(b)),
        failed=(int(np.isinf(a).sum()), int(np.isinf(b).sum())),
        enough=True,
    )


def _adjusted(change: Change, p: float, n_tests: int) -> Change:
    """Return ``change`` with the adjusted p, and whether it could have been significant."""
    enough = math.isfinite(p) and n_tests * _floor(change.counts, paired=change.paired, sides=2) < ALPHA
    return Change(**{**change.__dict__, "p": p, "enough": enough})


def _improvement(a: Array, b: Array, *, paired: bool) -> float:
    """Return how often the second side is better, ties half; NaN if there is nothing to compare."""
    if not (len(a) and len(b)):
        return math.nan
    return (probability_of_improvement if paired else probability_of_improvement_unpaired)(b, a)


def _finite(a: Array, b: Array) -> tuple[Array, Array]:
    """Return both sides with failures as an error that is worse than any, one for all."""
    return np.minimum(a, 2.0), np.minimum(b, 2.0)


def _p_value(a: _Side, b: _Side, *, shift: float, paired: bool, greater: bool) -> float:
    """Return the p-value that ``b`` less ``shift`` differs from (or is greater than) ``a``; NaN if untestable.

    A failed run is worse than every result, and as bad as another failed run, whatever the shift.
    """
    one, other = _matched(a, b) if paired else (a[1], b[1])
    if not (len(one) and len(other)):
        return math.nan
    first = np.where(np.isinf(one), 3.0, one)
    second = np.where(np.isinf(other), 3.0, other - shift)
    test = wilcoxon if paired else rank_sum
    return test(second, first, alternative="greater" if greater else "two-sided")


def _floor(counts: tuple[int, int], *, paired: bool, sides: int) -> float:
    """Return the smallest p that so many repetitions can give."""
    if not min(counts):
        return 1.0
    ways = 2.0 ** counts[0] if paired else math.comb(sum(counts), counts[0])
    return min(1.0, sides / ways)


def welch_interval(a: Array, b: Array) -> Interval:
    """Return the mean of ``b`` less that of ``a`` with Welch's interval; none below 5 repetitions.

    References:
        Welch (1947), The generalization of "Student's" problem when several different population
        variances are involved.
    """
    if not (len(a) and len(b)):
        return Interval(math.nan, math.nan, math.nan, 0, "none")
    centre, n = float(np.mean(b) - np.mean(a)), min(len(a), len(b))
    if n < MIN_INTERVAL:
        return Interval(centre, math.nan, math.nan, n, "none")
    parts = [float(np.var(side, ddof=1)) / len(side) for side in (a, b)]
    spread = math.sqrt(sum(parts))
    if spread == 0.0:
        return Interval(centre, centre, centre, n, "t")
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(side) - 1) for part, side in zip(parts, (a, b), strict=True)
    )
    half = float(stats.t.ppf(0.975, freedom)) * spread
    return Interval(centre, centre - half, centre + half, n, "t")

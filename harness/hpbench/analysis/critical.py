"""Whether strategies rank differently over the tasks, which of them are alike, and by what test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpbench.analysis.across import Across
from hpbench.analysis.captions import equals, p_text
from hpbench.analysis.comparison import Study
from hpbench.analysis.statistics import (
    Array,
    cliques,
    critical_difference,
    friedman,
    friedman_permutation,
    rank_losses,
    smallest_n,
    wilcoxon_holm,
)
from hpbench.analysis.versus import ALPHA
from hpbench.seeding import Stream, bootstrap_stream
from hpbench.wording import counted

__all__ = ["CriticalDifference", "critical_difference_of", "ranking_of"]

PairTest = Literal["wilcoxon", "nemenyi", "none"]


@dataclass(frozen=True)
class CriticalDifference:
    """Whether strategies rank differently over the tasks, and which are alike.

    Attributes:
        ranks: mean rank over the tasks, shape ``(k,)``.
        f: Iman and Davenport's statistic of Friedman's test; NaN with fewer than two tasks.
        p: its p-value, by permutations within the tasks.
        test: how pairs are compared: Wilcoxon's test with Holm's adjustment where there are tasks
            enough for it, else Nemenyi's critical difference, unless no two ranks can differ by it.
        limit: Nemenyi's critical difference of mean ranks.
        bars: places of the strategies that the test does not tell apart, in rank order; none unless
            the omnibus test passes.
        needed: tasks from which on the smallest p of all pairs can pass after Holm.
        n_tasks: tasks that there are.
    """

    ranks: Array
    f: float
    p: float
    test: PairTest
    limit: float
    bars: tuple[tuple[int, ...], ...]
    needed: int
    n_tasks: int

    @property
    def passed(self) -> bool:
        """Whether the omnibus test says that not all strategies rank alike."""
        return self.p < ALPHA

    @property
    def omnibus(self) -> str:
        """Return the omnibus test with its p-value, for claims and captions."""
        f = f"{self.f:.2f}" if math.isfinite(self.f) else "∞"
        return (
            f"Friedman's test with Iman and Davenport's correction: F = {f}, "
            f"p {equals(p_text(self.p, enough=True))} by permutations within tasks"
        )

    @property
    def reason(self) -> str:
        """Return why no diagram is drawn; nothing if one is."""
        k = len(self.ranks)
        if math.isnan(self.p):
            return (
                "Over 1 task there is no test across tasks; comparisons within it stand on their repetitions."
            )
        if self.test != "none":
            return ""
        return (
            f"Pairs are not compared over {counted(self.n_tasks, 'task')}, and no critical-difference diagram is drawn: "
            f"between {k} strategies Nemenyi's test needs at least {_nemenyi_tasks(k)} tasks, Wilcoxon's with Holm's "
            f"adjustment {self.needed}."
        )


def ranking_of(study: Study, across: Across) -> CriticalDifference:
    """Return the tests over the tasks of a study."""
    stream = bootstrap_stream(int(study.frames.info.suite["root_seed"])).child("across", "friedman")
    return study.once("critical difference", lambda: critical_difference_of(across, stream))


def critical_difference_of(across: Across, stream: Stream) -> CriticalDifference:
    """Return the tests over tasks; the block is the task, its value the mean final test error.

    The mean is over repetitions; a run without a result has the highest error of its task.
    """
    blocks = np.array([_filled(values[:, :, -1]).mean(axis=1) for values in across.errors["test"]])
    n, k = blocks.shape
    ranks = rank_losses(blocks).mean(axis=0)
    needed = smallest_n(k * (k - 1) // 2, alpha=ALPHA)
    limit = critical_difference(k, n, alpha=ALPHA)
    f = p = math.nan
    if n > 1:
        f, p = friedman(blocks).f, friedman_permutation(blocks, rng=stream.generator())
    test: PairTest = "wilcoxon" if n >= needed else "nemenyi" if n >= _nemenyi_tasks(k) else "none"
    bars: tuple[tuple[int, ...], ...] = ()
    if test != "none" and p < ALPHA:
        apart = np.abs(ranks[:, None] - ranks) >= limit
        bars = tuple(cliques(ranks, wilcoxon_holm(blocks) < ALPHA if test == "wilcoxon" else apart))
    return CriticalDifference(ranks, f, p, test, limit, bars, needed, n)


def _nemenyi_tasks(k: int) -> int:
    """Return the tasks from which on the best and the worst of ``k`` mean ranks can differ critically."""
    return max(2, math.ceil((critical_difference(k, 1, alpha=ALPHA) / (k - 1)) ** 2))


def _filled(errors: Array) -> Array:
    """Return ``errors`` with the highest of all in the place of a missing one."""
    return np.where(np.isnan(errors), np.nanmax(errors, initial=0.0), errors)

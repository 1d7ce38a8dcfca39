"""Ranks of many strategies: over time, their omnibus tests, and critical-difference cliques."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy import stats

from hpbench.analysis.statistics.intervals import N_RESAMPLES, Array
from hpbench.analysis.statistics.pairwise import holm, wilcoxon
from hpbench.analysis.statistics.ties import RELATIVE_NOISE, tie_levels
from hpbench.errors import UsageError

__all__ = [
    "Friedman",
    "cliques",
    "critical_difference",
    "friedman",
    "friedman_permutation",
    "mean_ranks",
    "rank_losses",
    "wilcoxon_holm",
]


def rank_losses(losses: Array) -> Array:
    """Return ranks along the last axis, 1 the lowest loss, ties averaged, NaN ranked last.

    Losses of a block that rounding alone tells apart are ties.

    Args:
        losses: shape ``(..., k)``; NaN is a strategy without a result and counts as worst, so no
            block is dropped because one strategy failed in it.
    """
    scale = np.abs(np.where(np.isfinite(losses), losses, 0.0)).max(axis=-1, keepdims=True, initial=0.0)
    levels = tie_levels(np.where(np.isnan(losses), math.inf, losses), RELATIVE_NOISE * scale)
    ranks: Array = stats.rankdata(levels, axis=-1)
    return ranks


def mean_ranks(losses: Array) -> Array:
    """Return the mean rank of each strategy at each time.

    Ranks are taken within each task and repetition, averaged over repetitions, then over tasks, so
    that a task with more repetitions does not weigh more.

    Args:
        losses: incumbent losses, shape ``(n_tasks, n_repetitions, k, ...)``; NaN ranks last.

    Returns:
        shape ``(k, ...)``.
    """
    within = rank_losses(np.moveaxis(losses, 2, -1))
    return np.moveaxis(within.mean(axis=1).mean(axis=0), -1, 0)


@dataclass(frozen=True)
class Friedman:
    """The omnibus test that all strategies rank alike.

    Attributes:
        ranks: mean rank of each strategy over the blocks, shape ``(k,)``.
        chi2: Friedman's statistic, corrected for ties.
        chi2_p: its p-value by chi-squared with ``k - 1`` degrees of freedom.
        f: Iman and Davenport's statistic.
        f_p: its p-value, for ten blocks or more; below, see :func:`friedman_permutation`.
        n: blocks.
    """

    ranks: Array
    chi2: float
    chi2_p: float
    f: float
    f_p: float
    n: int


def friedman(losses: Array) -> Friedman:
    """Return Friedman's test with Iman and Davenport's correction.

    ``chi2 = 12 N / (k (k + 1)) [sum R_j^2 - k (k + 1)^2 / 4]``, divided by the tie correction
    ``1 - sum (t^3 - t) / (N k (k^2 - 1))``; ``F = (N - 1) chi2 / (N (k - 1) - chi2)`` with
    ``k - 1`` and ``(k - 1)(N - 1)`` degrees of freedom.

    Args:
        losses: shape ``(n_blocks, k)``; a block is a task, or a repetition of one task, never both
            mixed. NaN ranks last.

    Raises:
        UsageError: fewer than two blocks or two strategies.

    References:
        Friedman (1937); Iman & Davenport (1980); Demšar (2006), JMLR 7.
    """
    n, k = losses.shape
    if n < 2 or k < 2:  # noqa: PLR2004 -- a test compares at least two of each
        message = f"Friedman's test needs at least 2 blocks and 2 strategies, got {n} and {k}."
        raise UsageError(message)
    within = rank_losses(losses)
    ranks = within.mean(axis=0)
    raw = 12 * n / (k * (k + 1)) * (float(np.sum(ranks**2)) - k * (k + 1) ** 2 / 4)
    tied = sum(float(np.sum(count**3 - count)) for count in map(_tie_counts, within))
    correction = 1 - tied / (n * k * (k**2 - 1))
    if correction <= 0:  # every block is one great tie
        return Friedman(ranks, 0.0, 1.0, 0.0, 1.0, n)
    chi2 = max(raw / correction, 0.0)
    room = n * (k - 1) - chi2
    f = (n - 1) * chi2 / room if room > 1e-9 * n * k else math.inf
    chi2_p = float(stats.chi2.sf(chi2, k - 1))
    f_p = float(stats.f.sf(f, k - 1, (k - 1) * (n - 1))) if math.isfinite(f) else 0.0
    return Friedman(ranks, chi2, chi2_p, f, f_p, n)


def friedman_permutation(losses: Array, *, rng: Generator, n_resamples: int = N_RESAMPLES) -> float:
    """Return the p-value of Friedman's statistic by permutations within the blocks.

    Right at any number of blocks, ties included. The F distribution is not: over 3 blocks of 3
    strategies that are all alike, Iman and Davenport's test at 0.05 rejects in 20 % of cases.

    ``p = (1 + #{S* >= S}) / (1 + n_resamples)`` with ``S = sum R_j^2``, of which chi2 and F are
    increasing functions for given ties.

    Args:
        losses: shape ``(n_blocks, k)``. NaN ranks last.
        rng: source of randomness.
        n_resamples: permutations drawn.

    References:
        Good (2005), Permutation, Parametric and Bootstrap Tests of Hypotheses.
    """
    within = rank_losses(losses)
    sums = np.zeros((n_resamples, losses.shape[1]))
    for block in within:
        sums += rng.permuted(np.tile(block, (n_resamples, 1)), axis=1)
    seen = float(np.sum(within.sum(axis=0) ** 2))
    return (1 + int(np.sum(np.sum(sums**2, axis=1) >= seen))) / (1 + n_resamples)


def _tie_counts(ranks: Array) -> Array:
    """Return how many strategies share each rank of one block."""
    return np.unique(ranks, return_counts=True)[1].astype(np.float64)


def critical_difference(k: int, n: int, *, alpha: float = 0.05) -> float:
    """Return Nemenyi's critical difference of mean ranks, ``q_alpha sqrt(k (k + 1) / (6 n))``.

    ``q_alpha`` is the studentised range's quantile with infinite degrees of freedom over sqrt 2.

    Args:
        k: strategies.
        n: blocks.
        alpha: level of the whole family of comparisons.

    References:
        Nemenyi (1963); Demšar (2006), JMLR 7, table 5.
    """
    q = float(stats.studentized_range.ppf(1 - alpha, k, math.inf)) / math.sqrt(2)
    return q * math.sqrt(k * (k + 1) / (6 * n))


def wilcoxon_holm(losses: Array) -> Array:
    """Return Holm-adjusted p-values of Wilcoxon's test between all pairs of strategies.

    Blocks in which one of the two has no result (NaN) are left out of that pair's test only; with
    no block left the p-value is NaN.

    Args:
        losses: shape ``(n_blocks, k)``.

    Returns:
        symmetric, shape ``(k, k)``, 1 on the diagonal.
    """
    k = losses.shape[1]
    pairs = list(itertools.combinations(range(k), 2))
    raw = np.array([_pair_p(losses[:, i], losses[:, j]) for i, j in pairs])
    matrix = np.eye(k)
    for (i, j), p in zip(pairs, holm(raw), strict=True):
        matrix[i, j] = matrix[j, i] = p
    return matrix


def _pair_p(a: Array, b: Array) -> float:
    """Return Wilcoxon's p over the blocks that both have; NaN without any."""
    both = np.isfinite(a) & np.isfinite(b)
    return wilcoxon(a[both], b[both]) if np.any(both) else math.nan


def cliques(ranks: Array, different: np.ndarray) -> list[tuple[int, ...]]:
    """Return the bars of a critical-difference diagram.

    A bar joins neighbours in rank order among whom *no* pair differs; a bar inside another is left
    out, and so are single strategies. With tests other than Nemenyi's the strategies that are alike
    need not be neighbours, and a bar drawn over a different pair would be a lie.

    Args:
        ranks: mean ranks, shape ``(k,)``.
        different: symmetric boolean matrix, shape ``(k, k)``.

    Returns:
        indices of each bar, in rank order.
    """
    order = np.argsort(ranks, kind="stable")
    bars: list[tuple[int, ...]] = []
    covered = -1
    for start in range(len(order)):
        stop = start + 1
        while stop < len(order) and not np.any(different[order[stop], order[start:stop]]):
            stop += 1
        if stop - start > 1 and stop - 1 > covered:
            bars.append(tuple(int(index) for index in order[start:stop]))
            covered = stop - 1
    return bars

"""Comparing two strategies: tests, effect sizes, and what pairing the repetitions bought."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import stats

from hpbench.analysis.statistics.intervals import Array
from hpbench.analysis.statistics.ties import noise_of, tie_levels
from hpbench.errors import UsageError

__all__ = [
    "Alternative",
    "Pairing",
    "holm",
    "paired_difference",
    "pairing_gain",
    "probability_of_improvement",
    "probability_of_improvement_unpaired",
    "rank_biserial",
    "rank_sum",
    "sign_flip_test",
    "wilcoxon",
    "win_tie_loss",
]

Alternative = Literal["two-sided", "greater"]
"""What a test asks: whether two sides differ, or whether the first is the greater one."""

_EXACT_WILCOXON = 100
_EXACT_FLIPS = 20


def wilcoxon(a: Array, b: Array, *, alternative: Alternative = "two-sided") -> float:
    """Return the p-value of Wilcoxon's signed-rank test on ``a - b``.

    Ties share their mean rank and zeros are ranked, then left out (Pratt); differences that rounding
    alone tells apart are ties, and such a difference from zero is zero. Up to 100 pairs the p-value
    is exact given the ranks: the 2^n sign patterns are counted by dynamic programming. Beyond that
    the normal approximation with tie correction is used.

    Args:
        a: one loss per pair, shape ``(n,)``; infinite for a failed run. A pair in which one run failed
            has the largest difference there is, a pair in which both did none.
        b: the same of the other strategy, in the same order.
        alternative: ``"greater"`` asks whether ``a`` is the greater one.

    Returns:
        p in (0, 1]; 1 if no pair differs.

    Raises:
        UsageError: the shapes differ or a value is NaN.

    References:
        Wilcoxon (1945); Pratt (1959), Remarks on zeros and ties in the Wilcoxon signed rank procedures.
    """
    levels = _signed_levels(a, b)
    if not np.any(levels):
        return 1.0
    if len(levels) > _EXACT_WILCOXON:
        found = stats.wilcoxon(levels, zero_method="pratt", method="asymptotic", alternative=alternative)
        return float(found.pvalue)
    doubled = np.rint(2 * stats.rankdata(np.abs(levels))).astype(np.int64)[levels != 0]
    counts = np.zeros(int(doubled.sum()) + 1)
    counts[0] = 1.0
    for rank in doubled:
        counts[rank:] = (counts[rank:] + counts[: len(counts) - rank]) / 2
        counts[:rank] /= 2
    positive = int(doubled[levels[levels != 0] > 0].sum())
    if alternative == "greater":
        return min(1.0, float(counts[positive:].sum()))
    tail = min(positive, len(counts) - 1 - positive)
    return min(1.0, 2 * float(counts[: tail + 1].sum()))


def rank_biserial(a: Array, b: Array) -> float:
    """Return the matched-pairs rank-biserial correlation of ``a - b``, the effect that Wilcoxon's test is of.

    ``(W+ - W-) / (W+ + W-)`` of the ranks that :func:`wilcoxon` takes: 1 if ``a`` is greater in every
    pair, 0 if no pair differs. Its sign is the direction of the test; that of the mean may be the other.

    Args:
        a: one loss per pair, shape ``(n,)``; infinite for a failed run.
        b: the same of the other strategy, in the same order.

    References:
        Kerby (2014), The simple difference formula.
    """
    levels = _signed_levels(a, b)
    ranks = np.sign(levels) * stats.rankdata(np.abs(levels))
    return float(ranks.sum() / np.abs(ranks).sum()) if np.any(levels) else 0.0


def rank_sum(a: Array, b: Array, *, alternative: Alternative = "two-sided") -> float:
    """Return the p-value of Wilcoxon's rank-sum test (Mann and Whitney's U) of two unpaired samples.

    Ties share their mean rank; values that rounding alone tells apart are ties. Up to 100 values in
    all the p-value is exact given the ranks: the choices of ``n_a`` ranks are counted by dynamic
    programming. Beyond that the normal approximation with tie correction is used.

    Args:
        a: one loss per repetition, shape ``(n_a,)``; infinite for a failed run.
        b: the same of the other side, shape ``(n_b,)``.
        alternative: ``"greater"`` asks whether ``a`` is the greater one.

    Returns:
        p in (0, 1]; two-sided it is twice the smaller tail.

    Raises:
        UsageError: a sample is empty or a value is NaN.

    References:
        Wilcoxon (1945); Mann & Whitney (1947), On a test of whether one of two random variables is
        stochastically larger than the other.
    """
    if not (len(a) and len(b)) or np.isnan(a).any() or np.isnan(b).any():
        message = f"a rank-sum test needs numbers on both sides, got {len(a)} and {len(b)}."
        raise UsageError(message)
    levels = tie_levels(np.concatenate([a, b]), noise_of(a, b))
    if len(levels) > _EXACT_WILCOXON:
        found = stats.mannwhitneyu(
            levels[: len(a)], levels[len(a) :], method="asymptotic", alternative=alternative
        )
        return min(1.0, float(found.pvalue))
    doubled = np.rint(2 * stats.rankdata(levels)).astype(np.int64)
    ways = np.zeros((len(a) + 1, int(doubled.sum()) + 1))
    ways[0, 0] = 1.0
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    counts = ways[-1] / ways[-1].sum()
    seen = int(doubled[: len(a)].sum())
    above = float(counts[seen:].sum())
    if alternative == "greater":
        return min(1.0, above)
    return min(1.0, 2 * min(above, float(counts[: seen + 1].sum())))


def sign_flip_test(a: Array, b: Array, *, rng: Generator, n_resamples: int = 100_000) -> float:
    """Return the two-sided p-value of the paired mean difference under random flips of its signs.

    Exact over all ``2^n`` flips up to 20 pairs; beyond, ``n_resamples`` random flips with the
    observed one counted, ``p = (1 + hits) / (1 + n_resamples)``, which can never be 0.

    Args:
        a: one number per pair, shape ``(n,)``, finite.
        b: the same of the other strategy, in the same order.
        rng: source of randomness beyond 20 pairs.
        n_resamples: random flips beyond 20 pairs.

    References:
        Fisher (1935), The Design of Experiments, ch. 3; Phipson & Smyth (2010) for the +1.
    """
    difference = _finite_difference(a, b)
    observed = abs(float(difference.sum()))
    slack = 1e-12 * max(float(np.abs(difference).sum()), 1e-300)
    if len(difference) <= _EXACT_FLIPS:
        sums = np.zeros(1)
        for value in difference:
            sums = np.concatenate([sums + value, sums - value])
        return float(np.mean(np.abs(sums) >= observed - slack))
    hits = 0
    left = n_resamples
    while left > 0:
        block = min(left, 10_000)
        signs = rng.choice(np.array([-1.0, 1.0]), size=(block, len(difference)))
        hits += int(np.sum(np.abs(signs @ difference) >= observed - slack))
        left -= block
    return (1 + hits) / (1 + n_resamples)


def holm(p_values: Array) -> Array:
    """Return Holm's step-down adjusted p-values, in the order given.

    ``p~_(i) = max_{j <= i} min(1, (m - j + 1) p_(j))``. A NaN (a comparison that could not be made)
    stays NaN and is not counted in ``m``.

    Args:
        p_values: shape ``(m,)``.

    References:
        Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    adjusted = np.full(p_values.shape, math.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return adjusted


def probability_of_improvement(a: Array, b: Array) -> float:
    """Return the share of pairs in which the loss ``a`` is lower than ``b``, ties counted half.

    Args:
        a: losses of one strategy, shape ``(n,)``; infinite for a failed run.
        b: losses of the other in the same repetitions.
    """
    difference = paired_difference(a, b)
    return float(np.mean(difference < 0) + 0.5 * np.mean(difference == 0))


def probability_of_improvement_unpaired(a: Array, b: Array) -> float:
    """Return P(A < B) + P(A = B) / 2 over all pairs of repetitions, matched or not.

    Args:
        a: losses of one strategy, shape ``(n_a,)``; infinite for a failed run.
        b: losses of the other, shape ``(n_b,)``.

    References:
        Mann & Whitney (1947); Agarwal et al. (2021), Deep RL at the edge of the statistical precipice.
    """
    levels = tie_levels(np.concatenate([a, b]), noise_of(a, b))
    difference = levels[: len(a), None] - levels[None, len(a) :]
    return float(np.mean(difference < 0) + 0.5 * np.mean(difference == 0))


def win_tie_loss(a: Array, b: Array) -> tuple[int, int, int]:
    """Return in how many pairs the loss ``a`` is lower than, equal to and higher than ``b``."""
    difference = paired_difference(a, b)
    return int(np.sum(difference < 0)), int(np.sum(difference == 0)), int(np.sum(difference > 0))


@dataclass(frozen=True)
class Pairing:
    """What identical seeds bought: the correlation of repetitions and the variance that it saved.

    Attributes:
        correlation: Pearson's rho of the two strategies' repetitions; NaN if one does not vary.
        factor: ``(var A + var B) / var(A - B)``; 2 means that pairing saved half the repetitions,
            below 1 that it cost some. Infinite if the difference never varies, NaN if nothing does.
    """

    correlation: float
    factor: float


def pairing_gain(a: Array, b: Array) -> Pairing:
    """Return the measured correlation between paired repetitions and the variance-reduction factor.

    ``var(A - B) = var A + var B - 2 rho sd A sd B``.

    Args:
        a: losses of one strategy, shape ``(n,)``, ``n >= 2``.
        b: losses of the other in the same repetitions.
    """
    smallest = noise_of(a, b) ** 2
    var_a, var_b, together = (float(np.var(x, ddof=1)) for x in (a, b, _finite_difference(a, b)))
    covariance = float(np.sum((a - a.mean()) * (b - b.mean()))) / (len(a) - 1)
    vary = min(var_a, var_b) > smallest
    spread = float(np.std(a, ddof=1) * np.std(b, ddof=1))
    correlation = min(1.0, max(-1.0, covariance / spread)) if vary else math.nan
    if together > smallest:
        return Pairing(correlation, (var_a + var_b) / together)
    return Pairing(correlation, math.inf if max(var_a, var_b) > smallest else math.nan)


def paired_difference(a: Array, b: Array) -> Array:
    """Return ``a - b``, 0 where the two differ by rounding alone or are both infinite.

    Args:
        a: one loss per pair, shape ``(n,)``; infinite for a failed run, which is worse than every result.
        b: the same of the other strategy, in the same order.

    Raises:
        UsageError: the shapes differ, there is no pair, or a value is NaN.
    """
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        message = f"a paired comparison needs two rows of one length, got shapes {a.shape} and {b.shape}."
        raise UsageError(message)
    if np.isnan(a).any() or np.isnan(b).any():
        message = "a paired comparison needs numbers; leave out the pairs in which a run has not ended."
        raise UsageError(message)
    difference = np.subtract(a, b, out=np.zeros(len(a)), where=a != b)
    return np.where(np.abs(difference) <= noise_of(a, b), 0.0, difference)


def _finite_difference(a: Array, b: Array) -> Array:
    """Return ``a - b`` of values that have a mean."""
    difference = paired_difference(a, b)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        message = (
            "a paired comparison of means needs finite values; leave out the pairs in which a run failed."
        )
        raise UsageError(message)
    return difference


def _signed_levels(a: Array, b: Array) -> NDArray[np.int64]:
    """Return whole numbers that have the order, the ties and the signs of ``a - b``."""
    difference = paired_difference(a, b)
    levels = 1 + tie_levels(np.abs(difference), noise_of(a, b))
    return np.where(difference < 0, -levels, np.where(difference > 0, levels, 0))

"""Aggregates over tasks and repetitions of normalised scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy import stats

from hpbench.analysis.statistics.intervals import (
    MIN_BOOTSTRAP,
    MIN_INTERVAL,
    N_RESAMPLES,
    Array,
    Method,
    bootstrap_indices,
)
from hpbench.analysis.statistics.ties import noise_of

__all__ = ["StratifiedMean", "iqm", "optimality_gap", "performance_profile", "stratified_mean"]


def iqm(scores: Array) -> float:
    """Return the interquartile mean: the mean of the middle half of all runs of all tasks.

    The 25 % trimmed mean; less at the mercy of outliers than the mean, less wasteful than the median.

    Args:
        scores: any shape; flattened.

    References:
        Agarwal et al. (2021), Deep RL at the edge of the statistical precipice.
    """
    return float(stats.trim_mean(scores, 0.25, axis=None))


def optimality_gap(scores: Array, *, gamma: float = 1.0) -> float:
    """Return ``gamma - mean(min(scores, gamma))``: how far runs fall short of ``gamma`` on average.

    Args:
        scores: normalised, higher is better, any shape.
        gamma: the score that counts as good enough.
    """
    return gamma - float(np.mean(np.minimum(scores, gamma)))


def performance_profile(scores: Array, thresholds: Array) -> Array:
    """Return the share of runs whose score lies above each threshold, by more than rounding.

    Args:
        scores: normalised, higher is better, any shape; a NaN run is above no threshold.
        thresholds: shape ``(n_thresholds,)``.

    References:
        Dolan & Moré (2002); Agarwal et al. (2021), score distributions.
    """
    ordered = np.sort(np.where(np.isnan(scores), -math.inf, scores), axis=None)
    return 1.0 - np.searchsorted(ordered, thresholds + noise_of(scores), side="right") / ordered.size


@dataclass(frozen=True)
class StratifiedMean:
    """A mean over strata (tasks) with its 95 % interval.

    Attributes:
        centre: shape ``(k, n_points)``.
        low: lower end of the interval, NaN without one; the same shape.
        high: its upper end.
        method: ``"none"``, ``"t"`` or ``"bootstrap"``, by the stratum with the fewest repetitions.
    """

    centre: Array
    low: Array
    high: Array
    method: Method


def stratified_mean(
    strata: Sequence[Array], *, rng: Generator, n_resamples: int = N_RESAMPLES, level: float = 0.95
) -> StratifiedMean:
    """Return the mean over repetitions, then strata, with the interval that the repetitions allow.

    The limits are those of :func:`~hpbench.analysis.statistics.intervals.mean_interval`: none below
    5 repetitions; Student's t from 5 to 9, its standard error ``sqrt(sum s_p^2 / n_p) / m`` with
    Welch's degrees of freedom; from 10 on the percentile bootstrap that resamples repetitions within
    each stratum, the same ones for every strategy. It is for *these* strata and says nothing of new ones.

    Args:
        strata: at least one, each of shape ``(k, n_repetitions, n_points)``, finite.
        rng: source of randomness.
        n_resamples: bootstrap samples.
        level: the nominal coverage.

    References:
        Welch (1947), The generalization of Student's problem; Efron & Tibshirani (1993), ch. 8.
    """
    centre = np.mean([values.mean(axis=1) for values in strata], axis=0)
    n = min(values.shape[1] for values in strata)
    if n < MIN_INTERVAL:
        unknown = np.full_like(centre, math.nan)
        return StratifiedMean(centre, unknown, unknown, "none")
    if n < MIN_BOOTSTRAP:
        half = _welch_half(strata, level)
        return StratifiedMean(centre, centre - half, centre + half, "t")
    means = np.zeros((n_resamples, *centre.shape))
    for values in strata:
        size = values.shape[1]
        picks = bootstrap_indices(size, n_resamples=n_resamples, rng=rng)
        weights = np.stack([np.sum(picks == place, axis=1) for place in range(size)], axis=1) / size
        means += np.einsum("bn,knp->bkp", weights, values) / len(strata)
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return StratifiedMean(centre, low, high, "bootstrap")


def _welch_half(strata: Sequence[Array], level: float) -> Array:
    """Return half the length of Student's interval for a mean of means; 0 where nothing varies."""
    sizes = np.array([values.shape[1] for values in strata])[:, None, None]
    parts = np.array([values.var(axis=1, ddof=1) for values in strata]) / sizes / len(strata) ** 2
    variance = parts.sum(axis=0)
    freedom = np.ones_like(variance)
    np.divide(variance**2, np.sum(parts**2 / (sizes - 1), axis=0), out=freedom, where=variance > 0)
    return np.asarray(stats.t.ppf(0.5 + level / 2, freedom) * np.sqrt(variance), dtype=np.float64)

"""Aggregates over tasks and repetitions of normalised scores."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from scipy import stats

from hpbench.analysis.statistics.intervals import N_RESAMPLES, Array, Interval
from hpbench.analysis.statistics.ties import noise_of

__all__ = ["iqm", "optimality_gap", "performance_profile", "stratified_bootstrap"]


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


def stratified_bootstrap(
    scores: Array, *, rng: Generator, n_resamples: int = N_RESAMPLES, level: float = 0.95
) -> Interval:
    """Return the interval of the mean over tasks, repetitions resampled within each task.

    This is the uncertainty for *these* tasks; nothing is said about new ones.

    Args:
        scores: shape ``(n_repetitions, n_tasks)``, finite.
        rng: source of randomness.
        n_resamples: bootstrap samples.
        level: the nominal coverage.
    """
    n, m = scores.shape
    means = np.zeros(n_resamples)
    for task in range(m):
        picks = rng.integers(0, n, size=(n_resamples, n))
        means += scores[picks, task].mean(axis=1) / m
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(scores.mean()), float(low), float(high), n, "bootstrap")

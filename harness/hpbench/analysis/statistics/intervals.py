"""Intervals for means over repetitions, and quantiles in which a missing result counts as worst."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import stats

from hpbench.errors import UsageError

__all__ = [
    "MIN_BOOTSTRAP",
    "MIN_INTERVAL",
    "N_RESAMPLES",
    "Array",
    "Interval",
    "Method",
    "bootstrap_indices",
    "mean_interval",
    "paired_bootstrap",
    "quantile_worst",
    "t_interval",
    "welch_interval",
]

Array = NDArray[np.float64]
Method = Literal["none", "t", "bootstrap"]

N_RESAMPLES = 10_000
MIN_INTERVAL = 5  # fewer repetitions: no interval, the repetitions themselves are shown
MIN_BOOTSTRAP = 10  # fewer: the bootstrap covers too little, Student's t is used


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval.

    Attributes:
        centre: the estimate; NaN if there is nothing to estimate it from.
        low: the interval's lower end; NaN if there is no interval.
        high: the upper end; NaN if there is no interval.
        n: repetitions behind it.
        method: ``"none"`` (too few), ``"t"`` or ``"bootstrap"``.
    """

    centre: float
    low: float
    high: float
    n: int
    method: Method

    @property
    def exists(self) -> bool:
        """Whether there were repetitions enough for an interval."""
        return self.method != "none"

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval exists and lies wholly on one side of zero."""
        return self.exists and (self.low > 0.0 or self.high < 0.0)


def t_interval(values: Array, *, level: float = 0.95) -> Interval:
    """Return the mean of ``values`` and its interval by Student's t: ``mean ± t s / sqrt(n)``.

    Args:
        values: one number per repetition, shape ``(n,)``, finite.
        level: the nominal coverage.

    Raises:
        UsageError: fewer than two values, or a value is not finite.

    References:
        Student (1908), The probable error of a mean.
    """
    _check_finite(values, at_least=2)
    n = len(values)
    centre = float(np.mean(values))
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(centre, centre - half, centre + half, n, "t")


def bootstrap_indices(n: int, *, n_resamples: int, rng: Generator) -> NDArray[np.int64]:
    """Return resampled repetition indices, shape ``(n_resamples, n)``.

    One index matrix serves every strategy, so that what was paired stays paired.
    """
    return rng.integers(0, n, size=(n_resamples, n))


def paired_bootstrap(
    a: Array, b: Array, *, rng: Generator, n_resamples: int = N_RESAMPLES, level: float = 0.95
) -> Interval:
    """Return the percentile bootstrap interval for the mean of ``a - b``, repetitions kept in pairs.

    Rows are paired because repetition *r* of both strategies saw the same data and seeds.

    Args:
        a: final error of the first strategy, shape ``(n,)``.
        b: the same of the second, in the same order; zeros give the interval of ``a`` itself.
        rng: source of randomness; never the global one.
        n_resamples: bootstrap samples.
        level: the nominal coverage.

    Raises:
        UsageError: the shapes differ, there are fewer than two values, or one is not finite.

    References:
        Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13.
    """
    if a.shape != b.shape:
        message = f"paired values must have one shape, got {a.shape} and {b.shape}."
        raise UsageError(message)
    difference = a - b
    _check_finite(difference, at_least=2)
    picks = bootstrap_indices(len(difference), n_resamples=n_resamples, rng=rng)
    means = np.mean(difference[picks], axis=1)
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(np.mean(difference)), float(low), float(high), len(difference), "bootstrap")


def mean_interval(values: Array, *, rng: Generator, n_resamples: int = N_RESAMPLES) -> Interval:
    """Return the mean of the finite ``values`` with the interval that their number allows.

    Fewer than 5 repetitions give no interval, 5 to 9 Student's t, 10 or more the bootstrap: below
    10 the bootstrap covers 73 to 88 % where 95 % is promised.

    Args:
        values: one number per repetition, shape ``(n,)``; NaN marks a repetition without a result.
        rng: source of randomness of the bootstrap.
        n_resamples: bootstrap samples.
    """
    finite = values[np.isfinite(values)]
    n = len(finite)
    if n < MIN_INTERVAL:
        centre = float(np.mean(finite)) if n else math.nan
        return Interval(centre, math.nan, math.nan, n, "none")
    if n < MIN_BOOTSTRAP:
        return t_interval(finite)
    return paired_bootstrap(finite, np.zeros(n), rng=rng, n_resamples=n_resamples)


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


def quantile_worst(values: Array, q: float) -> Array:
    """Return the ``q`` quantile over the first axis, a NaN counting as worse than every number.

    Values are losses. A run that has no result yet, or crashed, is not dropped: it takes the upper
    end. The quantile interpolates linearly, and is infinite where it reaches such a run.

    Args:
        values: losses, shape ``(n, ...)``.
        q: in [0, 1].

    Returns:
        Quantiles of shape ``values.shape[1:]``; NaN everywhere if ``n`` is 0.
    """
    n = values.shape[0]
    if n == 0:
        return np.full(values.shape[1:], math.nan)
    ordered = np.sort(np.where(np.isnan(values), math.inf, values), axis=0)
    place = q * (n - 1)
    below = math.floor(place)
    weight = place - below
    if weight == 0.0:
        return np.asarray(ordered[below], dtype=np.float64)
    low, high = ordered[below], ordered[below + 1]
    inside = np.isfinite(high)
    step = np.subtract(high, low, out=np.zeros_like(low), where=inside)
    return np.where(inside, low + weight * step, math.inf)


def _check_finite(values: Array, *, at_least: int) -> None:
    """Raise unless ``values`` is one row of at least ``at_least`` finite numbers."""
    if values.ndim != 1 or len(values) < at_least or not np.all(np.isfinite(values)):
        message = (
            f"an interval needs one row of at least {at_least} finite values, got shape {values.shape} "
            f"with {int(np.sum(~np.isfinite(values)))} that are not finite; leave failed repetitions out."
        )
        raise UsageError(message)

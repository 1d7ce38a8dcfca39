"""How many repetitions a comparison needs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hpbench.analysis.statistics.intervals import Array
from hpbench.analysis.statistics.pairwise import holm
from hpbench.errors import UsageError

__all__ = [
    "attainable",
    "repetitions_for_difference",
    "repetitions_for_probability",
    "smallest_n",
    "smallest_p",
]


def smallest_p(n: int) -> float:
    """Return the smallest two-sided p-value of ``n`` pairs, ``2^(1 - n)``; NaN without a pair."""
    return 2.0 ** (1 - n) if n else math.nan


def attainable(smallest: Array, *, alpha: float = 0.05) -> NDArray[np.bool_]:
    """Return which comparisons can reach ``p < alpha`` after Holm at all.

    Holm's step-down takes a comparison after those with smaller p-values, so the best case is that all
    have their smallest.

    Args:
        smallest: the smallest p-value of each comparison, shape ``(m,)``; NaN for one that cannot be made.
        alpha: the level.
    """
    return np.asarray(holm(smallest) < alpha, dtype=np.bool_)


def smallest_n(n_comparisons: int, *, alpha: float = 0.05) -> int:
    """Return the fewest pairs with which an exact paired test can reach ``p < alpha`` after Holm.

    The smallest two-sided p of ``n`` pairs is ``2^(1 - n)``; Holm multiplies the smallest of
    ``n_comparisons`` by their number.
    """
    n = 1
    while n_comparisons * 2.0 ** (1 - n) >= alpha:
        n += 1
    return n


def repetitions_for_probability(probability: float, *, alpha: float = 0.05, beta: float = 0.05) -> int:
    """Return the repetitions that show P(A better) = ``probability``, unpaired, one-sided.

    ``n = (z_{1-alpha} + z_{1-beta})^2 / (6 (1/2 - p)^2)``.

    Raises:
        UsageError: ``probability`` is not in (0.5, 1].

    References:
        Noether (1987), Sample size determination for some common nonparametric tests; used by
        Bouthillier et al. (2021), Accounting for variance in machine learning benchmarks.
    """
    if not 0.5 < probability <= 1.0:  # noqa: PLR2004 -- a half means no difference
        message = f"`probability` must lie in (0.5, 1], got {probability}."
        raise UsageError(message)
    z = float(stats.norm.ppf(1 - alpha) + stats.norm.ppf(1 - beta))
    return math.ceil(z**2 / (6 * (0.5 - probability) ** 2))


def repetitions_for_difference(
    difference: float, deviation: float, *, alpha: float = 0.05, power: float = 0.8
) -> int:
    """Return the pairs with which a paired t-test finds a mean difference of this size.

    The smallest ``n`` with ``P(|T| > t_{1-alpha/2, n-1}) >= power`` where ``T`` is noncentral t with
    ``n - 1`` degrees of freedom and noncentrality ``difference sqrt(n) / deviation``.

    Args:
        difference: the true mean difference, not 0.
        deviation: standard deviation of the paired differences.
        alpha: two-sided level.
        power: the wanted chance of finding it.

    Raises:
        UsageError: ``difference`` is 0, or ``deviation`` negative.

    References:
        Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, ch. 2.
    """
    if difference == 0.0 or deviation < 0.0:
        message = f"`difference != 0` and `deviation >= 0` must hold, got {difference} and {deviation}."
        raise UsageError(message)
    if deviation == 0.0:
        return 2
    effect = abs(difference) / deviation
    high = 2
    while _paired_power(high, effect, alpha) < power:
        high *= 2
    low = max(2, high // 2)
    while low < high:
        middle = (low + high) // 2
        if _paired_power(middle, effect, alpha) >= power:
            high = middle
        else:
            low = middle + 1
    return high


def _paired_power(n: int, effect: float, alpha: float) -> float:
    """Return the power of the two-sided paired t-test with ``n`` pairs."""
    critical = float(stats.t.ppf(1 - alpha / 2, n - 1))
    shift = effect * math.sqrt(n)
    tail = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    return 1.0 if math.isnan(tail) else float(tail)

"""Which floats are one number: errors are quotients of counts, and their differences carry rounding.

(24 - 17) / 360 and (12 - 5) / 360 are equal, yet 24/360 - 17/360 and 12/360 - 5/360 differ in the last bit. Ranks
taken of such floats break ties by noise, so everything that ranks or compares asks here first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpbench.analysis.statistics.intervals import Array

__all__ = ["RELATIVE_NOISE", "noise_of", "same_best", "tie_levels"]

RELATIVE_NOISE = 1e-10
"""Difference, over the largest value compared, up to which two floats are one number.

Rounding is below 1e-13 of it; counts of up to 10^9 examples differ by more.
"""


def noise_of(*samples: Array) -> float:
    """Return the difference up to which values of ``samples`` are equal; infinite and NaN values are not counted."""
    finite = (np.abs(sample[np.isfinite(sample)]) for sample in samples)
    return RELATIVE_NOISE * max((float(values.max(initial=0.0)) for values in finite), default=0.0)


def tie_levels(values: Array, noise: float | Array) -> NDArray[np.int64]:
    """Return whole numbers in the order of ``values`` along the last axis, equal where they differ by noise alone.

    Args:
        values: shape ``(..., n)``; infinite values of one sign are equal, NaN is not allowed.
        noise: two neighbours in order are equal if they differ by no more; broadcasts to ``(..., 1)``.

    Returns:
        the same shape, 0 the smallest.
    """
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    lower, upper = ordered[..., :-1], ordered[..., 1:]
    gap = np.subtract(upper, lower, out=np.zeros_like(upper), where=upper > lower)
    levels = np.zeros(values.shape, dtype=np.int64)
    levels[..., 1:] = np.cumsum(gap > noise, axis=-1)
    found = np.empty_like(levels)
    np.put_along_axis(found, order, levels, axis=-1)
    return found


def same_best(values: Array) -> NDArray[np.bool_]:
    """Return which of ``values`` are the smallest, up to noise; none if that is infinite.

    Args:
        values: shape ``(n,)``; infinite for what has no value.
    """
    finite = np.isfinite(values)
    if not finite.any():
        return finite
    return np.asarray(finite & (values <= values[finite].min() + noise_of(values)), dtype=np.bool_)

"""How exactly raw inputs are kept: in float32, unless that would lose what a column says."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Inputs", "precise"]

Inputs = NDArray[np.float32] | NDArray[np.float64]
"""Raw examples, shape ``(n, ...)``."""

_BLUR = 1e-5
"""By which part of its range rounding to float32 may move a value of a column."""


def precise(raw: NDArray[Any]) -> Inputs:
    """Return a copy of inputs as float32, or as float64 where they are vectors and float32 would blur a column.

    What is infinite in float32 is infinite in the copy too, and refused later.
    """
    with np.errstate(over="ignore"):
        single = np.array(raw, dtype=np.float32, order="C")
    if raw.ndim != 2 or np.can_cast(raw.dtype, np.float32) or np.isinf(single).any():  # noqa: PLR2004 - vectors
        return single
    double = np.array(raw, dtype=np.float64, order="C")
    blurred = any(_blurs(exact, rounded) for exact, rounded in zip(double.T, single.T, strict=True))
    return double if blurred else single


def _blurs(exact: NDArray[np.float64], rounded: NDArray[np.float32]) -> bool:
    """Return whether rounding moves a value of a column, shape ``(n,)``, further than its range allows."""
    known = ~np.isnan(exact)
    if not known.any():
        return False
    values = exact[known]
    return bool(np.abs(values - rounded[known]).max() > _BLUR * np.ptp(values) > 0.0)

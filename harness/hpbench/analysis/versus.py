"""One strategy against another: the difference, the test and what it says.

A failed run is worse than every result and as bad as another failed run (an infinite loss); it counts in tests,
probabilities and wins, and only means leave it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpbench.analysis.statistics import (
    Array,
    Interval,
    attainable,
    holm,
    smallest_p,
    wilcoxon,
)

__all__ = ["ALPHA", "Versus", "against", "both_ended", "paired_tests", "verdict_of"]

ALPHA = 0.05


def verdict_of(p: float, effect: float, *, enough: bool) -> str:
    """Return ``"better"``, ``"worse"``, ``"not shown"`` or ``"too few"``.

    Args:
        p: of a two-sided test.
        effect: what the test is of, above 0 where the strategy is better. The mean may have the other sign.
        enough: whether the test could have reached p < 0.05.
    """
    if not enough:
        return "too few"
    if p < ALPHA:
        return "better" if effect > 0 else "worse"
    return "not shown"


@dataclass(frozen=True)
class Versus:
    """A strategy against the baseline on one task, in the repetitions that have ended in both.

    Attributes:
        difference: mean of the baseline's test error less the strategy's where neither failed: positive
            where the strategy is better.
        p: Wilcoxon's signed-rank test, adjusted by Holm over the strategies of the task.
        effect: rank-biserial correlation, the direction of the test: positive where the strategy is better.
        improvement: share of repetitions in which the strategy is better, ties half.
        wins: repetitions won, tied and lost.
        enough: whether so many pairs can reach p < 0.05 at all.
    """

    difference: Interval
    p: float
    effect: float
    improvement: float
    wins: tuple[int, int, int]
    enough: bool

    @property
    def n(self) -> int:
        """Pairs behind the test."""
        return sum(self.wins)

    @property
    def verdict(self) -> str:
        """``"better"``, ``"worse"``, ``"not shown"`` or ``"too few"``."""
        return verdict_of(self.p, self.effect, enough=self.enough)


def both_ended(a: Array, b: Array) -> tuple[Array, Array]:
    """Return the pairs of losses without NaN."""
    ended = ~(np.isnan(a) | np.isnan(b))
    return a[ended], b[ended]


def paired_tests(pairs: Sequence[tuple[Array, Array]]) -> tuple[Array, NDArray[np.bool_]]:
    """Return the Holm-adjusted p of Wilcoxon's test of each pair of rows, and whether it could be below 0.05.

    Args:
        pairs: losses of two strategies, each of shape ``(n,)``: infinite for a failed run, NaN for one that has
            not ended.

    Returns:
        p, NaN without a repetition that has ended in both; and False there.
    """
    ended = [both_ended(*pair) for pair in pairs]
    raw = np.array([wilcoxon(*pair) if len(pair[0]) else np.nan for pair in ended])
    return holm(raw), attainable(np.array([smallest_p(len(pair[0])) for pair in ended]), alpha=ALPHA)


def against(losses: Array, reference: int | None) -> tuple[Array, NDArray[np.bool_]]:
    """Return :func:`paired_tests` of every strategy against the one at ``reference``; NaN for that one itself.

    Args:
        losses: shape ``(k, n)``: infinite for a failed run, NaN for one that has not ended.
        reference: None: nothing is tested.
    """
    unknown = np.full(losses.shape[1], np.nan)
    rows = [unknown if reference in (None, place) else row for place, row in enumerate(losses)]
    return paired_tests([(row, unknown if reference is None else losses[reference]) for row in rows])

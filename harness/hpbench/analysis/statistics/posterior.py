"""The Bayesian answer to "better, practically equal, or worse?"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from hpbench.analysis.statistics.intervals import Array
from hpbench.analysis.statistics.pairwise import paired_difference
from hpbench.analysis.statistics.ties import noise_of

__all__ = ["Posterior", "bayesian_signed_rank"]


@dataclass(frozen=True)
class Posterior:
    """Probabilities that the first strategy is better, practically equal, and worse; they sum to 1."""

    better: float
    equal: float
    worse: float


def bayesian_signed_rank(
    a: Array, b: Array, *, rope: float, rng: Generator, prior: float = 0.5, n_samples: int = 20_000
) -> Posterior:
    """Return the Bayesian signed-rank test's answer to "better, practically equal, or worse?".

    Weights ``w ~ Dirichlet(prior, 1, ..., 1)`` are drawn over a pseudo-difference of 0 and the
    observed ``z = b - a``; the three regions get ``sum_ij w_i w_j [z_i + z_j in region]``, and each
    draw votes for its largest region (a draw between equals votes in parts).

    Args:
        a: losses of the first strategy, shape ``(n,)``; infinite for a failed run, whose difference from a
            result is larger than all others.
        b: losses of the second, in the same order.
        rope: half width of the region of practical equivalence, in the unit of the losses; its border
            belongs to it, rounding aside. Choose it before looking at the data.
        rng: source of the Dirichlet weights.
        prior: strength of the pseudo-observation at 0.
        n_samples: draws.

    References:
        Benavoli et al. (2017), Time for a change: a tutorial for comparing multiple classifiers
        through Bayesian analysis, JMLR 18(77).
    """
    z = np.concatenate([[0.0], paired_difference(b, a)])
    border = 2 * rope + 2 * noise_of(a, b)
    largest = border + 2 * float(np.abs(z[np.isfinite(z)]).max())
    z = np.clip(z, -largest - 1.0, largest + 1.0)
    sums = z[:, None] + z[None, :]
    regions = [sums > border, np.abs(sums) <= border, sums < -border]
    weights = rng.dirichlet([prior, *np.ones(len(z) - 1)], size=n_samples)
    masses = np.stack([np.sum((weights @ region.astype(float)) * weights, axis=1) for region in regions], 1)
    winners = masses >= masses.max(axis=1, keepdims=True) - 1e-12
    better, equal, worse = np.mean(winners / winners.sum(axis=1, keepdims=True), axis=0)
    return Posterior(float(better), float(equal), float(worse))

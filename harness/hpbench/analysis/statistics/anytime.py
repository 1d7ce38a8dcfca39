"""Curves over time: incumbents, regret, targets, expected running time, and random search's pace."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from hpbench.analysis.statistics.intervals import Array, quantile_worst
from hpbench.analysis.statistics.ties import noise_of, tie_levels
from hpbench.errors import UsageError

__all__ = [
    "area_under_curve",
    "best_of_n",
    "ecdf",
    "expected_running_time",
    "first_hits",
    "incumbent_index",
    "incumbent_of",
    "normalised_regret",
    "overtuning",
    "relative_overtuning",
    "runlength_targets",
    "selection_gap",
    "speed_up",
]


def incumbent_index(objective: Array) -> NDArray[np.int64]:
    """Return the number of the incumbent after each trial; -1 before the first success.

    ``I(t) = argmin_{u <= t} y_u``, the earliest on ties. A NaN (a failed trial) uses up its place
    and never becomes the incumbent.

    Args:
        objective: what is minimised, shape ``(..., n_trials)``.

    Returns:
        the same shape.
    """
    losses = np.where(np.isnan(objective), math.inf, objective)
    best = np.minimum.accumulate(losses, axis=-1)
    before = np.concatenate([np.full((*best.shape[:-1], 1), math.inf), best[..., :-1]], axis=-1)
    places = np.arange(objective.shape[-1])
    index: NDArray[np.int64] = np.maximum.accumulate(np.where(losses < before, places, -1), axis=-1)
    return index


def incumbent_of(values: Array, index: NDArray[np.int64]) -> Array:
    """Return ``values`` of the incumbents, NaN before the first one.

    Args:
        values: any figure of every trial, shape ``(..., n_trials)``.
        index: from :func:`incumbent_index`, the same shape.
    """
    taken = np.take_along_axis(values, np.maximum(index, 0), axis=-1)
    return np.where(index >= 0, taken, math.nan)


def normalised_regret(incumbent: Array, *, best: float, reference: float) -> Array:
    """Return ``(I - best) / (reference - best)``: 0 the best seen, 1 the reference.

    Args:
        incumbent: losses, any shape.
        best: the lowest loss known for the task; freeze it, for it moves when strategies are added.
        reference: loss that counts as 1, by default of the reports random search's median after
            one trial.

    Returns:
        the same shape; NaN everywhere if reference and best coincide: such a task cannot be
        normalised and is to be counted, not averaged.
    """
    if reference == best:
        return np.full_like(incumbent, math.nan)
    return (incumbent - best) / (reference - best)


def area_under_curve(curve: Array, *, scale: Literal["linear", "log"] = "linear") -> Array:
    """Return the mean height of a right-continuous step curve over its budget.

    Linear: the mean over trials 1..T, each trial weighing 1/T. Log: trial t weighs
    ``log((t + 1) / t) / log(T + 1)``, which favours the start.

    Args:
        curve: normalised regret after each trial, shape ``(..., T)``.
        scale: of the trial axis.

    Returns:
        shape ``(...)``; 1 minus it is the "AOCC".
    """
    trials = np.arange(1, curve.shape[-1] + 1)
    weights = np.ones(len(trials)) if scale == "linear" else np.log1p(1 / trials)
    return np.asarray(np.sum(curve * (weights / weights.sum()), axis=-1), dtype=np.float64)


def first_hits(incumbent: Array, targets: Array) -> Array:
    """Return after how many trials each run reaches each target; infinite if never.

    Args:
        incumbent: losses after each trial, shape ``(n_runs, T)``; NaN reaches nothing.
        targets: losses, shape ``(n_targets,)``; reached means ``<=``, rounding aside.

    Returns:
        shape ``(n_runs, n_targets)``, 1 the first trial.
    """
    losses = np.where(np.isnan(incumbent), math.inf, incumbent)
    reached = losses[:, None, :] <= targets[None, :, None] + noise_of(incumbent, targets)
    first = np.argmax(reached, axis=-1) + 1.0
    return np.where(reached.any(axis=-1), first, math.inf)


def expected_running_time(hits: Array, budgets: Array) -> tuple[float, int]:
    """Return the expected running time to a target, and how many runs reached it.

    ``ERT = sum_i min(hit_i, budget_i) / successes``: all that was spent, over the successes; infinite
    without any. It supposes restarts, so always print the successes beside it.

    Args:
        hits: trials (or seconds) to the target, shape ``(n_runs,)``, infinite if never.
        budgets: what each run could spend, shape ``(n_runs,)``.

    References:
        Hansen et al. (2021), COCO: a platform for comparing continuous optimizers.
    """
    successes = int(np.sum(hits <= budgets))
    if successes == 0:
        return math.inf, 0
    return float(np.sum(np.minimum(hits, budgets))) / successes, successes


def runlength_targets(random_incumbent: Array) -> Array:
    """Return targets that nobody chose: random search's median incumbent after 1, 2, 4, ... T trials.

    Args:
        random_incumbent: shape ``(n_repetitions, T)``.

    Returns:
        falling losses, no two alike up to rounding, shape ``(n_targets,)``; lengths with no finite
        median are left out.

    References:
        Hansen et al. (2022), Anytime performance assessment in blackbox optimization benchmarking.
    """
    budget = random_incumbent.shape[-1]
    lengths = sorted({*(2**power for power in range(budget.bit_length())), budget})
    medians = quantile_worst(random_incumbent, 0.5)[np.array(lengths) - 1]
    known = medians[np.isfinite(medians)]
    _, places = np.unique(tie_levels(known, noise_of(known)), return_index=True)
    targets: Array = known[places][::-1]
    return targets


def ecdf(hits: Array, budgets: Array) -> Array:
    """Return the share of (run, target) pairs that are reached within each budget.

    Args:
        hits: from :func:`first_hits`, any shape; flattened.
        budgets: shape ``(n_budgets,)``.
    """
    ordered = np.sort(hits, axis=None)
    return np.asarray(np.searchsorted(ordered, budgets, side="right") / ordered.size, dtype=np.float64)


def best_of_n(values: Array, n: int) -> Array:
    """Return the unbiased estimate of the expected best of ``n`` random trials.

    ``sum_i v_(i) C(N - i, n - 1) / C(N, n)`` over the sorted losses: the mean of the minimum over
    every subset of size ``n``. The usual ``(i / N)^n`` weights draw with replacement and are biased.

    Args:
        values: losses of independent trials, shape ``(..., N)``; NaN (failed) counts as worst and
            makes the estimate infinite where it weighs.
        n: trials, at most ``N``.

    Raises:
        UsageError: ``n`` is not in 1..N.

    References:
        Dodge et al. (2021), Expected validation performance and estimation of a random variable's maximum.
    """
    total = values.shape[-1]
    if not 1 <= n <= total:
        message = f"`n` must lie in 1..{total}, the number of trials, got {n}."
        raise UsageError(message)
    place = np.arange(1, total - n + 2)
    log_weights = _log_choose(total - place, n - 1) - _log_choose(np.array(total), n)
    ordered = np.sort(np.where(np.isnan(values), math.inf, values), axis=-1)[..., : len(place)]
    weights = np.exp(log_weights)
    weighing = weights > 0  # beyond, weights underflow, and infinity times zero is no number
    return np.asarray(np.sum(ordered[..., weighing] * weights[weighing], axis=-1), dtype=np.float64)


def _log_choose(n: NDArray[np.int64], k: int) -> Array:
    """Return ``log C(n, k)``."""
    result: Array = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return result


def speed_up(random_losses: Array, target: float, budget: int) -> float:
    """Return how many times fewer trials than random search a strategy needed.

    The smallest ``n`` whose expected best of ``n`` random trials, averaged over repetitions, is at
    most ``target``, divided by ``budget``. Below 1 the strategy was slower than random search.

    Args:
        random_losses: losses of random search's trials, shape ``(n_repetitions, N)``.
        target: the strategy's final median loss.
        budget: the strategy's trials.

    Returns:
        infinite if ``N`` random trials do not reach the target; then say "more than N / budget".
    """
    low, high = 1, random_losses.shape[-1]
    if float(best_of_n(random_losses, high).mean()) > target:
        return math.inf
    while low < high:
        middle = (low + high) // 2
        if float(best_of_n(random_losses, middle).mean()) <= target:
            high = middle
        else:
            low = middle + 1
    return low / budget


def overtuning(test_of_incumbent: Array) -> Array:
    """Return how much worse the final incumbent tests than the best-testing incumbent before it.

    ``ot_T = test(inc_T) - min_{t <= T} test(inc_t)``: what searching longer cost on the test set.

    Args:
        test_of_incumbent: test loss of the incumbent after each trial, shape ``(..., T)``; NaN before
            the first success.

    References:
        Schneider, Bischl & Feurer (2025), Overtuning in hyperparameter optimization.
    """
    lowest = np.where(np.isnan(test_of_incumbent), math.inf, test_of_incumbent).min(axis=-1)
    return np.asarray(test_of_incumbent[..., -1] - lowest, dtype=np.float64)


def relative_overtuning(test_of_incumbent: Array) -> Array:
    """Return overtuning over the gain of the search; above 1 the first configuration was better.

    ``ot_T / (test(inc_1) - min_t test(inc_t))``. NaN where the search never improved the test score
    (a zero denominator): the ratio has no meaning there.

    Args:
        test_of_incumbent: shape ``(..., T)``; NaN before the first success.
    """
    known = ~np.isnan(test_of_incumbent)
    start = np.take_along_axis(test_of_incumbent, np.argmax(known, axis=-1)[..., None], axis=-1)[..., 0]
    gain = start - np.where(known, test_of_incumbent, math.inf).min(axis=-1)
    ot = overtuning(test_of_incumbent)
    ratio = np.full_like(ot, math.nan)
    np.divide(ot, gain, out=ratio, where=gain > 0)
    return ratio


def selection_gap(test_of_incumbent: Array, test: Array) -> Array:
    """Return what choosing by validation cost: the final incumbent's test loss less the best seen.

    Args:
        test_of_incumbent: shape ``(..., T)``.
        test: test loss of every trial, shape ``(..., T)``; NaN for failed ones.

    Returns:
        shape ``(...)``, at least 0; NaN for a run without a success.
    """
    lowest = np.where(np.isnan(test), math.inf, test).min(axis=-1)
    return np.asarray(test_of_incumbent[..., -1] - lowest, dtype=np.float64)

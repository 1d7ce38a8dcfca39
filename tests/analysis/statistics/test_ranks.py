from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hpbench.analysis.statistics import (
    cliques,
    critical_difference,
    friedman,
    friedman_permutation,
    mean_ranks,
    rank_losses,
    wilcoxon,
    wilcoxon_holm,
)
from hpbench.errors import UsageError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_ranks_share_ties_and_put_missing_results_last() -> None:
    assert rank_losses(np.array([[0.2, math.nan, 0.1, 0.2]])) == pytest.approx(np.array([[2.5, 4, 1, 2.5]]))


def test_means_of_the_same_counts_tie_in_whatever_order_they_are_summed() -> None:
    wrong = rng().integers(5, 30, (40, 10))
    losses = np.array([[np.mean(rng(k).permutation(row) / 359) for k in range(4)] for row in wrong])
    assert np.any(losses != losses[:, :1])
    assert np.all(rank_losses(losses) == 2.5)
    assert np.all(rank_losses(losses * [[1, 1, 1, 1 + 1e-6]]) == [2, 2, 2, 4])


def test_mean_ranks_over_time_weigh_tasks_alike() -> None:
    losses = np.zeros((2, 3, 2, 4))
    losses[0, :, 1] = 1.0
    losses[1, :, 0] = 1.0
    losses[..., 0] = 0.0
    found = mean_ranks(losses)
    assert found.shape == (2, 4)
    assert found == pytest.approx(1.5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_friedman_equals_scipys(seed: int, ties: bool) -> None:  # noqa: FBT001
    losses = rng(seed).normal(size=(12, 5)) + np.arange(5) * 0.3
    losses = np.round(losses) if ties else losses
    expected = stats.friedmanchisquare(*losses.T)
    found = friedman(losses)
    assert found.chi2 == pytest.approx(expected.statistic)
    assert found.chi2_p == pytest.approx(expected.pvalue)


def test_iman_davenport_on_demsars_example() -> None:
    # Demšar (2006), section 3.2.2: N = 14, k = 4, ranks 3.143 2.000 2.893 1.964, chi2 = 9.28, F = 3.69
    ranks = np.array([3.143, 2.000, 2.893, 1.964])
    n, k = 14, 4
    chi2 = 12 * n / (k * (k + 1)) * (np.sum(ranks**2) - k * (k + 1) ** 2 / 4)
    assert chi2 == pytest.approx(9.28, abs=0.02)
    losses = rng(4).normal(size=(n, k)) + np.array([0.8, 0, 0.6, 0])
    found = friedman(losses)
    assert found.f == pytest.approx((n - 1) * found.chi2 / (n * (k - 1) - found.chi2))
    assert found.f_p == pytest.approx(stats.f.sf(found.f, k - 1, (k - 1) * (n - 1)))


def test_friedman_at_its_ends() -> None:
    same = friedman(np.zeros((6, 3)))
    assert (same.chi2, same.f_p) == (0.0, 1.0)
    perfect = friedman(np.tile(np.arange(3.0), (6, 1)))
    assert perfect.chi2 == pytest.approx(12.0)
    assert perfect.f == math.inf
    assert perfect.f_p == 0.0


def test_permutations_give_friedmans_exact_p_where_it_can_be_counted() -> None:
    for n, k in ((2, 3), (3, 3), (2, 4), (5, 2)):
        perfect = np.tile(np.arange(float(k)), (n, 1))
        p = friedman_permutation(perfect, rng=rng(), n_resamples=40_000)
        assert p == pytest.approx(1 / math.factorial(k) ** (n - 1), abs=0.004)
    assert friedman_permutation(np.zeros((6, 3)), rng=rng()) == 1.0


def test_permutations_agree_with_iman_and_davenport_over_many_blocks() -> None:
    losses = rng(5).normal(size=(40, 4)) + np.array([0.35, 0, 0.2, 0])
    assert friedman_permutation(losses, rng=rng(1)) == pytest.approx(friedman(losses).f_p, abs=0.01)


def test_permutations_reject_no_more_than_they_may_where_f_does() -> None:
    draws = [rng(seed).normal(size=(3, 3)) for seed in range(400)]
    permuted = [friedman_permutation(draw, rng=rng(1), n_resamples=500) < 0.05 for draw in draws]
    approximate = [friedman(draw).f_p < 0.05 for draw in draws]
    assert np.mean(permuted) < 0.06
    assert np.mean(approximate) > 0.12


def test_friedman_needs_two_of_each() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        friedman(np.zeros((1, 3)))


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_friedman_ignores_the_order_of_blocks_and_permutes_with_strategies(seed: int) -> None:
    losses = np.round(rng(seed).normal(size=(8, 4)), 1)
    blocks, places = rng(seed + 1).permutation(8), rng(seed + 2).permutation(4)
    one, other = friedman(losses), friedman(losses[blocks][:, places])
    assert other.f_p == pytest.approx(one.f_p)
    assert other.ranks == pytest.approx(one.ranks[places])


@pytest.mark.parametrize(
    ("k", "n", "expected"), [(4, 5, 2.10), (4, 20, 1.05), (6, 10, 2.38), (6, 50, 1.07), (8, 30, 1.92)]
)
def test_critical_difference_is_nemenyis(k: int, n: int, expected: float) -> None:
    assert critical_difference(k, n) == pytest.approx(expected, abs=0.006)


def test_wilcoxon_holm_adjusts_over_all_pairs() -> None:
    losses = rng(1).normal(size=(15, 3)) + np.array([0.0, 0.1, 1.5])
    found = wilcoxon_holm(losses)
    raw = sorted(wilcoxon(losses[:, i], losses[:, j]) for i, j in [(0, 1), (0, 2), (1, 2)])
    assert found.min() == pytest.approx(3 * raw[0])
    assert found == pytest.approx(found.T)
    assert np.diag(found) == pytest.approx(1.0)


def test_a_strategy_without_results_has_no_p_value() -> None:
    losses = rng().normal(size=(8, 3))
    losses[:, 1] = math.nan
    found = wilcoxon_holm(losses)
    assert math.isnan(found[0, 1])
    assert math.isfinite(found[0, 2])


def test_cliques_are_intervals_in_which_no_pair_differs() -> None:
    ranks = np.array([1.0, 2.0, 3.0, 4.0])
    different = np.zeros((4, 4), dtype=bool)
    different[0, 3] = different[3, 0] = True
    assert cliques(ranks, different) == [(0, 1, 2), (1, 2, 3)]
    different[1, 2] = different[2, 1] = True  # alike at a distance, different within: no bar over it
    assert cliques(ranks, different) == [(0, 1), (2, 3)]


def test_all_alike_is_one_bar_and_all_different_none() -> None:
    ranks = np.array([2.0, 1.0, 3.0])
    assert cliques(ranks, np.zeros((3, 3), dtype=bool)) == [(1, 0, 2)]
    assert cliques(ranks, ~np.eye(3, dtype=bool)) == []

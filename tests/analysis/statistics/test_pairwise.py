from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hpbench.analysis.statistics import (
    attainable,
    bayesian_signed_rank,
    holm,
    pairing_gain,
    probability_of_improvement,
    probability_of_improvement_unpaired,
    rank_biserial,
    rank_sum,
    repetitions_for_difference,
    repetitions_for_probability,
    sign_flip_test,
    smallest_n,
    smallest_p,
    wilcoxon,
    win_tie_loss,
)
from hpbench.errors import UsageError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def brute_wilcoxon(difference: np.ndarray) -> float:
    """Count all sign patterns of the non-zero differences, zeros ranked first (Pratt)."""
    ranks = stats.rankdata(np.abs(difference))[difference != 0]
    observed = ranks[difference[difference != 0] > 0].sum()
    sums = [sum(itertools.compress(ranks, signs)) for signs in itertools.product([0, 1], repeat=len(ranks))]
    tail = min(np.mean(np.array(sums) <= observed), np.mean(np.array(sums) >= observed))
    return min(1.0, 2 * float(tail))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("n", [5, 8, 12, 25, 49])
def test_wilcoxon_equals_scipys_exact_test(seed: int, n: int) -> None:
    a, b = rng(seed).normal(size=(2, n))
    assert wilcoxon(a, b + 0.3) == pytest.approx(stats.wilcoxon(a, b + 0.3, method="exact").pvalue, rel=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_wilcoxon_with_ties_and_zeros_equals_counting_every_sign(seed: int) -> None:
    a, b = rng(seed).integers(0, 4, size=(2, 10)).astype(float)
    if np.any(a != b):
        assert wilcoxon(a, b) == pytest.approx(brute_wilcoxon(a - b), rel=1e-9)


def test_wilcoxon_of_many_pairs_is_near_the_exact_one() -> None:
    a, b = rng(3).normal(size=(2, 120))
    exact = stats.wilcoxon(a, b + 0.2, method="exact").pvalue
    assert wilcoxon(a, b + 0.2) == pytest.approx(exact, abs=0.005)


def test_identical_strategies_give_p_one_and_probability_one_half() -> None:
    a = rng().normal(size=10)
    assert wilcoxon(a, a) == 1.0
    assert sign_flip_test(a, a, rng=rng()) == 1.0
    assert probability_of_improvement(a, a) == 0.5
    assert win_tie_loss(a, a) == (0, 10, 0)


def test_five_pairs_can_never_be_significant() -> None:
    assert wilcoxon(np.arange(1.0, 6.0), np.zeros(5)) == pytest.approx(0.0625)
    assert sign_flip_test(np.arange(1.0, 6.0), np.zeros(5), rng=rng()) == pytest.approx(0.0625)


def test_under_the_null_at_most_five_percent_are_rejected() -> None:
    generator = rng(11)
    pairs = generator.normal(size=(400, 2, 10))
    rejected = np.array(
        [[wilcoxon(a, b) < 0.05, sign_flip_test(a, b, rng=generator) < 0.05] for a, b in pairs]
    )
    # 400 tests at 5 %: a rate of 7.3 % lies two standard deviations above
    assert np.all(rejected.mean(axis=0) <= 0.073)


@pytest.mark.parametrize("seed", range(5))
def test_sign_flip_equals_scipys_permutation_test(seed: int) -> None:
    a, b = rng(seed).normal(size=(2, 9))
    found = stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    assert sign_flip_test(a, b, rng=rng()) == pytest.approx(found.pvalue)


def test_sign_flip_by_sampling_is_near_the_exact_p_and_never_zero() -> None:
    a, b = rng(5).normal(size=(2, 24))
    assert sign_flip_test(a, b, rng=rng(1)) == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.02)
    assert sign_flip_test(a + 100, b, rng=rng(1), n_resamples=999) == pytest.approx(0.001)


def test_holm_on_a_worked_example() -> None:
    # Holm (1979): sorted p .01 .015 .03 .04 times 4 3 2 1, made monotone
    found = holm(np.array([0.04, 0.01, 0.03, 0.015]))
    assert found == pytest.approx([0.06, 0.04, 0.06, 0.045])


def test_holm_leaves_out_what_could_not_be_tested() -> None:
    found = holm(np.array([0.02, math.nan, 0.03]))
    assert found[[0, 2]] == pytest.approx([0.04, 0.04])
    assert math.isnan(found[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_holm_does_not_depend_on_the_order(values: list[float]) -> None:
    p = np.array(values)
    order = np.random.default_rng(len(values)).permutation(len(p))
    assert holm(p[order]) == pytest.approx(holm(p)[order])
    assert np.all(holm(p) >= p)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=15))
@settings(max_examples=50, deadline=None)
def test_pairwise_statistics_ignore_the_order_of_repetitions_and_swap_sides(
    pairs: list[tuple[int, int]],
) -> None:
    a, b = np.array(pairs, dtype=float).T
    order = np.random.default_rng(len(pairs)).permutation(len(a))
    assert wilcoxon(a, b) == pytest.approx(wilcoxon(a[order], b[order])) == pytest.approx(wilcoxon(b, a))
    assert probability_of_improvement(a, b) == pytest.approx(1 - probability_of_improvement(b, a))
    assert probability_of_improvement_unpaired(a, b) == pytest.approx(
        1 - probability_of_improvement_unpaired(b, a)
    )


def test_unpaired_probability_is_mann_whitneys_u_over_the_number_of_pairs() -> None:
    a, b = rng().integers(0, 6, size=(2, 12)).astype(float)
    u = stats.mannwhitneyu(b, a[:9]).statistic
    assert probability_of_improvement_unpaired(a[:9], b) == pytest.approx(u / (9 * 12))


def test_bayesian_signed_rank_says_equal_better_and_worse() -> None:
    noise = rng().normal(0, 0.0005, 15)
    equal = bayesian_signed_rank(noise, np.zeros(15), rope=0.005, rng=rng())
    better = bayesian_signed_rank(noise, np.full(15, 0.02), rope=0.005, rng=rng())
    worse = bayesian_signed_rank(np.full(15, 0.02), noise, rope=0.005, rng=rng())
    assert equal.equal > 0.99
    assert better.better > 0.99
    assert worse.worse > 0.99
    assert equal.better + equal.equal + equal.worse == pytest.approx(1.0)


def test_bayesian_signed_rank_is_symmetric() -> None:
    a, b = rng(2).normal(size=(2, 10)) * 0.01
    one = bayesian_signed_rank(a, b, rope=0.005, rng=rng())
    other = bayesian_signed_rank(b, a, rope=0.005, rng=rng())
    assert (one.better, one.equal, one.worse) == pytest.approx((other.worse, other.equal, other.better))


@pytest.mark.parametrize(
    ("k", "pairs", "baseline"), [(3, 7, 7), (4, 8, 7), (5, 9, 8), (6, 10, 8), (8, 11, 9), (10, 11, 9)]
)
def test_smallest_n_is_the_table_of_exact_minimums(k: int, pairs: int, baseline: int) -> None:
    assert smallest_n(k * (k - 1) // 2) == pairs
    assert smallest_n(k - 1) == baseline


@pytest.mark.parametrize(("probability", "n"), [(0.75, 29), (0.65, 81)])
def test_noethers_number_of_repetitions(probability: float, n: int) -> None:
    assert repetitions_for_probability(probability) == n


def test_repetitions_for_a_difference_of_half_a_deviation() -> None:
    assert repetitions_for_difference(0.5, 1.0) == 34  # Cohen (1988), two-sided .05, power .80
    assert repetitions_for_difference(-0.5, 1.0) == 34
    assert repetitions_for_difference(0.5, 0.0) == 2
    assert repetitions_for_difference(0.001, 1.0) > 1_000_000


@pytest.mark.parametrize(
    "call", [lambda: repetitions_for_probability(0.5), lambda: repetitions_for_difference(0.0, 1.0)]
)
def test_impossible_sample_sizes_are_refused(call: object) -> None:
    with pytest.raises(UsageError, match="must"):
        call()  # type: ignore[operator]


def test_pairing_gain_of_correlated_repetitions() -> None:
    a = rng(1).normal(size=2000)
    found = pairing_gain(a, 0.9 * a + math.sqrt(1 - 0.81) * rng(2).normal(size=2000))
    assert found.correlation == pytest.approx(0.9, abs=0.02)
    assert found.factor == pytest.approx(10, rel=0.1)  # 2 / (2 - 2 rho)


def test_pairing_gain_without_variation() -> None:
    a = np.arange(4.0)
    assert pairing_gain(a, a + 1).factor == math.inf
    assert math.isnan(pairing_gain(np.ones(4), np.zeros(4)).factor)
    assert math.isnan(pairing_gain(np.ones(4), a).correlation)


@pytest.mark.parametrize(
    ("a", "b"),
    [(np.zeros(3), np.zeros(4)), (np.array([1.0, math.nan]), np.zeros(2)), (np.zeros(0), np.zeros(0))],
)
def test_values_that_are_no_pairs_are_refused(a: np.ndarray, b: np.ndarray) -> None:
    with pytest.raises(UsageError, match="paired comparison"):
        wilcoxon(a, b)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n", [6, 20, 60])
def test_one_sided_wilcoxon_equals_scipys_exact_test(seed: int, n: int) -> None:
    a, b = rng(seed).normal(size=(2, n))
    expected = stats.wilcoxon(a + 0.2, b, method="exact", alternative="greater").pvalue
    assert wilcoxon(a + 0.2, b, alternative="greater") == pytest.approx(expected, rel=1e-9)


def test_one_sided_wilcoxon_of_many_pairs_is_near_the_exact_one() -> None:
    a, b = rng(4).normal(size=(2, 130))
    exact = stats.wilcoxon(a, b, method="exact", alternative="greater").pvalue
    assert wilcoxon(a, b, alternative="greater") == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("n_a", "n_b"), [(3, 4), (10, 10), (12, 30)])
@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
def test_rank_sum_equals_scipys_exact_test(seed: int, n_a: int, n_b: int, alternative: str) -> None:
    a, b = rng(seed).normal(size=n_a) + 0.4, rng(seed + 50).normal(size=n_b)
    expected = stats.mannwhitneyu(a, b, method="exact", alternative=alternative).pvalue
    assert rank_sum(a, b, alternative=alternative) == pytest.approx(expected, rel=1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(6))
def test_rank_sum_with_ties_equals_counting_every_choice(seed: int) -> None:
    a, b = rng(seed).integers(0, 4, size=5).astype(float), rng(seed + 9).integers(0, 4, size=6).astype(float)
    ranks = stats.rankdata(np.concatenate([a, b]))
    sums = np.array([sum(chosen) for chosen in itertools.combinations(ranks, 5)])
    seen = ranks[:5].sum()
    assert rank_sum(a, b, alternative="greater") == pytest.approx(np.mean(sums >= seen - 1e-9))
    tail = min(np.mean(sums >= seen - 1e-9), np.mean(sums <= seen + 1e-9))
    assert rank_sum(a, b) == pytest.approx(min(1.0, 2 * tail)) == pytest.approx(rank_sum(b, a))


def test_rank_sum_of_many_values_is_near_the_exact_one() -> None:
    a, b = rng(1).normal(size=70), rng(2).normal(size=60) + 0.2
    exact = stats.mannwhitneyu(a, b, method="exact").pvalue
    assert rank_sum(a, b) == pytest.approx(exact, abs=0.003)
    assert rank_sum(a, a) == pytest.approx(1.0)


def test_rank_sum_needs_values_on_both_sides() -> None:
    with pytest.raises(UsageError, match="got 3 and 0"):
        rank_sum(np.zeros(3), np.zeros(0))
    with pytest.raises(UsageError, match="needs numbers"):
        rank_sum(np.zeros(3), np.array([math.nan]))


def test_rank_sum_rejects_at_most_five_percent_under_the_null() -> None:
    pairs = rng(12).normal(size=(400, 2, 9))
    assert np.mean([rank_sum(a, b) < 0.05 for a, b in pairs]) <= 0.073


def counts(seed: int, n: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Return wrong examples of two sides, near each other, so that differences tie."""
    first = rng(seed).integers(5, 25, n)
    return first.astype(float), (first + rng(seed + 100).integers(-4, 7, n)).astype(float)


@pytest.mark.parametrize("n_examples", [359, 360, 10_000])
@pytest.mark.parametrize("n", [10, 120])
def test_errors_tie_where_their_counts_tie(n: int, n_examples: int) -> None:
    for seed in range(30):
        a, b = counts(seed, n)
        x, y = a / n_examples, b / n_examples
        for side in ("two-sided", "greater"):
            assert wilcoxon(x, y, alternative=side) == wilcoxon(a, b, alternative=side)  # type: ignore[arg-type]
            # a margin taken off the second side moves every value by rounding
            margin = 3 / n_examples
            assert rank_sum(x - margin, y, alternative=side) == rank_sum(a - 3, b, alternative=side)  # type: ignore[arg-type]
        assert win_tie_loss(x - margin, y) == win_tie_loss(a - 3, b)
        assert probability_of_improvement(x - margin, y) == probability_of_improvement(a - 3, b)
        unpaired = probability_of_improvement_unpaired(x - margin, y)
        assert unpaired == probability_of_improvement_unpaired(a - 3, b)


@pytest.mark.parametrize("n_examples", [200, 400, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_a_difference_as_large_as_the_rope_is_practically_none(n_examples: int, seed: int) -> None:
    wrong = rng(seed).integers(10, 60, 10)
    fewer = wrong - round(0.005 * n_examples)
    found = bayesian_signed_rank(fewer / n_examples, wrong / n_examples, rope=0.005, rng=rng())
    assert found.equal == 1.0


def test_a_difference_that_never_varies_saves_without_end() -> None:
    wrong = rng().integers(10, 60, 10)
    assert pairing_gain(wrong / 359, (wrong + 1) / 359).factor == math.inf
    assert math.isnan(pairing_gain(np.full(10, 0.1), wrong / 359).correlation)


@pytest.mark.parametrize("scale", [1.0, 50.0])  # 1 - R^2 has no upper end
@pytest.mark.parametrize("seed", range(5))
def test_a_failed_run_is_worse_than_every_result_and_as_bad_as_another(seed: int, scale: float) -> None:
    a, b = scale * rng(seed).random((2, 9))
    failed_a, failed_b = np.arange(9) < 3, np.arange(9) > 7
    x, y = np.where(failed_a, math.inf, a), np.where(failed_b, math.inf, b)
    # all that failed on one side differ by the same, more than any other pair
    difference = np.where(failed_a, 100.0 * scale, np.where(failed_b, -100.0 * scale, a - b))
    assert wilcoxon(x, y) == pytest.approx(brute_wilcoxon(difference), rel=1e-9)
    assert win_tie_loss(x, y) == (np.sum(difference < 0), 0, np.sum(difference > 0))
    assert probability_of_improvement(x, y) == np.mean(difference < 0)
    capped = (np.minimum(side, 100.0 * scale) for side in (x, y))
    assert rank_sum(x, y) == rank_sum(*capped)
    found = bayesian_signed_rank(x, y, rope=0.005, rng=rng())
    assert found == bayesian_signed_rank(difference, np.zeros(9), rope=0.005, rng=rng())
    assert wilcoxon(np.full(9, math.inf), np.full(9, math.inf)) == 1.0


@pytest.mark.parametrize("test", [pairing_gain, lambda a, b: sign_flip_test(a, b, rng=rng())])
def test_a_failed_run_has_no_place_in_a_mean(test: Callable[[np.ndarray, np.ndarray], object]) -> None:
    with pytest.raises(UsageError, match="leave out the pairs in which a run failed"):
        test(np.array([0.1, math.inf]), np.zeros(2))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_the_rank_biserial_correlation_has_the_direction_of_the_test(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, dtype=float).T
    effect = rank_biserial(a, b)
    upward, downward = wilcoxon(a, b, alternative="greater"), wilcoxon(b, a, alternative="greater")
    assert np.sign(effect) == np.sign(round(downward - upward, 9))
    assert effect == pytest.approx(-rank_biserial(b, a))
    assert -1 <= effect <= 1


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([10, 6], [True, True]),  # Holm takes the smallest first, and leaves the second its own p = 2/64
        ([6, 6], [False, False]),
        ([10, 5, 0], [True, False, False]),
    ],
)
def test_holms_steps_decide_what_can_be_significant(pairs: list[int], expected: list[bool]) -> None:
    assert attainable(np.array([smallest_p(n) for n in pairs])).tolist() == expected

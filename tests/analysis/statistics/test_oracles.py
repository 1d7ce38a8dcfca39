"""Our statistics against libraries that share no code with them, on random inputs."""

from __future__ import annotations

import itertools
import math

import baycomp
import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from autorank import autorank
from scipy import stats
from statsmodels.distributions.empirical_distribution import ECDF
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.nonparametric import rank_compare_2indep
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from hpbench.analysis.statistics import (
    bayesian_signed_rank,
    critical_difference,
    ecdf,
    friedman,
    holm,
    performance_profile,
    probability_of_improvement_unpaired,
    repetitions_for_difference,
    stratified_mean,
    t_interval,
    welch_interval,
    wilcoxon,
    wilcoxon_holm,
)

SEEDS = range(5)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_holm_is_statsmodels(seed: int) -> None:
    p = rng(seed).random(12) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


@pytest.mark.parametrize("seed", SEEDS)
def test_all_pairs_are_those_of_scikit_posthocs(seed: int) -> None:
    losses = rng(seed).normal(size=(14, 4)) + np.array([0.0, 0.2, 0.5, 1.0])
    expected = scikit_posthocs.posthoc_wilcoxon(list(losses.T), p_adjust="holm")
    assert wilcoxon_holm(losses) == pytest.approx(expected.to_numpy())


@pytest.mark.parametrize("seed", SEEDS)
def test_nemenyis_difference_separates_where_scikit_posthocs_does(seed: int) -> None:
    losses = rng(seed).normal(size=(20, 5)) + np.linspace(0, 1.6, 5)
    p = scikit_posthocs.posthoc_nemenyi_friedman(losses).to_numpy()
    ranks, limit = friedman(losses).ranks, critical_difference(5, 20)
    for i, j in itertools.combinations(range(5), 2):
        assert (abs(ranks[i] - ranks[j]) > limit) == (p[i, j] < 0.05)


@pytest.mark.parametrize("seed", SEEDS)
def test_ranks_and_critical_difference_are_autoranks(seed: int) -> None:
    losses = rng(seed).lognormal(size=(15, 5)) + np.linspace(0, 0.8, 5)
    names = list("abcde")
    found = autorank(
        pd.DataFrame(losses, columns=names), order="ascending", force_mode="nonparametric", verbose=False
    )
    ours = friedman(losses)
    assert found.omnibus == "friedman"
    assert found.rankdf.loc[names, "meanrank"].to_numpy() == pytest.approx(ours.ranks)
    assert found.pvalue == pytest.approx(ours.chi2_p)
    if found.cd is not None:
        assert found.cd == pytest.approx(critical_difference(5, 15), rel=1e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_friedman_with_ties_is_scipys(seed: int) -> None:
    losses = rng(seed).integers(0, 4, size=(12, 4)).astype(float)
    expected = stats.friedmanchisquare(*losses.T)
    assert friedman(losses).chi2 == pytest.approx(expected.statistic)
    assert friedman(losses).chi2_p == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rope", [0.0, 0.3])
def test_bayesian_signed_rank_is_baycomps_up_to_sampling(seed: int, rope: float) -> None:
    a, b = rng(seed).normal(size=(2, 15))
    b = b + 0.3
    np.random.seed(seed)  # noqa: NPY002 -- baycomp draws from the global generator
    expected = baycomp.SignedRankTest.probs(a, b, rope=rope, nsamples=20_000)
    ours = bayesian_signed_rank(a, b, rope=rope, rng=rng(seed), n_samples=20_000)
    found = (ours.better, ours.equal, ours.worse)
    if rope == 0.0:
        # without a region the library splits what lies at zero, we call it equal: compare the two sides
        assert ours.better == pytest.approx(expected[1], abs=0.02)
    else:
        assert found == pytest.approx((expected[2], expected[1], expected[0]), abs=0.02)


@pytest.mark.parametrize(
    ("difference", "deviation", "power"), [(1.0, 1.0, 0.8), (0.5, 1.0, 0.9), (0.2, 0.9, 0.8)]
)
def test_repetitions_for_a_difference_are_statsmodels(
    difference: float, deviation: float, power: float
) -> None:
    expected = TTestPower().solve_power(difference / deviation, alpha=0.05, power=power)
    assert repetitions_for_difference(difference, deviation, power=power) == math.ceil(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_t_intervals_are_statsmodels(seed: int) -> None:
    a, b = rng(seed).normal(size=8), rng(seed + 10).normal(size=11) * 2
    assert (t_interval(a).low, t_interval(a).high) == pytest.approx(DescrStatsW(a).tconfint_mean())
    expected = CompareMeans(DescrStatsW(b), DescrStatsW(a)).tconfint_diff(usevar="unequal")
    found = welch_interval(a, b)
    assert (found.low, found.high) == pytest.approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_probability_of_improvement_is_statsmodels(seed: int) -> None:
    a, b = rng(seed).integers(0, 6, size=9).astype(float), rng(seed + 9).integers(0, 6, size=13).astype(float)
    assert probability_of_improvement_unpaired(a, b) == pytest.approx(rank_compare_2indep(b, a).prob1)


@pytest.mark.parametrize("seed", SEEDS)
def test_distributions_are_statsmodels(seed: int) -> None:
    values, points = rng(seed).integers(0, 9, size=40).astype(float), np.linspace(-1, 10, 23)
    assert ecdf(values, points) == pytest.approx(ECDF(values)(points))
    assert performance_profile(values, points) == pytest.approx(1 - ECDF(values)(points))


def test_stratified_bootstrap_is_scipys_of_independent_samples() -> None:
    scores = rng(1).normal(size=(14, 3)) * np.array([1.0, 2.0, 0.5])
    expected = stats.bootstrap(
        tuple(scores.T),
        lambda *tasks, axis: np.mean([task.mean(axis=axis) for task in tasks], axis=0),
        method="percentile",
        n_resamples=10_000,
        rng=rng(2),
    ).confidence_interval
    found = stratified_mean([task[None, :, None] for task in scores.T], rng=rng(3))
    assert (found.low[0, 0], found.high[0, 0]) == pytest.approx((expected.low, expected.high), abs=0.03)


def test_more_strategies_and_blocks_do_not_move_the_tests_apart() -> None:
    for k, n in ((3, 8), (6, 25), (8, 40)):
        losses = rng(k).normal(size=(n, k)) + np.linspace(0, 1, k)
        expected = scikit_posthocs.posthoc_wilcoxon(list(losses.T)).to_numpy()
        found = np.array(
            [[1.0 if i == j else wilcoxon(losses[:, i], losses[:, j]) for j in range(k)] for i in range(k)]
        )
        assert found == pytest.approx(expected)

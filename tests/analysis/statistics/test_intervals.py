from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hpbench.analysis.statistics import (
    iqm,
    mean_interval,
    optimality_gap,
    paired_bootstrap,
    performance_profile,
    quantile_worst,
    stratified_mean,
    t_interval,
)
from hpbench.errors import UsageError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_t_interval_equals_scipys() -> None:
    values = rng().normal(size=7)
    found = t_interval(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_paired_bootstrap_equals_scipys_percentile_interval_up_to_resampling() -> None:
    a, b = rng().normal(size=(2, 20))
    found = paired_bootstrap(a, b, rng=rng(1))
    expected = stats.bootstrap(
        (a - b,), np.mean, method="percentile", n_resamples=10_000, rng=rng(2)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.03)
    assert found.centre == pytest.approx(np.mean(a - b))


def test_pairing_narrows_the_interval() -> None:
    luck = rng().normal(size=30)
    a, b = luck + 0.1 * rng(1).normal(size=30), luck + 0.1 * rng(2).normal(size=30)
    paired = paired_bootstrap(a, b, rng=rng(3))
    apart = paired_bootstrap(a, rng(4).permutation(b), rng=rng(3))
    assert paired.high - paired.low < 0.4 * (apart.high - apart.low)


@pytest.mark.parametrize(("n", "method"), [(1, "none"), (4, "none"), (5, "t"), (9, "t"), (10, "bootstrap")])
def test_the_number_of_repetitions_chooses_the_interval(n: int, method: str) -> None:
    found = mean_interval(np.concatenate([rng().normal(size=n), [math.nan]]), rng=rng())
    assert (found.method, found.n) == (method, n)
    assert found.exists == (method != "none")
    assert math.isnan(found.low) == (method == "none")


def test_no_repetition_has_no_mean() -> None:
    found = mean_interval(np.array([math.nan]), rng=rng())
    assert found.n == 0
    assert math.isnan(found.centre)


@pytest.mark.parametrize("values", [np.array([1.0]), np.array([1.0, math.inf]), np.zeros((2, 2))])
def test_values_without_an_interval_are_refused(values: np.ndarray) -> None:
    with pytest.raises(UsageError, match="finite values"):
        t_interval(values)


def test_bootstrap_refuses_two_shapes() -> None:
    with pytest.raises(UsageError, match="one shape"):
        paired_bootstrap(np.zeros(3), np.zeros(4), rng=rng())


@pytest.mark.parametrize("q", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_quantiles_of_complete_values_are_numpys(q: float) -> None:
    values = rng().normal(size=(7, 5))
    assert quantile_worst(values, q) == pytest.approx(np.quantile(values, q, axis=0))


def test_a_missing_value_counts_as_worst() -> None:
    values = np.array([1.0, math.nan, 3.0])[:, None]
    assert quantile_worst(values, 0.5) == pytest.approx([3.0])
    assert quantile_worst(values, 1.0) == pytest.approx([math.inf])
    assert quantile_worst(values, 0.6) == pytest.approx([math.inf])
    assert math.isnan(quantile_worst(np.empty((0, 1)), 0.5)[0])


def test_iqm_is_the_mean_of_the_middle_half() -> None:
    assert iqm(np.array([[0.0, 1.0, 2.0, 100.0], [3.0, 4.0, 5.0, -50.0]])) == pytest.approx(2.5)


def test_optimality_gap_ignores_what_is_above_gamma() -> None:
    assert optimality_gap(np.array([0.5, 2.0])) == pytest.approx(0.25)


def test_performance_profile_counts_what_lies_above() -> None:
    found = performance_profile(np.array([0.1, 0.5, math.nan, 0.9]), np.array([0.0, 0.5, 1.0]))
    assert found == pytest.approx([0.75, 0.25, 0.0])


def strata(n: int, *, noise: float) -> list[np.ndarray]:
    """Return 3 tasks of means 0, 10 and 20 with one strategy, one point and ``n`` repetitions."""
    return [10.0 * task + noise * rng(task).normal(size=(1, n, 1)) for task in range(3)]


def test_a_stratified_mean_varies_within_tasks_only() -> None:
    for n in (7, 12):
        found = stratified_mean(strata(n, noise=0.0), rng=rng(), n_resamples=200)
        assert [float(x[0, 0]) for x in (found.low, found.centre, found.high)] == pytest.approx([10.0] * 3)


@pytest.mark.parametrize(
    ("n", "method", "factor"), [(4, "none", math.nan), (5, "t", 2.3), (9, "t", 2.1), (40, "bootstrap", 1.96)]
)
def test_a_stratified_interval_is_what_the_repetitions_allow(n: int, method: str, factor: float) -> None:
    tasks = strata(n, noise=1.0)
    found = stratified_mean(tasks, rng=rng(), n_resamples=4000)
    error = math.sqrt(sum(float(task.var(ddof=1)) / n for task in tasks)) / 3
    assert found.method == method
    assert float((found.high - found.low)[0, 0]) / error == pytest.approx(2 * factor, rel=0.1, nan_ok=True)


def test_the_stratified_t_interval_of_one_task_is_students() -> None:
    values = rng(2).normal(size=7)
    found, expected = stratified_mean([values[None, :, None]], rng=rng()), t_interval(values)
    assert float(found.low[0, 0]) == pytest.approx(expected.low)
    assert float(found.high[0, 0]) == pytest.approx(expected.high)


def test_the_stratified_t_interval_covers_where_the_bootstrap_would_not() -> None:
    draws = rng(3).normal(size=(600, 2, 5))
    inside = 0
    for draw in draws:
        found = stratified_mean([task[None, :, None] for task in draw], rng=rng())
        inside += float(found.low[0, 0]) <= 0.0 <= float(found.high[0, 0])
    assert 0.93 < inside / len(draws) < 0.98

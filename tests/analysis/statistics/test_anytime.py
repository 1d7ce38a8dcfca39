from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpbench.analysis.statistics import (
    area_under_curve,
    best_of_n,
    ecdf,
    expected_running_time,
    first_hits,
    incumbent_index,
    incumbent_of,
    normalised_regret,
    overtuning,
    relative_overtuning,
    runlength_targets,
    selection_gap,
    speed_up,
)
from hpbench.errors import UsageError

NAN = math.nan


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_incumbent_is_the_earliest_best_and_never_a_failed_trial() -> None:
    objective = np.array([NAN, 0.5, 0.7, 0.5, NAN, 0.2])
    index = incumbent_index(objective)
    assert index.tolist() == [-1, 1, 1, 1, 1, 5]
    scores = incumbent_of(np.arange(6.0), index)
    assert np.isnan(scores[0])
    assert scores[1:].tolist() == [1, 1, 1, 1, 5]


@given(st.lists(st.one_of(st.just(NAN), st.integers(0, 5).map(float)), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_the_incumbent_never_gets_worse_and_equals_the_plain_loop(values: list[float]) -> None:
    expected, best = [], -1
    for place, value in enumerate(values):
        if not math.isnan(value) and (best < 0 or value < values[best]):
            best = place
        expected.append(best)
    found = incumbent_index(np.array(values))
    assert found.tolist() == expected
    known = incumbent_of(np.array(values), found)
    known = known[~np.isnan(known)]
    assert np.all(np.diff(known) <= 0)


def test_incumbents_of_many_runs_at_once() -> None:
    objective = rng().random((3, 4, 7))
    index = incumbent_index(objective)
    assert index[2, 1].tolist() == incumbent_index(objective[2, 1]).tolist()
    assert incumbent_of(objective, index) == pytest.approx(np.minimum.accumulate(objective, axis=-1))


def test_normalised_regret_is_one_at_the_reference_and_zero_at_the_best() -> None:
    assert normalised_regret(np.array([0.3, 0.1, 0.2]), best=0.1, reference=0.3) == pytest.approx([1, 0, 0.5])
    assert np.isnan(normalised_regret(np.array([0.1]), best=0.1, reference=0.1)).all()


def test_area_under_a_step_curve() -> None:
    curve = np.array([[1.0, 0.5, 0.5, 0.0], [1.0, 1.0, 1.0, 1.0]])
    assert area_under_curve(curve) == pytest.approx([0.5, 1.0])
    weights = np.log([2, 1.5, 4 / 3, 1.25]) / math.log(5)
    assert area_under_curve(curve, scale="log") == pytest.approx([float(curve[0] @ weights), 1.0])


def test_hits_expected_running_time_and_successes() -> None:
    incumbent = np.array([[0.5, 0.3, 0.1], [0.5, 0.5, 0.5], [NAN, 0.2, 0.2]])
    hits = first_hits(incumbent, np.array([0.5, 0.25]))
    assert hits.tolist() == [[1, 3], [1, math.inf], [2, 2]]
    budgets = np.full(3, 3.0)
    assert expected_running_time(hits[:, 1], budgets) == ((3 + 3 + 2) / 2, 2)
    assert expected_running_time(np.full(3, math.inf), budgets) == (math.inf, 0)


def test_ecdf_counts_reached_pairs() -> None:
    hits = np.array([[1, 3], [1, math.inf]])
    assert ecdf(hits, np.array([0.5, 1, 3, 100])) == pytest.approx([0, 0.5, 0.75, 0.75])


def test_targets_are_random_searchs_medians_at_doubling_lengths() -> None:
    incumbent = np.minimum.accumulate(rng().random((9, 12)), axis=1)
    targets = runlength_targets(incumbent)
    medians = np.median(incumbent, axis=0)
    assert set(targets) == set(medians[[0, 1, 3, 7, 11]])
    assert np.all(np.diff(targets) < 0)


def test_lengths_without_a_median_give_no_target() -> None:
    incumbent = np.array([[NAN, 0.5], [NAN, 0.4], [0.2, 0.2]])
    assert runlength_targets(incumbent).tolist() == [0.4]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6])
def test_best_of_n_is_the_mean_over_all_subsets(n: int) -> None:
    values = rng(n).random(6)
    expected = np.mean([min(chosen) for chosen in itertools.combinations(values, n)])
    assert best_of_n(values, n) == pytest.approx(expected)


def test_best_of_n_is_unbiased() -> None:
    samples = rng().random((4000, 8))
    assert best_of_n(samples, 4).mean() == pytest.approx(1 / 5, abs=0.004)  # E[min of 4 uniforms]


def test_best_of_n_of_a_large_sample_stays_finite() -> None:
    assert best_of_n(rng().random(5000), 2500) == pytest.approx(0.0004, abs=0.001)


def test_failed_trials_weigh_as_worst() -> None:
    values = np.array([0.3, NAN, 0.1])
    assert best_of_n(values, 1) == math.inf
    assert best_of_n(values, 3) == pytest.approx(0.1)
    assert best_of_n(values, 2) == pytest.approx((0.1 + 0.1 + 0.3) / 3)


@pytest.mark.parametrize("n", [0, 7])
def test_best_of_more_than_there_are_is_refused(n: int) -> None:
    with pytest.raises(UsageError, match=r"1\.\.6"):
        best_of_n(np.zeros(6), n)


def test_speed_up_over_random() -> None:
    losses = rng(3).random((50, 40))
    exact = float(best_of_n(losses, 20).mean())
    assert speed_up(losses, exact, budget=10) == pytest.approx(2.0)
    assert speed_up(losses, -1.0, budget=10) == math.inf
    assert speed_up(losses, 2.0, budget=10) == pytest.approx(0.1)


def test_overtuning_and_what_selection_cost() -> None:
    chosen = np.array([[0.30, 0.20, 0.25], [NAN, 0.30, 0.40], [0.30, 0.20, 0.20]])
    test = np.array([[0.30, 0.20, 0.25], [NAN, 0.30, 0.40], [0.30, 0.20, 0.10]])
    assert overtuning(chosen) == pytest.approx([0.05, 0.10, 0.0])
    assert relative_overtuning(chosen)[[0, 2]] == pytest.approx([0.5, 0.0])
    assert np.isnan(relative_overtuning(chosen)[1])  # it never improved: no denominator
    assert selection_gap(chosen, test) == pytest.approx([0.05, 0.10, 0.10])


def test_runs_without_a_success_have_no_cost() -> None:
    nothing = np.full((1, 3), NAN)
    assert np.isnan(overtuning(nothing)).all()
    assert np.isnan(relative_overtuning(nothing)).all()
    assert np.isnan(selection_gap(nothing, nothing)).all()


def test_targets_between_two_runs_are_reached_and_counted_once() -> None:
    # medians (5 + 7) / 2, (4 + 8) / 2 and 6 of 359 wrong are one target, which a run with 6 wrong reaches
    for total in range(200, 400):
        runs = np.array([[5, 4, 5], [7, 8, 7]]) / total
        targets = runlength_targets(runs)
        assert len(targets) == 1
        assert first_hits(np.array([[6 / total]]), targets).tolist() == [[1.0]]
        assert math.isinf(first_hits(np.array([[6.001 / total]]), targets)[0, 0])

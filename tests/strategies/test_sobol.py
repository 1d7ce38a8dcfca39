from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import qmc

from hpbench.space import Float, Integer, SearchSpace
from hpbench.strategies.sobol import SobolStrategy

SQUARE = SearchSpace((Float("x", 0.0, 1.0), Float("y", 0.0, 1.0)))


def points(space: SearchSpace, seed: int, count: int) -> list[list[float]]:
    strategy = SobolStrategy(space, full_epochs=3, seed=seed, budget_trials=None)
    return [[float(value) for value in strategy.ask().config.values()] for _ in range(count)]


def test_it_is_one_unbroken_sequence_over_several_blocks() -> None:
    strategy_points = points(SQUARE, 3, 200)
    reference = qmc.Sobol(2, scramble=True, seed=np.random.default_rng(3)).random(256)[:200]
    assert strategy_points == reference.tolist()


@pytest.mark.parametrize("count", [7, 20, 64])
def test_no_warning_whatever_the_number_of_trials(count: int) -> None:
    assert len(points(SQUARE, 0, count)) == count


def test_the_first_sixteen_fill_every_sixteenth() -> None:
    for axis in (0, 1):
        cells = {int(point[axis] * 16) for point in points(SQUARE, 9, 16)}
        assert cells == set(range(16))


def test_it_is_more_even_than_random_numbers() -> None:
    even = float(qmc.discrepancy(np.array(points(SQUARE, 1, 64))))
    drawn = [float(qmc.discrepancy(np.random.default_rng(seed).random((64, 2)))) for seed in range(10)]
    assert even < min(drawn)


def test_integers_come_in_proportion() -> None:
    space = SearchSpace((Integer("n", 1, 4),))
    values = [int(point[0]) for point in points(space, 2, 64)]
    assert [values.count(value) for value in (1, 2, 3, 4)] == [16, 16, 16, 16]


def test_seeds_scramble_differently() -> None:
    assert all(one != other for one, other in pairwise(points(SQUARE, seed, 8) for seed in range(4)))


def test_a_space_without_parameters_has_one_configuration() -> None:
    strategy = SobolStrategy(SearchSpace(()), full_epochs=3, seed=0, budget_trials=4)
    assert strategy.ask().config == {}

from __future__ import annotations

import numpy as np

from hpbench.space import Categorical, Float, SearchSpace
from hpbench.strategies.random import RandomStrategy
from hpbench.testing.strategy_kit import SPACES


def test_draws_are_those_of_the_space_under_the_seed() -> None:
    space = SPACES["conditional"]
    strategy = RandomStrategy(space, full_epochs=3, seed=11, budget_trials=None)
    rng = np.random.default_rng(11)
    for _ in range(20):
        assert strategy.ask().config == space.sample(rng)


def test_logarithmic_values_are_uniform_in_the_logarithm() -> None:
    space = SearchSpace((Float("x", 1e-4, 1.0, log=True), Categorical("c", ("a", "b"))))
    strategy = RandomStrategy(space, full_epochs=3, seed=5, budget_trials=None)
    drawn = [strategy.ask().config for _ in range(2000)]
    below_the_middle = sum(float(config["x"]) < 1e-2 for config in drawn) / len(drawn)
    assert abs(below_the_middle - 0.5) < 0.05
    assert abs(sum(config["c"] == "a" for config in drawn) / len(drawn) - 0.5) < 0.05


def test_a_space_without_parameters_has_one_configuration() -> None:
    strategy = RandomStrategy(SearchSpace(()), full_epochs=3, seed=0, budget_trials=4)
    assert strategy.ask().config == {}

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hpbench.errors import UsageError
from hpbench.space import Categorical, Float, Integer, SearchSpace
from hpbench.strategies.genetic import GeneticStrategy, _mutate, _reflected, default_population_size
from hpbench.strategies.random import RandomStrategy
from hpbench.testing.driving import drive, never, smooth_error, told
from hpbench.testing.strategy_kit import SPACES
from hpbench.trial import Proposal, Status, Trial

MIXED = SPACES["mixed"]


def genetic(
    space: SearchSpace = MIXED, seed: int = 0, budget: int | None = 20, **options: Any
) -> GeneticStrategy:
    return GeneticStrategy(space, full_epochs=3, seed=seed, budget_trials=budget, **options)


def best(strategy: Any, trials: int) -> float:
    return min(smooth_error(MIXED, item.config) for item in drive(strategy, MIXED, 3, trials, never))


@pytest.mark.parametrize(("budget", "size"), [(None, 20), (5, 4), (20, 5), (30, 7), (50, 12), (1000, 20)])
def test_the_default_population_is_a_quarter_of_the_budget(budget: int | None, size: int) -> None:
    assert default_population_size(budget) == size


def test_the_first_generation_is_drawn_as_random_search_draws() -> None:
    strategy = genetic(seed=4, population_size=6)
    rng = RandomStrategy(MIXED, full_epochs=3, seed=4, budget_trials=20)
    assert [strategy.ask() for _ in range(6)] == [rng.ask() for _ in range(6)]


def test_it_beats_random_search_on_a_smooth_function() -> None:
    wins = sum(
        best(genetic(seed=seed, budget=120), 120)
        < best(RandomStrategy(MIXED, full_epochs=3, seed=seed, budget_trials=120), 120)
        for seed in range(20)
    )
    assert wins >= 15


def test_without_mutation_children_only_mix_their_parents() -> None:
    strategy = genetic(population_size=6, mutation_rate=0.0, elites=0)
    proposals = drive(strategy, MIXED, 3, 12, never)
    for child in proposals[6:]:
        for name, value in child.config.items():
            assert value in {parent.config[name] for parent in proposals[:6]}


def test_an_elite_stays_a_parent_without_being_trained_again() -> None:
    """With all weight on one elite and no variation, its genes are the only ones ever bred."""
    options = {
        "population_size": 4,
        "elites": 1,
        "crossover_rate": 0.0,
        "mutation_rate": 0.0,
        "tournament_size": 64,
    }
    proposals = drive(genetic(**options), MIXED, 3, 16, never)
    errors = [smooth_error(MIXED, proposal.config) for proposal in proposals]
    champion = proposals[errors.index(min(errors[:4]))]
    assert all(child.config == champion.config for child in proposals[4:])


def test_a_failed_trial_is_never_preferred_to_one_that_succeeded() -> None:
    strategy = genetic(population_size=4, elites=0, crossover_rate=0.0, mutation_rate=0.0, tournament_size=64)
    given: list[Proposal] = []
    for number in range(4):
        given.append(strategy.ask())
        strategy.tell(told(MIXED, 3, number, given, lambda trial: trial != 2))
    assert strategy.ask().config == given[2].config


def test_configurations_are_hardly_ever_proposed_twice() -> None:
    space = SearchSpace((Categorical("c", tuple("abcdef")), Integer("n", 1, 6)))
    proposals = drive(genetic(space, budget=24), space, 3, 24, never)
    assert len({json.dumps(dict(item.config)) for item in proposals}) >= 23


def test_a_finished_space_is_repeated_instead_of_hanging() -> None:
    space = SearchSpace((Categorical("c", ("a", "b")),))
    assert len(drive(genetic(space), space, 3, 10, never)) == 10


def test_inactive_genes_are_carried_along() -> None:
    space = SPACES["conditional"]
    strategy = genetic(space, population_size=4)
    for proposal in drive(strategy, space, 3, 12, never):
        space.check(proposal.config)
    assert all(set(genes) == set(space.names) for genes in strategy._asked)


def test_asked_ahead_it_breeds_from_the_last_complete_generation() -> None:
    strategy = genetic(population_size=4)
    ahead = [strategy.ask() for _ in range(7)]
    for number in range(7):
        trial = Trial(number, ahead[number].config, Status.OK, 0.1 * number, 0, 3)
        strategy.tell(trial)
    MIXED.check(strategy.ask().config)


class TestMutation:
    rng = np.random.default_rng(8)

    def test_an_unordered_choice_becomes_any_other_one(self) -> None:
        parameter = Categorical("c", ("a", "b", "c"))
        assert {_mutate(parameter, "b", 0.1, self.rng) for _ in range(50)} == {"a", "c"}

    def test_an_ordered_choice_moves_to_a_neighbour(self) -> None:
        parameter = Categorical("c", (1, 2, 4, 8), ordered=True)
        assert {_mutate(parameter, 2, 0.1, self.rng) for _ in range(50)} == {1, 4}
        assert {_mutate(parameter, 8, 0.1, self.rng) for _ in range(20)} == {4}

    def test_a_whole_number_always_changes(self) -> None:
        parameter = Integer("n", 1, 3)
        for value in (1, 2, 3):
            assert value not in {_mutate(parameter, value, 0.01, self.rng) for _ in range(50)}

    def test_a_real_number_moves_a_little_on_its_own_scale(self) -> None:
        parameter = Float("x", 1e-4, 1.0, log=True)
        moved = [float(_mutate(parameter, 1e-2, 0.1, self.rng)) for _ in range(2000)]
        assert np.std(np.log10(moved)) == pytest.approx(0.4, rel=0.1)
        assert all(parameter.contains(value) for value in moved)

    @pytest.mark.parametrize(
        "parameter",
        [
            Categorical("c", ("a",)),
            Categorical("c", (1,), ordered=True),
            Integer("n", 5, 5),
            Float("x", 2.0, 2.0),
        ],
    )
    def test_a_single_value_stays(self, parameter: Any) -> None:
        value = parameter.from_unit(0.5)
        assert {_mutate(parameter, value, 0.1, self.rng) for _ in range(10)} == {value}

    @pytest.mark.parametrize(
        ("unit", "expected"),
        [(0.25, 0.25), (-0.25, 0.25), (1.25, 0.75), (2.25, 0.25), (-1.25, 0.75), (1.0, 1.0)],
    )
    def test_steps_are_folded_back_at_the_ends(self, unit: float, expected: float) -> None:
        assert _reflected(unit) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population_size": 1}, "2 <= population_size"),
        ({"population_size": 4, "elites": 4}, "0 <= elites <= 3"),
        ({"elites": -1}, "0 <= elites"),
        ({"tournament_size": 0}, "1 <= tournament_size"),
        ({"crossover_rate": 1.5}, "0 <= crossover_rate <= 1"),
        ({"mutation_rate": -0.1}, "0 <= mutation_rate <= 1"),
        ({"mutation_scale": float("nan")}, "mutation_scale"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        genetic(**options)

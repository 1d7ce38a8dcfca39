"""A generational genetic algorithm for mixed spaces.

References:
    Goldberg (1989), Genetic Algorithms in Search, Optimization and Machine Learning.
    Goldberg & Deb (1991), Foundations of Genetic Algorithms 1, 69-93 (tournament selection).
    Syswerda (1989), ICGA 3, 2-9 (uniform crossover).
    Eiben & Smith (2015), Introduction to Evolutionary Computing, 2nd ed., chapters 4 and 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from hpbench.errors import UsageError
from hpbench.space import Categorical, Integer, Parameter, SearchSpace
from hpbench.strategies.base import Capability, Strategy
from hpbench.trial import Config, Proposal, Trial, Value

__all__ = ["GeneticStrategy", "default_population_size"]

Genes = dict[str, Value]
"""A value for *every* hyperparameter; those that are inactive are carried along, not expressed."""

_RETRIES = 10
"""How often a child that was proposed before is mutated again before it is proposed all the same."""


@dataclass(frozen=True)
class _Individual:
    """Genes and how they did; ordered by error, then by age."""

    genes: Genes
    error: float
    number: int

    @property
    def rank(self) -> tuple[float, int]:
        """What is compared: the smaller, the fitter."""
        return self.error, self.number


class GeneticStrategy(Strategy):
    """Tournament selection, uniform crossover, mutation by type, elitism; generation after generation.

    The first generation is drawn as ``random`` draws it. Of every later one, ``elites`` members are
    the best of the generation before, which keep their error and are not trained again; the others are
    children. A child has two parents, each the winner of a tournament, takes every gene from either
    parent with equal probability (with probability ``crossover_rate``, else all from the first), and
    then every gene mutates with probability ``mutation_rate``:

    - a real number moves by a normal step of ``mutation_scale`` in the unit interval (so on a
      logarithmic scale where the space says so) and is reflected at the ends;
    - a whole number does the same, and takes a step of one if it would not have changed;
    - an ordered choice moves to a neighbour;
    - an unordered choice becomes any other one.

    A child that was proposed before is mutated up to ten more times. A failed trial has the worst
    possible fitness. Asked ahead of the results, the strategy goes on breeding from the last complete
    generation.

    Args:
        space: what is searched.
        full_epochs: the full fidelity.
        seed: decides everything random.
        budget_trials: only for the default of ``population_size``.
        population_size: members of a generation, at least 2; None for
            :func:`default_population_size`.
        elites: members that survive unchanged, fewer than ``population_size``.
        tournament_size: how many are drawn, with replacement, for a tournament.
        crossover_rate: probability that a child mixes two parents.
        mutation_rate: probability that a gene mutates; None for one over the number of genes
            (Eiben & Smith 2015, section 4.2.1: one mutation a child on average).
        mutation_scale: standard deviation of a numeric step, as a share of the range.

    Raises:
        UsageError: an option is outside its range.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CONDITIONAL, Capability.PARALLEL})

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        population_size: int | None = None,
        elites: int = 1,
        tournament_size: int = 2,
        crossover_rate: float = 0.9,
        mutation_rate: float | None = None,
        mutation_scale: float = 0.1,
    ) -> None:
        super().__init__(space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials)
        size = default_population_size(budget_trials) if population_size is None else population_size
        rate = 1.0 / max(len(space.parameters), 1) if mutation_rate is None else mutation_rate
        _require("population_size", size, low=2)
        _require("elites", elites, low=0, high=size - 1)
        _require("tournament_size", tournament_size, low=1)
        _require("crossover_rate", crossover_rate, low=0, high=1)
        _require("mutation_rate", rate, low=0, high=1)
        _require("mutation_scale", mutation_scale, low=0, high=1)
        self._population_size = size
        self._elites = elites
        self._tournament_size = tournament_size
        self._crossover_rate = crossover_rate
        self._mutation_rate = rate
        self._mutation_scale = mutation_scale
        self._rng = np.random.default_rng(seed)
        self._population: list[_Individual] = []
        self._arrived: list[_Individual] = []
        self._asked: list[Genes] = []
        self._seen: set[tuple[tuple[str, Value], ...]] = set()

    def ask(self) -> Proposal:
        """Return a newcomer in the first generation, a child in the later ones."""
        genes = self._unseen(self._child() if self._population else self._newcomer())
        config = self.space.active(genes)
        self._asked.append(genes)
        self._seen.add(_key(config))
        return Proposal(config)

    def tell(self, trial: Trial) -> None:
        """Add the individual to the coming generation, which replaces the last one when complete."""
        error = math.inf if trial.objective is None else trial.objective
        self._arrived.append(_Individual(self._asked[trial.number], error, trial.number))
        elites = sorted(self._population, key=lambda member: member.rank)[: self._elites]
        if len(elites) + len(self._arrived) >= self._population_size:
            self._population = [*elites, *self._arrived]
            self._arrived = []

    def _newcomer(self) -> Genes:
        """Return random genes."""
        units = self._rng.random(len(self.space.parameters)).tolist()
        pairs = zip(self.space.parameters, units, strict=True)
        return {parameter.name: parameter.from_unit(unit) for parameter, unit in pairs}

    def _child(self) -> Genes:
        """Return the genes of a child of two winners of tournaments."""
        first, second = self._winner(), self._winner()
        if self._rng.random() >= self._crossover_rate:
            return self._mutated(first)
        from_first = self._rng.random(len(first)) < 0.5  # noqa: PLR2004 - either parent alike
        pairs = zip(first, from_first.tolist(), strict=True)
        return self._mutated({name: (first if own else second)[name] for name, own in pairs})

    def _winner(self) -> Genes:
        """Return the genes of the fittest of a few members drawn with replacement."""
        places = self._rng.integers(len(self._population), size=self._tournament_size).tolist()
        drawn: list[_Individual] = [self._population[place] for place in places]
        return min(drawn, key=lambda member: member.rank).genes

    def _mutated(self, genes: Genes) -> Genes:
        """Return ``genes`` after mutation."""
        hits = (self._rng.random(len(genes)) < self._mutation_rate).tolist()
        return {
            parameter.name: _mutate(parameter, genes[parameter.name], self._mutation_scale, self._rng)
            if hit
            else genes[parameter.name]
            for parameter, hit in zip(self.space.parameters, hits, strict=True)
        }

    def _unseen(self, genes: Genes) -> Genes:
        """Return ``genes``, mutated again a few times while their configuration was proposed before."""
        for _ in range(_RETRIES):
            if _key(self.space.active(genes)) not in self._seen:
                break
            genes = self._mutated(genes)
        return genes


def default_population_size(budget_trials: int | None) -> int:
    """Return a quarter of the budget, between 4 and 20; 20 where the budget is not counted in trials.

    Four generations are few, yet a smaller population has little variety left to recombine. The
    numbers are conventional ones, like tournaments of two; they were not tuned against the other
    strategies, which run under their own defaults as well.
    """
    return 20 if budget_trials is None else min(max(budget_trials // 4, 4), 20)


def _mutate(parameter: Parameter, value: Value, scale: float, rng: Generator) -> Value:
    """Return another value of ``parameter`` near ``value``, in the manner of its type."""
    if isinstance(parameter, Categorical):
        count, place = len(parameter.choices), parameter.index(value)
        if parameter.ordered:
            return parameter.choices[_stepped(place, 0, count - 1, rng)]
        return parameter.choices[(place + int(rng.integers(1, max(count, 2)))) % count]
    moved = parameter.from_unit(_reflected(parameter.to_unit(value) + scale * float(rng.standard_normal())))
    if isinstance(parameter, Integer) and moved == value:
        return _stepped(int(value), parameter.low, parameter.high, rng)
    return moved


def _stepped(place: int, low: int, high: int, rng: Generator) -> int:
    """Return a neighbour of ``place`` in ``[low, high]``; at an end there is only one."""
    upwards = bool(rng.integers(2))
    if place == low:
        upwards = True
    elif place == high:
        upwards = False
    return min(max(place + (1 if upwards else -1), low), high)


def _reflected(unit: float) -> float:
    """Return ``unit`` folded back into [0, 1]."""
    folded = abs(unit) % 2.0
    return 2.0 - folded if folded > 1.0 else folded


def _key(config: Config) -> tuple[tuple[str, Value], ...]:
    """Return something hashable that equal configurations share."""
    return tuple(config.items())


def _require(name: str, value: float, *, low: float, high: float = math.inf) -> None:
    """Raise unless ``value`` lies in ``[low, high]``."""
    if not low <= value <= high:
        bounds = f"`{low} <= {name}`" if high == math.inf else f"`{low} <= {name} <= {high}`"
        message = f"{bounds} must hold for strategy 'genetic', got {name} = {value!r}."
        raise UsageError(message)

"""Grid search: every combination of a few levels of each hyperparameter, as many as the budget takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np

from hpbench.errors import UsageError
from hpbench.space import Parameter, SearchSpace
from hpbench.strategies.base import Capability, Strategy
from hpbench.trial import Proposal, Trial, Value

__all__ = ["GridStrategy", "fit_levels"]

Levels = dict[str, tuple[Value, ...]]


class GridStrategy(Strategy):
    """Visits a grid fitted to the budget, in an order shuffled by the seed; None when all was visited.

    The size is fitted greedily, and nothing in it is random. Every hyperparameter starts with one
    level, its default. Then, again and again, the one with the fewest levels (the earliest declared
    among equals) gets one more, as long as the grid grows and still fits the budget; a hyperparameter
    that would burst the budget is passed over for the next one. Two and more levels are evenly spaced,
    on a logarithmic scale where the space says so, and include both ends; an unordered choice takes
    its first values. Points that differ only in inactive hyperparameters are one point and counted
    once.

    Args:
        space: what is searched.
        full_epochs: the full fidelity.
        seed: decides the order of the visit, not the grid.
        budget_trials: the largest grid.
        levels: hyperparameter → number of levels, instead of the fitted number.
        points: the largest grid; needed where the budget is not counted in trials.

    Raises:
        UsageError: ``levels`` names an unknown hyperparameter, asks for less than one level or for
            more than there are values, or gives a grid above the budget; or neither ``points`` nor a
            budget in trials says how large the grid may be.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.CONDITIONAL, Capability.PARALLEL, Capability.NON_ADAPTIVE}
    )

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        levels: dict[str, int] | None = None,
        points: int | None = None,
    ) -> None:
        super().__init__(space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials)
        chosen = fit_levels(space, _grid_budget(budget_trials, points), levels or {})
        grid = list(_points(space.parameters, chosen, {}))
        self.n_proposals = len(grid)
        order = np.random.default_rng(seed).permutation(len(grid)).tolist()
        self._unvisited = iter([grid[place] for place in order])

    def ask(self) -> Proposal | None:
        """Return the next point; None when the grid is finished."""
        config = next(self._unvisited, None)
        return None if config is None else Proposal(config)

    def tell(self, trial: Trial) -> None:
        """Learn nothing."""


def fit_levels(space: SearchSpace, budget: int, overrides: Mapping[str, int]) -> Levels:
    """Return the values that the grid combines, by hyperparameter; see :class:`GridStrategy`.

    Args:
        space: what is searched.
        budget: the largest number of points.
        overrides: numbers of levels that are not fitted.

    Raises:
        UsageError: an override is impossible, or the overrides alone burst the budget.
    """
    defaults = space.default_values()
    levels: Levels = {name: (value,) for name, value in defaults.items()}
    for name, count in overrides.items():
        levels[name] = _overridden(space[name], count)
    size = _size(space.parameters, levels, {})
    if size > budget:
        message = (
            f"`levels` of strategy 'grid' must give a grid of at most {budget} points, the budget; "
            f"got {size} from {dict(overrides)!r}. Ask for fewer levels or allow more trials."
        )
        raise UsageError(message)
    free = [parameter for parameter in space.parameters if parameter.name not in overrides]
    while (grown := _grown(space, levels, free, budget)) is not None:
        levels = grown
    return levels


def _grid_budget(budget_trials: int | None, points: int | None) -> int:
    """Return the largest grid that is allowed."""
    limit = budget_trials if points is None else points
    if limit is None:
        message = (
            "strategy 'grid' must know how large its grid may be, but the budget is not counted in trials; "
            "give it options = { points = 20 }."
        )
        raise UsageError(message)
    if limit < 1:
        message = f"`points >= 1` must hold for strategy 'grid', got points = {limit!r}."
        raise UsageError(message)
    if budget_trials is not None and limit > budget_trials:
        message = (
            f"`points` of strategy 'grid' must be at most the budget of {budget_trials} trials, "
            f"got points = {limit}; lower it or leave it out."
        )
        raise UsageError(message)
    return limit


def _overridden(parameter: Parameter, count: int) -> tuple[Value, ...]:
    """Return as many levels as the user asked for."""
    if count < 1:
        message = f"`levels.{parameter.name} >= 1` must hold for strategy 'grid', got {count!r}."
        raise UsageError(message)
    if count > parameter.n_values:
        message = (
            f"`levels.{parameter.name}` of strategy 'grid' must be at most {parameter.n_values}, "
            f"the number of values that {parameter.name!r} has, got {count!r}."
        )
        raise UsageError(message)
    return parameter.levels(count)


def _grown(space: SearchSpace, levels: Levels, free: list[Parameter], budget: int) -> Levels | None:
    """Return ``levels`` with one more level somewhere; None if nothing can grow within ``budget``."""
    size = _size(space.parameters, levels, {})
    for parameter in sorted(free, key=lambda item: len(levels[item.name])):
        larger = _larger(parameter, len(levels[parameter.name]), budget)
        if larger is None:
            continue
        candidate = {**levels, parameter.name: larger}
        if size < _size(space.parameters, candidate, {}) <= budget:
            return candidate
    return None


def _larger(parameter: Parameter, count: int, budget: int) -> tuple[Value, ...] | None:
    """Return the next larger set of levels: integers on a logarithmic scale may skip a number."""
    for wanted in range(count + 1, int(min(budget, parameter.n_values)) + 1):
        values = parameter.levels(wanted)
        if len(values) > count:
            return values
    return None


def _size(parameters: tuple[Parameter, ...], levels: Levels, config: dict[str, Value]) -> int:
    """Return how many different points the grid has, without listing them.

    Only hyperparameters that others wait for are branched on; the others multiply.
    """
    parents = {parameter.when.parent for parameter in parameters if parameter.when is not None}
    size = 1
    for place, parameter in enumerate(parameters):
        if parameter.when is not None and not parameter.when.holds(config):
            continue
        if parameter.name in parents:
            rest = parameters[place + 1 :]
            values = levels[parameter.name]
            return size * sum(_size(rest, levels, {**config, parameter.name: value}) for value in values)
        size *= len(levels[parameter.name])
    return size


def _points(
    parameters: tuple[Parameter, ...], levels: Levels, config: dict[str, Value]
) -> Iterator[dict[str, Value]]:
    """Yield every different point once, the last hyperparameter varying fastest."""
    if not parameters:
        yield config
        return
    first, rest = parameters[0], parameters[1:]
    if first.when is not None and not first.when.holds(config):
        yield from _points(rest, levels, config)
        return
    for value in levels[first.name]:
        yield from _points(rest, levels, {**config, first.name: value})

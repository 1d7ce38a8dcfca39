"""What decides the time of a training step: the signatures of the modelled clock, and what one costs.

Needs no torch, so a plan can count the signatures of a space.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hpbench.space import Categorical, Condition, Float, Parameter, SearchSpace
from hpbench.tasks.networks.base import NetworkFamily
from hpbench.tasks.training.recipe import Recipe
from hpbench.trial import Config, Value

__all__ = ["StepCost", "signature_of", "signatures_of"]

_RECIPE = ("batch_size", "optimizer", "dropout", "l1")
_MOST_SIZES = 16
_GRID: tuple[int, ...] = tuple(
    sorted({*(2**power for power in range(53)), *(3 * 2**power for power in range(51))})
)
"""Sizes for ranges that a family gives no buckets for: each half as large again as, or a third larger than, the last."""


@dataclass(frozen=True)
class StepCost:
    """What the reference trainer takes for one signature, alone on the machine.

    Attributes:
        step_seconds: one optimiser step, its share of an epoch's preparation included.
        val_seconds: scoring the validation part once.
        test_seconds: scoring the test part once.
    """

    step_seconds: float
    val_seconds: float
    test_seconds: float


def signature_of(family: NetworkFamily, space: SearchSpace, config: Config, n_train: int) -> str:
    """Return, as canonical JSON, everything in ``config`` that decides the time of a step.

    It is what shapes the network, with sizes rounded up to the family's buckets; the batch size, at
    most the training examples; the optimiser; whether there is dropout, and whether an L1 penalty.
    Learning rate, activation and the like are left out: they do not matter, or hardly. A whole number
    without buckets that has more than 16 values in the space (or lies above the last bucket) is
    rounded up to a power of two or three times one, so that a wide range has few signatures too.

    Args:
        family: whose shaping hyperparameters and buckets count.
        space: of the task; its ranges decide which numbers are rounded.
        config: with or without the constants of ``space``.
        n_train: training examples.
    """
    complete = space.complete(config)
    recipe = Recipe.of(complete, n_train)
    found: dict[str, Value] = {
        name: _size(family, space, name, complete[name])
        for name in family.shaping
        if name in complete and name not in _RECIPE
    }
    found["batch_size"] = min(int(_size(family, space, "batch_size", recipe.batch_size)), n_train)
    found.update(optimizer=recipe.optimizer, dropout=recipe.dropout > 0.0, l1=recipe.l1 > 0.0)
    return json.dumps(found, sort_keys=True, separators=(",", ":"))


def signatures_of(family: NetworkFamily, space: SearchSpace, n_train: int) -> list[str]:
    """Return every signature that a configuration of ``space`` can have, in a fixed order."""
    relevant = _relevant(family, space)
    found = (signature_of(family, space, config, n_train) for config in _configs(family, space, relevant))
    return list(dict.fromkeys(found))


def _size(family: NetworkFamily, space: SearchSpace, name: str, value: Value) -> Value:
    """Return ``value`` rounded up to what it is calibrated at."""
    if type(value) is not int:
        return value
    buckets = family.buckets.get(name, ())
    place = bisect_left(buckets, value)
    if place < len(buckets):
        return buckets[place]
    parameter = space[name] if name in space.names else None
    if parameter is None or isinstance(parameter, Categorical) or parameter.n_values <= _MOST_SIZES:
        return value
    return _GRID[bisect_left(_GRID, value)]


def _relevant(family: NetworkFamily, space: SearchSpace) -> set[str]:
    """Return the searched names that a signature can depend on, with the parents of their conditions."""
    wanted = {*family.shaping, *_RECIPE}
    for parameter in reversed(space.parameters):
        if parameter.name in wanted and parameter.when is not None:
            wanted.add(parameter.when.parent)
    return wanted & set(space.names)


def _configs(family: NetworkFamily, space: SearchSpace, relevant: set[str]) -> Iterator[dict[str, Value]]:
    """Yield partial configurations that meet every signature: one value of each kind, all combinations."""
    parameters = [parameter for parameter in space.parameters if parameter.name in relevant]
    conditions = [item.when for item in space.parameters if item.when is not None]
    kinds = [_representatives(family, space, parameter, conditions) for parameter in parameters]
    waiting: list[dict[str, Value]] = [{}]
    for parameter, values in zip(parameters, kinds, strict=True):
        extended: list[dict[str, Value]] = []
        for config in waiting:
            if parameter.when is None or parameter.when.holds(config):
                extended += [{**config, parameter.name: value} for value in values]
            else:
                extended.append(config)
        waiting = extended
    yield from waiting


def _representatives(
    family: NetworkFamily, space: SearchSpace, parameter: Parameter, conditions: Sequence[Condition]
) -> list[Value]:
    """Return values of ``parameter`` of which every other one is like one: in size, and in what it activates."""
    if isinstance(parameter, Categorical):
        return list(parameter.choices)
    named = [value for item in conditions if item.parent == parameter.name for value in item.values]
    values: list[Value] = [parameter.low, parameter.high, *named]
    if isinstance(parameter, Float):
        return list(dict.fromkeys(values))
    step, low = [], parameter.low
    while low <= parameter.high:
        step.append(low)
        low = max(low, int(_size(family, space, parameter.name, low))) + 1
    others = [value + 1 for value in named if type(value) is int and value < parameter.high]
    return list(dict.fromkeys([*step, *named, *others]))

"""What the adapters of foreign libraries share: the searched part of a space, plain values, failed trials."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from hpbench.environment import library_version
from hpbench.errors import UnsuitableSpaceError, UsageError
from hpbench.space import Categorical, Condition, Float, Parameter, SearchSpace
from hpbench.strategies.base import Capability, Strategy
from hpbench.trial import Value

__all__ = [
    "WorstSoFar",
    "check_known",
    "check_least",
    "check_searchable",
    "completed",
    "conditions_on_choices",
    "plain",
    "searched",
    "single",
]


def single(parameter: Parameter) -> bool:
    """Return whether ``parameter`` can have one value only; libraries are not asked for such."""
    return parameter.low == parameter.high if isinstance(parameter, Float) else parameter.n_values == 1


def searched(space: SearchSpace) -> tuple[Parameter, ...]:
    """Return the hyperparameters with two or more values, in declaration order."""
    return tuple(parameter for parameter in space.parameters if not single(parameter))


def check_searchable(name: str, kind: type[Strategy], space: SearchSpace) -> None:
    """Raise unless the strategy called ``name`` can search ``space``.

    Raises:
        UnsuitableSpaceError: the space has conditions that ``kind`` cannot express, or nothing to search.
    """
    if space.conditional and Capability.CONDITIONAL not in kind.capabilities:
        raise UnsuitableSpaceError(
            f"strategy {name!r} cannot search a space with conditions: it lacks CONDITIONAL."
        )
    if not searched(space):
        raise UnsuitableSpaceError(
            f"strategy {name!r} needs a hyperparameter with two or more values, got none."
        )


def conditions_on_choices(name: str, space: SearchSpace) -> dict[str, Condition | None]:
    """Return what every searched name waits for, for libraries that nest a space in the branches of choices.

    What waits for a single value waits for what that value itself waits for.

    Raises:
        UnsuitableSpaceError: a condition waits for a number.
    """
    conditions: dict[str, Condition | None] = {}
    for item in space.parameters:
        when = item.when
        if when is not None and single(space[when.parent]):
            when = conditions[when.parent]
        if when is not None and not isinstance(space[when.parent], Categorical):
            raise UnsuitableSpaceError(
                f"strategy {name!r} can express conditions on choices, got one on the number "
                f"{when.parent!r}; give {when.parent!r} a list of values, or fix it."
            )
        conditions[item.name] = when
    return {item.name: conditions[item.name] for item in searched(space)}


def plain(parameter: Parameter, suggested: Any) -> Value:
    """Return a number that a library suggests (``np.float64``, ``np.int64``) as a plain value of the range.

    Floats are clipped, because a logarithm and back may leave the range by the last digit. Choices are
    given by their place in the list.
    """
    if isinstance(parameter, Categorical):
        return parameter.choices[int(suggested)]
    if isinstance(parameter, Float):
        return min(max(float(suggested), float(parameter.low)), float(parameter.high))
    return int(suggested)


def completed(space: SearchSpace, suggested: Mapping[str, Value]) -> dict[str, Value]:
    """Return ``suggested`` as a configuration: single values filled in, inactive names left out, in order."""
    config: dict[str, Value] = {}
    for parameter in space.parameters:
        if parameter.when is None or parameter.when.holds(config):
            config[parameter.name] = (
                parameter.from_unit(0.5) if single(parameter) else suggested[parameter.name]
            )
    return config


def check_least(name: str, least: Mapping[str, float], options: Mapping[str, Any]) -> None:
    """Raise where an option is less than its library can work with, which it would find out trials later.

    Args:
        name: the strategy's.
        least: option → the smallest number; words and None are the library's to understand.
        options: as the suite gave them, defaults filled in.

    Raises:
        UsageError: an option is too small.
    """
    for key, low in least.items():
        value = options.get(key)
        if isinstance(value, int | float) and value < low:
            raise UsageError(f"`{key} >= {low}` must hold for strategy {name!r}, got {key} = {value!r}.")


def check_known(name: str, library: str, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise unless the installed library takes every one of ``options``.

    Raises:
        UsageError: ``function`` has no argument of that name in the version that is installed.
    """
    known = inspect.signature(function).parameters
    if any(item.kind is inspect.Parameter.VAR_KEYWORD for item in known.values()):
        return
    for key in options:
        if key not in known:
            raise UsageError(
                f"option {key!r} of strategy {name!r} must be known to {library}, and version "
                f"{library_version(library)} does not know it; install a version that does."
            )


class WorstSoFar:
    """What a failed trial counts for a library that knows no failures: the worst objective so far.

    Until a trial has succeeded it counts 1, the largest validation error there is.
    """

    def __init__(self) -> None:
        self._worst: float | None = None

    def counted(self, objective: float | None) -> float:
        """Return ``objective``, or what stands for it if the trial failed."""
        if objective is None:
            return 1.0 if self._worst is None else self._worst
        value = float(objective)
        self._worst = value if self._worst is None else max(self._worst, value)
        return value

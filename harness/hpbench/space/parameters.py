"""Hyperparameters with their ranges: what values they can have, and where these lie in the unit interval.

Every parameter maps to and from the unit interval, so that any sampler of the unit cube can search
a mixed space: a value owns the stretch of ``[0, 1)`` that is proportional to its share of the range
(of the logarithm of the range where ``log`` is set).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hpbench.errors import UsageError
from hpbench.trial import Config, Value

__all__ = ["Categorical", "Condition", "Float", "Integer", "Parameter", "among", "nearest_legal"]

_LARGEST_INTEGER = 2**52


@dataclass(frozen=True)
class Condition:
    """A parameter exists only where ``parent`` has one of ``values``."""

    parent: str
    values: tuple[Value, ...]

    def holds(self, config: Config) -> bool:
        """Return whether ``config`` activates the parameter (never if the parent is inactive)."""
        return self.parent in config and self.allows(config[self.parent])

    def allows(self, value: Value) -> bool:
        """Return whether the parent's ``value`` activates the parameter; ``True`` is not ``1``."""
        return among(value, self.values)


@dataclass(frozen=True)
class Float:
    """A real number in ``[low, high]``, searched on a logarithmic scale where ``log`` is set."""

    name: str
    low: float
    high: float
    log: bool = False
    when: Condition | None = None

    def __post_init__(self) -> None:
        _check_range(self.name, self.low, self.high, log=self.log)
        if not math.isfinite(self.high - self.low):
            message = (
                f"`high - low` of {self.name!r} must be finite, got low = {self.low!r}, high = {self.high!r}."
            )
            raise UsageError(message)

    def from_unit(self, unit: float) -> float:
        """Return the value at ``unit`` in [0, 1]; the ends are exact."""
        if unit <= 0.0:
            return float(self.low)
        if unit >= 1.0:
            return float(self.high)
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            value = math.exp(low + unit * (high - low))
        else:
            value = self.low + unit * (self.high - self.low)
        return min(max(value, float(self.low)), float(self.high))

    def to_unit(self, value: Value) -> float:
        """Return the place in [0, 1] of ``value``."""
        low, high, number = float(self.low), float(self.high), float(value)
        if self.log:
            low, high, number = math.log(low), math.log(high), math.log(number)
        return 0.5 if high == low else (number - low) / (high - low)

    def contains(self, value: object) -> bool:
        """Return whether ``value`` is a plain float of the range."""
        return type(value) is float and self.low <= value <= self.high

    def levels(self, count: int) -> tuple[float, ...]:
        """Return ``count`` evenly spaced values: the ends and between; the middle if ``count`` is 1."""
        if count == 1 or self.high == self.low:
            return (self.from_unit(0.5),)
        return tuple(self.from_unit(index / (count - 1)) for index in range(count))

    @property
    def n_values(self) -> float:
        """How many values there are; infinite."""
        return math.inf


@dataclass(frozen=True)
class Integer:
    """A whole number in ``[low, high]``, both included, on a logarithmic scale where ``log`` is set."""

    name: str
    low: int
    high: int
    log: bool = False
    when: Condition | None = None

    def __post_init__(self) -> None:
        if type(self.low) is not int or type(self.high) is not int:
            message = f"`low` and `high` of {self.name!r} must be whole, got {self.low!r} and {self.high!r}."
            raise UsageError(message)
        if max(abs(self.low), abs(self.high)) > _LARGEST_INTEGER:
            message = f"`low` and `high` of {self.name!r} must lie within ±2**52, the integers that floats tell apart."
            raise UsageError(message)
        _check_range(self.name, self.low, self.high, log=self.log)

    def _edges(self) -> tuple[float, float]:
        """Return the ends of the stretch that is divided among the values."""
        if self.log:
            return math.log(self.low - 0.5), math.log(self.high + 0.5)
        return self.low - 0.5, self.high + 0.5

    def from_unit(self, unit: float) -> int:
        """Return the value that owns ``unit`` in [0, 1]."""
        low, high = self._edges()
        place = low + unit * (high - low)
        value = math.exp(place) if self.log else place
        return min(max(math.floor(value + 0.5), self.low), self.high)

    def to_unit(self, value: Value) -> float:
        """Return the place in [0, 1] of ``value``, inside the stretch that it owns."""
        low, high = self._edges()
        place = math.log(float(value)) if self.log else float(value)
        return (place - low) / (high - low)

    def contains(self, value: object) -> bool:
        """Return whether ``value`` is a plain int of the range."""
        return type(value) is int and self.low <= value <= self.high

    def levels(self, count: int) -> tuple[int, ...]:
        """Return at most ``count`` evenly spaced different values, the ends included."""
        scale = Float(self.name, float(self.low), float(self.high), log=self.log)
        rounded = (math.floor(value + 0.5) for value in scale.levels(count))
        return tuple(dict.fromkeys(min(max(value, self.low), self.high) for value in rounded))

    @property
    def n_values(self) -> float:
        """How many values there are."""
        return self.high - self.low + 1


@dataclass(frozen=True)
class Categorical:
    """One of ``choices``; ``ordered`` says that neighbours in the list are neighbours in meaning."""

    name: str
    choices: tuple[Value, ...]
    ordered: bool = False
    when: Condition | None = None

    def __post_init__(self) -> None:
        if not self.choices:
            message = f"`choices` of {self.name!r} must hold at least one value, got none."
            raise UsageError(message)
        if any(isinstance(choice, float) and not math.isfinite(choice) for choice in self.choices):
            message = f"`choices` of {self.name!r} must be finite, got {list(self.choices)!r}."
            raise UsageError(message)
        if len({(type(choice), choice) for choice in self.choices}) < len(self.choices):
            message = f"`choices` of {self.name!r} must be different, got {list(self.choices)!r}."
            raise UsageError(message)

    def from_unit(self, unit: float) -> Value:
        """Return the choice that owns ``unit`` in [0, 1]."""
        return self.choices[min(int(unit * len(self.choices)), len(self.choices) - 1)]

    def to_unit(self, value: Value) -> float:
        """Return the middle of the stretch that ``value`` owns."""
        return (self.index(value) + 0.5) / len(self.choices)

    def index(self, value: object) -> int:
        """Return the place of ``value`` among the choices; the type must be equal too."""
        for place, choice in enumerate(self.choices):
            if _same(choice, value):
                return place
        message = f"{self.name!r} must be one of {list(self.choices)!r}, got {value!r}."
        raise UsageError(message)

    def contains(self, value: object) -> bool:
        """Return whether ``value`` is one of the choices, of the very same type."""
        return among(value, self.choices)

    def levels(self, count: int) -> tuple[Value, ...]:
        """Return ``count`` choices: evenly spaced if ordered, else the first ones (all if there are fewer)."""
        if not self.ordered or count >= len(self.choices):
            return self.choices[:count]
        places = Integer(self.name, 0, len(self.choices) - 1).levels(count)
        return tuple(self.choices[place] for place in places)

    @property
    def n_values(self) -> float:
        """How many values there are."""
        return len(self.choices)


Parameter = Float | Integer | Categorical


def nearest_legal(parameter: Parameter, default: Value | None) -> Value:
    """Return ``default`` if the range holds it, else the nearest value that it does hold."""
    if default is None:
        return parameter.from_unit(0.5)
    if parameter.contains(default):
        return default
    if isinstance(parameter, Categorical):
        if parameter.ordered and all(_is_number(value) for value in (default, *parameter.choices)):
            return min(parameter.choices, key=lambda choice: abs(float(choice) - float(default)))
        return parameter.choices[0]
    if not _is_number(default):
        return parameter.from_unit(0.5)
    clipped = min(max(float(default), float(parameter.low)), float(parameter.high))
    return math.floor(clipped + 0.5) if isinstance(parameter, Integer) else clipped


def _is_number(value: Value) -> bool:
    """Return whether ``value`` has a place on a line; a bool has none."""
    return not isinstance(value, (str, bool))


def _same(one: object, other: object) -> bool:
    """Return whether two values are equal and of the same type (``True`` is not ``1``)."""
    return type(one) is type(other) and one == other


def among(value: object, values: Sequence[Value]) -> bool:
    """Return whether ``value`` is one of ``values``, of the very same type."""
    return any(_same(value, item) for item in values)


def _check_range(name: str, low: float, high: float, *, log: bool) -> None:
    """Raise unless low and high are finite, in order, and positive on a logarithmic scale."""
    if not (math.isfinite(low) and math.isfinite(high)):
        message = f"`low` and `high` of {name!r} must be finite, got low = {low!r}, high = {high!r}."
        raise UsageError(message)
    if low > high:
        message = f"`low <= high` must hold for {name!r}, got low = {low!r}, high = {high!r}."
        raise UsageError(message)
    if log and low <= 0:
        message = f"`low > 0` must hold when `log = true`, got low = {low!r} for {name!r}."
        raise UsageError(message)

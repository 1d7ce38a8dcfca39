"""Search spaces: named hyperparameters with ranges, conditions and constants.

Every parameter maps to and from the unit interval, so that any sampler of the unit cube can search
a mixed space: a value owns the stretch of ``[0, 1)`` that is proportional to its share of the range
(of the logarithm of the range where ``log`` is set).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from numpy.random import Generator

from hpbench.errors import UsageError, unknown_name
from hpbench.trial import Config, Value

__all__ = ["Categorical", "Condition", "Float", "Integer", "Parameter", "SearchSpace"]

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
        return _among(value, self.values)


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
        return _among(value, self.choices)

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


@dataclass(frozen=True)
class SearchSpace:
    """What may be searched, and the constants that complete a configuration.

    Attributes:
        parameters: in declaration order; a parameter's condition names an earlier one.
        constants: names that a suite has fixed; strategies never see them, trainers do.
        defaults: the published default of each name; a range that no longer holds a default takes
            the nearest value that it does hold.

    Raises:
        UsageError: names repeat, or a condition names a later or unknown parameter or a value that
            its parent cannot have.
    """

    parameters: tuple[Parameter, ...]
    constants: Mapping[str, Value] = field(default_factory=dict)
    defaults: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: dict[str, Parameter] = {}
        for parameter in self.parameters:
            if parameter.name in seen or parameter.name in self.constants:
                message = f"hyperparameter {parameter.name!r} is declared twice; keep one."
                raise UsageError(message)
            _check_condition(parameter, seen)
            seen[parameter.name] = parameter

    def __getitem__(self, name: str) -> Parameter:
        """Return the parameter called ``name``."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise unknown_name("hyperparameter", name, [*self.names, *self.constants])

    @property
    def names(self) -> tuple[str, ...]:
        """The searched names, in declaration order."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def conditional(self) -> bool:
        """Whether any parameter exists only under a condition."""
        return any(parameter.when is not None for parameter in self.parameters)

    @property
    def size(self) -> float:
        """The number of configurations, conditions not considered; infinite with any Float."""
        return math.prod(parameter.n_values for parameter in self.parameters)

    def active(self, values: Config) -> dict[str, Value]:
        """Return ``values`` without the parameters whose condition does not hold, in order."""
        config: dict[str, Value] = {}
        for parameter in self.parameters:
            if parameter.when is None or parameter.when.holds(config):
                config[parameter.name] = values[parameter.name]
        return config

    def from_unit(self, point: Sequence[float]) -> dict[str, Value]:
        """Return the configuration at ``point``, shape ``(n_parameters,)``, each in [0, 1].

        Coordinates of inactive parameters are ignored.
        """
        pairs = zip(self.parameters, point, strict=True)
        return self.active({parameter.name: parameter.from_unit(float(unit)) for parameter, unit in pairs})

    def to_unit(self, config: Config) -> list[float]:
        """Return the place of ``config`` in the unit cube; inactive parameters lie at 0.5."""
        return [
            parameter.to_unit(config[parameter.name]) if parameter.name in config else 0.5
            for parameter in self.parameters
        ]

    def sample(self, rng: Generator) -> dict[str, Value]:
        """Return a configuration drawn uniformly (log-uniformly where ``log`` is set)."""
        return self.from_unit(rng.random(len(self.parameters)).tolist())

    def check(self, config: Config) -> None:
        """Raise unless ``config`` has exactly the active names, each legal and of its built-in type.

        Raises:
            UsageError: a name is unknown, missing or inactive, or a value is outside its range.
        """
        for name in config:
            if name not in self.names:
                raise unknown_name("hyperparameter", name, self.names)
        activated: dict[str, Value] = {}
        for parameter in self.parameters:
            if parameter.when is not None and not parameter.when.holds(activated):
                if parameter.name in config:
                    message = (
                        f"{parameter.name!r} exists only where {parameter.when.parent!r} is one of "
                        f"{list(parameter.when.values)!r}; leave it out of {dict(config)!r}."
                    )
                    raise UsageError(message)
                continue
            if parameter.name not in config:
                message = f"the configuration {dict(config)!r} lacks {parameter.name!r}."
                raise UsageError(message)
            value = config[parameter.name]
            if not parameter.contains(value):
                message = f"{parameter!r} cannot have the value {value!r} ({type(value).__name__})."
                raise UsageError(message)
            activated[parameter.name] = value

    def default_config(self) -> dict[str, Value]:
        """Return the default configuration, moved into the space where a suite narrowed it.

        A parameter without a declared default takes the middle of its range.
        """
        return self.active(self.default_values())

    def default_values(self) -> dict[str, Value]:
        """Return a default for every parameter, those that the default configuration leaves out too."""
        return {item.name: _nearest_legal(item, self.defaults.get(item.name)) for item in self.parameters}

    def complete(self, config: Config) -> dict[str, Value]:
        """Return ``config`` with the constants added: what a trainer needs."""
        return {**self.constants, **config}

    def fixed(self, name: str, value: Value) -> SearchSpace:
        """Return this space with ``name`` fixed; parameters that hang on it are settled or dropped.

        One that is settled still waits for whatever ``name`` itself waited for.

        Raises:
            UsageError: the space has neither a parameter nor a constant of that name.
        """
        if name in self.constants:
            return SearchSpace(self.parameters, {**self.constants, name: value}, self.defaults)
        inherited = self[name].when
        kept: list[Parameter] = []
        constants = {**self.constants, name: value}
        for parameter in self.parameters:
            condition = parameter.when
            if parameter.name == name:
                continue
            if condition is not None and condition.parent == name:
                if condition.allows(value):
                    kept.append(replace(parameter, when=inherited))
            elif condition is not None and condition.parent not in {item.name for item in kept}:
                continue
            else:
                kept.append(parameter)
        return SearchSpace(tuple(kept), constants, self.defaults)

    def changed(self, parameter: Parameter) -> SearchSpace:
        """Return this space with another range for ``parameter.name``, its place kept.

        A constant becomes searched; a parameter that the space lacks is an error. Conditions on
        choices that the new range no longer offers lose those choices, and vanish with the last.
        """
        if parameter.name in self.constants:
            constants = {key: value for key, value in self.constants.items() if key != parameter.name}
            return SearchSpace((*self.parameters, parameter), constants, self.defaults)
        _ = self[parameter.name]
        updated: list[Parameter] = []
        for item in self.parameters:
            if item.name == parameter.name:
                updated.append(parameter)
                continue
            narrowed = _narrowed_condition(item, parameter)
            if narrowed is not None and _condition_possible(narrowed, updated):
                updated.append(narrowed)
        return SearchSpace(tuple(updated), self.constants, self.defaults)


def _nearest_legal(parameter: Parameter, default: Value | None) -> Value:
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


def _among(value: object, values: Sequence[Value]) -> bool:
    """Return whether ``value`` is one of ``values``, of the very same type."""
    return any(_same(value, item) for item in values)


def _condition_possible(parameter: Parameter, earlier: Sequence[Parameter]) -> bool:
    """Return whether the parent of ``parameter`` is still there."""
    return parameter.when is None or parameter.when.parent in {item.name for item in earlier}


def _narrowed_condition(item: Parameter, parent: Parameter) -> Parameter | None:
    """Return ``item`` with its condition cut to what ``parent`` can still be; None if nothing is left."""
    if item.when is None or item.when.parent != parent.name:
        return item
    possible = tuple(value for value in item.when.values if parent.contains(value))
    if not possible:
        return None
    if isinstance(parent, Categorical) and all(_among(choice, possible) for choice in parent.choices):
        return replace(item, when=parent.when)
    return replace(item, when=Condition(parent.name, possible))


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


def _check_condition(parameter: Parameter, seen: Mapping[str, Parameter]) -> None:
    """Raise unless the condition of ``parameter`` can hold, given the parameters before it."""
    condition = parameter.when
    if condition is None:
        return
    parent = seen.get(condition.parent)
    if parent is None:
        message = f"{parameter.name!r} depends on {condition.parent!r}, which must be declared before it."
        raise UsageError(message)
    for value in condition.values:
        if not parent.contains(value):
            message = f"{parameter.name!r} waits for {condition.parent!r} = {value!r}, which it cannot be."
            raise UsageError(message)

"""``SearchSpace``: hyperparameters in order, with conditions, constants and defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from numpy.random import Generator

from hpbench.errors import UsageError, unknown_name
from hpbench.space.parameters import Categorical, Condition, Parameter, among, nearest_legal
from hpbench.trial import Config, Value

__all__ = ["SearchSpace"]


@dataclass(frozen=True)
class SearchSpace:
    """What may be searched, and the constants that complete a configuration.

    Attributes:
        parameters: in declaration order; a parameter's condition names an earlier one.
        constants: names that a suite has fixed; strategies never see them, trainers do.
        defaults: the published default of each name; a range that no longer holds a default takes
            the nearest value that it does hold.
        conditions: of constants that mean something only where another hyperparameter has certain
            values, which a suite that searches them gets.

    Raises:
        UsageError: names repeat, or a condition names a later or unknown parameter or a value that
            its parent cannot have.
    """

    parameters: tuple[Parameter, ...]
    constants: Mapping[str, Value] = field(default_factory=dict)
    defaults: Mapping[str, Value] = field(default_factory=dict)
    conditions: Mapping[str, Condition] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: dict[str, Parameter] = {}
        for parameter in self.parameters:
            if parameter.name in seen or parameter.name in self.constants:
                message = f"hyperparameter {parameter.name!r} is declared twice; keep one."
                raise UsageError(message)
            _check_condition(parameter, seen)
            seen[parameter.name] = parameter

    def __getitem__(self, name: str) -> Parameter:
        """Return the parameter called ``name``.

        Raises:
            UsageError: there is none, or it is a constant here.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        if name in self.constants:
            raise UsageError(
                f"hyperparameter {name!r} is fixed at {self.constants[name]!r} and not searched."
            )
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
        return {item.name: nearest_legal(item, self.defaults.get(item.name)) for item in self.parameters}

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
            return replace(self, constants={**self.constants, name: value})
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
        return replace(self, parameters=tuple(kept), constants=constants)

    def changed(self, parameter: Parameter) -> SearchSpace:
        """Return this space with another range for ``parameter.name``, its place kept.

        A constant becomes searched; a parameter that the space lacks is an error. Conditions on
        choices that the new range no longer offers lose those choices, and vanish with the last.
        """
        if parameter.name in self.constants:
            constants = {key: value for key, value in self.constants.items() if key != parameter.name}
            waiting = replace(parameter, when=self.condition_of(parameter.name))
            return replace(self, parameters=(*self.parameters, waiting), constants=constants)
        _ = self[parameter.name]
        updated: list[Parameter] = []
        for item in self.parameters:
            if item.name == parameter.name:
                updated.append(parameter)
                continue
            narrowed = _narrowed_condition(item, parameter)
            if narrowed is not None and _condition_possible(narrowed, updated):
                updated.append(narrowed)
        return replace(self, parameters=tuple(updated))

    def can_matter(self, name: str) -> bool:
        """Return whether the constant ``name`` can have an effect: its condition, if it has one, can hold."""
        condition = self.conditions.get(name)
        if condition is None:
            return True
        if condition.parent in self.names:
            return any(map(self[condition.parent].contains, condition.values))
        return condition.parent in self.constants and condition.allows(self.constants[condition.parent])

    def condition_of(self, name: str) -> Condition | None:
        """Return what the constant ``name`` waits for once it is searched; None if it always matters.

        Raises:
            UsageError: its condition can never hold.
        """
        condition = self.conditions.get(name)
        if condition is None:
            return None
        if not self.can_matter(name):
            message = f"{name!r} exists only where {condition.parent!r} is one of {list(condition.values)!r}."
            raise UsageError(message)
        if condition.parent not in self.names:
            return None
        waiting = Categorical(name, (self.constants[name],), when=condition)
        narrowed = _narrowed_condition(waiting, self[condition.parent])
        return None if narrowed is None else narrowed.when


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
    if isinstance(parent, Categorical) and all(among(choice, possible) for choice in parent.choices):
        return replace(item, when=parent.when)
    return replace(item, when=Condition(parent.name, possible))


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

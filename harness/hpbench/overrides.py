"""What a suite may do to a search space: fix, list or range a hyperparameter, within hard limits.

==============================  =====================================================================
in ``[tasks.space]``            meaning
==============================  =====================================================================
``dropout = 0.1``               fixed: no longer searched, still trained with
``batch_size = [32, 64]``       searched among these values
``width = { low = 8 }``         searched in a range; ``low``, ``high`` and ``log`` that are left out
                                stay as the family declares them
==============================  =====================================================================

A suite may widen what a family declares up to the family's ``limits``. A list of one value, or a range
of one value, fixes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from hpbench.errors import UsageError, did_you_mean, unknown_name
from hpbench.space import Categorical, Float, Integer, Parameter, SearchSpace
from hpbench.trial import Value

__all__ = ["Limits", "apply_overrides", "read_override"]

Limits = Mapping[str, tuple[float, float]]
"""Hyperparameter → the lowest and highest value with which training has a meaning, both included."""

_RANGE_KEYS = ("low", "high", "log")


def apply_overrides(
    space: SearchSpace, overrides: Mapping[str, Any], *, limits: Limits, where: str = "space"
) -> SearchSpace:
    """Return ``space`` with every override applied, parents before the parameters that hang on them.

    Args:
        space: what the network family declares.
        overrides: name → value, list of values, or table with ``low``, ``high`` and ``log``.
        limits: how far a suite may widen; a name that is missing may only be narrowed.
        where: the key path of the overrides, for messages.

    Raises:
        UsageError: a name is unknown, a value is illegal, a parameter can no longer occur, or
            nothing is left to search.
    """
    read = {name: _read_at(space, name, raw, limits, f"{where}.{name}") for name, raw in overrides.items()}
    result = space
    for name in [name for name in (*space.names, *space.constants) if name in read]:
        if name not in result.names and name not in result.constants:
            raise UsageError(_at(_why_absent(space, name), f"{where}.{name}"))
        if name in space.constants and not result.can_matter(name):
            raise UsageError(_at(_why_absent(space, name), f"{where}.{name}"))
        result = _applied(result, name, read[name])
    if not result.parameters:
        raise UsageError(_at("every hyperparameter is fixed; leave at least one to search", where))
    return result


def read_override(space: SearchSpace, name: str, raw: object, *, limits: Limits) -> Parameter | Value:
    """Return what one override means: a value that fixes, or a parameter with another range.

    Raises:
        UsageError: the name is unknown, or the value is not legal for it.
    """
    declared = _declared(space, name, limits)
    if isinstance(raw, Mapping):
        return _range(declared, raw, limits)
    if isinstance(raw, (list, tuple)):
        return _choices(declared, raw, limits)
    return _value(declared, raw, limits, f"`{name}`")


def _read_at(space: SearchSpace, name: str, raw: object, limits: Limits, path: str) -> Parameter | Value:
    """Return what one override means; errors end with the key path."""
    try:
        return read_override(space, name, raw, limits=limits)
    except UsageError as error:
        raise UsageError(_at(str(error), path)) from error


def _at(message: str, path: str) -> str:
    """Return a message that ends with the key path."""
    return f"{message.rstrip('.')} ({path})."


def _applied(space: SearchSpace, name: str, override: Parameter | Value) -> SearchSpace:
    """Return ``space`` with one override applied."""
    if not isinstance(override, (Float, Integer, Categorical)):
        return space.fixed(name, override)
    when = space[name].when if name in space.names else None
    return space.changed(replace(override, when=when))


def _why_absent(space: SearchSpace, name: str) -> str:
    """Return why other overrides leave ``name`` without any effect."""
    condition = space[name].when if name in space.names else space.conditions.get(name)
    parent, values = ("", []) if condition is None else (condition.parent, list(condition.values))
    return (
        f"`{name}` exists only where `{parent}` is one of {values!r}, which this suite leaves out; "
        f"remove `{name}`, or let `{parent}` be one of them"
    )


def _declared(space: SearchSpace, name: str, limits: Limits) -> Parameter:
    """Return the parameter that decides which values ``name`` may have; constants get one too."""
    if name in space.names:
        return space[name]
    if name not in space.constants:
        raise unknown_name("hyperparameter", name, [*space.names, *space.constants])
    value = space.constants[name]
    if isinstance(value, bool):
        return Categorical(name, (False, True))
    if isinstance(value, str):
        return Categorical(name, (value,))
    low, high = limits.get(name, (value, value))
    return Integer(name, int(low), int(high)) if isinstance(value, int) else Float(name, low, high)


def _range(declared: Parameter, raw: Mapping[str, Any], limits: Limits) -> Parameter | Value:
    """Return the parameter with the range of a table ``{ low, high, log }``."""
    name = declared.name
    if isinstance(declared, Categorical):
        raise UsageError(
            f"`{name}` is a choice among {list(declared.choices)!r}; give a list of values, not a range"
        )
    for key in raw:
        if key not in _RANGE_KEYS:
            raise unknown_name("key of a range", key, _RANGE_KEYS)
    if "low" not in raw and "high" not in raw:
        raise UsageError(f"a range of `{name}` must set `low`, `high` or both, got {dict(raw)!r}")
    log = raw.get("log", declared.log)
    if not isinstance(log, bool):
        raise UsageError(f"`log` must be true or false, got {log!r}")
    low, high = (raw.get(key, getattr(declared, key)) for key in ("low", "high"))
    if log and _is_number(low) and low <= 0:
        hint = "" if "log" in raw else f"; `{name}` is logarithmic unless the suite sets `log = false`"
        raise UsageError(f"`low > 0` must hold when `log = true`, got low = {low!r}{hint}")
    lowest = _number(declared, low, limits, f"`low` of `{name}`")
    highest = _number(declared, high, limits, f"`high` of `{name}`")
    if lowest > highest:
        raise UsageError(f"`low <= high` must hold, got low = {lowest!r}, high = {highest!r}")
    if lowest == highest:
        return lowest
    if isinstance(declared, Integer):
        return Integer(name, int(lowest), int(highest), log=log)
    return Float(name, lowest, highest, log=log)


def _choices(declared: Parameter, raw: Sequence[object], limits: Limits) -> Parameter | Value:
    """Return the parameter that chooses among a list of values; numbers are put in order."""
    name = declared.name
    if not raw:
        raise UsageError(f"the values of `{name}` must be at least one, got an empty list")
    values = [_value(declared, item, limits, f"every value of `{name}`") for item in raw]
    if len(set(values)) < len(values):
        raise UsageError(f"the values of `{name}` must be different, got {list(raw)!r}")
    if len(values) == 1:
        return values[0]
    ordered = not isinstance(declared, Categorical) or declared.ordered
    if ordered and all(_is_number(value) for value in values):
        values.sort(key=float)
    return Categorical(name, tuple(values), ordered=ordered)


def _value(declared: Parameter, raw: object, limits: Limits, what: str) -> Value:
    """Return ``raw`` as a value that ``declared`` could have within the limits, of its built-in type."""
    if not isinstance(declared, Categorical):
        return _number(declared, raw, limits, what)
    if declared.contains(raw):
        return declared.choices[declared.index(raw)]
    if declared.name not in limits or not all(_is_number(choice) for choice in declared.choices):
        hint = did_you_mean(raw, map(str, declared.choices)) if isinstance(raw, str) else ""
        raise UsageError(f"{what} must be one of {list(declared.choices)!r}, got {raw!r}.{hint}".rstrip("."))
    low, high = limits[declared.name]
    whole = all(isinstance(choice, int) for choice in declared.choices)
    widened = Integer(declared.name, int(low), int(high)) if whole else Float(declared.name, low, high)
    return _number(widened, raw, limits, what)


def _number(declared: Float | Integer, raw: object, limits: Limits, what: str) -> int | float:
    """Return ``raw`` as a number of the kind of ``declared``, checked against the limits."""
    whole = isinstance(declared, Integer)
    low, high = limits.get(declared.name, (declared.low, declared.high))
    if not _is_number(raw) or (whole and not isinstance(raw, int)):
        raise UsageError(f"{what} must be a {'whole number' if whole else 'number'}, got {raw!r}")
    if not low <= raw <= high:
        raise UsageError(f"{what} must lie in [{low!r}, {high!r}], got {raw!r}")
    return int(raw) if whole else float(raw)


def _is_number(value: object) -> TypeGuard[float]:
    """Return whether ``value`` is an int or a float; a bool is neither."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)

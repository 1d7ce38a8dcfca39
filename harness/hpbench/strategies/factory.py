"""Building strategies by name from the options of a suite, which are checked against the signature."""

from __future__ import annotations

import inspect
import json
import traceback
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hpbench.errors import HpbenchError, UsageError, unknown_name
from hpbench.space import SearchSpace
from hpbench.strategies import REGISTRY
from hpbench.strategies.base import Given, Strategy

__all__ = ["Option", "check_options", "create", "describe_options", "resolved_options"]

_GIVEN = frozenset({"self", "space", *Given.__annotations__})
"""What the runner hands to every strategy; everything else in a signature is an option."""

Options = typing.Mapping[str, Any]
Kind = TypeVar("Kind", bound=Strategy)


@dataclass(frozen=True)
class Option:
    """One option of a strategy.

    Attributes:
        name: the key in the suite's ``options``.
        default: what holds if the suite says nothing.
        type: the annotation as text, such as ``"int | None"``.
    """

    name: str
    default: Any
    type: str


def create(
    name: str,
    space: SearchSpace,
    *,
    full_epochs: int,
    seed: int,
    budget_trials: int | None,
    options: Options,
) -> Strategy:
    """Return the strategy called ``name``, ready to be asked.

    Raises:
        UsageError: the strategy or an option is unknown, an option has an impossible value, or a strategy of
            others raises when it is built.
    """
    check_options(name, options)
    kind = REGISTRY.get(name)
    try:
        return kind(space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials, **dict(options))
    except BaseException as error:
        foreign = isinstance(error, Exception) and not isinstance(error, HpbenchError)
        if name in REGISTRY.builtin or not foreign:
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise UsageError(
            f"strategy {name!r} cannot be built: {type(error).__name__}: {error} "
            f"({Path(place.filename).name}, line {place.lineno})."
        ) from error


def check_options(name: str, options: Options) -> None:
    """Raise unless ``options`` fit the signature of the strategy called ``name``.

    Values are checked for their type only; a range is checked when the strategy is built.

    Raises:
        UsageError: an option is unknown, cannot be written as JSON, or has the wrong type.
    """
    described = describe_options(name)
    known = {option.name for option in described}
    for key, value in options.items():
        if key not in known and not _takes_anything(REGISTRY.get(name)):
            raise unknown_name(f"option of strategy {name!r}:", key, known)
        _check_json(name, key, value)
    for option in described:
        if option.default is inspect.Parameter.empty and option.name not in options:
            raise UsageError(f"strategy {name!r} needs the option {option.name!r}, of type {option.type}.")
    _check_types(name, {key: value for key, value in options.items() if key in known})


def describe_options(name: str) -> list[Option]:
    """Return the options of the strategy called ``name``, in the order of its signature."""
    return [
        Option(item.name, item.default, _type_text(item.annotation))
        for item in _signature(REGISTRY.get(name))
        if item.kind is inspect.Parameter.KEYWORD_ONLY and item.name not in _GIVEN
    ]


def resolved_options(name: str, options: Options) -> dict[str, Any]:
    """Return ``options`` with the defaults filled in: what the store keeps.

    Raises:
        UsageError: as :func:`check_options`.
    """
    check_options(name, options)
    defaults = {
        option.name: option.default
        for option in describe_options(name)
        if option.default is not inspect.Parameter.empty
    }
    return {**defaults, **options}


def _signature(kind: type[Kind]) -> list[inspect.Parameter]:
    """Return the parameters of the constructor."""
    return list(inspect.signature(kind).parameters.values())


def _takes_anything(kind: type[Kind]) -> bool:
    """Return whether the constructor has a ``**options`` that takes any name, and not just ``Given``."""
    return any(
        item.kind is inspect.Parameter.VAR_KEYWORD and _hints(kind).get(item.name) != typing.Unpack[Given]
        for item in _signature(kind)
    )


def _hints(kind: type[Kind]) -> dict[str, Any]:
    """Return the annotations of the constructor, resolved.

    Raises:
        UsageError: one names what is not there at run time.
    """
    try:
        return typing.get_type_hints(kind.__init__)
    except NameError as error:
        message = (
            f"the annotations of strategy {kind.__module__}.{kind.__qualname__} must be resolvable "
            f"when options are checked, but {error}; import what they name outside `if TYPE_CHECKING`."
        )
        raise UsageError(message) from error


def _type_text(annotation: Any) -> str:
    """Return an annotation as people write it."""
    if annotation is inspect.Parameter.empty:
        return "Any"
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _check_json(name: str, key: str, value: Any) -> None:
    """Raise unless ``value`` survives being stored."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        message = f"option {key!r} of strategy {name!r} must be writable as JSON, got {value!r}: {error}."
        raise UsageError(message) from error


def _check_types(name: str, options: Options) -> None:
    """Raise unless every value has the type that the signature announces."""
    if not options:
        return
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - listing strategies does without

    hints = _hints(REGISTRY.get(name))
    texts = {option.name: option.type for option in describe_options(name)}
    for key, value in options.items():
        try:
            TypeAdapter(hints.get(key, Any)).validate_python(value, strict=True)
        except ValidationError as error:
            message = f"option {key!r} of strategy {name!r} must be {texts[key]}, got {value!r}."
            raise UsageError(message) from error

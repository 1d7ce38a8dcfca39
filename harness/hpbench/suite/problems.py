"""What is wrong with a suite, in words: file, key, what must hold, what arrived, the nearest known name."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hpbench.errors import UsageError, did_you_mean

__all__ = ["Problem", "SuiteError", "join_path", "problems_of", "shown"]

_MOST_SHOWN = 10
_LONGEST_SHOWN = 60
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        message: what must hold and what arrived.
        path: where, such as ``"tasks[0].space.learning_rate"``; empty for the file as a whole.
    """

    message: str
    path: str = ""

    def __str__(self) -> str:
        if not self.path or f"`{self.path}`" in self.message:
            return f"{self.message.rstrip('.')}."
        return f"{self.message.rstrip('.')} ({self.path})."


class SuiteError(UsageError):
    """A suite that cannot be used; a line for each problem, the first one leads.

    Attributes:
        problems: everything that was found.
        source: the file, or None for a suite that came from no file.
    """

    def __init__(self, problems: Sequence[Problem], source: str | None = None) -> None:
        lead = "" if source is None else f"{source}: "
        lines = [f"{lead}{problem}" for problem in problems[:_MOST_SHOWN]]
        if len(problems) > _MOST_SHOWN:
            lines.append(f"{lead}and {len(problems) - _MOST_SHOWN} more problems.")
        super().__init__("\n".join(lines))
        self.problems = tuple(problems)
        self.source = source


def join_path(*parts: str | int) -> str:
    """Return a key path as people write it: ``("tasks", 0, "space")`` gives ``"tasks[0].space"``."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            key = part if _BARE_KEY.fullmatch(part) else _cut(json.dumps(part))
            path += f".{key}" if path else key
    return path


def shown(value: object) -> str:
    """Return what arrived, short and as TOML writes it; safe for a terminal."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _cut(json.dumps(value))
    return _cut(repr(value) if isinstance(value, (int, float)) else str(value))


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return what pydantic found; missing keys come last, without those that are only misspelt.

    Args:
        error: what validation raised.
        model: the model of the whole file, which knows the keys.
    """
    details = error.errors(include_url=False)
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    misspelt = {(*location[:-1], _nearest_key(location, model)) for location in unknown}
    missing = [detail for detail in details if detail["type"] == "missing"]
    told = [detail for detail in missing if detail["loc"] not in misspelt]
    return [_problem(detail, model) for detail in [*(d for d in details if d not in missing), *told]]


def _problem(detail: ErrorDetails, model: type[BaseModel]) -> Problem:
    """Return one finding of pydantic in our words."""
    location = detail["loc"]
    path = join_path(*location)
    key = f"`{join_path(location[-1]) if isinstance(location[-1], str) else path}`" if location else "a suite"
    kind, context = detail["type"], {**detail.get("ctx", {}), "path": path}
    if kind == "missing":
        return Problem(f"the key {key} is missing", path)
    if kind == "extra_forbidden":
        return Problem(_unknown_key(location, model), path)
    if kind in {"value_error", "assertion_error"}:
        arrived = "" if isinstance(detail["input"], dict) else f", got {shown(detail['input'])}"
        return Problem(f"{key} {context['error']}{arrived}", path)
    expected = _EXPECTED[kind](context) if kind in _EXPECTED else detail["msg"].lower()
    hint = _nearest_literal(detail) if kind == "literal_error" else ""
    return Problem(f"{key} must be {expected}, got {shown(detail['input'])}{hint}", path)


def _nearest_literal(detail: ErrorDetails) -> str:
    """Return the hint that names the allowed text nearest to what arrived."""
    hint = did_you_mean(str(detail["input"]), re.findall(r"'([^']*)'", detail["ctx"]["expected"]))
    return f".{hint}" if hint else ""


_EXPECTED: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "bool_type": lambda _: "true or false",
    "dict_type": lambda _: "a table",
    "finite_number": lambda _: "a finite number",
    "float_type": lambda _: "a number",
    "greater_than": lambda context: f"greater than {context['gt']}",
    "greater_than_equal": lambda context: f"at least {context['ge']}",
    "int_type": lambda _: "a whole number",
    "less_than": lambda context: f"less than {context['lt']}",
    "less_than_equal": lambda context: f"at most {context['le']}",
    "literal_error": lambda context: context["expected"],
    "model_type": lambda _: "a table",
    "string_too_long": lambda context: f"at most {context['max_length']} characters",
    "string_too_short": lambda context: f"at least {context['min_length']} character",
    "string_type": lambda _: "a text in quotes",
    "too_long": lambda context: f"at most {context['max_length']} items",
    "too_short": lambda context: f"a list of at least {context['min_length']} items",
    "tuple_type": lambda context: (
        "a list of whole numbers, such as [1, 28, 28]"
        if context["path"].endswith(".shape")
        else f"a list of tables, each written [[{context['path']}]]"
    ),
}
"""What pydantic calls a finding → what had to arrive."""


def _unknown_key(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """Return the message for a key that its table does not have."""
    known = _keys_at(location[:-1], model)
    key = _cut(str(location[-1]))
    return f"unknown key {key!r}.{did_you_mean(key, known)} Known: {', '.join(known)}"


def _nearest_key(location: tuple[int | str, ...], model: type[BaseModel]) -> str | None:
    """Return the key that an unknown one was probably meant to be."""
    nearest = difflib.get_close_matches(str(location[-1]), _keys_at(location[:-1], model), n=1, cutoff=0.5)
    return nearest[0] if nearest else None


def _keys_at(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """Return the keys of the table at ``location``, found by walking down the models."""
    for part in location:
        if isinstance(part, int):
            continue
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        model = _model_in(fields[part].annotation)
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _model_in(annotation: Any) -> type[BaseModel]:
    """Return the model that a field's annotation is, or is a tuple of."""
    arguments = getattr(annotation, "__args__", ())
    found: type[BaseModel] = arguments[0] if arguments else annotation
    return found


def _cut(text: str) -> str:
    """Return ``text`` with its middle left out where it is long."""
    if len(text) <= _LONGEST_SHOWN:
        return text
    half = _LONGEST_SHOWN // 2
    return f"{text[:half]}…{text[-half:]}"

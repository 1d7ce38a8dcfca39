"""Whether a parsed document holds nothing but plain values: what TOML and JSON both can say, of sane size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from hpbench.suite.problems import Problem, SuiteError, join_path

__all__ = ["check_plain"]

_DEEPEST = 16
_INTEGER_BITS = 63

_Path = tuple[str | int, ...]


def check_plain(content: Mapping[str, Any]) -> None:
    """Raise unless every value in ``content`` is text, a 64-bit integer, a finite number, a bool, a list or a table.

    It walks without recursion, because a dotted key can be deeper than Python's stack.

    Raises:
        SuiteError: something else was found, or the nesting is too deep.
    """
    waiting: list[tuple[_Path, Any]] = [((), content)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > _DEEPEST:
            _refuse(path[:4], f"tables and lists must not be nested deeper than {_DEEPEST} levels")
        if isinstance(value, (Mapping, list, tuple)):
            waiting.extend(reversed(list(_children(path, value))))
        else:
            _check_leaf(path, value)


def _children(path: _Path, value: Any) -> Iterator[tuple[_Path, Any]]:
    """Yield the path and value of everything directly inside a table or list."""
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, child in pairs:
        yield (*path, key), child


def _check_leaf(path: _Path, value: object) -> None:
    """Raise unless ``value`` is text, a bool, a 64-bit integer or a finite number."""
    if isinstance(value, (str, bool)):
        return
    if isinstance(value, int):
        if value.bit_length() > _INTEGER_BITS:
            _refuse(path, f"a whole number must fit into 64 bits, got one of {value.bit_length()} bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            _refuse(path, f"a number must be finite, got {value!r}")
    else:
        _refuse(
            path, f"a value must be text, number, true, false, list or table, got a {type(value).__name__}"
        )


def _refuse(path: _Path, message: str) -> None:
    """Raise for what was found at ``path``."""
    raise SuiteError([Problem(message, join_path(*path))])

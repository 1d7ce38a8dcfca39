"""Plain text for terminals and pipes: cleaned of control characters, aligned in columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

__all__ = ["clean", "duration", "number", "table"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def clean(text: str, *, keep_lines: bool = False) -> str:
    """Return ``text`` without anything that could steer a terminal.

    Control, format and unassigned characters (escape sequences, carriage returns, changes of the
    writing direction) become U+FFFD, so that a hostile name can neither hide nor repaint output.

    Args:
        text: what a user, a suite or a file provided.
        keep_lines: line feeds stay; for messages of several lines.
    """
    return "".join(
        character
        if (keep_lines and character == "\n") or _printable(character)
        else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def _printable(character: str) -> bool:
    """Return whether a character merely shows itself."""
    return not unicodedata.category(character).startswith("C") and character not in "\u2028\u2029"


def duration(seconds: float) -> str:
    """Return a length of time in the two units that matter: ``"45 s"``, ``"3 min 20 s"``, ``"2 h 05 min"``."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR:02d} h"


def number(value: float) -> str:
    """Return a number as short as it is exact: ``"0.001"``, ``"1e-07"``, ``"128"``."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Return the rows under the header, columns aligned by spaces and separated by two.

    Args:
        header: one word a column.
        rows: cells, cleaned here.
        right: the columns (from 0) that are aligned to the right: numbers.
    """
    cells = [list(header), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join(lines)

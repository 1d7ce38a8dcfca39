"""CSV files, read strictly: what is doubtful is refused with its line, nothing is guessed or dropped."""

from __future__ import annotations

import codecs
import csv
import io
from array import array
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hpbench.errors import UsageError
from hpbench.tasks.datasets.base import Column
from hpbench.tasks.datasets.tables import Table, check_header, shown

__all__ = ["read_csv"]

_MISSING = frozenset({"", "?", "NA", "N/A", "NaN", "nan", "null", "NULL"})
"""How a missing value may be written."""

_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_NAN = float("nan")


def read_csv(content: bytes, *, target: str | None) -> Table:
    """Return the table in a CSV file: UTF-8, commas, names in the first line.

    A column whose values are all numbers holds numbers, one without any holds categories; spaces
    around values are left out. The target's values are texts whatever they are.

    Args:
        content: the file.
        target: the column to predict.

    Raises:
        UsageError: it is no such file; the message says the line.
    """
    lines = _rows(_text_of(content))
    _, header = next(lines, (0, []))
    names = [name.strip() for name in header]
    if not names:
        raise UsageError("a CSV file must begin with a line of column names, this one is empty.")
    if len(names) == 1:
        _check_delimiter(header[0])
    check_header(names, target=target)
    readers = [_Reader(name, text=name == target) for name in names]
    rows = 0
    for line, row in lines:
        if len(row) != len(names):
            raise UsageError(
                f"every line must have {len(names)} values, as the header has names, line {line} has {len(row)}; "
                'mend that line (a comma inside a value needs "quotes").'
            )
        rows += 1
        for reader, value in zip(readers, row, strict=True):
            reader.add(value.strip(), line)
    if not rows:
        raise UsageError("a CSV file must hold rows below its header, this one has none.")
    made = [reader.column() for reader in readers]
    return Table([column for column, _ in made], [values for _, values in made])


def _text_of(content: bytes) -> str:
    """Return the text of a file, without the mark that some programs put before UTF-8."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UsageError("a CSV file must be UTF-8 text, got UTF-16; save it as UTF-8.")
    if (place := content.find(b"\0")) >= 0:
        line = content.count(b"\n", 0, place) + 1
        raise UsageError(
            f"a CSV file must be UTF-8 text, line {line} holds a NUL byte: it is binary or damaged; write it anew."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"a CSV file must be UTF-8 text, line {line} is not; save it as UTF-8.") from error


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line on which each row ends, and its values; empty lines are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise UsageError(f"line {reader.line_num} is no CSV: {error}; mend that line.") from error


def _check_delimiter(header: str) -> None:
    """Raise if the only column name seems to be several."""
    for delimiter, name in _OTHER_DELIMITERS.items():
        if delimiter in header:
            raise UsageError(f"the values of a CSV file must be separated by commas, got {name}; convert it.")


class _Reader:
    """Takes the values of one column one by one."""

    def __init__(self, name: str, *, text: bool) -> None:
        self._name = name
        self._kind = "text" if text else ""
        self._mixed = text  # texts may look like numbers
        self._values = array("d")
        self._codes: dict[str, int] = {}

    def add(self, text: str, line: int) -> None:
        """Take the value on a line."""
        if text in _MISSING:
            self._values.append(_NAN)
            return
        number = None if self._mixed else _number(text)
        kind = "text" if number is None else "numbers"
        if kind != (self._kind or kind):
            raise UsageError(
                f"a column must hold numbers or text, column {shown(self._name)} holds {self._kind} before line {line} "
                f"and {shown(text)} there; mend the value, or leave it empty if it is missing."
            )
        self._kind = kind
        self._values.append(self._codes.setdefault(text, len(self._codes)) if number is None else number)

    def column(self) -> tuple[Column, NDArray[np.float64]]:
        """Return the column and its values; categories are sorted, so that the order of rows does not matter."""
        values = np.array(self._values, dtype=np.float64)
        if not self._codes:
            return Column(self._name), values
        texts = sorted(self._codes)
        place = np.empty(len(texts))
        place[[self._codes[text] for text in texts]] = np.arange(len(texts))
        known = ~np.isnan(values)
        values[known] = place[values[known].astype(np.int64)]
        return Column(self._name, tuple(texts)), values


def _number(text: str) -> float | None:
    """Return the number that ``text`` is, or None; underscores are Python's, not the world's."""
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None

"""Tables with named columns, wherever they come from, made into data sets; what cannot be used is refused.

Readers (CSV, Parquet, OpenML) give a :class:`Table`; the rules are the same for all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpbench.errors import UsageError, did_you_mean
from hpbench.tasks.datasets.base import Column, Dataset

__all__ = [
    "Table",
    "check_header",
    "classes_of_numbers",
    "classes_of_texts",
    "dataset_of",
    "numbers_of",
    "shown",
]

_MOST_CLASSES = 1000
_MOST_CATEGORIES = 256
_MOST_COLUMNS = 100_000
_FEW_TEXTS = 20
_LARGEST_WHOLE = 2.0**53
_LONGEST_SHOWN = 40
_MOST_NAMED = 12


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length.

    Attributes:
        columns: names, and the categories of those that hold text.
        values: for each column float64, shape ``(n,)``: numbers, or places in its categories; NaN
            where a value is missing.
    """

    columns: Sequence[Column]
    values: Sequence[NDArray[np.float64]]


def shown(text: object) -> str:
    """Return ``text`` as messages quote it, cut where it is long."""
    quoted = repr(str(text)[: _LONGEST_SHOWN + 1])
    return quoted if len(str(text)) <= _LONGEST_SHOWN else f"{quoted[:_LONGEST_SHOWN]}…'"


def check_header(names: Sequence[str], *, target: str | None) -> None:
    """Raise unless these can be the columns of a table from which ``target`` is predicted.

    Raises:
        UsageError: a column has no name or the name of another, there are too many, or the target is
            not given or not there.
    """
    if len(names) > _MOST_COLUMNS:
        raise UsageError(f"a table must have at most {_MOST_COLUMNS} columns, got {len(names)}.")
    for place, name in enumerate(names):
        if not name:
            raise UsageError(
                f"every column must have a name, column {place + 1} has none; name it, or remove it if it "
                "merely counts the rows."
            )
    double, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise UsageError(
            f"every column must have a name of its own, {times} are called {shown(double)}; rename them."
        )
    listed = ", ".join(shown(name) for name in names[:_MOST_NAMED]) + (
        ", …" if len(names) > _MOST_NAMED else ""
    )
    if target is None:
        raise UsageError(f"`target` must name the column to predict, one of {listed}; set `target`.")
    if target not in names:
        raise UsageError(
            f"`target` must name a column, got {shown(target)}.{did_you_mean(target, names)} Columns: {listed}."
        )
    if len(names) == 1:
        raise UsageError(f"a table must have a column besides the target {shown(target)}, it has none.")


def dataset_of(
    name: str, table: Table, *, target: str, origin: Mapping[str, Any], regression: bool = False
) -> Dataset:
    """Return the data set in which the column ``target`` is predicted from the others.

    Args:
        name: what the data set is called.
        table: all columns.
        target: the name of one of them.
        origin: where it comes from.
        regression: whether the target holds numbers to be predicted, not classes.

    Raises:
        UsageError: a column cannot be used; the message says which, why and what to do.
    """
    place = [column.name for column in table.columns].index(target)
    goal, values = table.columns[place], table.values[place]
    rest = [number for number in range(len(table.columns)) if number != place]
    for number in rest:
        _check_column(table.columns[number], table.values[number])
    columns = [table.columns[number] for number in rest]
    inputs = np.stack([table.values[number] for number in rest], axis=1)
    plain = not any(column.categories for column in columns) and not np.isnan(inputs).any()
    kept = () if plain else columns
    about = {**origin, "target": target}
    if regression:
        numbers = numbers_of(target, goal.categories, values)
        return replace(Dataset.of_numbers(name, inputs, numbers, columns=kept), origin=about)
    if goal.categories:
        names, targets = classes_of_texts(target, goal.categories, values)
    else:
        names, targets = classes_of_numbers(target, values)
    found = Dataset.of(name, inputs, targets, n_classes=len(names), columns=kept)
    return replace(found, class_names=names, origin=about)


def numbers_of(target: str, categories: Sequence[str], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the numbers that a regression is to predict, shape ``(n,)``.

    Args:
        target: the column's name, for messages.
        categories: the texts that the column holds, each a number; empty for a column of numbers.
        values: numbers, or places among the texts, shape ``(n,)``.

    Raises:
        UsageError: a value is missing or is no number.
    """
    _check_present(target, values)
    if not categories:
        return values
    numbers = _as_numbers(categories)
    if numbers is None:
        broken = next(text for text in categories if _as_numbers([text]) is None)
        raise UsageError(
            f"target column {shown(target)} must hold numbers where `target_kind` is 'regression', got {shown(broken)}; "
            "leave `target_kind` out if it holds classes, or choose another target."
        )
    return numbers[values.astype(np.int64)]


def classes_of_numbers(target: str, values: NDArray[np.float64]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the names of the classes, in the order of the numbers, and the class of every example.

    Args:
        target: the column's name, for messages.
        values: whole numbers, shape ``(n,)``.

    Raises:
        UsageError: a value is missing or not whole, or there are fewer than two or too many classes.
    """
    _check_present(target, values)
    broken = ~np.isfinite(values) | (values != np.floor(values)) | (np.abs(values) > _LARGEST_WHOLE)
    if broken.any():
        raise UsageError(
            f"target column {shown(target)} must hold classes (text or whole numbers), got the number "
            f"{values[broken.argmax()]:g}; choose another target, group its values, or set "
            "`target_kind` to 'regression' to predict the number."
        )
    found, targets = np.unique(values.astype(np.int64), return_inverse=True)
    return _named(target, [str(value) for value in found.tolist()], targets)


def classes_of_texts(
    target: str, categories: Sequence[str], codes: NDArray[np.float64]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the names of the classes, in the order of their characters, and the class of every example.

    Texts that are all whole numbers are classes as those numbers are. A category that does not occur
    is no class.

    Args:
        target: the column's name, for messages.
        categories: the texts, sorted.
        codes: the place of every example's text among them, shape ``(n,)``.

    Raises:
        UsageError: as of :func:`classes_of_numbers`.
    """
    _check_present(target, codes)
    places = codes.astype(np.int64)
    numbers = _as_numbers(categories)
    if numbers is not None:
        return classes_of_numbers(target, numbers[places])
    found, targets = np.unique(places, return_inverse=True)
    return _named(target, [categories[place] for place in found.tolist()], targets)


def _named(
    target: str, names: Sequence[str], targets: NDArray[np.intp]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return names and targets if there are neither too few nor too many classes."""
    if len(names) == 1:
        raise UsageError(
            f"target column {shown(target)} must have at least two classes, all rows ({len(targets)}) say "
            f"{shown(names[0])}."
        )
    if len(names) > _MOST_CLASSES:
        raise UsageError(
            f"target column {shown(target)} must have at most {_MOST_CLASSES} classes, got {len(names)} different "
            "values; choose another target, group its values, or set `target_kind` to 'regression' if they are numbers "
            "to be predicted."
        )
    return tuple(names), targets.astype(np.int64).reshape(-1)


def _as_numbers(texts: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the numbers that all texts are, or None; underscores are Python's, not the world's."""
    if any("_" in text for text in texts):
        return None
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        return None


def _check_present(target: str, values: NDArray[np.float64]) -> None:
    """Raise if a value of the target is missing."""
    if np.isnan(values).any():
        raise UsageError(
            f"target column {shown(target)} must have a value in every row, it is missing in "
            f"{int(np.isnan(values).sum())} of {len(values)}, first in row {int(np.isnan(values).argmax()) + 1}; "
            "remove such rows."
        )


def _check_column(column: Column, values: NDArray[np.float64]) -> None:
    """Raise unless a column can be an input: not free text, not infinite."""
    large = np.abs(values) > np.finfo(np.float32).max
    if large.any():
        raise UsageError(
            f"column {shown(column.name)} must hold finite numbers below 3.4e38, got {values[large.argmax()]:g} in row "
            f"{int(large.argmax()) + 1}; mend the value, or leave it empty if it is missing."
        )
    count, known = len(column.categories), int((~np.isnan(values)).sum())
    if count > _MOST_CATEGORIES or count > max(_FEW_TEXTS, known // 2):
        raise UsageError(
            f"column {shown(column.name)} must hold numbers or at most {_MOST_CATEGORIES} categories that occur again "
            f"and again, got {count} different texts in {known} rows, such as {shown(column.categories[0])}: free text "
            "or an identifier cannot be learnt from. Remove the column, or group its values."
        )

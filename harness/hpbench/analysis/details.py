"""What a trial was and how it learned: configurations as columns, learning curves in one flat array.

Millions of trials have to fit, so nothing is kept as one Python object a trial.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpbench.analysis.statistics import Array
from hpbench.trial import Record, Value

__all__ = ["CHAIN", "PREFIX", "Details", "learning_curve"]

CHAIN = ("parent", "epochs_from", "epochs", "curve_from", "curve_to")
"""The columns that say where a trial's learning curve lies."""

PREFIX = "config."
"""Put in front of a hyperparameter's name to make the name of its column."""


class Details:
    """Notes configurations, parents and learning curves of the records that pass through it."""

    def __init__(self) -> None:
        self._count = 0
        self._columns: dict[str, list[Value | None]] = {}
        self._errors = array("d")
        self._ends = array("q", [0])
        self._parents = array("q")

    def passing(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield ``records`` as they come, noting each."""
        for record in records:
            for name, value in record.config.items():
                column = self._columns.setdefault(name, [])
                if len(column) < self._count:
                    column.extend([None] * (self._count - len(column)))
                column.append(value)
            self._errors.extend(record.evaluation.curve)
            self._ends.append(len(self._errors))
            self._parents.append(-1 if record.parent is None else record.parent)
            self._count += 1
            yield record

    @property
    def epoch_errors(self) -> Array:
        """Validation errors after each epoch of all trials, one trial's after another's, shape ``(n_epochs,)``."""
        return np.array(self._errors, dtype=np.float64)

    def columns(self) -> dict[str, Any]:
        """Return columns in the order of the records.

        Returns:
            ``parent`` (-1 without one), ``curve_from`` and ``curve_to`` (places in
            :attr:`epoch_errors`), and one column a hyperparameter, its name after :data:`PREFIX`; a
            trial without it has a missing value there.
        """
        ends = np.array(self._ends, dtype=np.int64)
        found: dict[str, Any] = {
            "parent": np.array(self._parents, dtype=np.int64),
            "curve_from": ends[:-1],
            "curve_to": ends[1:],
        }
        for name, values in self._columns.items():
            values.extend([None] * (self._count - len(values)))
            found[PREFIX + name] = _column(values)
        return found


def _column(values: Sequence[Any]) -> Any:
    """Return whole numbers as integers, numbers as floats, anything else as categories."""
    kinds = {type(value) for value in values}
    if kinds == {int}:
        return np.array(values, dtype=np.int64)
    if kinds <= {int, float, type(None)}:
        return np.array(values, dtype=np.float64)
    seen = sorted({value for value in values if value is not None}, key=lambda item: (str(type(item)), item))
    return pd.Categorical(values, categories=seen)


def learning_curve(rows: NDArray[np.int64], epoch_errors: Array, number: int) -> Array:
    """Return the validation error after every epoch of a trial, from the first, those of its parents in front.

    Args:
        rows: of the trials of one run by number, the columns :data:`CHAIN`, shape ``(n_trials, 5)``.
        epoch_errors: from :class:`Details`.
        number: of the trial.

    Returns:
        shape ``(epochs,)``.
    """
    pieces: list[Array] = []
    wanted = int(rows[number, 2])
    while number >= 0:
        parent, first, _, start, stop = (int(value) for value in rows[number])
        pieces.insert(0, epoch_errors[start:stop][: max(0, wanted - first)])
        number, wanted = parent, first
    return np.concatenate(pieces)

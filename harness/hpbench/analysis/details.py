"""What a trial was and how it learned: configurations as columns, learning curves in one flat array.

Millions of trials have to fit, so nothing is kept as one Python object a trial.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import NoneType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpbench.analysis.statistics import Array
from hpbench.trial import Value

__all__ = ["CHAIN", "PREFIX", "Values", "column_of", "joined_values", "learning_curve", "values_of"]

CHAIN = ("parent", "epochs_from", "epochs", "curve_from", "curve_to")
"""The columns that say where a trial's learning curve lies."""

PREFIX = "config."
"""Put in front of a hyperparameter's name to make the name of its column."""


@dataclass(frozen=True)
class Values:
    """The values of a hyperparameter in some trials.

    Attributes:
        kinds: their types, that of None where a trial does not have it.
        array: whole numbers, or numbers with NaN for None; if there are choices, places among
            these, -1 for None. Shape ``(n_trials,)``.
        choices: the values that occur, if they are neither all whole nor all floats; else empty.
    """

    kinds: frozenset[type]
    array: NDArray[Any]
    choices: tuple[Value, ...] = ()

    def places(self, choices: Mapping[Value, int]) -> NDArray[np.int64]:
        """Return the place of every value in ``choices``, -1 for None."""
        if self.choices:
            places = np.array([*(choices[value] for value in self.choices), -1], dtype=np.int64)
            return np.take(places, self.array)
        return np.array([choices.get(value, -1) for value in self.array.tolist()], dtype=np.int64)

    def distinct(self) -> list[Value]:
        """Return the values that occur."""
        if self.choices:
            return list(self.choices)
        found: list[Value] = np.unique(self.array[~np.isnan(self.array)]).tolist()
        return found


def values_of(values: Sequence[Value | None]) -> Values:
    """Return plain values of any kinds in little memory; None: a trial does not have it."""
    kinds = frozenset(map(type, values))
    if kinds == {int}:
        return Values(kinds, np.array(values, dtype=np.int64))
    if kinds <= {float, NoneType}:
        return Values(kinds, np.array(values, dtype=np.float64))
    choices: dict[Value, int] = {}
    places = [-1 if value is None else choices.setdefault(value, len(choices)) for value in values]
    return Values(kinds, np.array(places, dtype=np.int32), tuple(choices))


def joined_values(parts: Sequence[Values]) -> Values:
    """Return the values of the same hyperparameter in trials one after another.

    Runs without a trial have no say in what kind of values they are.
    """
    parts = [part for part in parts if len(part.array)] or parts
    kinds = frozenset[type]().union(*(part.kinds for part in parts))
    if kinds == {int} or kinds <= {float, NoneType}:
        return Values(kinds, np.concatenate([part.array for part in parts]))
    seen = dict.fromkeys(chain.from_iterable(part.distinct() for part in parts))
    choices = {value: place for place, value in enumerate(seen)}
    return Values(kinds, np.concatenate([part.places(choices) for part in parts]), tuple(choices))


def column_of(values: Values) -> Any:
    """Return whole numbers as integers, numbers as floats, anything else as categories."""
    if not values.choices:
        return values.array
    if values.kinds <= {int, float, NoneType}:
        return np.array([*values.choices, math.nan], dtype=np.float64)[values.array]
    choices = sorted(values.choices, key=lambda item: (str(type(item)), item))
    places = {value: place for place, value in enumerate(choices)}
    return pd.Categorical.from_codes(values.places(places), pd.Index(choices))


def learning_curve(rows: NDArray[np.int64], epoch_errors: Array, number: int) -> Array:
    """Return the validation error after every epoch of a trial, from the first, those of its parents in front.

    Args:
        rows: of the trials of one run by number, the columns :data:`CHAIN`, shape ``(n_trials, 5)``.
        epoch_errors: of :class:`hpbench.analysis.frames.Frames`.
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

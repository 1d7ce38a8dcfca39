"""From the raw examples of a data set to what a network takes, by rules fitted on the training part alone.

Which categories a column may have is part of the table's description and the same in every split, so
that the width of the network's input is too. Everything measured is measured on the training part:
mean and standard deviation, the median or most frequent category that stands for a missing value, and
which categories are known.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hpbench.tasks.datasets.base import Column, Dataset
from hpbench.tasks.datasets.precision import Inputs

__all__ = ["Encode", "encoder"]

Encode = Callable[[Inputs], NDArray[np.float32]]
"""Takes raw inputs, shape ``(n, ...)``; returns what a network takes, float32, C-contiguous, ``(n, *shape)``."""


def encoder(dataset: Dataset, train: Inputs) -> Encode:
    """Return what encodes any examples of ``dataset`` as the training part says.

    Numbers get mean 0 and standard deviation 1 on the training part, per feature of vectors and per
    channel of images; a feature that is constant there is divided by 1. In a table besides:

    - a missing number is the median of the training part;
    - a category is 1 in a column of its own and 0 in those of the others; a missing one is the most
      frequent of the training part (the first of equals), one that the training part lacks is 0
      everywhere, because no weight of it was trained;
    - a column without any value in the training part is 0 everywhere.

    Args:
        dataset: whose columns are encoded.
        train: the raw inputs of its training part, shape ``(n_train, ...)``.
    """
    if dataset.columns:
        return _table_encoder(dataset.columns, train)
    mean, scale = _moments(train)
    return lambda inputs: np.ascontiguousarray((inputs - mean) / scale, dtype=np.float32)


def _moments(train: Inputs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation per feature or channel, broadcastable to the inputs.

    A feature that is constant in the training part gets the scale 1, so that nothing is divided by
    zero.
    """
    axes = (0,) if train.ndim == 2 else (0, 2, 3)  # noqa: PLR2004 - vectors have two axes, images four
    mean = train.mean(axis=axes, dtype=np.float64, keepdims=True)
    deviation = train.std(axis=axes, dtype=np.float64, keepdims=True)
    constant = train.max(axis=axes, keepdims=True) == train.min(axis=axes, keepdims=True)
    return mean, np.where(constant, 1.0, deviation)


def _table_encoder(columns: tuple[Column, ...], train: Inputs) -> Encode:
    """Return what encodes the columns one by one and puts them side by side."""
    parts = [
        _categories(train[:, place], column.width) if column.categories else _numbers(train[:, place])
        for place, column in enumerate(columns)
    ]

    def encode(inputs: Inputs) -> NDArray[np.float32]:
        """Return the encoded columns, shape ``(n, features)``."""
        made = [part(inputs[:, place]) for place, part in enumerate(parts)]
        return np.ascontiguousarray(np.concatenate(made, axis=1), dtype=np.float32)

    return encode


def _numbers(train: Inputs) -> Encode:
    """Return what fills in and standardises one column of numbers, shape ``(n,)`` to ``(n, 1)``."""
    known = train[~np.isnan(train)]
    if not known.size:
        return lambda values: np.zeros((len(values), 1), dtype=np.float32)
    median = np.median(known)

    def filled(values: Inputs) -> Inputs:
        """Return the column without gaps, shape ``(n, 1)``."""
        return np.where(np.isnan(values), median, values)[:, None]

    mean, scale = _moments(filled(train))
    return lambda values: ((filled(values) - mean) / scale).astype(np.float32)


def _categories(train: Inputs, width: int) -> Encode:
    """Return what makes one column of categories ``width`` columns of 0 and 1."""
    known = train[~np.isnan(train)].astype(np.int64)
    counts = np.bincount(known, minlength=width)
    usual = int(counts.argmax())

    def encode(values: Inputs) -> NDArray[np.float32]:
        """Return the columns, shape ``(n, width)``."""
        places = np.where(np.isnan(values), usual, values).astype(np.int64)
        made = np.zeros((len(values), width), dtype=np.float32)
        made[np.arange(len(values)), places] = counts[places] > 0
        return made

    return encode

"""The noun of this package: a data set in memory, checked once and never changed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpbench.errors import UsageError
from hpbench.tasks.datasets.precision import Inputs, precise

__all__ = ["Column", "DataSpec", "Dataset", "DatasetLoader", "DatasetSource", "TargetKind", "Targets"]

TargetKind = Literal["classification", "regression"]
"""What a column to predict holds: classes, or a number that is to be met as nearly as possible."""

Targets = NDArray[np.int64] | NDArray[np.float64]
"""Classes or numbers, shape ``(n,)``."""

_MOST_VALUES = 2**31
"""Numbers that the inputs may have once they are encoded: 8 GiB."""

_LONGEST_SHOWN = 40


@dataclass(frozen=True)
class DataSpec:
    """Which data a task learns from; picklable and hashable.

    Attributes:
        name: what a suite calls it: ``"digits"``, ``"openml:adult"``, ``"file:adult.csv"``.
        target: the column to predict, for data that do not say it themselves.
        shape: read every input as an image of this shape: ``(channels, height, width)`` or
            ``(height, width)``.
        subset: take so many examples only, every class with its share.
        root_seed: the suite's seed, which decides the examples of the subset.
        folder: where relative paths begin; empty: the working directory.
        target_kind: whether the target holds classes or numbers, for data that do not say it
            themselves; None: classes.
    """

    name: str
    target: str | None = None
    shape: tuple[int, ...] | None = None
    subset: int | None = None
    root_seed: int = 0
    folder: str = ""
    target_kind: TargetKind | None = None

    @property
    def regression(self) -> bool:
        """Whether a number is to be predicted."""
        return self.target_kind == "regression"

    @property
    def rest(self) -> str:
        """What follows the prefix of the name: ``"adult"`` of ``"openml:adult"``."""
        return self.name.partition(":")[2]

    def plain(self) -> DataSpec:
        """Return an equal choice without what does not matter for it, so that equal data are loaded once."""
        seed = 0 if self.subset is None else self.root_seed
        return replace(self, root_seed=seed, folder=self.folder if ":" in self.name else "")


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: what the table calls it.
        categories: the texts that it may hold; empty for a column of numbers.
    """

    name: str
    categories: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """How many inputs it becomes: one for a number, one for each category."""
        return len(self.categories) or 1


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples and their classes or numbers, as they come: neither split nor standardised.

    The arrays are read-only, because one data set serves every trial of a process. Build it with
    :meth:`of` or :meth:`of_numbers`, which convert, check and compute the checksum.

    Attributes:
        name: what a suite calls it; part of the key of the split's stream.
        inputs: float32, C-contiguous, shape ``(n, features)`` or ``(n, channels, height, width)``;
            with ``columns``, shape ``(n, len(columns))``: numbers and places of categories, NaN where a
            value is missing. Vectors are float64 where float32 would blur a column, such as one of dates
            in seconds.
        targets: shape ``(n,)``; int64, each in ``[0, n_classes)``, or for regression float64.
        n_classes: number of classes; 1 for regression, whose networks have one output.
        checksum: SHA-256, hexadecimal, over the bytes of inputs and targets (little-endian) and the
            columns.
        columns: what the columns of a table hold, where some are categories or have missing values;
            empty for inputs that are used as they are.
        class_names: what the classes are called; empty where they have only numbers.
        origin: where it comes from, JSON values: the version, the checksum of the file.
    """

    name: str
    inputs: Inputs
    targets: Targets
    n_classes: int
    checksum: str
    columns: tuple[Column, ...] = ()
    class_names: tuple[str, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str,
        inputs: ArrayLike,
        targets: ArrayLike,
        *,
        n_classes: int | None = None,
        columns: Sequence[Column] = (),
    ) -> Dataset:
        """Return the data set with these examples.

        Args:
            name: what a suite calls it.
            inputs: numbers of shape ``(n, features)`` or ``(n, channels, height, width)``.
            targets: whole numbers from 0, shape ``(n,)``.
            n_classes: number of classes; by default the largest target plus one.
            columns: what the columns of a table hold; values may be missing (NaN) only if it is given.

        Raises:
            UsageError: the shapes do not fit, an input is not finite, or a target is no class.
        """
        x, raw = _examples(name, inputs, targets, columns)
        if not np.issubdtype(raw.dtype, np.integer):
            raise UsageError(f"targets of data set {name!r} must be whole numbers, got {raw.dtype}.")
        y = np.array(raw, dtype=np.int64, order="C")
        classes = int(y.max()) + 1 if n_classes is None else n_classes
        if y.min() < 0 or y.max() >= classes or classes < 2:  # noqa: PLR2004 - one class is nothing to learn
            raise UsageError(
                f"targets of data set {name!r} must lie in [0, n_classes) with at least two classes, "
                f"got {y.min()} to {y.max()} and n_classes = {classes}."
            )
        return cls._frozen(name, x, y, classes, tuple(columns))

    @classmethod
    def of_numbers(
        cls, name: str, inputs: ArrayLike, targets: ArrayLike, *, columns: Sequence[Column] = ()
    ) -> Dataset:
        """Return the data set of a regression: a number is to be predicted for each example.

        Args:
            name: what a suite calls it.
            inputs: as of :meth:`of`.
            targets: numbers, shape ``(n,)``.
            columns: as of :meth:`of`.

        Raises:
            UsageError: the shapes do not fit, an input or a target is not finite, or all targets are equal.
        """
        x, raw = _examples(name, inputs, targets, columns)
        y = np.array(raw, dtype=np.float64, order="C")
        large = ~(np.abs(y) <= np.finfo(np.float32).max)
        if large.any():
            raise UsageError(
                f"targets of data set {name!r} must be finite numbers below 3.4e38, got {y[large.argmax()]!r} for "
                f"example {int(large.argmax()) + 1}."
            )
        if y.min() == y.max():
            raise UsageError(
                f"targets of data set {name!r} must differ from one another, all {len(y)} are {y[0]:g}."
            )
        return cls._frozen(name, x, y, 1, tuple(columns))

    @classmethod
    def _frozen(
        cls,
        name: str,
        inputs: Inputs,
        targets: Targets,
        n_classes: int,
        columns: tuple[Column, ...],
    ) -> Dataset:
        """Return the data set of arrays that are checked and its own."""
        inputs.flags.writeable = False
        targets.flags.writeable = False
        return cls(name, inputs, targets, n_classes, _checksum(inputs, targets, columns), columns)

    def take(self, places: NDArray[np.int64]) -> Dataset:
        """Return the data set of the examples at ``places`` alone."""
        part = self._frozen(
            self.name, self.inputs[places], self.targets[places], self.n_classes, self.columns
        )
        return replace(part, class_names=self.class_names, origin=self.origin)

    def shaped(self, shape: tuple[int, ...]) -> Dataset:
        """Return the data set whose inputs are read as ``(channels, height, width)``."""
        inputs = self.inputs.reshape(len(self), *shape)
        part = self._frozen(self.name, inputs, self.targets, self.n_classes, ())
        return replace(part, class_names=self.class_names, origin=self.origin)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def regression(self) -> bool:
        """Whether a number is to be predicted, not a class."""
        return self.n_classes == 1

    @property
    def strata(self) -> NDArray[np.int64]:
        """The groups of which every part of a split gets its share, shape ``(n,)``: the classes, or one for all."""
        return np.zeros(len(self), dtype=np.int64) if self.regression else self.targets.astype(np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input once it is encoded: ``(features,)`` or ``(channels, height, width)``."""
        if self.columns:
            return (sum(column.width for column in self.columns),)
        return self.inputs.shape[1:]

    @property
    def n_bytes(self) -> int:
        """What the inputs take once they are encoded."""
        return len(self) * math.prod(self.shape) * np.dtype(np.float32).itemsize

    def class_name(self, label: int) -> str:
        """Return what messages call a class: its name in quotes, or its number."""
        return repr(self.class_names[label][:_LONGEST_SHOWN]) if self.class_names else str(label)


DatasetLoader = Callable[[], Dataset]
"""What a name in the registry stands for; an installed package may add its own."""

DatasetSource = Callable[[DataSpec], Dataset]
"""What a prefix stands for: given what a task says of its data, it returns the whole data set.

The source heeds ``rest``, ``target`` and ``folder``; ``shape`` (which it may heed) and ``subset`` are
applied to what it returns.
"""


def _examples(
    name: str, inputs: ArrayLike, targets: ArrayLike, columns: Sequence[Column]
) -> tuple[Inputs, NDArray[Any]]:
    """Return inputs that are checked and the targets as they are."""
    x = precise(np.asarray(inputs))
    raw = np.asarray(targets)
    _check_shapes(name, x.shape, raw.shape)
    if not columns and not np.isfinite(x).all():
        raise UsageError(f"inputs of data set {name!r} must be finite, got NaN or infinity.")
    if columns:
        _check_columns(name, x, columns)
    return x, raw


def _check_shapes(name: str, inputs: tuple[int, ...], targets: tuple[int, ...]) -> None:
    """Raise unless inputs are vectors or images and there is one target for each."""
    if len(inputs) not in {2, 4} or 0 in inputs:
        raise UsageError(
            f"inputs of data set {name!r} must have the shape (n, features) or (n, channels, height, width), "
            f"none of them 0, got {inputs}."
        )
    if targets != inputs[:1]:
        raise UsageError(
            f"targets of data set {name!r} must have the shape {inputs[:1]}, one for each input, got {targets}."
        )


def _check_columns(name: str, inputs: Inputs, columns: Sequence[Column]) -> None:
    """Raise unless there is a finite or missing value for each column, in each a value, and the encoded table has a sane size."""
    if inputs.ndim != 2 or inputs.shape[1] != len(columns):  # noqa: PLR2004 - a table has two axes
        raise UsageError(
            f"inputs of data set {name!r} must have the shape (n, {len(columns)}), one for each column, "
            f"got {inputs.shape}."
        )
    if np.isinf(inputs).any():
        raise UsageError(f"inputs of data set {name!r} must be finite or missing (NaN), got infinity.")
    empty = np.isnan(inputs).all(axis=0)
    if empty.any():
        raise UsageError(
            f"column {columns[int(empty.argmax())].name[:_LONGEST_SHOWN]!r} of data set {name!r} must hold a value "
            f"somewhere, all {len(inputs)} are missing; remove it."
        )
    width = sum(column.width for column in columns)
    if len(inputs) * width > _MOST_VALUES:
        raise UsageError(
            f"data set {name!r} must have at most {_MOST_VALUES} numbers once its categories are encoded, "
            f"got {len(inputs)} rows of {width}; remove columns with many categories, or rows."
        )


def _checksum(inputs: Inputs, targets: Targets, columns: tuple[Column, ...] = ()) -> str:
    """Return the SHA-256 over both arrays as little-endian bytes, and over the columns if there are any."""
    digest = hashlib.sha256(inputs.astype(inputs.dtype.newbyteorder("<"), copy=False).tobytes())
    digest.update(targets.astype("<i8" if targets.dtype.kind == "i" else "<f8", copy=False).tobytes())
    if columns:
        digest.update(json.dumps([[column.name, column.categories] for column in columns]).encode("ascii"))
    return digest.hexdigest()

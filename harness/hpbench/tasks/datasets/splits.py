"""Stratified, standardised train, validation and test parts of a data set.

Own code rather than a library's: which examples are tested is a promise that has to hold for years.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpbench.errors import UsageError
from hpbench.seeding import split_stream
from hpbench.tasks.datasets.base import Dataset
from hpbench.tasks.datasets.encoding import encoder

__all__ = ["Split", "split"]

_PARTS = 3


@dataclass(frozen=True, eq=False)
class Split:
    """The three parts of a data set, every class in each of them.

    Inputs are float32, C-contiguous, of shape ``(n_part, *shape)``, with mean 0 and standard
    deviation 1 *on the training part* (per feature of vectors, per channel of images); categories of
    tables are 0 or 1, and missing values are filled in by what the training part says. Targets are
    int64 of shape ``(n_part,)``. Inside a part the examples keep the order of the data set.

    Attributes:
        train_inputs: what a network is fitted to.
        train_targets: their classes.
        val_inputs: what a strategy is told the error of.
        val_targets: their classes.
        test_inputs: what is only reported.
        test_targets: their classes.
    """

    train_inputs: NDArray[np.float32]
    train_targets: NDArray[np.int64]
    val_inputs: NDArray[np.float32]
    val_targets: NDArray[np.int64]
    test_inputs: NDArray[np.float32]
    test_targets: NDArray[np.int64]


def split(
    dataset: Dataset, *, root_seed: int, repetition: int, validation_fraction: float, test_fraction: float
) -> Split:
    """Return the parts of ``dataset`` in this repetition, equal for every network and strategy.

    The test examples depend on ``test_fraction`` alone, not on ``validation_fraction``. Everything
    that filling in and standardisation need is measured on the training part, so that nothing leaks.

    Args:
        dataset: what is split.
        root_seed: the suite's seed.
        repetition: from 0; another repetition is another split.
        validation_fraction: share of all examples, in (0, 1).
        test_fraction: share of all examples, in (0, 1); both together below 1.

    Raises:
        UsageError: the fractions leave nothing to train on, or a class has fewer than three
            examples, so that it cannot be in every part.
    """
    _check_fractions(validation_fraction, test_fraction)
    train, val, test = _indices(dataset, root_seed, repetition, validation_fraction, test_fraction)
    inputs, targets = dataset.inputs, dataset.targets
    encode = encoder(dataset, inputs[train])
    return Split(
        train_inputs=encode(inputs[train]),
        train_targets=targets[train],
        val_inputs=encode(inputs[val]),
        val_targets=targets[val],
        test_inputs=encode(inputs[test]),
        test_targets=targets[test],
    )


def _check_fractions(validation: float, test: float) -> None:
    """Raise unless both shares are positive and leave something to train on."""
    for name, value in (("validation fraction", validation), ("test fraction", test)):
        if not 0.0 < value < 1.0:
            raise UsageError(f"the {name} must lie between 0 and 1, both excluded, got {value!r}.")
    if validation + test >= 1.0:
        raise UsageError(
            "validation and test together must leave something to train on, got fractions "
            f"{validation!r} + {test!r}."
        )


def _indices(
    dataset: Dataset, root_seed: int, repetition: int, validation: float, test: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the sorted places of the training, validation and test examples.

    Each class is shuffled by a stream of its own and cut into test, validation and training.
    """
    counts = np.bincount(dataset.targets, minlength=dataset.n_classes)
    if counts.min() < _PARTS:
        scarce = int(counts.argmin())
        raise UsageError(
            f"every class must have at least {_PARTS} examples, one for each of train, validation and test, "
            f"but class {dataset.class_name(scarce)} of data set {dataset.name!r} has {counts[scarce]}."
        )
    n_test = _allotted(counts, test, room=counts - 2)
    n_val = _allotted(counts, validation, room=counts - n_test - 1)
    stream = split_stream(root_seed, dataset.name, repetition)
    parts: tuple[list[NDArray[np.int64]], ...] = ([], [], [])
    for label in range(dataset.n_classes):
        members = np.flatnonzero(dataset.targets == label)
        shuffled = stream.child(label).generator().permutation(members)
        cuts = [n_test[label], n_test[label] + n_val[label]]
        for part, piece in zip(parts, np.split(shuffled, cuts), strict=True):
            part.append(piece)
    test_part, val_part, train_part = (np.sort(np.concatenate(part)) for part in parts)
    return train_part, val_part, test_part


def _allotted(counts: NDArray[np.int64], fraction: float, *, room: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many examples of each class a part gets, shape ``(n_classes,)``.

    Largest remainders: every class gets its share rounded down (at least one, at most its ``room``),
    and what rounding lost goes to the classes that lost most, so that the part has its full size.
    """
    share = counts * fraction
    given: NDArray[np.int64] = np.clip(np.floor(share).astype(np.int64), 1, room)
    missing = round(float(share.sum())) - int(given.sum())
    by_loss = np.argsort(given - share, kind="stable")
    for label in by_loss[given[by_loss] < room[by_loss]][: max(missing, 0)]:
        given[label] += 1
    return given

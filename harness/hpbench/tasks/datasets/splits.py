"""Stratified, standardised train, validation and test parts of a data set.

Own code rather than a library's: which examples are tested is a promise that has to hold for years.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpbench.errors import UsageError
from hpbench.seeding import split_stream
from hpbench.tasks.datasets.base import Dataset, Targets
from hpbench.tasks.datasets.encoding import encoder

__all__ = ["SPLIT_BYTES", "Split", "cross_validation", "split", "split_bytes", "splits", "whole"]

SPLIT_BYTES = 512 * 1024**2
"""What the splits that a training process holds may take; the runs of one shard need no more."""

_PARTS = 3


@dataclass(frozen=True, eq=False)
class Split:
    """The three parts of a data set, every class in each of them.

    Targets are classes, int64, or for regression numbers, float32, of shape ``(n_part,)``; numbers
    have mean 0 and standard deviation 1 *on the training part*.

    Inputs are float32, C-contiguous, of shape ``(n_part, *shape)``, with mean 0 and standard
    deviation 1 *on the training part* (per feature of vectors, per channel of images); categories of
    tables are 0 or 1, and missing values are filled in by what the training part says. Inside a part
    the examples keep the order of the data set.

    Attributes:
        train_inputs: what a network is fitted to.
        train_targets: their classes or numbers.
        val_inputs: what a strategy is told the error of.
        val_targets: their classes or numbers.
        test_inputs: what is only reported.
        test_targets: their classes or numbers.
    """

    train_inputs: NDArray[np.float32]
    train_targets: NDArray[np.int64] | NDArray[np.float32]
    val_inputs: NDArray[np.float32]
    val_targets: NDArray[np.int64] | NDArray[np.float32]
    test_inputs: NDArray[np.float32]
    test_targets: NDArray[np.int64] | NDArray[np.float32]


def split_bytes(dataset: Dataset, *, compiled: bool) -> int:
    """Return what the inputs of one split take; compiled steps read images of several channels from a copy."""
    copied = compiled and len(dataset.shape) > 1 and dataset.shape[0] > 1
    return dataset.n_bytes * (2 if copied else 1)


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
        UsageError: the fractions leave nothing to train on, a class has fewer than three examples,
            so that it cannot be in every part, or all numbers of a part are equal.
    """
    _check_fractions(validation_fraction, test_fraction)
    train, val, test = _indices(dataset, root_seed, repetition, validation_fraction, test_fraction)
    return _encoded(dataset, train, val, test)


def cross_validation(
    dataset: Dataset, *, root_seed: int, repetition: int, folds: int, test_fraction: float
) -> tuple[Split, ...]:
    """Return the parts of ``dataset`` for each fold: its examples validate, those of the others train.

    The test part is the one that :func:`split` gives. The rest is dealt out class by class, so that
    folds differ by one example at most, in every class and in all. Each fold is encoded by rules
    fitted on its own training part.

    Args:
        dataset: what is split.
        root_seed: the suite's seed.
        repetition: from 0; another repetition is another split.
        folds: at least 2.
        test_fraction: share of all examples, in (0, 1).

    Raises:
        UsageError: there are fewer than two folds, the fraction leaves nothing to train on, a class
            has fewer examples besides the test part than folds, or all numbers of a part are equal.

    References:
        Kohavi (1995), "A study of cross-validation and bootstrap for accuracy estimation and model
        selection": stratified folds.
    """
    if folds < 2:  # noqa: PLR2004 - one fold would leave nothing to train on
        raise UsageError(f"the number of folds must be at least 2, got {folds}.")
    _check_fractions((1.0 - test_fraction) / folds, test_fraction)
    n_test, shuffled = _shuffled(dataset, root_seed, repetition, test_fraction)
    rest = [members[count:] for members, count in zip(shuffled, n_test, strict=True)]
    scarce = int(np.argmin([len(members) for members in rest]))
    if len(rest[scarce]) < folds:
        raise UsageError(
            f"every class must have at least {folds} examples besides the test part, one for each fold, but class "
            f"{dataset.class_name(scarce)} of data set {dataset.name!r} has {len(rest[scarce])}; use fewer folds."
        )
    test = np.sort(np.concatenate([part[:count] for part, count in zip(shuffled, n_test, strict=True)]))
    dealt = np.concatenate(rest)
    fold_of = np.arange(len(dealt)) % folds
    return tuple(
        _encoded(dataset, np.sort(dealt[fold_of != fold]), np.sort(dealt[fold_of == fold]), test)
        for fold in range(folds)
    )


def whole(dataset: Dataset, *, root_seed: int, repetition: int, test_fraction: float) -> Split:
    """Return the parts of ``dataset`` once selection is over: everything that is not tested trains.

    The test part is the one that :func:`split` gives. Two training examples, with the lowest and the
    highest target, stand in for the validation part: by them it is seen that a training has diverged.

    Args:
        dataset: what is split.
        root_seed: the suite's seed.
        repetition: from 0.
        test_fraction: share of all examples, in (0, 1).

    Raises:
        UsageError: as of :func:`split`.
    """
    _check_fractions((1.0 - test_fraction) / 2.0, test_fraction)
    n_test, shuffled = _shuffled(dataset, root_seed, repetition, test_fraction)
    test = [part[:count] for part, count in zip(shuffled, n_test, strict=True)]
    rest = [part[count:] for part, count in zip(shuffled, n_test, strict=True)]
    train = np.sort(np.concatenate(rest))
    goals = dataset.targets[train]
    few = train[[int(goals.argmin()), int(goals.argmax())]]
    return _encoded(dataset, train, few, np.sort(np.concatenate(test)))


def splits(
    dataset: Dataset,
    *,
    root_seed: int,
    repetition: int,
    validation_fraction: float,
    test_fraction: float,
    folds: int | None,
) -> tuple[Split, ...]:
    """Return one split for each network that a trial trains: that of a holdout, or one for each fold.

    Args:
        dataset: what is split.
        root_seed: the suite's seed.
        repetition: from 0.
        validation_fraction: of a holdout; folds are of equal size.
        test_fraction: share of all examples, in (0, 1).
        folds: of a cross-validation; None: a holdout.

    Raises:
        UsageError: as of :func:`split` and :func:`cross_validation`.
    """
    if folds is None:
        return (
            split(
                dataset,
                root_seed=root_seed,
                repetition=repetition,
                validation_fraction=validation_fraction,
                test_fraction=test_fraction,
            ),
        )
    return cross_validation(
        dataset, root_seed=root_seed, repetition=repetition, folds=folds, test_fraction=test_fraction
    )


def _encoded(
    dataset: Dataset, train: NDArray[np.int64], val: NDArray[np.int64], test: NDArray[np.int64]
) -> Split:
    """Return the examples at these places, by rules fitted on those at ``train``."""
    inputs = dataset.inputs
    encode = encoder(dataset, inputs[train])
    goal = _goal(dataset, train)
    return Split(
        train_inputs=encode(inputs[train]),
        train_targets=goal(train, "training"),
        val_inputs=encode(inputs[val]),
        val_targets=goal(val, "validation"),
        test_inputs=encode(inputs[test]),
        test_targets=goal(test, "test"),
    )


def _goal(
    dataset: Dataset, train: NDArray[np.int64]
) -> Callable[[NDArray[np.int64], str], NDArray[np.int64] | NDArray[np.float32]]:
    """Return what gives the targets at some places: classes as they are, numbers standardised.

    Numbers that are all equal in a part leave nothing to be explained: their error is not defined.
    """
    targets: Targets = dataset.targets
    if not dataset.regression:
        return lambda places, _: targets[places].astype(np.int64)
    mean, scale = float(targets[train].mean()), float(targets[train].std())

    def standardised(places: NDArray[np.int64], part: str) -> NDArray[np.float32]:
        """Return the numbers of a part, shape ``(n,)``."""
        if targets[places].min() == targets[places].max():
            raise UsageError(
                f"the {part} part of data set {dataset.name!r} must hold different targets, all {len(places)} are "
                f"{targets[places][0]:g}; use more examples, or larger parts."
            )
        return ((targets[places] - mean) / scale).astype(np.float32)

    return standardised


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

    Each class is cut into test, validation and training.
    """
    n_test, shuffled = _shuffled(dataset, root_seed, repetition, test)
    counts = np.array([len(members) for members in shuffled])
    n_val = _allotted(counts, validation, room=counts - n_test - 1)
    parts: tuple[list[NDArray[np.int64]], ...] = ([], [], [])
    for members, first, second in zip(shuffled, n_test, n_test + n_val, strict=True):
        for part, piece in zip(parts, np.split(members, [first, second]), strict=True):
            part.append(piece)
    test_part, val_part, train_part = (np.sort(np.concatenate(part)) for part in parts)
    return train_part, val_part, test_part


def _shuffled(
    dataset: Dataset, root_seed: int, repetition: int, test: float
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return how many examples of each class are tested, and the places of each class: those come first.

    Each class is shuffled by a stream of its own; the examples of a regression are treated as one class.
    """
    strata = dataset.strata
    counts = np.bincount(strata, minlength=dataset.n_classes)
    if counts.min() < _PARTS:
        scarce = int(counts.argmin())
        raise UsageError(
            f"every class must have at least {_PARTS} examples, one for each of train, validation and test, "
            f"but class {dataset.class_name(scarce)} of data set {dataset.name!r} has {counts[scarce]}."
        )
    stream = split_stream(root_seed, dataset.name, repetition)
    shuffled = [
        stream.child(label).generator().permutation(np.flatnonzero(strata == label))
        for label in range(dataset.n_classes)
    ]
    return _allotted(counts, test, room=counts - 2), shuffled


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

"""A part of a data set for quick studies: every class keeps its share, and the seed decides the examples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpbench.errors import UsageError
from hpbench.seeding import Stream
from hpbench.tasks.datasets.base import Dataset

__all__ = ["subset"]

_LEAST = 3
"""Examples of a class that a split needs: one for each part."""


def subset(dataset: Dataset, size: int, *, root_seed: int) -> Dataset:
    """Return ``size`` examples of ``dataset`` in their old order, equal for every repetition and strategy.

    Every class gets its share, at least three examples or all that it has. A class's examples of a
    small subset are among those of a larger one.

    Args:
        dataset: what is taken from.
        size: examples, at most as many as there are.
        root_seed: the suite's seed.

    Raises:
        UsageError: there are fewer examples, or fewer than three of each class would be left.
    """
    counts = np.bincount(dataset.targets, minlength=dataset.n_classes)
    least = np.minimum(counts, _LEAST)
    if not int(least.sum()) <= size <= len(dataset):
        raise UsageError(
            f"`subset` must be at least {least.sum()} ({_LEAST} examples for each class) and at most the "
            f"{len(dataset)} examples of data set {dataset.name!r}, got {size}."
        )
    given = _shares(counts, least, size)
    stream = Stream((root_seed, dataset.name, "subset"))
    chosen = []
    for label in range(dataset.n_classes):
        members = np.flatnonzero(dataset.targets == label)
        chosen.append(stream.child(label).generator().permutation(members)[: given[label]])
    return dataset.take(np.sort(np.concatenate(chosen)))


def _shares(counts: NDArray[np.int64], least: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return how many examples each class gives, shape ``(n_classes,)``, together ``size``.

    Each gets its share rounded down, but ``least``; then the classes that are furthest below their
    share get one more, or those furthest above give one up, until the sum is right.
    """
    share = counts * (size / counts.sum())
    given: NDArray[np.int64] = np.clip(np.floor(share).astype(np.int64), least, counts)
    while (missing := size - int(given.sum())) != 0:
        able = np.flatnonzero(given < counts if missing > 0 else given > least)
        order = able[np.argsort((given - share)[able] * np.sign(missing), kind="stable")]
        given[order[: abs(missing)]] += np.sign(missing)
    return given

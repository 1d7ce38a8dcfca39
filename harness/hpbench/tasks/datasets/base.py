"""The noun of this package: a data set in memory, checked once and never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpbench.errors import UsageError

__all__ = ["Dataset", "DatasetLoader", "DatasetSource"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples and their classes, as they come: neither split nor standardised.

    The arrays are read-only, because one data set serves every trial of a process. Build it with
    :meth:`of`, which converts, checks and computes the checksum.

    Attributes:
        name: what a suite calls it; part of the key of the split's stream.
        inputs: float32, C-contiguous, shape ``(n, features)`` or ``(n, channels, height, width)``.
        targets: int64, shape ``(n,)``, each in ``[0, n_classes)``.
        n_classes: number of classes.
        checksum: SHA-256, hexadecimal, over the bytes of inputs and targets (little-endian).
    """

    name: str
    inputs: NDArray[np.float32]
    targets: NDArray[np.int64]
    n_classes: int
    checksum: str

    @classmethod
    def of(cls, name: str, inputs: ArrayLike, targets: ArrayLike, *, n_classes: int | None = None) -> Dataset:
        """Return the data set with these examples.

        Args:
            name: what a suite calls it.
            inputs: numbers of shape ``(n, features)`` or ``(n, channels, height, width)``.
            targets: whole numbers from 0, shape ``(n,)``.
            n_classes: number of classes; by default the largest target plus one.

        Raises:
            UsageError: the shapes do not fit, an input is not finite, or a target is no class.
        """
        x = np.array(inputs, dtype=np.float32, order="C")
        raw = np.asarray(targets)
        _check_shapes(name, x.shape, raw.shape)
        if not np.isfinite(x).all():
            raise UsageError(f"inputs of data set {name!r} must be finite, got NaN or infinity.")
        if not np.issubdtype(raw.dtype, np.integer):
            raise UsageError(f"targets of data set {name!r} must be whole numbers, got {raw.dtype}.")
        y = np.array(raw, dtype=np.int64, order="C")
        classes = int(y.max()) + 1 if n_classes is None else n_classes
        if y.min() < 0 or y.max() >= classes or classes < 2:  # noqa: PLR2004 - one class is nothing to learn
            raise UsageError(
                f"targets of data set {name!r} must lie in [0, n_classes) with at least two classes, "
                f"got {y.min()} to {y.max()} and n_classes = {classes}."
            )
        x.flags.writeable = False
        y.flags.writeable = False
        return cls(name, x, y, classes, _checksum(x, y))

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input: ``(features,)`` or ``(channels, height, width)``."""
        return self.inputs.shape[1:]


DatasetLoader = Callable[[], Dataset]
"""What a name in the registry stands for; an installed package may add its own."""

DatasetSource = Callable[[str], Dataset]
"""What a prefix stands for: given ``"rest"`` of a name ``"prefix:rest"``, it returns the data set."""


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


def _checksum(inputs: NDArray[np.float32], targets: NDArray[np.int64]) -> str:
    """Return the SHA-256 over both arrays as little-endian bytes."""
    digest = hashlib.sha256(inputs.astype("<f4", copy=False).tobytes())
    digest.update(targets.astype("<i8", copy=False).tobytes())
    return digest.hexdigest()

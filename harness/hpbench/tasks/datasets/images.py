"""Reading inputs as images: what ``shape`` means, and which axis of an array holds the channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpbench.errors import UsageError
from hpbench.tasks.datasets.base import Dataset

__all__ = ["as_images", "channels_first", "full_shape", "shape_hint"]

_CHANNELS = frozenset({1, 3, 4})
"""Grey, colour, and colour with transparency: what a last axis must have to be taken for channels."""

_LEAST_SIDE = 8
"""Below, a square number of features is more likely chance than an image."""


def full_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return ``(channels, height, width)`` for that or for ``(height, width)``, which has one channel."""
    return shape if len(shape) == 3 else (1, *shape)  # noqa: PLR2004 - three axes are a full shape


def as_images(dataset: Dataset, shape: tuple[int, ...]) -> Dataset:
    """Return ``dataset`` with every input read as an image.

    The numbers of a vector are taken channel by channel, row by row, as OpenML and the binary files of
    CIFAR-10 hold them.

    Args:
        dataset: vectors of ``channels * height * width`` numbers, or images of that very shape.
        shape: ``(channels, height, width)`` or ``(height, width)``.

    Raises:
        UsageError: the inputs have another size, or are no plain numbers.
    """
    wanted = full_shape(shape)
    if dataset.shape == wanted:
        return dataset
    if dataset.columns:
        raise UsageError(
            f"`shape` must be left out for data set {dataset.name!r}: it has categories or missing values, so "
            "its rows are no images."
        )
    if len(dataset.shape) != 1 or math.prod(wanted) != dataset.shape[0]:
        raise UsageError(
            f"`shape` must fit the inputs of data set {dataset.name!r}, whose shape is {dataset.shape}: "
            f"{' x '.join(map(str, wanted))} is {math.prod(wanted)} numbers.{shape_hint(dataset.shape)}"
        )
    return dataset.shaped(wanted)


def shape_hint(shape: tuple[int, ...]) -> str:
    """Return the hint which ``shape`` vectors of this length may be images of; empty if none is likely."""
    if len(shape) != 1:
        return ""
    for channels in (1, 3):
        side = math.isqrt(shape[0] // channels)
        if side >= _LEAST_SIDE and channels * side * side == shape[0]:
            return f" If they are images, set `shape = [{channels}, {side}, {side}]`."
    return ""


def channels_first(images: NDArray[Any], shape: tuple[int, ...] | None) -> NDArray[Any]:
    """Return an array of images as ``(n, channels, height, width)``; an array of vectors as it is.

    ``(n, height, width)`` has one channel. In ``(n, a, b, c)`` the channels come first, unless ``c`` is 1,
    3 or 4 and ``a`` is not: then they come last. ``shape`` settles what this rule gets wrong.

    Args:
        images: two to four axes.
        shape: the shape that the user gave, or None.
    """
    if images.ndim == 3:  # noqa: PLR2004 - images without an axis for channels
        return images[:, None]
    if images.ndim != 4:  # noqa: PLR2004 - no images
        return images
    first, second, last = images.shape[1:]
    if shape is None:
        swap = last in _CHANNELS and first not in _CHANNELS
    else:
        wanted = full_shape(shape)
        swap = (first, second, last) != wanted and (last, first, second) == wanted
    return np.moveaxis(images, 3, 1) if swap else images

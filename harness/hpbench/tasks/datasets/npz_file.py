"""NumPy's NPZ files: two arrays, inputs and targets; nothing in them is ever unpickled."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hpbench.errors import UsageError
from hpbench.tasks.datasets.base import Column, Dataset
from hpbench.tasks.datasets.images import channels_first
from hpbench.tasks.datasets.tables import check_header, classes_of_numbers, classes_of_texts, shown

__all__ = ["dataset_of_npz"]

_LARGEST_BYTES = 8 * 1024**3
_SUFFIX = ".npy"
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def dataset_of_npz(
    name: str,
    content: bytes,
    *,
    target: str | None,
    shape: tuple[int, ...] | None,
    origin: Mapping[str, Any],
) -> Dataset:
    """Return the data set in an NPZ file of two arrays: ``target`` and the inputs.

    Inputs are vectors ``(n, features)``, in which NaN is a missing value, or images: ``(n, height,
    width)``, ``(n, channels, height, width)`` or ``(n, height, width, channels)``, see
    :func:`hpbench.tasks.datasets.images.channels_first`. Targets are whole numbers or texts, ``(n,)``
    or ``(n, 1)``.

    Args:
        name: what the data set is called.
        content: the file.
        target: the name of the array to predict.
        shape: the shape of an image that the user gave, or None.
        origin: where it comes from.

    Raises:
        UsageError: it is no such file, or an array holds something else than numbers or text.
    """
    arrays = _arrays(content)
    check_header(list(arrays), target=target)
    if len(arrays) != 2 or target is None:  # noqa: PLR2004 - inputs and targets
        found = ", ".join(shown(key) for key in arrays)
        raise UsageError(
            f"an NPZ file must hold two arrays, inputs and targets, got {len(arrays)}: {found}; save those two alone."
        )
    (key,) = [key for key in arrays if key != target]
    inputs, labels = _inputs(key, arrays[key], shape), _labels(target, arrays[target])
    if len(inputs) != len(labels):
        raise UsageError(
            f"inputs {shown(key)} and targets {shown(target)} must have the same first axis, got the shapes "
            f"{arrays[key].shape} and {arrays[target].shape}."
        )
    if labels.dtype.kind == "U":
        texts, codes = np.unique(labels, return_inverse=True)
        names, targets = classes_of_texts(target, texts.tolist(), codes.astype(np.float64))
    else:
        names, targets = classes_of_numbers(target, labels.astype(np.float64))
    gaps = inputs.ndim == 2 and inputs.dtype.kind == "f" and bool(np.isnan(inputs).any())  # noqa: PLR2004
    columns = [Column(f"{key}[{place}]") for place in range(inputs.shape[1])] if gaps else []
    made = Dataset.of(name, inputs, targets, n_classes=len(names), columns=columns)
    return replace(made, class_names=names, origin={**origin, "target": target})


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Return every array of the file by its name."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {item.filename.removesuffix(_SUFFIX): _array(archive, item) for item in archive.infolist()}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UsageError(
            f"the file must be a whole NPZ file, as numpy.savez writes it: {str(error).rstrip('.')}."
        ) from error


def _array(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> NDArray[Any]:
    """Return one array; its header is read first, so that neither objects nor absurd sizes are loaded."""
    name = shown(item.filename.removesuffix(_SUFFIX))
    try:
        with archive.open(item) as stream:
            read_header = _HEADERS.get(npy.read_magic(stream))
            if read_header is None:
                raise UsageError(
                    f"array {name} must have the NPY format 1.0 or 2.0; save it with numpy.savez."
                )
            shape, _, kind = read_header(stream)
        _check_array(name, shape, kind)
        with archive.open(item) as stream:
            return np.asarray(npy.read_array(stream, allow_pickle=False))
    except ValueError as error:
        raise UsageError(f"array {name} must be a whole NPY array: {str(error).rstrip('.')}.") from error


def _check_array(name: str, shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
    """Raise unless the array can be read without running code from it, into a sane part of the memory."""
    if kind.hasobject:
        raise UsageError(
            f"array {name} must hold numbers or text, it holds Python objects, which are never unpickled; save it "
            "with a plain dtype."
        )
    if math.prod(shape) * max(1, kind.itemsize) > _LARGEST_BYTES:
        raise UsageError(f"array {name} must take at most {_LARGEST_BYTES} bytes, got the shape {shape}.")


def _inputs(name: str, values: NDArray[Any], shape: tuple[int, ...] | None) -> NDArray[Any]:
    """Return inputs as vectors or images with the channels first."""
    if values.dtype.kind not in "biuf":
        raise UsageError(f"inputs {shown(name)} must be numbers, got {values.dtype}.")
    if values.ndim not in {2, 3, 4} or 0 in values.shape:
        raise UsageError(
            f"inputs {shown(name)} must have the shape (n, features), (n, height, width), (n, channels, height, width) "
            f"or (n, height, width, channels), none of them 0, got {values.shape}."
        )
    return channels_first(values, shape)


def _labels(target: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return targets as one axis of numbers or texts."""
    if values.ndim == 2 and values.shape[1] == 1:  # noqa: PLR2004 - a column
        values = values[:, 0]
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "biufU":
        raise UsageError(
            f"targets {shown(target)} must be whole numbers or texts of shape (n,), got {values.dtype} of shape "
            f"{values.shape}."
        )
    return values

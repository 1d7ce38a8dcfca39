"""``file:PATH``: a user's own table or images, in a CSV, Parquet or NPZ file."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from hpbench.errors import MissingExtraError, UsageError
from hpbench.tasks.datasets.base import Dataset, DataSpec
from hpbench.tasks.datasets.csv_file import read_csv
from hpbench.tasks.datasets.npz_file import dataset_of_npz
from hpbench.tasks.datasets.parquet_file import read_parquet
from hpbench.tasks.datasets.tables import dataset_of

__all__ = ["from_file"]

_LARGEST_BYTES = 2 * 1024**3
_TABLES = {".csv": read_csv, ".parquet": read_parquet}
_ARRAYS = ".npz"


def from_file(wanted: DataSpec) -> Dataset:
    """Return your own table or images, from a CSV, Parquet or NPZ file.

    The path that ``wanted`` names is relative to its folder.

    The data set is called by the file's name alone, so that neither splits nor results depend on where it lies.

    Raises:
        UsageError: the file cannot be read or used; the message begins with its name.
    """
    try:
        return _loaded(wanted)
    except MissingExtraError:
        raise
    except UsageError as error:
        raise UsageError(f"data set {wanted.name!r}: {error}") from error


def _loaded(wanted: DataSpec) -> Dataset:
    """Return the data set in the file."""
    if not wanted.rest:
        raise UsageError(f"'file:' must be followed by a path that ends with {_endings()}.")
    path = Path(wanted.folder) / Path(wanted.rest)
    content = _content(path)
    name = f"file:{path.name}"
    origin = {"source": "file", "file": path.name, "sha256": hashlib.sha256(content).hexdigest()}
    kind = path.suffix.lower()
    if kind == _ARRAYS:
        return dataset_of_npz(name, content, target=wanted.target, shape=wanted.shape, origin=origin)
    table = _TABLES[kind](content, target=wanted.target)
    return dataset_of(name, table, target=wanted.target or "", origin=origin)


def _endings() -> str:
    """Return the endings that can be read, as text."""
    return ", ".join((*_TABLES, _ARRAYS))


def _content(path: Path) -> bytes:
    """Return the bytes of a regular file; nothing else is opened, because a pipe would never end."""
    try:
        _check_kind(path)
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            content = stream.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"the file cannot be read: {error.strerror or error}; check the path.") from error
    except ValueError as error:
        raise UsageError(f"the path cannot be used: {error}.") from error
    if len(content) > _LARGEST_BYTES:
        raise UsageError(f"the file must have at most {_LARGEST_BYTES} bytes; use fewer rows.")
    if not content:
        raise UsageError("the file must hold data, it is empty.")
    return content


def _check_kind(path: Path) -> None:
    """Raise unless a regular file with a known ending lies there."""
    kind = path.stat().st_mode
    if stat.S_ISDIR(kind):
        raise UsageError("the path must lead to a file, it is a folder.")
    if not stat.S_ISREG(kind):
        raise UsageError("the path must lead to a regular file, it is a device, a pipe or a socket.")
    if path.suffix.lower() not in {*_TABLES, _ARRAYS}:
        raise UsageError(f"the file must be one of {_endings()}, got the ending {path.suffix!r}; convert it.")

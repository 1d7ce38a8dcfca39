"""Files that are whole or absent: written beside their place, synchronised, then moved into it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

__all__ = ["atomic_path", "atomic_write", "cache_folder", "sync_directory"]


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target`` to write to; it takes the place of ``target`` at the end.

    An error inside leaves ``target`` as it was and nothing else behind.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.chmod(0o666 & ~_umask())
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


def atomic_write(target: Path, content: str | bytes) -> None:
    """Write ``content`` to ``target``: text as UTF-8 with Unix line ends, whatever the locale.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_path(target) as draft:
        draft.write_bytes(data)


def sync_directory(folder: Path) -> None:
    """Make the names in ``folder`` durable.

    Raises:
        OSError: the folder cannot be opened.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """Return the process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def cache_folder(part: str) -> Path:
    """Return the folder of one kind of kept files: in ``$HPBENCH_CACHE``, or in the user's cache folder."""
    chosen = os.environ.get("HPBENCH_CACHE")
    return (Path(chosen) if chosen else Path(platformdirs.user_cache_dir("hpbench"))) / part

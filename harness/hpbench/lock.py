"""One writer for a results directory: a lock of the operating system, which the holder's death frees."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from hpbench.errors import LockedError, StoreError

__all__ = ["LOCK_NAME", "locked"]

LOCK_NAME = "study.lock"


@contextlib.contextmanager
def locked(results: Path) -> Iterator[None]:
    """Hold the lock of ``results`` while inside; the file stays behind and means nothing by itself.

    Raises:
        LockedError: another process holds it; the message names the holder.
        StoreError: the directory cannot be made or written.
    """
    path = results / LOCK_NAME
    try:
        results.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StoreError(
            f"{results} cannot be used for results: {error.strerror or error}. "
            "Change its permissions, or choose another directory with --results."
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(
                f"{results} is in use by another hpbench run ({_holder(path)}). Wait for it, or choose another "
                "directory with --results."
            ) from error
        _sign(path, handle)
        yield
    finally:
        os.close(handle)


def _sign(path: Path, handle: int) -> None:
    """Write who holds the lock; only for the message that others get."""
    holder = {
        "pid": os.getpid(),
        "host": platform.node(),
        "start": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(holder).encode("ascii"), 0)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}. Free some space.") from error


def _holder(path: Path) -> str:
    """Return who holds the lock, as far as the file says."""
    try:
        holder = json.loads(path.read_text(encoding="ascii"))
        return f"process {holder['pid']} on {holder['host']} since {holder['start']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said which"

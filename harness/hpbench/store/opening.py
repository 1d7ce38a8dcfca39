"""What a store's file must be before it is opened, and how one of an older version is brought up to date."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from hpbench.errors import StoreError, UsageError
from hpbench.files import sync_directory
from hpbench.store.schema import APPLICATION_ID, SCHEMA_VERSION, UPGRADES

__all__ = ["STORE_NAME", "check_content", "check_file", "store_path", "upgrade"]

_MAGIC = b"SQLite format 3\x00"
STORE_NAME = "study.sqlite"


def store_path(path: str | Path) -> Path:
    """Return the store's file: ``path`` itself if it ends in ``.sqlite`` and is no folder, else the one in it."""
    given = Path(path)
    return given if given.suffix == ".sqlite" and not given.is_dir() else given / STORE_NAME


def check_file(path: Path) -> None:
    """Raise unless ``path`` is a file that begins like an SQLite database."""
    if not path.is_file():
        raise UsageError(f"there is no study at {path}; run one first: hpbench run SUITE --results DIR")
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not head:
        raise StoreError(f"{path} is empty (0 bytes), so it holds no study. Restore a copy, or delete it.")
    if head != _MAGIC:
        raise StoreError(
            f"{path} is not an SQLite database, so it is no store of hpbench. It was left as it is."
        )


def upgrade(path: Path, connection: sqlite3.Connection, version: int) -> None:
    """Bring a store up to date, step by step, each in one transaction, after a whole copy was made."""
    if version == SCHEMA_VERSION:
        return
    copy = path.with_name(f"{path.stem}.v{version}{path.suffix}")
    draft = copy.with_name(copy.name + ".new")
    draft.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(draft)) as target:
        connection.backup(target)
    draft.replace(copy)
    sync_directory(path.parent)
    for step in range(version, SCHEMA_VERSION):
        connection.executescript(UPGRADES[step])


def check_content(path: Path, connection: sqlite3.Connection) -> int:
    """Return the version of the open database, if it is a whole store that this program knows.

    Raises:
        StoreError: it is not.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise StoreError(
            f"{path} is a database of another program, not a store of hpbench. It was left as it is."
        )
    if version < 1:
        raise StoreError(
            f"{path} is damaged (it says store version {version}). It was left as it is; restore a copy."
        )
    if version > SCHEMA_VERSION:
        message = (
            f"{path} was written by a newer hpbench (store version {version}, this one reads up to "
            f"{SCHEMA_VERSION}). Upgrade: pip install --upgrade hpbench"
        )
        raise StoreError(message)
    faults = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    if faults != ["ok"]:
        raise StoreError(f"{path} is damaged ({faults[0]}). It was left as it is; restore a copy.")
    return int(version)

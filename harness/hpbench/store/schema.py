"""The tables of the store, how a connection to them is set up, and what SQLite's errors mean to a user."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from hpbench.canonical import KEYS, RETRAINING_KEYS, text_of
from hpbench.errors import StoreError

__all__ = [
    "APPLICATION_ID",
    "COLUMNS",
    "CREATE",
    "INSERT_RETRAINING",
    "INSERT_TRIAL",
    "RETRAINING_COLUMNS",
    "SCHEMA_VERSION",
    "SELECT_RETRAININGS",
    "SELECT_TRIALS",
    "SELECT_TRIALS_OF",
    "UPGRADES",
    "checksum",
    "connect",
    "sqlite_version",
    "translated",
]

APPLICATION_ID = 0x68706231
"""Marks the file as ours: "hpb1" in ASCII."""

SCHEMA_VERSION = 2
"""Version 2 holds retrainings of incumbents besides."""

COLUMNS = KEYS[3:]
"""The columns of a trial: the keys of a line without those that name its run."""

RETRAINING_COLUMNS = RETRAINING_KEYS[3:]
"""The same of a retraining."""

_BUSY_MILLISECONDS = 30_000

_RETRAINING = """
CREATE TABLE retraining (
    run_id INTEGER NOT NULL REFERENCES run (id),
    number INTEGER NOT NULL,
    trial INTEGER NOT NULL,
    epochs INTEGER NOT NULL,
    status TEXT NOT NULL,
    test_correct INTEGER,
    test_total INTEGER,
    test_loss REAL,
    message TEXT NOT NULL,
    checksum TEXT NOT NULL,
    PRIMARY KEY (run_id, number),
    FOREIGN KEY (run_id, trial) REFERENCES trial (run_id, number)
) WITHOUT ROWID;
CREATE TRIGGER retraining_never_changes BEFORE UPDATE ON retraining
    BEGIN SELECT RAISE(ABORT, 'a finished retraining is never changed'); END;
CREATE TRIGGER retraining_never_vanishes BEFORE DELETE ON retraining
    BEGIN SELECT RAISE(ABORT, 'a finished retraining is never deleted'); END;
"""

CREATE = f"""
BEGIN IMMEDIATE;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE study (id INTEGER PRIMARY KEY CHECK (id = 1), payload TEXT NOT NULL, checksum TEXT NOT NULL);
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    task TEXT NOT NULL,
    strategy TEXT NOT NULL,
    repetition INTEGER NOT NULL,
    state TEXT NOT NULL,
    message TEXT NOT NULL DEFAULT '',
    UNIQUE (task, strategy, repetition)
);
CREATE TABLE trial (
    run_id INTEGER NOT NULL REFERENCES run (id),
    number INTEGER NOT NULL,
    parent INTEGER,
    config TEXT NOT NULL,
    epochs_from INTEGER NOT NULL,
    epochs INTEGER NOT NULL,
    status TEXT NOT NULL,
    val_correct INTEGER,
    val_total INTEGER,
    val_loss REAL,
    test_correct INTEGER,
    test_total INTEGER,
    test_loss REAL,
    curve TEXT NOT NULL,
    ask_seconds REAL NOT NULL,
    train_seconds REAL NOT NULL,
    evaluate_seconds REAL NOT NULL,
    tell_seconds REAL NOT NULL,
    message TEXT NOT NULL,
    checksum TEXT NOT NULL,
    PRIMARY KEY (run_id, number)
) WITHOUT ROWID;
CREATE TABLE event (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL
);
CREATE TABLE calibration (key TEXT PRIMARY KEY, payload TEXT NOT NULL);
{_RETRAINING}
CREATE TRIGGER trial_never_changes BEFORE UPDATE ON trial
    BEGIN SELECT RAISE(ABORT, 'a finished trial is never changed'); END;
CREATE TRIGGER trial_never_vanishes BEFORE DELETE ON trial
    BEGIN SELECT RAISE(ABORT, 'a finished trial is never deleted'); END;
CREATE TRIGGER study_never_changes BEFORE UPDATE ON study
    BEGIN SELECT RAISE(ABORT, 'the description of a study is never changed'); END;
"""

INSERT_TRIAL = (
    f"INSERT INTO trial (run_id, {', '.join(COLUMNS)}, checksum) "  # noqa: S608 - constants of this module
    f"VALUES ({', '.join('?' * (len(COLUMNS) + 2))})"
)
SELECT_TRIALS = f"SELECT {', '.join(COLUMNS)}, checksum FROM trial WHERE run_id = ? ORDER BY number"  # noqa: S608
SELECT_TRIALS_OF = SELECT_TRIALS.replace(
    "= ?", "= (SELECT id FROM run WHERE task = ? AND strategy = ? AND repetition = ?)"
)

INSERT_RETRAINING = (
    f"INSERT INTO retraining (run_id, {', '.join(RETRAINING_COLUMNS)}, checksum) "  # noqa: S608 - as above
    f"VALUES ({', '.join('?' * (len(RETRAINING_COLUMNS) + 2))})"
)
SELECT_RETRAININGS = (
    f"SELECT {', '.join(RETRAINING_COLUMNS)}, checksum FROM retraining WHERE run_id = ? ORDER BY number"  # noqa: S608
)

UPGRADES = {1: f"BEGIN IMMEDIATE; {_RETRAINING} PRAGMA user_version = 2; COMMIT;"}
"""Version → what makes a store of that version one of the next, in a single transaction."""

_MEANINGS = {
    "SQLITE_FULL": "the disk is full. Everything reported so far is safe: free some space and run the same command again",
    "SQLITE_CORRUPT": "the file is damaged. It was left as it is; restore a copy",
    "SQLITE_NOTADB": "the file is not an SQLite database, so it is no store of hpbench. It was left as it is",
    "SQLITE_READONLY": "it cannot be written: the file or its folder is read-only. Change the permissions, or choose another results directory",
    "SQLITE_CANTOPEN": "it cannot be opened: the folder is read-only or is missing. Change the permissions, or choose another results directory",
    "SQLITE_BUSY": "another program has held it locked for half a minute. Close that program and run the same command again",
    "SQLITE_IOERR": "the disk reported an error while it was read or written. Everything reported so far is safe; check the disk and its free space",
    "SQLITE_CONSTRAINT": "a finished trial is never written twice or changed, and this was tried",
}


def sqlite_version() -> str:
    """Return the version of the SQLite library, such as ``"3.45.1"``."""
    return sqlite3.sqlite_version


def checksum(values: Sequence[object]) -> str:
    """Return 128 bits, as hexadecimal text, over the JSON form of a row's plain values."""
    return hashlib.blake2b(text_of(values).encode("ascii"), digest_size=16).hexdigest()


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Return a connection with the store's settings; transactions are begun by hand.

    A reader that finds the journal of a writer that was killed cannot roll it back itself, so that is
    done first by a short connection that may write.

    Raises:
        sqlite3.Error: SQLite refuses.
    """
    if not read_only:
        return _connect(path, mode="rwc")
    try:
        return _connect(path, mode="ro")
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", "") != "SQLITE_READONLY_ROLLBACK":
            raise
    _connect(path, mode="rw").close()
    return _connect(path, mode="ro")


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    """Return a connection that has read the file once, which rolls a journal back where it may."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
    try:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite or the file system raises inside into a StoreError about ``path``.

    Raises:
        StoreError: with the file, what is wrong and what to do.
    """
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        for prefix, meaning in _MEANINGS.items():
            if name.startswith(prefix):
                raise StoreError(f"{path}: {meaning} (SQLite: {error}).") from error
        raise StoreError(f"{path}: SQLite refused: {error} ({name or type(error).__name__}).") from error
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror or error}. Check the folder and its permissions."
        ) from error

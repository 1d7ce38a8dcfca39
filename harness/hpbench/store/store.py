"""The results of a study on disk: one SQLite file that survives a kill at any moment.

Rollback journal and full synchronisation, because a trial that was reported must be there after
the power went. Only the process that runs the study writes; everybody else opens the file read-only
and reads run by run, so that no reader ever holds a lock for long. A finished trial is never
changed: triggers refuse it, and a checksum in every row shows it.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hpbench.canonical import plain_message, text_of
from hpbench.errors import StoreError
from hpbench.faults import fault_point
from hpbench.files import sync_directory
from hpbench.store.opening import check_content, check_file, store_path, upgrade
from hpbench.store.rows import retraining_of, retraining_row, trial_columns, trial_of, trial_row
from hpbench.store.schema import (
    CREATE,
    INSERT_RETRAINING,
    INSERT_TRIAL,
    SCHEMA_VERSION,
    SELECT_RETRAININGS,
    SELECT_TRIALS,
    SELECT_TRIALS_OF,
    checksum,
    connect,
    translated,
)
from hpbench.study import Event, RunRow, RunState, StudyInfo
from hpbench.trial import Record, Retraining, RunKey

__all__ = ["Store"]


class Store:
    """An open store; use it as a context manager. Made by ``create`` or ``open``."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._connection = connection
        self._depth = 0
        self._run_ids: dict[RunKey, int] = {}
        self.info = self._read_info()

    @classmethod
    def create(cls, path: str | Path, info: StudyInfo) -> Store:
        """Return a new, empty store, open for writing.

        It is written under another name and moved into place, so a kill leaves a whole store or none.
        What SQLite kept beside a store that was deleted since is deleted too: the journal of a killed
        writer would be rolled back into the new one.

        Raises:
            StoreError: the file exists already, or cannot be written.
        """
        target = store_path(path)
        if target.exists():
            raise StoreError(f"{target} exists already; open it, or choose another results directory.")
        draft = target.with_name(target.name + ".new")
        with translated(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            for leftover in (draft, draft.with_name(draft.name + "-journal")):
                leftover.unlink(missing_ok=True)
            connection = connect(draft, read_only=False)
            try:
                connection.executescript(CREATE)
                text = text_of(asdict(info))
                connection.execute("INSERT INTO study VALUES (1, ?, ?)", (text, checksum([text])))
                connection.execute("COMMIT")
            finally:
                connection.close()
            for ending in ("-journal", "-wal", "-shm"):
                target.with_name(target.name + ending).unlink(missing_ok=True)
            draft.replace(target)
            sync_directory(target.parent)
        return cls.open(target)

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = False, checked: bool = False) -> Store:
        """Return the store at ``path`` (the file or its results directory), checked for damage.

        One of an older version is brought up to date, unless it is only read; a copy of it is kept
        beside it, its version in its name.

        Args:
            path: where it is.
            read_only: whether nothing is to be written.
            checked: whether this was done just now, by a process that works with this one; looking through
                a large file takes seconds.

        Raises:
            UsageError: there is none.
            StoreError: it is empty, damaged, no store of ours, or of a newer version.
        """
        target = store_path(path)
        check_file(target)
        with translated(target):
            connection = connect(target, read_only=read_only)
            try:
                version = SCHEMA_VERSION if checked else check_content(target, connection)
                if not read_only:
                    upgrade(target, connection, version)
                return cls(target, connection, read_only=read_only)
            except BaseException:
                connection.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Join what is written inside to one commit: all of it is on disk, or nothing.

        Raises:
            StoreError: it cannot be written (disk full, read-only); what was committed stays.
        """
        with translated(self.path):
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0 and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                    self._run_ids.clear()
                raise
            self._depth -= 1
            if self._depth == 0:
                self._commit()

    def _commit(self) -> None:
        """Commit; a commit that fails (disk full) is rolled back."""
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._run_ids.clear()
            raise

    # -- what is read ------------------------------------------------------------------------------

    def records(self, run: RunKey | None = None) -> Iterator[Record]:
        """Yield finished trials sorted by task, strategy, repetition and number.

        Each run is read at once and its lock given back before the first of its records is yielded,
        so a slow reader blocks no writer.

        Raises:
            StoreError: a row does not match its checksum.
        """
        for key, run_id in self._ids(run):
            with translated(self.path):
                rows = self._connection.execute(SELECT_TRIALS, (run_id,)).fetchall()
            for row in rows:
                yield trial_of(self.path, key, row)

    def columns(self, run: RunKey) -> dict[str, Sequence[Any]]:
        """Return the finished trials of ``run`` column by column, the quickest way to many.

        Returns:
            plain values by the names in :data:`hpbench.store.schema.COLUMNS`, sorted by number: what
            :func:`hpbench.canonical.to_line` has under that name.

        Raises:
            StoreError: a row does not match its checksum.
        """
        with translated(self.path):
            rows = self._connection.execute(
                SELECT_TRIALS_OF, (run.task, run.strategy, run.repetition)
            ).fetchall()
        return trial_columns(self.path, run, rows)

    def retrainings(self, run: RunKey | None = None) -> Iterator[Retraining]:
        """Yield the retrainings of incumbents sorted by task, strategy, repetition and number.

        Raises:
            StoreError: a row does not match its checksum.
        """
        with translated(self.path):
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        for key, run_id in self._ids(run) if version > 1 else []:
            with translated(self.path):
                rows = self._connection.execute(SELECT_RETRAININGS, (run_id,)).fetchall()
            for row in rows:
                yield retraining_of(self.path, key, row)

    def _ids(self, run: RunKey | None) -> list[tuple[RunKey, int]]:
        """Return the wanted runs with their row ids, sorted."""
        query = "SELECT id, task, strategy, repetition FROM run"
        values: tuple[str | int, ...] = ()
        if run is not None:
            query += " WHERE task = ? AND strategy = ? AND repetition = ?"
            values = (run.task, run.strategy, run.repetition)
        with translated(self.path):
            rows = self._connection.execute(query, values).fetchall()
        return sorted((RunKey(*key), run_id) for run_id, *key in rows)

    def counts(self) -> dict[RunKey, int]:
        """Return the number of finished trials of every registered run."""
        query = (
            "SELECT run.task, run.strategy, run.repetition, count(trial.number) FROM run "
            "LEFT JOIN trial ON trial.run_id = run.id GROUP BY run.id"
        )
        with translated(self.path):
            rows = self._connection.execute(query).fetchall()
        return {
            RunKey(task, strategy, repetition): count for task, strategy, repetition, count in sorted(rows)
        }

    def runs(self) -> list[RunRow]:
        """Return every registered run and its state, sorted."""
        query = "SELECT task, strategy, repetition, state, message FROM run"
        with translated(self.path):
            rows = self._connection.execute(query).fetchall()
        return [RunRow(RunKey(*row[:3]), RunState(row[3]), row[4]) for row in sorted(rows)]

    def events(self) -> list[Event]:
        """Return what happened to the study, oldest first."""
        with translated(self.path):
            rows = self._connection.execute("SELECT at, kind, payload FROM event ORDER BY id").fetchall()
        return [Event(at, kind, json.loads(payload)) for at, kind, payload in rows]

    def calibrations(self, lead: str = "") -> dict[str, dict[str, Any]]:
        """Return the modelled clock's measurements by key, of all keys that begin with ``lead``."""
        query = "SELECT key, payload FROM calibration WHERE substr(key, 1, ?) = ? ORDER BY key"
        with translated(self.path):
            rows = self._connection.execute(query, (len(lead), lead)).fetchall()
        return {key: json.loads(payload) for key, payload in rows}

    # -- what is written ---------------------------------------------------------------------------

    def add_runs(self, rows: Iterable[RunRow]) -> None:
        """Register runs; one that is known keeps its state."""
        statement = (
            "INSERT INTO run (task, strategy, repetition, state, message) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (task, strategy, repetition) DO NOTHING"
        )
        values = [
            (row.run.task, row.run.strategy, row.run.repetition, str(row.state), plain_message(row.message))
            for row in rows
        ]
        with self.transaction():
            self._connection.executemany(statement, values)

    def add(self, records: Sequence[Record]) -> None:
        """Store finished trials in one commit; a run that is not registered yet becomes RUNNING.

        Raises:
            StoreError: one of them is stored already, or the file cannot be written.
        """
        with self.transaction():
            for record in records:
                self._connection.execute(INSERT_TRIAL, (self._run_id(record.run), *trial_row(record)))
        fault_point("store.add")

    def add_retrainings(self, items: Iterable[Retraining]) -> None:
        """Write finished retrainings, all of them or none.

        Raises:
            StoreError: one of them is stored already, its trial is not, or the file cannot be written.
        """
        with self.transaction():
            for item in items:
                row = (self._run_id(item.run), *retraining_row(item))
                self._connection.execute(INSERT_RETRAINING, row)
        fault_point("store.retrained")

    def _run_id(self, run: RunKey) -> int:
        """Return the row id of ``run``, registering it as RUNNING if it is new."""
        if run not in self._run_ids:
            self.add_runs([RunRow(run, RunState.RUNNING)])
            ((_, self._run_ids[run]),) = self._ids(run)
        return self._run_ids[run]

    def set_run_state(self, run: RunKey, state: RunState, message: str = "") -> None:
        """Write how far ``run`` has come."""
        with self.transaction():
            self._connection.execute(
                "UPDATE run SET state = ?, message = ? WHERE id = ?",
                (str(state), plain_message(message), self._run_id(run)),
            )

    def add_event(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Write down something that happened, with the time of day."""
        with self.transaction():
            self._connection.execute(
                "INSERT INTO event (at, kind, payload) VALUES (?, ?, ?)",
                (datetime.now(UTC).isoformat(timespec="seconds"), kind, text_of(dict(payload))),
            )

    def put_calibration(self, key: str, payload: Mapping[str, Any]) -> None:
        """Store a measurement of the modelled clock; it holds for the rest of the study.

        Raises:
            StoreError: another measurement is stored under ``key``.
        """
        text = text_of(dict(payload))
        with self.transaction():
            query = "SELECT payload FROM calibration WHERE key = ?"
            known = self._connection.execute(query, (key,)).fetchone()
            if known is None:
                self._connection.execute("INSERT INTO calibration VALUES (?, ?)", (key, text))
            elif known[0] != text:
                raise StoreError(f"{self.path}: calibration {key!r} exists already with other figures.")

    def _read_info(self) -> StudyInfo:
        """Return the study's description.

        Raises:
            StoreError: it does not match its checksum.
        """
        with translated(self.path):
            row = self._connection.execute("SELECT payload, checksum FROM study").fetchone()
        if row is None or checksum([row[0]]) != row[1]:
            raise StoreError(f"{self.path}: the study's description does not match its checksum.")
        return StudyInfo(**json.loads(row[0]))

"""Trials and retrainings as rows of the store, each sealed by a checksum of everything in it and of its run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpbench.canonical import from_line, retraining_from_line, retraining_to_line, text_of, to_line
from hpbench.errors import StoreError
from hpbench.store.schema import COLUMNS, RETRAINING_COLUMNS, checksum
from hpbench.trial import Record, Retraining, RunKey

__all__ = ["Row", "retraining_of", "retraining_row", "trial_columns", "trial_of", "trial_row"]

Row = Sequence[Any]
"""The values of a table's columns in their order, the checksum last."""


def trial_row(record: Record) -> Row:
    """Return a trial as a row of :data:`hpbench.store.schema.COLUMNS` and its checksum."""
    line = to_line(record)
    line["config"], line["curve"] = text_of(line["config"]), text_of(line["curve"])
    return _sealed(line, COLUMNS)


def trial_of(path: Path, run: RunKey, row: Row) -> Record:
    """Return the trial of a row.

    Raises:
        StoreError: the row does not match its checksum.
    """
    _check(path, "trial", run, row)
    plain = dict(zip(COLUMNS, row, strict=False))
    plain["config"] = json.loads(plain["config"])
    plain["curve"] = json.loads(plain["curve"])
    return from_line(plain | _named(run))


def trial_columns(path: Path, run: RunKey, rows: Sequence[Row]) -> dict[str, Sequence[Any]]:
    """Return the trials of rows column by column, by the names of the columns.

    Raises:
        StoreError: a row does not match its checksum.
    """
    for row in rows:
        _check(path, "trial", run, row)
    found: dict[str, Sequence[Any]] = dict.fromkeys(COLUMNS, ())
    found |= zip(COLUMNS, zip(*rows, strict=True), strict=False)
    for name in ("config", "curve"):
        found[name] = json.loads(f"[{','.join(found[name])}]")
    return found


def retraining_row(item: Retraining) -> Row:
    """Return a retraining as a row of :data:`hpbench.store.schema.RETRAINING_COLUMNS` and its checksum."""
    return _sealed(retraining_to_line(item), RETRAINING_COLUMNS)


def retraining_of(path: Path, run: RunKey, row: Row) -> Retraining:
    """Return the retraining of a row.

    Raises:
        StoreError: the row does not match its checksum.
    """
    _check(path, "retraining", run, row)
    return retraining_from_line(dict(zip(RETRAINING_COLUMNS, row, strict=False)) | _named(run))


def _named(run: RunKey) -> dict[str, Any]:
    """Return a run as the columns that tell it, which a row does not repeat."""
    return {"task": run.task, "strategy": run.strategy, "repetition": run.repetition}


def _sealed(line: Mapping[str, Any], columns: Sequence[str]) -> Row:
    """Return the values of a line, and the checksum of them and of the run."""
    values = [line[name] for name in columns]
    return [*values, checksum([line["task"], line["strategy"], line["repetition"], *values])]


def _check(path: Path, what: str, run: RunKey, row: Row) -> None:
    """Raise unless the last column of a row is the checksum of all others and of the run."""
    if checksum([run.task, run.strategy, run.repetition, *row[:-1]]) != row[-1]:
        raise StoreError(
            f"{path}: {what} {row[0]} of {run} does not match its checksum; the file was changed outside "
            "hpbench. Restore a copy, or start in another results directory."
        )

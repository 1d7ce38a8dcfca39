"""The public form of a study: sorted JSON lines and a manifest, with CSV and Parquet for other tools.

Two studies of the same suite on the same machine give the same lines, times aside, whatever the
number of workers and however often they were killed on the way.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hpbench.canonical import KEYS, RETRAINING_KEYS, retraining_to_line, text_of, to_line
from hpbench.errors import MissingExtraError, StoreError
from hpbench.files import atomic_path, atomic_write
from hpbench.store import Store
from hpbench.study import RunState
from hpbench.trial import Record

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "MANIFEST",
    "export_study",
    "manifest_of",
    "parquet_available",
    "trial_line",
    "write_manifest",
]

FORMAT = "hpbench-trials"
FORMAT_VERSION = 1
"""Grows by one whenever a key is added, removed or changes its meaning."""

MANIFEST = "manifest.json"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CURVE_COLUMNS = ("task", "strategy", "repetition", "number", "epoch", "val_error")


def export_study(results: Path, out: Path) -> list[Path]:
    """Write ``trials.jsonl``, ``manifest.json``, ``trials.csv``, ``curves.csv`` and, with pyarrow, Parquet.

    Of a suite with ``final`` also ``retrainings.jsonl`` and ``retrainings.csv``.

    Works on a study that is running or partial; the manifest says how far it is. Its counts are of what
    was written, and runs that it calls complete are written whole: their states are read first.

    Args:
        results: the results directory.
        out: where to write; made if it is missing. Files of the same names are replaced.

    Returns:
        The files that were written.

    Raises:
        UsageError: there is no study at ``results``.
        StoreError: the store is damaged, or ``out`` cannot be written.
    """
    with Store.open(results, read_only=True) as store:
        manifest = manifest_of(store)
        lines = [to_line(record) for record in store.records()]
        manifest["trials"] = len(lines)
        try:
            text = "".join(f"{text_of(line)}\n" for line in lines)
            atomic_write(out / "trials.jsonl", text)
            atomic_write(out / "trials.csv", _csv(KEYS, _trial_rows(lines)))
            atomic_write(out / "curves.csv", _csv(_CURVE_COLUMNS, _curve_rows(lines)))
            written = [out / name for name in ("trials.jsonl", "trials.csv", "curves.csv")]
            if parquet_available():
                written.append(_write_parquet(out / "trials.parquet", lines))
            manifest["trials_sha256"] = hashlib.sha256(text.encode("ascii")).hexdigest()
            if store.info.suite.get("final"):
                written += _write_retrainings(store, out, manifest)
            atomic_write(out / MANIFEST, _pretty(manifest))
        except OSError as error:
            raise StoreError(f"{out} cannot be written: {error.strerror or error}.") from error
    return [*written, out / MANIFEST]


def _write_retrainings(store: Store, out: Path, manifest: dict[str, Any]) -> list[Path]:
    """Write the retrainings of incumbents as sorted lines and as CSV; count and checksum go into ``manifest``."""
    lines = [retraining_to_line(item) for item in store.retrainings()]
    manifest["retrainings"] = len(lines)
    text = "".join(f"{text_of(line)}\n" for line in lines)
    manifest["retrainings_sha256"] = hashlib.sha256(text.encode("ascii")).hexdigest()
    atomic_write(out / "retrainings.jsonl", text)
    rows = ([line[key] for key in RETRAINING_KEYS] for line in lines)
    atomic_write(out / "retrainings.csv", _csv(RETRAINING_KEYS, rows))
    return [out / "retrainings.jsonl", out / "retrainings.csv"]


def trial_line(record: Record) -> str:
    """Return the canonical line of ``record``, without the line's end."""
    return text_of(to_line(record))


def parquet_available() -> bool:
    """Return whether pyarrow, the extra ``parquet``, is installed."""
    return importlib.util.find_spec("pyarrow") is not None


def manifest_of(store: Store) -> dict[str, Any]:
    """Return what the study is and how far it has come, with nothing that names a machine or a person."""
    info, rows, counts = store.info, store.runs(), store.counts()
    states = {str(state): sum(row.state is state for row in rows) for state in RunState}
    open_states = {RunState.PENDING, RunState.RUNNING}
    retrained = {"retrainings": sum(1 for _ in store.retrainings())} if info.suite.get("final") else {}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "hpbench_version": info.hpbench_version,
        "created_at": info.created_at,
        "suite": info.suite,
        "suite_digest": info.suite_digest,
        "device": info.device,
        "environment": info.environment,
        "workers": [event.payload for event in store.events() if event.kind == "worker"],
        "tasks": info.tasks,
        "strategies": info.strategies,
        "skipped": info.skipped,
        "runs": states,
        "trials": sum(counts.values()),
        **retrained,
        "partial": any(row.state in open_states for row in rows),
        "failed_runs": [
            {"run": str(row.run), "message": row.message} for row in rows if row.state is RunState.FAILED
        ],
        "keys": list(KEYS),
    }


def write_manifest(store: Store, path: Path, *, analysis: Mapping[str, Any] | None = None) -> None:
    """Write the manifest beside the store.

    Args:
        store: of the study.
        path: the file.
        analysis: what a report was made with and measured from, if there is one.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        atomic_write(path, _pretty(manifest_of(store) | ({"analysis": analysis} if analysis else {})))
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}.") from error


def _pretty(value: dict[str, Any]) -> str:
    """Return JSON for people, ASCII, keys in the order given."""
    return json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _trial_rows(lines: Iterable[dict[str, Any]]) -> Iterator[list[Any]]:
    """Yield the cells of each trial, nested values as JSON."""
    for line in lines:
        yield [text_of(line[key]) if key in {"config", "curve"} else line[key] for key in KEYS]


def _curve_rows(lines: Iterable[dict[str, Any]]) -> Iterator[list[Any]]:
    """Yield one row per trial and epoch; epochs count from 1, over all parents."""
    for line in lines:
        key = [line[name] for name in _CURVE_COLUMNS[:4]]
        for offset, error in enumerate(line["curve"], start=1):
            yield [*key, line["epochs_from"] + offset, error]


def _csv(header: Iterable[str], rows: Iterable[list[Any]]) -> str:
    """Return a table as CSV, floats by ``repr``, missing values empty, lines ended by a line feed."""
    table = [list(header), *([_cell(value) for value in row] for row in rows)]
    return "".join(",".join(map(_quoted, row)) + "\n" for row in table)


def _quoted(text: str) -> str:
    """Return a cell in quotes if it needs them.

    By hand, because Python's writer leaves a lone carriage return bare when lines end with a line
    feed, and readers take it for the end of the row.
    """
    if any(mark in text for mark in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _cell(value: object) -> str:
    """Return a cell's text; what a spreadsheet would run as a formula gets a quote before it."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return repr(value)
    return f"'{value}" if value.startswith(_FORMULA) else value


def _write_parquet(path: Path, lines: list[dict[str, Any]]) -> Path:
    """Write the trials as Parquet, the configuration as JSON text, the curve as a list.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("writing Parquet", "parquet") from error
    integers = {"repetition", "number", "parent", "epochs_from", "epochs"}
    integers |= {"val_correct", "val_total", "test_correct", "test_total"}
    texts = {"task", "strategy", "status", "message", "config"}
    kinds = {
        key: pa.int64() if key in integers else pa.string() if key in texts else pa.float64() for key in KEYS
    }
    kinds["curve"] = pa.list_(pa.float64())
    columns = {key: [line[key] for line in lines] for key in KEYS}
    columns["config"] = [text_of(config) for config in columns["config"]]
    table = pa.table({key: pa.array(columns[key], type=kinds[key]) for key in KEYS})
    with atomic_path(path) as draft:
        pq.write_table(table, draft)
    return path

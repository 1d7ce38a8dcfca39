"""The one plain form of a finished trial: columns of the store and keys of ``trials.jsonl`` alike.

Two programs that share no code must be able to agree on a record, so the form holds nothing but
JSON values: a number that is not finite becomes ``null``, minus zero becomes zero, the names of a
configuration are sorted, floats are written by ``repr``, which reads back to the same bits, and what
UTF-8 cannot say in a message is escaped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from hpbench.trial import Config, Evaluation, Record, Retraining, RunKey, Status

__all__ = [
    "KEYS",
    "RETRAINING_KEYS",
    "TIME_KEYS",
    "config_text",
    "from_line",
    "plain_float",
    "plain_message",
    "retraining_from_line",
    "retraining_to_line",
    "text_of",
    "to_line",
]

KEYS = (
    "task",
    "strategy",
    "repetition",
    "number",
    "parent",
    "config",
    "epochs_from",
    "epochs",
    "status",
    "val_correct",
    "val_total",
    "val_loss",
    "test_correct",
    "test_total",
    "test_loss",
    "curve",
    "ask_seconds",
    "train_seconds",
    "evaluate_seconds",
    "tell_seconds",
    "message",
)
"""The keys of a line, in their public order."""

RETRAINING_KEYS = (
    "task",
    "strategy",
    "repetition",
    "number",
    "trial",
    "epochs",
    "status",
    "test_correct",
    "test_total",
    "test_loss",
    "message",
)
"""The keys of a line about a retraining, in their public order."""

TIME_KEYS = ("ask_seconds", "train_seconds", "evaluate_seconds", "tell_seconds")
"""The only keys in which two runs of the same suite on the same machine differ."""


_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False)
"""Made once: every stored row is written, and checked when it is read, by it."""


def text_of(value: object) -> str:
    """Return ``value`` as compact ASCII JSON; keys keep their order.

    Raises:
        ValueError: a number is not finite, which JSON cannot say.
    """
    return _ENCODER.encode(value)


def config_text(config: Config) -> str:
    """Return a configuration as JSON with sorted names; equal texts mean equal values *and* types."""
    return text_of(dict(sorted(config.items())))


def plain_float(value: float | None) -> float | None:
    """Return ``value`` as a built-in float, None where it is missing or not finite, ``-0.0`` as ``0.0``."""
    if value is None or not math.isfinite(value):
        return None
    return float(value) + 0.0


def plain_message(text: str) -> str:
    """Return ``text`` with every lone surrogate escaped: messages of others name files that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def to_line(record: Record) -> dict[str, Any]:
    """Return the plain form of ``record``, keys in the order of ``KEYS``."""
    result = record.evaluation
    return {
        "task": record.run.task,
        "strategy": record.run.strategy,
        "repetition": int(record.run.repetition),
        "number": int(record.number),
        "parent": _plain_int(record.parent),
        "config": dict(sorted(record.config.items())),
        "epochs_from": int(result.epochs_from),
        "epochs": int(result.epochs),
        "status": str(result.status),
        "val_correct": _plain_int(result.val_correct),
        "val_total": _plain_int(result.val_total),
        "val_loss": plain_float(result.val_loss),
        "test_correct": _plain_int(result.test_correct),
        "test_total": _plain_int(result.test_total),
        "test_loss": plain_float(result.test_loss),
        "curve": [plain_float(error) for error in result.curve],
        "ask_seconds": _seconds(record.ask_seconds),
        "train_seconds": _seconds(result.train_seconds),
        "evaluate_seconds": _seconds(result.evaluate_seconds),
        "tell_seconds": _seconds(record.tell_seconds),
        "message": plain_message(result.message),
    }


def from_line(line: Mapping[str, Any]) -> Record:
    """Return the record that ``line`` is the plain form of; ``null`` in a curve becomes NaN.

    Raises:
        KeyError: a key is missing.
        ValueError: the status is unknown.
    """
    evaluation = Evaluation(
        status=Status(line["status"]),
        epochs_from=line["epochs_from"],
        epochs=line["epochs"],
        val_correct=line["val_correct"],
        val_total=line["val_total"],
        val_loss=line["val_loss"],
        test_correct=line["test_correct"],
        test_total=line["test_total"],
        test_loss=line["test_loss"],
        curve=tuple(math.nan if error is None else error for error in line["curve"]),
        train_seconds=line["train_seconds"],
        evaluate_seconds=line["evaluate_seconds"],
        message=line["message"],
    )
    return Record(
        run=RunKey(line["task"], line["strategy"], line["repetition"]),
        number=line["number"],
        parent=line["parent"],
        config=line["config"],
        evaluation=evaluation,
        ask_seconds=line["ask_seconds"],
        tell_seconds=line["tell_seconds"],
    )


def retraining_to_line(item: Retraining) -> dict[str, Any]:
    """Return the plain form of a retraining, keys in the order of ``RETRAINING_KEYS``."""
    return {
        "task": item.run.task,
        "strategy": item.run.strategy,
        "repetition": int(item.run.repetition),
        "number": int(item.number),
        "trial": int(item.trial),
        "epochs": int(item.epochs),
        "status": str(item.status),
        "test_correct": _plain_int(item.test_correct),
        "test_total": _plain_int(item.test_total),
        "test_loss": plain_float(item.test_loss),
        "message": plain_message(item.message),
    }


def retraining_from_line(line: Mapping[str, Any]) -> Retraining:
    """Return the retraining that ``line`` is the plain form of.

    Raises:
        KeyError: a key is missing.
        ValueError: the status is unknown.
    """
    rest = {key: line[key] for key in RETRAINING_KEYS[3:] if key != "status"}
    run = RunKey(line["task"], line["strategy"], line["repetition"])
    return Retraining(run=run, status=Status(line["status"]), **rest)


def _plain_int(value: int | None) -> int | None:
    """Return a built-in int, or None."""
    return None if value is None else int(value)


def _seconds(value: float) -> float:
    """Return a duration as a built-in float; one that is not finite counts as zero seconds."""
    return plain_float(value) or 0.0

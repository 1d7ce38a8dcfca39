"""Tests of what foreign code answers: failures as text, and trials told as they will be stored."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpbench.answers import attempt, stored
from hpbench.canonical import from_line, to_line
from hpbench.errors import UsageError
from hpbench.trial import Evaluation, Record, RunKey, Status

OK = Evaluation(Status.OK, epochs=2, val_correct=9, val_total=10, val_loss=0.3, train_seconds=1.0)


def record_of(**changes: Any) -> Record:
    """Return a finished trial with such an answer of a task."""
    evaluation = replace(OK, **changes)
    return Record(
        RunKey("t", "s", 0), 3, None, {"b": 1, "a": 2}, evaluation, ask_seconds=0.5, tell_seconds=0.0
    )


@pytest.mark.parametrize(
    ("changes", "status", "objective"),
    [
        ({}, Status.OK, 0.1),
        ({"status": "ok"}, Status.OK, 0.1),
        ({"status": "diverged", "message": None}, Status.DIVERGED, None),
        ({"curve": (math.inf, math.nan, 0.5)}, Status.OK, 0.1),
        ({"curve": np.array([0.5, -0.0], dtype=np.float32)}, Status.OK, 0.1),
        ({"val_correct": np.int64(8), "epochs": np.int32(2)}, Status.OK, 0.2),
        ({"train_seconds": np.float32(0.1), "test_loss": math.nan}, Status.OK, 0.1),
        ({"status": "ok", "val_loss": math.nan}, Status.DIVERGED, None),
    ],
)
@pytest.mark.parametrize("told", ["error", "loss"])
def test_what_is_told_live_is_what_a_replay_tells(
    changes: dict, status: Status, objective: float | None, told: Any
) -> None:
    record = stored(record_of(**changes), told)
    assert record.evaluation.status is status
    if told == "error":
        assert record.as_trial("error").objective == pytest.approx(objective)
    again = from_line(to_line(record))
    assert repr(record.as_trial(told)) == repr(replace(again, config=record.config).as_trial(told))
    assert repr(again.evaluation) == repr(record.evaluation)
    assert again.seconds == record.seconds


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train_seconds": math.nan}, "`train_seconds` must be finite and at least 0, got nan."),
        ({"evaluate_seconds": math.inf}, "`evaluate_seconds` must be finite and at least 0, got inf."),
        ({"train_seconds": -1.0}, "`train_seconds` must be finite and at least 0, got -1.0."),
        ({"status": "fine"}, "ValueError: 'fine' is not a valid Status"),
        ({"val_loss": "low"}, "TypeError: "),
        ({"epochs": math.nan}, "ValueError: "),
        ({"train_seconds": None}, "TypeError: "),
        ({"val_correct": 11}, "`val_correct` must be a whole number from 0 to `val_total`, got 11 of 10."),
        ({"val_correct": -1}, "`val_correct` must be a whole number from 0 to `val_total`, got -1 of 10."),
        ({"val_correct": 0.9, "val_total": 1}, "`val_correct` must be a whole number from 0 to `val_total`"),
        ({"val_total": None}, "`val_correct` must be a whole number from 0 to `val_total`, got 9 of None."),
        (
            {"test_correct": 3, "test_total": 2},
            "`test_correct` must be a whole number from 0 to `test_total`",
        ),
        (
            {"val_correct": None},
            "a trial that succeeded must have `val_correct` and `val_total`, or `val_loss`",
        ),
        ({"val_correct": None, "val_total": None, "val_loss": None}, "a trial that succeeded must have"),
    ],
)
def test_an_answer_that_cannot_be_used_is_an_error_that_says_so(changes: dict, said: str) -> None:
    record = stored(record_of(**changes), "error")
    assert record.evaluation.message.startswith(f"the task's answer cannot be used: {said}")
    assert record.evaluation == Evaluation(Status.ERROR, message=record.evaluation.message)
    assert (record.number, record.ask_seconds) == (3, 0.5)


def test_a_trial_without_the_loss_that_is_minimised_is_an_error() -> None:
    assert stored(record_of(val_loss=None), "error").evaluation.status is Status.OK
    record = stored(record_of(val_loss=None), "loss")
    assert record.evaluation.status is Status.ERROR
    assert record.evaluation.message.endswith("a trial that succeeded must have `val_loss`.")


def test_a_failure_of_ours_is_its_message_and_a_foreign_one_names_places_without_folders() -> None:
    def ours() -> None:
        raise UsageError("all is said")

    def foreign() -> None:
        raise KeyError("x")

    assert attempt(ours).failure == "all is said"
    text = attempt(foreign).failure
    assert text is not None
    assert text.startswith("KeyError: 'x'\ntest_answers.py:")
    assert "/" not in text


def test_what_is_no_error_of_a_program_is_not_caught() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(interrupted)

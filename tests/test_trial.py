from __future__ import annotations

import dataclasses

import pytest

from hpbench.trial import Evaluation, Objective, Record, RunKey, Status, Trial, objective_of

OK = Evaluation(
    Status.OK,
    epochs=4,
    val_correct=90,
    val_total=100,
    val_loss=0.5,
    test_correct=7,
    test_total=10,
    test_loss=9.0,
    curve=(0.4, 0.2, 0.15, 0.1),
    train_seconds=2.0,
    evaluate_seconds=0.5,
)
RECORD = Record(RunKey("t", "s", 1), 3, 2, {"x": 1.0}, OK, ask_seconds=0.25, tell_seconds=0.125)


@pytest.mark.parametrize(("objective", "expected"), [("error", 0.1), ("loss", 0.5)])
def test_the_objective_is_taken_from_validation(objective: Objective, expected: float) -> None:
    assert objective_of(OK, objective) == pytest.approx(expected)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
@pytest.mark.parametrize("objective", ["error", "loss"])
def test_a_failed_trial_has_no_objective(status: Status, objective: Objective) -> None:
    assert objective_of(dataclasses.replace(OK, status=status), objective) is None


def test_without_validation_examples_there_is_no_error() -> None:
    assert objective_of(dataclasses.replace(OK, val_correct=None), "error") is None
    assert objective_of(dataclasses.replace(OK, val_total=0), "error") is None


def test_a_strategy_is_told_nothing_about_the_test_part() -> None:
    assert RECORD.as_trial("error") == Trial(
        number=3,
        config={"x": 1.0},
        status=Status.OK,
        objective=0.1,
        epochs_from=0,
        epochs=4,
        parent=2,
        curve=OK.curve,
    )
    assert not [field.name for field in dataclasses.fields(Trial) if "test" in field.name]


def test_a_trial_costs_thinking_and_training() -> None:
    assert RECORD.seconds == 0.25 + 2.0 + 0.5 + 0.125


def test_records_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECORD.number = 4  # type: ignore[misc]


def test_run_keys_sort_by_task_strategy_repetition() -> None:
    keys = [RunKey("b", "a", 0), RunKey("a", "b", 10), RunKey("a", "b", 9), RunKey("a", "a", 11)]
    assert [str(key) for key in sorted(keys)] == ["a/a/11", "a/b/9", "a/b/10", "b/a/0"]

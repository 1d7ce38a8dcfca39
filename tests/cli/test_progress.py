from __future__ import annotations

import pytest

from hpbench.cli.progress import Board
from hpbench.study import RunState
from hpbench.trial import Evaluation, Record, RunKey, Status

A = RunKey("digits", "random", 0)
B = RunKey("digits", "random", 1)
C = RunKey("digits", "grid", 0)
D = RunKey("wine", "grid", 0)


def record(run: RunKey, number: int, *, correct: int | None = 8, seconds: float = 1.0) -> Record:
    status = Status.DIVERGED if correct is None else Status.OK
    evaluation = Evaluation(status, val_correct=correct, val_total=10, train_seconds=seconds)
    return Record(run, number, None, {}, evaluation, ask_seconds=0.0, tell_seconds=0.0)


def test_a_cell_counts_over_its_repetitions() -> None:
    board = Board({A: 4, B: 4, C: 4}, {})
    board.finished(record(A, 0, correct=7))
    cell = board.finished(record(B, 0, correct=9))
    board.finished(record(C, 0))
    assert (cell.done, cell.total, cell.best, cell.failures) == (2, 8, 0.9, 0)
    assert (board.done, board.total) == (3, 12)


def test_the_best_accuracy_never_gets_worse_and_failures_do_not_count() -> None:
    board = Board({A: 4}, {})
    seen = [
        board.finished(record(A, number, correct=correct)).best
        for number, correct in enumerate([5, 9, 3, None])
    ]
    assert seen == [0.5, 0.9, 0.9, 0.9]
    assert board.failures == 1


def test_before_the_first_success_there_is_no_best() -> None:
    assert Board({A: 4}, {}).finished(record(A, 0, correct=None)).best is None


def test_a_run_that_ends_early_takes_its_missing_trials_along() -> None:
    board = Board({A: 4, B: 4}, {})
    board.finished(record(A, 0))
    cell = board.run_ended(A, RunState.EXHAUSTED)
    assert (cell.done, cell.total, cell.ended) == (1, 5, False)
    assert board.run_ended(B, RunState.FAILED).ended
    assert cell.failed_runs == 1


def test_a_run_may_do_more_trials_than_expected() -> None:
    board = Board({A: 1}, {})
    board.finished(record(A, 0))
    assert board.finished(record(A, 1)).total == 2


def test_trials_of_earlier_sessions_count_but_tell_nothing_of_the_speed() -> None:
    board = Board({A: 4, B: 4}, {A: 3})
    for number in range(3):
        board.earlier(record(A, number, correct=9, seconds=100.0))
    assert (board.done, board.total) == (3, 8)
    assert board.cells["digits", "random"].best == 0.9
    assert board.seconds_left(10.0) is None
    board.finished(record(A, 3, seconds=2.0))
    assert board.done == 4
    assert board.seconds_left(2.0) == pytest.approx(4 * 2.0)


def test_the_time_left_counts_the_workers_in() -> None:
    board = Board({A: 10, B: 10}, {})
    for number in range(5):
        board.finished(record(A, number))
        board.finished(record(B, number))
    assert board.seconds_left(10.0) == pytest.approx(10.0)
    assert board.seconds_left(5.0) == pytest.approx(5.0)


def test_a_cell_without_trials_is_like_its_task_and_a_task_without_trials_like_the_rest() -> None:
    board = Board({A: 2, C: 2, D: 2}, {})
    board.finished(record(A, 0, seconds=3.0))
    board.finished(record(A, 1, seconds=3.0))
    assert board.seconds_left(6.0, cells=[board.cells["digits", "grid"]]) == pytest.approx(6.0)
    assert board.seconds_left(6.0, cells=[board.cells["wine", "grid"]]) == pytest.approx(6.0)
    board.finished(record(D, 0, seconds=9.0))
    assert board.seconds_left(15.0, cells=[board.cells["digits", "grid"]]) == pytest.approx(6.0)


def test_cells_add_up_to_the_study() -> None:
    board = Board({A: 3, B: 3, C: 5, D: 7}, {})
    board.finished(record(A, 0, seconds=0.5))
    board.finished(record(D, 0, seconds=2.0))
    parts = [board.seconds_left(3.0, cells=[cell]) for cell in board.cells.values()]
    assert sum(part for part in parts if part is not None) == pytest.approx(board.seconds_left(3.0))


def test_nothing_is_estimated_before_the_first_trial() -> None:
    board = Board({A: 3}, {})
    assert board.seconds_left(3.0) is None
    board.finished(record(A, 0))
    assert board.seconds_left(0.0) is None


def test_with_a_budget_in_seconds_the_total_is_unknown_and_the_seconds_count_down() -> None:
    board = Board({A: None, B: None}, {}, budget_seconds=10.0)
    assert board.total is None
    board.finished(record(A, 0, seconds=4.0))
    assert board.seconds_left(4.0) == pytest.approx(16.0)
    board.run_ended(A, RunState.COMPLETE)
    assert board.seconds_left(4.0) == pytest.approx(10.0)
    board.run_ended(B, RunState.COMPLETE)
    assert board.total == 1


def test_a_run_that_nobody_announced_is_counted_too() -> None:
    board = Board({}, {})
    assert board.finished(record(A, 0)).done == 1

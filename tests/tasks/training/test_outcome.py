"""How a training stands: curve, best epoch, early stopping, what is answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpbench.tasks.training.outcome import Outcome, Scores
from hpbench.trial import Evaluation, Status

TEST = Scores(50, 100, 0.9)


def scores(correct: int, loss: float | None = 0.5) -> Scores:
    """Return scores on ten examples."""
    return Scores(correct, 10, loss)


def after(*correct: int) -> Outcome:
    """Return the outcome after epochs with these counts of ten."""
    outcome = Outcome(best_test=TEST)
    for count in correct:
        outcome.add(scores(count))
    return outcome


def evaluation(outcome: Outcome, *, patience: int | None = None, epochs_from: int = 0) -> Evaluation:
    """Return what is answered."""
    return outcome.evaluation(
        epochs_from=epochs_from, train_seconds=1.0, evaluate_seconds=2.0, patience=patience
    )


@given(st.integers(1, 1000), st.data())
def test_the_error_is_the_share_that_is_wrong(total: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, total))
    error = Scores(correct, total, 1.0).error
    assert 0.0 <= error <= 1.0
    assert error == (total - correct) / total


def test_an_epoch_says_whether_it_is_the_best_so_far() -> None:
    outcome = Outcome()
    assert [outcome.add(scores(correct)) for correct in (5, 5, 4, 6, 6, 9)] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]
    assert (outcome.best_epoch, outcome.best) == (6, scores(9))
    assert outcome.curve == [0.5, 0.5, 0.6, 0.4, 0.4, 0.1]


@given(st.lists(st.integers(0, 10), min_size=1, max_size=30))
def test_the_best_epoch_is_the_earliest_of_the_lowest_error(correct: list[int]) -> None:
    outcome = after(*correct)
    assert outcome.best_epoch == correct.index(max(correct)) + 1
    assert outcome.last == scores(correct[-1])


def test_without_patience_the_last_epoch_is_the_result() -> None:
    found = evaluation(after(9, 5))
    assert (found.status, found.val_correct, found.val_total, found.val_loss) == (Status.OK, 5, 10, 0.5)
    assert (found.test_correct, found.test_total, found.test_loss) == (50, 100, 0.9)
    assert (found.epochs_from, found.epochs, found.curve, found.message) == (0, 2, (0.1, 0.5), "")
    assert (found.train_seconds, found.evaluate_seconds) == (1.0, 2.0)


def test_with_patience_the_best_epoch_is_the_result() -> None:
    found = evaluation(after(5, 9, 7), patience=5)
    assert (found.val_correct, found.epochs, len(found.curve)) == (9, 3, 3)


@pytest.mark.parametrize(
    ("correct", "patience", "over"),
    [
        ((), 1, False),
        ((5,), 1, False),
        ((5, 5), 1, True),
        ((5, 6), 1, False),
        ((5, 4), 2, False),
        ((5, 4, 3), 2, True),
        ((5, 4, 6, 5), 2, False),
        ((5, 4, 3, 2, 1), None, False),
    ],
)
def test_patience_counts_epochs_without_a_better_error(
    correct: tuple[int, ...],
    patience: int | None,
    over: bool,  # noqa: FBT001 - parametrised
) -> None:
    assert after(*correct).over(patience) is over


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    outcome = after(9, 9)
    assert not outcome.add(scores(10, None))
    assert outcome.diverged
    assert outcome.over(None)
    assert outcome.over(100)
    assert outcome.best == scores(9)


@pytest.mark.parametrize("patience", [None, 3])
def test_a_diverged_training_has_a_curve_and_a_message_and_no_figures(patience: int | None) -> None:
    outcome = after(9, 8)
    outcome.add(scores(1, None))
    found = evaluation(outcome, patience=patience)
    assert (found.status, found.epochs, found.curve) == (Status.DIVERGED, 3, (0.1, 0.2, 0.9))
    assert found.message == "the validation loss was not finite after epoch 3"
    assert (found.val_correct, found.val_total, found.val_loss) == (None, None, None)
    assert (found.test_correct, found.test_total, found.test_loss) == (None, None, None)


@given(st.lists(st.integers(0, 10), min_size=1, max_size=12), st.data())
def test_the_curve_holds_the_epochs_that_were_added(correct: list[int], data: st.DataObject) -> None:
    inherited = data.draw(st.integers(0, len(correct)))
    found = evaluation(after(*correct), epochs_from=inherited)
    assert (found.epochs_from, found.epochs) == (inherited, len(correct))
    assert found.curve == tuple((10 - count) / 10 for count in correct[inherited:])


def test_a_better_loss_alone_is_no_better_epoch() -> None:
    outcome = Outcome()
    outcome.add(scores(5, 2.0))
    assert not outcome.add(scores(5, 0.1))

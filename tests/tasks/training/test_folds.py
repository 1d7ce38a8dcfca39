"""What several networks of one trial give together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from hpbench.seeding import Stream
from hpbench.tasks.training.folds import evaluation_of, fold_streams
from hpbench.tasks.training.outcome import Outcome, Scores
from hpbench.trial import Evaluation, Status, objective_of


def outcome(*scores: Scores, patience: int | None = None, test: Scores | None = None) -> Outcome:
    """Return the outcome of an epoch for each of ``scores``."""
    made = Outcome()
    for item in scores:
        if made.over(patience):
            break
        made.add(item)
    made.best_test = None if made.diverged else test
    return made


def pooled(outcomes: Sequence[Outcome], **keys: Any) -> Evaluation:
    options = {"epochs_from": 0, "train_seconds": 2.0, "evaluate_seconds": 1.0, "patience": None, **keys}
    return evaluation_of(outcomes, **options)


def counted(*correct: int, total: int = 10, loss: float = 0.5) -> list[Scores]:
    return [Scores(item, total, loss) for item in correct]


TEST = Scores(7, 9, 0.4)


def test_one_network_is_what_it_is() -> None:
    made = outcome(*counted(5, 6), test=TEST)
    alone = made.evaluation(epochs_from=1, train_seconds=2.0, evaluate_seconds=1.0, patience=None)
    assert pooled([made], epochs_from=1) == alone


def test_counts_are_summed_and_the_curve_ends_with_the_error_they_give() -> None:
    outcomes = [
        outcome(*counted(4, 6, total=10, loss=0.2), test=TEST),
        outcome(*counted(5, 9, total=11, loss=0.5), test=Scores(9, 9, 0.1)),
    ]
    found = pooled(outcomes)
    assert (found.status, found.epochs_from, found.epochs) == (Status.OK, 0, 2)
    assert (found.val_correct, found.val_total) == (15, 21)
    assert (found.test_correct, found.test_total) == (16, 18)
    assert found.val_loss == pytest.approx((10 * 0.2 + 11 * 0.5) / 21)
    assert found.test_loss == pytest.approx(0.25)
    assert found.curve == (12 / 21, 6 / 21)
    assert found.curve[-1] == objective_of(found, "error")
    assert (found.train_seconds, found.evaluate_seconds) == (2.0, 1.0)


def test_a_regression_is_the_mean_of_its_folds() -> None:
    outcomes = [
        outcome(Scores(None, None, 0.5), Scores(None, None, 0.25), test=Scores(None, None, 0.3)),
        outcome(Scores(None, None, 1.5), Scores(None, None, 0.75), test=Scores(None, None, 0.5)),
    ]
    found = pooled(outcomes)
    assert (found.val_correct, found.val_total, found.test_correct, found.test_total) == (None,) * 4
    assert (found.val_loss, found.curve) == (0.5, (1.0, 0.5))
    assert found.test_loss == pytest.approx(0.4)
    assert objective_of(found, "error") == 0.5


def test_a_fold_that_has_stopped_stands_at_its_best() -> None:
    outcomes = [
        outcome(*counted(5, 8, 7), patience=1, test=TEST),
        outcome(*counted(1, 2, 3, 4, 5), patience=1, test=TEST),
    ]
    found = pooled(outcomes, patience=1)
    assert found.epochs == 5
    assert found.curve == (14 / 20, 10 / 20, 10 / 20, 8 / 20, 7 / 20)
    assert (found.val_correct, found.val_total) == (13, 20)
    later = pooled(outcomes, patience=1, epochs_from=3)
    assert (later.epochs_from, later.epochs, later.curve) == (3, 5, found.curve[3:])


def test_a_fold_that_diverges_makes_the_trial_diverged() -> None:
    outcomes = [
        outcome(*counted(5, 6), test=TEST),
        outcome(Scores(4, 10, 0.2), Scores(1, 10, None)),
        outcome(Scores(1, 10, None)),
    ]
    found = pooled(outcomes)
    assert (found.status, found.epochs) == (Status.DIVERGED, 2)
    figures = (found.val_correct, found.val_total, found.val_loss)
    assert figures == (found.test_correct, found.test_total, found.test_loss) == (None,) * 3
    assert found.message == (
        "fold 2 of 3: the validation loss was not finite after epoch 2; "
        "fold 3 of 3: the validation loss was not finite after epoch 1"
    )
    assert found.curve[0] == 20 / 30
    assert math.isnan(found.curve[1])
    assert objective_of(found, "error") is None


def test_folds_have_streams_of_their_own_and_a_holdout_the_trials() -> None:
    stream = Stream((0, "task", 0, "training"))
    assert fold_streams(stream, 1) == (stream,)
    found = fold_streams(stream, 3)
    assert len({item.integer() for item in (*found, stream)}) == 4
    assert fold_streams(stream, 5)[:3] == found

"""One trial of several networks: what the folds of a cross-validation make together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpbench.seeding import Stream
from hpbench.tasks.training.outcome import Outcome
from hpbench.trial import Evaluation, Status

__all__ = ["evaluation_of", "fold_streams"]


def fold_streams(stream: Stream, trainings: int) -> tuple[Stream, ...]:
    """Return the training stream of each network of a trial: the trial's own, or one for each fold."""
    if trainings == 1:
        return (stream,)
    return tuple(stream.child("fold", fold) for fold in range(trainings))


def evaluation_of(
    outcomes: Sequence[Outcome],
    *,
    epochs_from: int,
    train_seconds: float,
    evaluate_seconds: float,
    patience: int | None,
) -> Evaluation:
    """Return what the networks of one trial gave together; of a single one, what it gave.

    Counts are summed over folds, on the test part too, where each network is scored; so an error is
    the mean over folds, each weighted by its examples, which differ by one at most. Losses are means
    with the same weights; a regression, which counts nothing, has the plain mean of its folds'
    1 - R². The trial diverges if any fold does. Its epochs are those of the fold that was trained
    longest, its curve is the mean over folds after each epoch, where a fold that has stopped early
    stands at the error of its best epoch, which is the one that counts.

    Args:
        outcomes: of each fold, in order.
        epochs_from: the epoch that the trial's parent had reached, else 0.
        train_seconds: of all folds.
        evaluate_seconds: of all folds.
        patience: after so many epochs without a better one a fold stops; None: never.
    """
    given = [
        outcome.evaluation(
            epochs_from=epochs_from,
            train_seconds=train_seconds,
            evaluate_seconds=evaluate_seconds,
            patience=patience,
        )
        for outcome in outcomes
    ]
    if len(given) == 1:
        return given[0]
    epochs = max(len(outcome.curve) for outcome in outcomes)
    failed = [place for place, item in enumerate(given, start=1) if item.status is not Status.OK]
    totals = [item.val_total for item in given]
    tests = [item.test_total for item in given]
    return Evaluation(
        status=Status.DIVERGED if failed else Status.OK,
        epochs_from=epochs_from,
        epochs=epochs,
        val_correct=None if failed else _summed([item.val_correct for item in given]),
        val_total=None if failed else _summed(totals),
        val_loss=None if failed else _mean([item.val_loss for item in given], totals),
        test_correct=None if failed else _summed([item.test_correct for item in given]),
        test_total=None if failed else _summed(tests),
        test_loss=None if failed else _mean([item.test_loss for item in given], tests),
        curve=tuple(_pooled(outcomes, epoch) for epoch in range(epochs_from, epochs)),
        train_seconds=train_seconds,
        evaluate_seconds=evaluate_seconds,
        message="; ".join(f"fold {place} of {len(given)}: {given[place - 1].message}" for place in failed),
    )


def _summed(counts: Sequence[int | None]) -> int | None:
    """Return the sum of what is counted, or None where nothing is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _mean(values: Sequence[float | None], totals: Sequence[int | None]) -> float | None:
    """Return the mean of ``values``, weighted by examples where they are counted; None if one is missing."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    weights = [total or 1 for total in totals]
    return math.fsum(value * weight for value, weight in zip(known, weights, strict=True)) / sum(weights)


def _pooled(outcomes: Sequence[Outcome], epoch: int) -> float:
    """Return the error of all folds after an epoch, from 0; NaN once one has diverged without any error."""
    errors = [_error_at(outcome, epoch) for outcome in outcomes]
    totals = [outcome.last.total if outcome.last else None for outcome in outcomes]
    if None in totals:
        return math.fsum(errors) / len(errors)
    if not all(map(math.isfinite, errors)):
        return math.nan
    # By counts, so that it is the very number that the counts of the result give.
    wrong = [round(error * (total or 0)) for error, total in zip(errors, totals, strict=True)]
    return sum(wrong) / sum(total or 0 for total in totals)


def _error_at(outcome: Outcome, epoch: int) -> float:
    """Return the error of one fold after an epoch, or where it stands if it has stopped before."""
    if epoch < len(outcome.curve):
        return outcome.curve[epoch]
    if outcome.diverged or outcome.best is None:
        return math.nan
    return outcome.best.error

"""How a training stands: its validation curve, its best epoch, whether it is over."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from hpbench.trial import Evaluation, Status

__all__ = ["Outcome", "Scores", "unexplained"]


@dataclass(frozen=True)
class Scores:
    """How a network does on one part; a loss of None is not finite.

    Attributes:
        correct: correctly classified examples; None for a regression, which counts none.
        total: examples; None for a regression.
        loss: the mean cross-entropy in nats; for a regression the share of the targets' variance that
            is not explained, 1 - R².
    """

    correct: int | None
    total: int | None
    loss: float | None

    @property
    def error(self) -> float:
        """Share of wrongly classified examples, in [0, 1]; for a regression 1 - R², NaN if it is not finite."""
        if self.correct is None or self.total is None:
            return math.nan if self.loss is None else self.loss
        return (self.total - self.correct) / self.total


def unexplained(squares: float, targets: Tensor) -> float | None:
    """Return 1 - R²: the squared errors by the squared deviations of the targets from their mean.

    It is 0 for a perfect prediction, 1 for that of the mean, and more for a worse one; None if it is
    not finite.

    Args:
        squares: sum of the squared errors on a part.
        targets: the numbers to be predicted there, float32, shape ``(n,)``, not all equal.
    """
    numbers = targets.double()
    share = squares / float(((numbers - numbers.mean()) ** 2).sum())
    return share if math.isfinite(share) else None


@dataclass
class Outcome:
    """What evaluation after each epoch has shown so far.

    Without early stopping the trial's result is that of its last epoch; with it, that of its best
    epoch on validation, the earliest on ties, as restoring the best weights would give.

    Attributes:
        curve: validation error after each epoch.
        last: scores on validation after the last epoch.
        best: scores on validation after the best epoch.
        best_epoch: its number, from 1.
        best_test: scores on the test part that belong to the trial's result.
        diverged: a validation loss was not finite; nothing more is trained.
    """

    curve: list[float] = field(default_factory=list)
    last: Scores | None = None
    best: Scores | None = None
    best_epoch: int = 0
    best_test: Scores | None = None
    diverged: bool = False

    def add(self, scores: Scores) -> bool:
        """Take the scores after one more epoch; return whether they are the best so far."""
        self.last = scores
        self.curve.append(scores.error)
        if scores.loss is None:
            self.diverged = True
            return False
        if self.best is None or scores.error < self.best.error:
            self.best, self.best_epoch = scores, len(self.curve)
            return True
        return False

    def over(self, patience: int | None) -> bool:
        """Return whether nothing more is to be trained."""
        stale = len(self.curve) - self.best_epoch
        return self.diverged or (patience is not None and self.best is not None and stale >= patience)

    def evaluation(
        self, *, epochs_from: int, train_seconds: float, evaluate_seconds: float, patience: int | None
    ) -> Evaluation:
        """Return this outcome as what a task answers; the curve holds the epochs after ``epochs_from``."""
        val = self.last if patience is None else self.best
        test = self.best_test
        failed = self.diverged or val is None or test is None
        return Evaluation(
            status=Status.DIVERGED if failed else Status.OK,
            epochs_from=epochs_from,
            epochs=len(self.curve),
            val_correct=None if failed or val is None else val.correct,
            val_total=None if failed or val is None else val.total,
            val_loss=None if failed or val is None else val.loss,
            test_correct=None if failed or test is None else test.correct,
            test_total=None if failed or test is None else test.total,
            test_loss=None if failed or test is None else test.loss,
            curve=tuple(self.curve[epochs_from:]),
            train_seconds=train_seconds,
            evaluate_seconds=evaluate_seconds,
            message=f"the validation loss was not finite after epoch {len(self.curve)}"
            if self.diverged
            else "",
        )

"""Training the configurations of incumbents again, on training and validation part together."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch

from hpbench.seeding import Stream
from hpbench.space import SearchSpace
from hpbench.tasks.training.cohort import CohortTrainer
from hpbench.tasks.training.data import DeviceSplit
from hpbench.tasks.training.lanes import Advance
from hpbench.tasks.training.outcome import Outcome
from hpbench.tasks.training.reference import ReferenceTrainer
from hpbench.trial import Evaluation, Request, Status

__all__ = ["Retrainer"]


class Retrainer:
    """Trains configurations from scratch, without early stopping, and tests them.

    Args:
        reference: the task's reference trainer.
        cohorts: the task's cohort trainer, or None; where there is one, it trains.
        space: of the task.
        data: of a repetition: everything but the test part trains; what validates decides nothing but
            whether the training has diverged.
        stream: the training stream of a request, whose number is that of the fresh seed.
    """

    def __init__(
        self,
        reference: ReferenceTrainer,
        cohorts: CohortTrainer[Any] | None,
        *,
        space: SearchSpace,
        data: Callable[[int], DeviceSplit],
        stream: Callable[[Request], Stream],
    ) -> None:
        self._reference = copy.copy(reference)
        self._reference.patience = None
        self._cohorts = copy.copy(cohorts)
        if self._cohorts is not None:
            self._cohorts.patience = None
        self._space = space
        self._data = data
        self._stream = stream

    def results(self, requests: Sequence[Request]) -> list[Evaluation]:
        """Return status, epochs and test figures of every request; memory that ends halves the company."""
        try:
            return [_tested(outcome) for outcome in self._outcomes(requests)]
        except torch.OutOfMemoryError as error:
            message = str(error)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(requests) == 1:
            return [Evaluation(Status.OUT_OF_MEMORY, message=message)]
        half = len(requests) // 2
        return [*self.results(requests[:half]), *self.results(requests[half:])]

    def _outcomes(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return how the training of every request ended."""
        if self._cohorts is None:
            return [self._alone(request) for request in requests]
        work = []
        for request in requests:
            data, stream = self._data(request.run.repetition), self._stream(request)
            lane = self._cohorts.start(self._space.complete(request.config), data, stream)
            work.append(Advance(lane, data, stream, request.epochs))
        self._cohorts.advance(work)
        return [item.lane.outcome for item in work]

    def _alone(self, request: Request) -> Outcome:
        """Return what the reference trainer makes of one request."""
        data, stream = self._data(request.run.repetition), self._stream(request)
        state = self._reference.start(self._space.complete(request.config), data, stream)
        self._reference.advance(state, data, stream, request.epochs)
        return state.outcome


def _tested(outcome: Outcome) -> Evaluation:
    """Return what is stored of a retraining: nothing that validates, and no seconds."""
    epochs, test = len(outcome.curve), outcome.best_test
    if outcome.diverged or test is None or test.loss is None:
        message = f"the loss was not finite after epoch {epochs}"
        return Evaluation(Status.DIVERGED, epochs=epochs, message=message)
    return Evaluation(
        Status.OK, epochs=epochs, test_correct=test.correct, test_total=test.total, test_loss=test.loss
    )

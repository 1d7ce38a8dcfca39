"""Training many trials at once: what every way of doing it shares.

A cohort is the lanes that one call of ``advance`` trains. A lane's bits do not depend on its company.
Compiled lanes follow one another through whole epochs in C; stacked lanes of equal signature share
every step, which a GPU needs.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from hpbench.seeding import Stream
from hpbench.tasks.networks.base import NetworkFamily, Shape
from hpbench.tasks.training.data import DeviceSplit, Part
from hpbench.tasks.training.lanes import Advance, Lane, require_same_shape
from hpbench.tasks.training.outcome import Scores
from hpbench.trial import Config

__all__ = ["CohortTrainer"]

L = TypeVar("L", bound=Lane)


class CohortTrainer(ABC, Generic[L]):
    """Trains lanes together.

    Args:
        family: what builds the modules.
        input_shape: of one example.
        n_classes: logits.
        full_epochs: the task's full fidelity, over which schedules run.
        device: where to train.
        patience: stop a lane after this many epochs without a better validation error; None: never.
    """

    def __init__(
        self,
        family: NetworkFamily,
        *,
        input_shape: Shape,
        n_classes: int,
        full_epochs: int,
        device: torch.device,
        patience: int | None,
    ) -> None:
        self.family = family
        self.input_shape = input_shape
        self.n_classes = n_classes
        self.full_epochs = full_epochs
        self.device = device
        self.patience = patience

    @abstractmethod
    def start(self, config: Config, data: DeviceSplit, stream: Stream) -> L:
        """Return an untrained lane with the initial weights of ``stream``.

        Args:
            config: complete, constants included.
            data: the split of the trial's repetition.
            stream: the trial's training stream.
        """

    @abstractmethod
    def parameters(self, lane: L) -> dict[str, Tensor]:
        """Return the lane's parameters at their true sizes, by name."""

    @abstractmethod
    def advance(self, work: Sequence[Advance[L]]) -> None:
        """Train every lane until its epoch, in any company alike."""

    @abstractmethod
    def _scores(self, item: Advance[L], part: Part) -> Scores:
        """Return the scores of a lane as it is on a part of its data."""

    def continued(self, lane: L, config: Config, data: DeviceSplit, stream: Stream) -> L:
        """Return a copy of ``lane`` that goes on under ``config``; ``lane`` itself stays as it is.

        Weights carry over; so do the optimiser's moments while the optimiser stays the same.

        Raises:
            UsageError: ``config`` shapes the network differently, so the weights do not fit.
        """
        fresh = self.start(config, data, stream)
        require_same_shape(self.family, fresh.shapes, lane.shapes)
        fresh.p.copy_(lane.p)
        if fresh.recipe.optimizer == lane.recipe.optimizer:
            fresh.m.copy_(lane.m)
            fresh.v.copy_(lane.v)
            fresh.moments = lane.moments
        fresh.epochs, fresh.steps = lane.epochs, lane.steps
        fresh.outcome = copy.deepcopy(lane.outcome)
        return fresh

    def _finished(self, item: Advance[L]) -> bool:
        """Return whether a lane has its epoch, or nothing more is to be trained."""
        return item.lane.epochs >= item.epochs or item.lane.outcome.over(self.patience)

    def _end_epoch(self, item: Advance[L], steps: int) -> None:
        """Count an epoch of ``steps`` steps and take its scores."""
        lane = item.lane
        lane.epochs += 1
        lane.steps += steps
        lane.moments += steps
        improved = lane.outcome.add(self._scores(item, "val"))
        if self.patience is not None and improved:
            lane.outcome.best_test = self._scores(item, "test")

    def _end(self, item: Advance[L]) -> None:
        """Take the test scores of a lane that has its epoch."""
        if self.patience is None and not item.lane.outcome.diverged:
            item.lane.outcome.best_test = self._scores(item, "test")

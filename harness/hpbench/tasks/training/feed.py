"""What a cohort is fed in one epoch: each lane's batches, coefficients and dropout seeds, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from hpbench.tasks.networks.base import Shape
from hpbench.tasks.networks.layers import ACTIVATIONS
from hpbench.tasks.training.lanes import Advance, Lane
from hpbench.tasks.training.layout import padded_batch
from hpbench.tasks.training.randomness import batch_order, dropout_key, step_seeds
from hpbench.tasks.training.updates import step_coefficients

__all__ = ["EpochFeed"]

BLOCK_NUMBERS: Final = 4_000_000
"""Input numbers that are gathered at once: enough to be quick, little enough for any data set."""


class EpochFeed:
    """The steps of one epoch of a cohort.

    Args:
        active: the lanes, of one signature; each at its own epoch.
        shape: of one example as the network takes it.
        n_classes: logits.
        full_epochs: the full fidelity, over which schedules run.
        n_dropouts: dropout layers of the network.

    Attributes:
        steps: of the epoch.
        rows: of a batch, of which those after the examples are zero and count for nothing.
        activation: each lane's activation coefficients, shape ``(K, 6)``; K is at least 2.
    """

    def __init__(
        self,
        active: Sequence[Advance[Lane]],
        shape: Shape,
        n_classes: int,
        *,
        full_epochs: int,
        n_dropouts: int,
    ) -> None:
        self.active = active if len(active) > 1 else [active[0], active[0]]
        self.shape = shape
        self.n_classes = n_classes
        first = active[0]
        self.device = first.data.train_inputs.device
        self.batch = first.lane.recipe.batch_size
        self.rows = padded_batch(self.batch)
        self.steps = first.data.n_train // self.batch
        self._orders = self._batch_orders()
        self._coefficients = self._step_coefficients(full_epochs)
        self._seeds = self._dropout_seeds(n_dropouts)
        names = [str(item.lane.config.get("activation", "relu")) for item in self.active]
        self.activation = torch.tensor([ACTIVATIONS[name] for name in names], device=self.device)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield inputs ``(K, rows, *shape)``, targets ``(K, rows, classes)``, coefficients and seeds."""
        numbers = len(self.active) * self.rows * int(np.prod(self.shape))
        block = max(1, BLOCK_NUMBERS // numbers)
        for begin in range(0, self.steps, block):
            end = min(begin + block, self.steps)
            inputs, targets = self._gathered(begin, end)
            for step in range(begin, end):
                place = step - begin
                yield inputs[place], targets[place], self._coefficients[step], self._seeds[step]

    def _gathered(self, begin: int, end: int) -> tuple[Tensor, Tensor]:
        """Return the batches of steps ``begin`` to ``end``: ``(steps, K, rows, ...)`` each.

        A target is the weight of each class's log-probability in the loss: the smoothed one-hot row,
        divided by the examples of a batch.
        """
        lanes, count, batch = len(self.active), end - begin, self.batch
        make = torch.empty if self.rows == batch else torch.zeros
        inputs = make(count, lanes, self.rows, *self.shape, device=self.device)
        targets = make(count, lanes, self.rows, self.n_classes, device=self.device)
        one_hot = torch.eye(self.n_classes, device=self.device)
        ready: dict[int, tuple[Tensor, Tensor]] = {}
        for place, (item, order) in enumerate(zip(self.active, self._orders, strict=True)):
            if id(order) not in ready:
                examples = order[begin:end].to(self.device)
                gathered = item.data.train_inputs[examples].reshape(count, batch, *self.shape)
                ready[id(order)] = gathered, one_hot[item.data.train_targets[examples]]
            inputs[:, place, :batch], targets[:, place, :batch] = ready[id(order)]
        smoothing = [item.lane.recipe.label_smoothing for item in self.active]
        share = torch.tensor(smoothing, device=self.device)[:, None, None]
        weighted = targets[:, :, :batch]
        weighted.mul_((1 - share) / batch).add_(share / (self.n_classes * batch))
        return inputs, targets

    def _batch_orders(self) -> list[Tensor]:
        """Return each lane's batch order, the very same tensor for lanes that share stream and epoch."""
        orders: dict[tuple[object, int], Tensor] = {}
        found = []
        for item in self.active:
            key = (item.stream.key, item.lane.epochs)
            if key not in orders:
                orders[key] = batch_order(item.stream, item.lane.epochs, item.data.n_train, self.batch)
            found.append(orders[key])
        return found

    def _step_coefficients(self, full_epochs: int) -> Tensor:
        """Return every lane's coefficients at every step, float32, shape ``(steps, K, N_COEFFICIENTS)``."""
        rows = [
            step_coefficients(
                item.lane.recipe,
                first=item.lane.epochs * self.steps,
                count=self.steps,
                total=full_epochs * self.steps,
                moments=item.lane.moments,
            )
            for item in self.active
        ]
        return torch.from_numpy(np.stack(rows, axis=1).astype(np.float32)).to(self.device)

    def _dropout_seeds(self, n_layers: int) -> Tensor:
        """Return the seed of every dropout layer at every step, int32, shape ``(steps, K, n_layers)``."""
        keys = torch.tensor([dropout_key(item.stream) for item in self.active], dtype=torch.int32)
        begun = torch.tensor([item.lane.steps for item in self.active], dtype=torch.int32)
        steps = begun[None, :] + torch.arange(self.steps, dtype=torch.int32)[:, None]
        return step_seeds(keys, steps, n_layers).to(self.device)

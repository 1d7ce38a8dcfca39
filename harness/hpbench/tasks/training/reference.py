"""The plain training loop that anyone would write: one trial at a time, an ordinary module and optimiser.

It is the oracle of the cohort trainer's tests, it calibrates the modelled clock, and it trains what
cohorts cannot take.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpbench.seeding import Stream
from hpbench.tasks.networks.base import NetworkFamily, Shape
from hpbench.tasks.networks.layers import Dropout
from hpbench.tasks.training.data import DeviceSplit
from hpbench.tasks.training.lanes import require_same_shape, true_shapes
from hpbench.tasks.training.outcome import Outcome, Scores, unexplained
from hpbench.tasks.training.probe import check_outputs
from hpbench.tasks.training.randomness import (
    batch_order,
    drawing_nothing,
    dropout_key,
    initial_module,
    learning_rate_factors,
    step_seeds,
)
from hpbench.tasks.training.recipe import Recipe
from hpbench.trial import Config

__all__ = ["ReferenceState", "ReferenceTrainer", "make_optimizer"]

_MOST_SCORED, _FEWEST_SCORED, _NUMBERS_SCORED = 4096, 128, 2**20
"""Examples that are scored at once: as many as hold so many numbers, within these ends."""


@dataclass
class ReferenceState:
    """Everything that continuing a training needs.

    Attributes:
        module: with its current weights, on the device.
        optimizer: with its moments.
        recipe: how it was trained last.
        epochs: epochs trained so far.
        steps: steps taken so far.
        outcome: the validation curve and, with early stopping, the best epoch so far.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    recipe: Recipe
    epochs: int = 0
    steps: int = 0
    outcome: Outcome = field(default_factory=Outcome)


class ReferenceTrainer:
    """Trains one trial at a time.

    Args:
        family: what builds the modules.
        n_classes: logits.
        full_epochs: the task's full fidelity, over which schedules run.
        device: where to train.
        patience: stop after this many epochs without a better validation error; None: never.
    """

    def __init__(
        self,
        family: NetworkFamily,
        *,
        n_classes: int,
        full_epochs: int,
        device: torch.device,
        patience: int | None,
    ) -> None:
        self.family = family
        self.n_classes = n_classes
        self.full_epochs = full_epochs
        self.device = device
        self.patience = patience

    def start(self, config: Config, data: DeviceSplit, stream: Stream) -> ReferenceState:
        """Return an untrained state with the initial weights of ``stream``."""
        shape: Shape = tuple(data.train_inputs.shape[1:])
        recipe = Recipe.of(config, data.n_train)
        module = initial_module(self.family, config, shape, self.n_classes, stream).to(self.device)
        return ReferenceState(module, make_optimizer(module, recipe), recipe)

    def continued(
        self, state: ReferenceState, config: Config, data: DeviceSplit, stream: Stream
    ) -> ReferenceState:
        """Return a copy of ``state`` that goes on under ``config``.

        Weights carry over; so do the optimiser's moments while the optimiser stays the same.

        Raises:
            UsageError: ``config`` shapes the network differently, so the weights do not fit.
        """
        fresh = self.start(config, data, stream)
        require_same_shape(self.family, true_shapes(fresh.module), true_shapes(state.module))
        fresh.module.load_state_dict(state.module.state_dict())
        if fresh.recipe.optimizer == state.recipe.optimizer:
            _copy_moments(state.optimizer, fresh.optimizer)
        fresh.epochs, fresh.steps = state.epochs, state.steps
        fresh.outcome = copy.deepcopy(state.outcome)
        return fresh

    def advance(
        self, state: ReferenceState, data: DeviceSplit, stream: Stream, epochs: int
    ) -> tuple[float, float]:
        """Train ``state`` until ``epochs``, scoring validation after each epoch.

        Returns:
            Seconds of training and seconds of evaluation, as the clock showed them.
        """
        train_seconds = evaluate_seconds = 0.0
        key = dropout_key(stream)
        while state.epochs < epochs and not state.outcome.over(self.patience):
            begun = self._now()
            with drawing_nothing(self.family.name, self.device):
                self._train_epoch(state, data, stream, key)
            trained = self._now()
            state.epochs += 1
            val = score(state.module, data.val_inputs, data.val_targets)
            improved = state.outcome.add(val)
            if self.patience is not None and improved:
                state.outcome.best_test = score(state.module, data.test_inputs, data.test_targets)
            evaluated = self._now()
            train_seconds += trained - begun
            evaluate_seconds += evaluated - trained
        begun = self._now()
        if self.patience is None and not state.outcome.diverged:
            state.outcome.best_test = score(state.module, data.test_inputs, data.test_targets)
        return train_seconds, evaluate_seconds + self._now() - begun

    def _train_epoch(self, state: ReferenceState, data: DeviceSplit, stream: Stream, key: int) -> None:
        """Take every step of the epoch that comes next."""
        module, optimizer, recipe = state.module, state.optimizer, state.recipe
        order = batch_order(stream, state.epochs, data.n_train, recipe.batch_size).to(self.device)
        count = len(order)
        numbers = torch.arange(state.steps, state.steps + count, dtype=torch.int32, device=self.device)
        dropouts = [layer for layer in module.modules() if isinstance(layer, Dropout)]
        seeds = step_seeds(key, numbers, len(dropouts))
        # By epochs: a parent may have taken its steps with another batch size.
        begun, total = state.epochs * count, self.full_epochs * count
        factors = learning_rate_factors(recipe.schedule, begun, count, total)
        weights = [parameter for parameter in module.parameters() if parameter.ndim > 1]
        module.train()
        for step, examples in enumerate(order):
            for layer, seed in zip(dropouts, seeds[step], strict=True):
                layer.seed = seed
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * factors[step]
            optimizer.zero_grad(set_to_none=True)
            outputs = module(data.train_inputs[examples])
            if step == 0:
                check_outputs(self.family.name, outputs, len(examples), self.n_classes)
            loss = _loss(outputs, data.train_targets[examples], recipe)
            if recipe.l1 > 0.0:
                loss = loss + recipe.l1 * torch.stack([weight.abs().sum() for weight in weights]).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        state.steps += count

    def _now(self) -> float:
        """Return the clock in seconds, once the device has finished what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return perf_counter()


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the torch optimiser that ``recipe`` names, with torch's defaults where it says nothing."""
    parameters = list(module.parameters())
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, lr=rate, momentum=recipe.momentum, weight_decay=decay, nesterov=recipe.nesterov
        )
    kinds: dict[str, Any] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
    }
    optimizer: torch.optim.Optimizer = kinds[recipe.optimizer](parameters, lr=rate, weight_decay=decay)
    return optimizer


def _loss(outputs: Tensor, targets: Tensor, recipe: Recipe) -> Tensor:
    """Return the mean cross-entropy of logits, or the mean squared error of the one output of a regression."""
    if targets.is_floating_point():
        return functional.mse_loss(outputs[:, 0], targets)
    return functional.cross_entropy(outputs, targets, label_smoothing=recipe.label_smoothing)


@torch.no_grad()
def score(module: nn.Module, inputs: Tensor, targets: Tensor) -> Scores:
    """Return counts and mean cross-entropy (nats) of ``module`` on a whole part, shape ``(n, ...)``.

    Of a regression, whose targets are floats, the share of the variance that is not explained. Examples
    go through the network in blocks, so that a large part takes no more memory than a small one.
    """
    if module.training:
        module.eval()
    size = min(_MOST_SCORED, max(_FEWEST_SCORED, _NUMBERS_SCORED // inputs[0].numel()))
    correct, total = 0, 0.0
    for block, goals in zip(torch.split(inputs, size), torch.split(targets, size), strict=True):
        outputs = module(block)
        if targets.is_floating_point():
            total += float((outputs[:, 0].double() - goals.double()).square().sum())
        else:
            total += float(functional.cross_entropy(outputs, goals)) * len(goals)
            correct += int((outputs.argmax(dim=1) == goals).sum())
    if targets.is_floating_point():
        return Scores(None, None, unexplained(total, targets))
    loss = total / len(targets)
    return Scores(correct, len(targets), loss if math.isfinite(loss) else None)


def _copy_moments(source: torch.optim.Optimizer, target: torch.optim.Optimizer) -> None:
    """Give ``target`` the moments of ``source``, its own hyperparameters kept."""
    state = copy.deepcopy(source.state_dict())
    state["param_groups"] = target.state_dict()["param_groups"]
    target.load_state_dict(state)

"""Measuring the modelled clock: what a step and an evaluation cost the reference trainer, alone on the machine."""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import median
from time import perf_counter

import torch

from hpbench.seeding import Stream
from hpbench.space import SearchSpace
from hpbench.tasks.networks.base import NetworkFamily
from hpbench.tasks.training.costs import StepCost
from hpbench.tasks.training.data import DeviceSplit
from hpbench.tasks.training.reference import ReferenceTrainer, score
from hpbench.trial import Config, Value

__all__ = ["calibrate", "config_of", "retrain"]

_BLOCKS = 4
_STEPS = 4
_WARM_UP = 1
_RATE, _DROPOUT, _L1 = 1e-6, 0.25, 1e-6
_STREAM = Stream(("calibration",))


def config_of(family: NetworkFamily, space: SearchSpace, signature: str) -> dict[str, Value]:
    """Return a complete configuration with this signature: the space's defaults elsewhere.

    The learning rate is so small that nothing diverges.
    """
    values: dict[str, Value] = json.loads(signature)
    given = {**values, "dropout": _DROPOUT if values["dropout"] else 0.0, "l1": _L1 if values["l1"] else 0.0}
    usual = {**family.space.constants, **family.space.default_values(), **space.default_values(), **given}
    config = space.complete(space.active(usual))
    return {**config, **given, "learning_rate": _RATE}


def calibrate(trainer: ReferenceTrainer, config: Config, data: DeviceSplit) -> StepCost:
    """Return what ``config`` costs: the median of several blocks of steps, after a warm-up.

    A block is an epoch of ``trainer`` on the first few batches, so the path is the one that a trial
    takes, with everything that an epoch does once.

    Args:
        trainer: for the task.
        config: complete.
        data: of any repetition.
    """
    alone = ReferenceTrainer(
        trainer.family,
        n_classes=trainer.n_classes,
        full_epochs=_BLOCKS + _WARM_UP,
        device=trainer.device,
        patience=None,
    )
    state = alone.start(config, data, _STREAM)
    batch = state.recipe.batch_size
    steps = min(_STEPS, data.n_train // batch)
    few = replace(
        data, train_inputs=data.train_inputs[: steps * batch], train_targets=data.train_targets[: steps * batch]
    )
    trained: list[float] = []
    scored: dict[str, list[float]] = {"val": [], "test": []}
    for _ in range(_WARM_UP + _BLOCKS):
        seconds, _both = alone.advance(state, few, _STREAM, state.epochs + 1)
        trained.append(seconds / steps)
    for _ in range(_BLOCKS):
        scored["val"].append(_scoring(alone, state.module, data.val_inputs, data.val_targets))
        scored["test"].append(_scoring(alone, state.module, data.test_inputs, data.test_targets))
    return StepCost(median(trained[_WARM_UP:]), median(scored["val"]), median(scored["test"]))


def retrain(
    trainer: ReferenceTrainer, config: Config, data: DeviceSplit, stream: Stream, epochs: int
) -> float:
    """Return the seconds that ``trainer`` takes to train and evaluate a trial alone, as the clock shows them."""
    state = trainer.start(config, data, stream)
    return sum(trainer.advance(state, data, stream, epochs))


def _scoring(
    trainer: ReferenceTrainer, module: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor
) -> float:
    """Return the seconds of scoring one part."""
    _wait(trainer.device)
    begun = perf_counter()
    score(module, inputs, targets)
    _wait(trainer.device)
    return perf_counter() - begun


def _wait(device: torch.device) -> None:
    """Wait until the device has finished what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

"""Measuring for the modelled clock: what a step, an evaluation and a whole trial cost the reference trainer alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from statistics import fmean, median
from time import perf_counter

from torch import Tensor, nn

from hpbench.seeding import Stream
from hpbench.space import SearchSpace
from hpbench.tasks.networks.base import NetworkFamily
from hpbench.tasks.training.costs import StepCost
from hpbench.tasks.training.data import DeviceSplit
from hpbench.tasks.training.reference import ReferenceState, ReferenceTrainer, score
from hpbench.trial import Config, Value

__all__ = ["Calibrator", "config_of", "retrain", "typical_seconds"]

_BLOCKS = 5
_STEPS = 5
_AGREEMENT = 0.1
"""By which part two blocks that agree may differ; most agree at once, so a quiet machine is soon calibrated."""

_RATE, _DROPOUT, _L1 = 1e-6, 0.25, 1e-6
_STREAM = Stream(("calibration",))
_NOT_SCORED = ("batch_size", "optimizer", "dropout", "l1")


def config_of(family: NetworkFamily, space: SearchSpace, signature: str) -> dict[str, Value]:
    """Return a complete configuration with this signature: the space's defaults elsewhere.

    The learning rate is so small that nothing diverges.
    """
    values: dict[str, Value] = json.loads(signature)
    given = {**values, "dropout": _DROPOUT if values["dropout"] else 0.0, "l1": _L1 if values["l1"] else 0.0}
    usual = {**family.space.constants, **family.space.default_values(), **space.default_values(), **given}
    config = space.complete(space.active(usual))
    return {**config, **given, "learning_rate": _RATE}


class Calibrator:
    """Measures signatures of one task, one after the other.

    Making one runs a step and an evaluation that are not counted, so that what torch does once in a
    process is charged to nobody. Scoring depends on the network alone, so it is measured once for all
    signatures that share a network.

    Args:
        trainer: the task's reference trainer.
        space: of the task.
        data: of any repetition; all have the same sizes.
    """

    def __init__(self, trainer: ReferenceTrainer, space: SearchSpace, data: DeviceSplit) -> None:
        self._trainer = ReferenceTrainer(
            trainer.family,
            n_classes=trainer.n_classes,
            full_epochs=trainer.full_epochs,
            device=trainer.device,
            patience=None,
        )
        self._space = space
        self._data = data
        self._scoring: dict[str, tuple[float, float]] = {}
        state = self._start(space.complete(space.default_config()))
        self._steps(state)
        self._scores(state.module)

    def cost(self, signature: str) -> StepCost:
        """Return what ``signature`` costs: timed blocks of steps, after a warm-up, until two of them agree."""
        state = self._start(config_of(self._trainer.family, self._space, signature))
        step = self._steps(state)
        shape = {name: value for name, value in json.loads(signature).items() if name not in _NOT_SCORED}
        key = json.dumps(shape)
        if key not in self._scoring:
            self._scoring[key] = self._scores(state.module)
        return StepCost(step, *self._scoring[key])

    def _start(self, config: Config) -> ReferenceState:
        return self._trainer.start(config, self._data, _STREAM)

    def _steps(self, state: ReferenceState) -> float:
        """Return the seconds of one step, after another one that is not counted.

        A block is an epoch of the reference trainer on the first few batches, with everything that an
        epoch does once; an example or two are scored after it, which is not counted.
        """
        count = min(_STEPS, self._data.n_train // state.recipe.batch_size)
        one, few = (self._part(steps * state.recipe.batch_size) for steps in (1, count))
        self._epoch(state, one)
        return typical_seconds(lambda: self._epoch(state, few)) / count

    def _part(self, examples: int) -> DeviceSplit:
        """Return the first so many examples to train on, and the fewest that can be scored."""
        data = self._data
        val, test = _few(data.val_targets), _few(data.test_targets)
        return replace(
            data,
            train_inputs=data.train_inputs[:examples],
            train_targets=data.train_targets[:examples],
            val_inputs=data.val_inputs[val],
            val_targets=data.val_targets[val],
            test_inputs=data.test_inputs[test],
            test_targets=data.test_targets[test],
        )

    def _epoch(self, state: ReferenceState, data: DeviceSplit) -> float:
        """Return the seconds of training one more epoch on ``data``."""
        return self._trainer.advance(state, data, _STREAM, state.epochs + 1)[0]

    def _scores(self, module: nn.Module) -> tuple[float, float]:
        """Return the seconds of scoring the validation and the test part, each after once that is not counted."""
        data = self._data
        parts = ((data.val_inputs, data.val_targets), (data.test_inputs, data.test_targets))
        for part in parts:
            self._timed(module, *part)
        val, test = (typical_seconds(partial(self._timed, module, *part)) for part in parts)
        return val, test

    def _timed(self, module: nn.Module, inputs: Tensor, targets: Tensor) -> float:
        """Return the seconds of scoring one part; its figures are plain numbers, so the device is done then."""
        begun = perf_counter()
        score(module, inputs, targets)
        return perf_counter() - begun


def _few(targets: Tensor) -> list[int]:
    """Return the places of the fewest examples that have a score: one, or two different numbers."""
    return [int(targets.argmin()), int(targets.argmax())] if targets.is_floating_point() else [0]


def typical_seconds(block: Callable[[], float], *, enough: float = math.inf) -> float:
    """Return the mean seconds of the first two blocks that agree, or the median where no two do.

    Args:
        block: does the work and returns its seconds.
        enough: seconds after which no further block begins; work of that length evens itself out.
    """
    seconds: list[float] = []
    while len(seconds) < _BLOCKS and sum(seconds) < enough:
        seconds = sorted([*seconds, block()])
        for shorter, longer in pairwise(seconds):
            if longer <= shorter * (1 + _AGREEMENT):
                return fmean((shorter, longer))
    return median(seconds)


def retrain(
    trainer: ReferenceTrainer, config: Config, data: DeviceSplit, stream: Stream, epochs: int
) -> float:
    """Return the seconds that ``trainer`` takes to train and evaluate a trial alone, as the clock shows them."""
    state = trainer.start(config, data, stream)
    return sum(trainer.advance(state, data, stream, epochs))

"""Training many trials at once: lanes of equal signature advance together, each as if it were alone.

A lane's bits do not depend on its company: batched products treat each lane's matrices by themselves,
at places in memory that are aligned alike, everything else is done element by element, and scores are
taken lane by lane.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from math import prod
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule

from hpbench.seeding import Stream
from hpbench.tasks.networks.base import NetworkFamily, Shape
from hpbench.tasks.training.data import DeviceSplit
from hpbench.tasks.training.feed import EpochFeed
from hpbench.tasks.training.lanes import Advance, Lane, Rows, true_shapes
from hpbench.tasks.training.layout import Layout, layout_of, padded_config
from hpbench.tasks.training.packages import compiled_step
from hpbench.tasks.training.randomness import initial_module
from hpbench.tasks.training.recipe import Recipe
from hpbench.tasks.training.reference import require_same_shape, score
from hpbench.tasks.training.steps import Step, recorded_step, step_function, step_source
from hpbench.trial import Config

__all__ = ["CohortTrainer"]

MOST_NUMBERS: Final = 160_000
"""Parameters of a cohort at most: with its moments and gradient it then stays near the cache."""
MOST_LANES: Final = 64
FEWEST_LANES: Final = 4
_EXAMPLE_FEATURES: Final = 23

_STEPS: Final[dict[tuple[object, ...], Step]] = {}
"""What this process has recorded or loaded: trainers come and go with their tasks, steps have no state."""


class CohortTrainer:
    """Trains lanes together.

    Args:
        family: what builds the modules.
        input_shape: of one example.
        n_classes: logits.
        full_epochs: the task's full fidelity, over which schedules run.
        device: where to train.
        patience: stop a lane after this many epochs without a better validation error; None: never.
        compiled: train with compiled steps; otherwise with recorded ones.
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
        compiled: bool,
    ) -> None:
        self.family = family
        self.input_shape = input_shape
        self.n_classes = n_classes
        self.full_epochs = full_epochs
        self.device = device
        self.patience = patience
        self.compiled = compiled
        self._layouts: dict[str, Layout] = {}
        self._still: dict[tuple[int, int], list[Tensor]] = {}

    def start(self, config: Config, data: DeviceSplit, stream: Stream) -> Lane:
        """Return an untrained lane with the initial weights of ``stream``.

        Args:
            config: complete, constants included.
            data: the split of the trial's repetition.
            stream: the trial's training stream.
        """
        recipe = Recipe.of(config, data.n_train)
        module = initial_module(self.family, config, self.input_shape, self.n_classes, stream)
        signature = self._signature(config, recipe)
        layout = self._layout(config)
        packed = torch.zeros(layout.size)
        layout.pack({name: value.detach() for name, value in module.named_parameters()}, packed)
        p = packed.to(self.device)
        lane = Lane(
            config, recipe, signature, module.to(self.device), p, torch.zeros_like(p), torch.zeros_like(p)
        )
        self._attach(lane)
        return lane

    def continued(self, lane: Lane, config: Config, data: DeviceSplit, stream: Stream) -> Lane:
        """Return a copy of ``lane`` that goes on under ``config``; ``lane`` itself stays as it is.

        Weights carry over; so do the optimiser's moments while the optimiser stays the same.

        Raises:
            UsageError: ``config`` shapes the network differently, so the weights do not fit.
        """
        fresh = self.start(config, data, stream)
        require_same_shape(self.family, fresh.module, lane.module)
        fresh.p.copy_(lane.p)
        if fresh.recipe.optimizer == lane.recipe.optimizer:
            fresh.m.copy_(lane.m)
            fresh.v.copy_(lane.v)
            fresh.moments = lane.moments
        fresh.epochs, fresh.steps = lane.epochs, lane.steps
        fresh.outcome = copy.deepcopy(lane.outcome)
        return fresh

    def parameters(self, lane: Lane) -> dict[str, Tensor]:
        """Return the lane's parameters at their true sizes, by name, as views."""
        return self._layout(lane.config).views(lane.p, true_shapes(lane.module))

    def advance(self, work: Sequence[Advance]) -> None:
        """Train every lane until its epoch; lanes of equal signature share steps, in any company alike."""
        groups: dict[str, list[Advance]] = {}
        for item in work:
            groups.setdefault(item.lane.signature, []).append(item)
        for members in sorted(groups.values(), key=self._work, reverse=True):
            most = self.lanes_at_most(members[0].lane)
            for first in range(0, len(members), most):
                self._advance_cohort(members[first : first + most])

    def lanes_at_most(self, lane: Lane) -> int:
        """Return how many lanes like this one train together."""
        return int(np.clip(MOST_NUMBERS // lane.p.numel(), FEWEST_LANES, MOST_LANES))

    def _work(self, members: Sequence[Advance]) -> int:
        """Return the numbers to be updated in a group, the measure by which the largest goes first."""
        return sum((item.epochs - item.lane.epochs) * item.lane.p.numel() for item in members)

    def _signature(self, config: Config, recipe: Recipe) -> str:
        padded = padded_config(self.family, config)
        shaping = {name: padded[name] for name in self.family.shaping}
        return json.dumps({**shaping, "batch_size": recipe.batch_size}, sort_keys=True)

    def _layout(self, config: Config) -> Layout:
        padded = padded_config(self.family, config)
        key = json.dumps([padded[name] for name in self.family.shaping if name != "batch_size"])
        if key not in self._layouts:
            self._layouts[key] = layout_of(self.family, config, self.input_shape, self.n_classes)
        return self._layouts[key]

    def _attach(self, lane: Lane) -> None:
        """Let the weights of the lane's module be views of its row."""
        views = self.parameters(lane)
        for name, parameter in lane.module.named_parameters():
            parameter.data = views[name]

    def _step(self, lane: Lane) -> Step:
        """Return the step of the lanes like ``lane``: one a depth, recorded or compiled when first used."""
        layout = self._layout(lane.config)
        if any(1 in shape for shape in layout.shapes.values()):
            return step_function(layout)  # a recording takes sizes of 1 for constants
        name = self._unit(lane.config)
        key = (self.family.build, name, self._recorded_shape, self.compiled)
        if key not in _STEPS:
            _STEPS[key] = self._made_step(lane.config, name)
        return _STEPS[key]

    def _unit(self, config: Config) -> str:
        """Return the name of what one recording serves: the family and all that is no mere size."""
        sizes = (*self.family.buckets, "batch_size")
        fixed = (f"{name}={config[name]}" for name in self.family.shaping if name not in sizes)
        return "-".join([self.family.name, *fixed])

    def _made_step(self, config: Config, name: str) -> Step:
        def trace() -> tuple[GraphModule, list[Tensor]]:
            return recorded_step(self.family, config, self._recorded_shape)

        if self.compiled:
            source = "\n".join([name, str(self._recorded_shape), step_source(self.family)])
            return compiled_step(trace, name, source)
        return trace()[0]

    def _advance_cohort(self, members: Sequence[Advance]) -> None:
        """Train lanes of one signature, at most ``lanes_at_most`` of them, until each has its epoch."""
        active = [item for item in members if not self._finished(item)]
        while active:
            rows = Rows.of([item.lane for item in active])
            for place, item in enumerate(active):
                item.lane.p = rows.p[place]
                self._attach(item.lane)
            while not any(map(self._finished, active)):
                self._train_epoch(active, rows)
                for item in active:
                    self._score(item)
            for place, item in enumerate(active):
                lane = item.lane
                lane.p, lane.m, lane.v = (tensor[place].clone() for tensor in rows)
                self._attach(lane)
            active = [item for item in active if not self._finished(item)]
        if self.patience is None:
            for item in members:
                if not item.lane.outcome.diverged:
                    item.lane.outcome.best_test = score(
                        item.lane.module, item.data.test_inputs, item.data.test_targets
                    )

    def _finished(self, item: Advance) -> bool:
        return item.lane.epochs >= item.epochs or item.lane.outcome.over(self.patience)

    def _score(self, item: Advance) -> None:
        """Evaluate a lane after an epoch, by itself and at its true size."""
        lane, data = item.lane, item.data
        lane.epochs += 1
        improved = lane.outcome.add(score(lane.module, data.val_inputs, data.val_targets))
        if self.patience is not None and improved:
            lane.outcome.best_test = score(lane.module, data.test_inputs, data.test_targets)

    def _train_epoch(self, active: Sequence[Advance], rows: Rows) -> None:
        """Take every step of one epoch with all lanes."""
        lanes = [item.lane for item in active]
        layout = self._layout(lanes[0].config)
        feed = EpochFeed(
            active,
            self._fed_shape,
            self.n_classes,
            full_epochs=self.full_epochs,
            n_dropouts=len(layout.dropouts),
        )
        penalised = layout.penalised.to(self.device)
        still = self._still_inputs(layout, feed.rows)
        step = self._step(lanes[0])
        with torch.no_grad():
            for inputs, targets, coefficients, seeds in feed:
                step(*rows, penalised, inputs, targets, coefficients, feed.activation, seeds, *still)
        for lane in lanes:
            lane.steps += feed.steps
            lane.moments += feed.steps

    @property
    def _fed_shape(self) -> Shape:
        """The shape of one example as a step takes it: families that flatten are fed vectors."""
        return (prod(self.input_shape),) if self.family.inputs == "flat" else self.input_shape

    @property
    def _recorded_shape(self) -> Shape:
        """The shape to record with: one that stands for every length of a vector."""
        return (_EXAMPLE_FEATURES,) if self.family.inputs == "flat" else self.input_shape

    def _still_inputs(self, layout: Layout, rows: int) -> list[Tensor]:
        """Return the arguments of a step that no step changes: shape carriers and dropout counters."""
        if (id(layout), rows) not in self._still:
            carriers = [torch.empty(shape, device=self.device) for shape in layout.shapes.values()]
            counters = layout.counters(rows, self._fed_shape, self.device)
            self._still[id(layout), rows] = [*carriers, *counters]
        return self._still[id(layout), rows]

"""Stacked lanes: those of equal signature take the same steps, one batched operation for all of them.

A lane's bits do not depend on its company: batched products treat each lane's matrices by themselves,
at places in memory that are aligned alike, everything else is done element by element, and scores are
taken lane by lane.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hpbench.seeding import Stream
from hpbench.tasks.networks.base import NetworkFamily, Shape
from hpbench.tasks.training.captured import Capture, CapturedStep, cuda_graph
from hpbench.tasks.training.cohort import CohortTrainer
from hpbench.tasks.training.data import DeviceSplit, Part
from hpbench.tasks.training.feed import EpochFeed
from hpbench.tasks.training.lanes import (
    Advance,
    Lane,
    require_one_activation,
    require_one_rate,
    true_shapes,
)
from hpbench.tasks.training.layout import Layout, layout_of, padded_config
from hpbench.tasks.training.outcome import Scores
from hpbench.tasks.training.randomness import initial_module
from hpbench.tasks.training.recipe import Recipe
from hpbench.tasks.training.reference import score
from hpbench.tasks.training.steps import Step, recorded_step, step_function
from hpbench.trial import Config

__all__ = ["StackedLane", "StackedTrainer"]

MOST_NUMBERS: Final = 160_000
"""Parameters of a cohort at most: with its moments and gradient it then stays near the cache."""
MOST_LANES: Final = 64
FEWEST_LANES: Final = 4
MOST_NUMBERS_ON_GPU: Final = 50_000_000
"""The same on a GPU, whose memory holds them many times over."""
MOST_LANES_ON_GPU: Final = 512
_EXAMPLE_FEATURES: Final = 23

_STEPS: Final[dict[tuple[object, ...], Step]] = {}
"""What this process has recorded: trainers come and go with their tasks, steps have no state."""


@dataclass(kw_only=True)
class StackedLane(Lane):
    """A lane that is stacked with others of its signature.

    Attributes:
        signature: what the lane shares with every lane of its cohort.
        module: of true size, in which the lane is evaluated; its weights are views of ``p``.
    """

    signature: str
    module: nn.Module


class Rows(NamedTuple):
    """The state of a cohort: parameters and both moments, each of shape ``(lanes, n)``.

    A lone lane is doubled: kernels for one matrix round differently from kernels for several, and a
    lane's bits must not depend on its company.
    """

    p: Tensor
    m: Tensor
    v: Tensor

    @staticmethod
    def of(lanes: Sequence[Lane]) -> Rows:
        """Return the stacked state of ``lanes``, at least two rows."""
        doubled = lanes if len(lanes) > 1 else [lanes[0], lanes[0]]
        return Rows(
            torch.stack([lane.p for lane in doubled]),
            torch.stack([lane.m for lane in doubled]),
            torch.stack([lane.v for lane in doubled]),
        )


class StackedTrainer(CohortTrainer[StackedLane]):
    """Trains lanes of equal signature in the same steps; see ``CohortTrainer`` for the arguments."""

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
        super().__init__(
            family,
            input_shape=input_shape,
            n_classes=n_classes,
            full_epochs=full_epochs,
            device=device,
            patience=patience,
        )
        self._layouts: dict[str, Layout] = {}
        self._still: dict[tuple[int, int], list[Tensor]] = {}
        self._capture: Capture | None = cuda_graph if device.type == "cuda" else None

    def start(self, config: Config, data: DeviceSplit, stream: Stream) -> StackedLane:
        """Return an untrained lane; see ``CohortTrainer.start``."""
        recipe = Recipe.of(config, data.n_train)
        module = initial_module(self.family, config, self.input_shape, self.n_classes, stream)
        require_one_rate(self.family, recipe, module)
        require_one_activation(self.family, config, module)
        signature = self._signature(config, recipe)
        layout = self._layout(config)
        packed = torch.zeros(layout.size)
        layout.pack({name: value.detach() for name, value in module.named_parameters()}, packed)
        p = packed.to(self.device)
        lane = StackedLane(
            config=config,
            recipe=recipe,
            shapes=true_shapes(module),
            p=p,
            m=torch.zeros_like(p),
            v=torch.zeros_like(p),
            signature=signature,
            module=module.to(self.device),
        )
        self._attach(lane)
        return lane

    def parameters(self, lane: StackedLane) -> dict[str, Tensor]:
        """Return the lane's parameters at their true sizes, by name, as views."""
        return self._layout(lane.config).views(lane.p, lane.shapes)

    def advance(self, work: Sequence[Advance[StackedLane]]) -> None:
        """Train every lane until its epoch; lanes of equal signature share steps, in any company alike."""
        groups: dict[tuple[str, int], list[Advance[StackedLane]]] = {}
        for item in work:  # folds may differ by one example, and then by a step
            groups.setdefault((item.lane.signature, item.data.n_train), []).append(item)
        for members in sorted(groups.values(), key=self._work, reverse=True):
            most = self.lanes_at_most(members[0].lane)
            for first in range(0, len(members), most):
                self._advance_cohort(members[first : first + most])

    def lanes_at_most(self, lane: StackedLane) -> int:
        """Return how many lanes like this one train together."""
        numbers, lanes = MOST_NUMBERS, MOST_LANES
        if self.device.type == "cuda":
            numbers, lanes = MOST_NUMBERS_ON_GPU, MOST_LANES_ON_GPU
        return int(np.clip(numbers // lane.p.numel(), FEWEST_LANES, lanes))

    def _work(self, members: Sequence[Advance[StackedLane]]) -> int:
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

    def _attach(self, lane: StackedLane) -> None:
        """Let the weights of the lane's module be views of its row."""
        views = self.parameters(lane)
        for name, parameter in lane.module.named_parameters():
            parameter.data = views[name]

    def _step(self, lane: StackedLane) -> Step:
        """Return the step of the lanes like ``lane``; of vectors one recording a depth, made when first used."""
        layout = self._layout(lane.config)
        odd = self.family.inputs != "flat" or any(1 in shape for shape in layout.shapes.values())
        if odd or self.device.type != "cpu":
            # A recording takes sizes of 1, and those of maps, for constants; a captured step needs none.
            return step_function(layout, regression=self.n_classes == 1)
        sizes = (*self.family.buckets, "batch_size")
        fixed = tuple(lane.config[name] for name in self.family.shaping if name not in sizes)
        key = (self.family.build, fixed)
        if key not in _STEPS:
            _STEPS[key] = recorded_step(self.family, lane.config, (_EXAMPLE_FEATURES,))
        return _STEPS[key]

    def _advance_cohort(self, members: Sequence[Advance[StackedLane]]) -> None:
        """Train lanes of one signature, at most ``lanes_at_most`` of them, until each has its epoch."""
        active = [item for item in members if not self._finished(item)]
        while active:
            rows = Rows.of([item.lane for item in active])
            for place, item in enumerate(active):
                item.lane.p = rows.p[place]
                self._attach(item.lane)
            self._train_epochs(active, rows)
            for place, item in enumerate(active):
                lane = item.lane
                lane.p, lane.m, lane.v = (tensor[place].clone() for tensor in rows)
                self._attach(lane)
            active = [item for item in active if not self._finished(item)]
        for item in members:
            self._end(item)

    def _scores(self, item: Advance[StackedLane], part: Part) -> Scores:
        """Score a lane by itself and at its true size."""
        return score(item.lane.module, *item.data.part(part))

    @torch.no_grad()
    def _train_epochs(self, active: Sequence[Advance[StackedLane]], rows: Rows) -> None:
        """Train all lanes, epoch by epoch, until one of them is finished."""
        layout = self._layout(active[0].lane.config)
        step = self._step(active[0].lane)
        penalised = layout.penalised.to(self.device)
        captured: CapturedStep | None = None
        while not any(map(self._finished, active)):
            feed = EpochFeed(
                active,
                self._fed_shape,
                self.n_classes,
                full_epochs=self.full_epochs,
                n_dropouts=len(layout.dropouts),
            )
            activation, still = feed.activation, self._still_inputs(layout, feed.rows)

            def arranged(
                state: Sequence[Tensor],
                fed: Sequence[Tensor],
                activation: Tensor = activation,
                still: Sequence[Tensor] = still,
            ) -> Sequence[Tensor]:
                inputs, targets, coefficients, seeds = fed
                return [*state, penalised, inputs, targets, coefficients, activation, seeds, *still]

            for fed in feed:
                if self._capture is None:
                    step(*arranged(rows, fed))
                else:
                    captured = captured or CapturedStep(step, rows, fed, arranged, capture=self._capture)
                    captured(*fed)
            for item in active:
                self._end_epoch(item, feed.steps)

    @property
    def _fed_shape(self) -> Shape:
        """The shape of one example as a step takes it: families that flatten are fed vectors."""
        return (prod(self.input_shape),) if self.family.inputs == "flat" else self.input_shape

    def _still_inputs(self, layout: Layout, rows: int) -> list[Tensor]:
        """Return the arguments of a step that no step changes: shape carriers and dropout counters."""
        if (id(layout), rows) not in self._still:
            carriers = [torch.empty(shape, device=self.device) for shape in layout.shapes.values()]
            counters = layout.counters(rows, self._fed_shape, self.device)
            self._still[id(layout), rows] = [*carriers, *counters]
        return self._still[id(layout), rows]

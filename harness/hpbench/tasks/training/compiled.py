"""Compiled lanes: each trains whole epochs in C, one lane after another, or one a thread.

A lane needs no company to be quick, and its bits cannot depend on any: nothing is shared but memory
to work in.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import Tensor, fx, nn

from hpbench.seeding import Stream
from hpbench.tasks.networks.base import NetworkFamily, Shape
from hpbench.tasks.training.cohort import CohortTrainer
from hpbench.tasks.training.data import DeviceSplit, Part
from hpbench.tasks.training.kernels.library import Workspace, library
from hpbench.tasks.training.kernels.lowering import followed, program_of
from hpbench.tasks.training.kernels.program import Program
from hpbench.tasks.training.lanes import Advance, Lane, require_one_rate, true_shapes
from hpbench.tasks.training.outcome import Scores
from hpbench.tasks.training.randomness import batch_order, dropout_key, initial_module, step_seeds
from hpbench.tasks.training.recipe import Recipe
from hpbench.tasks.training.updates import step_coefficients
from hpbench.trial import Config

__all__ = ["CompiledLane", "CompiledTrainer"]

_ORDERS: Final = 64
"""Batch orders that are kept: lanes of a repetition and a batch size share them."""


@dataclass(kw_only=True)
class CompiledLane(Lane):
    """A lane that trains in C.

    Attributes:
        program: of its network and batch size.
    """

    program: Program


class CompiledTrainer(CohortTrainer[CompiledLane]):
    """Trains lanes in C; see ``CohortTrainer`` for the other arguments.

    Args:
        threads: lanes that train at once.
    """

    def __init__(
        self,
        family: NetworkFamily,
        *,
        input_shape: Shape,
        n_classes: int,
        full_epochs: int,
        patience: int | None,
        threads: int = 1,
    ) -> None:
        super().__init__(
            family,
            input_shape=input_shape,
            n_classes=n_classes,
            full_epochs=full_epochs,
            device=torch.device("cpu"),
            patience=patience,
        )
        self.threads = threads
        self._library = library()
        self._graphs: dict[str, fx.Graph] = {}
        self._local = threading.local()
        self._order = lru_cache(maxsize=_ORDERS)(batch_order)

    def start(self, config: Config, data: DeviceSplit, stream: Stream) -> CompiledLane:
        """Return an untrained lane; see ``CohortTrainer.start``."""
        recipe = Recipe.of(config, data.n_train)
        module = initial_module(self.family, config, self.input_shape, self.n_classes, stream)
        require_one_rate(self.family, recipe, module)
        program = program_of(module, self._graph(config, module), self.input_shape, recipe.batch_size)
        p, m, v = torch.zeros(3, program.size).unbind()
        for name, parameter in module.named_parameters():
            place = program.places[name]
            place.view(p).copy_(parameter.detach().reshape(place.sizes))
        return CompiledLane(
            config=config, recipe=recipe, shapes=true_shapes(module), p=p, m=m, v=v, program=program
        )

    def parameters(self, lane: CompiledLane) -> dict[str, Tensor]:
        """Return copies of the lane's parameters, by name."""
        return {
            name: place.view(lane.p).reshape(place.shape).clone()
            for name, place in lane.program.places.items()
        }

    def advance(self, work: Sequence[Advance[CompiledLane]]) -> None:
        """Train every lane until its epoch, the longest trainings first."""
        ordered = sorted(work, key=_shared, reverse=True)
        if self.threads == 1:
            for item in ordered:
                self._train(item)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(self._train, ordered))

    def _graph(self, config: Config, module: nn.Module) -> fx.Graph:
        """Return the layers of every network of ``config``'s kind: sizes do not matter."""
        sizes = (*self.family.buckets, "batch_size")
        key = json.dumps([config[name] for name in self.family.shaping if name not in sizes])
        if key not in self._graphs:
            self._graphs[key] = followed(module)
        return self._graphs[key]

    @property
    def _workspace(self) -> Workspace:
        """The memory that this thread works in."""
        if not hasattr(self._local, "workspace"):
            self._local.workspace = Workspace()
        workspace: Workspace = self._local.workspace
        return workspace

    def _train(self, item: Advance[CompiledLane]) -> None:
        """Train one lane until its epoch."""
        while not self._finished(item):
            self._end_epoch(item, self._epoch(item))
        self._end(item)

    def _epoch(self, item: Advance[CompiledLane]) -> int:
        """Take every step of the lane's next epoch; return how many."""
        lane, data = item.lane, item.data
        order = self._order(item.stream, lane.epochs, data.n_train, lane.recipe.batch_size)
        count = len(order)
        coefficients = step_coefficients(
            lane.recipe,
            first=lane.epochs * count,
            count=count,
            total=self.full_epochs * count,
            moments=lane.moments,
        )
        numbers = torch.arange(lane.steps, lane.steps + count, dtype=torch.int32)
        self._library.train(
            lane.program,
            self._workspace,
            state=(lane.p, lane.m, lane.v),
            examples=(data.rows["train"], data.train_targets),
            order=order,
            coefficients=torch.from_numpy(coefficients.astype(np.float32)),
            seeds=step_seeds(dropout_key(item.stream), numbers, lane.program.n_dropouts),
            smoothing=lane.recipe.label_smoothing,
        )
        return count

    def _scores(self, item: Advance[CompiledLane], part: Part) -> Scores:
        _, targets = item.data.part(part)
        return self._library.score(
            item.lane.program, self._workspace, p=item.lane.p, inputs=item.data.rows[part], targets=targets
        )


def _shared(item: Advance[CompiledLane]) -> tuple[int, str, int]:
    """Return what puts large trainings first and those that share batch orders beside one another."""
    lane = item.lane
    return (item.epochs - lane.epochs, str(item.stream.key), lane.recipe.batch_size)

"""Lanes: the whole training state of one trial, and several of them stacked for a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hpbench.seeding import Stream
from hpbench.tasks.networks.base import Shape
from hpbench.tasks.training.data import DeviceSplit
from hpbench.tasks.training.outcome import Outcome
from hpbench.tasks.training.recipe import Recipe
from hpbench.trial import Config

__all__ = ["Advance", "Lane", "Rows", "true_shapes"]


@dataclass
class Lane:
    """The whole training state of one trial; it can be kept, continued in other company, and copied.

    Attributes:
        config: complete, constants included.
        recipe: its training half.
        signature: what the lane shares with every lane of its cohort.
        module: of true size, in which the lane is evaluated; its weights are views of ``p``.
        p: parameters, padded and flattened, float32, shape ``(n,)``.
        m: first moments, the same shape.
        v: second moments, the same shape.
        epochs: trained so far.
        steps: taken so far.
        moments: steps since the moments were zero.
        outcome: the validation curve and the best epoch so far.
    """

    config: Config
    recipe: Recipe
    signature: str
    module: nn.Module
    p: Tensor
    m: Tensor
    v: Tensor
    epochs: int = 0
    steps: int = 0
    moments: int = 0
    outcome: Outcome = field(default_factory=Outcome)


class Advance(NamedTuple):
    """One lane's share of a call of ``advance``: its data, its stream, and the epoch to reach."""

    lane: Lane
    data: DeviceSplit
    stream: Stream
    epochs: int


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


def true_shapes(module: nn.Module) -> dict[str, Shape]:
    """Return the shape of every parameter of ``module``, by name."""
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}

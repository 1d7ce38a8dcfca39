"""Lanes: the whole training state of one trial, and what is asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from hpbench.errors import UsageError
from hpbench.seeding import Stream
from hpbench.tasks.networks.base import NetworkFamily, Shape
from hpbench.tasks.networks.layers import Activation, Dropout
from hpbench.tasks.training.data import DeviceSplit
from hpbench.tasks.training.outcome import Outcome
from hpbench.tasks.training.recipe import Recipe
from hpbench.trial import Config

__all__ = [
    "Advance",
    "Lane",
    "require_one_activation",
    "require_one_rate",
    "require_same_shape",
    "true_shapes",
]

L_co = TypeVar("L_co", bound="Lane", covariant=True)


@dataclass(kw_only=True)
class Lane:
    """The whole training state of one trial; it can be kept, continued in other company, and copied.

    Attributes:
        config: complete, constants included.
        recipe: its training half.
        shapes: of every parameter of the network, by name.
        p: parameters as the trainer lays them out, float32, shape ``(n,)``.
        m: first moments, the same shape.
        v: second moments, the same shape.
        epochs: trained so far.
        steps: taken so far.
        moments: steps since the moments were zero.
        outcome: the validation curve and the best epoch so far.
    """

    config: Config
    recipe: Recipe
    shapes: Mapping[str, Shape]
    p: Tensor
    m: Tensor
    v: Tensor
    epochs: int = 0
    steps: int = 0
    moments: int = 0
    outcome: Outcome = field(default_factory=Outcome)


class Advance(NamedTuple, Generic[L_co]):
    """One lane's share of a call of ``advance``: its data, its stream, and the epoch to reach."""

    lane: L_co
    data: DeviceSplit
    stream: Stream
    epochs: int


def true_shapes(module: nn.Module) -> dict[str, Shape]:
    """Return the shape of every parameter of ``module``, by name."""
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}


def require_same_shape(
    family: NetworkFamily, child: Mapping[str, Shape], parent: Mapping[str, Shape]
) -> None:
    """Raise unless the weights of ``parent`` fit ``child``, both given by the shapes of their parameters.

    Raises:
        UsageError: they do not.
    """
    if child != parent:
        raise UsageError(
            "a trial can only continue a parent whose network has the same shape; keep the "
            f"hyperparameters {', '.join(family.shaping)} of the parent."
        )


def require_one_rate(family: NetworkFamily, recipe: Recipe, module: nn.Module) -> None:
    """Raise unless every dropout of ``module`` has the rate of ``recipe``, the only one that a lane has.

    Raises:
        UsageError: one has another.
    """
    wanted = float(torch.tensor(recipe.dropout))
    for rate in [float(layer.rate) for layer in module.modules() if isinstance(layer, Dropout)]:
        if rate != wanted:
            raise UsageError(
                f"network {family.name!r} must give every Dropout the configuration's `dropout`, here "
                f"{recipe.dropout:g}, to train in cohorts, got {rate:g}; declare it with cohort=False and "
                "compiled=False."
            )


def require_one_activation(family: NetworkFamily, config: Config, module: nn.Module) -> None:
    """Raise unless every activation of ``module`` is that of ``config``, the only one that a stacked lane has.

    Raises:
        UsageError: one is another.
    """
    for layer in module.modules():
        if isinstance(layer, Activation) and layer.name != config.get("activation", "relu"):
            raise UsageError(
                f"network {family.name!r} must give every Activation the configuration's `activation` (without one "
                f"'relu') to be stacked in cohorts, got {layer.name!r}; declare it with cohort=False."
            )

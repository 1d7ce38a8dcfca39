"""Multinomial logistic regression: one linear layer, the baseline that every network should beat."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from hpbench.space import SearchSpace
from hpbench.tasks.networks.base import (
    TRAINING_CONDITIONS,
    TRAINING_CONSTANTS,
    TRAINING_DEFAULTS,
    TRAINING_LIMITS,
    NetworkFamily,
    Shape,
    training_parameters,
)
from hpbench.trial import Config

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LOGISTIC"]


def build(_config: Config, input_shape: Shape, n_classes: int) -> nn.Module:
    """Return the network: inputs ``(batch, *input_shape)``, flattened, to logits ``(batch, n_classes)``."""
    from torch import nn  # noqa: PLC0415 - declaring a family needs no torch

    return nn.Sequential(nn.Flatten(), nn.Linear(prod(input_shape), n_classes))


LOGISTIC = NetworkFamily(
    name="logistic",
    space=SearchSpace(
        parameters=tuple(item for item in training_parameters() if item.name != "dropout"),
        constants=TRAINING_CONSTANTS,
        conditions=TRAINING_CONDITIONS,
        defaults={name: value for name, value in TRAINING_DEFAULTS.items() if name != "dropout"},
    ),
    build=build,
    inputs="flat",
    citation=(
        "Logistic regression trained with Adam at 1e-3 is the first experiment of Kingma & Ba (2015), section 6.1; "
        "batches of 32: Bengio (2012), section 3.1.1."
    ),
    limits={name: ends for name, ends in TRAINING_LIMITS.items() if name != "dropout"},
    shaping=("batch_size",),
    cohort=True,
    compiled=True,
)

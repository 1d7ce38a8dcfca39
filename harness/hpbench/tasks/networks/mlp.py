"""The fully connected network: layers of equal width, an activation and dropout after each."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from hpbench.space import Categorical, Integer, SearchSpace
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

__all__ = ["MLP"]


def build(config: Config, input_shape: Shape, n_classes: int) -> nn.Module:
    """Return the network: inputs ``(batch, *input_shape)``, flattened, to logits ``(batch, n_classes)``."""
    from torch import nn  # noqa: PLC0415 - declaring a family needs no torch

    from hpbench.tasks.networks.layers import Activation, Dropout  # noqa: PLC0415

    sizes = [prod(input_shape), *[int(config["width"])] * int(config["layers"])]
    modules: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(sizes):
        modules += [
            nn.Linear(fan_in, fan_out),
            Activation(str(config["activation"])),
            Dropout(float(config["dropout"])),
        ]
    return nn.Sequential(*modules, nn.Linear(sizes[-1], n_classes))


MLP = NetworkFamily(
    name="mlp",
    space=SearchSpace(
        parameters=(
            Integer("layers", 1, 3),
            Integer("width", 16, 128, log=True),
            Categorical("activation", ("relu", "tanh", "gelu")),
            *training_parameters(),
        ),
        constants=TRAINING_CONSTANTS,
        conditions=TRAINING_CONDITIONS,
        defaults={**TRAINING_DEFAULTS, "layers": 1, "width": 100, "activation": "relu", "weight_decay": 1e-4},
    ),
    build=build,
    inputs="flat",
    citation=(
        "One hidden layer of 100 rectified units, Adam at 1e-3 and an L2 penalty of 1e-4 are the defaults of "
        "scikit-learn's MLPClassifier (Pedregosa et al. 2011); Adam: Kingma & Ba (2015); batches of 32: Bengio "
        "(2012), Practical recommendations for gradient-based training of deep architectures, section 3.1.1."
    ),
    limits={**TRAINING_LIMITS, "layers": (1, 12), "width": (1, 4096)},
    shaping=("layers", "width", "batch_size"),
    buckets={"width": (16, 24, 32, 48, 64, 96, 128)},
    cohort=True,
    compiled=True,
)

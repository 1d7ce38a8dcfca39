"""The convolutional network: blocks of 3 x 3 convolution, activation, pooling and channel dropout."""

from __future__ import annotations

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

__all__ = ["CNN"]

SMALLEST_POOLED = 4
"""Maps smaller than this are not halved any more."""


def build(config: Config, input_shape: Shape, n_classes: int) -> nn.Module:
    """Return the network: images ``(batch, channels, height, width)`` to logits ``(batch, n_classes)``.

    Every block keeps the map's size and halves it by max-pooling while both sides are at least 4.
    """
    from torch import nn  # noqa: PLC0415 - declaring a family needs no torch

    from hpbench.tasks.networks.layers import Activation, Dropout  # noqa: PLC0415
    from hpbench.tasks.networks.maps import Convolution, MaxPool  # noqa: PLC0415

    fan_in, height, width = input_shape
    channels = int(config["channels"])
    modules: list[nn.Module] = []
    for _ in range(int(config["layers"])):
        modules += [Convolution(fan_in, channels), Activation(str(config["activation"]))]
        if min(height, width) >= SMALLEST_POOLED:
            modules.append(MaxPool())
            height, width = height // 2, width // 2
        modules.append(Dropout(float(config["dropout"]), per_channel=True))
        fan_in = channels
    return nn.Sequential(*modules, nn.Flatten(), nn.Linear(channels * height * width, n_classes))


CNN = NetworkFamily(
    name="cnn",
    space=SearchSpace(
        parameters=(
            Integer("layers", 1, 3),
            Integer("channels", 8, 32, log=True),
            Categorical("activation", ("relu", "tanh", "gelu")),
            *training_parameters(),
        ),
        constants=TRAINING_CONSTANTS,
        conditions=TRAINING_CONDITIONS,
        defaults={**TRAINING_DEFAULTS, "layers": 2, "channels": 32, "activation": "relu", "dropout": 0.25},
    ),
    build=build,
    citation=(
        "Two convolutions of 3 x 3 with rectified units, max-pooling and dropout of 0.25 follow the MNIST example "
        "of Keras (Chollet 2015); LeCun et al. (1998); channel dropout: Tompson et al. (2015); Adam at 1e-3: Kingma "
        "& Ba (2015); batches of 32: Bengio (2012), section 3.1.1."
    ),
    inputs="image",
    limits={**TRAINING_LIMITS, "layers": (1, 12), "channels": (1, 1024)},
    shaping=("layers", "channels", "batch_size"),
    buckets={"channels": (8, 12, 16, 24, 32)},
    cohort=True,
    compiled=True,
)

"""The recurrent network: gated recurrent units that read an image row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpbench.space import Integer, SearchSpace
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

__all__ = ["RNN"]


def build(config: Config, input_shape: Shape, n_classes: int) -> nn.Module:
    """Return the network: images ``(batch, channels, height, width)`` to logits ``(batch, n_classes)``.

    A row of all channels is one of ``height`` positions of the sequence; dropout after every recurrent
    layer; the last state of the last layer is classified.
    """
    from torch import nn  # noqa: PLC0415 - declaring a family needs no torch

    from hpbench.tasks.networks.layers import Dropout  # noqa: PLC0415
    from hpbench.tasks.networks.sequences import GRU, LastPosition, Rows  # noqa: PLC0415

    channels, _, features = input_shape
    fan_in, width = channels * features, int(config["width"])
    modules: list[nn.Module] = [Rows()]
    for _ in range(int(config["layers"])):
        modules += [GRU(fan_in, width), Dropout(float(config["dropout"]))]
        fan_in = width
    return nn.Sequential(*modules, LastPosition(), nn.Linear(width, n_classes))


RNN = NetworkFamily(
    name="rnn",
    space=SearchSpace(
        parameters=(Integer("layers", 1, 2), Integer("width", 16, 128, log=True), *training_parameters()),
        constants=TRAINING_CONSTANTS,
        conditions=TRAINING_CONDITIONS,
        defaults={**TRAINING_DEFAULTS, "layers": 1, "width": 100},
    ),
    build=build,
    citation=(
        "Gated recurrent units: Cho et al. (2014); images read row by row by one layer of 100 recurrent units: Le, "
        "Jaitly & Hinton (2015), section 4.2, in the coarser form of rows for pixels; Adam at 1e-3: Kingma & Ba "
        "(2015); batches of 32: Bengio (2012), section 3.1.1."
    ),
    inputs="image",
    limits={**TRAINING_LIMITS, "layers": (1, 4), "width": (1, 1024)},
    shaping=("layers", "width", "batch_size"),
    buckets={"width": (16, 32, 48, 64, 96, 128)},
    cohort=True,
    compiled=True,
)

"""The transformer: rows of an image as tokens, pre-norm blocks of attention and a feed-forward network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpbench.space import Categorical, Integer, SearchSpace
from hpbench.tasks.networks.base import (
    GROUP,
    TRAINING_CONDITIONS,
    TRAINING_CONSTANTS,
    TRAINING_DEFAULTS,
    TRAINING_LIMITS,
    NetworkFamily,
    Shape,
    training_parameters,
)
from hpbench.tasks.networks.checks import check_divides
from hpbench.trial import Config

if TYPE_CHECKING:
    from torch import nn

__all__ = ["TRANSFORMER"]


def build(config: Config, input_shape: Shape, n_classes: int) -> nn.Module:
    """Return the network: images ``(batch, channels, height, width)`` to logits ``(batch, n_classes)``.

    A row of all channels is one of ``height`` tokens, embedded in ``width`` features with a learned
    position. A block adds attention of normalised tokens, then a feed-forward network of normalised
    tokens, ``ratio`` times as wide; the mean over normalised tokens is classified.
    """
    from torch import nn  # noqa: PLC0415 - declaring a family needs no torch

    from hpbench.tasks.networks.layers import Activation, Dropout  # noqa: PLC0415
    from hpbench.tasks.networks.maps import GlobalAverage  # noqa: PLC0415
    from hpbench.tasks.networks.residual import Residual  # noqa: PLC0415
    from hpbench.tasks.networks.sequences import Attention, PositionEmbedding, Rows  # noqa: PLC0415

    channels, positions, columns = input_shape
    width, dropout = int(config["width"]), float(config["dropout"])
    inner = width * int(config["ratio"])
    modules: list[nn.Module] = [
        Rows(),
        nn.Linear(channels * columns, width),
        PositionEmbedding(positions, width),
    ]
    for _ in range(int(config["layers"])):
        modules += [
            Residual(
                nn.LayerNorm(width),
                nn.Linear(width, 3 * width),
                Attention(int(config["heads"])),
                nn.Linear(width, width),
                Dropout(dropout),
            ),
            Residual(
                nn.LayerNorm(width),
                nn.Linear(width, inner),
                Activation(str(config["activation"])),
                nn.Linear(inner, width),
                Dropout(dropout),
            ),
        ]
    return nn.Sequential(*modules, nn.LayerNorm(width), GlobalAverage(), nn.Linear(width, n_classes))


def check_heads(space: SearchSpace) -> None:
    """Raise unless every head gets a multiple of ``GROUP`` features, as compiled steps want; see ``NetworkFamily.check``."""
    check_divides(space, "width", unit=GROUP, times="heads")


TRANSFORMER = NetworkFamily(
    name="transformer",
    space=SearchSpace(
        parameters=(
            Integer("layers", 1, 3),
            Categorical("width", (16, 32, 64), ordered=True),
            Categorical("heads", (1, 2), ordered=True),
            Categorical("ratio", (1, 2, 4), ordered=True),
            Categorical("activation", ("relu", "gelu")),
            *training_parameters(),
        ),
        constants=TRAINING_CONSTANTS,
        conditions=TRAINING_CONDITIONS,
        defaults={
            **TRAINING_DEFAULTS, "layers": 2, "width": 64, "heads": 2, "ratio": 4, "activation": "gelu",
            "dropout": 0.1,
        },
    ),
    build=build,
    citation=(
        "Blocks, four times as wide a feed-forward network and dropout of 0.1: Vaswani et al. (2017), section 3 and "
        "5.4; normalisation before each sublayer: Xiong et al. (2020); learned positions, GELU and images as tokens: "
        "Dosovitskiy et al. (2021), here rows for patches and the mean over tokens for a class token (their appendix "
        "D.3); Adam at 1e-3: Kingma & Ba (2015); batches of 32: Bengio (2012), section 3.1.1."
    ),
    inputs="image",
    limits={**TRAINING_LIMITS, "layers": (1, 12), "width": (8, 1024), "heads": (1, 16), "ratio": (1, 8)},
    shaping=("layers", "width", "heads", "ratio", "batch_size"),
    cohort=True,
    compiled=True,
    check=check_heads,
)  # fmt: skip

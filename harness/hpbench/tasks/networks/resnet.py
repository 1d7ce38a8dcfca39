"""The residual networks: pre-activation blocks of two convolutions, with group or batch normalisation."""

from __future__ import annotations

from dataclasses import replace
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
    from collections.abc import Callable

    from torch import nn

__all__ = ["RESNET", "RESNET_BATCHNORM"]

SMALLEST_POOLED = 4
"""Maps smaller than this are not halved any more."""


def build(config: Config, input_shape: Shape, n_classes: int) -> nn.Module:
    """Return the network: images ``(batch, channels, height, width)`` to logits ``(batch, n_classes)``.

    A convolution, then blocks that add two convolutions, each after normalisation and activation, with
    channel dropout between them. Maps are halved by max-pooling between blocks while both sides are at
    least 4; the mean over pixels is classified. Groups of 8 channels are normalised over the pixels of
    one example. Batch normalisation would make an example's logits depend on its batch, and keeps
    running statistics that are neither parameters nor moments, so that lanes of a cohort could not be
    stacked, continued or copied as rows of numbers; see ``RESNET_BATCHNORM``.
    """
    from hpbench.tasks.networks.maps import group_norm  # noqa: PLC0415 - declaring a family needs no torch

    return _built(config, input_shape, n_classes, group_norm)


def build_batchnorm(config: Config, input_shape: Shape, n_classes: int) -> nn.Module:
    """Return the same network with batch normalisation (Ioffe & Szegedy 2015) in place of group normalisation."""
    from torch import nn  # noqa: PLC0415 - declaring a family needs no torch

    return _built(config, input_shape, n_classes, nn.BatchNorm2d)


def _built(config: Config, input_shape: Shape, n_classes: int, norm: Callable[[int], nn.Module]) -> nn.Module:
    from torch import nn  # noqa: PLC0415

    from hpbench.tasks.networks.layers import Activation, Dropout  # noqa: PLC0415
    from hpbench.tasks.networks.maps import Convolution, GlobalAverage, MaxPool  # noqa: PLC0415
    from hpbench.tasks.networks.residual import Residual  # noqa: PLC0415

    fan_in, height, width = input_shape
    channels, activation, blocks = int(config["channels"]), str(config["activation"]), int(config["layers"])
    modules: list[nn.Module] = [Convolution(fan_in, channels)]
    for block in range(blocks):
        modules.append(
            Residual(
                norm(channels),
                Activation(activation),
                Convolution(channels, channels),
                norm(channels),
                Activation(activation),
                Dropout(float(config["dropout"]), per_channel=True),
                Convolution(channels, channels),
            )
        )
        if block < blocks - 1 and min(height, width) >= SMALLEST_POOLED:
            modules.append(MaxPool())
            height, width = height // 2, width // 2
    last = (norm(channels), Activation(activation), GlobalAverage())
    return nn.Sequential(*modules, *last, nn.Linear(channels, n_classes))


def check_groups(space: SearchSpace) -> None:
    """Raise unless groups of ``GROUP`` channels can be normalised; see ``NetworkFamily.check``."""
    check_divides(space, "channels", unit=GROUP)


RESNET = NetworkFamily(
    name="resnet",
    space=SearchSpace(
        parameters=(
            Integer("layers", 1, 3),
            Categorical("channels", (8, 16, 32), ordered=True),
            Categorical("activation", ("relu", "gelu")),
            *training_parameters(),
        ),
        constants=TRAINING_CONSTANTS,
        conditions=TRAINING_CONDITIONS,
        defaults={
            **TRAINING_DEFAULTS,
            "layers": 3,
            "channels": 16,
            "activation": "relu",
            "weight_decay": 1e-4,
        },
    ),
    build=build,
    citation=(
        "Pre-activation blocks: He et al. (2016), Identity mappings in deep residual networks; 16 channels, three "
        "blocks and weight decay of 1e-4 are the smallest network for CIFAR-10 of He et al. (2016), Deep residual "
        "learning, section 4.2, with one block a stage and equal channels in all; group normalisation: Wu & He "
        "(2018); Adam at 1e-3: Kingma & Ba (2015); batches of 32: Bengio (2012), section 3.1.1."
    ),
    inputs="image",
    limits={**TRAINING_LIMITS, "layers": (1, 12), "channels": (8, 1024)},
    shaping=("layers", "channels", "batch_size"),
    cohort=True,
    compiled=True,
    check=check_groups,
)

RESNET_BATCHNORM = replace(
    RESNET,
    name="resnet-batchnorm",
    build=build_batchnorm,
    citation=RESNET.citation.replace(
        "group normalisation: Wu & He (2018)", "batch normalisation: Ioffe & Szegedy (2015)"
    ),
    cohort=False,
    compiled=False,
    check=None,
)

"""Layers over maps, ``(batch, channels, height, width)``, that train alike alone and in company."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpbench.tasks.networks.base import GROUP

__all__ = ["Convolution", "GlobalAverage", "MaxPool", "group_norm"]


class Convolution(nn.Module):
    """A 3 x 3 convolution that keeps the map's size (padding 1, stride 1), with a bias.

    Attributes:
        weight: shape ``(out_channels, in_channels, 3, 3)``.
        bias: shape ``(out_channels,)``.
        per_lane: multiply unfolded patches instead of calling the convolution kernel, which has no
            good way to give each lane its own weights.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        plain = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        self.weight = plain.weight
        self.bias = plain.bias
        self.per_lane = False

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the maps, ``(batch, out_channels, height, width)``."""
        if self.per_lane:
            return self._by_patches(inputs)
        return functional.conv2d(inputs, self.weight, self.bias, padding=1)

    def _by_patches(self, inputs: Tensor) -> Tensor:
        batch, channels, height, width = inputs.shape
        padded = functional.pad(inputs, (1, 1, 1, 1))
        shifted = [padded[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
        patches = torch.stack(shifted, dim=2).reshape(batch, channels * 9, height * width)
        maps = self.weight.reshape(-1, channels * 9) @ patches + self.bias[:, None]  # type: ignore[index]
        return maps.reshape(batch, -1, height, width)


class MaxPool(nn.Module):
    """The maximum of each 2 x 2 square; an odd last row or column is left out.

    Equal maxima share the gradient, in the reference trainer and in cohorts alike.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Return maps of half the size, ``(batch, channels, height // 2, width // 2)``."""
        batch, channels, height, width = inputs.shape
        even = inputs[:, :, : height // 2 * 2, : width // 2 * 2]
        return even.reshape(batch, channels, height // 2, 2, width // 2, 2).amax(dim=(3, 5))


class GlobalAverage(nn.Module):
    """The mean over all pixels of a map, or over all positions of a sequence."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(batch, channels)`` of maps, or ``(batch, features)`` of ``(batch, positions, features)``."""
        return inputs.mean(dim=(2, 3)) if inputs.ndim == 4 else inputs.mean(dim=1)  # noqa: PLR2004


def group_norm(channels: int) -> nn.GroupNorm:
    """Return a normalisation over groups of 8 channels and all pixels of one example (Wu & He 2018)."""
    return nn.GroupNorm(channels // GROUP, channels)

"""Layers that train alike alone and in company, on every device.

Each is an ordinary module. What a trial may choose without changing a tensor's shape (the activation,
the dropout rate) is also a buffer, so that a cohort can give every lane its own value; and dropout
takes its randomness from a counter, never from a device's generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpbench.errors import unknown_name

__all__ = ["ACTIVATIONS", "N_SHAPE_COEFFICIENTS", "Activation", "Dropout", "mix32"]

_GELU = math.sqrt(2.0 / math.pi)

ACTIVATIONS: dict[str, tuple[float, ...]] = {
    #        a      b                t    x·t  x    relu
    "relu": (0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    "tanh": (1.0, 0.0, 1.0, 0.0, 0.0, 0.0),
    "gelu": (_GELU, 0.044715 * _GELU, 0.0, 0.5, 0.5, 0.0),
    "silu": (0.5, 0.0, 0.0, 0.5, 0.5, 0.0),
}
"""Each activation as ``(c_t + c_xt·x)·t + c_x·x + c_r·max(x, 0)`` with ``t = tanh(a·x + b·x³)``.

GELU is its tanh form (Hendrycks & Gimpel 2016, section 2); SiLU is ``x·sigmoid(x)`` (ibid.)."""


N_SHAPE_COEFFICIENTS = 6
"""Coefficients of an activation."""

_PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "gelu": partial(functional.gelu, approximate="tanh"),
    "silu": functional.silu,
}


class Activation(nn.Module):
    """An activation chosen by name; all of them map 0 to 0, so padded units stay silent.

    Attributes:
        coefficients: shape ``(6,)``, the row of ``ACTIVATIONS``; a cohort replaces it by each lane's.
        per_lane: compute from the coefficients instead of calling the function of that name.
    """

    coefficients: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in ACTIVATIONS:
            raise unknown_name("activation", name, ACTIVATIONS)
        self.name = name
        self.per_lane = False
        self.register_buffer("coefficients", torch.tensor(ACTIVATIONS[name]), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the activation of ``inputs``, any shape."""
        if self.per_lane:
            a, b, t, xt, x, relu = self.coefficients.unbind()
            tanh = torch.tanh(inputs * (a + b * inputs * inputs))
            return (t + xt * inputs) * tanh + x * inputs + relu * functional.relu(inputs)
        return _PLAIN[self.name](inputs)


_PRIMES = (-1640531535, -2048144777, -1028477379, 668265263)
"""Odd multipliers of the element's coordinates: the 32-bit primes of xxHash, as signed integers."""


def mix32(state: Tensor) -> Tensor:
    """Return ``state`` (int32, any shape) with its bits thoroughly mixed; a bijection.

    The same integer operations give the same bits on every device.

    References:
        Ellis (2018), "lowbias32", the two-round xor-shift-multiply hash of least known bias.
    """
    state = (state ^ ((state >> 16) & 0xFFFF)) * 0x7FEB352D
    state = (state ^ ((state >> 15) & 0x1FFFF)) * -2073254261
    return state ^ ((state >> 16) & 0xFFFF)


class Dropout(nn.Module):
    """Dropout whose mask is a hash of (seed, layer, element): equal on every device, in any company.

    Each of the element's coordinates has a multiplier of its own, so a unit
    keeps its mask when the layer is padded with further units.

    Attributes:
        rate: 0-d float32, the probability of dropping, in [0, 1).
        seed: 0-d int32, this layer's at this step; the trainer sets it.
        counters: int32, the hashed coordinates of each element of one batch; set by ``prepare``.
        per_lane: always compute the mask, since lanes of a cohort differ in their rate.

    References:
        Srivastava et al. (2014); per channel: Tompson et al. (2015); counter-based generators:
        Salmon et al. (2011).
    """

    rate: Tensor
    seed: Tensor
    counters: Tensor

    def __init__(self, rate: float, *, per_channel: bool = False) -> None:
        super().__init__()
        self.per_channel = per_channel
        self.per_lane = False
        self._silent = rate == 0.0
        self.register_buffer("rate", torch.tensor(rate), persistent=False)
        self.register_buffer("seed", torch.zeros((), dtype=torch.int32), persistent=False)
        self.register_buffer("counters", torch.zeros((0,), dtype=torch.int32), persistent=False)

    def prepare(self, shape: tuple[int, ...], device: torch.device | str) -> None:
        """Lay out the counters for inputs of ``shape``, the batch first."""
        kept = (*shape[:2], *[1] * (len(shape) - 2)) if self.per_channel else shape
        counters = torch.zeros((), dtype=torch.int32, device=device)
        for axis, size in enumerate(kept):
            places = torch.arange(size, dtype=torch.int32, device=device) * _PRIMES[axis]
            counters = counters + places.reshape([size if axis == place else 1 for place in range(len(kept))])
        self.counters = counters

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``inputs`` with dropped elements zeroed and the others scaled by 1 / (1 - rate)."""
        if not self.training or (self._silent and not self.per_lane):
            return inputs
        if not self.per_lane and self.counters.shape[0] != inputs.shape[0]:
            self.prepare(tuple(inputs.shape), inputs.device)
        # 24 bits are exact in float32, so the comparison is the same on every device.
        uniform = ((mix32(self.counters ^ self.seed) >> 8) & 0xFFFFFF).to(inputs.dtype) * 2.0**-24
        return inputs * ((uniform >= self.rate).to(inputs.dtype) / (1.0 - self.rate))

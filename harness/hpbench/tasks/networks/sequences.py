"""Layers over sequences, ``(batch, positions, features)``, that train alike alone and in company."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["GRU", "Attention", "LastPosition", "PositionEmbedding", "Rows"]


class Rows(nn.Module):
    """The rows of an image as a sequence."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(batch, height, channels * width)`` of images ``(batch, channels, height, width)``."""
        return inputs.transpose(1, 2).flatten(2)


class PositionEmbedding(nn.Module):
    """A learned vector added at every position (Dosovitskiy et al. 2021, section 3.1).

    Attributes:
        weight: shape ``(positions, features)``, drawn from a normal distribution of deviation 0.02.
    """

    def __init__(self, positions: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(positions, features) * 0.02)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``inputs`` with the embedding added."""
        return inputs + self.weight


class Attention(nn.Module):
    """Scaled dot-product attention of several heads (Vaswani et al. 2017, section 3.2), without projections.

    Attributes:
        heads: which divide the features evenly.
        per_lane: compute it by products and a softmax instead of calling torch's function for it.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.per_lane = False

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(batch, positions, features)`` of queries, keys and values, one after the other.

        Args:
            inputs: shape ``(batch, positions, 3 * features)``.
        """
        batch, positions, triple = inputs.shape
        width = triple // 3 // self.heads
        split = inputs.reshape(batch, positions, 3, self.heads, width).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind(0)
        if self.per_lane:
            weights = torch.softmax(query @ key.transpose(-1, -2) * (1.0 / math.sqrt(width)), dim=-1)
            mixed = weights @ value
        else:
            mixed = functional.scaled_dot_product_attention(query, key, value)
        return mixed.transpose(1, 2).reshape(batch, positions, triple // 3)


class GRU(nn.Module):
    """A layer of gated recurrent units from a state of zeros (Cho et al. 2014, in torch's form).

    r = sigmoid(W_r x + b_r + U_r h), z = sigmoid(W_z x + b_z + U_z h),
    n = tanh(W_n x + b_n + r (U_n h + c)), h = (1 - z) n + z h.

    Attributes:
        weight: W, shape ``(3, width, features)``.
        hidden: U, shape ``(3, width, width)``.
        reset, update, new: biases b, shape ``(width,)``.
        inner: bias c, shape ``(width,)``.
        per_lane: compute it step by step instead of calling torch's function for it.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(width)

        def drawn(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))

        self.weight, self.hidden = drawn(3, width, features), drawn(3, width, width)
        self.reset, self.update = drawn(width), drawn(width)
        self.new, self.inner = drawn(width), drawn(width)
        self.per_lane = False

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the states, ``(batch, positions, width)``, of ``(batch, positions, features)``."""
        return self._step_by_step(inputs) if self.per_lane else self._at_once(inputs)

    def _at_once(self, inputs: Tensor) -> Tensor:
        nothing = torch.zeros_like(self.inner)
        weights = (
            self.weight.flatten(0, 1),
            self.hidden.flatten(0, 1),
            torch.cat([self.reset, self.update, self.new]),
            torch.cat([nothing, nothing, self.inner]),
        )
        begin = inputs.new_zeros(1, inputs.shape[0], self.inner.shape[0])
        flags = (
            True,
            1,
            0.0,
            self.training,
            False,
            True,
        )  # biases, layers, dropout, mode, one way, batch first
        states, _ = torch._VF.gru(inputs, begin, weights, *flags)  # noqa: SLF001 - what nn.GRU calls
        found: Tensor = states
        return found

    def _step_by_step(self, inputs: Tensor) -> Tensor:
        width = self.inner.shape[0]
        bias = torch.cat([self.reset, self.update, self.new])
        given = inputs @ self.weight.reshape(3 * width, -1).t() + bias
        hidden = self.hidden.reshape(3 * width, width).t()
        state = torch.zeros_like(given[:, 0, :width])
        states = []
        for step in given.unbind(1):
            own = state @ hidden
            reset = torch.sigmoid(step[:, :width] + own[:, :width])
            update = torch.sigmoid(step[:, width : 2 * width] + own[:, width : 2 * width])
            new = torch.tanh(step[:, 2 * width :] + reset * (own[:, 2 * width :] + self.inner))
            state = (1.0 - update) * new + update * state
            states.append(state)
        return torch.stack(states, dim=1)


class LastPosition(nn.Module):
    """The last position of a sequence."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(batch, features)`` of ``(batch, positions, features)``."""
        return inputs[:, -1]

"""The sum of a value and of what layers make of it."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Residual"]


class Residual(nn.Module):
    """Adds its input to what its layers make of it (He et al. 2016, Identity mappings, eq. 4)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``inputs + layers(inputs)``, the same shape."""
        more: Tensor = self.layers(inputs)
        return inputs + more

"""The examples of one repetition, resident on the training device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from hpbench.tasks.datasets.splits import Split

__all__ = ["DeviceSplit", "Part"]

Part = Literal["train", "val", "test"]
"""What a split consists of."""

_IMAGES = 4


@dataclass(frozen=True)
class DeviceSplit:
    """A standardised split as tensors: inputs float32 ``(n, *shape)``, targets ``(n,)``.

    Targets are int64 for classes, float32 for the numbers of a regression.
    """

    train_inputs: Tensor
    train_targets: Tensor
    val_inputs: Tensor
    val_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor

    @staticmethod
    def of(split: Split, device: torch.device) -> DeviceSplit:
        """Return ``split`` copied to ``device``."""
        return DeviceSplit(
            torch.from_numpy(split.train_inputs).to(device),
            torch.from_numpy(split.train_targets).to(device),
            torch.from_numpy(split.val_inputs).to(device),
            torch.from_numpy(split.val_targets).to(device),
            torch.from_numpy(split.test_inputs).to(device),
            torch.from_numpy(split.test_targets).to(device),
        )

    @property
    def n_train(self) -> int:
        """Training examples."""
        return len(self.train_targets)

    def part(self, name: Part) -> tuple[Tensor, Tensor]:
        """Return the inputs and the targets of a part."""
        parts = {
            "train": (self.train_inputs, self.train_targets),
            "val": (self.val_inputs, self.val_targets),
            "test": (self.test_inputs, self.test_targets),
        }
        return parts[name]

    @property
    def n_bytes(self) -> int:
        """What the inputs take, :attr:`rows` too where they are a copy that was made."""
        own = (self.train_inputs, self.val_inputs, self.test_inputs)
        held = {tensor.data_ptr(): tensor.nbytes for tensor in (*own, *vars(self).get("rows", {}).values())}
        return sum(held.values())

    @cached_property
    def rows(self) -> dict[Part, Tensor]:
        """The inputs of each part as rows, shape ``(n, numbers)``; of images pixel by pixel, channels innermost."""
        found: dict[Part, Tensor] = {}
        for name in ("train", "val", "test"):
            inputs, _ = self.part(name)
            ordered = inputs.permute(0, 2, 3, 1) if inputs.ndim == _IMAGES else inputs
            found[name] = ordered.reshape(len(inputs), -1).contiguous()
        return found

"""The examples of one repetition, resident on the training device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hpbench.tasks.datasets.splits import Split

__all__ = ["DeviceSplit"]


@dataclass(frozen=True)
class DeviceSplit:
    """A standardised split as tensors: inputs float32 ``(n, *shape)``, targets int64 ``(n,)``."""

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

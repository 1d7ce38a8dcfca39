"""How the parameters of a network lie in a lane: padded to bucket sizes, flattened, one row a lane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final

import torch
from torch import Tensor, nn

from hpbench.tasks.networks.base import NetworkFamily, Shape
from hpbench.tasks.networks.layers import Activation, Dropout
from hpbench.trial import Config, Value

__all__ = ["ALIGNED", "Layout", "layout_of", "padded_batch", "padded_config"]

ALIGNED: Final = 16
"""Numbers in the 64 bytes at whose multiples every matrix of a lane begins.

How a matrix product rounds depends on where its operands and its result begin in memory. With rows,
batches and widths of whole multiples every lane's matrices begin alike, wherever in the cohort it stands."""


@dataclass(frozen=True)
class Layout:
    """The network that the lanes of one signature share.

    Attributes:
        module: of padded size, in per-lane mode; its own weights are never used.
        shapes: the padded shape of every parameter, by name, in order.
        activations: names of the ``Activation`` modules.
        dropouts: names of the ``Dropout`` modules.
    """

    module: nn.Module
    shapes: Mapping[str, Shape]
    activations: tuple[str, ...]
    dropouts: tuple[str, ...]

    @cached_property
    def size(self) -> int:
        """Numbers in a lane's row: the parameters and then more than ``ALIGNED`` zeros.

        There are always some, since a recorded step would take their absence for a constant.
        """
        return (self._used // ALIGNED + 2) * ALIGNED

    @property
    def _used(self) -> int:
        return sum(prod(shape) for shape in self.shapes.values())

    @cached_property
    def penalised(self) -> Tensor:
        """1.0 where the row holds a weight, 0.0 where it holds a bias or nothing; shape ``(size,)``."""
        parts = [torch.full((prod(shape),), float(len(shape) > 1)) for shape in self.shapes.values()]
        return torch.cat([*parts, torch.zeros(self.size - self._used)])

    def pack(self, tensors: Mapping[str, Tensor], row: Tensor) -> None:
        """Write true-size ``tensors`` into ``row``, shape ``(size,)``, zeros around them."""
        row.zero_()
        for name, view in self.views(
            row, {name: tuple(value.shape) for name, value in tensors.items()}
        ).items():
            view.copy_(tensors[name])

    def views(self, row: Tensor, shapes: Mapping[str, Shape]) -> dict[str, Tensor]:
        """Return the true-size corner of every parameter in ``row``, as views."""
        found, offset = {}, 0
        for name, padded in self.shapes.items():
            block = row[offset : offset + prod(padded)].view(padded)
            found[name] = block[tuple(slice(size) for size in shapes[name])]
            offset += prod(padded)
        return found

    def counters(self, batch: int, input_shape: Shape, device: torch.device) -> list[Tensor]:
        """Return the counters of every dropout layer for a batch, by running shapes through the module."""
        found: list[Tensor] = []

        def record(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if isinstance(layer, Dropout):
                layer.prepare(tuple(inputs[0].shape), device)
                found.append(layer.counters)

        layers = [self.module.get_submodule(name) for name in self.dropouts]
        hooks = [layer.register_forward_pre_hook(record) for layer in layers]
        self.module.eval()
        with torch.no_grad():
            self.module(torch.zeros(batch, *input_shape))
        self.module.train()
        for hook in hooks:
            hook.remove()
        return found


def padded_batch(batch_size: int) -> int:
    """Return the rows of a batch as a step takes it: examples, then rows of zeros that count for nothing."""
    return _aligned(batch_size)


def padded_config(family: NetworkFamily, config: Config) -> dict[str, Value]:
    """Return ``config`` with every bucketed size rounded up to its bucket and to whole multiples of ``ALIGNED``."""
    padded = dict(config)
    for name, sizes in family.buckets.items():
        value = int(config[name])
        padded[name] = _aligned(min((size for size in sizes if size >= value), default=value))
    return padded


def _aligned(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED


def layout_of(family: NetworkFamily, config: Config, input_shape: Shape, n_classes: int) -> Layout:
    """Return the layout of the signature that ``config``, complete, belongs to."""
    with torch.random.fork_rng(devices=[]):
        module = family.build(padded_config(family, config), input_shape, n_classes)
    for layer in module.modules():
        if hasattr(layer, "per_lane"):
            setattr(layer, "per_lane", True)  # noqa: B010 - a flag that some layers have
    named = dict(module.named_modules())
    return Layout(
        module=module,
        shapes={name: tuple(parameter.shape) for name, parameter in module.named_parameters()},
        activations=tuple(name for name, layer in named.items() if isinstance(layer, Activation)),
        dropouts=tuple(name for name, layer in named.items() if isinstance(layer, Dropout)),
    )

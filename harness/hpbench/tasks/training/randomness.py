"""The random numbers of a training, drawn on the CPU by stream name and equal on every device."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hpbench.errors import UsageError
from hpbench.seeding import Stream
from hpbench.tasks.networks.base import NetworkFamily, Shape
from hpbench.tasks.networks.layers import mix32
from hpbench.trial import Config

__all__ = [
    "batch_order",
    "drawing_nothing",
    "dropout_key",
    "initial_module",
    "learning_rate_factors",
    "step_seeds",
]

_STEP_PRIME = 374761393
_LAYER_PRIME = 668265263


def initial_module(
    family: NetworkFamily, config: Config, shape: Shape, n_classes: int, stream: Stream
) -> nn.Module:
    """Return the module with its initial weights, on the CPU.

    The layers' own initialisation draws them (He et al. 2015 in torch's form), from the stream
    ``weights``; torch's global generator is lent for that and put back as it was.

    Args:
        family: what builds the module.
        config: complete, constants included.
        shape: of one input.
        n_classes: logits.
        stream: the trial's training stream.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream.child("weights").integer64())
        return family.build(config, shape, n_classes)


@contextmanager
def drawing_nothing(network: str, device: torch.device) -> Iterator[None]:
    """Raise if a global generator of torch has moved, and put it back: results would depend on what ran before.

    Args:
        network: the family's name, for the message.
        device: where the network runs, whose own generator is watched besides that of the CPU.

    Raises:
        UsageError: it has.
    """
    cuda = device.type == "cuda"
    before = torch.get_rng_state(), torch.cuda.get_rng_state(device) if cuda else None
    yield
    after = torch.get_rng_state(), torch.cuda.get_rng_state(device) if cuda else None
    if torch.equal(before[0], after[0]) and (
        before[1] is None or after[1] is None or torch.equal(before[1], after[1])
    ):
        return
    torch.set_rng_state(before[0])
    if before[1] is not None:
        torch.cuda.set_rng_state(before[1], device)
    raise UsageError(
        f"network {network!r} must draw nothing from a global generator while it trains, but torch's has moved, as "
        "by torch.nn.functional.dropout or torch.rand; use hpbench.tasks.networks.layers.Dropout."
    )


def batch_order(stream: Stream, epoch: int, n_train: int, batch_size: int) -> Tensor:
    """Return the examples of each step of an epoch, int64, shape ``(steps, batch_size)``, on the CPU.

    A fresh permutation an epoch; the last examples that do not fill a batch sit out.
    """
    generator = torch.Generator().manual_seed(stream.child("order", epoch).integer64())
    order = torch.randperm(n_train, generator=generator)
    steps = n_train // batch_size
    return order[: steps * batch_size].reshape(steps, batch_size)


def dropout_key(stream: Stream) -> int:
    """Return the 31-bit key from which every dropout mask of a trial follows."""
    return stream.child("dropout").integer()


def step_seeds(key: int | Tensor, steps: Tensor, n_layers: int) -> Tensor:
    """Return the seed of each dropout layer at each step, int32, shape ``(*steps.shape, n_layers)``.

    Args:
        key: of the trial, or int32 keys of several that broadcast with ``steps``.
        steps: int32, counted from the trial's first step.
        n_layers: dropout layers of the network, in the order of its modules.
    """
    layers = torch.arange(n_layers, dtype=torch.int32, device=steps.device) * _LAYER_PRIME
    return mix32(mix32(steps * _STEP_PRIME + key)[..., None] + layers)


def learning_rate_factors(schedule: str, first: int, count: int, total: int) -> list[float]:
    """Return what multiplies the learning rate in ``count`` steps from step ``first`` of ``total``.

    References:
        Loshchilov & Hutter (2017), SGDR, eq. 5, without restarts and down to zero.
    """
    if schedule == "constant":
        return [1.0] * count
    return [0.5 * (1.0 + math.cos(math.pi * step / total)) for step in range(first, first + count)]

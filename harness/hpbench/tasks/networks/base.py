"""What a network family declares: its search space, its defaults and how a module is built.

Declaring needs no torch; building does. So spaces can be checked, planned and shown at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hpbench.space import Categorical, Condition, Float, Parameter, SearchSpace
from hpbench.trial import Config, Value

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "TRAINING_CONSTANTS",
    "TRAINING_DEFAULTS",
    "TRAINING_LIMITS",
    "NetworkFamily",
    "training_parameters",
]

Shape = tuple[int, ...]
Build = Callable[[Config, Shape, int], "nn.Module"]


@dataclass(frozen=True)
class NetworkFamily:
    """A kind of network, its search space and its published default configuration.

    Attributes:
        name: what suites call it.
        space: the hyperparameters that may be searched, with ranges, constants and defaults.
        build: ``(config, input_shape, n_classes) -> nn.Module``; the module maps inputs of shape
            ``(batch, *input_shape)`` to logits of shape ``(batch, n_classes)``.
        citation: where the architecture and its defaults come from.
        inputs: ``"any"`` shape, ``"flat"`` if the module flattens whatever it gets, or ``"image"`` for
            ``(channels, height, width)`` only.
        limits: the ends that no suite may go beyond, by hyperparameter: ``(lowest, highest)``.
        shaping: the hyperparameters that shape tensors or choose operations; trials that differ in
            them cannot share a cohort.
        buckets: hyperparameter → sizes. A value is rounded up to the next size and the network is
            padded with zeros, which the activations map to zero, so that fewer shapes occur.
        cohort: whether ``torch.func.vmap`` can take the module, so that lanes can be stacked.
        compiled: whether the module consists of layers that compiled training knows. Where lanes can
            neither be compiled nor stacked, every trial is trained by the reference trainer, and plan
            and report say so.
    """

    name: str
    space: SearchSpace
    build: Build
    citation: str
    inputs: Literal["any", "flat", "image"] = "any"
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    shaping: tuple[str, ...] = ()
    buckets: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    cohort: bool = True
    compiled: bool = False


TRAINING_LIMITS: Mapping[str, tuple[float, float]] = {
    "learning_rate": (1e-12, 1e3),
    "batch_size": (1, 65536),
    "dropout": (0.0, 0.99),
    "l1": (0.0, 1e3),
    "weight_decay": (0.0, 1e3),
    "momentum": (0.0, 0.9999),
    "label_smoothing": (0.0, 0.99),
}
"""The ends that every family shares; outside them training has no meaning."""

TRAINING_CONSTANTS: Mapping[str, Value] = {"label_smoothing": 0.0, "nesterov": False}
"""Hyperparameters that are fixed unless a suite gives them a range."""

TRAINING_DEFAULTS: Mapping[str, Value] = {
    "learning_rate": 1e-3,
    "batch_size": 32,
    "dropout": 0.0,
    "l1": 1e-7,
    "weight_decay": 1e-6,
    "optimizer": "adam",
    "momentum": 0.9,
    "schedule": "constant",
}
"""Adam with the learning rate of Kingma & Ba (2015), batches of 32 (Bengio 2012, section 3.1.1),
the least regularisation that the ranges hold."""


def training_parameters() -> tuple[Parameter, ...]:
    """Return the hyperparameters of the training itself, which every family shares.

    ``weight_decay`` is the L2 penalty: added to the gradient (coupled) for sgd, adam and rmsprop,
    applied to the weights (decoupled; Loshchilov & Hutter 2019) for adamw. ``l1`` multiplies the sum
    of absolute weights, biases excepted. ``schedule`` scales the learning rate over the task's full
    fidelity: not at all, or by a half cosine to zero (Loshchilov & Hutter 2017, eq. 5).
    """
    return (
        Float("learning_rate", 1e-4, 1e-1, log=True),
        Categorical("batch_size", (16, 32, 64, 128), ordered=True),
        Float("dropout", 0.0, 0.5),
        Float("l1", 1e-7, 1e-3, log=True),
        Float("weight_decay", 1e-6, 1e-1, log=True),
        Categorical("optimizer", ("sgd", "adam", "adamw", "rmsprop")),
        Float("momentum", 0.0, 0.99, when=Condition("optimizer", ("sgd",))),
        Categorical("schedule", ("constant", "cosine")),
    )

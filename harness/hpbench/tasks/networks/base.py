"""What a network family declares: its search space, its defaults and how a module is built.

Declaring needs no torch; building does. So spaces can be checked, planned and shown at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hpbench.errors import UsageError, unknown_name
from hpbench.space import Categorical, Condition, Float, Parameter, SearchSpace
from hpbench.trial import Config, Value

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "GROUP",
    "TRAINING_CONDITIONS",
    "TRAINING_CONSTANTS",
    "TRAINING_DEFAULTS",
    "TRAINING_LIMITS",
    "NetworkFamily",
    "training_parameters",
    "training_space",
]

Shape = tuple[int, ...]
Build = Callable[[Config, Shape, int], "nn.Module"]

GROUP = 8
"""Channels that group normalisation treats together, and what the features of an attention head are a multiple of."""


@dataclass(frozen=True)
class NetworkFamily:
    """A kind of network, its search space and its published default configuration.

    Name, space and a function that builds an ordinary module are enough: what a family says nothing
    about is trained by the reference trainer, one trial at a time, and plan and report say so.

    Attributes:
        name: what suites call it.
        space: the hyperparameters that may be searched, with ranges, constants and defaults.
        build: ``(config, input_shape, n_classes) -> nn.Module``; the module maps inputs of shape
            ``(batch, *input_shape)`` to logits of shape ``(batch, n_classes)``; of a regression, with
            ``n_classes = 1``, the one output is the prediction.
            Its initial weights come from torch's generator, which is seeded for it; whatever else it
            draws, it draws by ``hpbench.tasks.networks.layers.Dropout``.
        citation: where the architecture and its defaults come from, if anywhere.
        inputs: ``"any"`` shape, ``"flat"`` if the module flattens whatever it gets, or ``"image"`` for
            ``(channels, height, width)`` only.
        limits: the ends that no suite may go beyond, by hyperparameter: ``(lowest, highest)``. Without
            an end a suite may narrow a range, but not widen it.
        shaping: the hyperparameters that shape tensors or choose operations; trials that differ in
            them cannot share a cohort, and cost different times. By default the batch size and every
            whole number and choice that the family adds to those of training; a float that shapes
            tensors has to be named, and be a choice of the suite where the clock is modelled.
        buckets: hyperparameter → sizes. A value is rounded up to the next size and the network is
            padded with zeros, which the activations map to zero, so that fewer shapes occur.
        cohort: whether ``torch.func.vmap`` can take the module, so that lanes can be stacked; it has no
            buffers that training changes, and all its randomness comes from ``Dropout``.
        compiled: whether the module consists of layers that compiled training knows.
            ``hpbench.testing.network_kit`` checks what a family declares.
        check: what raises a ``UsageError`` for a search space in which some configuration cannot be built,
            as where heads do not divide a width; it is asked before anything trains.

    Raises:
        UsageError: when a module is built that could not be trained the same way twice.
    """

    name: str
    space: SearchSpace
    build: Build
    citation: str = ""
    inputs: Literal["any", "flat", "image"] = "any"
    limits: Mapping[str, tuple[float, float]] = field(default_factory=lambda: TRAINING_LIMITS)
    shaping: tuple[str, ...] = ()
    buckets: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    cohort: bool = False
    compiled: bool = False
    check: Callable[[SearchSpace], None] | None = None

    def __post_init__(self) -> None:
        plain = self.build.build if isinstance(self.build, _Repeatable) else self.build
        object.__setattr__(self, "build", _Repeatable(self.name, plain))
        if not self.shaping:
            object.__setattr__(self, "shaping", _shaping(self.space))


@dataclass(frozen=True)
class _Repeatable:
    """A family's ``build``, whose modules are refused where training them twice would differ.

    torch's own dropout draws its masks from a global generator, which hpbench neither reads nor seeds.
    """

    family: str
    build: Build

    def __call__(self, config: Config, input_shape: Shape, n_classes: int) -> nn.Module:
        from torch import nn  # noqa: PLC0415 - declaring a family needs no torch

        module = self.build(config, input_shape, n_classes)
        if not isinstance(module, nn.Module):
            raise UsageError(
                f"`build` of network {self.family!r} must return a torch.nn.Module, got {type(module).__name__}."
            )
        for name, layer in module.named_modules():
            if _draws(layer):
                raise UsageError(
                    f"network {self.family!r} must draw nothing from a global generator while it trains, but its layer "
                    f"{name or 'itself'!r} is a {type(layer).__name__} of torch with dropout; use "
                    "hpbench.tasks.networks.layers.Dropout in its place."
                )
        return module


def _draws(layer: nn.Module) -> bool:
    """Return whether a layer of torch draws random numbers in training."""
    from torch import nn  # noqa: PLC0415 - declaring a family needs no torch

    if isinstance(layer, nn.RReLU):
        return True
    kinds = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
    if isinstance(layer, kinds):
        return layer.p > 0.0
    return isinstance(layer, (nn.MultiheadAttention, nn.RNNBase)) and float(layer.dropout) > 0.0


def _shaping(space: SearchSpace) -> tuple[str, ...]:
    """Return the batch size, and what ``space`` holds beyond the training and is no float."""
    training = {*TRAINING_DEFAULTS, *TRAINING_CONSTANTS}
    own = [item.name for item in space.parameters if not isinstance(item, Float)]
    own += [name for name, value in space.constants.items() if not isinstance(value, float)]
    return (*(name for name in own if name not in training), "batch_size")


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

TRAINING_CONDITIONS: Mapping[str, Condition] = {"nesterov": Condition("optimizer", ("sgd",))}
"""When a constant has an effect, where that is not always."""

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


def training_space(*own: Parameter, without: Collection[str] = (), **defaults: Value) -> SearchSpace:
    """Return the search space of a family: its own hyperparameters, then those of the training.

    Args:
        own: what the family adds, such as ``Integer("width", 8, 64, log=True)``.
        without: hyperparameters of the training that mean nothing to it, such as ``"dropout"``.
        defaults: of its own hyperparameters, and others than the usual ones of the training; one that is
            left out is the middle of its range.

    Raises:
        UsageError: ``without`` or ``defaults`` names what is not there.
    """
    known = (*TRAINING_DEFAULTS, *TRAINING_CONSTANTS)
    for name in without:
        if name not in known:
            raise unknown_name("hyperparameter of the training", name, known)
    left = [item.name for item in own] + [name for name in known if name not in without]
    for name in defaults:
        if name not in left:
            raise unknown_name("hyperparameter", name, left)
    usual = {name: value for name, value in TRAINING_DEFAULTS.items() if name not in without}
    return SearchSpace(
        parameters=(*own, *(item for item in training_parameters() if item.name not in without)),
        constants={
            name: defaults.get(name, value)
            for name, value in TRAINING_CONSTANTS.items()
            if name not in without
        },
        defaults={**usual, **defaults},
        conditions=TRAINING_CONDITIONS,
    )

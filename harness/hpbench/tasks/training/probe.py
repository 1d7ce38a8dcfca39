"""Whether a network of one's own can be trained as hpbench trains: tried once, before anything trains."""

from __future__ import annotations

import torch
from torch import Tensor

from hpbench.errors import UsageError
from hpbench.seeding import Stream
from hpbench.space import SearchSpace
from hpbench.tasks.networks.base import NetworkFamily, Shape
from hpbench.tasks.training.randomness import drawing_nothing, initial_module
from hpbench.trial import Config

__all__ = ["check_outputs", "probe"]

_EXAMPLES = 2
_FOREIGN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a module that does not fit its configuration or its inputs raises."""


def probe(family: NetworkFamily, space: SearchSpace, shape: Shape, n_classes: int) -> None:
    """Raise unless the default network, also with most dropout, maps two examples to logits and draws nothing.

    Args:
        family: whose modules are tried.
        space: of a task.
        shape: of one input.
        n_classes: logits; 1 for a regression.

    Raises:
        UsageError: a module cannot be built or called, draws from torch's global generator, or has outputs of
            another shape.
    """
    default = space.complete(space.default_config())
    configs: list[Config] = [default]
    if "dropout" in space.names:
        configs.append({**default, "dropout": space["dropout"].from_unit(1.0)})
    for config in configs:
        try:
            _try(family, config, shape, n_classes)
        except _FOREIGN as error:
            raise UsageError(
                f"network {family.name!r} must take inputs of shape (batch, {', '.join(map(str, shape))}), but its "
                f"configuration {dict(config)!r} raises {type(error).__name__}: {str(error).rstrip('.')}."
            ) from error


def _try(family: NetworkFamily, config: Config, shape: Shape, n_classes: int) -> None:
    """Build one module and train and evaluate it on examples of noise, without a step."""
    stream = Stream(("probe",))
    module = initial_module(family, config, shape, n_classes, stream)
    generator = torch.Generator().manual_seed(stream.integer64())
    examples = torch.randn(_EXAMPLES, *shape, generator=generator)
    with drawing_nothing(family.name, examples.device), torch.no_grad():
        check_outputs(family.name, module.train()(examples), _EXAMPLES, n_classes)
        check_outputs(family.name, module.eval()(examples), _EXAMPLES, n_classes)


def check_outputs(name: str, outputs: Tensor, examples: int, n_classes: int) -> None:
    """Raise unless a network has given ``n_classes`` outputs for each example.

    Raises:
        UsageError: their shape is another.
    """
    if tuple(outputs.shape) != (examples, n_classes):
        what = (
            "one output, the prediction" if n_classes == 1 else f"{n_classes} outputs, a logit for each class"
        )
        raise UsageError(
            f"network {name!r} must give {what}, as `n_classes` says: shape ({examples}, {n_classes}) for "
            f"{examples} examples, got {tuple(outputs.shape)}."
        )

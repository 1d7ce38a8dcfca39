"""One step of a cohort as a function of plain tensors: the gradient of every lane and its update.

``vmap`` turns the ordinary module into one that trains all lanes at once; ``make_fx`` records that
once with symbolic sizes, so that one recording serves every width, batch size and number of lanes of
a depth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Final

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from hpbench.tasks.networks.base import NetworkFamily, Shape
from hpbench.tasks.networks.layers import N_SHAPE_COEFFICIENTS
from hpbench.tasks.training.layout import Layout, layout_of
from hpbench.tasks.training.updates import N_COEFFICIENTS, apply_update, dropout_rate
from hpbench.trial import Config

__all__ = ["Step", "recorded_step", "step_function"]

_EXAMPLE_LANES: Final = 5
_EXAMPLE_BATCH: Final = 20
_EXAMPLE_WIDTH: Final = 39
_EXAMPLE_CLASSES: Final = 11

Step = Callable[..., object]
"""Changes ``p``, ``m`` and ``v`` in place. Arguments, in order (K lanes, batch B, n numbers a row):

p, m, v: ``(K, n)``; penalised: ``(n,)``; inputs: ``(K, B, *input_shape)``; targets: ``(K, B, classes)``,
by which the logarithms of the predicted probabilities are weighted in the loss, or for a regression
``(K, B, 2)``, each number with the weight of its squared error; coefficients: ``(K, N_COEFFICIENTS)``; activation: ``(K, 6)``; seeds: int32
``(K, dropout layers)``; one tensor of each parameter's padded shape, whose values are not read; the
counters of each dropout layer."""


def step_function(layout: Layout, *, regression: bool = False) -> Step:
    """Return the step of ``layout``'s network, not yet recorded."""
    names, count = list(layout.shapes), len(layout.shapes)

    def loss(
        parameters: Sequence[Tensor],
        inputs: Tensor,
        targets: Tensor,
        activation: Tensor,
        rate: Tensor,
        seeds: Sequence[Tensor],
        counters: Sequence[Tensor],
    ) -> Tensor:
        tensors = dict(zip(names, parameters, strict=True))
        tensors |= {f"{name}.coefficients": activation for name in layout.activations}
        for name, seed, counter in zip(layout.dropouts, seeds, counters, strict=True):
            tensors |= {f"{name}.rate": rate, f"{name}.seed": seed, f"{name}.counters": counter}
        logits = functional_call(layout.module, tensors, (inputs,))
        if regression:
            weighted: Tensor = (logits[..., 0] - targets[..., 0]).square() * targets[..., 1]
            return weighted.sum()
        return -(torch.log_softmax(logits, -1) * targets).sum()

    def step(
        p: Tensor,
        m: Tensor,
        v: Tensor,
        penalised: Tensor,
        inputs: Tensor,
        targets: Tensor,
        coefficients: Tensor,
        activation: Tensor,
        seeds: Tensor,
        *rest: Tensor,
    ) -> None:
        lanes, offset, parameters = p.shape[0], 0, []
        for shape in (carrier.shape for carrier in rest[:count]):
            size = prod(shape)
            parameters.append(p[:, offset : offset + size].reshape(lanes, *shape))
            offset += size
        gradients = vmap(grad(loss), in_dims=(0, 0, 0, 0, 0, 0, None))(
            parameters,
            inputs,
            targets,
            activation,
            dropout_rate(coefficients),
            list(seeds.unbind(1)),
            list(rest[count:]),
        )
        # The rest of a row is zero and stays so: it is its own gradient.
        rest_of_row = p[:, offset:]
        row = torch.cat([*(gradient.reshape(lanes, -1) for gradient in gradients), rest_of_row], dim=1)
        apply_update(p, m, v, row, coefficients, penalised)

    return step


def recorded_step(family: NetworkFamily, config: Config, input_shape: Shape) -> Step:
    """Return the step of every network of ``config``'s kind, recorded.

    Sizes are symbols in it, so the examples are of sizes that have nothing in common with one another.

    Args:
        family: what builds the modules.
        config: complete; its bucketed sizes do not matter.
        input_shape: of one example as the step takes it.
    """
    sizes = dict.fromkeys(family.buckets, _EXAMPLE_WIDTH)
    plain = replace(family, buckets={})
    layout = layout_of(plain, {**config, **sizes}, input_shape, _EXAMPLE_CLASSES)
    counters = layout.counters(_EXAMPLE_BATCH, input_shape, torch.device("cpu"))
    lanes, batch = _EXAMPLE_LANES, _EXAMPLE_BATCH
    examples = [
        *(torch.zeros(lanes, layout.size) for _ in range(3)),
        layout.penalised,
        torch.zeros(lanes, batch, *input_shape),
        torch.zeros(lanes, batch, _EXAMPLE_CLASSES),
        torch.zeros(lanes, N_COEFFICIENTS),
        torch.zeros(lanes, N_SHAPE_COEFFICIENTS),
        torch.zeros(lanes, len(layout.dropouts), dtype=torch.int32),
        *(torch.empty(shape) for shape in layout.shapes.values()),
        *counters,
    ]
    from torch._dynamo import config as tracing  # noqa: PLC0415 -- seconds that only a recording is worth

    recorder = make_fx(step_function(layout), tracing_mode="symbolic", _allow_non_fake_inputs=True)
    # Of symbolic sizes an entry of torch's cache of operations costs more than the operation.
    with tracing.patch(fake_tensor_cache_enabled=False):
        graph: GraphModule = recorder(*examples)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph

"""Modules as programs: what each layer becomes, layer by layer in the order of their calls."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any, Final

import numpy as np
from torch import fx, nn

from hpbench.errors import UsageError
from hpbench.tasks.networks.base import GROUP, Shape
from hpbench.tasks.networks.layers import Activation, Dropout
from hpbench.tasks.networks.maps import Convolution, GlobalAverage, MaxPool
from hpbench.tasks.networks.sequences import GRU, Attention, LastPosition, PositionEmbedding, Rows
from hpbench.tasks.training.kernels.program import STORED, Builder, Program, Value, rounded

__all__ = ["followed", "program_of"]

_IMAGE: Final = 3
"""Dimensions of an image: channels, height, width."""
_FUNCTIONS: Final = ("relu", "tanh", "gelu", "silu")
"""Activations, in the order of the C enumeration."""
_EPSILON: Final = 1e-5
"""What torch's normalisations add to a variance, and the library as well."""


class _Tracer(fx.Tracer):
    """Follows a module down to its layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether ``m`` is one layer: one of ours or of torch's."""
        return type(m) in _LOWERINGS or super().is_leaf_module(m, module_qualified_name)


def followed(module: nn.Module) -> fx.Graph:
    """Return the layers of ``module`` in the order of their calls."""
    return _Tracer().trace(module)


def program_of(module: nn.Module, graph: fx.Graph, input_shape: Shape, batch: int) -> Program:
    """Return the program of ``module``.

    Args:
        module: of true size.
        graph: of its layers, as ``followed`` returned it for a module of the same layers.
        input_shape: of one example; its numbers come position by position, channels innermost.
        batch: examples of a step; scoring takes at most as many at once.

    Raises:
        UsageError: the module has a layer that the library does not know.
    """
    builder = Builder(batch)
    values: dict[object, Value] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            values[node] = _inputs(builder, input_shape)
        elif node.op == "output":
            once = len(builder.segments) == len(builder.places)
            if not once or builder.places.keys() != {name for name, _ in module.named_parameters()}:
                raise _unknown("a parameter that several layers share, or none uses")
            return builder.finished(values[node.args[0]])
        elif node.op == "call_module":
            layer = module.get_submodule(str(node.target))
            values[node] = _lowering(layer)(builder, f"{node.target}.", layer, values[node.args[0]])
        elif node.op == "call_function" and node.target is operator.add and values.keys() >= {*node.args}:
            values[node] = _sum(builder, *(values[argument] for argument in node.args))
        else:
            raise _unknown(f"the call of {node.target}")
    raise _unknown("no output")


def _unknown(what: str) -> UsageError:
    return UsageError(
        f"a network that trains with compiled steps must consist of {', '.join(kind.__name__ for kind in _LOWERINGS)} "
        f'and sums, got {what}; declare its family with compiled=False, or set compile = "never".'
    )


def _in_order(x: Value, innermost: int = -1) -> bool:
    """Return whether a position's numbers lie in the order of this axis of ``x``, the only one beside its positions."""
    return x.shape == x.sizes and x.strides[innermost] == 1


def _inputs(builder: Builder, shape: Shape) -> Value:
    if len(shape) == _IMAGE:
        return builder.maps(*shape, stored=shape[0])
    return builder.vectors(shape, shape[-1])


def _sum(builder: Builder, x: Value, other: Value) -> Value:
    if replace(x, offset=0) != replace(other, offset=0):
        raise _unknown("a sum of values that lie differently, as of inputs and what a layer makes of them")
    y = builder.like(x)
    builder.add("sum", x, y, other=other.offset)
    return y


def _linear(builder: Builder, name: str, layer: nn.Linear, x: Value) -> Value:
    features, outputs = layer.in_features, layer.out_features
    columns, whole = rounded(outputs), len(x.shape) == 1
    if len(x.shape) == _IMAGE:
        raise _unknown("a Linear over the rows of maps; Rows makes vectors of them")
    y = builder.vectors((*(() if whole else x.shape[:-1]), outputs), columns)
    inputs, first = (x.block, 0) if whole else (x.stored, 1)
    sizes, strides = x.sizes[first:], x.strides[first:]
    weight = builder.weight(
        f"{name}weight",
        inputs,
        columns,
        sizes=(outputs, *sizes),
        strides=(1, *(stride * columns for stride in strides)),
        shape=(outputs, features),
    )
    bias = builder.bias(f"{name}bias", layer.bias)
    builder.add("linear", x, y, weight=weight, bias=bias, **{"positions": y.positions, "in": inputs})
    return y


def _convolution(builder: Builder, name: str, layer: Convolution, x: Value) -> Value:
    channels, height, width = x.shape
    outputs, _, kernel, _ = layer.weight.shape
    columns, stride, border = rounded(outputs), 1, kernel // 2
    high, wide = -(-height // stride), -(-width // stride)
    y = builder.maps(outputs, high, wide, columns)
    tall, broad = height + 2 * border, width + 2 * border
    examples = np.arange(builder.batch)[:, None, None] * tall
    forward = (examples + np.arange(high)[:, None] * stride) * broad + np.arange(wide) * stride
    back = (examples + np.arange(height)[:, None]) * broad + np.arange(width)
    inputs, row = kernel * kernel * x.stored, x.stored * columns
    shape = (outputs, channels, kernel, kernel)
    strides = (1, columns, kernel * row, row)
    weight = builder.weight(f"{name}weight", inputs, columns, sizes=shape, strides=strides, shape=shape)
    builder.add(
        "convolution", x, y, weight=weight, bias=builder.bias(f"{name}bias", layer.bias),
        height=height, width=width, high=high, wide=wide, kernel=kernel, stride=stride,
        table=builder.table(forward * x.stored), back=builder.table(back * columns),
        scratch=builder.kept(builder.batch * tall * broad * (x.stored + columns)),
    )  # fmt: skip
    return y


def _activation(builder: Builder, _name: str, layer: Activation, x: Value) -> Value:
    y = builder.like(x)
    builder.add("activation", x, y, which=_FUNCTIONS.index(layer.name))
    return y


def _dropout(builder: Builder, _name: str, layer: Dropout, x: Value) -> Value:
    if not _in_order(x, 0 if layer.per_channel else -1):
        raise _unknown("a dropout of single numbers of maps")
    y = builder.like(x)
    builder.add(
        "dropout", x, y, which=builder.n_dropouts, per_channel=int(layer.per_channel), axes=len(x.shape),
        scratch=builder.kept(builder.batch * x.block + STORED),
    )  # fmt: skip
    builder.n_dropouts += 1
    return y


def _maxpool(builder: Builder, _name: str, _layer: MaxPool, x: Value) -> Value:
    channels, height, width = x.shape
    y = builder.maps(channels, height // 2, width // 2, x.stored)
    builder.add("maxpool", x, y, height=height, width=width, high=height // 2, wide=width // 2)
    return y


def _flatten(_builder: Builder, _name: str, _layer: nn.Flatten, x: Value) -> Value:
    return Value(x.offset, x.positions, x.stored, (prod(x.shape),), x.sizes, x.strides)


def _rows(_builder: Builder, _name: str, _layer: Rows, x: Value) -> Value:
    channels, height, width = x.shape
    stored = x.stored * width
    shape = (height, channels * width)
    if x.stored == 1:
        return Value(x.offset, height, stored, shape, shape, (stored, 1))
    return Value(x.offset, height, stored, shape, (height, channels, width), (stored, 1, x.stored))


def _norm(kind: str) -> Callable[[Builder, str, Any, Value], Value]:
    """Return the lowering of a normalisation with a weight and a bias for every feature."""

    def lowered(builder: Builder, name: str, layer: nn.LayerNorm | nn.GroupNorm, x: Value) -> Value:
        parameters = list(layer.parameters())
        features = len(parameters[0]) if len(parameters) == 2 else 0  # noqa: PLR2004 - a weight and a bias
        grouped = isinstance(layer, nn.LayerNorm) or layer.num_groups * GROUP == features
        ordered = _in_order(x, -1 if isinstance(layer, nn.LayerNorm) else 0)
        if not features or features % STORED or not grouped or not ordered or layer.eps != _EPSILON:
            raise _unknown(
                f"{type(layer).__name__} other than over multiples of {STORED} features, in groups of {GROUP}"
            )
        y, scales = builder.like(x), max(x.positions, x.stored // GROUP)
        builder.add(
            kind, x, y,
            weight=builder.bias(f"{name}weight", layer.weight), bias=builder.bias(f"{name}bias", layer.bias),
            scratch=builder.kept(builder.batch * (x.block + scales)),
        )  # fmt: skip
        return y

    return lowered


def _positions(builder: Builder, name: str, layer: PositionEmbedding, x: Value) -> Value:
    y, shape = builder.like(x), tuple(layer.weight.shape)
    if x.stored % STORED or not _in_order(x):
        raise _unknown("an embedding of the inputs themselves")
    weight = builder.parameter(f"{name}weight", x.block, sizes=shape, strides=(x.stored, 1), shape=shape)
    builder.add("positions", x, y, weight=weight)
    return y


def _attention(builder: Builder, _name: str, layer: Attention, x: Value) -> Value:
    positions, triple = x.shape
    features = triple // 3
    if not _in_order(x):
        raise _unknown("an attention of the inputs themselves")
    if features % (layer.heads * STORED):
        raise _unknown(
            f"{layer.heads} heads that do not divide {features} features into multiples of {STORED}"
        )
    y, wide = builder.vectors((positions, features), features), rounded(positions)
    width = features // layer.heads
    builder.add(
        "attention", x, y, which=layer.heads, features=features,
        scratch=builder.kept(builder.batch * layer.heads * positions * wide + (width + positions) * wide),
    )  # fmt: skip
    return y


def _gru(builder: Builder, name: str, layer: GRU, x: Value) -> Value:
    positions = x.shape[0]
    width, columns = len(layer.inner), rounded(len(layer.inner))
    y = builder.vectors((positions, width), columns)
    rows, sizes, strides = x.stored, x.sizes[1:], x.strides[1:]
    each = {"shape": tuple(layer.weight.shape), "sizes": (3, width, *sizes)}
    weight = builder.weight(
        f"{name}weight",
        rows,
        3 * columns,
        strides=(columns, 1, *(stride * 3 * columns for stride in strides)),
        **each,
    )
    shape = (3, width, width)
    hidden = builder.weight(
        f"{name}hidden", columns, 3 * columns, sizes=shape, strides=(columns, 1, 3 * columns), shape=shape
    )
    bias = builder.bias(f"{name}reset", layer.reset)  # the three lie one after the other
    builder.bias(f"{name}update", layer.update)
    builder.bias(f"{name}new", layer.new)
    builder.add(
        "gru", x, y, weight=weight, hidden=hidden, bias=bias, inner=builder.bias(f"{name}inner", layer.inner),
        scratch=builder.kept(builder.batch * columns * (5 * positions + 4)),
    )  # fmt: skip
    return y


def _pooled(kind: str) -> Callable[[Builder, str, Any, Value], Value]:
    """Return the lowering of a layer that makes one position of many."""

    def lowered(builder: Builder, _name: str, layer: nn.Module, x: Value) -> Value:
        maps = len(x.shape) == _IMAGE
        if not _in_order(x, 0 if maps else -1) or (maps and kind == "last"):
            raise _unknown(f"a {type(layer).__name__} of numbers that lie in another order")
        features = x.shape[0 if maps else -1]
        y = builder.vectors((features,), x.stored)
        builder.add(kind, x, y)
        return y

    return lowered


_LOWERINGS: Final[dict[type[nn.Module], Callable[[Builder, str, Any, Value], Value]]] = {
    nn.Linear: _linear,
    nn.Flatten: _flatten,
    nn.LayerNorm: _norm("layernorm"),
    nn.GroupNorm: _norm("groupnorm"),
    Activation: _activation,
    Attention: _attention,
    Convolution: _convolution,
    Dropout: _dropout,
    GlobalAverage: _pooled("average"),
    GRU: _gru,
    LastPosition: _pooled("last"),
    MaxPool: _maxpool,
    PositionEmbedding: _positions,
    Rows: _rows,
}


def _lowering(layer: nn.Module) -> Callable[[Builder, str, Any, Value], Value]:
    if type(layer) not in _LOWERINGS:
        raise _unknown(f"a layer {type(layer).__name__}")
    return _LOWERINGS[type(layer)]

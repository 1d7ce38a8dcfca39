"""A network as the list of operations that the C library runs.

``torch.fx`` follows an ordinary module once; every layer that it meets becomes an operation over values
of shape (examples, positions, stored), stored being the features rounded up to a multiple of 8 with
zeros. Where a parameter of the module lies in a lane's row is kept by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from hpbench.errors import UsageError
from hpbench.tasks.networks.base import Shape
from hpbench.tasks.networks.layers import Activation, Convolution, Dropout, MaxPool

__all__ = ["FIELDS", "Place", "Program", "followed", "program_of"]

_STORED: Final = 8
"""Features of a value are rounded up to multiples of this: the floats of the narrowest register."""
_ALIGNED: Final = 16
"""Parameters begin at multiples of this many floats."""
_IMAGE: Final = 3
"""Dimensions of an image: channels, height, width."""

FIELDS: Final = (
    "kind", "x", "y", "positions", "in", "out", "weight", "bias", "height", "width", "high", "wide", "kernel",
    "stride", "table", "back", "scratch", "which", "per_channel", "leaf", "add",
)  # fmt: skip
"""Of an operation, in the order of the C structure."""

_KINDS: Final = {"linear": 0, "convolution": 1, "activation": 2, "dropout": 3, "maxpool": 4}
_FUNCTIONS: Final = {"relu": 0, "tanh": 1, "gelu": 2, "silu": 3}


class Place(NamedTuple):
    """Where a parameter lies in a row: a strided view that holds its numbers in its own order.

    Attributes:
        offset: of its first number.
        sizes: of the view.
        strides: of the view.
        shape: of the parameter in the module; the view has as many numbers.
    """

    offset: int
    sizes: Shape
    strides: Shape
    shape: Shape

    def view(self, row: Tensor) -> Tensor:
        """Return the view of ``row``, shape ``sizes``."""
        return row.as_strided(self.sizes, self.strides, self.offset + row.storage_offset())


@dataclass(frozen=True)
class Program:
    """What the C library needs to know of a network and a batch size.

    Attributes:
        operations: int64, shape ``(count, len(FIELDS))``.
        tables: int32, where the windows of convolutions begin.
        segments: int64, shape ``(n, 3)``: where a parameter begins in a row, how many numbers it takes,
            whether L1 shrinks it.
        places: of each parameter of the module.
        size: numbers of a row.
        batch: examples at most.
        features: numbers of an example.
        n_classes: logits.
        stored: numbers of a row of logits.
        logits: offset of the last value.
        n_dropouts: dropout layers.
        values: floats of all values of a batch.
        scratch: floats that operations keep from forward to backward.
        turned: floats of the largest transposed weight.
        spare: floats of the largest value.
    """

    operations: NDArray[np.int64]
    tables: NDArray[np.int32]
    segments: NDArray[np.int64]
    places: Mapping[str, Place]
    size: int
    batch: int
    features: int
    n_classes: int
    stored: int
    logits: int
    n_dropouts: int
    values: int
    scratch: int
    turned: int
    spare: int


class _Tracer(fx.Tracer):
    """Follows a module down to its layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether ``m`` is one layer: one of ours or of torch's."""
        return type(m) in _LOWERINGS or super().is_leaf_module(m, module_qualified_name)


def followed(module: nn.Module) -> fx.Graph:
    """Return the layers of ``module`` in the order of their calls."""
    return _Tracer().trace(module)


@dataclass(frozen=True)
class _Value:
    """A value of the program.

    Attributes:
        offset: in floats, for a whole batch.
        positions: of an example.
        stored: numbers of a position.
        shape: of an example as torch has it.
        sizes: of the strided view of an example's block of ``positions * stored`` numbers that holds
            them in torch's order.
        strides: of that view.
    """

    offset: int
    positions: int
    stored: int
    shape: Shape
    sizes: Shape
    strides: Shape

    @property
    def block(self) -> int:
        return self.positions * self.stored


@dataclass
class _Builder:
    """Collects the operations of one module."""

    batch: int
    operations: list[dict[str, int]] = field(default_factory=list)
    tables: list[NDArray[np.int32]] = field(default_factory=list)
    segments: list[tuple[int, int, int]] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    values: int = 0
    scratch: int = 0
    size: int = 0
    turned: int = 0
    spare: int = 0
    table_size: int = 0
    n_dropouts: int = 0

    def vectors(self, shape: Shape, stored: int) -> _Value:
        """Return a new value of vectors, ``(features,)`` or ``(positions, features)``."""
        strides = (stored, 1)[-len(shape) :]
        return self.value(prod(shape[:-1]), stored, shape, shape, strides)

    def maps(self, channels: int, height: int, width: int, stored: int) -> _Value:
        """Return a new value of maps, channels innermost."""
        shape = (channels, height, width)
        return self.value(height * width, stored, shape, shape, (1, width * stored, stored))

    def value(self, positions: int, stored: int, shape: Shape, sizes: Shape, strides: Shape) -> _Value:
        """Return a new value; see ``_Value``."""
        made = _Value(self.values, positions, stored, shape, sizes, strides)
        self.values += self.batch * made.block
        self.spare = max(self.spare, self.batch * made.block)
        return made

    def kept(self, numbers: int) -> int:
        """Return the offset of new scratch."""
        self.scratch += numbers
        return self.scratch - numbers

    def table(self, values: NDArray[np.int64]) -> int:
        """Return the offset of a new table."""
        self.tables.append(values.ravel().astype(np.int32))
        self.table_size += values.size
        return self.table_size - values.size

    def parameter(self, name: str, numbers: int, *, sizes: Shape, strides: Shape, shape: Shape) -> int:
        """Return the offset of parameter ``name``, which takes ``numbers`` of a row; see ``Place``."""
        begin = self.size
        self.places[name] = Place(begin, sizes, strides, shape)
        self.segments.append((begin, numbers, int(len(shape) > 1)))
        self.size += -(-numbers // _ALIGNED) * _ALIGNED
        return begin

    def weight(self, name: str, rows: int, columns: int, **place: Shape) -> int:
        """Return the offset of a weight of ``rows`` inputs and ``columns`` stored outputs; see ``Place``."""
        self.turned = max(self.turned, rows * columns)
        return self.parameter(name, rows * columns, **place)

    def bias(self, name: str, parameter: Tensor | None) -> int:
        """Return the offset of a bias, or -1 without one."""
        if parameter is None:
            return -1
        shape = tuple(parameter.shape)
        return self.parameter(name, _rounded(shape[0]), sizes=shape, strides=(1,), shape=shape)

    def add(self, kind: str, x: _Value, y: _Value, **fields: int) -> None:
        """Append an operation."""
        own = {"kind": _KINDS[kind], "x": x.offset, "y": y.offset, "positions": x.positions, "in": x.stored}
        self.operations.append({**dict.fromkeys(FIELDS, 0), **own, "out": y.stored, **fields})


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
    builder = _Builder(batch)
    values: dict[object, _Value] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            values[node] = _inputs(builder, input_shape)
        elif node.op == "output":
            return _finished(builder, values[node.args[0]])
        elif node.op == "call_module":
            layer = module.get_submodule(str(node.target))
            values[node] = _lowering(layer)(builder, f"{node.target}.", layer, values[node.args[0]])
        else:
            raise _unknown(f"the call of {node.target}")
    raise _unknown("no output")


def _unknown(what: str) -> UsageError:
    return UsageError(
        f"a network that trains with compiled steps must consist of {', '.join(kind.__name__ for kind in _LOWERINGS)}, "
        f'got {what}; declare its family with compiled=False, or set compile = "never".'
    )


def _inputs(builder: _Builder, shape: Shape) -> _Value:
    if len(shape) == _IMAGE:
        return builder.maps(*shape, stored=shape[0])
    return builder.vectors(shape, shape[-1])


def _rounded(features: int) -> int:
    return -(-features // _STORED) * _STORED


def _linear(builder: _Builder, name: str, layer: nn.Linear, x: _Value) -> _Value:
    features, outputs = layer.in_features, layer.out_features
    columns, whole = _rounded(outputs), prod(x.shape) == features
    y = builder.vectors((*(() if whole else x.shape[:-1]), outputs), columns)
    inputs, sizes, strides = (x.block, x.sizes, x.strides) if whole else (x.stored, (features,), (1,))
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


def _convolution(builder: _Builder, name: str, layer: Convolution, x: _Value) -> _Value:
    channels, height, width = x.shape
    outputs, _, kernel, _ = layer.weight.shape
    columns, stride, border = _rounded(outputs), 1, kernel // 2
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


def _like(builder: _Builder, x: _Value) -> _Value:
    """Return a new value that lies as ``x`` does."""
    return builder.value(x.positions, x.stored, x.shape, x.sizes, x.strides)


def _activation(builder: _Builder, _name: str, layer: Activation, x: _Value) -> _Value:
    y = _like(builder, x)
    builder.add("activation", x, y, which=_FUNCTIONS[layer.name])
    return y


def _dropout(builder: _Builder, _name: str, layer: Dropout, x: _Value) -> _Value:
    innermost = 0 if layer.per_channel else -1
    if x.strides[innermost] != 1 or x.shape != x.sizes:
        raise _unknown("a dropout of single numbers of maps")
    y = _like(builder, x)
    builder.add(
        "dropout", x, y, which=builder.n_dropouts, per_channel=int(layer.per_channel),
        scratch=builder.kept(builder.batch * x.block),
    )  # fmt: skip
    builder.n_dropouts += 1
    return y


def _maxpool(builder: _Builder, _name: str, _layer: MaxPool, x: _Value) -> _Value:
    channels, height, width = x.shape
    y = builder.maps(channels, height // 2, width // 2, x.stored)
    builder.add("maxpool", x, y, height=height, width=width, high=height // 2, wide=width // 2)
    return y


def _flatten(_builder: _Builder, _name: str, _layer: nn.Flatten, x: _Value) -> _Value:
    return _Value(x.offset, x.positions, x.stored, (prod(x.shape),), x.sizes, x.strides)


_LOWERINGS: Final[dict[type[nn.Module], Callable[[_Builder, str, Any, _Value], _Value]]] = {
    nn.Linear: _linear,
    nn.Flatten: _flatten,
    Activation: _activation,
    Convolution: _convolution,
    Dropout: _dropout,
    MaxPool: _maxpool,
}


def _lowering(layer: nn.Module) -> Callable[[_Builder, str, Any, _Value], _Value]:
    if type(layer) not in _LOWERINGS:
        raise _unknown(f"a layer {type(layer).__name__}")
    return _LOWERINGS[type(layer)]


def _finished(builder: _Builder, logits: _Value) -> Program:
    """Return the program, its backward pass settled."""
    read: set[int] = set()
    for operation in reversed(builder.operations):
        operation["add"] = int(operation["x"] in read)
        operation["leaf"] = int(operation["x"] == 0)
        read.add(operation["x"])
    first = builder.operations[0]
    return Program(
        operations=np.array([list(operation.values()) for operation in builder.operations], dtype=np.int64),
        tables=np.concatenate([*builder.tables, np.zeros(1, np.int32)]),
        segments=np.array(builder.segments, dtype=np.int64),
        places=builder.places,
        size=builder.size,
        batch=builder.batch,
        features=first["positions"] * first["in"],
        n_classes=logits.shape[0],
        stored=logits.stored,
        logits=logits.offset,
        n_dropouts=builder.n_dropouts,
        values=builder.values,
        scratch=builder.scratch,
        turned=builder.turned,
        spare=builder.spare,
    )

"""Programs: what the C library knows of a network, and the builder that collects it.

A program is a list of operations over values of shape (examples, positions, stored), stored being the
features rounded up to a multiple of 8 with zeros. Where each parameter lies in a lane's row is kept by
name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hpbench.tasks.networks.base import Shape

__all__ = ["FIELDS", "KINDS", "Builder", "Place", "Program", "Value", "rounded"]

STORED: Final = 8
"""Features of a value are rounded up to multiples of this: the floats of the narrowest register."""

FIELDS: Final = (
    "kind", "x", "y", "other", "positions", "in", "out", "weight", "bias", "height", "width", "high", "wide",
    "kernel", "stride", "table", "back", "scratch", "which", "features", "hidden", "inner", "per_channel", "axes",
    "leaf",
    "add", "add_other",
)  # fmt: skip
"""Of an operation, in the order of the C structure."""

KINDS: Final = (
    "linear", "convolution", "activation", "dropout", "maxpool", "sum", "layernorm", "groupnorm", "positions",
    "attention", "gru", "last", "average",
)  # fmt: skip
"""Of operations, in the order of the C enumeration."""

_WITHOUT_PARAMETERS: Final = frozenset(
    KINDS.index(kind) for kind in ("activation", "dropout", "maxpool", "sum", "attention", "last", "average")
)


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
        tables: int64, where the windows of convolutions begin.
        segments: int64, shape ``(n, 3)``: where a parameter begins in a row, how many numbers it takes,
            whether L1 shrinks it.
        places: of each parameter of the module.
        size: numbers of a row.
        batch: examples at most.
        features: numbers of an example.
        n_classes: logits; 1 for a regression.
        stored: numbers of a row of logits.
        logits: offset of the last value.
        n_dropouts: dropout layers.
        values: floats of all values of a batch.
        scratch: floats that operations keep from forward to backward.
        turned: floats of the largest transposed weight.
        spare: floats of the largest value.
    """

    operations: NDArray[np.int64]
    tables: NDArray[np.int64]
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


@dataclass(frozen=True)
class Value:
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
        """Numbers of an example as they are stored."""
        return self.positions * self.stored


@dataclass
class Builder:
    """Collects the operations of one module."""

    batch: int
    operations: list[dict[str, int]] = field(default_factory=list)
    tables: list[NDArray[np.int64]] = field(default_factory=list)
    segments: list[tuple[int, int, int]] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    values: int = 0
    scratch: int = 0
    size: int = 0
    turned: int = 0
    spare: int = 0
    table_size: int = 0
    n_dropouts: int = 0

    def vectors(self, shape: Shape, stored: int) -> Value:
        """Return a new value of vectors, ``(features,)`` or ``(positions, features)``."""
        strides = (stored, 1)[-len(shape) :]
        return self.value(prod(shape[:-1]), stored, shape, shape, strides)

    def maps(self, channels: int, height: int, width: int, stored: int) -> Value:
        """Return a new value of maps, channels innermost."""
        shape = (channels, height, width)
        return self.value(height * width, stored, shape, shape, (1, width * stored, stored))

    def value(self, positions: int, stored: int, shape: Shape, sizes: Shape, strides: Shape) -> Value:
        """Return a new value; see ``Value``."""
        made = Value(self.values, positions, stored, shape, sizes, strides)
        self.values += self.batch * made.block
        self.spare = max(self.spare, self.batch * made.block)
        return made

    def kept(self, numbers: int) -> int:
        """Return the offset of new scratch."""
        self.scratch += numbers
        return self.scratch - numbers

    def table(self, values: NDArray[np.int64]) -> int:
        """Return the offset of a new table."""
        self.tables.append(values.ravel())
        self.table_size += values.size
        return self.table_size - values.size

    def parameter(self, name: str, numbers: int, *, sizes: Shape, strides: Shape, shape: Shape) -> int:
        """Return the offset of parameter ``name``, which takes ``numbers`` of a row; see ``Place``."""
        begin = self.size
        self.places[name] = Place(begin, sizes, strides, shape)
        self.segments.append((begin, numbers, int(len(shape) > 1)))
        self.size += rounded(numbers)
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
        return self.parameter(name, rounded(shape[0]), sizes=shape, strides=(1,), shape=shape)

    def add(self, kind: str, x: Value, y: Value, **fields: int) -> None:
        """Append an operation."""
        own = {
            "kind": KINDS.index(kind),
            "x": x.offset,
            "y": y.offset,
            "positions": x.positions,
            "in": x.stored,
        }
        self.operations.append({**dict.fromkeys(FIELDS, 0), **own, "out": y.stored, **fields})

    def like(self, x: Value) -> Value:
        """Return a new value that lies as ``x`` does."""
        return self.value(x.positions, x.stored, x.shape, x.sizes, x.strides)

    def finished(self, logits: Value) -> Program:
        """Return the program, its backward pass settled."""
        given = {0}  # the inputs, and what follows from them without a parameter
        for operation in self.operations:
            operation["leaf"] = int(operation["x"] in given)
            if operation["kind"] == KINDS.index("sum"):
                operation["leaf"] &= int(operation["other"] in given)
            if operation["leaf"] and operation["kind"] in _WITHOUT_PARAMETERS:
                given.add(operation["y"])
        read: set[int] = set()
        for operation in reversed(self.operations):
            operation["add"] = int(operation["x"] in read)
            read.add(operation["x"])
            if operation["kind"] == KINDS.index("sum"):
                operation["add_other"] = int(operation["other"] in read)
                read.add(operation["other"])
        first = self.operations[0]
        return Program(
            operations=np.array([list(operation.values()) for operation in self.operations], dtype=np.int64),
            tables=np.concatenate([*self.tables, np.zeros(1, np.int64)]),
            segments=np.array(self.segments, dtype=np.int64),
            places=self.places,
            size=self.size,
            batch=self.batch,
            features=first["positions"] * first["in"],
            n_classes=logits.shape[0],
            stored=logits.stored,
            logits=logits.offset,
            n_dropouts=self.n_dropouts,
            values=self.values,
            scratch=self.scratch,
            turned=self.turned,
            spare=self.spare,
        )


def rounded(features: int) -> int:
    """Return how many numbers are stored for ``features``."""
    return -(-features // STORED) * STORED

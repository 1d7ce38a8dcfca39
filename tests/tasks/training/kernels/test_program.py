"""Programs against autograd: every layer forward and backward, of any size, and what is refused."""

from __future__ import annotations

import itertools
import math
import platform
from collections.abc import Sequence
from importlib.resources import files
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import r2_score
from torch import Tensor, nn
from torch.nn import functional

from hpbench.environment import find_compiler
from hpbench.errors import UsageError
from hpbench.tasks.networks.layers import Activation, Dropout
from hpbench.tasks.networks.maps import Convolution, GlobalAverage, MaxPool, group_norm
from hpbench.tasks.networks.sequences import GRU, Attention, LastPosition, PositionEmbedding, Rows
from hpbench.tasks.training.kernels.library import Workspace, library
from hpbench.tasks.training.kernels.lowering import followed, program_of
from hpbench.tasks.training.kernels.program import FIELDS, KINDS, Builder, Program
from hpbench.tasks.training.recipe import Recipe
from hpbench.tasks.training.updates import step_coefficients

Shape = tuple[int, ...]
needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C compiler: install gcc or set CC")
PLAIN = Recipe.of({"optimizer": "sgd", "learning_rate": 1.0, "batch_size": 1}, 1)


def inputs_of(shape: Shape, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return random inputs, as torch takes them and as rows with channels innermost."""
    inputs = torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))
    ordered = inputs.permute(0, 2, 3, 1) if len(shape) == 3 else inputs
    return inputs, ordered.reshape(count, -1).contiguous()


def packed(program: Program, module: nn.Module) -> Tensor:
    """Return a row with the parameters of ``module``."""
    row = torch.zeros(program.size)
    for name, parameter in module.named_parameters():
        place = program.places[name]
        place.view(row).copy_(parameter.detach().reshape(place.sizes))
    return row


BEYOND = 64
"""Numbers behind each of the library's buffers that must stay as they are."""


def guarded(program: Program) -> Workspace:
    """Return a workspace with sevens behind what ``program`` needs."""
    workspace = Workspace()
    for name, size in needed(program).items():
        workspace._buffers[name] = torch.full((size + BEYOND,), 7.0)
    return workspace


def needed(program: Program) -> dict[str, int]:
    """Return how many numbers of each buffer are ``program``'s own."""
    names = ("values", "scratch", "turned", "spare")
    return {name: getattr(program, name) for name in names} | {"grads": program.values, "g": program.size}


def gradients(
    module: nn.Module, shape: Shape, batch: int, targets: Tensor, *, rate: float = 0.0, smoothing: float = 0.0
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor, Program]:
    """Return the gradients of the library and of autograd, what the library's row holds after, and the program."""
    program = program_of(module, followed(module), shape, batch)
    inputs, rows = inputs_of(shape, batch)
    layers = [layer for layer in module.modules() if isinstance(layer, Dropout)]
    seeds = torch.arange(17, 17 + len(layers), dtype=torch.int32)
    for layer, seed in zip(layers, seeds, strict=True):
        layer.seed = seed
    outputs = module(inputs)
    if targets.is_floating_point():
        functional.mse_loss(outputs[:, 0], targets).backward()
    else:
        functional.cross_entropy(outputs, targets, label_smoothing=smoothing).backward()
    row = packed(program, module)
    p, (m, v) = row.clone(), torch.zeros(2, program.size)
    coefficients = step_coefficients(PLAIN, first=0, count=1, total=1, moments=0).astype(np.float32)
    coefficients[:, -1] = rate
    workspace = guarded(program)
    library().train(
        program,
        workspace,
        state=(p, m, v),
        examples=(rows, targets),
        order=torch.arange(batch)[None],
        coefficients=torch.from_numpy(coefficients),
        seeds=seeds[None],
        smoothing=smoothing,
    )
    for name, size in needed(program).items():
        assert (workspace._buffers[name][size:] == 7.0).all(), name
    found = {name: place.view(row - p).reshape(place.shape) for name, place in program.places.items()}
    wanted = {name: parameter.grad for name, parameter in module.named_parameters()}
    return found, {name: grad for name, grad in wanted.items() if grad is not None}, row - p, program


def check(module: nn.Module, shape: Shape, batch: int, classes: int, **options: float) -> None:
    """Check the library's gradients of every parameter, and that what pads them has none.

    One class is a regression: its targets are numbers.
    """
    generator = torch.Generator().manual_seed(1)
    targets = torch.randint(classes, (batch,), generator=generator)
    if classes == 1:
        targets = torch.randn(batch, generator=generator)
    found, wanted, rest, program = gradients(module, shape, batch, targets, **options)
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        torch.testing.assert_close(
            value, wanted[name], rtol=1e-4, atol=1e-5, msg=lambda text, n=name: f"{n}: {text}"
        )
    for place in program.places.values():
        place.view(rest).zero_()
    assert not rest.any()


def network(layers: Sequence[nn.Module], seed: int = 0) -> nn.Module:
    """Return the layers in a row, weights drawn from ``seed``."""
    module = nn.Sequential(*layers)
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        fan_in = max(1, parameter[0].numel())
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
    return module


@needs_compiler
@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 70), min_size=2, max_size=4),
    st.integers(1, 37),
    st.sampled_from(["relu", "tanh", "gelu", "silu"]),
    st.integers(2, 19),
    st.sampled_from([0.0, 0.3]),
)
def test_dense_networks_of_any_size_have_the_gradients_of_autograd(
    sizes: list[int], batch: int, activation: str, classes: int, rate: float
) -> None:
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), Activation(activation), Dropout(rate)]
    module = network([*layers, nn.Linear(sizes[-1], classes)])
    check(module, (sizes[0],), batch, classes, rate=rate, smoothing=0.1)


@needs_compiler
@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 70), min_size=1, max_size=3),
    st.integers(1, 37),
    st.sampled_from(["relu", "tanh", "gelu", "silu"]),
    st.sampled_from([0.0, 0.3]),
)
def test_regressions_of_any_size_have_the_gradients_of_autograd(
    sizes: list[int], batch: int, activation: str, rate: float
) -> None:
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), Activation(activation), Dropout(rate)]
    check(network([*layers, nn.Linear(sizes[-1], 1)]), (sizes[0],), batch, 1, rate=rate)


@needs_compiler
def test_a_convolutional_regression_has_the_gradients_of_autograd() -> None:
    layers = [Convolution(2, 5), Activation("relu"), MaxPool(), nn.Flatten(), nn.Linear(5 * 3 * 2, 1)]
    check(network(layers), (2, 6, 4), 7, 1)


@needs_compiler
@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 3), st.integers(2, 11), st.integers(2, 11)),
    st.lists(st.integers(1, 20), min_size=1, max_size=3),
    st.integers(1, 9),
    st.sampled_from(["relu", "tanh", "gelu"]),
    st.sampled_from([0.0, 0.4]),
)
def test_convolutional_networks_of_any_size_have_the_gradients_of_autograd(
    shape: Shape, maps: list[int], batch: int, activation: str, rate: float
) -> None:
    layers: list[nn.Module] = []
    fan_in, height, width = shape
    for fan_out in maps:
        layers += [Convolution(fan_in, fan_out), Activation(activation)]
        if min(height, width) >= 2:
            layers.append(MaxPool())
            height, width = height // 2, width // 2
        layers.append(Dropout(rate, per_channel=True))
        fan_in = fan_out
    module = network([*layers, nn.Flatten(), nn.Linear(fan_in * height * width, 5)])
    check(module, shape, batch, 5, rate=rate)


class Residual(nn.Module):
    """The sum of the input and of layers of it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.layers(inputs)


class Plus(nn.Module):
    """Adds a number to its input."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.number


class Twice(nn.Module):
    """Calls one layer two times; of two linear layers each once, with the first one's weight."""

    def __init__(self, layer: nn.Module, other: nn.Module | None = None) -> None:
        super().__init__()
        self.layer, self.other = layer, other
        self.second = layer
        if isinstance(layer, nn.Linear) and isinstance(other, nn.Linear):
            self.second = other
            other.weight = layer.weight

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.second(self.layer(inputs))
        return found


def block(width: int, heads: int, activation: str, rate: float) -> list[nn.Module]:
    """Return the layers of a transformer."""
    mixing = [nn.LayerNorm(width), nn.Linear(width, 3 * width), Attention(heads), nn.Linear(width, width)]
    forward = [
        nn.LayerNorm(width),
        nn.Linear(width, 2 * width),
        Activation(activation),
        nn.Linear(2 * width, width),
    ]
    return [Residual(*mixing, Dropout(rate)), Residual(*forward, Dropout(rate))]


@needs_compiler
@settings(max_examples=25)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 13), st.integers(1, 5)),
    st.sampled_from([(8, 1), (16, 2), (24, 3), (32, 2), (40, 1)]),
    st.integers(1, 7),
    st.integers(1, 2),
    st.sampled_from([0.0, 0.3]),
)
def test_transformers_of_any_size_have_the_gradients_of_autograd(
    shape: Shape, width: tuple[int, int], batch: int, depth: int, rate: float
) -> None:
    features, heads = width
    layers: list[nn.Module] = [
        Rows(),
        nn.Linear(shape[0] * shape[2], features),
        PositionEmbedding(shape[1], features),
    ]
    for _ in range(depth):
        layers += block(features, heads, "gelu", rate)
    module = network([*layers, nn.LayerNorm(features), GlobalAverage(), nn.Linear(features, 5)])
    check(module, shape, batch, 5, rate=rate)


@needs_compiler
@settings(max_examples=25)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 5)),
    st.lists(st.integers(1, 35), min_size=1, max_size=2),
    st.integers(1, 9),
    st.sampled_from([0.0, 0.3]),
)
def test_recurrent_networks_of_any_size_have_the_gradients_of_autograd(
    shape: Shape, widths: list[int], batch: int, rate: float
) -> None:
    layers: list[nn.Module] = [Rows()]
    fan_in = shape[0] * shape[2]
    for width in widths:
        layers += [GRU(fan_in, width), Dropout(rate)]
        fan_in = width
    module = network([*layers, LastPosition(), nn.Linear(fan_in, 4)])
    check(module, shape, batch, 4, rate=rate)


@needs_compiler
@settings(max_examples=25)
@given(
    st.tuples(st.integers(1, 3), st.integers(2, 9), st.integers(2, 9)),
    st.sampled_from([8, 16, 24]),
    st.integers(1, 6),
    st.integers(1, 2),
)
def test_residual_networks_of_any_size_have_the_gradients_of_autograd(
    shape: Shape, channels: int, batch: int, depth: int
) -> None:
    layers: list[nn.Module] = [Convolution(shape[0], channels)]
    for _ in range(depth):
        half = [group_norm(channels), Activation("relu"), Convolution(channels, channels)]
        other = [
            group_norm(channels),
            Activation("tanh"),
            Dropout(0.2, per_channel=True),
            Convolution(channels, channels),
        ]
        layers.append(Residual(*half, *other))
    pooled = [MaxPool()] if min(shape[1:]) > 2 else []
    module = network(
        [*layers, group_norm(channels), Activation("silu"), *pooled, GlobalAverage(), nn.Linear(channels, 3)]
    )
    check(module, shape, batch, 3, rate=0.2)


@needs_compiler
def test_a_linear_layer_acts_on_the_last_axis() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.each, self.flat, self.all = nn.Linear(5, 11), nn.Flatten(), nn.Linear(33, 4, bias=False)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.all(self.flat(self.each(inputs)))

    check(Tokens(), (3, 5), 6, 4)


@needs_compiler
@pytest.mark.parametrize(
    ("layers", "shape", "rate"),
    [
        ([nn.Flatten(), Dropout(0.3), nn.Linear(13, 3)], (13,), 0.3),
        ([Activation("tanh"), nn.Linear(13, 9), nn.Linear(9, 3)], (13,), 0.0),
        ([MaxPool(), Convolution(1, 5), nn.Flatten(), nn.Linear(80, 3)], (1, 8, 8), 0.0),
        ([MaxPool(), Dropout(0.3, per_channel=True), Convolution(3, 5), GlobalAverage(), nn.Linear(5, 3)], (3, 9, 5), 0.3),
        ([Rows(), nn.LayerNorm(8), Dropout(0.3), nn.Linear(8, 5), GlobalAverage(), nn.Linear(5, 3)], (1, 4, 8), 0.3),
        ([Rows(), Attention(1), LastPosition(), nn.Linear(8, 3)], (1, 4, 24), 0.0),
    ],
)  # fmt: skip
def test_layers_without_weights_may_come_first(layers: list[nn.Module], shape: Shape, rate: float) -> None:
    module = network(layers)
    for batch in (1, 7, 8):
        check(module, shape, batch, 3, rate=rate)
        module.zero_grad()


def test_what_follows_from_the_inputs_alone_has_no_gradient() -> None:
    layers = [Rows(), Dropout(0.3), nn.Linear(5, 8), Residual(Activation("relu")), GlobalAverage()]
    program = program_of(module := nn.Sequential(*layers), followed(module), (1, 4, 5), 2)
    assert program.operations[:, FIELDS.index("leaf")].tolist() == [1, 1, 0, 0, 0]


def test_tables_hold_places_beyond_32_bits() -> None:
    builder = Builder(1)
    builder.table(np.array([2**31 + 8]))
    assert builder.tables[0].tolist() == [2**31 + 8]


@needs_compiler
def test_scores_are_those_of_torch() -> None:
    module = network([nn.Flatten(), nn.Linear(prod((2, 3, 4)), 9), Activation("gelu"), nn.Linear(9, 6)])
    program = program_of(module, followed(module), (2, 3, 4), 8)
    inputs, rows = inputs_of((2, 3, 4), 21)
    targets = torch.randint(6, (21,), generator=torch.Generator().manual_seed(2))
    found = library().score(program, Workspace(), p=packed(program, module), inputs=rows, targets=targets)
    logits = module(inputs)
    assert (found.correct, found.total) == (int((logits.argmax(1) == targets).sum()), 21)
    assert found.loss == pytest.approx(float(functional.cross_entropy(logits, targets).detach()), rel=1e-5)


@needs_compiler
def test_scores_of_a_regression_are_1_less_scikit_learns_r2() -> None:
    module = network([nn.Flatten(), nn.Linear(5, 9), Activation("gelu"), nn.Linear(9, 1)])
    program = program_of(module, followed(module), (5,), 8)
    inputs, rows = inputs_of((5,), 21)
    targets = torch.randn(21, generator=torch.Generator().manual_seed(2)) + 3.0
    found = library().score(program, Workspace(), p=packed(program, module), inputs=rows, targets=targets)
    expected = 1.0 - r2_score(targets.numpy(), module(inputs)[:, 0].detach().numpy())
    assert (found.correct, found.total) == (None, None)
    assert found.loss == pytest.approx(expected, rel=1e-5)
    assert expected > 1.0


@needs_compiler
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_regression_that_is_not_finite_has_no_loss(value: float) -> None:
    module = network([nn.Flatten(), nn.Linear(4, 1)])
    module[1].bias.data[0] = value  # type: ignore[index, union-attr, operator]
    program = program_of(module, followed(module), (4,), 8)
    _, rows = inputs_of((4,), 10)
    targets = torch.arange(10, dtype=torch.float32)
    found = library().score(program, Workspace(), p=packed(program, module), inputs=rows, targets=targets)
    assert found.loss is None
    assert math.isnan(found.error)


@needs_compiler
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "silu"])
def test_a_weight_that_is_not_finite_shows_in_the_loss(value: float, activation: str) -> None:
    module = network([nn.Flatten(), nn.Linear(4, 9), Activation(activation), nn.Linear(9, 3)])
    program = program_of(module, followed(module), (4,), 8)
    with torch.no_grad():
        module[3].bias[1] = value  # type: ignore[index, union-attr]
        module[1].weight[2] = value if math.isnan(value) else 1.0  # type: ignore[index, union-attr]
    _, rows = inputs_of((4,), 10)
    targets = torch.zeros(10, dtype=torch.int64)
    found = library().score(program, Workspace(), p=packed(program, module), inputs=rows, targets=targets)
    assert found.loss is None


@needs_compiler
@pytest.mark.skipif(platform.machine() not in {"x86_64", "aarch64"}, reason="no such mode is known here")
def test_tiny_numbers_count_as_zero_inside_and_nowhere_else() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    program = program_of(module, followed(module), (4,), 8)
    tiny = torch.full((program.size,), 1e-39)
    p, (m, v) = tiny.clone(), torch.zeros(2, program.size)
    library().train(
        program,
        Workspace(),
        state=(p, m, v),
        examples=(torch.zeros(8, 4), torch.zeros(8, dtype=torch.int64)),
        order=torch.arange(8)[None],
        coefficients=torch.from_numpy(
            step_coefficients(PLAIN, first=0, count=1, total=1, moments=0).astype(np.float32)
        ),
        seeds=torch.zeros(1, 0, dtype=torch.int32),
        smoothing=0.0,
    )
    weights = program.places["1.weight"]
    assert not weights.view(p).any()  # without inputs there is no gradient
    assert weights.view(tiny).all()
    assert (tiny * 0.5).all()  # this thread still knows such numbers


@needs_compiler
def test_of_equal_logits_the_first_counts() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    for parameter in module.parameters():
        parameter.data.zero_()
    program = program_of(module, followed(module), (4,), 8)
    _, rows = inputs_of((4,), 3)
    found = library().score(
        program, Workspace(), p=packed(program, module), inputs=rows, targets=torch.tensor([0, 1, 2])
    )
    assert (found.correct, found.loss) == (1, pytest.approx(np.log(3)))


@pytest.mark.parametrize(
    ("layers", "shape", "named"),
    [
        ([nn.Flatten(), nn.Linear(4, 3), nn.Sigmoid()], (4,), "a layer Sigmoid"),
        ([Dropout(0.1), nn.Flatten(), nn.Linear(8, 3)], (2, 2, 2), "single numbers of maps"),
        ([nn.Linear(4, 12), nn.LayerNorm(12)], (4,), "LayerNorm other than over multiples of 8"),
        ([nn.Linear(4, 16), nn.LayerNorm(16, bias=False)], (4,), "LayerNorm other than"),
        ([nn.Linear(4, 16), nn.LayerNorm(16, eps=1e-3)], (4,), "LayerNorm other than"),
        ([Convolution(1, 16), nn.GroupNorm(1, 16)], (1, 4, 4), "GroupNorm other than"),
        (
            [Rows(), nn.Linear(4, 36), Attention(3)],
            (1, 4, 4),
            "3 heads that do not divide 12 features into multiples of 8",
        ),
        ([Rows(), PositionEmbedding(4, 4)], (1, 4, 4), "an embedding of the inputs themselves"),
        ([Rows(), PositionEmbedding(4, 24)], (3, 4, 8), "an embedding of the inputs themselves"),
        ([Residual(nn.Linear(13, 13))], (13,), "a sum of values that lie differently"),
        ([Rows(), Residual(nn.Linear(24, 24))], (3, 4, 8), "a sum of values that lie differently"),
        ([Rows(), GlobalAverage()], (3, 4, 8), "a GlobalAverage of numbers that lie in another order"),
        ([Rows(), LastPosition()], (3, 4, 8), "a LastPosition of numbers that lie in another order"),
        (
            [Convolution(1, 8), LastPosition()],
            (1, 8, 8),
            "a LastPosition of numbers that lie in another order",
        ),
        ([Rows(), Attention(1)], (3, 4, 8), "an attention of the inputs themselves"),
        ([Rows(), nn.LayerNorm(24)], (3, 4, 8), "LayerNorm other than"),
        ([nn.Flatten(), nn.LayerNorm(64)], (1, 8, 8), "LayerNorm other than"),
        ([Convolution(1, 8), nn.LayerNorm(8)], (1, 8, 8), "LayerNorm other than"),
        ([Rows(), nn.Linear(5, 8), nn.GroupNorm(1, 8)], (1, 8, 5), "GroupNorm other than"),
        ([nn.Linear(4, 3)], (2, 1, 4), "a Linear over the rows of maps"),
        ([Plus(1.0)], (4,), "the call of .*add"),
        ([Twice(nn.Linear(8, 8))], (8,), "a parameter that several layers share"),
        ([Twice(nn.Linear(8, 8), nn.Linear(8, 8))], (8,), "a parameter that several layers share"),
        ([Twice(Activation("relu"), nn.Linear(8, 8))], (8,), "a parameter that .* none uses"),
    ],
)
def test_layers_that_it_does_not_know_are_refused_by_name(
    layers: list[nn.Module], shape: Shape, named: str
) -> None:
    module = nn.Sequential(*layers)
    with pytest.raises(
        UsageError, match=f"must consist of Linear, .* got .*{named}.*; declare its family with"
    ):
        program_of(module, followed(module), shape, 2)


def test_the_call_of_a_function_is_refused() -> None:
    class Doubled(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return torch.sin(inputs)

    with pytest.raises(UsageError, match=r"got the call of .*sin"):
        program_of(Doubled(), followed(Doubled()), (4,), 2)


def test_the_fields_are_those_of_the_c_structure() -> None:
    source = files("hpbench.tasks.training.kernels").joinpath("kernels.c").read_text(encoding="utf-8")
    body = source.split("/* The same order as FIELDS in program.py. */")[1].split("} operation;")[0]
    lines = [line.split(";")[0].replace("int64_t", "") for line in body.splitlines() if "int64_t" in line]
    assert tuple(name.strip() for line in lines for name in line.split(",")) == FIELDS
    enumeration = source.split("enum { LINEAR,")[1].split("}")[0]
    assert tuple(f"linear,{enumeration}".lower().replace(" ", "").split(",")) == KINDS

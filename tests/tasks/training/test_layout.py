"""How parameters lie in a row: nothing is lost, and padding stays exactly zero."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from math import prod
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import functional_call

from hpbench.tasks import networks
from hpbench.tasks.networks.layers import ACTIVATIONS, Dropout
from hpbench.tasks.training.lanes import true_shapes
from hpbench.tasks.training.layout import ALIGNED, Layout, layout_of, padded_batch, padded_config

MLP = networks.REGISTRY.get("mlp")
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
Make = Callable[..., Any]


def config(**values: Any) -> dict[str, Any]:
    """Return the mlp's default configuration with changes, complete."""
    return {**MLP.space.complete(MLP.space.default_config()), "momentum": 0.9, **values}


def mlp_layout(**values: Any) -> tuple[Layout, torch.nn.Module]:
    """Return the layout of a configuration for five features and three classes, and its true module."""
    chosen = config(**values)
    return layout_of(MLP, chosen, (5,), 3), MLP.build(chosen, (5,), 3)


def packed(layout: Layout, module: torch.nn.Module) -> torch.Tensor:
    """Return the row of a module's parameters, packed over what was there before."""
    row = torch.full((layout.size,), 7.0)
    layout.pack({name: value.detach() for name, value in module.named_parameters()}, row)
    return row


@given(layers=st.integers(1, 4), width=st.integers(1, 150))
def test_what_is_packed_comes_back(layers: int, width: int) -> None:
    layout, module = mlp_layout(layers=layers, width=width)
    row = packed(layout, module)
    views = layout.views(row, true_shapes(module))
    for name, value in module.named_parameters():
        assert torch.equal(views[name], value)
    inside = sum(value.numel() for value in module.parameters())
    for view in views.values():
        view.zero_()
    assert not row.any()
    assert inside <= layout.size


def test_views_write_through() -> None:
    layout, module = mlp_layout(width=20)
    row = packed(layout, module)
    layout.views(row, true_shapes(module))["1.weight"][3, 4] = 42.0
    assert layout.views(row, true_shapes(module))["1.weight"][3, 4] == 42.0
    assert (row == 42.0).sum() == 1


@given(width=st.integers(1, 400))
def test_sizes_are_padded_to_the_bucket_and_to_whole_multiples(width: int) -> None:
    padded = padded_config(MLP, config(width=width))["width"]
    assert padded >= width
    assert padded % ALIGNED == 0
    buckets = MLP.buckets["width"]
    bucket = min((size for size in buckets if size >= width), default=width)
    assert padded - bucket < ALIGNED
    assert padded_config(MLP, config(width=padded))["width"] == padded


def test_only_bucketed_sizes_are_padded() -> None:
    chosen = config(width=17, layers=3, batch_size=19)
    assert padded_config(MLP, chosen) == {**chosen, "width": 32}
    assert chosen["width"] == 17


@given(batch_size=st.integers(1, 1000))
def test_batches_are_padded_to_whole_multiples(batch_size: int) -> None:
    rows = padded_batch(batch_size)
    assert rows % ALIGNED == 0
    assert 0 <= rows - batch_size < ALIGNED


@given(layers=st.integers(1, 3), width=st.integers(1, 200), features=st.integers(1, 70))
def test_every_row_ends_in_zeros_and_whole_multiples(layers: int, width: int, features: int) -> None:
    layout = layout_of(MLP, config(layers=layers, width=width), (features,), 3)
    used = sum(prod(shape) for shape in layout.shapes.values())
    assert layout.size % ALIGNED == 0
    assert ALIGNED < layout.size - used <= 2 * ALIGNED
    assert not layout.penalised[used:].any()
    assert layout.penalised.shape == (layout.size,)


def test_weights_are_penalised_and_biases_are_not() -> None:
    layout, _ = mlp_layout(width=16)
    shapes = {"1.weight": (16, 5), "1.bias": (16,), "4.weight": (3, 16), "4.bias": (3,)}
    assert layout.shapes == shapes
    marks = layout.views(layout.penalised, shapes)
    assert {name: mark.unique().tolist() for name, mark in marks.items()} == {
        "1.weight": [1.0],
        "1.bias": [0.0],
        "4.weight": [1.0],
        "4.bias": [0.0],
    }


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("layers", "width"), [(1, 17), (3, 33), (2, 1)])
def test_the_padded_network_gives_the_logits_of_the_true_one(
    activation: str, layers: int, width: int
) -> None:
    layout, module = mlp_layout(activation=activation, layers=layers, width=width, dropout=0.3)
    padded = layout.views(packed(layout, module), layout.shapes)
    tensors = padded | {
        f"{name}.coefficients": torch.tensor(ACTIVATIONS[activation]) for name in layout.activations
    }
    inputs = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
    layout.module.eval()
    module.eval()
    found, expected = functional_call(layout.module, tensors, (inputs,)), module(inputs)
    torch.testing.assert_close(found, expected)


def test_units_keep_their_masks_when_the_layer_and_the_batch_are_padded() -> None:
    layout, _ = mlp_layout(layers=2, width=17)
    counters = layout.counters(padded_batch(5), (5,), torch.device("cpu"))
    assert [tuple(item.shape) for item in counters] == [(16, 32)] * 2
    true = Dropout(0.5)
    true.prepare((5, 17), "cpu")
    assert all(torch.equal(item[:5, :17], true.counters) for item in counters)


def test_laying_out_leaves_the_module_in_training_and_torchs_generator_alone() -> None:
    before = torch.get_rng_state()
    layout, _ = layout_of(MLP, config(), (5,), 3), None
    layout.counters(16, (5,), torch.device("cpu"))
    assert layout.module.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(not layer._forward_pre_hooks for layer in layout.module.modules())


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("layers", [1, 2])
def test_padding_stays_exactly_zero_in_training(stacked: Make, activation: str, layers: int) -> None:
    own = stacked()
    cases = [
        (
            own.config(
                layers=layers,
                width=21,
                batch_size=30,
                activation=activation,
                optimizer=optimizer,
                dropout=dropout,
                l1=1e-3,
                weight_decay=0.1,
                label_smoothing=0.1,
                momentum=0.9,
                nesterov=True,
            ),
            0,
        )
        for optimizer, dropout in itertools.product(OPTIMIZERS, (0.0, 0.4))
    ]
    for lane in own.train(cases, 3):
        used = own.cohort.parameters(lane)
        assert all(view.any() for view in used.values())
        for tensor in (lane.p, lane.m, lane.v):
            rest = tensor.clone()
            layout = own.cohort._layout(lane.config)
            for view in layout.views(rest, true_shapes(lane.module)).values():
                view.zero_()
            assert not rest.any()

"""The fully connected family: what it builds and what it declares."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from hpbench.seeding import Stream
from hpbench.tasks.networks.layers import Activation, Dropout
from hpbench.tasks.networks.mlp import MLP
from hpbench.tasks.training.randomness import initial_module


def module(shape: tuple[int, ...] = (5,), n_classes: int = 3, **values: Any) -> nn.Module:
    """Return the default network with changes."""
    config = {**MLP.space.complete(MLP.space.default_config()), **values}
    return initial_module(MLP, config, shape, n_classes, Stream((0, "test")))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_layers_have_equal_width_and_an_activation_and_dropout_each(layers: int) -> None:
    found = module(layers=layers, width=17, activation="gelu", dropout=0.25)
    sizes = [
        (layer.in_features, layer.out_features) for layer in found.modules() if isinstance(layer, nn.Linear)
    ]
    assert sizes == [(5, 17), *[(17, 17)] * (layers - 1), (17, 3)]
    assert [layer.name for layer in found.modules() if isinstance(layer, Activation)] == ["gelu"] * layers
    rates = [layer.rate.item() for layer in found.modules() if isinstance(layer, Dropout)]
    assert rates == [0.25] * layers
    assert isinstance(list(found.children())[-1], nn.Linear)


@pytest.mark.parametrize("shape", [(5,), (1, 8, 8), (3, 4, 2)])
def test_any_input_becomes_logits(shape: tuple[int, ...]) -> None:
    assert module(shape)(torch.zeros(7, *shape)).shape == (7, 3)


def test_layers_start_as_torch_starts_them() -> None:
    found = module(width=64)
    first = next(layer for layer in found.modules() if isinstance(layer, nn.Linear))
    bound = 1 / 5**0.5
    assert first.weight.abs().max().item() <= bound
    assert first.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_the_default_configuration_is_the_cited_one() -> None:
    default = MLP.space.default_config()
    cited = {"layers": 1, "width": 100, "activation": "relu", "optimizer": "adam", "learning_rate": 1e-3}
    assert {name: default[name] for name in cited} == cited
    assert default["weight_decay"] == 1e-4
    assert "momentum" not in default
    MLP.space.check(default)


def test_names_that_the_family_declares_exist() -> None:
    names = {*MLP.space.names, *MLP.space.constants}
    assert {*MLP.shaping, *MLP.buckets, *MLP.limits} <= names
    assert MLP.inputs != "image"


def test_buckets_cover_the_range_in_order() -> None:
    sizes = MLP.buckets["width"]
    assert list(sizes) == sorted(set(sizes))
    width = MLP.space["width"]
    assert (sizes[0], sizes[-1]) == (width.low, width.high)  # type: ignore[union-attr]


def test_declaring_a_family_imports_no_torch() -> None:
    code = (
        "import sys; from hpbench.tasks.networks import REGISTRY as r; [r.get(n) for n in r.names()];"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

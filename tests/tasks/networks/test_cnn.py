"""The convolutional family: what it builds and what it declares."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hpbench.seeding import Stream
from hpbench.tasks.networks.cnn import CNN
from hpbench.tasks.networks.layers import Activation, Dropout
from hpbench.tasks.networks.maps import Convolution, MaxPool
from hpbench.tasks.training.randomness import initial_module


def module(shape: tuple[int, ...] = (1, 8, 8), n_classes: int = 10, **values: Any) -> nn.Module:
    """Return the default network with changes."""
    config = {**CNN.space.complete(CNN.space.default_config()), **values}
    return initial_module(CNN, config, shape, n_classes, Stream((0, "test")))


def test_a_block_is_convolution_activation_pooling_and_channel_dropout() -> None:
    kinds = [type(layer) for layer in module(layers=2).children()]
    block = [Convolution, Activation, MaxPool, Dropout]
    assert kinds == [*block, *block, nn.Flatten, nn.Linear]
    dropouts = [layer for layer in module(dropout=0.3).modules() if isinstance(layer, Dropout)]
    assert [(layer.per_channel, layer.rate.item()) for layer in dropouts] == [(True, pytest.approx(0.3))] * 2


def test_channels_follow_the_configuration() -> None:
    found = module((3, 8, 8), layers=3, channels=9)
    shapes = [tuple(layer.weight.shape[:2]) for layer in found.modules() if isinstance(layer, Convolution)]
    assert shapes == [(9, 3), (9, 9), (9, 9)]


@pytest.mark.parametrize(
    ("size", "pools"), [((3, 3), 0), ((4, 4), 1), ((7, 7), 1), ((8, 8), 2), ((28, 28), 3), ((3, 28), 0)]
)
def test_maps_are_halved_while_both_sides_are_at_least_four(size: tuple[int, int], pools: int) -> None:
    found = module((1, *size), layers=3)
    assert sum(isinstance(layer, MaxPool) for layer in found.modules()) == pools


@settings(max_examples=15)
@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12), st.integers(1, 4))
def test_images_of_any_size_become_logits(colours: int, height: int, width: int, layers: int) -> None:
    found = module((colours, height, width), layers=layers, channels=8)
    assert found(torch.zeros(2, colours, height, width)).shape == (2, 10)


def test_the_default_configuration_is_the_cited_one() -> None:
    default = CNN.space.default_config()
    cited = {"layers": 2, "channels": 32, "activation": "relu", "dropout": 0.25, "optimizer": "adam"}
    assert {name: default[name] for name in cited} == cited
    CNN.space.check(default)


def test_names_that_the_family_declares_exist() -> None:
    names = {*CNN.space.names, *CNN.space.constants}
    assert {*CNN.shaping, *CNN.buckets, *CNN.limits} <= names
    assert CNN.inputs == "image"


def test_buckets_cover_the_range_in_order() -> None:
    sizes = CNN.buckets["channels"]
    assert list(sizes) == sorted(set(sizes))
    channels = CNN.space["channels"]
    assert (sizes[0], sizes[-1]) == (channels.low, channels.high)  # type: ignore[union-attr]

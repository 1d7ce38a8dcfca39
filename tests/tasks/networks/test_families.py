"""What every family declares and builds, and what the defaults of those on images are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hpbench.seeding import Stream
from hpbench.tasks import networks
from hpbench.tasks.networks.base import NetworkFamily
from hpbench.tasks.networks.layers import Activation, Dropout
from hpbench.tasks.networks.maps import Convolution
from hpbench.tasks.networks.sequences import GRU, Attention, PositionEmbedding
from hpbench.tasks.training.randomness import initial_module

FAMILIES = [networks.REGISTRY.get(name) for name in networks.REGISTRY.names()]
every = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def module(
    family: NetworkFamily, shape: tuple[int, ...] = (1, 8, 8), n_classes: int = 10, **values: Any
) -> nn.Module:
    """Return the default network with changes."""
    config = {**family.space.complete(family.space.default_config()), **values}
    return initial_module(family, config, shape, n_classes, Stream((0, "test")))


def of(kind: type[Any], found: nn.Module) -> list[Any]:
    """Return the layers of a kind."""
    return [layer for layer in found.modules() if isinstance(layer, kind)]


@every
def test_names_that_a_family_declares_exist(family: NetworkFamily) -> None:
    names = {*family.space.names, *family.space.constants}
    assert {*family.shaping, *family.buckets, *family.limits} <= names
    assert set(family.buckets) <= set(family.shaping)


@every
def test_the_default_is_legal_and_cited(family: NetworkFamily) -> None:
    family.space.check(family.space.default_config())
    assert "Kingma" in family.citation
    assert family.space.default_config()["learning_rate"] == 1e-3


@every
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 9), (1, 4, 4)])
def test_images_become_logits(family: NetworkFamily, shape: tuple[int, ...]) -> None:
    assert module(family, shape, 7).eval()(torch.zeros(5, *shape)).shape == (5, 7)


@every
def test_random_configurations_build_and_have_finite_gradients(family: NetworkFamily) -> None:
    for seed in range(5):
        config = family.space.complete(family.space.sample(np.random.default_rng(seed)))
        found = initial_module(family, config, (1, 8, 8), 10, Stream((seed, "test")))
        found(torch.randn(4, 1, 8, 8)).square().sum().backward()
        assert all(parameter.grad is not None for parameter in found.parameters())
        assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in found.parameters())


@every
def test_an_examples_logits_do_not_depend_on_its_batch(family: NetworkFamily) -> None:
    found = module(family).train()
    for layer in of(Dropout, found):
        layer.rate.zero_()
        layer._silent = True
    inputs = torch.randn(6, 1, 8, 8)
    alike = torch.allclose(found(inputs)[:2], found(inputs[:2]), atol=1e-5)
    assert alike is (family.name != "resnet-batchnorm")


def test_logistic_regression_is_one_linear_layer() -> None:
    found = module(networks.REGISTRY.get("logistic"))
    assert [layer.weight.shape for layer in of(nn.Linear, found)] == [(10, 64)]
    assert "dropout" not in networks.REGISTRY.get("logistic").space.names


@pytest.mark.parametrize("layers", [1, 2])
def test_the_recurrent_network_reads_rows(layers: int) -> None:
    found = module(networks.REGISTRY.get("rnn"), (3, 8, 5), layers=layers, width=21)
    assert [layer.weight.shape for layer in of(GRU, found)] == [(3, 21, 15), (3, 21, 21)][:layers]
    assert len(of(Dropout, found)) == layers


def test_recurrent_layers_are_torchs() -> None:
    own, theirs = GRU(5, 7), nn.GRU(5, 7, batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(own.weight.flatten(0, 1))
        theirs.weight_hh_l0.copy_(own.hidden.flatten(0, 1))
        theirs.bias_ih_l0.copy_(torch.cat([own.reset, own.update, own.new]))
        theirs.bias_hh_l0.copy_(torch.cat([torch.zeros(14), own.inner]))
    inputs = torch.randn(3, 6, 5)
    torch.testing.assert_close(own(inputs), theirs(inputs)[0])
    own.per_lane = True
    torch.testing.assert_close(own(inputs), theirs(inputs)[0])


def test_both_forms_of_attention_agree() -> None:
    layer, inputs = Attention(2), torch.randn(3, 5, 48)
    plain = layer(inputs)
    layer.per_lane = True
    torch.testing.assert_close(layer(inputs), plain)


def test_the_transformer_has_two_sublayers_a_block_and_normalises_before_each() -> None:
    found = module(networks.REGISTRY.get("transformer"), (3, 8, 5), layers=3, width=32, ratio=2, heads=4)
    assert [layer.weight.shape for layer in of(PositionEmbedding, found)] == [(8, 32)]
    assert [layer.heads for layer in of(Attention, found)] == [4] * 3
    assert len(of(nn.LayerNorm, found)) == 2 * 3 + 1
    sizes = [(layer.in_features, layer.out_features) for layer in of(nn.Linear, found)]
    assert sizes == [(15, 32), *[(32, 96), (32, 32), (32, 64), (64, 32)] * 3, (32, 10)]


@pytest.mark.parametrize(("name", "norm"), [("resnet", nn.GroupNorm), ("resnet-batchnorm", nn.BatchNorm2d)])
def test_residual_networks_normalise_before_every_convolution_but_the_first(
    name: str, norm: type[nn.Module]
) -> None:
    found = module(networks.REGISTRY.get(name), layers=2, channels=32)
    assert len(of(norm, found)) == 2 * 2 + 1
    assert [layer.weight.shape[:2] for layer in of(Convolution, found)] == [(32, 1), *[(32, 32)] * 4]
    assert len(of(Activation, found)) == 2 * 2 + 1


def test_batch_normalisation_is_for_the_reference_trainer_alone() -> None:
    family = networks.REGISTRY.get("resnet-batchnorm")
    assert (family.cohort, family.compiled) == (False, False)

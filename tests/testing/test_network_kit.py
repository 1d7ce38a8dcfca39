"""The families here pass the kit; and the kit catches what it promises to catch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hpbench.environment import find_compiler
from hpbench.errors import UsageError
from hpbench.space import Float, Integer
from hpbench.tasks.networks import REGISTRY, NetworkFamily, training_space
from hpbench.tasks.networks.layers import Dropout
from hpbench.testing.network_kit import NetworkConformance


class TestEveryBuiltIn(NetworkConformance):
    configs = 1

    @pytest.fixture(autouse=True, params=sorted(REGISTRY.builtin))
    def network_under_test(self, request: pytest.FixtureRequest) -> None:
        self.network = request.param


SPACE = training_space(Integer("width", 4, 16))


def build(config: Any, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Return an honest network."""
    width, features = config["width"], int(np.prod(input_shape))
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(features, width),
        Dropout(config["dropout"]),
        nn.ReLU(),
        nn.Linear(width, n_classes),
    )


HONEST = NetworkFamily("kit-honest", SPACE, build)


class Wrapped(nn.Module):
    """Does something to the logits of the honest network."""

    def __init__(self, inner: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner = inner
        self.change = change

    def forward(self, inputs: Tensor) -> Tensor:
        return self.change(self.inner(inputs))


def altered(change: Callable[[Tensor], Tensor]) -> NetworkFamily:
    """Return the honest family with its logits changed."""
    return replace(HONEST, build=lambda *given: Wrapped(build(*given), change))


def images_only(config: Any, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    channels, height, width = input_shape
    return build(config, (channels, height, width), n_classes)


def idle(*given: Any) -> nn.Module:
    module = build(*given)
    module.idle = nn.Parameter(torch.randn(2))
    return module


def constant(*given: Any) -> nn.Module:
    module = build(*given)
    for parameter in module.parameters():
        nn.init.constant_(parameter, 0.1)
    return module


def numpy_weights(*given: Any) -> nn.Module:
    module = build(*given)
    for parameter in module.parameters():
        parameter.data *= np.random.random()  # noqa: NPY002 - that is the fault
    return module


def deaf(config: Any, *given: Any) -> nn.Module:
    return build({**config, "dropout": 0.1}, *given)


def without_dropout(_config: Any, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(input_shape)), n_classes))


class Rising:
    """Builds a network that depends on how many were built before."""

    def __init__(self, step: float = 1e-3) -> None:
        self.built = 0
        self.step = step

    def __call__(self, *given: Any) -> nn.Module:
        self.built += 1
        factor = 1 + self.step * self.built
        return Wrapped(build(*given), lambda logits: logits * factor)


RISING = replace(HONEST, build=Rising(1.0), cohort=True)
COMPILED = replace(HONEST, compiled=True)

BROKEN: list[tuple[str, NetworkFamily, type[Exception], str]] = [
    ("the_family_describes_itself", replace(HONEST, shaping=("depth",)), AssertionError, "depth"),
    ("it_maps_inputs_to_logits", replace(HONEST, build=images_only), ValueError, "not enough values"),
    ("it_maps_inputs_to_logits", altered(lambda x: x[:, :2]), AssertionError, "gave logits"),
    ("it_maps_inputs_to_logits", altered(lambda x: x.double()), AssertionError, "must be float32"),
    ("it_maps_inputs_to_logits", altered(lambda x: x / 0), AssertionError, "not finite"),
    ("every_parameter_gets_a_finite_gradient", replace(HONEST, build=idle), AssertionError, "idle takes no"),
    (
        "every_parameter_gets_a_finite_gradient",
        altered(lambda x: (x * 0).sqrt()),
        AssertionError,
        "not finite",
    ),
    (
        "the_seed_alone_decides_the_weights",
        replace(HONEST, build=numpy_weights),
        AssertionError,
        "changed a glob",
    ),
    ("the_seed_alone_decides_the_weights", replace(HONEST, build=constant), AssertionError, "another seed"),
    (
        "training_draws_from_no_global_generator",
        altered(functional.dropout),
        AssertionError,
        "global generator",
    ),
    ("dropout_is_there_if_it_is_searched", replace(HONEST, build=deaf), AssertionError, "rate of 0.25"),
    (
        "dropout_is_there_if_it_is_searched",
        replace(HONEST, build=without_dropout),
        AssertionError,
        "leave it out",
    ),
    (
        "an_example_is_scored_for_itself",
        altered(lambda x: x - x.mean(dim=0)),
        AssertionError,
        "other company",
    ),
    (
        "what_shapes_the_network_is_declared",
        replace(HONEST, shaping=("batch_size",)),
        AssertionError,
        "width shapes",
    ),
    (
        "the_same_trials_give_the_same_results",
        replace(HONEST, build=Rising()),
        AssertionError,
        "other results",
    ),
    ("stacked_lanes_are_those_of_the_reference_trainer", RISING, AssertionError, "a lane's loss is"),
    ("compiled_lanes_are_those_of_the_reference_trainer", COMPILED, UsageError, "must consist of"),
]
"""A promise, a family that breaks it, and what is said."""


@pytest.fixture
def conforming() -> Iterator[Callable[[NetworkFamily], NetworkConformance]]:
    """A maker of kits for families that are registered while a test runs."""

    def make(family: NetworkFamily) -> NetworkConformance:
        REGISTRY.add(family.name, family)
        kit = NetworkConformance()
        kit.network, kit.configs = family.name, 1
        return kit

    yield make
    REGISTRY.reset()


def promises() -> list[str]:
    """Return the names of the kit's tests."""
    return [name.removeprefix("test_") for name in dir(NetworkConformance) if name.startswith("test_")]


def test_every_promise_has_a_family_that_breaks_it() -> None:
    assert sorted({promise for promise, *_ in BROKEN}) == promises()


@pytest.mark.parametrize(("promise", "family", "kind", "message"), BROKEN)
def test_a_broken_promise_is_caught(
    conforming: Callable[..., NetworkConformance],
    promise: str,
    family: NetworkFamily,
    kind: type[Exception],
    message: str,
) -> None:
    if promise.startswith("compiled") and find_compiler() is None:
        pytest.skip("compiled training needs a C compiler: install gcc or set CC")
    kit = conforming(family)
    with pytest.raises(kind, match=message):
        getattr(kit, f"test_{promise}")()


@pytest.mark.parametrize("promise", promises())
def test_a_plain_network_passes(conforming: Callable[..., NetworkConformance], promise: str) -> None:
    kit = conforming(HONEST)
    lanes = "lanes" in promise
    try:
        getattr(kit, f"test_{promise}")()
    except SkipTest:
        assert lanes
    else:
        assert not lanes


def test_vectors_and_no_dropout_will_do(conforming: Callable[..., NetworkConformance]) -> None:
    space = training_space(Float("scale", 0.5, 2.0), without=["dropout"])
    kit = conforming(NetworkFamily("kit-linear", space, without_dropout))
    kit.dataset = "iris"
    for promise in promises():
        if "lanes" not in promise:
            getattr(kit, f"test_{promise}")()

"""Reading how a trial is trained from its configuration."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpbench.tasks.networks import REGISTRY
from hpbench.tasks.training.recipe import Recipe

SPACE = REGISTRY.get("mlp").space


def recipe(n_train: int = 1000, **values: Any) -> Recipe:
    """Return the recipe of the default configuration with changes."""
    return Recipe.of({**SPACE.complete(SPACE.default_config()), **values}, n_train)


def test_every_value_of_a_configuration_arrives() -> None:
    config = {
        "learning_rate": 0.05,
        "batch_size": 64,
        "dropout": 0.25,
        "l1": 1e-5,
        "weight_decay": 1e-3,
        "optimizer": "sgd",
        "momentum": 0.8,
        "nesterov": True,
        "schedule": "cosine",
        "label_smoothing": 0.1,
    }
    assert recipe(**config) == Recipe(**config)


def test_the_families_default_is_adam() -> None:
    found = recipe()
    assert (found.optimizer, found.learning_rate, found.batch_size) == ("adam", 1e-3, 32)
    assert (found.schedule, found.label_smoothing, found.nesterov, found.momentum) == (
        "constant",
        0.0,
        False,
        0.0,
    )


def test_what_a_configuration_lacks_is_off() -> None:
    found = Recipe.of({}, 100)
    assert (found.dropout, found.l1, found.weight_decay, found.label_smoothing, found.momentum) == (0.0,) * 5
    assert (found.nesterov, found.schedule) == (False, "constant")


@pytest.mark.parametrize(("momentum", "expected"), [(0.0, False), (0.9, True)])
def test_nesterov_needs_momentum(momentum: float, expected: bool) -> None:  # noqa: FBT001 - parametrised
    assert recipe(optimizer="sgd", nesterov=True, momentum=momentum).nesterov is expected


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_batch_is_never_larger_than_the_training_part(batch_size: int, n_train: int) -> None:
    assert recipe(n_train, batch_size=batch_size).batch_size == min(batch_size, n_train)


@given(st.floats(1e-12, 1e3), st.floats(0.0, 1.0))
def test_numbers_arrive_bit_for_bit(learning_rate: float, l1: float) -> None:
    found = recipe(learning_rate=learning_rate, l1=l1)
    assert (found.learning_rate, found.l1) == (learning_rate, l1)


def test_an_infinite_learning_rate_arrives_too() -> None:
    assert math.isinf(recipe(learning_rate=math.inf).learning_rate)


def test_whole_numbers_are_taken_for_floats() -> None:
    found = recipe(learning_rate=1, weight_decay=0)
    assert (type(found.learning_rate), type(found.weight_decay)) == (float, float)

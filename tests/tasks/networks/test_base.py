"""What every family shares: the hyperparameters of training, their ends and their defaults."""

from __future__ import annotations

import re

import pytest

from hpbench.errors import UsageError
from hpbench.space import Categorical, Float, Integer, SearchSpace
from hpbench.tasks.networks import REGISTRY
from hpbench.tasks.networks.base import (
    TRAINING_CONSTANTS,
    TRAINING_DEFAULTS,
    TRAINING_LIMITS,
    NetworkFamily,
    training_parameters,
)

FAMILIES = [REGISTRY.get(name) for name in ("cnn", "mlp")]


def ends(parameter: Float | Integer | Categorical) -> tuple[float, float] | None:
    """Return the lowest and the highest number that a parameter can be; None if it holds words."""
    if isinstance(parameter, Categorical):
        if any(isinstance(choice, str) for choice in parameter.choices):
            return None
        return min(map(float, parameter.choices)), max(map(float, parameter.choices))
    return parameter.low, parameter.high


def test_momentum_exists_only_for_sgd() -> None:
    space = SearchSpace(training_parameters(), TRAINING_CONSTANTS, TRAINING_DEFAULTS)
    assert space.conditional
    sgd = space.active({**space.default_values(), "optimizer": "sgd"})
    assert sgd["momentum"] == 0.9
    for optimizer in ("adam", "adamw", "rmsprop"):
        assert "momentum" not in space.active({**space.default_values(), "optimizer": optimizer})


def test_defaults_and_constants_cover_the_shared_hyperparameters() -> None:
    names = {parameter.name for parameter in training_parameters()}
    assert names == set(TRAINING_DEFAULTS)
    assert not names & set(TRAINING_CONSTANTS)
    for parameter in training_parameters():
        assert parameter.contains(TRAINING_DEFAULTS[parameter.name])


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_ranges_lie_within_the_limits(family: NetworkFamily) -> None:
    assert set(TRAINING_LIMITS) <= set(family.limits)
    for parameter in family.space.parameters:
        found = ends(parameter)
        if found is not None:
            lowest, highest = family.limits[parameter.name]
            assert lowest <= found[0] <= found[1] <= highest


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_says_where_it_comes_from(family: NetworkFamily) -> None:
    assert re.search(r"\b(19|20)\d\d\b", family.citation)
    assert family.name in REGISTRY.names()


def test_an_unknown_family_is_a_clear_error() -> None:
    with pytest.raises(
        UsageError, match=r"unknown network 'cn'\. Did you mean 'cnn'\? Known: cnn, logistic, mlp, "
    ):
        REGISTRY.get("cn")

"""The one update rule against torch's optimisers, lane by lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hpbench.tasks.training.randomness import learning_rate_factors
from hpbench.tasks.training.recipe import Recipe
from hpbench.tasks.training.reference import make_optimizer
from hpbench.tasks.training.updates import N_COEFFICIENTS, apply_update, dropout_rate, step_coefficients

STEPS = 20
N = 12
PENALISED = torch.tensor([1.0] * 8 + [0.0] * 4)
"""Eight weights and four biases."""
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")


def recipe(**values: Any) -> Recipe:
    """Return a recipe with plain SGD unless told otherwise."""
    plain = {"optimizer": "sgd", "learning_rate": 0.01, "momentum": 0.0}
    return Recipe.of({**plain, **values}, 100)


def gradients(seed: int = 0) -> Tensor:
    """Return a gradient for every step, shape ``(STEPS, N)``."""
    return torch.randn(STEPS, N, generator=torch.Generator().manual_seed(seed))


def start(seed: int = 0) -> Tensor:
    """Return parameters, shape ``(N,)``."""
    return torch.randn(N, generator=torch.Generator().manual_seed(100 + seed))


def by_torch(own: Recipe, seed: int = 0, total: int = STEPS) -> Tensor:
    """Return the parameters after all steps of the optimiser that the reference trainer uses."""
    module = torch.nn.Module()
    module.p = torch.nn.Parameter(start(seed).double())
    optimizer = make_optimizer(module, own)
    factors = learning_rate_factors(own.schedule, 0, STEPS, total)
    for gradient, factor in zip(gradients(seed).double(), factors, strict=True):
        optimizer.param_groups[0]["lr"] = own.learning_rate * factor
        shrink = own.l1 * PENALISED.double() * module.p.detach().sign()
        module.p.grad = gradient + shrink
        optimizer.step()
    return module.p.detach().float()


def by_rule(
    recipes: Sequence[Recipe], seeds: Sequence[int], total: int = STEPS, stops: tuple[int, ...] = (STEPS,)
) -> tuple[Tensor, Tensor, Tensor]:
    """Return parameters and moments of all lanes after all steps, taken together."""
    p = torch.stack([start(seed) for seed in seeds])
    m, v = torch.zeros_like(p), torch.zeros_like(p)
    g = torch.stack([gradients(seed) for seed in seeds], dim=1)
    first = 0
    for stop in stops:
        lanes = [
            step_coefficients(own, first=first, count=stop - first, total=total, moments=first)
            for own in recipes
        ]
        coefficients = torch.from_numpy(np.stack(lanes, axis=1).astype(np.float32))
        for step in range(first, stop):
            apply_update(p, m, v, g[step], coefficients[step - first], PENALISED)
        first = stop
    return p, m, v


VARIED = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    {"weight_decay": 0.3, "l1": 0.01, "schedule": "cosine"},
    {"momentum": 0.5, "weight_decay": 0.3, "l1": 0.01},
    {"optimizer": "adam"},
    {"optimizer": "adam", "weight_decay": 0.1, "l1": 0.1, "schedule": "cosine"},
    {"optimizer": "adamw"},
    {"optimizer": "adamw", "weight_decay": 0.5, "learning_rate": 0.1, "schedule": "cosine"},
    {"optimizer": "adamw", "weight_decay": 0.5, "l1": 0.1},
    {"optimizer": "rmsprop"},
    {"optimizer": "rmsprop", "weight_decay": 0.1, "l1": 0.1},
]


@pytest.mark.parametrize("values", VARIED, ids=str)
def test_the_rule_is_torchs_optimiser(values: dict[str, Any]) -> None:
    own = recipe(**values)
    p, _, _ = by_rule([own], [0])
    torch.testing.assert_close(p[0], by_torch(own), rtol=2e-5, atol=2e-6)


def test_lanes_with_different_optimisers_take_their_steps_in_one_call() -> None:
    recipes = [recipe(**values) for values in VARIED]
    seeds = list(range(len(recipes)))
    p, m, v = by_rule(recipes, seeds)
    for place, (own, seed) in enumerate(zip(recipes, seeds, strict=True)):
        torch.testing.assert_close(p[place], by_torch(own, seed), rtol=2e-5, atol=2e-6)
        alone = by_rule([own], [seed])
        assert all(torch.equal(one[place], other[0]) for one, other in zip((p, m, v), alone, strict=True))


@settings(max_examples=60)
@given(
    optimizer=st.sampled_from(OPTIMIZERS),
    learning_rate=st.floats(1e-4, 0.1),
    momentum=st.floats(0.0, 0.99),
    nesterov=st.booleans(),
    weight_decay=st.floats(0.0, 0.5),
    l1=st.floats(0.0, 0.1),
    schedule=st.sampled_from(["constant", "cosine"]),
    seed=st.integers(0, 50),
)
def test_the_rule_is_torchs_optimiser_whatever_the_hyperparameters(seed: int, **values: Any) -> None:
    own = recipe(**values)
    # where a parameter crosses zero, L1 turns around, and rounding decides in which step
    crossing = own.l1 > 0.0
    found, expected = by_rule([own], [seed], total=50)[0][0], by_torch(own, seed, total=50)
    near = torch.isclose(found, expected, rtol=5e-5, atol=5e-6)
    if crossing:
        near |= expected.abs() < 0.1
    assert near.all()


@pytest.mark.parametrize("values", VARIED, ids=str)
def test_coefficients_in_two_parts_are_those_in_one(values: dict[str, Any]) -> None:
    own = recipe(**values)
    whole, parts = by_rule([own], [3]), by_rule([own], [3], stops=(1, 7, STEPS))
    assert all(torch.equal(one, other) for one, other in zip(whole, parts, strict=True))


@pytest.mark.parametrize("values", VARIED, ids=str)
def test_what_is_zero_without_a_gradient_stays_exactly_zero(values: dict[str, Any]) -> None:
    own = recipe(**values)
    p, m, v = (torch.zeros(2, 3) for _ in range(3))
    rows = step_coefficients(own, first=0, count=5, total=5, moments=0)
    for row in torch.from_numpy(rows.astype(np.float32)):
        apply_update(p, m, v, torch.zeros(2, 3), torch.stack([row, row]), torch.ones(3))
    assert not any(tensor.any() for tensor in (p, m, v))


def test_without_momentum_the_moment_rests_as_in_torch() -> None:
    p, v, g = torch.ones(2, N), torch.zeros(2, N), torch.ones(2, N)
    m = torch.full((2, N), 0.25)
    row = torch.from_numpy(
        step_coefficients(recipe(), first=0, count=1, total=1, moments=0).astype(np.float32)
    )
    apply_update(p, m, v, g, row.expand(2, -1), PENALISED)
    assert torch.equal(m, torch.full((2, N), 0.25))
    torch.testing.assert_close(p, torch.full((2, N), 0.99))


def test_biases_are_decayed_but_not_penalised() -> None:
    zero = torch.zeros(1, N)
    for values, shrunk in (({"l1": 0.1}, PENALISED), ({"weight_decay": 0.1}, torch.ones(N))):
        p, m, v = torch.ones(1, N), zero.clone(), zero.clone()
        rows = step_coefficients(recipe(**values), first=0, count=1, total=1, moments=0)
        apply_update(p, m, v, zero.clone(), torch.from_numpy(rows.astype(np.float32)), PENALISED)
        torch.testing.assert_close(p[0], 1 - 0.01 * 0.1 * shrunk)


def test_the_schedule_goes_on_where_the_steps_began() -> None:
    own = recipe(schedule="cosine")
    whole = step_coefficients(own, first=0, count=10, total=20, moments=0)
    rest = step_coefficients(own, first=6, count=4, total=20, moments=6)
    np.testing.assert_array_equal(whole[6:], rest)


def test_bias_corrections_count_from_when_the_moments_were_zero() -> None:
    own = recipe(optimizer="adam")
    fresh = step_coefficients(own, first=0, count=3, total=9, moments=0)
    reset = step_coefficients(own, first=5, count=3, total=9, moments=0)
    np.testing.assert_array_equal(fresh, reset)
    assert not np.array_equal(fresh, step_coefficients(own, first=5, count=3, total=9, moments=5))


def test_every_lane_has_its_own_dropout_rate() -> None:
    rows = [
        step_coefficients(recipe(dropout=rate), first=0, count=1, total=1, moments=0)[0]
        for rate in (0.0, 0.25, 0.5)
    ]
    coefficients = torch.from_numpy(np.stack(rows))
    assert coefficients.shape == (3, N_COEFFICIENTS)
    assert dropout_rate(coefficients).tolist() == [0.0, 0.25, 0.5]

"""Weights, orders, dropout seeds and schedules: drawn on the CPU, from named streams alone."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hpbench.seeding import Stream, training_stream
from hpbench.tasks.networks import REGISTRY
from hpbench.tasks.networks.layers import Dropout
from hpbench.tasks.training.randomness import (
    batch_order,
    dropout_key,
    initial_module,
    learning_rate_factors,
    step_seeds,
)
from hpbench.testing import global_generators

STREAM = training_stream(0, "task", 0)


def weights(stream: Stream, **values: float | str) -> dict[str, Tensor]:
    """Return the initial weights of an mlp."""
    family = REGISTRY.get("mlp")
    config = {**family.space.complete(family.space.default_config()), **values}
    return initial_module(family, config, (4,), 3, stream).state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Return whether two states are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# initial weights


def test_equal_streams_give_equal_weights_whatever_happened_before() -> None:
    first = weights(STREAM)
    with global_generators.preserved():
        global_generators.seed_all(99)
        torch.rand(17)
        assert same(weights(STREAM), first)


@pytest.mark.parametrize(
    "other", [training_stream(0, "task", 1), training_stream(1, "task", 0), STREAM.child(4)]
)
def test_other_streams_give_other_weights(other: Stream) -> None:
    assert not same(weights(STREAM), weights(other))


def test_what_does_not_shape_the_network_does_not_change_its_weights() -> None:
    changed = weights(
        STREAM, learning_rate=0.1, dropout=0.5, activation="gelu", optimizer="sgd", batch_size=128
    )
    assert same(weights(STREAM), changed)


def test_torchs_global_generator_is_lent_and_put_back() -> None:
    with global_generators.preserved():
        global_generators.seed_all(5)
        before = global_generators.fingerprint()
        weights(STREAM)
        assert global_generators.fingerprint() == before


def test_the_generator_is_put_back_even_if_building_fails() -> None:
    before = global_generators.fingerprint()
    with pytest.raises(TypeError):
        weights(STREAM, layers=())  # type: ignore[arg-type]
    assert global_generators.fingerprint() == before


def test_weights_are_drawn_on_the_cpu_whatever_the_device() -> None:
    assert {value.device.type for value in weights(STREAM).values()} == {"cpu"}


def test_initial_weights_have_golden_values() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(STREAM.child("weights").integer64())
        plain = nn.Linear(4, 100)
    assert torch.equal(weights(STREAM)["1.weight"], plain.weight)


# batch orders


@settings(max_examples=40)
@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 50))
def test_an_order_is_a_permutation_without_the_rest(n_train: int, batch_size: int, epoch: int) -> None:
    batch_size = min(batch_size, n_train)
    order = batch_order(STREAM, epoch, n_train, batch_size)
    assert order.shape == (n_train // batch_size, batch_size)
    assert (order.dtype, order.device.type) == (torch.int64, "cpu")
    seen = order.flatten().tolist()
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(range(n_train))


def test_every_epoch_has_an_order_of_its_own_that_can_be_drawn_at_any_time() -> None:
    orders = [batch_order(STREAM, epoch, 40, 8) for epoch in range(5)]
    assert len({tuple(order.flatten().tolist()) for order in orders}) == 5
    assert torch.equal(batch_order(STREAM, 3, 40, 8), orders[3])
    assert not torch.equal(batch_order(training_stream(0, "task", 1), 3, 40, 8), orders[3])


def test_the_batch_size_cuts_the_same_permutation() -> None:
    fine, coarse = batch_order(STREAM, 0, 40, 4), batch_order(STREAM, 0, 40, 20)
    assert torch.equal(fine.flatten(), coarse.flatten())


def test_an_order_has_golden_values() -> None:
    assert batch_order(STREAM, 0, 10, 5).tolist() == [[1, 5, 0, 3, 9], [2, 6, 8, 7, 4]]


def test_the_examples_that_sit_out_change_from_epoch_to_epoch() -> None:
    left = [set(range(10)) - set(batch_order(STREAM, epoch, 10, 4).flatten().tolist()) for epoch in range(20)]
    assert all(len(rest) == 2 for rest in left)
    assert set().union(*left) == set(range(10))


# dropout seeds


def test_the_key_is_31_bits_of_a_stream_of_its_own() -> None:
    assert 0 <= dropout_key(STREAM) < 2**31
    assert dropout_key(STREAM) == STREAM.child("dropout").integer()
    assert dropout_key(STREAM) != dropout_key(training_stream(0, "task", 1))


def lowbias32(state: int) -> int:
    """Ellis's hash in plain unsigned arithmetic."""
    state %= 2**32
    state ^= state >> 16
    state = state * 0x7FEB352D % 2**32
    state ^= state >> 15
    state = state * 0x846CA68B % 2**32
    return state ^ (state >> 16)


@given(
    st.integers(0, 2**31 - 1), st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6), st.integers(1, 12)
)
def test_seeds_are_a_hash_of_key_step_and_layer(key: int, steps: list[int], n_layers: int) -> None:
    found = step_seeds(key, torch.tensor(steps, dtype=torch.int32), n_layers)
    assert (found.shape, found.dtype) == ((len(steps), n_layers), torch.int32)
    expected = [
        [lowbias32(lowbias32(step * 374761393 + key) + layer * 668265263) for layer in range(n_layers)]
        for step in steps
    ]
    assert [[value % 2**32 for value in row] for row in found.tolist()] == expected


def test_seeds_of_all_steps_and_layers_differ() -> None:
    found = step_seeds(dropout_key(STREAM), torch.arange(5000, dtype=torch.int32), 3)
    assert len(found.unique()) == found.numel()


def test_seeds_do_not_depend_on_which_steps_are_asked_together() -> None:
    together = step_seeds(7, torch.arange(10, dtype=torch.int32), 2)
    assert torch.equal(step_seeds(7, torch.arange(6, 10, dtype=torch.int32), 2), together[6:])
    assert torch.equal(step_seeds(7, torch.arange(10, dtype=torch.int32), 4)[:, :2], together)


def test_keys_of_several_trials_broadcast() -> None:
    keys = torch.tensor([[3], [2**31 - 1]], dtype=torch.int32)
    steps = torch.arange(4, dtype=torch.int32)
    found = step_seeds(keys, steps, 2)
    assert found.shape == (2, 4, 2)
    assert torch.equal(found[0], step_seeds(3, steps, 2))
    assert torch.equal(found[1], step_seeds(2**31 - 1, steps, 2))


def test_a_network_without_dropout_needs_no_seed() -> None:
    assert step_seeds(1, torch.arange(3, dtype=torch.int32), 0).shape == (3, 0)


def test_layers_and_steps_have_masks_of_their_own() -> None:
    seeds = step_seeds(dropout_key(STREAM), torch.arange(4, dtype=torch.int32), 3).flatten()
    masks = []
    for seed in seeds:
        layer = Dropout(0.5).train()
        layer.seed = seed
        masks.append((layer(torch.ones(64, 64)) != 0).double().flatten())
    correlations = torch.corrcoef(torch.stack(masks)) - torch.eye(len(masks), dtype=torch.float64)
    assert correlations.abs().max().item() < 4.5 / 64


# schedules


@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 100))
def test_a_constant_schedule_changes_nothing(first: int, count: int, total: int) -> None:
    assert learning_rate_factors("constant", first, count, total) == [1.0] * count


@given(st.integers(1, 500))
def test_a_cosine_begins_at_one_falls_and_ends_near_zero(total: int) -> None:
    factors = learning_rate_factors("cosine", 0, total, total)
    assert factors[0] == 1.0
    assert all(later < earlier for earlier, later in itertools.pairwise(factors))
    assert 0.0 < factors[-1] <= max(1e-12, (math.pi / total) ** 2 / 4) + (total == 1)


def test_a_cosine_is_half_way_in_the_middle() -> None:
    assert learning_rate_factors("cosine", 50, 1, 100) == [pytest.approx(0.5)]


@given(st.integers(1, 8), st.integers(1, 20))
def test_a_schedule_is_the_same_epoch_by_epoch(epochs: int, steps: int) -> None:
    total = epochs * steps
    pieces = [learning_rate_factors("cosine", epoch * steps, steps, total) for epoch in range(epochs)]
    assert [factor for piece in pieces for factor in piece] == learning_rate_factors(
        "cosine", 0, total, total
    )

"""What a cohort is fed: each lane's own batches, coefficients and seeds, and zeros around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from hpbench.tasks.networks.layers import ACTIVATIONS
from hpbench.tasks.training import feed as feed_module
from hpbench.tasks.training.feed import EpochFeed
from hpbench.tasks.training.lanes import Advance
from hpbench.tasks.training.randomness import batch_order, dropout_key, step_seeds
from hpbench.tasks.training.updates import step_coefficients

Make = Callable[..., Any]


def fed(own: Any, trials: list[tuple[dict[str, Any], int]], epochs: int = 0) -> tuple[EpochFeed, list[Any]]:
    """Return the feed of the next epoch of lanes with ``epochs`` behind them, and the lanes."""
    lanes = [own.start(own.config(**values), place) for values, place in trials]
    if epochs:
        own.advance(lanes, epochs, [place for _, place in trials])
    work = [
        Advance(lane, own.data(place), own.stream(place), 9)
        for lane, (_, place) in zip(lanes, trials, strict=True)
    ]
    shape = own.cohort._fed_shape
    return EpochFeed(work, shape, own.dataset.n_classes, full_epochs=4, n_dropouts=2), lanes


THREE = [({"layers": 2, "batch_size": 20, "label_smoothing": 0.1 * place}, place % 2) for place in range(3)]


@pytest.mark.parametrize("block", [1, 700, 10**9])
@pytest.mark.parametrize("epochs", [0, 1])
def test_every_lane_gets_the_batches_of_its_stream(
    stacked: Make, monkeypatch: pytest.MonkeyPatch, block: int, epochs: int
) -> None:
    monkeypatch.setattr(feed_module, "BLOCK_NUMBERS", block)
    own = stacked()
    feed, _ = fed(own, THREE, epochs)
    steps = list(feed)
    assert (feed.steps, feed.rows, len(steps)) == (4, 32, 4)
    for lane, (values, place) in enumerate(THREE):
        data = own.data(place)
        order = batch_order(own.stream(place), epochs, data.n_train, 20)
        for (inputs, targets, _, _), examples in zip(steps, order, strict=True):
            assert torch.equal(inputs[lane, :20], data.train_inputs[examples])
            smooth = torch.nn.functional.one_hot(data.train_targets[examples], 3).float()
            share = values["label_smoothing"]
            expected = (smooth * (1 - share) + share / 3) / 20
            torch.testing.assert_close(targets[lane, :20], expected)
            assert not inputs[lane, 20:].any()
            assert not targets[lane, 20:].any()


def test_targets_of_a_batch_sum_to_one(stacked: Make) -> None:
    feed, _ = fed(stacked(), THREE)
    for _, targets, _, _ in feed:
        torch.testing.assert_close(targets.sum((1, 2)), torch.ones(3))


def test_every_lanes_matrices_begin_at_multiples_of_64_bytes(stacked: Make) -> None:
    feed, _ = fed(stacked("moons"), [({"batch_size": 7}, 0), ({"batch_size": 7}, 1)])
    for inputs, targets, _, _ in feed:
        for tensor in (inputs, targets):
            assert tensor.is_contiguous()
            assert {tensor[lane].data_ptr() % 64 for lane in range(2)} == {0}


def test_images_are_fed_flat_to_families_that_flatten(stacked: Make) -> None:
    own = stacked("digits")
    feed, _ = fed(own, [({"batch_size": 128}, 0), ({"batch_size": 128}, 1)])
    inputs = next(iter(feed))[0]
    assert inputs.shape == (2, 128, 64)
    order = batch_order(own.stream(0), 0, own.data(0).n_train, 128)
    assert torch.equal(inputs[0], own.data(0).train_inputs[order[0]].reshape(128, 64))


def test_a_lone_lane_is_fed_twice(stacked: Make) -> None:
    feed, _ = fed(stacked(), THREE[:1])
    for inputs, targets, coefficients, seeds in feed:
        for tensor in (inputs, targets, coefficients, seeds):
            assert len(tensor) == 2
            assert torch.equal(tensor[0], tensor[1])
    assert feed.activation.shape == (2, 6)


def test_lanes_of_one_repetition_and_epoch_share_their_order(stacked: Make) -> None:
    feed, _ = fed(stacked(), [({}, 0), ({}, 0), ({}, 1)])
    assert feed._orders[0] is feed._orders[1]
    assert feed._orders[0] is not feed._orders[2]


def test_coefficients_and_seeds_go_on_where_each_lane_stands(stacked: Make) -> None:
    own = stacked()
    trials = [({"layers": 2, "optimizer": "adam", "schedule": "cosine", "batch_size": 20}, 0)] * 2
    young, _ = fed(own, trials[:1])
    feed, lanes = fed(own, trials, epochs=2)
    assert [lane.steps for lane in lanes] == [8, 8]
    rows = step_coefficients(lanes[0].recipe, first=8, count=4, total=16, moments=8)
    keys = torch.arange(8, 12, dtype=torch.int32)
    expected = step_seeds(dropout_key(own.stream(0)), keys, 2)
    for step, (_, _, coefficients, seeds) in enumerate(feed):
        assert torch.equal(coefficients[0], torch.from_numpy(rows[step]).float())
        assert torch.equal(seeds[1], expected[step])
        assert not torch.equal(coefficients[0], next(iter(young))[2][0])


def test_the_schedule_goes_by_epochs_whatever_batches_came_before(stacked: Make) -> None:
    own = stacked()
    feed, lanes = fed(own, [({"schedule": "cosine", "batch_size": 20}, 0)])
    lanes[0].epochs, lanes[0].steps = 2, 77
    feed = EpochFeed(feed.active, feed.shape, 3, full_epochs=4, n_dropouts=1)
    rows = step_coefficients(lanes[0].recipe, first=8, count=4, total=16, moments=0)
    for step, (_, _, coefficients, _) in enumerate(feed):
        assert torch.equal(coefficients[0], torch.from_numpy(rows[step]).float())


def test_every_lane_has_its_activation(stacked: Make) -> None:
    feed, _ = fed(stacked(), [({"activation": name}, 0) for name in ("tanh", "gelu", "relu")])
    torch.testing.assert_close(
        feed.activation, torch.tensor([ACTIVATIONS[name] for name in ("tanh", "gelu", "relu")])
    )

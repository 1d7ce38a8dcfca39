"""Cohorts against the reference trainer, lanes that leave, and lanes that go on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from hpbench.errors import UsageError
from hpbench.tasks.networks.layers import Activation, Dropout
from hpbench.tasks.training import stacked as stacked_module
from hpbench.tasks.training.outcome import Outcome

Make = Callable[..., Any]
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
ACTIVATIONS = ("relu", "tanh", "gelu")
TAME = {"layers": 1, "width": 21, "batch_size": 16, "learning_rate": 3e-3, "momentum": 0.5}
"""Fifty steps on iris in ten epochs, at a rate at which rounding does not grow."""


def alike(one: Outcome, other: Outcome) -> None:
    """Check that two trainers scored alike: counts to an example, losses but for rounding."""
    assert one.curve == pytest.approx(other.curve, abs=1 / 30 + 1e-9)
    assert (one.diverged, len(one.curve)) == (other.diverged, len(other.curve))
    for mine, its in ((one.last, other.last), (one.best_test, other.best_test)):
        assert (mine is None) == (its is None)
        if mine is not None and its is not None and its.loss is not None:
            assert mine.loss == pytest.approx(its.loss, rel=1e-3, abs=1e-4)
            assert abs(mine.correct - its.correct) <= 1


def check_truth(own: Any, near: Make, configs: list[Any], epochs: int) -> None:
    """Check that lanes trained together are what the reference trainer makes of each."""
    lanes = own.train([(config, place % 2) for place, config in enumerate(configs)], epochs)
    for place, (lane, config) in enumerate(zip(lanes, configs, strict=True)):
        state = own.refer(config, epochs, place % 2)
        near(own, lane, state)
        alike(lane.outcome, state.outcome)


# truth


def test_fifty_steps_are_those_of_the_reference_trainer(workshop: Make, near: Make) -> None:
    own = workshop(full_epochs=10)
    check_truth(
        own,
        near,
        [
            own.config(**TAME, optimizer=optimizer, dropout=dropout, activation=activation)
            for optimizer, dropout, activation in itertools.product(OPTIMIZERS, (0.0, 0.4), ACTIVATIONS)
        ],
        10,
    )


def test_with_everything_else_too_they_are(workshop: Make, near: Make) -> None:
    own = workshop(full_epochs=10)
    everything = [
        {"label_smoothing": 0.2},
        {"schedule": "cosine"},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.0, "nesterov": True, "learning_rate": 0.1},
        {"weight_decay": 0.1, "dropout": 0.2},
        {"l1": 1e-3},
        {"layers": 2, "schedule": "cosine", "dropout": 0.3},
        {"layers": 3, "width": 40, "label_smoothing": 0.1, "weight_decay": 0.01},
    ]
    check_truth(
        own,
        near,
        [
            own.config(**{**TAME, "optimizer": optimizer, "activation": "tanh", **values})
            for optimizer, values in itertools.product(("sgd", "adamw"), everything)
        ],
        10,
    )


@pytest.mark.parametrize(
    "values",
    [{"batch_size": 1}, {"width": 1}, {"batch_size": 5, "width": 131}, {"batch_size": 400}, {"layers": 4}],
    ids=str,
)
def test_odd_sizes_are_trained_like_any_other(workshop: Make, near: Make, values: dict[str, Any]) -> None:
    own = workshop(full_epochs=10)
    epochs = 1 if values.get("batch_size") == 1 else 4
    configs = [
        own.config(**{**TAME, "activation": "gelu", "optimizer": name, "dropout": 0.2, **values})
        for name in OPTIMIZERS[:2]
    ]
    check_truth(own, near, configs, epochs)
    if values.get("batch_size") == 400:
        assert own.start(configs[0]).recipe.batch_size == 90


def test_images_are_flattened_as_the_reference_trainer_flattens_them(workshop: Make, near: Make) -> None:
    own = workshop("digits", full_epochs=2)
    check_truth(own, near, [own.config(**{**TAME, "batch_size": 128, "optimizer": "adam"})], 1)


def test_the_weights_begin_where_the_reference_trainers_begin(workshop: Make, near: Make) -> None:
    own = workshop()
    config = own.config(width=21, layers=2)
    near(own, own.start(config), own.refer(config, 0), 0.0)


# lanes that leave


def test_a_diverged_lane_leaves_and_touches_no_other(workshop: Make, same: Make) -> None:
    own = workshop()
    wild = own.config(**{**TAME, "optimizer": "sgd", "learning_rate": math.inf})
    tame = [own.config(**TAME, optimizer=name) for name in OPTIMIZERS]
    lanes = own.train([(wild, 0), *[(config, 0) for config in tame], (wild, 1)], 4)
    for lane in (lanes[0], lanes[-1]):
        assert lane.outcome.diverged
        assert (lane.epochs, len(lane.outcome.curve)) == (1, 1)
        assert lane.outcome.best_test is None
    for lane, config in zip(lanes[1:-1], tame, strict=True):
        assert lane.epochs == 4
        same(lane, own.train([(config, 0)], 4)[0])


def test_lanes_diverge_where_the_reference_trainer_does(workshop: Make) -> None:
    own = workshop(full_epochs=10)
    config = own.config(**{**TAME, "optimizer": "sgd", "momentum": 0.99, "layers": 3, "learning_rate": 1e3})
    lane, state = own.train([(config, 0)], 6)[0], own.refer(config, 6)
    assert lane.outcome.diverged
    assert (lane.outcome.diverged, lane.epochs) == (state.outcome.diverged, state.epochs)


def test_early_stopping_is_the_reference_trainers(workshop: Make, same: Make) -> None:
    own = workshop(full_epochs=12, patience=2)
    rates = (1e-5, 1e-3, 3e-3, 0.01, 0.03)
    configs = [own.config(**{**TAME, "learning_rate": rate, "optimizer": "adam"}) for rate in rates]
    lanes = own.train([(config, 0) for config in configs], 12)
    stopped = [lane.epochs for lane in lanes]
    assert min(stopped) < 12
    assert len(set(stopped)) > 1
    for lane, config in zip(lanes, configs, strict=True):
        state = own.refer(config, 12)
        assert lane.outcome.curve == state.outcome.curve
        assert (lane.epochs, lane.outcome.best_epoch) == (state.epochs, state.outcome.best_epoch)
        assert lane.outcome.best_test is not None
        assert state.outcome.best_test is not None
        assert lane.outcome.best_test.correct == state.outcome.best_test.correct
        same(lane, own.train([(config, 0)], 12)[0])


def test_what_has_its_epochs_is_left_as_it_is(workshop: Make, snapshot: Make) -> None:
    own = workshop()
    done, other = own.train([(own.config(**TAME), 0)], 2)[0], own.start(own.config(**TAME), 1)
    before, outcome = snapshot(done), done.outcome.curve.copy()
    own.advance([done, other], 2, [0, 1])
    own.advance([done], 1)
    assert all(torch.equal(*pair) for pair in zip(before, snapshot(done), strict=True))
    assert (done.epochs, done.outcome.curve) == (2, outcome)
    assert other.epochs == 2


def test_nothing_to_advance_is_no_error(workshop: Make) -> None:
    workshop().advance([], 3)


def test_a_lanes_module_is_its_row(stacked: Make) -> None:
    own = stacked()
    lane = own.train([(own.config(**TAME), 0), (own.config(**TAME), 1)], 1)[0]
    for name, parameter in lane.module.named_parameters():
        assert torch.equal(parameter, own.cohort.parameters(lane)[name])
        parameter.data.zero_()
    assert not lane.p.any()
    assert lane.p.untyped_storage().nbytes() == lane.p.numel() * 4


# what trains together


def test_lanes_of_equal_signature_share_steps(stacked: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    own, sizes = stacked(), []
    inner = own.cohort._advance_cohort
    monkeypatch.setattr(
        own.cohort, "_advance_cohort", lambda members: (sizes.append(len(members)), inner(members))
    )
    configs = [own.config(**{**TAME, "width": width}) for width in (17, 32, 33, 20)]
    own.train([(config, 0) for config in configs], 1)
    assert sorted(sizes) == [1, 3]


def test_cohorts_are_no_larger_than_allowed_and_that_changes_no_bit(
    stacked: Make, same: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = stacked()
    trials = [(own.config(**{**TAME, "dropout": 0.01 * place}), place % 2) for place in range(7)]
    expected, sizes = own.train(trials, 2), []
    inner = own.cohort._advance_cohort
    monkeypatch.setattr(
        own.cohort, "_advance_cohort", lambda members: (sizes.append(len(members)), inner(members))
    )
    monkeypatch.setattr(own.cohort, "lanes_at_most", lambda _: 3)
    for lane, before in zip(own.train(trials, 2), expected, strict=True):
        same(lane, before)
    assert sizes == [3, 3, 1]


def test_large_lanes_make_small_cohorts(stacked: Make) -> None:
    own = stacked("digits")
    most = [own.cohort.lanes_at_most(own.start(own.config(width=width, layers=3))) for width in (16, 128)]
    assert most == [stacked_module.MOST_LANES, stacked_module.FEWEST_LANES]


# lanes that go on


def go_on(own: Any, lane: Any, config: Any, epochs: int, repetition: int = 0) -> Any:
    """Return a lane's continuation under ``config``, trained until ``epochs``."""
    child = own.cohort.continued(lane, config, own.data(repetition), own.stream(repetition))
    own.advance([child], epochs, [repetition])
    return child


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_continued_later_in_other_company_is_at_once(workshop: Make, same: Make, optimizer: str) -> None:
    own = workshop()
    config = own.config(**TAME, optimizer=optimizer, dropout=0.3, schedule="cosine")
    at_once = own.train([(config, 0)], 4)[0]
    company = [(own.config(**TAME, dropout=0.1), 1), (own.config(**TAME), 2)]
    kept = own.train([company[0], (config, 0)], 2)[1]
    child = own.cohort.continued(kept, config, own.data(0), own.stream(0))
    others = [own.start(*trial) for trial in company]
    own.advance([others[0], child, others[1]], 4, [1, 0, 2])
    same(child, at_once)


def test_a_copy_with_another_learning_rate_leaves_its_parent_alone(
    workshop: Make, same: Make, snapshot: Make
) -> None:
    own = workshop()
    config = own.config(**TAME, optimizer="adam")
    parent = own.train([(config, 0)], 2)[0]
    before, curve = snapshot(parent), parent.outcome.curve.copy()
    child = go_on(own, parent, {**config, "learning_rate": 0.05}, 4)
    assert all(torch.equal(*pair) for pair in zip(before, snapshot(parent), strict=True))
    assert (parent.epochs, parent.outcome.curve) == (2, curve)
    assert child.outcome.curve[:2] == curve
    assert not torch.equal(child.p, parent.p)
    same(go_on(own, parent, config, 4), own.train([(config, 0)], 4)[0])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"optimizer": "adam"}, {"optimizer": "adam", "learning_rate": 1e-3, "weight_decay": 0.1}),
        ({"optimizer": "adam"}, {"optimizer": "sgd"}),
        ({"optimizer": "sgd", "momentum": 0.0}, {"optimizer": "sgd", "momentum": 0.9}),
        ({"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "sgd", "momentum": 0.0}),
        ({"optimizer": "rmsprop"}, {"optimizer": "adamw", "dropout": 0.4}),
        ({"optimizer": "adamw", "schedule": "cosine"}, {"batch_size": 45, "schedule": "cosine"}),
        ({"activation": "relu"}, {"activation": "tanh"}),
    ],
    ids=str,
)
def test_a_changed_copy_goes_on_as_the_reference_trainers(
    workshop: Make, near: Make, before: dict[str, Any], after: dict[str, Any]
) -> None:
    own = workshop(full_epochs=10)
    one, other = own.config(**{**TAME, **before}), own.config(**{**TAME, **after})
    child = go_on(own, own.train([(one, 0)], 3)[0], other, 8)
    state = own.reference.continued(own.refer(one, 3), other, own.data(0), own.stream(0))
    own.reference.advance(state, own.data(0), own.stream(0), 8)
    near(own, child, state)
    alike(child.outcome, state.outcome)


def test_another_optimiser_starts_with_moments_of_zero(workshop: Make) -> None:
    own = workshop()
    parent = own.train([(own.config(**TAME, optimizer="adam"), 0)], 2)[0]
    assert parent.moments == parent.steps == 10
    for optimizer in ("adamw", "adam"):
        config = own.config(**TAME, optimizer=optimizer)
        child = own.cohort.continued(parent, config, own.data(0), own.stream(0))
        kept = optimizer == "adam"
        assert (bool(child.m.any()), bool(child.v.any()), child.moments) == (kept, kept, 10 * kept)
        assert (child.epochs, child.steps) == (2, 10)
        assert torch.equal(child.p, parent.p)


@pytest.mark.parametrize("change", [{"width": 22}, {"layers": 2}], ids=str)
def test_another_shape_cannot_go_on_even_in_the_same_padded_size(
    workshop: Make, change: dict[str, Any]
) -> None:
    own = workshop()
    parent = own.train([(own.config(**TAME), 0)], 1)[0]
    with pytest.raises(UsageError, match=r"a parent whose network has the same shape; keep .* layers, width"):
        own.cohort.continued(parent, own.config(**{**TAME, **change}), own.data(0), own.stream(0))


def test_a_diverged_parent_is_not_trained_again(workshop: Make) -> None:
    own = workshop()
    config = own.config(**{**TAME, "learning_rate": math.inf})
    child = go_on(own, own.train([(config, 0)], 2)[0], own.config(**TAME), 4)
    assert child.outcome.diverged
    assert child.epochs == 1


# networks of one's own


def flat(*layers: nn.Module) -> Callable[..., nn.Module]:
    """Return what builds a network for iris of these layers after the first one."""
    return lambda *_: nn.Sequential(nn.Flatten(), nn.Linear(4, 3), *layers)


def test_a_second_dropout_rate_is_refused(workshop: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    own = workshop()
    monkeypatch.setattr(own.cohort, "family", replace(own.family, build=flat(Dropout(0.25), Dropout(0.5))))
    message = r"network 'mlp' must give every Dropout the configuration's `dropout`, here 0\.25, .* got 0\.5; declare"
    with pytest.raises(UsageError, match=message):
        own.start(own.config(dropout=0.25))


def test_stacked_lanes_refuse_an_activation_of_the_network_s_own(
    stacked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = stacked()
    monkeypatch.setattr(own.cohort, "family", replace(own.family, build=flat(Activation("tanh"))))
    with pytest.raises(UsageError, match=r"every Activation the configuration's `activation` .* got 'tanh'"):
        own.start(own.config(activation="relu"))

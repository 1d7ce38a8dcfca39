"""Regression: every trainer against the reference trainer, and the reference trainer against scikit-learn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from hpbench.tasks import datasets, networks
from hpbench.tasks.datasets import Dataset
from hpbench.tasks.training.outcome import unexplained
from hpbench.tasks.training.reference import score

Make = Callable[..., Any]
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
TAME = {"layers": 1, "width": 21, "batch_size": 16, "learning_rate": 3e-3, "momentum": 0.5}


def test_the_reference_trainers_score_is_1_less_scikit_learns_r2(stacked: Make) -> None:
    own = stacked("diabetes")
    state = own.refer(own.config(**TAME), 3)
    inputs, targets = own.data(0).part("test")
    found = score(state.module, inputs, targets)
    with torch.no_grad():
        predicted = state.module(inputs)[:, 0]
    assert (found.correct, found.total) == (None, None)
    assert found.loss == pytest.approx(1.0 - r2_score(targets.numpy(), predicted.numpy()), rel=1e-6)
    assert state.outcome.best_test == found


def test_predicting_the_mean_is_1_perfection_0_and_worse_is_not_clipped() -> None:
    targets = torch.tensor([1.0, 2.0, 6.0])
    for guess, error in (([3.0, 3.0, 3.0], 1.0), ([1.0, 2.0, 6.0], 0.0), ([9.0, 9.0, 9.0], 122 / 14)):
        squares = float((torch.tensor(guess) - targets).square().sum())
        assert unexplained(squares, targets) == pytest.approx(error)
    assert unexplained(math.inf, targets) is None


def test_fifty_steps_are_those_of_the_reference_trainer(workshop: Make, near: Make) -> None:
    own = workshop("diabetes", full_epochs=3)
    configs = [
        own.config(**TAME, optimizer=optimizer, dropout=dropout, activation=activation, schedule="cosine")
        for optimizer, dropout, activation in itertools.product(OPTIMIZERS, (0.0, 0.4), ("relu", "tanh"))
    ]
    configs.append(own.config(**{**TAME, "layers": 3, "width": 40, "l1": 1e-3, "weight_decay": 0.01}))
    lanes = own.train([(config, place % 2) for place, config in enumerate(configs)], 3)
    for place, (lane, config) in enumerate(zip(lanes, configs, strict=True)):
        state = own.refer(config, 3, place % 2)
        near(own, lane, state)
        assert lane.outcome.curve == pytest.approx(state.outcome.curve, rel=1e-3)
        assert lane.outcome.best_test is not None
        assert lane.outcome.best_test.loss == pytest.approx(state.outcome.best_test.loss, rel=1e-3)
        assert lane.outcome.best_test.correct is None


@pytest.mark.parametrize(("width", "batch_size"), [(1, 1), (16, 16), (133, 9), (24, 500)])
def test_company_changes_no_bit(workshop: Make, same: Make, width: int, batch_size: int) -> None:
    own = workshop("diabetes")
    values = {**TAME, "width": width, "batch_size": batch_size}
    epochs = 1 if batch_size == 1 else 2
    cases = [
        (own.config(**values, optimizer=optimizer, dropout=0.1 * place), place % 2)
        for place, optimizer in enumerate(OPTIMIZERS)
    ]
    alone = [own.train([case], epochs)[0] for case in cases]
    for group in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0]):
        for place, lane in zip(group, own.train([cases[place] for place in group], epochs), strict=True):
            same(lane, alone[place])


def test_early_stopping_follows_the_share_that_is_not_explained(workshop: Make) -> None:
    own = workshop("diabetes", full_epochs=30, patience=2)
    lane = own.train([(own.config(**{**TAME, "learning_rate": 0.03, "optimizer": "adam"}), 0)], 30)[0]
    outcome = lane.outcome
    assert lane.epochs < 30
    assert outcome.best_epoch == lane.epochs - 2 == outcome.curve.index(min(outcome.curve)) + 1
    assert outcome.best.loss == min(outcome.curve)


def test_a_regression_diverges(workshop: Make) -> None:
    own = workshop("diabetes")
    config = own.config(**{**TAME, "optimizer": "sgd", "learning_rate": math.inf})
    lane, state = own.train([(config, 0)], 2)[0], own.refer(config, 2)
    for outcome in (lane.outcome, state.outcome):
        assert outcome.diverged
        assert len(outcome.curve) == 1
        assert math.isnan(outcome.curve[0])


@pytest.fixture
def ink() -> Iterator[str]:
    """The name of a regression on images: how much ink a digit holds in its upper half."""
    digits = datasets.load("digits").take(np.arange(300))
    ink = digits.inputs[:, 0, :4].sum(axis=(1, 2))
    datasets.REGISTRY.add("ink", lambda: Dataset.of_numbers("ink", digits.inputs, ink))
    yield "ink"
    datasets.REGISTRY.reset()
    datasets.load.cache_clear()


@pytest.mark.parametrize("case", [
    *((name, "compiled") for name in networks.REGISTRY.names() if networks.REGISTRY.get(name).compiled),
    *((name, "stacked") for name in networks.REGISTRY.names() if networks.REGISTRY.get(name).cohort),
])  # fmt: skip
def test_every_family_predicts_numbers_as_the_reference_trainer_does(
    request: pytest.FixtureRequest, near: Make, same: Make, ink: str, case: tuple[str, str]
) -> None:
    name, kind = case
    own = request.getfixturevalue(kind)(ink, family=name, full_epochs=2)
    values = {"learning_rate": 1e-4 if name == "resnet" else 1e-3, "batch_size": 30}
    if "layers" in own.family.space.names:
        values["layers"] = 1
    cases = [(own.config(**values, optimizer=optimizer), 0) for optimizer in ("adam", "sgd")]
    lanes = own.train(cases, 2)
    for lane, (config, _) in zip(lanes, cases, strict=True):
        state = own.refer(config, 2)
        near(own, lane, state, 1e-3)
        assert lane.outcome.curve == pytest.approx(state.outcome.curve, rel=1e-2)
        same(lane, own.train([(config, 0)], 2)[0])


def test_a_network_explains_most_of_friedmans_function(compiled: Make) -> None:
    own = compiled("friedman1", full_epochs=60)
    lane = own.train([(own.config(width=64, layers=2, learning_rate=3e-3, optimizer="adam"), 0)], 60)[0]
    assert lane.outcome.best_test.loss < 0.15

"""Tests of the modelled clock: what a trial is charged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpbench.clock import ModelledClock
from hpbench.errors import UsageError
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.networks import REGISTRY
from hpbench.tasks.training.costs import StepCost, signature_of, signatures_of
from hpbench.trial import Evaluation, Status

MLP = REGISTRY.get("mlp")
SPACE = MLP.space
N_TRAIN = 100
CONFIG: dict[str, Any] = {**SPACE.default_config(), "batch_size": 32}
COST = StepCost(step_seconds=1.0, val_seconds=0.25, test_seconds=0.0625)
DONE = Evaluation(Status.OK, epochs=5, curve=(0.5, 0.4, 0.6, 0.3, 0.3), train_seconds=99.0)


def clock_of(patience: int | None = None, **costs: StepCost) -> ModelledClock:
    spec = TaskSpec("t", "iris", "mlp", 5, SPACE, patience=patience)
    known = costs or {signature_of(MLP, SPACE, CONFIG, N_TRAIN): COST}
    return ModelledClock(spec, n_train=N_TRAIN, costs=known)


def seconds(evaluation: Evaluation, patience: int | None = None) -> tuple[float, float]:
    found = clock_of(patience).charged(CONFIG, evaluation)
    assert replace(found, train_seconds=0.0, evaluate_seconds=0.0) == replace(
        evaluation, train_seconds=0.0, evaluate_seconds=0.0
    )
    return found.train_seconds, found.evaluate_seconds


def test_a_trial_costs_its_steps_its_scorings_and_one_test() -> None:
    assert seconds(DONE) == (5 * 3 * 1.0, 5 * 0.25 + 0.0625)


def test_a_cross_validated_trial_costs_its_folds() -> None:
    spec = TaskSpec("t", "iris", "mlp", 5, SPACE, folds=4)
    clock = ModelledClock(spec, n_train=N_TRAIN, costs={signature_of(MLP, SPACE, CONFIG, N_TRAIN): COST})
    found = clock.charged(CONFIG, DONE)
    assert (found.train_seconds, found.evaluate_seconds) == (4 * 15.0, 4 * (5 * 0.25 + 0.0625))


def test_a_continued_trial_costs_what_it_adds() -> None:
    assert seconds(replace(DONE, epochs_from=3, curve=(0.3, 0.3))) == (2 * 3 * 1.0, 2 * 0.25 + 0.0625)


def test_with_early_stopping_the_test_part_is_scored_after_every_best_epoch() -> None:
    assert seconds(DONE, patience=2) == (15.0, 5 * 0.25 + 3 * 0.0625)


def test_a_diverged_trial_costs_what_it_trained() -> None:
    diverged = replace(DONE, status=Status.DIVERGED, epochs=2, curve=(0.5, 0.1))
    assert seconds(diverged) == (6.0, 0.5)
    assert seconds(diverged, patience=2) == (6.0, 0.5 + 0.0625)


@pytest.mark.parametrize("status", [Status.ERROR, Status.OUT_OF_MEMORY, Status.TIMEOUT, Status.KILLED])
def test_a_trial_that_ended_otherwise_keeps_what_it_took(status: Status) -> None:
    failed = Evaluation(status, train_seconds=7.0)
    assert clock_of().charged(CONFIG, failed) == failed


def test_what_does_not_decide_the_time_does_not_change_the_charge() -> None:
    clock = clock_of()
    other = {**CONFIG, "learning_rate": 0.09, "activation": "gelu", "width": 97, "schedule": "cosine"}
    assert clock.charged(other, DONE) == clock.charged(CONFIG, DONE)


def test_steps_are_those_of_the_configuration_not_of_its_signature() -> None:
    space = SPACE.fixed("batch_size", 70)
    spec = TaskSpec("t", "iris", "mlp", 5, space)
    clock = ModelledClock(
        spec, n_train=N_TRAIN, costs=dict.fromkeys(signatures_of(MLP, space, N_TRAIN), COST)
    )
    assert clock.charged(space.sample(np.random.default_rng(0)), DONE).train_seconds == 5.0


def test_a_signature_that_was_not_calibrated_is_an_error_that_names_it() -> None:
    with pytest.raises(UsageError, match=r"task 't' has no calibration for .*\"batch_size\":32"):
        clock_of(other=COST).charged(CONFIG, DONE)

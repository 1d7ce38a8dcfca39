"""Incumbents trained again: on everything but the test part, under fresh seeds, in any company alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hpbench.environment import find_compiler
from hpbench.errors import UsageError
from hpbench.seeding import retraining_stream
from hpbench.tasks import datasets
from hpbench.tasks.base import Task
from hpbench.tasks.datasets.splits import split, whole
from hpbench.tasks.network_task import NetworkTask
from hpbench.tasks.training.lanes import Advance
from hpbench.trial import Request, Status

Build = Callable[..., NetworkTask]
Ask = Callable[..., Request]
needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C compiler: install gcc or set CC")
WAYS = [
    pytest.param({}, id="reference"),
    pytest.param({"trainer": "cohort"}, id="stacked"),
    pytest.param({"trainer": "cohort", "compiled": True}, id="compiled", marks=needs_compiler),
]


@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_everything_that_is_not_tested_trains(name: str) -> None:
    dataset = datasets.load(name)
    made = whole(dataset, root_seed=2, repetition=1, test_fraction=0.2)
    held = split(dataset, root_seed=2, repetition=1, validation_fraction=0.3, test_fraction=0.2)
    assert len(made.train_targets) == len(held.train_targets) + len(held.val_targets)
    assert len(made.train_targets) + len(made.test_targets) == len(dataset)
    np.testing.assert_allclose(made.train_inputs.mean(axis=0), 0.0, atol=1e-5)
    assert len(made.val_targets) == 2
    assert made.val_targets[0] != made.val_targets[1]
    if dataset.regression:
        assert made.train_targets.mean() == pytest.approx(0.0, abs=1e-6)
    else:
        np.testing.assert_array_equal(made.test_targets, held.test_targets)
    again = whole(dataset, root_seed=2, repetition=1, test_fraction=0.2)
    np.testing.assert_array_equal(again.test_inputs, made.test_inputs)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dataset", ["wine", "diabetes"])
def test_a_retraining_is_a_training_on_all_of_it(
    build: Build, ask: Ask, way: dict[str, Any], dataset: str
) -> None:
    task = build(dataset, patience=1, folds=3, **way)
    request = ask(task, 4, learning_rate=0.01)
    (found,) = task.retrain([request])
    config = task.space.complete(request.config)
    data, stream = task._splits.whole(0), retraining_stream(0, task.name, 0, 4)
    plain = build(dataset, **way)
    if plain._cohorts is None:
        state = plain._trainer.start(config, data, stream)
        plain._trainer.advance(state, data, stream, 3)
        outcome = state.outcome
    else:
        lane = plain._cohorts.start(config, data, stream)
        plain._cohorts.advance([Advance(lane, data, stream, 3)])
        outcome = lane.outcome
    test = outcome.best_test
    assert test is not None
    assert (found.status, found.epochs) == (Status.OK, 3)
    assert (found.test_correct, found.test_total, found.test_loss) == (test.correct, test.total, test.loss)
    assert (found.val_correct, found.val_total, found.val_loss, found.curve) == (None, None, None, ())
    assert (found.train_seconds, found.evaluate_seconds) == (0.0, 0.0)


@pytest.mark.parametrize("way", WAYS)
def test_seeds_are_fresh_and_company_changes_nothing(build: Build, ask: Ask, way: dict[str, Any]) -> None:
    task = build("wine", **way)
    requests = [ask(task, number, repetition=number % 2) for number in range(4)]
    together = task.retrain(requests)
    assert len({answer.test_loss for answer in together}) == 4
    assert [task.retrain([request])[0] for request in requests] == together
    assert task.retrain(requests[::-1]) == together[::-1]
    other = [replace(item, run=replace(item.run, strategy="other")) for item in requests]
    assert task.retrain(other) == together
    assert not task._kept


@pytest.mark.parametrize("way", WAYS)
def test_a_retraining_that_diverges_says_so(build: Build, ask: Ask, way: dict[str, Any]) -> None:
    task = build("diabetes", **way)
    good, bad = ask(task), ask(task, 1, learning_rate=math.inf)
    found = task.retrain([good, bad])
    assert found[0] == task.retrain([good])[0]
    assert (found[1].status, found[1].test_loss) == (Status.DIVERGED, None)
    assert found[1].message == "the loss was not finite after epoch 1"


def test_memory_that_ends_halves_the_company(build: Build, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    task = build("wine", trainer="cohort")
    requests = [ask(task, number) for number in range(3)]
    expected = task.retrain(requests)
    kind, inner = type(task._cohorts), type(task._cohorts).advance

    def advance(self: Any, work: list[Any]) -> None:
        if len(work) > 1:
            raise torch.OutOfMemoryError("the device is full")
        inner(self, work)

    monkeypatch.setattr(kind, "advance", advance)
    assert task.retrain(requests) == expected

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("the device is full")

    monkeypatch.setattr(kind, "advance", full)
    assert [(item.status, item.message) for item in task.retrain(requests[:2])] == [
        (Status.OUT_OF_MEMORY, "the device is full")
    ] * 2


def test_a_task_that_cannot_retrain_says_what_to_do(build: Build, ask: Ask) -> None:
    task = build()
    with pytest.raises(UsageError, match=r"task 'iris-mlp' cannot retrain 1 incumbents; leave `final` out"):
        Task.retrain(task, [ask(task)])

"""Cross-validation: each trial trains a network a fold, alone or in company, and goes on with all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from hpbench.environment import find_compiler
from hpbench.tasks import networks
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.network_task import NetworkTask
from hpbench.tasks.training.folds import fold_streams
from hpbench.tasks.training.lanes import Advance
from hpbench.testing.task_kit import TaskConformance, without_times
from hpbench.trial import Evaluation, Request, Status, objective_of

MLP = networks.REGISTRY.get("mlp").space
SMALL = MLP.fixed("layers", 1)
Build = Callable[..., NetworkTask]
Ask = Callable[..., Request]
COMPILED = {"trainer": "cohort", "compiled": True}
needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C compiler: install gcc or set CC")
WAYS = [
    pytest.param({}, id="reference"),
    pytest.param({"trainer": "cohort"}, id="stacked"),
    pytest.param(COMPILED, id="compiled", marks=needs_compiler),
]


class TestReferenceConformance(TaskConformance):
    task = NetworkTask
    options = {"spec": TaskSpec("iris-mlp", "iris", "mlp", 2, SMALL, folds=3)}  # noqa: RUF012 - the kit's form
    failing = {**SMALL.default_config(), "learning_rate": math.inf}  # noqa: RUF012
    test_a_fresh_process_gives_the_same_answers = None  # costs seconds; shown for one network


@needs_compiler
class TestCompiledConformance(TaskConformance):
    task = NetworkTask
    options = {"spec": TaskSpec("wine-mlp", "wine", "mlp", 2, SMALL, folds=4, **COMPILED)}  # type: ignore[arg-type]  # noqa: RUF012
    failing = {**SMALL.default_config(), "learning_rate": math.inf}  # noqa: RUF012


def plain(answers: list[Evaluation]) -> list[Evaluation]:
    return [without_times(answer) for answer in answers]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dataset", ["wine", "diabetes"])
def test_a_trial_is_its_folds_trained_one_by_one(
    build: Build, ask: Ask, way: dict[str, Any], dataset: str
) -> None:
    task = build(dataset, folds=3, **way)
    (found,) = task.evaluate([ask(task, learning_rate=0.01)])
    config = task.space.complete(ask(task, learning_rate=0.01).config)
    outcomes = []
    for data, stream in zip(task.folds(0), fold_streams(task.stream(ask(task)), 3), strict=True):
        if task._cohorts is None:
            state = task._trainer.start(config, data, stream)
            task._trainer.advance(state, data, stream, 3)
            outcomes.append(state.outcome)
        else:
            lane = task._cohorts.start(config, data, stream)
            task._cohorts.advance([Advance(lane, data, stream, 3)])
            outcomes.append(lane.outcome)
    assert found.epochs == 3
    if dataset == "diabetes":
        assert found.val_loss == pytest.approx(sum(item.last.loss for item in outcomes) / 3)
        assert found.test_loss == pytest.approx(sum(item.best_test.loss for item in outcomes) / 3)
    else:
        assert found.val_correct == sum(item.last.correct for item in outcomes)
        assert found.val_total == sum(len(data.val_targets) for data in task.folds(0)) == 142
        assert found.test_correct == sum(item.best_test.correct for item in outcomes)
        assert found.test_total == 3 * len(task.data(0).test_targets)
    assert found.curve[-1] == objective_of(found, "error")


@pytest.mark.parametrize("way", WAYS)
def test_all_folds_go_on_from_a_parent(build: Build, ask: Ask, way: dict[str, Any]) -> None:
    task = build("wine", folds=4, epochs=4, **way)
    values = {"optimizer": "adam", "dropout": 0.3, "schedule": "cosine"}
    (at_once,) = plain(task.evaluate([ask(task, **values)]))
    (begun,) = plain(task.evaluate([ask(task, epochs=2, keep=True, **values)]))
    (ended,) = plain(task.evaluate([ask(task, 1, parent=0, **values)]))
    assert begun.curve + ended.curve == at_once.curve
    assert replace(ended, epochs_from=0, curve=at_once.curve) == at_once
    task.forget([ask(task)])
    assert not task._kept


@pytest.mark.parametrize("way", WAYS)
def test_each_fold_stops_by_itself(build: Build, ask: Ask, way: dict[str, Any]) -> None:
    task = build("wine", folds=3, epochs=25, patience=2, **way)
    request = ask(task, learning_rate=0.03, keep=True)
    (found,) = task.evaluate([request])
    reached = [len(state.outcome.curve) for state in task._kept[request.run, 0]]
    assert len(set(reached)) > 1
    assert found.epochs == len(found.curve) == max(reached) < 25
    best = [state.outcome.best for state in task._kept[request.run, 0]]
    assert found.val_correct == sum(item.correct for item in best if item is not None and item.correct)


@pytest.mark.parametrize("way", WAYS)
def test_one_fold_that_diverges_is_enough(
    build: Build, ask: Ask, way: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = build("wine", folds=3, **way)
    data = list(task.folds(0))
    broken = data[1].train_inputs.clone()
    broken[:] = math.nan
    data[1] = replace(data[1], train_inputs=broken)
    monkeypatch.setattr(task, "folds", lambda _: tuple(data))
    (found,) = task.evaluate([ask(task)])
    assert (found.status, found.epochs, found.val_correct) == (Status.DIVERGED, 3, None)
    assert found.message == "fold 2 of 3: the validation loss was not finite after epoch 1"


@pytest.mark.parametrize("way", WAYS)
def test_folds_of_different_sizes_share_no_steps_and_change_no_bit(
    build: Build, ask: Ask, way: dict[str, Any]
) -> None:
    task = build("iris", folds=7, epochs=2, **way)  # 120 examples: folds of 17 and 18
    sizes = [data.n_train for data in task.folds(0)]
    assert (min(sizes), max(sizes)) == (102, 103)
    values = {"batch_size": 103}  # one step of 103 or of 102 examples
    (together,) = plain(task.evaluate([ask(task, **values)]))
    company = [ask(task, place, **values, dropout=0.1 * place) for place in range(3)]
    assert plain(task.evaluate(company))[0] == together


def test_memory_that_ends_trains_one_fold_at_a_time(
    build: Build, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = build("wine", folds=3, trainer="cohort")
    expected = plain(task.evaluate([ask(task)]))
    inner, sizes = task._cohorts.advance, []  # type: ignore[union-attr]

    def advance(work: list[Any]) -> None:
        sizes.append(len(work))
        if len(work) > 1:
            raise torch.OutOfMemoryError("the device is full")
        inner(work)

    monkeypatch.setattr(task._cohorts, "advance", advance)
    assert plain(task.evaluate([ask(task)])) == expected
    assert sizes == [3, 1, 1, 1]


def test_measuring_trains_every_fold(build: Build, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    task = build("wine", folds=3)
    trained = []
    monkeypatch.setattr("hpbench.tasks.network_task.retrain", lambda *given: trained.append(given[2]) or 1.5)
    assert task.measure(ask(task)) == 4.5
    assert trained == list(task.folds(0))


def test_the_test_part_is_that_of_a_holdout(build: Build) -> None:
    held, dealt = build("wine"), build("wine", folds=3)
    assert len(held.data(0).test_targets) == len(dealt.data(0).test_targets)
    assert torch.equal(held.data(0).test_targets, dealt.folds(0)[2].test_targets)

"""A task whose trials train in cohorts keeps every promise of a task."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hpbench.errors import UsageError
from hpbench.tasks import networks
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.network_task import NetworkTask
from hpbench.tasks.training.stacked import StackedTrainer
from hpbench.testing.task_kit import TaskConformance, without_times
from hpbench.trial import Evaluation, Request, RunKey, Status

MLP = networks.REGISTRY.get("mlp").space
Build = Callable[..., NetworkTask]
Ask = Callable[..., Request]


class TestCohortConformance(TaskConformance):
    task = NetworkTask
    options = {  # noqa: RUF012 - the kit's declared form
        "spec": TaskSpec("iris-mlp", "iris", "mlp", 2, MLP.fixed("layers", 1), trainer="cohort")
    }
    failing = {**MLP.fixed("layers", 1).default_config(), "learning_rate": math.inf}  # noqa: RUF012


class TestCohortPatienceConformance(TaskConformance):
    task = NetworkTask
    options = {  # noqa: RUF012
        "spec": TaskSpec("iris-mlp", "iris", "mlp", 6, MLP.fixed("layers", 1), trainer="cohort", patience=2)
    }
    stops_early = True
    test_a_fresh_process_gives_the_same_answers = None


def plain(answers: list[Evaluation]) -> list[Evaluation]:
    """Return answers, times aside."""
    return [without_times(answer) for answer in answers]


def requests(count: int, epochs: int = 2) -> list[Request]:
    """Return random requests of three repetitions."""
    rng = np.random.default_rng(3)
    return [
        Request(RunKey("iris-mlp", "random", place % 3), place, MLP.sample(rng), epochs)
        for place in range(count)
    ]


def test_many_requests_are_answered_as_one_at_a_time(build: Build) -> None:
    task = build(trainer="cohort", epochs=2)
    asked = requests(30)
    together = plain(task.evaluate(asked))
    assert together == [plain(task.evaluate([request]))[0] for request in asked]
    assert len({answer.val_loss for answer in together}) > 20


def test_answers_are_the_reference_trainers_but_for_rounding(build: Build) -> None:
    asked = [replace(item, config={**item.config, "learning_rate": 1e-3}) for item in requests(30)]
    answers = [build(trainer=name, epochs=2).evaluate(asked) for name in ("cohort", "reference")]
    for one, other in zip(*answers, strict=True):
        assert (one.status, one.epochs, one.val_total) == (other.status, other.epochs, other.val_total)
        assert one.val_correct == pytest.approx(other.val_correct, abs=1)
        assert one.val_loss == pytest.approx(other.val_loss, rel=1e-3)
        assert one.test_loss == pytest.approx(other.test_loss, rel=1e-3)


@pytest.mark.parametrize("most", [1, 2])
def test_what_does_not_fit_is_split_until_it_does(
    build: Build, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    task = build(trainer="cohort", epochs=2)
    asked = [replace(request, keep=True) for request in requests(5)]
    expected, tried = plain(task.evaluate(asked)), []
    advance = StackedTrainer.advance

    def tight(self: StackedTrainer, work: Any) -> None:
        tried.append(len(work))
        if len(work) > most:
            advance(self, work[:1])  # a lane that was trained in vain leaves no trace
            raise torch.OutOfMemoryError("tried to allocate 1 TiB")
        advance(self, work)

    monkeypatch.setattr(StackedTrainer, "advance", tight)
    assert plain(task.evaluate(asked)) == expected
    assert max(tried) == 5
    assert sum(size for size in tried if size <= most) == 5


def test_one_that_never_fits_is_out_of_memory_and_the_others_are_trained(
    build: Build, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = build(trainer="cohort", epochs=2)
    asked = [ask(task, 0), ask(task, 1, width=128, keep=True), ask(task, 2, width=40)]
    expected = plain(task.evaluate([asked[0], asked[2]]))
    advance = StackedTrainer.advance

    def greedy(self: StackedTrainer, work: Any) -> None:
        if any(item.lane.config["width"] == 128 for item in work):
            raise torch.OutOfMemoryError("tried to allocate 1 TiB")
        advance(self, work)

    monkeypatch.setattr(StackedTrainer, "advance", greedy)
    fine, failed, after = task.evaluate(asked)
    assert plain([fine, after]) == expected
    assert (failed.status, failed.message) == (Status.OUT_OF_MEMORY, "tried to allocate 1 TiB")
    assert (failed.val_correct, failed.curve) == (None, ())


def test_kept_lanes_go_on_in_other_company(build: Build, ask: Ask) -> None:
    task = build(trainer="cohort", epochs=5)
    values = {"dropout": 0.2, "schedule": "cosine", "optimizer": "adamw"}
    at_once = plain(task.evaluate([ask(task, 0, **values)]))[0]
    begun, _ = plain(task.evaluate([ask(task, 1, epochs=2, keep=True, **values), ask(task, 2)]))
    _, rest, _ = plain(
        task.evaluate([ask(task, 3, width=90), ask(task, 4, parent=1, **values), ask(task, 5, dropout=0.5)])
    )
    assert (begun.epochs, rest.epochs_from, rest.epochs) == (2, 2, 5)
    assert replace(rest, epochs_from=0, curve=begun.curve + rest.curve) == at_once


def test_siblings_of_one_parent_train_in_one_call(build: Build, ask: Ask) -> None:
    task = build(trainer="cohort", epochs=3)
    task.evaluate([ask(task, 0, epochs=1, keep=True)])
    first, other, again = plain(
        task.evaluate(
            [ask(task, 1, parent=0), ask(task, 2, parent=0, learning_rate=0.09), ask(task, 3, parent=0)]
        )
    )
    assert first == again
    assert first != other


def test_a_forgotten_lane_is_a_clear_error(build: Build, ask: Ask) -> None:
    task = build(trainer="cohort", epochs=3)
    kept = ask(task, 0, epochs=1, keep=True)
    task.evaluate([kept])
    task.forget([kept])
    with pytest.raises(UsageError, match="continues trial 0, whose training state is not kept"):
        task.evaluate([ask(task, 1, parent=0)])


def test_diverging_trials_touch_no_other(build: Build, ask: Ask) -> None:
    task = build(trainer="cohort", epochs=2)
    fine = ask(task, 0)
    wild = [ask(task, place, learning_rate=math.inf, width=100 - place) for place in (1, 2)]
    expected = plain(task.evaluate([fine]))
    first, second, third = plain(task.evaluate([wild[0], fine, wild[1]]))
    assert [second] == expected
    for answer in (first, third):
        assert answer.status is Status.DIVERGED
        assert "not finite after epoch 1" in answer.message
        assert (answer.val_correct, answer.test_loss) == (None, None)


def test_a_family_that_declares_no_cohorts_is_trained_by_the_reference_trainer(
    build: Build, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = build("digits", "cnn", epochs=1)
    alone = replace(networks.REGISTRY.get("cnn"), cohort=False)
    monkeypatch.setattr(networks.REGISTRY, "get", lambda _: alone)
    one = build("digits", "cnn", epochs=1, trainer="cohort")
    asked = [ask(task, channels=8, batch_size=128, layers=1) for task in (one, other)]
    assert plain(one.evaluate(asked[:1])) == plain(other.evaluate(asked[1:]))


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_compiled_answers_are_the_reference_trainers_but_for_rounding(
    build: Build, ask: Ask, network: str
) -> None:
    tasks = [
        build("digits", network, epochs=2, trainer="cohort", compiled=True),
        build("digits", network, epochs=2),
    ]
    values = [{"layers": 1, "batch_size": 64, "dropout": place / 5} for place in range(3)]
    answers = [
        task.evaluate([ask(task, place, **item) for place, item in enumerate(values)]) for task in tasks
    ]
    for one, other in zip(*answers, strict=True):
        assert (one.status, one.epochs, one.val_total) == (other.status, other.epochs, other.val_total)
        assert one.val_correct == pytest.approx(other.val_correct, abs=1)
        assert one.val_loss == pytest.approx(other.val_loss, rel=1e-3)
        assert one.test_loss == pytest.approx(other.test_loss, rel=1e-3)

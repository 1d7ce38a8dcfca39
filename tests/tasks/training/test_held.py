"""What a process holds of its splits: as much as there is room for, each made once where all fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from hpbench.environment import find_compiler
from hpbench.tasks import datasets, networks
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.datasets import Dataset
from hpbench.tasks.datasets.splits import split_bytes
from hpbench.tasks.network_task import NetworkTask
from hpbench.tasks.training import held
from hpbench.testing.task_kit import without_times
from hpbench.trial import Evaluation, Request, RunKey


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    """Begin and end with nothing held."""
    held.HELD.clear()
    yield
    held.HELD.clear()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The repetitions that were split, in order."""
    found: list[int] = []
    for name in ("splits", "whole"):

        def noted(original: Callable[..., object], *args: object, repetition: int, **keys: object) -> object:
            found.append(repetition)
            return original(*args, repetition=repetition, **keys)

        monkeypatch.setattr(held, name, partial(noted, getattr(held, name)))
    return found


def task_of(dataset: str = "iris", **keys: Any) -> NetworkTask:
    """Return a small task of three folds."""
    space = networks.REGISTRY.get("logistic").space
    return NetworkTask(TaskSpec("small", dataset, "logistic", 1, space, folds=3, **keys))


def requests_of(task: NetworkTask, *repetitions: int) -> list[Request]:
    """Return a request of two strategies for each repetition, as a shard has them."""
    config = task.space.default_config()
    return [
        Request(RunKey(task.name, strategy, repetition), 0, config, 1)
        for strategy in ("grid", "random")
        for repetition in repetitions
    ]


def shards(task: NetworkTask) -> list[Evaluation]:
    """Return the results of three shards of two repetitions and two rounds each, asked in company and alone."""
    found = []
    for begin in (0, 2, 4):
        requests = requests_of(task, begin, begin + 1)
        found += task.evaluate(requests)
        found += [answer for request in requests for answer in task.evaluate([request])]
    return [without_times(answer) for answer in found]


def test_shard_after_shard_takes_no_more_memory_and_splits_nothing_twice(
    made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of()
    unbounded = shards(task)
    one = 3 * split_bytes(task.dataset, compiled=False)
    assert held.HELD.n_bytes == 6 * one
    assert made == list(range(6))
    task.close()
    assert held.HELD.n_bytes == 0
    made.clear()
    monkeypatch.setattr(held.HELD, "limit_bytes", 2 * one)
    assert shards(task) == unbounded
    assert held.HELD.n_bytes == 2 * one
    assert made == list(range(6))


def test_tasks_on_the_same_data_share_splits_and_others_do_not(made: list[int]) -> None:
    task = task_of()
    assert task_of(patience=2).data(0) is task.data(0)
    assert made == [0]
    for other in (
        task_of(root_seed=1),
        task_of(test_fraction=0.3),
        task_of(subset=90),
        task_of(dataset="wine"),
    ):
        assert other.data(0) is not task.data(0)
    assert len(made) == 5


@pytest.mark.parametrize("trainer", ["reference", "cohort"])
def test_retrainings_of_many_repetitions_are_taken_as_they_fit(
    trainer: str, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(trainer=trainer)
    by_run = sorted(requests_of(task, 0, 1, 2), key=lambda request: request.run.repetition)
    expected = task.retrain(by_run)
    task.close()
    made.clear()
    one = split_bytes(task.dataset, compiled=False)
    monkeypatch.setattr(held.HELD, "limit_bytes", 2 * one)
    groups = task._splits.fitting(by_run)
    assert [[request.run.repetition for request in group] for group in groups] == [[0, 0, 1, 1], [2, 2]]
    assert task.retrain(by_run) == expected
    assert made == [0, 1, 2]
    assert held.HELD.n_bytes <= 2 * one


@pytest.mark.skipif(find_compiler() is None, reason="no C compiler: install gcc or set CC")
@pytest.mark.parametrize(("channels", "copies"), [(3, 2), (1, 1)])
def test_the_copy_that_compiled_steps_read_counts(
    channels: int, copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    images = Dataset.of("mine", rng.normal(size=(150, channels, 8, 8)), np.arange(150) % 3)
    monkeypatch.setattr(datasets, "load", lambda _: images)
    space = networks.REGISTRY.get("cnn").space.fixed("channels", 8).fixed("layers", 1)
    task = NetworkTask(TaskSpec("mine-cnn", "mine", "cnn", 1, space, trainer="cohort", compiled=True))
    task.evaluate([Request(RunKey(task.name, "random", 0), 0, space.default_config(), 1)])
    assert held.HELD.n_bytes == split_bytes(images, compiled=True) == copies * images.n_bytes

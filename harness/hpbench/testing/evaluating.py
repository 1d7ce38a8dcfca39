"""Asking a task for evaluations, as its conformance kit does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hpbench.errors import HpbenchError
from hpbench.tasks.base import Task
from hpbench.trial import Evaluation, Request, RunKey

__all__ = ["TaskUnderTest", "refused", "requests", "without_times"]


def without_times(evaluation: Evaluation) -> Evaluation:
    """Return ``evaluation`` with its seconds set to zero: what has to be equal bit for bit.

    An error that is not finite (of a regression that diverged) becomes one and the same object, since
    NaN equals nothing but itself.
    """
    curve = tuple(error if math.isfinite(error) else math.nan for error in evaluation.curve)
    return replace(evaluation, curve=curve, train_seconds=0.0, evaluate_seconds=0.0)


@dataclass(frozen=True)
class TaskUnderTest:
    """How to build the task in question; picklable, so that another process can build it too.

    Attributes:
        kind: the class, or a function of an importable module.
        options: its arguments.
    """

    kind: Callable[..., Task]
    options: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Task:
        """Return a new task."""
        return self.kind(**self.options)

    def answer(self, task: Task, requests: Sequence[Request]) -> list[Evaluation]:
        """Return what ``task`` answers, times aside."""
        answers = task.evaluate(requests)
        assert len(answers) == len(requests), f"{len(requests)} requests got {len(answers)} answers"
        return [without_times(answer) for answer in answers]


def requests(
    task: Task,
    trials: int,
    *,
    strategy: str = "one",
    repetition: int = 0,
    first: int = 0,
    epochs: int | None = None,
    keep: bool = False,
) -> list[Request]:
    """Return a request for the default configuration and for ``trials - 1`` random ones, always the same.

    Args:
        task: whose space is sampled.
        trials: how many requests.
        strategy: the name in their run's key.
        repetition: the repetition in their run's key.
        first: the number of the first trial.
        epochs: train until this epoch; None: the task's full fidelity.
        keep: ask for the training states to be kept.
    """
    rng = np.random.default_rng(0)
    sampled = [task.space.sample(rng) for _ in range(trials - 1)]
    run = RunKey(task.name, strategy, repetition)
    until = task.full_epochs if epochs is None else epochs
    return [
        Request(run, first + place, config, until, keep=keep)
        for place, config in enumerate([task.space.default_config(), *sampled])
    ]


def refused(task: Task, request: Request) -> bool:
    """Return whether ``task`` refuses ``request`` with an error made for people."""
    try:
        task.evaluate([request])
    except HpbenchError as error:
        return bool(str(error))
    return False

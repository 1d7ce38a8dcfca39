"""A closed-form function as a task: a configuration's value is its loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

from hpbench.errors import UsageError
from hpbench.tasks.base import Task, TaskSpec
from hpbench.trial import Config, Evaluation, Request, Status

__all__ = ["FunctionTask"]


class FunctionTask(Task):
    """A function of the configuration alone: the same in every repetition, whatever the seed.

    There are no examples, so nothing is counted and nothing is held back: the value is the loss on
    validation and on test alike. Epochs have no meaning and change no value.

    Args:
        spec: name, space and full fidelity.
        value: configuration, constants included → what is minimised.
    """

    def __init__(self, spec: TaskSpec, value: Callable[[Config], float]) -> None:
        self.name = spec.name
        self.space = spec.space
        self.full_epochs = spec.epochs
        self._value = value

    def evaluate(self, requests: Sequence[Request]) -> list[Evaluation]:
        """Return the value of every configuration; see ``Task.evaluate``.

        Raises:
            UsageError: a request continues another trial.
        """
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Evaluation:
        """Return the value of one configuration."""
        if request.parent is not None:
            raise UsageError(
                f"trial {request.number} of {request.run} continues trial {request.parent}, but the function "
                f"{self.name!r} has no training state; use a strategy that starts every trial from scratch."
            )
        begin = perf_counter()
        value = self._value(self.space.complete(request.config))
        return Evaluation(
            Status.OK,
            epochs=request.epochs,
            val_loss=value,
            test_loss=value,
            evaluate_seconds=perf_counter() - begin,
        )

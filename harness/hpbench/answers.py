"""What strategies and tasks answer, which are foreign code: a value or a failure, told as it will be stored."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from hpbench.canonical import from_line, to_line
from hpbench.errors import HpbenchError, UsageError
from hpbench.trial import Evaluation, Objective, Proposal, Record, Status, objective_of

__all__ = ["Outcome", "attempt", "check_proposal", "stored"]

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What a call into foreign code gave: a value, or ``failure`` as text."""

    value: T | None = None
    failure: str | None = None


def attempt(call: Callable[[], T]) -> Outcome[T]:
    """Return what ``call`` gives, or what it raised as text: the one place that catches everything.

    Strategies, tasks and plug-ins are foreign code; what they raise ends a trial or a run, never the
    study. The text names files without their folders, so it is the same on every machine.
    """
    try:
        return Outcome(value=call())
    except HpbenchError as error:
        return Outcome(failure=str(error))
    except Exception as error:  # noqa: BLE001 - the one place; see above
        frames = traceback.extract_tb(error.__traceback__)[1:]
        places = [f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}" for frame in frames]
        return Outcome(failure="\n".join([f"{type(error).__name__}: {error}", *places]))


def check_proposal(answer: object) -> None:
    """Raise unless a strategy's ``answer`` is a proposal of built-in types; its space checks the values.

    Raises:
        UsageError: it is something else, or holds something else.
    """
    if not isinstance(answer, Proposal):
        raise UsageError(f"`ask` must return a hpbench.trial.Proposal or None, got {answer!r}.")
    if not isinstance(answer.config, Mapping):
        raise UsageError(f"`config` must map names to values, got {answer.config!r}.")
    for name, value in (("epochs", answer.epochs), ("parent", answer.parent)):
        if value is not None and type(value) is not int:
            raise UsageError(f"`{name}` must be an int or None, got {value!r}.")


def stored(record: Record, objective: Objective) -> Record:
    """Return a finished trial with its evaluation as the store gives it back.

    So a strategy is told the very same live and in a replay, whatever types a task answers in. An
    answer that cannot be used makes the trial an error.

    Args:
        record: with the task's answer, word for word.
        objective: what is minimised; a trial that succeeded must hold it.
    """
    outcome = attempt(lambda: _usable(record, objective))
    if outcome.value is not None:
        return outcome.value
    message = f"the task's answer cannot be used: {outcome.failure}"
    return replace(record, evaluation=Evaluation(Status.ERROR, message=message))


def _usable(record: Record, objective: Objective) -> Record:
    """Return ``record`` after a journey to the store and back.

    A validation loss that is not finite means that the trial diverged, whatever the task called it.

    Raises:
        UsageError: seconds are negative or not finite (taken as they are, or as none, they would never
            spend a budget in seconds), counts are impossible, or a trial that succeeded lacks its objective.
    """
    answer = record.evaluation
    _check_counts("val", answer.val_correct, answer.val_total)
    _check_counts("test", answer.test_correct, answer.test_total)
    for name in ("train_seconds", "evaluate_seconds"):
        seconds = getattr(answer, name)
        if not 0.0 <= seconds < math.inf:
            raise UsageError(f"`{name}` must be finite and at least 0, got {seconds}.")
    clean = from_line(to_line(replace(record, evaluation=replace(answer, message=str(answer.message)))))
    result = clean.evaluation
    if result.status is Status.OK and answer.val_loss is not None and result.val_loss is None:
        message = result.message or f"the validation loss is {answer.val_loss}"
        result = replace(result, status=Status.DIVERGED, message=message)
    if result.status is Status.OK and objective_of(result, objective) is None:
        needed = "`val_loss`" if objective == "loss" else "`val_correct` and `val_total`, or `val_loss` alone"
        raise UsageError(f"a trial that succeeded must have {needed}.")
    return replace(record, evaluation=result)


def _check_counts(part: str, correct: int | None, total: int | None) -> None:
    """Raise unless ``correct`` examples of ``total`` are possible: a share in place of a count is not.

    Raises:
        UsageError: they are not.
    """
    if correct is None:
        return
    if total is None or int(correct) != correct or int(total) != total or not 0 <= correct <= total:
        raise UsageError(
            f"`{part}_correct` must be a whole number from 0 to `{part}_total`, got {correct} of {total}."
        )

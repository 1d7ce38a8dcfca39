"""The nouns of a run: what a strategy proposes, what a task answers, what is told and stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

__all__ = [
    "Config",
    "Evaluation",
    "Objective",
    "Proposal",
    "Record",
    "Request",
    "Retraining",
    "RunKey",
    "Status",
    "Trial",
    "Value",
    "objective_of",
]

Value = int | float | str | bool
Config = Mapping[str, Value]
Objective = Literal["error", "loss"]


class Status(StrEnum):
    """How a trial ended. Everything but OK uses up budget and never becomes the incumbent."""

    OK = "ok"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    ERROR = "error"
    KILLED = "killed"


@dataclass(frozen=True, order=True)
class RunKey:
    """One strategy on one task in one repetition; the names are those of the suite."""

    task: str
    strategy: str
    repetition: int

    def __str__(self) -> str:
        return f"{self.task}/{self.strategy}/{self.repetition}"


@dataclass(frozen=True)
class Proposal:
    """What a strategy answers to *ask*.

    Attributes:
        config: one point of the search space; plain int, float, str or bool, inactive names absent.
        epochs: train until this epoch (not: so many more); None is the task's full fidelity.
        parent: continue the training state of this finished trial of the same run, which must have at
            least one epoch; None: from scratch.
    """

    config: Config
    epochs: int | None = None
    parent: int | None = None


@dataclass(frozen=True)
class Request:
    """One trial that a task is to train, possibly together with many others.

    Attributes:
        run: whose trial it is. Only the repetition may change what is computed; task, strategy and
            number merely name the training state.
        number: the trial's number within its run, from 0.
        config: what was proposed, without the constants of the space.
        epochs: train until this epoch, at most the task's full fidelity.
        parent: the trial of the same run whose state is continued, or None.
        keep: the strategy may name this trial as a parent later, so its state is to be kept.
    """

    run: RunKey
    number: int
    config: Config
    epochs: int
    parent: int | None = None
    keep: bool = False


@dataclass(frozen=True)
class Evaluation:
    """What training and evaluating one configuration gave.

    Counts are integers because they survive rounding differences that floats do not. Test figures
    are measured for every trial and shown to no strategy.

    Attributes:
        status: how the trial ended.
        epochs_from: epochs that were already trained (0 unless a parent was continued).
        epochs: the epoch reached.
        val_correct: correctly classified validation examples; None if the trial failed, or nothing is
            counted (a regression).
        val_total: validation examples; None where nothing is counted.
        val_loss: mean cross-entropy on validation, in nats; for a regression the share of the variance
            of that part's targets that is not explained, 1 - R²: 0 is perfect, 1 as good as their mean,
            and it may be larger.
        test_correct: correctly classified test examples; None where nothing is counted.
        test_total: test examples; None where nothing is counted.
        test_loss: as ``val_loss``, on the test part.
        curve: validation error after each epoch that this trial added: the share of wrong examples,
            for a regression 1 - R².
        train_seconds: seconds of training on the study's clock.
        evaluate_seconds: seconds of evaluation on the study's clock.
        message: for a failed trial, what happened.
    """

    status: Status
    epochs_from: int = 0
    epochs: int = 0
    val_correct: int | None = None
    val_total: int | None = None
    val_loss: float | None = None
    test_correct: int | None = None
    test_total: int | None = None
    test_loss: float | None = None
    curve: tuple[float, ...] = ()
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class Trial:
    """What a strategy is told: its own proposal and how it did on validation, never on test.

    Attributes:
        number: the trial's number within its run, from 0, in the order of asking.
        config: what was proposed.
        status: how it ended; a strategy is told failed trials too.
        objective: validation error (of a regression 1 - R²) or cross-entropy, to be minimised; None if it failed.
        epochs_from: epochs inherited from the parent.
        epochs: the epoch reached.
        parent: the trial that was continued, or None.
        curve: validation error after each added epoch.
    """

    number: int
    config: Config
    status: Status
    objective: float | None
    epochs_from: int
    epochs: int
    parent: int | None = None
    curve: tuple[float, ...] = ()


@dataclass(frozen=True)
class Record:
    """One finished trial as it is stored; a row of the public format ``trials.jsonl``.

    Attributes:
        run: strategy, task and repetition.
        number: the trial's number within its run.
        parent: the trial that was continued, or None.
        config: what was proposed.
        evaluation: what training it gave.
        ask_seconds: the strategy's thinking before the proposal.
        tell_seconds: the strategy's thinking after the result.
    """

    run: RunKey
    number: int
    parent: int | None
    config: Config
    evaluation: Evaluation
    ask_seconds: float
    tell_seconds: float

    @property
    def seconds(self) -> float:
        """Everything the trial cost on the study's clock, in seconds."""
        spent = self.evaluation.train_seconds + self.evaluation.evaluate_seconds
        return self.ask_seconds + spent + self.tell_seconds

    def as_trial(self, objective: Objective) -> Trial:
        """Return the part of this record that the strategy is told."""
        return Trial(
            number=self.number,
            config=self.config,
            status=self.evaluation.status,
            objective=objective_of(self.evaluation, objective),
            epochs_from=self.evaluation.epochs_from,
            epochs=self.evaluation.epochs,
            parent=self.parent,
            curve=self.evaluation.curve,
        )


@dataclass(frozen=True)
class Retraining:
    """The configuration of a run's incumbent, trained again on training and validation part and tested.

    Attributes:
        run: strategy, task and repetition.
        number: which of the fresh seeds, from 0.
        trial: the incumbent's number within its run.
        epochs: the epoch that was to be reached.
        status: how it ended.
        test_correct: correctly classified test examples; None if it failed, or nothing is counted.
        test_total: test examples; None if it failed, or nothing is counted.
        test_loss: as of an ``Evaluation``; None if it failed.
        message: for one that failed, what happened.
    """

    run: RunKey
    number: int
    trial: int
    epochs: int
    status: Status
    test_correct: int | None = None
    test_total: int | None = None
    test_loss: float | None = None
    message: str = ""


def objective_of(evaluation: Evaluation, objective: Objective) -> float | None:
    """Return what is minimised, from validation alone; None for a failed trial.

    Where nothing is counted there is one measure: the error of a regression is its loss, 1 - R².
    """
    if evaluation.status is not Status.OK:
        return None
    if objective == "loss" or evaluation.val_total is None:
        return evaluation.val_loss
    if evaluation.val_correct is None or not evaluation.val_total:
        return None
    return (evaluation.val_total - evaluation.val_correct) / evaluation.val_total

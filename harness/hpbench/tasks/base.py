"""The interface of a task: a search space, a full fidelity, and a way to evaluate many trials at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hpbench.errors import UsageError
from hpbench.space import SearchSpace
from hpbench.tasks.datasets import DataSpec, TargetKind
from hpbench.tasks.training.costs import StepCost
from hpbench.trial import Evaluation, Request

__all__ = ["Task", "TaskSpec"]


@dataclass(frozen=True)
class TaskSpec:
    """Everything that decides what a task computes; picklable, so that a worker can build it.

    Attributes:
        name: the task's name in the suite; part of the key of its training stream.
        dataset: a data set's name, such as ``"digits"`` or ``"file:adult.csv"``; empty for a function.
        network: a network family's name, such as ``"mlp"``; empty for a function.
        epochs: the full fidelity.
        space: the family's search space as the suite's ``[tasks.space]`` table changed it.
        root_seed: the suite's seed.
        training_seeds: ``"per_repetition"`` (all strategies search the same function) or
            ``"per_trial"``.
        validation_fraction: share of all examples that a network is validated on, in (0, 1).
        folds: of a cross-validation, at least 2; None: one part is held out for validation, or the task is a
            function.
        test_fraction: share of all examples that no selection ever sees, in (0, 1).
        patience: stop a trial after this many epochs without a better validation error; None: never.
        trainer: ``"reference"`` or ``"cohort"``.
        clock: ``"measured"`` or ``"modelled"``.
        compiled: whether cohorts train with compiled steps; decided once in a study.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``; ``"auto"`` is resolved before.
        threads: intra-operation threads of the training process.
        function: the name of a function or of a task of others, such as ``"branin"``; None for a network on a
            data set.
        target: the column to predict, for data that do not say it themselves.
        shape: read every input as an image of this shape.
        subset: take so many examples only.
        folder: where relative paths of data begin; empty: the working directory.
        target_kind: whether the target holds classes or numbers, for data that do not say it
            themselves.
        checksum: what the data must have, as it was when the study was created; None: whatever is loaded.
    """

    name: str
    dataset: str
    network: str
    epochs: int
    space: SearchSpace
    root_seed: int = 0
    training_seeds: Literal["per_repetition", "per_trial"] = "per_repetition"
    validation_fraction: float = 0.2
    test_fraction: float = 0.2
    patience: int | None = None
    trainer: Literal["reference", "cohort"] = "reference"
    clock: Literal["measured", "modelled"] = "measured"
    compiled: bool = False
    device: str = "cpu"
    threads: int = 1
    function: str | None = None
    target: str | None = None
    shape: tuple[int, ...] | None = None
    subset: int | None = None
    folder: str = ""
    target_kind: TargetKind | None = None
    folds: int | None = None
    checksum: str | None = None

    @property
    def trainings(self) -> int:
        """Networks that one trial trains: one, or one for each fold."""
        return self.folds or 1

    @property
    def data(self) -> DataSpec:
        """What the task learns from, for ``hpbench.tasks.datasets.load``."""
        return DataSpec(
            self.dataset,
            self.target,
            self.shape,
            self.subset,
            self.root_seed,
            self.folder,
            self.target_kind,
        )


class Task(ABC):
    """What is optimised.

    Attributes:
        name: the task's name in the suite.
        space: the search space, constants included.
        full_epochs: the fidelity of a proposal without ``epochs``.
    """

    name: str
    space: SearchSpace
    full_epochs: int

    @abstractmethod
    def evaluate(self, requests: Sequence[Request]) -> list[Evaluation]:
        """Train and evaluate every request and answer in the same order.

        A configuration gives the same result whatever else is in ``requests``, bit for bit. Nothing
        is raised for a training that fails: its status says so.

        Seconds must be finite and at least 0, counts whole numbers within their totals, and what is minimised
        must be there if the status is OK, or the trial counts as an error; a validation loss that is not
        finite counts as diverged. The strategy is told what the store will hold: plain numbers, and
        NaN for what is not finite in a curve.
        """

    def forget(self, requests: Sequence[Request]) -> None:
        """Drop the kept training states of these trials; no strategy will continue them."""

    def calibrate(self, signature: str) -> StepCost:
        """Return what one signature costs the reference trainer, for the modelled clock.

        It is called while nothing else trains on the machine.

        Raises:
            UsageError: the task knows no modelled clock.
        """
        raise UsageError(f'task {self.name!r} cannot be calibrated for {signature}; set clock = "measured".')

    def measure(self, request: Request) -> float:
        """Return the seconds of training and evaluating one trial alone with the reference trainer.

        It is called while nothing else trains on the machine, for a check of the modelled clock; the
        result of the training is dropped. It may train several times, to keep disturbances out.

        Raises:
            UsageError: the task knows no modelled clock.
        """
        raise UsageError(f'task {self.name!r} cannot measure trial {request.number}; set clock = "measured".')

    def retrain(self, requests: Sequence[Request]) -> list[Evaluation]:
        """Train configurations on training and validation part together, from scratch, and test them.

        The answers hold status, epochs, test figures and message alone. A configuration gives the same
        result whatever else is in ``requests``, bit for bit.

        Args:
            requests: their numbers are those of the fresh seeds, from 0; they have no parents.

        Raises:
            UsageError: the task cannot retrain.
        """
        raise UsageError(
            f"task {self.name!r} cannot retrain {len(requests)} incumbents; leave `final` out of the suite."
        )

    def close(self) -> None:
        """Release what the task holds on its device."""

"""A suite: every strategy on every task in every repetition, under one budget, checked as a whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from hpbench.errors import unknown_name
from hpbench.suite.checks import problems_in
from hpbench.suite.models import Budget, Final, Limits, Name, SuiteStrategy, SuiteTask, Table, Validation
from hpbench.suite.plain import check_plain
from hpbench.suite.problems import SuiteError, problems_of
from hpbench.suite.spaces import space_of
from hpbench.tasks import datasets
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.datasets import DataSpec
from hpbench.trial import Objective, RunKey

__all__ = ["Suite"]

_LARGEST_SEED = 2**63 - 1
_USUAL_CLOCK = {"reference": "measured", "cohort": "modelled"}

Description = Annotated[str, Field(max_length=4000)]
Repetitions = Annotated[int, Field(ge=1, le=10_000)]
Threads = Annotated[int, Field(ge=1, le=1024)]


class Suite(Table):
    """A suite file after defaults.

    Build it with :meth:`of`, whose errors speak the language of the file.

    Attributes:
        schema_version: the file format, ``schema`` in the file.
        name: what the results directory is called.
        description: free text.
        root_seed: what every random stream is keyed by.
        repetitions: how often every cell is run.
        budget: the allowance of one run.
        trainer: ``"reference"`` (one trial at a time) or ``"cohort"``.
        clock: ``"measured"`` or ``"modelled"``; by default modelled for cohorts, else measured.
        compile: whether cohorts take compiled steps: ``"never"``, ``"always"``, or ``"auto"``, where the
            planned steps repay the compiling.
        objective: what is minimised: validation ``"error"`` or ``"loss"`` (cross-entropy). For a
            regression both are 1 - R².
        training_seeds: whether the trials of a repetition share their training stream.
        threads: threads of a training process.
        validation: how a configuration is validated.
        test_fraction: share of all examples that no strategy ever sees.
        final: what is done with the incumbent of a finished run; None: nothing.
        limits: when a trial or a run is given up.
        tasks: what is optimised.
        strategies: what optimises.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    name: Name
    description: Description = ""
    root_seed: Annotated[int, Field(ge=0, le=_LARGEST_SEED)]
    repetitions: Repetitions
    budget: Budget
    trainer: Literal["reference", "cohort"] = "reference"
    clock: Literal["measured", "modelled"] = "measured"
    compile: Literal["auto", "never", "always"] = "auto"
    objective: Objective = "error"
    training_seeds: Literal["per_repetition", "per_trial"] = "per_repetition"
    threads: Threads = 1
    validation: Validation = Validation()
    test_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    final: Final | None = None
    limits: Limits = Limits()
    tasks: Annotated[tuple[SuiteTask, ...], Field(max_length=1000, strict=False)]
    strategies: Annotated[tuple[SuiteStrategy, ...], Field(max_length=1000, strict=False)]

    _folder: str = PrivateAttr("")

    @classmethod
    def of(
        cls, content: Mapping[str, Any], *, source: str | None = None, folder: Path | None = None
    ) -> Suite:
        """Return the suite that a TOML document or :meth:`resolved` describes.

        Args:
            content: the parsed document.
            source: the file's name, for messages.
            folder: where relative paths of data begin; by default the working directory. It is no part
                of what the suite says, so it changes neither results nor digest.

        Raises:
            SuiteError: something in it is unknown, impossible or of the wrong type.
        """
        try:
            check_plain(content)
            found = cls.model_validate(content)
        except ValidationError as error:
            raise SuiteError(problems_of(error, cls), source) from error
        except SuiteError as error:
            raise SuiteError(error.problems, source) from error
        if folder is not None and any(datasets.from_source(task.dataset) for task in found.tasks):
            found._folder = str(folder.resolve())  # noqa: SLF001 - its own
        return found

    @model_validator(mode="before")
    @classmethod
    def _choose_clock(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "clock" not in raw and raw.get("trainer") in _USUAL_CLOCK:
            return {**raw, "clock": _USUAL_CLOCK[raw["trainer"]]}
        return raw

    @model_validator(mode="after")
    def _check_whole(self) -> Suite:
        problems = list(problems_in(self))
        if problems:
            raise SuiteError(problems)
        return self

    def run_keys(self) -> list[RunKey]:
        """Return every run, in the order of the suite: tasks, then strategies, then repetitions."""
        return [
            RunKey(task.name, strategy.name, repetition)
            for task in self.tasks
            for strategy in self.strategies
            for repetition in range(self.repetitions)
        ]

    def task(self, name: str) -> SuiteTask:
        """Return the task called ``name``."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise unknown_name("task", name, [task.name for task in self.tasks])

    def strategy(self, name: str) -> SuiteStrategy:
        """Return the strategy called ``name``."""
        for strategy in self.strategies:
            if strategy.name == name:
                return strategy
        raise unknown_name("strategy", name, [strategy.name for strategy in self.strategies])

    def task_spec(self, task_name: str, *, device: str) -> TaskSpec:
        """Return everything that a worker needs to build a task.

        Args:
            task_name: which task.
            device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``; ``"auto"`` is resolved before.
        """
        task = self.task(task_name)
        return TaskSpec(
            name=task.name,
            dataset=task.dataset,
            network=task.network,
            epochs=task.epochs,
            space=space_of(task),
            root_seed=self.root_seed,
            training_seeds=self.training_seeds,
            validation_fraction=self.validation.share(self.test_fraction),
            folds=None if task.function is not None else self.validation.folds,
            test_fraction=self.test_fraction,
            patience=task.patience,
            trainer=self.trainer,
            clock=self.clock,
            device=device,
            threads=self.threads,
            function=task.function,
            target=task.target,
            shape=task.shape,
            subset=task.subset,
            folder=self._folder,
            target_kind=task.target_kind,
        )

    def data(self, task: SuiteTask) -> DataSpec:
        """Return what ``task`` learns from, for ``hpbench.tasks.datasets.load``."""
        return DataSpec(
            task.dataset,
            task.target,
            task.shape,
            task.subset,
            self.root_seed,
            self._folder,
            task.target_kind,
        )

    def trainings(self, task: SuiteTask) -> int:
        """Return how many times a trial of ``task`` pays its epochs: once a fold; a function has no folds."""
        return 1 if task.function is not None else self.validation.trainings

    def budget_trials(self, task: SuiteTask | str) -> int | None:
        """Return how many full trainings of a task the budget allows; None for a budget in seconds."""
        task = self.task(task) if isinstance(task, str) else task
        epochs = task.epochs * self.trainings(task)
        return self.budget.trials if self.budget.epochs is None else self.budget.epochs // epochs

    def resolved(self) -> dict[str, Any]:
        """Return everything after defaults as JSON values; :meth:`of` reads it back to an equal suite.

        Keys that were left out and have no default are left out here too.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def digest(self) -> str:
        """Return the SHA-256, hexadecimal, of :meth:`resolved` with sorted keys.

        A comment, the order of keys or a default that is spelt out does not change it.
        """
        text = json.dumps(self.resolved(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def replace(self, **overrides: Any) -> Suite:
        """Return this suite with some top-level keys changed, such as ``trainer="reference"``.

        A clock that is the usual one of the trainer goes with the trainer, unless it is given too.

        Raises:
            SuiteError: the result is no legal suite.
        """
        content = self.resolved()
        if "trainer" in overrides and self.clock == _USUAL_CLOCK[self.trainer]:
            del content["clock"]
        folder = Path(self._folder) if self._folder else None
        return Suite.of({**content, **overrides}, folder=folder)

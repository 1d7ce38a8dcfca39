"""What a suite would do, before anything trains: runs, refused pairings, trials, a rough cost."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpbench.compilation import (
    STEP_SECONDS,
    UNKNOWN_STEP_SECONDS,
    Steps,
    clipped_batches,
    decide_steps,
    steps_per_epoch,
    train_examples,
)
from hpbench.environment import find_compiler
from hpbench.errors import UnsuitableSpaceError, UsageError
from hpbench.seeding import strategy_stream
from hpbench.strategies import REGISTRY, Capability
from hpbench.strategies.factory import create
from hpbench.suite import Suite, SuiteStrategy, SuiteTask, space_of
from hpbench.tasks import networks
from hpbench.tasks.training.costs import signatures_of
from hpbench.trial import RunKey

__all__ = [
    "Calibration",
    "Plan",
    "Refusal",
    "estimate_calibration",
    "estimate_seconds",
    "make_plan",
]

_SPEED = {"plain": 1.0, "traced": 2.5, "compiled": 20.0}
"""How many trials a mixed search space trains in the time of one of the reference trainer's."""

_CALIBRATION_STEPS = 40
"""Typical steps in whose time one signature is calibrated.

Up to 26 are taken, in epochs of five at most that each prepare their data and score it, after a network is built.
"""

_PATTERN_PARTS = 3


@dataclass(frozen=True)
class Refusal:
    """A pairing that cannot work, and why; its runs are skipped."""

    task: str
    strategy: str
    reason: str

    def __str__(self) -> str:
        return f"{self.reason} Skipped."


@dataclass(frozen=True)
class Calibration:
    """What the modelled clock of one task takes before anything trains, roughly."""

    signatures: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Attributes:
        runs: in the order of the suite, without refused pairings and what ``only`` leaves out.
        refused: pairings that cannot work.
        trials: task → full trainings that the budget of one run allows; None where seconds limit it.
        epochs: task → full fidelity.
        steps: task → how its trials take their steps on this machine.
        trainings: task → how many times a trial pays its epochs: once for each fold of a cross-validation.
        proposals: (task, strategy) → after how many proposals it has nothing left, where it knows: a grid.
    """

    runs: tuple[RunKey, ...]
    refused: tuple[Refusal, ...]
    trials: Mapping[str, int | None]
    epochs: Mapping[str, int]
    steps: Mapping[str, Steps] = field(default_factory=dict)
    trainings: Mapping[str, int] = field(default_factory=dict)
    proposals: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def trials_of(self, run: RunKey) -> int | None:
        """Return how many trials a run has at most; None where only seconds are limited."""
        limits = (self.trials[run.task], self.proposals.get((run.task, run.strategy)))
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def n_trials(self) -> int | None:
        """Trials of all runs at most; None where only seconds are limited."""
        counts = [self.trials_of(run) for run in self.runs]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    @property
    def n_epochs(self) -> int | None:
        """Epochs of all runs and folds at most; None where only seconds are limited."""
        if self.n_trials is None:
            return None
        return sum(
            (self.trials_of(run) or 0) * self.epochs[run.task] * self.trainings.get(run.task, 1)
            for run in self.runs
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values, for programs."""
        return {
            "runs": [str(run) for run in self.runs],
            "refused": [
                {"task": item.task, "strategy": item.strategy, "reason": item.reason} for item in self.refused
            ],
            "trials_per_run": dict(self.trials),
            "epochs_per_trial": dict(self.epochs),
            "trainings_per_trial": dict(self.trainings),
            "steps": {task: {"kind": item.kind, "reason": item.reason} for task, item in self.steps.items()},
            "n_runs": len(self.runs),
            "n_trials": self.n_trials,
            "n_epochs": self.n_epochs,
        }


def make_plan(suite: Suite, *, only: str | None = None, device: str = "cpu") -> Plan:
    """Return what ``suite`` would run; every strategy is built once, so that bad options show now.

    Args:
        suite: the suite.
        only: a ``TASK/STRATEGY/REPETITION`` pattern in which ``*`` and ``?`` stand for anything; parts
            that are missing at the end stand for everything.
        device: where the study would train.

    Raises:
        UsageError: every pairing is refused, ``only`` matches nothing, an option is impossible, steps are
            to be compiled and there is no compiler, or all batch sizes of a task are above its training part.
    """
    for task in suite.tasks:
        if task.function is None:
            clipped_batches(space_of(task), train_examples(suite, task))
    answers = {
        (task.name, strategy.name): _proposals_of(suite, task, strategy)
        for task in suite.tasks
        for strategy in suite.strategies
    }
    refused = [answer for answer in answers.values() if isinstance(answer, Refusal)]
    skipped = {(item.task, item.strategy) for item in refused}
    runs = [run for run in suite.run_keys() if (run.task, run.strategy) not in skipped]
    if not runs:
        reasons = "\n".join(f"  {item.reason}" for item in refused)
        raise UsageError(
            f"suite {suite.name!r} has no pairing of a task and a strategy that can work:\n{reasons}"
        )
    compiler = find_compiler()
    return Plan(
        runs=tuple(_selected(suite, runs, only)),
        refused=tuple(refused),
        trials={task.name: suite.budget_trials(task) for task in suite.tasks},
        epochs={task.name: task.epochs for task in suite.tasks},
        trainings={task.name: suite.trainings(task) for task in suite.tasks},
        steps={
            task.name: decide_steps(
                suite,
                task,
                n_runs=sum(run.task == task.name for run in runs),
                compiler=compiler,
                device=device,
            )
            for task in suite.tasks
        },
        proposals={cell: answer for cell, answer in answers.items() if isinstance(answer, int)},
    )


def estimate_seconds(plan: Plan, suite: Suite) -> dict[RunKey, float]:
    """Return a rough guess of the seconds that each run takes alone on one core.

    It multiplies steps by what a step typically costs; a busy, old or new machine is easily a factor
    of three away. Data sets are loaded to be counted.
    """
    cells = {(run.task, run.strategy): plan.trials_of(run) for run in plan.runs}
    costs = {
        (task, strategy): _run_seconds(
            suite, suite.task(task), suite.strategy(strategy), trials, plan.steps[task].kind
        )
        for (task, strategy), trials in cells.items()
    }
    return {run: costs[run.task, run.strategy] for run in plan.runs}


def estimate_calibration(plan: Plan, suite: Suite) -> dict[str, Calibration]:
    """Return what the modelled clock measures for each network task with runs, and a rough guess of the seconds; else nothing."""
    if suite.clock == "measured":
        return {}
    planned = {run.task for run in plan.runs}
    found = {}
    for task in suite.tasks:
        if task.function is not None or task.name not in planned:
            continue
        family, n_train = networks.REGISTRY.get(task.network), int(train_examples(suite, task))
        count = len(signatures_of(family, space_of(task), n_train))
        seconds = count * _CALIBRATION_STEPS * STEP_SECONDS.get(task.network, UNKNOWN_STEP_SECONDS)
        found[task.name] = Calibration(count, seconds)
    return found


def _run_seconds(
    suite: Suite, task: SuiteTask, strategy: SuiteStrategy, trials: int | None, steps: str
) -> float:
    """Return a guess of what one run of at most ``trials`` costs, the retraining of its incumbent included."""
    training = _training_seconds(suite, task, steps)
    spent = suite.budget.seconds if suite.budget.seconds is not None else math.inf
    if trials is not None:
        thinking = REGISTRY.get(strategy.use).typical_ask_seconds
        spent = min(spent, trials * (suite.validation.trainings * training + thinking))
    return spent + (suite.final.retrain * training if suite.final else 0.0)


def _training_seconds(suite: Suite, task: SuiteTask, steps: str) -> float:
    """Return a guess of what training one network costs; what a function takes is not known and left out."""
    if task.function is not None:
        return 0.0
    count = task.epochs * steps_per_epoch(space_of(task), train_examples(suite, task))
    return count * STEP_SECONDS.get(task.network, UNKNOWN_STEP_SECONDS) / _SPEED[steps]


def _proposals_of(suite: Suite, task: SuiteTask, strategy: SuiteStrategy) -> int | Refusal | None:
    """Return how many proposals a strategy says it has, or why the pairing cannot work; an impossible option raises."""
    space = space_of(task)
    kind = REGISTRY.get(strategy.use)
    if space.conditional and Capability.CONDITIONAL not in kind.capabilities:
        names = ", ".join(item.name for item in space.parameters if item.when is not None)
        reason = (
            f"strategy {strategy.name!r} cannot search {task.subject}: it lacks CONDITIONAL, "
            f"and the space has hyperparameters that exist only under a condition ({names})."
        )
        return Refusal(task.name, strategy.name, reason)
    seed = strategy_stream(suite.root_seed, task.name, 0).integer()
    try:
        built = create(
            strategy.use,
            space,
            full_epochs=task.epochs,
            seed=seed,
            budget_trials=suite.budget_trials(task),
            options=strategy.options,
        )
    except UnsuitableSpaceError as error:
        reason = f"strategy {strategy.name!r} cannot search {task.subject}: {error}"
        return Refusal(task.name, strategy.name, reason)
    return built.n_proposals


def _selected(suite: Suite, runs: Sequence[RunKey], only: str | None) -> list[RunKey]:
    """Return the runs that the pattern ``only`` matches."""
    if only is None:
        return list(runs)
    parts = only.split("/")
    if len(parts) > _PATTERN_PARTS or not all(parts):
        raise UsageError(
            f"`--only` must be TASK/STRATEGY/REPETITION (* and ? stand for anything), got {only!r}."
        )
    parts += ["*"] * (_PATTERN_PARTS - len(parts))
    chosen = [
        run
        for run in runs
        if all(
            fnmatch.fnmatchcase(text, part)
            for text, part in zip((run.task, run.strategy, str(run.repetition)), parts, strict=True)
        )
    ]
    if not chosen:
        tasks = ", ".join(task.name for task in suite.tasks)
        strategies = ", ".join(strategy.name for strategy in suite.strategies)
        raise UsageError(
            f"`--only {only}` matches no run. Tasks: {tasks}. Strategies: {strategies}. "
            f"Repetitions: 0 to {suite.repetitions - 1}."
        )
    return chosen

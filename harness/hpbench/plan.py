"""What a suite would do, before anything trains: runs, refused pairings, trials, a rough cost."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpbench.errors import UsageError
from hpbench.seeding import strategy_stream
from hpbench.space import Categorical, SearchSpace
from hpbench.strategies import REGISTRY, Capability
from hpbench.strategies.factory import create
from hpbench.suite import Suite, SuiteStrategy, SuiteTask, space_of
from hpbench.tasks import datasets
from hpbench.trial import RunKey

__all__ = ["Plan", "Refusal", "estimate_seconds", "make_plan", "plan_shards", "runs_in_shard"]

_STEP_SECONDS = {
    "logistic": 5e-4,
    "mlp": 1.3e-3,
    "cnn": 3e-3,
    "transformer": 4.5e-3,
    "rnn": 4e-3,
    "resnet": 6e-3,
}
"""Typical seconds of one optimiser step of the reference trainer, small data, one thread."""

_UNKNOWN_STEP_SECONDS = 3e-3
_THINK_SECONDS = {"skopt-gp": 0.4, "skopt-forest": 0.2, "skopt-gbrt": 0.2}
"""Typical seconds of asking and telling, for strategies that fit a model at every trial."""

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
class Plan:
    """What is to be run.

    Attributes:
        runs: in the order of the suite, without refused pairings and what ``only`` leaves out.
        refused: pairings that cannot work.
        trials: task → full trainings that the budget of one run allows; None where seconds limit it.
            A strategy may end earlier (a grid that is finished).
        epochs: task → full fidelity.
    """

    runs: tuple[RunKey, ...]
    refused: tuple[Refusal, ...]
    trials: Mapping[str, int | None]
    epochs: Mapping[str, int]

    def trials_of(self, run: RunKey) -> int | None:
        """Return how many trials a run has at most; None where only seconds are limited."""
        return self.trials[run.task]

    @property
    def n_trials(self) -> int | None:
        """Trials of all runs at most; None where only seconds are limited."""
        counts = [self.trials_of(run) for run in self.runs]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    @property
    def n_epochs(self) -> int | None:
        """Epochs of all runs at most; None where only seconds are limited."""
        if self.n_trials is None:
            return None
        return sum((self.trials_of(run) or 0) * self.epochs[run.task] for run in self.runs)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values, for programs."""
        return {
            "runs": [str(run) for run in self.runs],
            "refused": [
                {"task": item.task, "strategy": item.strategy, "reason": item.reason} for item in self.refused
            ],
            "trials_per_run": dict(self.trials),
            "epochs_per_trial": dict(self.epochs),
            "n_runs": len(self.runs),
            "n_trials": self.n_trials,
            "n_epochs": self.n_epochs,
        }


def make_plan(suite: Suite, *, only: str | None = None) -> Plan:
    """Return what ``suite`` would run; every strategy is built once, so that bad options show now.

    Args:
        suite: the suite.
        only: a ``TASK/STRATEGY/REPETITION`` pattern in which ``*`` and ``?`` stand for anything; parts
            that are missing at the end stand for everything.

    Raises:
        UsageError: every pairing is refused, ``only`` matches nothing, or an option is impossible.
    """
    refused = [
        refusal
        for task in suite.tasks
        for strategy in suite.strategies
        if (refusal := _refusal(suite, task, strategy)) is not None
    ]
    skipped = {(item.task, item.strategy) for item in refused}
    runs = [run for run in suite.run_keys() if (run.task, run.strategy) not in skipped]
    if not runs:
        reasons = "\n".join(f"  {item.reason}" for item in refused)
        raise UsageError(
            f"suite {suite.name!r} has no pairing of a task and a strategy that can work:\n{reasons}"
        )
    return Plan(
        runs=tuple(_selected(suite, runs, only)),
        refused=tuple(refused),
        trials={task.name: suite.budget_trials(task) for task in suite.tasks},
        epochs={task.name: task.epochs for task in suite.tasks},
    )


def plan_shards(
    plan: Plan, costs: Mapping[RunKey, float], *, runs_per_shard: Mapping[str, int]
) -> list[tuple[RunKey, ...]]:
    """Return the runs in groups of one task, the most expensive group first, so that no long one is left last.

    How runs are grouped changes no result, only how soon it is there.

    Args:
        plan: what is to be run.
        costs: expected seconds of every run, at least those of ``plan``.
        runs_per_shard: task → the largest group.
    """
    by_task: dict[str, list[RunKey]] = {}
    for run in plan.runs:
        by_task.setdefault(run.task, []).append(run)
    shards: list[tuple[RunKey, ...]] = []
    for task, runs in by_task.items():
        size = max(1, runs_per_shard[task])
        shards += [tuple(runs[begin : begin + size]) for begin in range(0, len(runs), size)]
    return sorted(shards, key=lambda shard: -sum(costs[run] for run in shard))


def runs_in_shard(plan: Plan, suite: Suite, *, workers: int) -> dict[str, int]:
    """Return, for each task, how many runs a worker takes at once.

    The reference trainer gains nothing from company, so one run at a time keeps workers busy and
    progress flowing. Cohorts want as many runs as there are, shared out evenly among the workers.
    """
    counts = {task.name: sum(run.task == task.name for run in plan.runs) for task in suite.tasks}
    if suite.trainer == "reference":
        return dict.fromkeys(counts, 1)
    return {task: max(1, math.ceil(count / workers)) for task, count in counts.items()}


def estimate_seconds(plan: Plan, suite: Suite) -> dict[RunKey, float]:
    """Return a rough guess of the seconds that each run takes alone on one core.

    It multiplies steps by what a step typically costs; a busy, old or new machine is easily a factor
    of three away. Data sets are loaded to be counted.
    """
    cells = {(run.task, run.strategy) for run in plan.runs}
    costs = {cell: _run_seconds(suite, suite.task(cell[0]), suite.strategy(cell[1])) for cell in cells}
    return {run: costs[run.task, run.strategy] for run in plan.runs}


def _run_seconds(suite: Suite, task: SuiteTask, strategy: SuiteStrategy) -> float:
    """Return a guess of what one run costs."""
    trials = suite.budget_trials(task)
    if trials is None:
        return suite.budget.seconds or 0.0
    examples = len(datasets.load(task.dataset).targets)
    train = examples * (1.0 - suite.validation.fraction - suite.test_fraction)
    steps = task.epochs * _steps_per_epoch(space_of(task), train)
    training = steps * _STEP_SECONDS.get(task.network, _UNKNOWN_STEP_SECONDS)
    return trials * (training + _THINK_SECONDS.get(strategy.use, 0.0))


def _steps_per_epoch(space: SearchSpace, examples: float) -> float:
    """Return the mean number of batches over the batch sizes that may occur."""
    if "batch_size" in space.constants:
        sizes: Sequence[float] = [float(space.constants["batch_size"])]
    elif "batch_size" in space.names:
        parameter = space["batch_size"]
        values = parameter.choices if isinstance(parameter, Categorical) else parameter.levels(3)
        sizes = [float(value) for value in values]
    else:
        sizes = [32.0]
    return sum(math.ceil(examples / size) for size in sizes) / len(sizes)


def _refusal(suite: Suite, task: SuiteTask, strategy: SuiteStrategy) -> Refusal | None:
    """Return why a pairing cannot work, or None; an option that is impossible raises."""
    space = space_of(task)
    kind = REGISTRY.get(strategy.use)
    if space.conditional and Capability.CONDITIONAL not in kind.capabilities:
        names = ", ".join(item.name for item in space.parameters if item.when is not None)
        reason = (
            f"strategy {strategy.name!r} cannot search {task.network!r} on {task.dataset!r}: it lacks CONDITIONAL, "
            f"and the space has hyperparameters that exist only under a condition ({names})."
        )
        return Refusal(task.name, strategy.name, reason)
    seed = strategy_stream(suite.root_seed, task.name, 0).integer()
    create(
        strategy.use,
        space,
        full_epochs=task.epochs,
        seed=seed,
        budget_trials=suite.budget_trials(task),
        options=strategy.options,
    )
    return None


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

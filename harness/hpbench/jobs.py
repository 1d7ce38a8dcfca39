"""What passes between the process that runs a study and those that train: jobs one way, messages the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hpbench.study import RunState
from hpbench.tasks.base import TaskSpec
from hpbench.trial import Config, Objective, Record, RunKey

__all__ = [
    "Allowance",
    "Announced",
    "Announcement",
    "Done",
    "Ended",
    "Finished",
    "Hello",
    "Message",
    "Ready",
    "RunJob",
    "ShardJob",
    "Working",
]


@dataclass(frozen=True)
class Allowance:
    """The budget of one run; exactly one of the three is set.

    Attributes:
        trials: finished trials, failed ones included.
        epochs: epochs trained, over all trials. An epoch inherited from a parent is not paid again,
            and a failed trial pays for at least one.
        seconds: on the study's clock, asking and telling included.
    """

    trials: int | None = None
    epochs: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class RunJob:
    """One run of a shard.

    Attributes:
        run: strategy, task and repetition.
        use: the strategy's name in the registry.
        options: its options from the suite.
        seed: of the strategy's stream.
        history: the trials that are finished, in order; the run is replayed from them.
        alone_until: trials up to this number are trained one at a time and alone, because a process
            died in their company; -1: none.
        stored_with: library and version that made the history, for messages.
        running_with: library and version of today.
    """

    run: RunKey
    use: str
    options: Mapping[str, Any]
    seed: int
    history: tuple[Record, ...] = ()
    alone_until: int = -1
    stored_with: str = "hpbench"
    running_with: str = "hpbench"


@dataclass(frozen=True)
class ShardJob:
    """Runs of one task that advance in lockstep: the unit that a worker takes.

    Attributes:
        spec: the task.
        objective: what strategies are told to minimise.
        allowance: the budget of each run.
        budget_trials: how many full trainings that is; None if only seconds are limited.
        max_failures: failed trials in a row that end a run.
        ask_ahead: trials for which a strategy that does not adapt is asked at once.
        runs: in order.
    """

    spec: TaskSpec
    objective: Objective
    allowance: Allowance
    budget_trials: int | None
    max_failures: int
    ask_ahead: int
    runs: tuple[RunJob, ...]


@dataclass(frozen=True)
class Announcement:
    """A trial that is about to train; should the process die, this is all that is known of it."""

    run: RunKey
    number: int
    config: Config
    parent: int | None
    ask_seconds: float


@dataclass(frozen=True)
class Hello:
    """The worker has started and waits for its first shard."""


@dataclass(frozen=True)
class Ready:
    """The worker has built a task; what torch says of itself there (empty where it is not used)."""

    environment: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Working:
    """The strategy of this run is about to be called, alone after a death; None: this is over."""

    run: RunKey | None


@dataclass(frozen=True)
class Announced:
    """These trials are about to train, in one call."""

    trials: tuple[Announcement, ...]


@dataclass(frozen=True)
class Finished:
    """These trials are finished and told."""

    records: tuple[Record, ...]


@dataclass(frozen=True)
class Ended:
    """A run has come to its end."""

    run: RunKey
    state: RunState
    message: str = ""


@dataclass(frozen=True)
class Done:
    """The shard is finished, or was stopped; the worker waits for the next one."""


Message = Hello | Ready | Working | Announced | Finished | Ended | Done

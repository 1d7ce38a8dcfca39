"""What passes between the process that runs a study and those that train: jobs one way, messages the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hpbench.study import RunState
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.training.costs import StepCost
from hpbench.trial import Config, Objective, Record, Request, Retraining, RunKey

__all__ = [
    "Allowance",
    "Announced",
    "Announcement",
    "Calibrated",
    "CalibrationJob",
    "CheckJob",
    "Checked",
    "ClockJob",
    "Done",
    "Ended",
    "Finished",
    "Hello",
    "Job",
    "Message",
    "Ready",
    "RetrainJob",
    "Retrained",
    "RunJob",
    "ShardJob",
    "Uncalibrated",
    "Unchecked",
    "Working",
]


@dataclass(frozen=True)
class Allowance:
    """The budget of one run; exactly one of the three is set.

    Attributes:
        trials: finished trials, failed ones included.
        epochs: epochs trained, over all trials and their folds; a fold that stopped earlier pays as the
            longest of its trial. An epoch inherited from a parent is not paid again,
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
        failed_at: how many trials the run had when the store had it as failed and it was taken up again;
            None: it was not. Failures in a row are counted anew from there.
        stored_with: library and version that made the history, for messages.
        running_with: library and version of today.
    """

    run: RunKey
    use: str
    options: Mapping[str, Any]
    seed: int
    history: tuple[Record, ...] = ()
    alone_until: int = -1
    failed_at: int | None = None
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
        n_train: training examples.
        costs: signature → what it costs on the modelled clock; None: the clock is measured.
        one_by_one: each trial trains in a call of its own, because it has a time limit that is not to
            depend on its company.
    """

    spec: TaskSpec
    objective: Objective
    allowance: Allowance
    budget_trials: int | None
    max_failures: int
    ask_ahead: int
    runs: tuple[RunJob, ...]
    n_train: int = 0
    costs: Mapping[str, StepCost] | None = None
    one_by_one: bool = False


@dataclass(frozen=True)
class CalibrationJob:
    """Signatures of one task that the reference trainer is to measure while nothing else trains."""

    spec: TaskSpec
    signatures: tuple[str, ...]


@dataclass(frozen=True)
class CheckJob:
    """Finished trials of one task that are to be trained again, alone, and timed."""

    spec: TaskSpec
    requests: tuple[Request, ...]


@dataclass(frozen=True)
class RetrainJob:
    """Incumbents of one task that are to be trained again under fresh seeds.

    Attributes:
        spec: the task.
        requests: their numbers are those of the seeds.
        trials: the incumbent's number of each.
        at_once: how many train in one call.
    """

    spec: TaskSpec
    requests: tuple[Request, ...]
    trials: tuple[int, ...]
    at_once: int = 1


ClockJob = CalibrationJob | CheckJob
Job = ShardJob | ClockJob | RetrainJob


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
    """These trials are about to train, in one call; said again, their time begins anew."""

    trials: tuple[Announcement, ...]


@dataclass(frozen=True)
class RetrainingBegun:
    """Incumbents are about to be trained again, in one call."""


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
class Retrained:
    """These retrainings are finished."""

    items: tuple[Retraining, ...]


@dataclass(frozen=True)
class Calibrated:
    """What these signatures of a task cost."""

    task: str
    costs: Mapping[str, StepCost]


@dataclass(frozen=True)
class Checked:
    """What a finished trial took alone: seconds of training and evaluation, as the clock showed them."""

    request: Request
    seconds: float


@dataclass(frozen=True)
class Uncalibrated:
    """The task could not be calibrated, and why: its trials would have no seconds."""

    task: str
    reason: str


@dataclass(frozen=True)
class Unchecked:
    """The clock of the task could not be checked, and why; nothing depends on that."""

    task: str
    reason: str


@dataclass(frozen=True)
class Done:
    """The job is finished, or was stopped; the worker waits for the next one."""


Message = (
    Hello
    | Ready
    | Working
    | Announced
    | RetrainingBegun
    | Finished
    | Ended
    | Retrained
    | Calibrated
    | Uncalibrated
    | Checked
    | Unchecked
    | Done
)

"""What the death of a worker process means: a record for the guilty trial, a failed run, or another attempt."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hpbench.jobs import (
    Announcement,
    Calibrated,
    CalibrationJob,
    Checked,
    ClockJob,
    Ended,
    Finished,
    Ready,
    Retrained,
    RetrainJob,
    RunJob,
    ShardJob,
    Uncalibrated,
    Unchecked,
)
from hpbench.study import RunState
from hpbench.trial import Evaluation, Record, Retraining, RunKey, Status

__all__ = [
    "ClockProgress",
    "Death",
    "Event",
    "Incident",
    "RetrainProgress",
    "ShardProgress",
    "blame",
    "how_it_ended",
]


@dataclass(frozen=True)
class Incident:
    """A worker died or was ended for outliving the time limit; for the study's events."""

    text: str


Event = Finished | Ended | Ready | Retrained | Calibrated | Uncalibrated | Checked | Unchecked | Incident


@dataclass
class ShardProgress:
    """A shard, and what has come back from it.

    Attributes:
        job: what a worker was given, or is to be given next.
        records: finished trials since then, by run.
        ended: runs that need no more work.
        deaths: processes that died in it since the last finished trial.
    """

    job: ShardJob
    records: dict[RunKey, list[Record]] = field(default_factory=dict)
    ended: set[RunKey] = field(default_factory=set)
    deaths: int = 0

    def note(self, records: Sequence[Record]) -> None:
        """Take finished trials, for a replay in another process."""
        self.deaths = 0
        for record in records:
            self.records.setdefault(record.run, []).append(record)

    def history(self, item: RunJob) -> tuple[Record, ...]:
        """Return all finished trials of a run."""
        return (*item.history, *self.records.get(item.run, ()))

    def restart(self, alone: dict[RunKey, int]) -> None:
        """Make ``job`` what is left: finished trials are replayed, those up to ``alone[run]`` isolated.

        What was isolated before stays so until it is past, since it has not been cleared yet.
        """
        runs = tuple(
            replace(
                item,
                history=self.history(item),
                alone_until=max(item.alone_until, alone.get(item.run, -1)),
            )
            for item in self.job.runs
            if item.run not in self.ended
        )
        self.job = replace(self.job, runs=runs)
        self.records.clear()


@dataclass
class ClockProgress:
    """A calibration or a check, and what has come back from it.

    Attributes:
        job: what a worker was given, or is to be given next.
        deaths: processes that died in it since the last result.
    """

    job: ClockJob
    deaths: int = 0

    def note(self, message: Calibrated | Checked) -> None:
        """Take results; ``job`` is what is left."""
        self.deaths = 0
        if isinstance(message, Calibrated) and isinstance(self.job, CalibrationJob):
            left = tuple(item for item in self.job.signatures if item not in message.costs)
            self.job = replace(self.job, signatures=left)

    def died(self, how: str) -> tuple[list[Event], bool]:
        """Return what to report of a process's death, and whether the job is to be tried again.

        A calibration is tried once more. Nothing depends on a check, so it is given up at once.
        """
        self.deaths += 1
        name = self.job.spec.name
        if not isinstance(self.job, CalibrationJob):
            return [Unchecked(name, f"a worker was {how}")], False
        if self.deaths == 1:
            return [Incident(f"a worker was {how} while it calibrated task {name!r}; trying again")], True
        first = self.job.signatures[0]
        reason = f"two processes were {how} while task {name!r} was calibrated, at {first} or soon after it"
        return [Incident(reason), Uncalibrated(name, reason)], False


@dataclass
class RetrainProgress:
    """Retrainings, and what has come back of them.

    Attributes:
        job: what a worker was given, or is to be given next.
        deaths: processes that died in it since the last result.
    """

    job: RetrainJob
    deaths: int = 0

    def note(self, message: Retrained) -> None:
        """Take results; ``job`` is what is left."""
        self.deaths = 0
        done = {(item.run, item.number) for item in message.items}
        pairs = zip(self.job.requests, self.job.trials, strict=True)
        left = [(request, trial) for request, trial in pairs if (request.run, request.number) not in done]
        self.job = replace(
            self.job,
            requests=tuple(request for request, _ in left),
            trials=tuple(trial for _, trial in left),
        )

    def died(self, how: str, outlived: float | None) -> tuple[list[Event], bool]:
        """Return what to report of a process's death, and whether the job is to be tried again.

        What is left is tried one at a time. The one that then outlives its limit is recorded as timed
        out, the one that kills a process again as killed.

        Args:
            how: the exit status in words.
            outlived: the time limit in seconds, if the process was ended for it.
        """
        self.deaths += 1
        first = self.job.requests[0] if self.job.requests else None
        if first is None:
            return [Incident(f"a worker was {how} after retraining")], False
        place = f"retraining {first.number} of the incumbent of {first.run}"
        if outlived is not None and self.job.at_once == 1:
            text = f"{place} outlived {outlived:g} s and was ended"
            return self._recorded(text, Status.TIMEOUT, _no_result(outlived))
        if self.deaths == 1:
            self.job = replace(self.job, at_once=1)
            text = f"a worker was {how} at {place} or soon after it; trying again, one at a time"
            return [Incident(text)], True
        text = f"a worker was {how} again in {place}; it is recorded as killed"
        return self._recorded(text, Status.KILLED, f"the process was {how}")

    def _recorded(self, incident: str, status: Status, message: str) -> tuple[list[Event], bool]:
        """Return, and note, how the first retraining ended, and whether any are left."""
        first, trial = self.job.requests[0], self.job.trials[0]
        item = Retraining(first.run, first.number, trial, first.epochs, status, message=message)
        found = Retrained((item,))
        self.note(found)
        return [Incident(incident), found], bool(self.job.requests)


@dataclass(frozen=True)
class Death:
    """How a process ended, and what it had said it was doing.

    Attributes:
        how: the exit status in words.
        announced: trials that were training.
        working: the run that was driven alone.
        seconds: since the announcement, in wall seconds.
        outlived: the time limit in seconds, if the process was ended for it.
    """

    how: str
    announced: tuple[Announcement, ...]
    working: RunKey | None
    seconds: float
    outlived: float | None


def blame(shard: ShardProgress, death: Death) -> list[Event]:
    """Decide what ``death`` means, prepare ``shard`` for its next worker, and return what to report.

    A trial is blamed only if it was alone in the process: when it outlived its limit at once, when it
    killed the process at the second time. A run is blamed when the process died twice outside training.
    """
    shard.deaths += 1
    alone: dict[RunKey, int] = {}
    if death.announced:
        events, alone = _in_training(shard, death)
    elif death.working is not None:
        run = death.working
        message = f"the process was {death.how} twice while strategy {run.strategy!r} was asked or told"
        events = [Incident(f"a worker was {death.how} again, in run {run}"), *_failed(shard, [run], message)]
    elif shard.deaths > 1:
        runs = [item.run for item in shard.job.runs if item.run not in shard.ended]
        text = f"a worker was {death.how} again before task {shard.job.spec.name!r} trained anything"
        events = [Incident(text), *_failed(shard, runs, f"the process was {death.how} twice before training")]
    else:
        alone = {item.run: len(shard.history(item)) for item in shard.job.runs}
        events = [Incident(f"a worker was {death.how} outside training; trying again, each run alone")]
    shard.restart(alone)
    return events


def _in_training(shard: ShardProgress, death: Death) -> tuple[list[Event], dict[RunKey, int]]:
    """Return what to report of a death in training, and the trials that are to be isolated."""
    suspect, *others = death.announced
    place = f"trial {suspect.number} of {suspect.run}"
    if not others and death.outlived is not None:
        limit = death.outlived
        found = _recorded(shard, suspect, Status.TIMEOUT, limit, _no_result(limit))
        return [Incident(f"{place} outlived {limit:g} s and was ended"), found], {}
    if not others and _was_alone(shard.job, suspect):
        message = f"the process was {death.how}"
        found = _recorded(shard, suspect, Status.KILLED, death.seconds, message)
        return [Incident(f"a worker was {death.how} again in {place}; it is recorded as killed"), found], {}
    company = f"{place} and {len(others)} more" if others else place
    text = f"a worker was {death.how} while it trained {company}; trying again, each trial alone"
    return [Incident(text)], {item.run: item.number for item in death.announced}


def _was_alone(job: ShardJob, suspect: Announcement) -> bool:
    """Return whether the trial was isolated already, after an earlier death."""
    return any(item.run == suspect.run and suspect.number <= item.alone_until for item in job.runs)


def _recorded(
    shard: ShardProgress, suspect: Announcement, status: Status, seconds: float, message: str
) -> Finished:
    """Return, and note, the record of a trial that ended with its process."""
    record = Record(
        run=suspect.run,
        number=suspect.number,
        parent=suspect.parent,
        config=suspect.config,
        evaluation=Evaluation(status, train_seconds=seconds, message=message),
        ask_seconds=suspect.ask_seconds,
        tell_seconds=0.0,
    )
    shard.note([record])
    return Finished((record,))


def _failed(shard: ShardProgress, runs: Sequence[RunKey], message: str) -> list[Event]:
    """Return, and note, the end of runs that cannot go on."""
    shard.deaths = 0
    shard.ended.update(runs)
    return [Ended(run, RunState.FAILED, message) for run in runs]


def _no_result(limit: float) -> str:
    """Return what a trial's record says that was ended for its time limit, in seconds."""
    return f"no result within {limit:g} s, the suite's limits.trial_seconds"


def how_it_ended(exit_code: int | None) -> str:
    """Return an exit status in words."""
    if exit_code is not None and exit_code < 0:
        return f"killed by signal {-exit_code} ({signal.Signals(-exit_code).name})"
    return f"ended with exit status {exit_code}"

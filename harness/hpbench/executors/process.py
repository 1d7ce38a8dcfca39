"""One worker process as its parent sees it: started, spoken to, and what it has said that it is doing."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import perf_counter
from typing import Self

from hpbench.environment import worker_environment
from hpbench.executors.recovery import ClockProgress, Event, RetrainProgress, ShardProgress
from hpbench.executors.worker import main
from hpbench.jobs import (
    Announced,
    Announcement,
    Calibrated,
    Checked,
    Done,
    Ended,
    Finished,
    Hello,
    Job,
    Message,
    Ready,
    Retrained,
    RetrainingBegun,
    RetrainJob,
    ShardJob,
    Uncalibrated,
    Unchecked,
    Working,
)
from hpbench.trial import RunKey

__all__ = ["Progress", "WorkerProcess", "progress_of"]

Progress = ShardProgress | ClockProgress | RetrainProgress


def progress_of(job: Job) -> Progress:
    """Return a job of which nothing is done yet."""
    if isinstance(job, ShardJob):
        return ShardProgress(job)
    return RetrainProgress(job) if isinstance(job, RetrainJob) else ClockProgress(job)


@dataclass
class WorkerProcess:
    """A process and what it is doing, as far as it has said.

    Attributes:
        process: it.
        pipe: jobs out, messages in.
        lifeline: when this end closes, the process ends itself.
        greeted: it has started and takes jobs.
        shard: the job that it has, if any.
        announced: the trials of a shard that are training.
        training: whether they, or retrainings, train now.
        since: when they began, by the performance counter.
        working: the run that it drives alone after a death.
        timed_out: it is being ended because they took too long.
        kill_at: when it is killed, having been asked to end; None: it was not.
    """

    process: BaseProcess
    pipe: Connection[Job | None, Message]
    lifeline: Connection[None, None]
    greeted: bool = False
    shard: Progress | None = None
    announced: tuple[Announcement, ...] = ()
    training: bool = False
    since: float = 0.0
    working: RunKey | None = None
    timed_out: bool = False
    kill_at: float | None = None

    @classmethod
    def start(cls, factory: str, plugins: Sequence[Path], *, threads: int) -> Self:
        """Return a new process, its libraries' threads set before it imports them.

        SIGINT stays blocked in it from the first instruction on, so that Ctrl-C is the parent's alone.

        Args:
            factory: ``"module:function"`` that builds tasks inside it.
            plugins: files that it runs first.
            threads: intra-operation threads.
        """
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        hold, watch = context.Pipe()
        process = context.Process(
            target=main, args=(there, watch, factory, tuple(plugins)), name="hpbench-worker", daemon=True
        )
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with worker_environment(threads):
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        there.close()
        watch.close()
        return cls(process, here, hold)

    def send(self, job: Job | None) -> None:
        """Send a job, or None to ask it to stop; that it is dead is noticed by its sentinel."""
        try:
            self.pipe.send(job)
        except (BrokenPipeError, ConnectionResetError):
            return

    def heard(self) -> list[Event]:
        """Take in what it has sent, and return what others want to know of it."""
        found: list[Event] = []
        try:
            while self.pipe.poll():
                found += self._take(self.pipe.recv())
        except (EOFError, OSError):
            return found
        return found

    def close(self) -> int | None:
        """Wait for its end, let go of everything, and return its exit status."""
        self.process.join()
        code = self.process.exitcode
        self.process.close()
        self.pipe.close()
        self.lifeline.close()
        return code

    def _take(self, message: Message) -> list[Event]:
        """Note what a message says and return it if others want to know."""
        match message:
            case Hello():
                self.greeted = True
            case Working():
                self.working = message.run
            case Announced():
                self.announced = message.trials
                self._begin()
            case RetrainingBegun():
                self._begin()
            case Done():
                self.shard, self.working = None, None
            case _:
                return [message] if self._noted(message) else []
        return []

    def _noted(self, message: Event) -> bool:
        """Take a result into the progress of its job; return whether it belongs to it."""
        shard = self.shard
        match message:
            case Finished() if isinstance(shard, ShardProgress):
                self.announced, self.training = (), False
                shard.note(message.records)
            case Ended() if isinstance(shard, ShardProgress):
                shard.ended.add(message.run)
            case Retrained() if isinstance(shard, RetrainProgress):
                self.training = False
                shard.note(message)
            case Calibrated() | Checked() if isinstance(shard, ClockProgress):
                shard.note(message)
            case Ready() | Uncalibrated() | Unchecked():
                pass
            case _:
                return False
        return True

    def _begin(self) -> None:
        """Note that a training has begun."""
        self.training, self.since, self.timed_out = True, perf_counter(), False

"""Training on this machine: spawned worker processes that live across shards and are replaced when they die.

A trial that kills its process, or outlives the time limit, must not cost more than itself. Every
round is announced before it trains; after a death the shard is replayed elsewhere with the announced
trials alone, and one that kills again is recorded as killed. So the guilty trial is found, its
neighbours are trained again, and their results are the same because company changes nothing.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import perf_counter

from hpbench.environment import worker_environment
from hpbench.errors import HpbenchError
from hpbench.executors.recovery import (
    ClockProgress,
    Death,
    Event,
    Incident,
    RetrainProgress,
    ShardProgress,
    blame,
    how_it_ended,
)
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

__all__ = ["LocalExecutor"]

_GRACE_SECONDS = 1.5


_Progress = ShardProgress | ClockProgress | RetrainProgress


def _progress(job: Job) -> _Progress:
    """Return a job of which nothing is done yet."""
    if isinstance(job, ShardJob):
        return ShardProgress(job)
    return RetrainProgress(job) if isinstance(job, RetrainJob) else ClockProgress(job)


@dataclass
class _Worker:
    """A process and what it is doing, as far as it has said."""

    process: BaseProcess
    pipe: Connection[Job | None, Message]
    lifeline: Connection[None, None]
    greeted: bool = False
    shard: _Progress | None = None
    announced: tuple[Announcement, ...] = ()
    training: int = 0
    since: float = 0.0
    working: RunKey | None = None
    timed_out: bool = False
    kill_at: float | None = None


class LocalExecutor:
    """Does jobs in worker processes, which live from the first job to ``close``.

    Args:
        jobs: in the order in which they are to start; ``add`` takes more.
        workers: processes at once.
        threads: intra-operation threads of each.
        factory: ``"module:function"`` that builds tasks inside a worker.
        plugins: files that a worker runs first.
        trial_seconds: hard limit for one trial, in wall seconds; None: none.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        workers: int,
        threads: int,
        factory: str,
        plugins: Sequence[Path] = (),
        trial_seconds: float | None = None,
    ) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._waiting: deque[_Progress] = deque()
        self._size = workers
        self._threads = threads
        self._factory = factory
        self._plugins = tuple(plugins)
        self._trial_seconds = trial_seconds
        self._workers: list[_Worker] = []
        self._stop_at: float | None = None
        self.add(jobs, at_once=workers)

    def add(self, jobs: Sequence[Job], *, at_once: int) -> None:
        """Take jobs that are to start after those that wait already.

        Args:
            jobs: in the order in which they are to start.
            at_once: jobs that may be in progress together from now on; 1: each has the machine to itself.
        """
        self._waiting += [_progress(job) for job in jobs]
        self._size = at_once

    @property
    def busy(self) -> bool:
        """Whether more events will come."""
        return any(worker.shard for worker in self._workers) or (
            bool(self._waiting) and self._stop_at is None
        )

    def events(self, wakeup: int | None = None) -> list[Event]:
        """Wait until something happens, and return it.

        Args:
            wakeup: a file descriptor that ends the waiting when it becomes readable.

        Raises:
            HpbenchError: worker processes die before they can start.
        """
        self._assign()
        things: list[Connection[Job | None, Message] | int] = [worker.pipe for worker in self._workers]
        things += [worker.process.sentinel for worker in self._workers]
        wait([*things, *([] if wakeup is None else [wakeup])], timeout=self._patience())
        found: list[Event] = []
        for worker in list(self._workers):
            dead = not worker.process.is_alive()
            found += self._drain(worker)
            if dead:
                found += self._bury(worker)
            else:
                self._watch_clock(worker)
        return found

    def stop(self, *, within_seconds: float) -> None:
        """Give out no more work and ask workers to stop after the current round; then end them by force."""
        self._stop_at = perf_counter() + within_seconds
        for worker in self._workers:
            _send(worker, None)

    def close(self) -> None:
        """End every process, at once."""
        for worker in self._workers:
            worker.lifeline.close()
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.process.close()
            worker.pipe.close()
        self._workers.clear()

    # -- giving out work ---------------------------------------------------------------------------

    def _assign(self) -> None:
        """Give waiting shards to idle workers, starting workers while there are too few."""
        if self._stop_at is not None:
            return
        while len(self._workers) < self._size and len(self._workers) < len(self._waiting) + self._n_busy():
            self._workers.append(self._start())
        for worker in self._workers:
            free = self._n_busy() < self._size
            if free and worker.shard is None and worker.greeted and self._waiting:
                worker.shard = self._waiting.popleft()
                _send(worker, worker.shard.job)

    def _n_busy(self) -> int:
        return sum(worker.shard is not None for worker in self._workers)

    def _start(self) -> _Worker:
        """Return a new process, its libraries' threads set before it imports them.

        SIGINT stays blocked in it from the first instruction on, so that Ctrl-C is the parent's alone.
        """
        here, there = self._context.Pipe()
        hold, watch = self._context.Pipe()
        process = self._context.Process(
            target=main, args=(there, watch, self._factory, self._plugins), name="hpbench-worker", daemon=True
        )
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with worker_environment(self._threads):
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        there.close()
        watch.close()
        return _Worker(process, here, hold)

    # -- listening ---------------------------------------------------------------------------------

    def _patience(self) -> float | None:
        """Return how long to wait at most, in seconds; None: until something happens."""
        times: list[float | None] = []
        for worker in self._workers:
            if worker.kill_at is None:
                times += [self._stop_at, self._deadline(worker)]
            else:
                times.append(worker.kill_at)
        due = [time for time in times if time is not None]
        return max(0.0, min(due) - perf_counter()) if due else None

    def _deadline(self, worker: _Worker) -> float | None:
        """Return when what trains now must be over; None without a limit, or if nothing trains."""
        if self._trial_seconds is None or not worker.training or worker.timed_out:
            return None
        return worker.since + self._trial_seconds * worker.training

    def _drain(self, worker: _Worker) -> list[Event]:
        """Return what the worker has sent."""
        found: list[Event] = []
        try:
            while worker.pipe.poll():
                found += self._heard(worker, worker.pipe.recv())
        except (EOFError, OSError):
            return found
        return found

    def _heard(self, worker: _Worker, message: Message) -> list[Event]:
        """Note what a message says and return it if others want to know."""
        match message:
            case Hello():
                worker.greeted = True
            case Working():
                worker.working = message.run
            case Announced():
                worker.announced = message.trials
                _begin(worker, len(message.trials))
            case RetrainingBegun():
                _begin(worker, message.count)
            case Done():
                worker.shard, worker.working = None, None
            case _:
                return [message] if _noted(worker, message) else []
        return []

    def _watch_clock(self, worker: _Worker) -> None:
        """End a worker that outlives its trial's limit, or the time that a stop leaves."""
        now = perf_counter()
        deadline = self._deadline(worker)
        overdue = deadline is not None and now >= deadline
        stopped = self._stop_at is not None and now >= self._stop_at
        if worker.kill_at is not None:
            if now >= worker.kill_at:
                worker.process.kill()
        elif overdue or stopped:
            worker.timed_out = overdue
            worker.kill_at = now + _GRACE_SECONDS
            worker.process.terminate()

    # -- deaths ------------------------------------------------------------------------------------

    def _bury(self, worker: _Worker) -> list[Event]:
        """Remove a dead worker and hand what it had to the next one."""
        self._workers.remove(worker)
        worker.process.join()
        how = how_it_ended(worker.process.exitcode)
        worker.process.close()
        worker.pipe.close()
        worker.lifeline.close()
        if self._stop_at is not None:
            return []
        if not worker.greeted:
            raise HpbenchError(
                f"worker processes cannot start: one was {how} while it imported its code. Its error stands above."
            )
        shard = worker.shard
        if shard is None:
            return [Incident(f"an idle worker was {how}")]
        outlived = self._trial_seconds if worker.timed_out else None
        if not isinstance(shard, ShardProgress):
            found, again = shard.died(how) if isinstance(shard, ClockProgress) else shard.died(how, outlived)
            if again:
                self._waiting.appendleft(shard)
            return found
        seconds = perf_counter() - worker.since
        found = blame(shard, Death(how, worker.announced, worker.working, seconds, outlived))
        if shard.job.runs:
            self._waiting.appendleft(shard)
        return found


def _noted(worker: _Worker, message: Event) -> bool:
    """Take a result into the progress of the worker's job; return whether it belongs to it."""
    shard = worker.shard
    match message:
        case Finished() if isinstance(shard, ShardProgress):
            worker.announced, worker.training = (), 0
            shard.note(message.records)
        case Ended() if isinstance(shard, ShardProgress):
            shard.ended.add(message.run)
        case Retrained() if isinstance(shard, RetrainProgress):
            worker.training = 0
            shard.note(message)
        case Calibrated() | Checked() if isinstance(shard, ClockProgress):
            shard.note(message)
        case Ready() | Uncalibrated() | Unchecked():
            pass
        case _:
            return False
    return True


def _begin(worker: _Worker, trainings: int) -> None:
    """Note that so many trainings have begun."""
    worker.training, worker.since, worker.timed_out = trainings, perf_counter(), False


def _send(worker: _Worker, job: Job | None) -> None:
    """Send to a worker; one that is dead is noticed by its sentinel."""
    try:
        worker.pipe.send(job)
    except (BrokenPipeError, ConnectionResetError):
        return

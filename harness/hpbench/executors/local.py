"""Training on this machine: spawned worker processes that live across shards and are replaced when they die.

A trial that kills its process, or outlives the time limit, must not cost more than itself. Every
round is announced before it trains; after a death the shard is replayed elsewhere with the announced
trials alone, and one that kills again is recorded as killed. So the guilty trial is found, its
neighbours are trained again, and their results are the same because company changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import perf_counter

from hpbench.errors import HpbenchError
from hpbench.executors.process import Progress, WorkerProcess, progress_of
from hpbench.executors.recovery import (
    ClockProgress,
    Death,
    Event,
    Incident,
    ShardProgress,
    blame,
    how_it_ended,
)
from hpbench.jobs import Job, Message

__all__ = ["LocalExecutor"]

_GRACE_SECONDS = 1.5


class LocalExecutor:
    """Does jobs in worker processes, which live from the first job to ``close``.

    Args:
        jobs: in the order in which they are to start; ``add`` takes more.
        workers: processes at once.
        threads: intra-operation threads of each.
        factory: ``"module:function"`` that builds tasks inside a worker.
        plugins: files that a worker runs first.
        trial_seconds: hard limit for what is announced, in wall seconds, so jobs with a limit announce
            trials one by one; None: none.
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
        self._waiting: deque[Progress] = deque()
        self._size = workers
        self._threads = threads
        self._factory = factory
        self._plugins = tuple(plugins)
        self._trial_seconds = trial_seconds
        self._workers: list[WorkerProcess] = []
        self._stop_at: float | None = None
        self._failed_starts = 0
        self.add(jobs, at_once=workers)

    def add(self, jobs: Sequence[Job], *, at_once: int) -> None:
        """Take jobs that are to start after those that wait already.

        Args:
            jobs: in the order in which they are to start.
            at_once: jobs that may be in progress together from now on; 1: each has the machine to itself.
        """
        self._waiting += [progress_of(job) for job in jobs]
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
            HpbenchError: two worker processes in a row died before they had started.
        """
        self._assign()
        things: list[Connection[Job | None, Message] | int] = [worker.pipe for worker in self._workers]
        things += [worker.process.sentinel for worker in self._workers]
        wait([*things, *([] if wakeup is None else [wakeup])], timeout=self._patience())
        found: list[Event] = []
        for worker in list(self._workers):
            dead = not worker.process.is_alive()
            new = not worker.greeted
            found += worker.heard()
            if new and worker.greeted:
                self._failed_starts = 0
            if dead:
                found += self._bury(worker)
            else:
                self._watch_clock(worker)
        return found

    def stop(self, *, within_seconds: float) -> None:
        """Give out no more work and ask workers to stop after the current round; then end them by force."""
        self._stop_at = perf_counter() + within_seconds
        for worker in self._workers:
            worker.send(None)

    def close(self) -> None:
        """End every process, at once."""
        for worker in self._workers:
            worker.lifeline.close()
            worker.process.kill()
        for worker in self._workers:
            worker.close()
        self._workers.clear()

    # -- giving out work ---------------------------------------------------------------------------

    def _assign(self) -> None:
        """Give waiting shards to idle workers, starting workers while there are too few."""
        if self._stop_at is not None:
            return
        while len(self._workers) < self._size and len(self._workers) < len(self._waiting) + self._n_busy():
            self._workers.append(WorkerProcess.start(self._factory, self._plugins, threads=self._threads))
        for worker in self._workers:
            free = self._n_busy() < self._size
            if free and worker.shard is None and worker.greeted and self._waiting:
                worker.shard = self._waiting.popleft()
                worker.send(worker.shard.job)

    def _n_busy(self) -> int:
        return sum(worker.shard is not None for worker in self._workers)

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

    def _deadline(self, worker: WorkerProcess) -> float | None:
        """Return when what trains now must be over; None without a limit, or if nothing trains."""
        if self._trial_seconds is None or not worker.training or worker.timed_out:
            return None
        return worker.since + self._trial_seconds

    def _watch_clock(self, worker: WorkerProcess) -> None:
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

    def _bury(self, worker: WorkerProcess) -> list[Event]:
        """Remove a dead worker and hand what it had to the next one."""
        self._workers.remove(worker)
        how = how_it_ended(worker.close())
        if self._stop_at is not None:
            return []
        if not worker.greeted:
            return [self._failed_start(how)]
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

    def _failed_start(self, how: str) -> Incident:
        """Return what to report of a worker that died while it started.

        Raises:
            HpbenchError: the one before it did, too, and none has started since.
        """
        self._failed_starts += 1
        if self._failed_starts > 1:
            raise HpbenchError(
                f"worker processes cannot start: two in a row died, the second was {how} while it imported its "
                "code. If they printed an error, it stands above."
            )
        return Incident(f"a worker was {how} while it started; starting another")

"""The loop: all runs of a shard ask, the task trains every proposal in one call, all runs are told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter

from hpbench.answers import attempt
from hpbench.clock import ModelledClock
from hpbench.driver import RunDriver
from hpbench.errors import UsageError
from hpbench.faults import fault_point
from hpbench.jobs import Announced, Done, Ended, Finished, Message, ShardJob, Working
from hpbench.tasks.base import Task
from hpbench.trial import Evaluation, Request, RunKey, Status

__all__ = ["Send", "Stopped", "run_shard"]

Send = Callable[[Message], None]
Stopped = Callable[[], bool]


def run_shard(job: ShardJob, task: Task, send: Send, stopped: Stopped) -> None:
    """Advance every run of ``job`` to its end, or until ``stopped()`` between two rounds.

    Runs that must train alone for a while (a process died in their company) come first, one by one.

    Args:
        job: the runs, their finished trials and the budget.
        task: what ``job.spec`` describes.
        send: takes every message for the parent process; the last one is ``Done``.
        stopped: whether to stop; asked between rounds.
    """
    loop = _Loop(job, task, send, stopped)
    loop.run()
    send(Done())


class _Loop:
    """The state of one shard in this process."""

    def __init__(self, job: ShardJob, task: Task, send: Send, stopped: Stopped) -> None:
        self._job = job
        self._task = task
        self._send = send
        self._stopped = stopped
        self._clock = (
            None if job.costs is None else ModelledClock(job.spec, n_train=job.n_train, costs=job.costs)
        )
        self._drivers = [RunDriver(item, job) for item in job.runs]
        self._kept: dict[RunKey, dict[int, Request]] = {driver.run: {} for driver in self._drivers}
        self._said: set[RunKey] = set()
        self._announced = Announced(())

    def run(self) -> None:
        """Advance all runs."""
        for driver in self._drivers:
            if driver.job.alone_until >= 0:
                self._alone(driver)
        for driver in self._drivers:
            if driver.job.alone_until < 0:
                driver.start()
        self._report_ends()
        while not self._stopped():
            active = [driver for driver in self._drivers if driver.active]
            if not active:
                return
            if not self._job.one_by_one:
                self._round(active, self._job.ask_ahead)
                continue
            for driver in active:
                if not self._stopped():
                    self._round([driver], 1)

    def _alone(self, driver: RunDriver) -> None:
        """Advance one run by itself until the trial that was on its way when a process died is past."""
        self._send(Working(driver.run))
        driver.start()
        while driver.active and len(driver.records) <= driver.job.alone_until and not self._stopped():
            self._round([driver], 1)
        self._send(Working(None))
        self._report_ends()

    def _round(self, drivers: Sequence[RunDriver], ahead: int) -> None:
        """Ask, train and tell once."""
        pairs = [(driver, item) for driver in drivers for item in driver.ask(ahead)]
        if pairs:
            self._announced = Announced(tuple(item.announcement for _, item in pairs))
            self._send(self._announced)
            evaluations = self._evaluated([item.request for _, item in pairs])
            fault_point("worker.evaluated")
            told = [
                driver.tell(item, result) for (driver, item), result in zip(pairs, evaluations, strict=True)
            ]
            for driver in drivers:
                driver.finish_round()
            self._send(Finished(tuple(record for record in told if record is not None)))
        self._report_ends()

    def _evaluated(self, requests: Sequence[Request]) -> list[Evaluation]:
        """Return the task's answers; where it raises, those that raise alone become errors."""
        outcome = attempt(lambda: self._answers(requests))
        if outcome.value is None:
            return [self._evaluated_alone(request) for request in requests]
        return outcome.value

    def _evaluated_alone(self, request: Request) -> Evaluation:
        """Return the answer to one request, an error if the task raises."""
        begin = perf_counter()
        outcome = attempt(lambda: self._answers([request])[0])
        if outcome.value is None:
            seconds = perf_counter() - begin
            return Evaluation(Status.ERROR, train_seconds=seconds, message=outcome.failure or "")
        return outcome.value

    def _answers(self, requests: Sequence[Request]) -> list[Evaluation]:
        """Return one evaluation for each request.

        Raises:
            UsageError: the task answered fewer or more.
        """
        self._restore(requests)
        answers = self._task.evaluate(_copies(requests))
        if len(answers) != len(requests):
            raise UsageError(f"the task answered {len(requests)} requests with {len(answers)} evaluations.")
        self._remember(requests)
        clock = self._clock
        if clock is None:
            return answers
        return [clock.charged(item.config, answer) for item, answer in zip(requests, answers, strict=True)]

    def _remember(self, requests: Sequence[Request]) -> None:
        """Note whose training states the task now holds."""
        for request in requests:
            if request.keep:
                self._kept[request.run][request.number] = request

    def _restore(self, requests: Sequence[Request]) -> None:
        """Train again, from the root on, the parents whose states were lost with another process.

        Each has the time limit to itself, as it had before.
        """
        drivers = {driver.run: driver for driver in self._drivers}
        for request in requests:
            missing: list[Request] = []
            parent = request.parent
            while parent is not None and parent not in self._kept[request.run]:
                record = drivers[request.run].records[parent]
                epochs = record.evaluation.epochs
                missing.append(Request(request.run, parent, record.config, epochs, record.parent, keep=True))
                parent = record.parent
            for item in reversed(missing):
                self._task.evaluate(_copies([item]))
                self._remember([item])
                self._send(self._announced)

    def _report_ends(self) -> None:
        """Tell the parent, once each, which runs have ended, and drop their training states."""
        for driver in self._drivers:
            if not driver.active and driver.run not in self._said:
                self._said.add(driver.run)
                self._send(Ended(driver.run, driver.state, driver.message))
                self._task.forget(list(self._kept.pop(driver.run).values()))


def _copies(requests: Sequence[Request]) -> list[Request]:
    """Return ``requests`` with configurations that a task may change: what is stored is what was proposed."""
    return [replace(item, config=dict(item.config)) for item in requests]

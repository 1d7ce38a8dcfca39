"""One run in progress: its strategy is built, replayed, asked and told, and its budget is watched."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from time import perf_counter

from hpbench.answers import attempt, check_proposal, stored
from hpbench.errors import UsageError
from hpbench.jobs import Announcement, RunJob, ShardJob
from hpbench.replay import check_replay
from hpbench.strategies.base import Capability, Strategy
from hpbench.strategies.factory import create
from hpbench.study import RunState
from hpbench.trial import Evaluation, Proposal, Record, Request, Status

__all__ = ["Asked", "RunDriver"]


@dataclass(frozen=True)
class Asked:
    """A proposal on its way to the task."""

    proposal: Proposal
    request: Request
    ask_seconds: float

    @property
    def announcement(self) -> Announcement:
        """What the parent process has to know before the trial trains."""
        request = self.request
        return Announcement(request.run, request.number, request.config, request.parent, self.ask_seconds)


class RunDriver:
    """Drives one run; all of its time goes into the strategy.

    Args:
        job: which run, and its finished trials.
        shard: budget, limits and task.

    Attributes:
        state: how far the run has come.
        message: why it failed, or how its trials failed most often; empty if none did.
    """

    def __init__(self, job: RunJob, shard: ShardJob) -> None:
        self.job = job
        self.run = job.run
        self.state = RunState.RUNNING
        self.message = ""
        self.records: list[Record] = []
        self._shard = shard
        self._strategy: Strategy | None = None
        self._asked = 0
        self._failures = 0
        self._epochs = 0
        self._seconds = 0.0
        self._pending: Asked | None = None
        self._ending: tuple[RunState, str] | None = None

    @property
    def active(self) -> bool:
        """Whether there is anything left to ask."""
        return self.state is RunState.RUNNING

    def start(self) -> None:
        """Build the strategy and replay the finished trials; a failure ends the run."""
        outcome = attempt(self._replayed)
        if outcome.failure is not None:
            self._end(RunState.FAILED, outcome.failure)
            return
        self._strategy = outcome.value
        self._settle()

    def _replayed(self) -> Strategy:
        """Return the strategy in the state it had after the last finished trial.

        Raises:
            ReplayError: it proposes something else than it did.
        """
        shard, job = self._shard, self.job
        strategy = create(
            job.use,
            shard.spec.space,
            full_epochs=shard.spec.epochs,
            seed=job.seed,
            budget_trials=shard.budget_trials,
            options=job.options,
        )
        for number, record in enumerate(job.history):
            self._count_anew(tried_again=True)
            proposal = strategy.ask()
            check_replay(job, shard.spec, number, record, proposal)
            self._account(record)
            strategy.tell(replace(record.as_trial(shard.objective), config=dict(proposal.config)))  # type: ignore[union-attr]
        self._asked = len(job.history)
        self._count_anew(tried_again=job.failed_at == len(job.history))
        return strategy

    def _count_anew(self, *, tried_again: bool) -> None:
        """Forget the failures in a row that ended the run, if it was tried again after them.

        That it has trials after them tells it too, so a run that is killed when it is tried again goes on.
        """
        if tried_again and self._failures >= self._shard.max_failures:
            self._failures = 0

    def ask(self, ahead: int) -> list[Asked]:
        """Return the next proposals: one, or up to ``ahead`` of a strategy that does not adapt.

        Of a budget in epochs each is counted at its full price. Those on their way may turn out cheaper,
        so one that does not fit beside them waits for the next call; the run ends when one does not fit
        with nothing on its way. So the trials are the same however far the strategy is asked ahead.
        """
        limit = self._shard.allowance.epochs
        asked: list[Asked] = []
        planned = self._epochs
        while self.active and self._ending is None and len(asked) < self._room(ahead):
            item, self._pending = self._pending or self._ask_once(), None
            if item is None:
                break
            planned += self._cost(item.request)
            if limit is not None and planned > limit:
                if asked:
                    self._pending = item
                else:
                    self._ending = (RunState.COMPLETE, "")
                break
            self._asked += 1
            asked.append(item)
        if not asked and self._ending is not None:
            self._end(*self._ending)
        return asked

    def _room(self, ahead: int) -> int:
        """Return how many proposals may be on their way at once."""
        strategy, allowance = self._strategy, self._shard.allowance
        if strategy is None or Capability.NON_ADAPTIVE not in strategy.capabilities:
            return 1
        if allowance.seconds is not None:
            return 1
        if allowance.trials is not None:
            return min(ahead, allowance.trials - len(self.records))
        return ahead

    def _ask_once(self) -> Asked | None:
        """Return one timed proposal; None if there is none, and why is noted."""
        strategy = self._strategy
        if strategy is None:
            return None
        begin = perf_counter()
        outcome = attempt(strategy.ask)
        seconds = perf_counter() - begin
        if outcome.failure is not None:
            self._ending = (RunState.FAILED, f"asking for trial {self._asked} failed: {outcome.failure}")
            return None
        if outcome.value is None:
            self._ending = (RunState.EXHAUSTED, "")
            return None
        proposal = outcome.value
        request = attempt(lambda: self._request(proposal))
        if request.value is None:
            self._ending = (
                RunState.FAILED,
                f"the proposal for trial {self._asked} cannot be used: {request.failure}",
            )
            return None
        return Asked(proposal, request.value, seconds)

    def _request(self, proposal: Proposal) -> Request:
        """Return what the task is asked to train; its configuration is a copy that the strategy cannot change.

        Raises:
            UsageError: it is no proposal, the configuration is outside the space, or epochs or parent are
                impossible.
        """
        spec, strategy = self._shard.spec, self._strategy
        check_proposal(proposal)
        spec.space.check(proposal.config)
        epochs = spec.epochs if proposal.epochs is None else proposal.epochs
        resumes = strategy is not None and Capability.RESUMES in strategy.capabilities
        begin = self._epochs_of(proposal.parent, resumes=resumes)
        if not begin < epochs <= spec.epochs:
            raise UsageError(f"`epochs` must be more than {begin} and at most {spec.epochs}, got {epochs}.")
        return Request(self.run, self._asked, dict(proposal.config), epochs, proposal.parent, keep=resumes)

    def _epochs_of(self, parent: int | None, *, resumes: bool) -> int:
        """Return the epochs that a continued trial has already.

        One that failed before its first epoch has left no training state, and none could be trained again
        for it after a resume, so it cannot be continued.

        Raises:
            UsageError: there is no such trial to continue.
        """
        if parent is None:
            return 0
        if not resumes or not 0 <= parent < len(self.records):
            raise UsageError(
                f"`parent` must be a finished trial of the run, and the strategy must declare RESUMES; got {parent}."
            )
        result = self.records[parent].evaluation
        if result.epochs == 0:
            raise UsageError(
                f"`parent` must be a trial with at least one epoch; trial {parent} has none, "
                f"its status is {result.status}."
            )
        return result.epochs

    def _cost(self, request: Request) -> int:
        """Return the epochs that ``request`` adds, in every fold."""
        return (request.epochs - self._epochs_of(request.parent, resumes=True)) * self._shard.spec.trainings

    def tell(self, asked: Asked, evaluation: Evaluation) -> Record | None:
        """Tell the strategy how its proposal did, and return the record; None if the run has ended before."""
        strategy = self._strategy
        if strategy is None or not self.active:
            return None
        request = asked.request
        record = stored(
            Record(
                run=self.run,
                number=request.number,
                parent=request.parent,
                config=request.config,
                evaluation=evaluation,
                ask_seconds=asked.ask_seconds,
                tell_seconds=0.0,
            ),
            self._shard.objective,
        )
        trial = replace(record.as_trial(self._shard.objective), config=dict(request.config))
        begin = perf_counter()
        outcome = attempt(lambda: strategy.tell(trial))
        record = replace(record, tell_seconds=perf_counter() - begin)
        self._account(record)
        if outcome.failure is not None:
            self._end(RunState.FAILED, f"telling trial {record.number} failed: {outcome.failure}")
        self._settle()
        return record

    def finish_round(self) -> None:
        """End the run if asking found its end while other proposals were still on their way."""
        if self.active and self._ending is not None:
            self._end(*self._ending)

    def fail(self, message: str) -> None:
        """End the run as failed."""
        self._end(RunState.FAILED, message)

    def _account(self, record: Record) -> None:
        """Charge a finished trial to the budget."""
        result = record.evaluation
        self.records.append(record)
        self._epochs += max(1, result.epochs - result.epochs_from) * self._shard.spec.trainings
        self._seconds += record.seconds
        self._failures = 0 if result.status is Status.OK else self._failures + 1

    def _settle(self) -> None:
        """End the run if too many trials failed in a row or the budget is spent."""
        allowance = self._shard.allowance
        spent = (
            (allowance.trials, len(self.records)),
            (allowance.epochs, self._epochs),
            (allowance.seconds, self._seconds),
        )
        if self._failures >= self._shard.max_failures:
            last = self.records[-1].evaluation
            text = f"{self._failures} trials in a row failed, the last one with status {last.status}"
            self._end(RunState.FAILED, f"{text}: {last.message}" if last.message else f"{text}.")
        elif any(limit is not None and used >= limit for limit, used in spent):
            self._end(RunState.COMPLETE)

    def _end(self, state: RunState, message: str = "") -> None:
        """Leave the running state, once; a run in which no trial succeeded has failed, however it ended."""
        if not self.active:
            return
        if state is not RunState.FAILED:
            failures = [r.evaluation for r in self.records if r.evaluation.status is not Status.OK]
            message = _commonest(failures)
            if failures and len(failures) == len(self.records):
                state, message = RunState.FAILED, f"no trial succeeded, {len(failures)} failed: {message}"
        self.state, self.message = state, message


def _commonest(failures: list[Evaluation]) -> str:
    """Return how trials failed most often, the earliest of several; nothing without failures."""
    reasons = Counter(
        f"{item.status}: {item.message}" if item.message else str(item.status) for item in failures
    )
    return max(reasons, key=reasons.__getitem__, default="")

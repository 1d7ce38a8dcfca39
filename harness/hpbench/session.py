"""One session of a study: calibrate, give shards to workers, write what comes back, check the clock.

Only this process writes. What workers send is committed first and reported to the display after, so
a trial that was shown is on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from hpbench.clockwork import calibration_jobs, check_jobs, costs_of, store_calibrated, store_checked
from hpbench.environment import library_version
from hpbench.executors.local import LocalExecutor
from hpbench.executors.recovery import Event, Incident
from hpbench.faults import fault_point
from hpbench.finals import retrain_jobs
from hpbench.jobs import (
    Allowance,
    Calibrated,
    Checked,
    Ended,
    Finished,
    Ready,
    Retrained,
    RunJob,
    ShardJob,
    Uncalibrated,
    Unchecked,
)
from hpbench.plan import Plan, estimate_seconds
from hpbench.seeding import strategy_stream
from hpbench.shards import plan_shards, runs_in_shard
from hpbench.signals import Requests
from hpbench.store import Store
from hpbench.study import ENDED, FINISHED, RunState
from hpbench.suite import Suite
from hpbench.tasks.base import TaskSpec
from hpbench.trial import Record, RunKey, Status

__all__ = ["ProgressSink", "Session"]

_ASK_AHEAD = 64
"""For how many trials a strategy that does not adapt is asked at once, to fill cohorts."""

_STOP_SECONDS = 2.5


class ProgressSink(Protocol):
    """What shows a study's progress; called in the main process, in the order of events."""

    def started(self, plan: Plan, done: Mapping[RunKey, int]) -> None:
        """Take what is to be run and how many trials of each run an earlier session has finished."""

    def finished(self, record: Record) -> None:
        """Take a trial that is on disk now."""

    def run_ended(self, run: RunKey, state: RunState, message: str) -> None:
        """Take the end of a run."""

    def note(self, text: str) -> None:
        """Take something that the user should know: a worker died, the study is stopping."""

    def stopped(self) -> None:
        """Close the display; called once, whatever happened."""


class Session:
    """One call of ``run_study`` with its store open."""

    def __init__(self, store: Store, suite: Suite, plan: Plan, progress: ProgressSink) -> None:
        self._store = store
        self._suite = suite
        self._plan = plan
        self._progress = progress
        self._environments: list[dict[str, object]] = [
            event.payload for event in store.events() if event.kind == "worker"
        ]
        self._states = {row.run: row.state for row in store.runs()}
        self._open = tuple(run for run in plan.runs if self._states.get(run) not in FINISHED)
        self._given_up: set[str] = set()
        self.n_trials = 0

    def run(self, executor: LocalExecutor, requests: Requests, *, workers: int) -> None:
        """Calibrate, train, retrain incumbents and check, each to its end or until a signal asks to stop."""
        modelled = self._suite.clock == "modelled"
        if modelled:
            self._calibrate(executor, requests)
        if not requests.count:
            executor.add(self.jobs(workers=workers), at_once=workers)
            self._loop(executor, requests)
        if self._suite.final is not None and not requests.count:
            self._retrain(executor, requests, workers=workers)
        if modelled and not requests.count:
            executor.add(check_jobs(self._store, self._suite, self._over_tasks()), at_once=1)
            self._loop(executor, requests)

    def _calibrate(self, executor: LocalExecutor, requests: Requests) -> None:
        """Measure what the store does not know yet, one task after the other in one worker."""
        specs = [self._spec(name) for name in dict.fromkeys(run.task for run in self._open)]
        sizes = {name: int(task.get("n_train", 0)) for name, task in self._store.info.tasks.items()}
        for job in calibration_jobs(self._store, specs, sizes):
            if requests.count:
                return
            self._progress.note(f"calibrating {job.spec.name}: {len(job.signatures)} signatures")
            executor.add([job], at_once=1)
            self._loop(executor, requests)

    def _retrain(self, executor: LocalExecutor, requests: Requests, *, workers: int) -> None:
        """Train the incumbents of finished runs again, as far as the store does not know the results yet."""
        specs = {task.name: self._spec(task.name) for task in self._suite.tasks}
        jobs = retrain_jobs(self._store, self._suite, specs, self._plan.runs)
        if not jobs:
            return
        self._progress.note(f"retraining incumbents: {sum(len(job.requests) for job in jobs)} trainings")
        executor.add(jobs, at_once=workers)
        self._loop(executor, requests)

    def _spec(self, task: str) -> TaskSpec:
        """Return the specification of a task, its steps and data as they were when the study was created."""
        info = self._store.info
        spec = self._suite.task_spec(task, device=info.device)
        stored = info.tasks[task]
        steps = stored.get("steps", "plain")
        return replace(
            spec,
            trainer="reference" if steps == "plain" else "cohort",
            compiled=steps == "compiled",
            checksum=stored.get("checksum"),
        )

    def _runs_of(self, task: str) -> list[RunKey]:
        """Return the runs of a task that this session was to do."""
        return [run for run in self._open if run.task == task]

    def _over_tasks(self) -> list[TaskSpec]:
        """Return the tasks of which every run of the suite has ended."""
        ended = ENDED | {RunState.SKIPPED}
        going = {run.task for run, state in self._states.items() if state not in ended}
        return [self._spec(task.name) for task in self._suite.tasks if task.name not in going]

    def jobs(self, *, workers: int) -> list[ShardJob]:
        """Return the shards of what is still to be done, the longest first."""
        suite = self._suite
        rest = replace(self._plan, runs=tuple(run for run in self._open if run.task not in self._given_up))
        costs = estimate_seconds(rest, suite)
        sizes = runs_in_shard(rest, suite, workers=workers)
        shards = plan_shards(rest, costs, runs_per_shard=sizes)
        return [self._shard_job(runs) for runs in shards]

    def _shard_job(self, runs: Sequence[RunKey]) -> ShardJob:
        """Return the job of one shard, finished trials included."""
        suite = self._suite
        task = runs[0].task
        modelled = suite.clock == "modelled" and suite.task(task).function is None
        limited = suite.limits.trial_seconds is not None
        plain = self._store.info.tasks[task].get("steps", "plain") == "plain"
        return ShardJob(
            spec=self._spec(task),
            objective=suite.objective,
            allowance=Allowance(suite.budget.trials, suite.budget.epochs, suite.budget.seconds),
            budget_trials=suite.budget_trials(task),
            max_failures=suite.limits.max_failures,
            ask_ahead=1 if plain or limited else _ASK_AHEAD,
            runs=tuple(self._run_job(run) for run in runs),
            n_train=int(self._store.info.tasks[task].get("n_train", 0)),
            costs=costs_of(self._store, task) if modelled else None,
            one_by_one=limited,
        )

    def _run_job(self, run: RunKey) -> RunJob:
        """Return the job of one run."""
        strategy = self._suite.strategy(run.strategy)
        stored = self._store.info.strategies.get(run.strategy, {})
        library = stored.get("library")
        history = tuple(self._store.records(run))
        return RunJob(
            run=run,
            use=strategy.use,
            options=strategy.options,
            seed=strategy_stream(self._suite.root_seed, run.task, run.repetition).integer(),
            history=history,
            failed_at=len(history) if self._states.get(run) is RunState.FAILED else None,
            stored_with=f"{library} {stored.get('version')}"
            if library
            else f"hpbench {self._store.info.hpbench_version}",
            running_with=f"{library} {library_version(library)}"
            if library
            else f"hpbench {library_version('hpbench')}",
        )

    def _loop(self, executor: LocalExecutor, requests: Requests) -> None:
        """Write and report what comes until all is done or a signal asks to stop."""
        stopping = False
        while executor.busy:
            self._take(executor.events(requests.wakeup))
            if not requests.count:
                continue
            requests.quiet()
            if requests.count > 1:
                return
            if not stopping:
                stopping = True
                self._progress.note("stopping: finished trials are kept; a second signal stops at once")
                executor.stop(within_seconds=_STOP_SECONDS)

    def _take(self, events: Sequence[Event]) -> None:
        """Commit events together, then report them."""
        if not events:
            return
        fault_point("runner.received")
        with self._store.transaction():
            for event in events:
                self._write(event)
        fault_point("runner.committed")
        for event in events:
            self._report(event)

    def _write(self, event: Event) -> None:
        """Write one event to the store."""
        match event:
            case Finished(records):
                self._store.add(records)
                for run in {record.run for record in records}:
                    self._set_state(run, RunState.RUNNING)
            case Ended(run, state, message):
                self._set_state(run, state, message)
            case Retrained(items):
                self._store.add_retrainings(items)
            case Ready(environment):
                if environment and environment not in self._environments:
                    self._store.add_event("worker", environment)
            case Incident(text):
                self._store.add_event("incident", {"text": text})
            case _:
                self._write_clock(event)

    def _write_clock(self, event: Event) -> None:
        """Write one event of the modelled clock to the store."""
        match event:
            case Uncalibrated(task, reason):
                self._given_up.add(task)
                for run in self._runs_of(task):
                    self._set_state(run, RunState.FAILED, reason)
            case Calibrated():
                store_calibrated(self._store, event)
            case Checked():
                store_checked(self._store, event)

    def _set_state(self, run: RunKey, state: RunState, message: str = "") -> None:
        """Write a run's state where it has changed."""
        if self._states.get(run) is not state or message:
            self._states[run] = state
            self._store.set_run_state(run, state, message)

    def _report(self, event: Event) -> None:
        """Tell the display about one event."""
        match event:
            case Finished(records):
                self.n_trials += len(records)
                for record in records:
                    self._progress.finished(record)
            case Ended(run, state, message):
                self._progress.run_ended(run, state, message)
            case Incident(text):
                self._progress.note(text)
            case Ready(environment):
                self._note_environment(environment)
            case _:
                self._report_rest(event)

    def _report_rest(self, event: Event) -> None:
        """Tell the display about an event of the modelled clock or of the retraining."""
        match event:
            case Retrained(items):
                for item in items:
                    if item.status is not Status.OK:
                        self._progress.note(f"retraining {item.number} of {item.run}: {item.status}")
            case Uncalibrated(task, reason):
                for run in self._runs_of(task):
                    self._progress.run_ended(run, RunState.FAILED, reason)
            case Unchecked(task, reason):
                self._progress.note(f"the clock of task {task} was not checked: {reason}")

    def _note_environment(self, environment: dict[str, object]) -> None:
        """Warn if workers of this study have seen another processor, torch or compiler: bits may differ.

        What one of them did not say (the compiler, where it compiled nothing) is no difference.
        """
        if not environment or environment in self._environments:
            return
        for known in self._environments:
            differing = [key for key in known if environment.get(key, known[key]) != known[key]]
            if differing:
                before, now = (
                    ", ".join(f"{key} {item[key]}" for key in differing) for item in (known, environment)
                )
                self._progress.note(
                    f"earlier trials were made with {before}, now it is {now}: results may differ in bits"
                )
                break
        self._environments.append(environment)

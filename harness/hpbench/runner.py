"""Running a study: prepare the store, give shards to workers, write what comes back, survive interruption.

Only this process writes. What workers send is committed first and reported to the display after, so
a trial that was shown is on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hpbench.description import check_continues, describe_study
from hpbench.environment import library_version, resolve_device
from hpbench.errors import ExitCode, UsageError
from hpbench.executors.local import LocalExecutor
from hpbench.executors.recovery import Event, Incident
from hpbench.export import MANIFEST, write_manifest
from hpbench.faults import fault_point
from hpbench.jobs import Allowance, Ended, Finished, Ready, RunJob, ShardJob
from hpbench.lock import locked
from hpbench.plan import Plan, estimate_seconds, make_plan, plan_shards, runs_in_shard
from hpbench.plugins import load_plugins
from hpbench.seeding import strategy_stream
from hpbench.signals import Requests, signals_as_requests
from hpbench.store import Store, store_path
from hpbench.study import RunRow, RunState, StudyInfo
from hpbench.suite import Suite
from hpbench.trial import Record, RunKey

__all__ = ["NETWORK_TASKS", "ProgressSink", "RunSummary", "run_study"]

NETWORK_TASKS = "hpbench.tasks.network_task:build_task"
"""What workers build tasks with, unless told otherwise."""

_ASK_AHEAD = {"reference": 1, "cohort": 64}
_STOP_SECONDS = 2.5
_OVER = frozenset({RunState.COMPLETE, RunState.EXHAUSTED})


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


@dataclass(frozen=True)
class RunSummary:
    """How ``run_study`` ended.

    Attributes:
        results: the results directory.
        trials: trials finished in this session.
        runs: every run of the study with its state.
        interrupted: the signal that stopped it, or None.
        selected: the runs of this session; the whole study unless ``only`` said otherwise.
    """

    results: Path
    trials: int
    runs: tuple[RunRow, ...]
    interrupted: int | None = None
    selected: frozenset[RunKey] = field(default_factory=frozenset)

    @property
    def failed(self) -> tuple[RunRow, ...]:
        """The failed runs of this session."""
        return tuple(row for row in self.runs if row.state is RunState.FAILED and row.run in self.selected)

    @property
    def exit_code(self) -> int:
        """What the process should end with."""
        if self.interrupted is not None:
            return 128 + self.interrupted
        return int(ExitCode.FAILED_CELLS if self.failed else ExitCode.COMPLETE)


def run_study(
    suite: Suite,
    suite_text: str,
    *,
    results: Path,
    workers: int,
    device: str,
    progress: ProgressSink,
    only: str | None = None,
    task_factory: str = NETWORK_TASKS,
    plugins: Sequence[Path] = (),
) -> RunSummary:
    """Run, or continue, the study of ``suite`` in the directory ``results``.

    What is finished there is replayed to the strategies, not trained again; the records of a study
    that was stopped and continued equal those of an undisturbed one, times aside. Runs that failed
    are tried again. SIGINT or SIGTERM ends it within a few seconds with everything reported on disk;
    a second signal ends it at once.

    Args:
        suite: what to run.
        suite_text: its file, word for word; kept with the results.
        results: made if it is missing.
        workers: training processes, at least 1.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"auto"``.
        progress: is told what happens.
        only: a ``TASK/STRATEGY/REPETITION`` pattern; other runs stay pending.
        task_factory: ``"module:function"`` that builds tasks inside a worker.
        plugins: files run here and in every worker.

    Raises:
        UsageError: the plan is impossible, or ``results`` holds another study.
        LockedError: another process is running it.
        StoreError: the results are damaged or cannot be written.
    """
    if workers < 1:
        raise UsageError(f"`workers` must be at least 1, got {workers}.")
    load_plugins(plugins)
    whole = make_plan(suite)
    plan = make_plan(suite, only=only) if only else whole
    device = resolve_device(device)
    info = describe_study(suite, suite_text, whole, device=device, workers=workers)
    with locked(results), _opened(results, info) as store:
        _register(store, suite, whole)
        session = _Session(store, suite, plan, progress)
        jobs = session.jobs(info, workers=workers)
        executor = LocalExecutor(
            jobs,
            workers=workers,
            threads=suite.threads,
            factory=task_factory,
            plugins=plugins,
            trial_seconds=suite.limits.trial_seconds,
        )
        with signals_as_requests() as requests:
            progress.started(plan, store.counts())
            try:
                session.loop(executor, requests)
            finally:
                executor.close()
                progress.stopped()
        write_manifest(store, results / MANIFEST)
        selected = frozenset(plan.runs)
        return RunSummary(results, session.n_trials, tuple(store.runs()), requests.first, selected)


def _opened(results: Path, info: StudyInfo) -> Store:
    """Return the store in ``results``: a new one, or the one there if it is of the same study."""
    if not store_path(results).exists():
        store = Store.create(results, info)
        store.add_event("created", {"environment": info.environment})
        return store
    store = Store.open(results)
    try:
        check_continues(store.info, info)
        store.add_event("resumed", {"environment": info.environment})
    except BaseException:
        store.close()
        raise
    return store


def _register(store: Store, suite: Suite, plan: Plan) -> None:
    """Write down every run of the suite, so that missing ones are seen to be missing."""
    reasons = {(item.task, item.strategy): item.reason for item in plan.refused}
    rows = []
    for run in suite.run_keys():
        reason = reasons.get((run.task, run.strategy))
        rows.append(
            RunRow(run, RunState.PENDING) if reason is None else RunRow(run, RunState.SKIPPED, reason)
        )
    store.add_runs(rows)


class _Session:
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
        self.n_trials = 0

    def jobs(self, info: StudyInfo, *, workers: int) -> list[ShardJob]:
        """Return the shards of what is still to be done, the longest first."""
        suite, plan = self._suite, self._plan
        open_runs = tuple(run for run in plan.runs if self._states.get(run) not in _OVER)
        rest = Plan(open_runs, plan.refused, plan.trials, plan.epochs)
        costs = estimate_seconds(rest, suite)
        sizes = runs_in_shard(rest, suite, workers=workers)
        shards = plan_shards(rest, costs, runs_per_shard=sizes)
        return [self._shard_job(runs, info.device) for runs in shards]

    def _shard_job(self, runs: Sequence[RunKey], device: str) -> ShardJob:
        """Return the job of one shard, finished trials included."""
        suite = self._suite
        task = runs[0].task
        return ShardJob(
            spec=suite.task_spec(task, device=device),
            objective=suite.objective,
            allowance=Allowance(suite.budget.trials, suite.budget.epochs, suite.budget.seconds),
            budget_trials=suite.budget_trials(task),
            max_failures=suite.limits.max_failures,
            ask_ahead=_ASK_AHEAD[suite.trainer],
            runs=tuple(self._run_job(run) for run in runs),
        )

    def _run_job(self, run: RunKey) -> RunJob:
        """Return the job of one run."""
        strategy = self._suite.strategy(run.strategy)
        stored = self._store.info.strategies.get(run.strategy, {})
        library = stored.get("library")
        return RunJob(
            run=run,
            use=strategy.use,
            options=strategy.options,
            seed=strategy_stream(self._suite.root_seed, run.task, run.repetition).integer(),
            history=tuple(self._store.records(run)),
            stored_with=f"{library} {stored.get('version')}"
            if library
            else f"hpbench {self._store.info.hpbench_version}",
            running_with=f"{library} {library_version(library)}"
            if library
            else f"hpbench {library_version('hpbench')}",
        )

    def loop(self, executor: LocalExecutor, requests: Requests) -> None:
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
            case Ready(environment):
                if environment and environment not in self._environments:
                    self._store.add_event("worker", environment)
            case Incident(text):
                self._store.add_event("incident", {"text": text})

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

    def _note_environment(self, environment: dict[str, object]) -> None:
        """Warn if workers of this study have seen another processor or torch: bits may differ."""
        if not environment or environment in self._environments:
            return
        if self._environments:
            known = ", ".join(f"{key} {value}" for key, value in self._environments[0].items())
            now = ", ".join(f"{key} {value}" for key, value in environment.items())
            self._progress.note(
                f"earlier trials were made with {known}, now it is {now}: results may differ in bits"
            )
        self._environments.append(environment)

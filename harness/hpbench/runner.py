"""Running a study: check it, open its store, and run a session until all is done or a signal comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpbench.description import check_continues, check_libraries, describe_study
from hpbench.environment import resolve_device
from hpbench.errors import ExitCode, UsageError
from hpbench.executors.local import LocalExecutor
from hpbench.export import MANIFEST, write_manifest
from hpbench.lock import locked
from hpbench.plan import Plan, make_plan
from hpbench.plugins import load_plugins
from hpbench.session import ProgressSink, Session
from hpbench.signals import signals_as_requests
from hpbench.store import STORE_NAME, Store
from hpbench.study import FINISHED, RunRow, RunState, StudyInfo
from hpbench.suite import Suite
from hpbench.trial import RunKey

__all__ = ["TASKS", "ProgressSink", "RunSummary", "run_study"]

TASKS = "hpbench.tasks.factory:build_task"
"""What workers build tasks with, unless told otherwise."""


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
    task_factory: str = TASKS,
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
    device = resolve_device(device)
    whole = make_plan(suite, device=device)
    plan = make_plan(suite, only=only, device=device) if only is not None else whole
    info = describe_study(suite, suite_text, whole, device=device, workers=workers)
    with locked(results), _opened(results, info, plan.runs) as store:
        _register(store, suite, whole)
        session = Session(store, suite, plan, progress)
        executor = LocalExecutor(
            [],
            workers=workers,
            threads=suite.threads,
            factory=task_factory,
            plugins=plugins,
            trial_seconds=suite.limits.trial_seconds,
        )
        with signals_as_requests() as requests:
            progress.started(plan, store.counts())
            try:
                session.run(executor, requests, workers=workers)
            finally:
                executor.close()
                progress.stopped()
        write_manifest(store, results / MANIFEST)
        selected = frozenset(plan.runs)
        return RunSummary(results, session.n_trials, tuple(store.runs()), requests.first, selected)


def _opened(results: Path, info: StudyInfo, runs: Sequence[RunKey]) -> Store:
    """Return the store in ``results``: a new one, or the one there if ``runs`` of the same study can go on in it."""
    path = results / STORE_NAME
    if not path.exists():
        store = Store.create(path, info)
        store.add_event("created", {"environment": info.environment})
        return store
    store = Store.open(path)
    try:
        check_continues(store.info, info)
        check_libraries(store.info, info, _unbegun(store, runs))
        store.add_event("resumed", {"environment": info.environment})
    except BaseException:
        store.close()
        raise
    return store


def _unbegun(store: Store, runs: Sequence[RunKey]) -> list[RunKey]:
    """Return those of ``runs`` that are to be done and have no trial yet."""
    over = {row.run for row in store.runs() if row.state in FINISHED}
    counts = store.counts()
    return [run for run in runs if run not in over and not counts.get(run)]


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

"""What ``import hpbench`` offers to notebooks and scripts: run a suite, load a study."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpbench.analysis.notebook import Study, load
from hpbench.errors import UsageError

if TYPE_CHECKING:
    from hpbench.plan import Plan
    from hpbench.study import RunState
    from hpbench.trial import Record, RunKey

__all__ = ["Study", "load", "run"]


def run(
    suite: str | Path,
    *,
    results: str | Path | None = None,
    workers: int | None = None,
    device: str = "cpu",
    trainer: str | None = None,
    only: str | None = None,
    plugins: Sequence[str | Path] = (),
    progress: bool = True,
) -> Study:
    """Run a suite, or continue it, and return its study; the same as ``hpbench run``, without the report.

    In a script, call it under ``if __name__ == "__main__":``, because the worker processes import the
    script. In a notebook nothing is needed.

    Args:
        suite: a TOML file, or the name of a bundled suite.
        results: where the results go; by default ``results/NAME``, by the name in the suite.
        workers: training processes at once; by default as many as there are cores for the suite's threads.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"auto"``.
        trainer: train with ``"reference"`` or ``"cohort"`` instead of the suite's trainer.
        only: only the runs whose TASK/STRATEGY/REPETITION matches, such as ``"digits-mlp/*/0"``.
        plugins: Python files that register strategies, networks, data sets or functions.
        progress: print a line now and then.

    Returns:
        the study; runs that failed are in its ``runs``.

    Raises:
        UsageError: the suite or an argument cannot be used, or a worker process calls this.
        LockedError: another process is running the study.
        StoreError: the results are damaged or cannot be written.
        KeyboardInterrupt: it was interrupted; the same call continues it.
    """
    from hpbench.cli.display import PlainDisplay  # noqa: PLC0415 -- ``load`` needs none of these
    from hpbench.cli.options import resolve_workers  # noqa: PLC0415
    from hpbench.plugins import load_plugins  # noqa: PLC0415
    from hpbench.runner import run_study  # noqa: PLC0415
    from hpbench.suite import load_suite  # noqa: PLC0415

    if multiprocessing.parent_process() is not None:
        raise UsageError(
            '`hpbench.run` must stand under `if __name__ == "__main__":` in a script; a worker process has imported '
            "the script and called it again."
        )
    if trainer not in {None, "reference", "cohort"}:
        raise UsageError(f"`trainer` must be 'reference' or 'cohort', got {trainer!r}.")
    if isinstance(plugins, str | Path):
        raise UsageError(f"`plugins` must be a list of files, got {str(plugins)!r}; put it into brackets.")
    files = [Path(plugin) for plugin in plugins]
    load_plugins(files)  # the suite may name what they register
    found, text = load_suite(suite)
    if trainer is not None:
        found = found.replace(trainer=trainer)
    place = Path("results") / found.name if results is None else Path(results)
    summary = run_study(
        found,
        text,
        results=place,
        workers=resolve_workers(workers, threads=found.threads),
        device=device,
        only=only,
        progress=PlainDisplay(place, budget_seconds=found.budget.seconds) if progress else _Silence(),
        plugins=files,
    )
    if summary.interrupted == signal.SIGINT:
        raise KeyboardInterrupt
    if summary.interrupted is not None:
        raise SystemExit(summary.exit_code)
    return load(place)


class _Silence:
    """Shows nothing."""

    def started(self, plan: Plan, done: Mapping[RunKey, int]) -> None:
        """Show nothing."""

    def finished(self, record: Record) -> None:
        """Show nothing."""

    def run_ended(self, run: RunKey, state: RunState, message: str) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def stopped(self) -> None:
        """Show nothing."""

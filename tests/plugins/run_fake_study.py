"""Runs a fake study in a process of its own: ``run_fake_study.py RESULTS WORKERS SUITE_JSON``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hpbench.errors import HpbenchError
from hpbench.plugins import load_plugins
from hpbench.runner import run_study
from hpbench.suite import Suite

PLUGIN = Path(__file__).with_name("fake_study.py")


class Silent:
    """A progress display that shows notes only."""

    def started(self, plan: object, done: object) -> None:
        """Show nothing."""

    def finished(self, record: object) -> None:
        """Show nothing."""

    def run_ended(self, run: object, state: object, message: str) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show what happened."""
        sys.stderr.write(f"{text}\n")

    def stopped(self) -> None:
        """Show nothing."""


def main() -> int:
    """Run the study and return its exit code."""
    load_plugins([PLUGIN])
    suite = Suite.of(json.loads(sys.argv[3]))
    try:
        summary = run_study(
            suite,
            sys.argv[3],
            results=Path(sys.argv[1]),
            workers=int(sys.argv[2]),
            device="cpu",
            progress=Silent(),
            task_factory="hpbench_plugin_fake_study:build_task",
            plugins=[PLUGIN],
        )
    except HpbenchError as error:
        sys.stderr.write(f"{error}\n")
        return int(error.exit_code)
    return summary.exit_code


if __name__ == "__main__":
    sys.exit(main())

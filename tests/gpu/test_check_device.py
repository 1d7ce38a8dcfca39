"""The checks of ``nox -s gpu`` run through against the CPU itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "check_device.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_every_check_holds_for_the_cpu_against_itself() -> None:
    done = run("--device", "cpu", "--trials", "24", "--families", "mlp")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("holds: ") == 6
    assert "equal counts in 100% of 24 trials" in done.stdout


def test_a_device_that_is_not_there_is_said_to_be_missing() -> None:
    done = run("--device", "cuda:99")
    assert done.returncode != 0
    assert "cuda:99" in done.stderr

"""The promises on real networks: any number of workers, any kill, the same records, times aside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpbench.canonical import TIME_KEYS
from hpbench.export import export_study

SUITE = {
    "schema": 1,
    "name": "promises",
    "root_seed": 20261120,
    "repetitions": 2,
    "budget": {"trials": 4},
    "tasks": [
        {"dataset": "iris", "network": "mlp", "epochs": 2},
        {
            "dataset": "digits",
            "network": "cnn",
            "epochs": 1,
            "space": {"batch_size": 128, "optimizer": "adam"},
        },
    ],
    "strategies": [
        {"use": "random"},
        {"use": "random", "name": "again"},
        {"use": "genetic", "options": {"population_size": 3, "tournament_size": 2}},
    ],
}
CODE = """
import json, sys
from pathlib import Path

class Silent:
    def __getattr__(self, name):
        return lambda *arguments: None

if __name__ == "__main__":
    from hpbench.runner import run_study
    from hpbench.suite import Suite

    text = Path(sys.argv[3]).read_text()
    summary = run_study(
        Suite.of(json.loads(text)), text, results=Path(sys.argv[1]), workers=int(sys.argv[2]),
        device="cpu", progress=Silent(),
    )
    sys.exit(summary.exit_code)
"""


def run(folder: Path, name: str, *, workers: int, fault: str = "") -> int:
    """Run the suite in a process of its own and return its exit status."""
    script, suite = folder / "study.py", folder / "suite.json"
    script.write_text(CODE, encoding="utf-8")
    suite.write_text(json.dumps(SUITE), encoding="utf-8")
    command = [sys.executable, str(script), str(folder / name), str(workers), str(suite)]
    environment = {**os.environ, "HPBENCH_FAULT": fault}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    return done.returncode


def lines(folder: Path, name: str) -> list[dict]:
    """Return the exported lines without times."""
    export_study(folder / name, folder / f"{name}-out")
    text = (folder / f"{name}-out" / "trials.jsonl").read_text(encoding="ascii")
    found = [json.loads(line) for line in text.splitlines()]
    return [{key: value for key, value in line.items() if key not in TIME_KEYS} for line in found]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """The lines of the suite with one worker, undisturbed."""
    folder = tmp_path_factory.mktemp("alone")
    assert run(folder, "r", workers=1) == 0
    return lines(folder, "r")


def test_the_study_is_a_real_one(alone: list[dict]) -> None:
    assert len(alone) == 2 * 3 * 2 * 4
    assert {line["status"] for line in alone} <= {"ok", "diverged"}
    assert len({line["val_correct"] for line in alone}) > 4


def test_two_workers_give_the_lines_of_one(alone: list[dict], tmp_path: Path) -> None:
    assert run(tmp_path, "r", workers=2) == 0
    assert lines(tmp_path, "r") == alone


def test_killed_and_run_again_gives_the_lines_of_an_undisturbed_study(
    alone: list[dict], tmp_path: Path
) -> None:
    assert run(tmp_path, "r", workers=1, fault="after:runner.committed:8") == -signal.SIGKILL
    assert 0 < len(lines(tmp_path, "r")) < len(alone)
    assert run(tmp_path, "r", workers=1) == 0
    assert lines(tmp_path, "r") == alone


def test_a_configuration_gets_the_same_training_whoever_proposes_it(alone: list[dict]) -> None:
    groups: dict[tuple[str, int, str], list[str]] = {}
    for line in alone:
        key = (line["task"], line["repetition"], json.dumps(line["config"]))
        answer = {name: line[name] for name in line if name not in {"strategy", "number"}}
        groups.setdefault(key, []).append(json.dumps(answer))
    assert sum(len(answers) > 1 for answers in groups.values()) >= 2 * 2 * 4
    assert all(len(set(answers)) == 1 for answers in groups.values())

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from hpbench.cli import run_program
from hpbench.cli.display import LiveDisplay, PlainDisplay
from hpbench.cli.options import resolve_workers
from hpbench.cli.run import display_for
from hpbench.cli.summary import failures_text
from hpbench.study import RunRow, RunState
from hpbench.suite import load_suite
from hpbench.trial import RunKey

FAILING = """
from hpbench.strategies import REGISTRY, Capability, Strategy

class Failing(Strategy):
    \"\"\"Cannot propose anything.\"\"\"
    capabilities = frozenset({Capability.CONDITIONAL})
    def ask(self):
        raise RuntimeError("no idea \\x1b[2J")
    def tell(self, trial):
        pass

REGISTRY.add("failing", Failing)
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of the tiny suite, made once; the command's output lies beside it."""
    folder = tmp_path_factory.mktemp("study")
    suite = folder / "tiny.toml"
    suite.write_text(
        dedent(
            """
            schema = 1
            name = "tiny"
            root_seed = 3
            repetitions = 2
            budget = { trials = 2 }
            tasks = [{ dataset = "iris", network = "mlp", epochs = 1 }]
            strategies = [{ use = "random" }, { use = "default", label = "Default" }, { use = "skopt-gp" }]
            """
        ),
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "hpbench", "run", str(suite), "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    (folder / "out.txt").write_text(done.stdout, encoding="utf-8")
    assert done.stderr == ""
    assert done.returncode == 0
    return folder


def test_a_study_ends_with_tables_figures_and_a_summary(study: Path) -> None:
    results = study / "results" / "tiny"
    found = {path.name for path in results.iterdir()}
    assert {"study.sqlite", "manifest.json", "tables", "figures"} <= found
    lines = (study / "out.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith("Skipped.")
    assert lines[1] == "4 runs, 6 trials"
    assert sum(" trials | iris-mlp/" in line for line in lines) == 6
    summary = lines[lines.index("Writing tables and figures.") :]
    (header,) = [line for line in summary if line.startswith("TASK")]
    assert header.split() == ["TASK", "STRATEGY", "TEST", "(%)", "VALIDATION", "(%)", "RUNS"]
    assert [line.split()[1] for line in summary if line.startswith("iris-mlp")] == [
        "random",
        "Default",
        "skopt-gp",
    ]
    count = len(list((results / "figures").iterdir()))
    assert summary[-1].split() == ["Figures", "results/tiny/figures", f"({count}", "files)"]


def test_the_same_command_finds_nothing_left_to_do(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    assert run_program(["run", "tiny.toml", "--workers", "1"]) == 0
    assert "4 runs, 6 trials, 6 of them finished earlier" in capsys.readouterr().out


def test_a_changed_suite_is_refused(study: Path, call: Callable[..., Any], tmp_path: Path) -> None:
    changed = tmp_path / "tiny.toml"
    changed.write_text(
        (study / "tiny.toml").read_text(encoding="utf-8").replace("root_seed = 3", "root_seed = 4"),
        encoding="utf-8",
    )
    answer = call("run", changed, "--results", study / "results" / "tiny")
    assert answer.code == 2
    assert "root_seed" in answer.err


def test_a_study_that_another_process_writes_is_5(study: Path, call: Callable[..., Any]) -> None:
    results = study / "results" / "tiny"
    with (results / "study.lock").open("r+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        answer = call("run", study / "tiny.toml", "--results", results)
    assert answer.code == 5
    assert "in use by another hpbench run" in answer.err


def test_the_report_is_rebuilt_from_the_store_alone(
    study: Path, call: Callable[..., Any], tmp_path: Path
) -> None:
    original = study / "results" / "tiny"
    shutil.copy(original / "study.sqlite", tmp_path)
    answer = call("report", tmp_path)
    assert answer.code == 0
    for folder in ("tables", "figures"):
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == sorted(
            path.name for path in (original / folder).iterdir()
        )
    assert (tmp_path / "tables" / "final.csv").read_bytes() == (
        original / "tables" / "final.csv"
    ).read_bytes()


def test_a_folder_without_a_study_is_2(call: Callable[..., Any], tmp_path: Path) -> None:
    for words in (["report", tmp_path], ["export", tmp_path, "--out", tmp_path / "out"]):
        answer = call(*words)
        assert answer.code == 2
        assert "there is no study" in answer.err
    assert not (tmp_path / "out").exists()


def test_a_damaged_store_is_4(study: Path, call: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "study.sqlite").write_bytes(b"not a database" * 100)
    for words in (
        ["report", tmp_path],
        ["export", tmp_path, "--out", tmp_path / "out"],
        ["run", study / "tiny.toml", "--results", tmp_path],
    ):
        assert call(*words).code == 4
    assert (tmp_path / "study.sqlite").read_bytes() == b"not a database" * 100


def test_an_export_lists_its_files(study: Path, call: Callable[..., Any], tmp_path: Path) -> None:
    answer = call("export", study / "results" / "tiny", "--out", tmp_path / "deep" / "out")
    assert answer.code == 0
    paths = [Path(line) for line in answer.out.splitlines()]
    assert {path.name for path in paths} >= {"trials.jsonl", "manifest.json", "trials.csv", "curves.csv"}
    lines = (tmp_path / "deep" / "out" / "trials.jsonl").read_text(encoding="ascii").splitlines()
    assert len(lines) == 6
    assert json.loads(lines[0])["task"] == "iris-mlp"


@pytest.mark.usefixtures("forgotten")
def test_failed_runs_are_3_and_named(call: Callable[..., Any], tmp_path: Path, suite_file: Path) -> None:
    plugin = tmp_path / "failing_plugin.py"
    plugin.write_text(FAILING, encoding="utf-8")
    text = suite_file.read_text(encoding="utf-8").replace('use = "random"', 'use = "failing"')
    suite_file.write_text(text, encoding="utf-8")
    answer = call(
        "run",
        suite_file,
        "--results",
        tmp_path / "out",
        "--workers",
        "1",
        "--plugin",
        plugin,
        "--only",
        "*/failing/1",
    )
    assert answer.code == 3
    assert "run iris-mlp/failing/1 failed:" in answer.out
    assert "1 run failed; the same command tries it again:" in answer.err
    assert "no idea" in answer.err
    assert "\x1b" not in answer.out + answer.err
    assert "partial: 1 of 4 runs" in answer.out


def test_an_interrupted_study_prints_the_command_that_continues(tmp_path: Path, suite_file: Path) -> None:
    text = suite_file.read_text(encoding="utf-8").replace("{ trials = 2 }", "{ trials = 4000 }")
    suite_file.write_text(text, encoding="utf-8")
    results = tmp_path / "with space"
    words = [
        "run",
        str(suite_file),
        "--results",
        str(results),
        "--only",
        "iris-mlp/random/0",
        "--workers",
        "1",
    ]
    command = [sys.executable, "-u", "-m", "hpbench", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while " trials | " not in process.stdout.readline():
            assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert "stopping" in out
    assert "Writing tables" not in out
    lines = err.splitlines()
    assert lines[0].endswith("This continues:")
    assert (
        lines[1] == f"  hpbench run {suite_file} --results '{results}' --only iris-mlp/random/0 --workers 1"
    )


def test_a_place_that_cannot_be_written_is_4(call: Callable[..., Any], suite_file: Path) -> None:
    blocked = suite_file.parent / "blocked"
    blocked.write_text("a file", encoding="utf-8")
    answer = call("run", suite_file, "--results", blocked / "inside")
    assert answer.code == 4
    assert "blocked" in answer.err


def test_an_empty_place_is_2_and_not_the_current_folder(
    call: Callable[..., Any], suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    answer = call("run", suite_file, "--results", "")
    assert answer.code == 2
    assert "a directory must be named, got an empty text. Write . for the current one." in answer.err
    assert not list(place.iterdir())


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "cuda:99", ""])
def test_a_device_that_is_not_there_is_2(call: Callable[..., Any], suite_file: Path, device: str) -> None:
    answer = call("run", suite_file, "--results", suite_file.parent / "out", "--device", device)
    assert answer.code == 2
    assert not (suite_file.parent / "out").exists()


@pytest.mark.parametrize(("terminal", "kind"), [(True, LiveDisplay), (False, PlainDisplay)])
def test_the_display_fits_the_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, terminal: bool, kind: type[Any]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    suite, _ = load_suite("smoke")
    assert isinstance(display_for(suite, tmp_path), kind)


def test_workers_are_what_was_asked_for_or_what_the_cores_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)
    assert [
        resolve_workers(given, threads=threads)
        for given, threads in ((3, 4), (None, 1), (None, 4), (None, 16))
    ] == [3, 8, 2, 1]


def test_many_failures_are_cut_short() -> None:
    rows = [RunRow(RunKey("t", "s", number), RunState.FAILED, f"why {number}\nmore") for number in range(12)]
    lines = failures_text(rows).splitlines()
    assert lines[0] == "12 runs failed; the same command tries them again:"
    assert lines[1] == "  t/s/0: why 0"
    assert lines[-1] == "  and 2 more; see tables/trouble.md"

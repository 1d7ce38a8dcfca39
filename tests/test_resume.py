"""Tests of the promise: killed at any moment and run again, the records are those of an undisturbed study."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

from hpbench import description, runner, session
from hpbench.errors import UsageError
from hpbench.export import export_study
from hpbench.store import Store
from hpbench.study import RunState

SCRIPT = Path(__file__).parent / "plugins" / "run_fake_study.py"
SUITE = {"budget": {"trials": 5}, "repetitions": 2}
STRATEGIES = ("fake-adaptive", "fake-ahead", "genetic")


def run_once(results: Path, content: dict, *, workers: int = 2, fault: str = "") -> int:
    """Run a fake study in a process of its own, killed at ``fault``, and return its exit status."""
    command = [sys.executable, str(SCRIPT), str(results), str(workers), json.dumps(content)]
    environment = {**os.environ, "HPBENCH_FAULT": fault}
    return subprocess.run(command, env=environment, check=False, capture_output=True).returncode


@pytest.fixture(scope="module")
def undisturbed(fake: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """The records of a study that nothing happened to."""
    results = tmp_path_factory.mktemp("undisturbed")
    fake.run(results, fake.suite_of(*STRATEGIES, **SUITE))
    return fake.lines_of(results)


@pytest.mark.parametrize(
    "fault",
    [
        "after:store.add:1",
        "after:store.add:13",
        "after:runner.received:3",
        "after:runner.committed:1",
        "after:runner.committed:3",
    ],
)
def test_killed_and_run_again_the_records_are_those_of_an_undisturbed_study(
    fake: ModuleType, tmp_path: Path, undisturbed: list[dict], fault: str
) -> None:
    content = fake.suite_of(*STRATEGIES, **SUITE)
    first = run_once(tmp_path / "r", content, fault=fault)
    assert first == -signal.SIGKILL
    fake.run(tmp_path / "r", content, workers=2)
    assert fake.lines_of(tmp_path / "r") == undisturbed


def test_killed_again_and_again_it_still_comes_to_the_same_end(
    fake: ModuleType, tmp_path: Path, undisturbed: list[dict]
) -> None:
    content = fake.suite_of(*STRATEGIES, **SUITE)
    codes = [run_once(tmp_path / "r", content, fault="after:store.add:9") for _ in range(4)]
    assert codes[:3] == [-signal.SIGKILL] * 3
    fake.run(tmp_path / "r", content)
    assert fake.lines_of(tmp_path / "r") == undisturbed


def test_workers_that_are_killed_all_the_time_change_no_record(
    fake: ModuleType, tmp_path: Path, undisturbed: list[dict]
) -> None:
    content = fake.suite_of(*STRATEGIES, **SUITE)
    assert run_once(tmp_path / "r", content, fault="after:worker.evaluated:3") == 0
    assert fake.lines_of(tmp_path / "r") == undisturbed


def test_the_exported_files_are_equal_too_times_aside(fake: ModuleType, tmp_path: Path) -> None:
    content = fake.suite_of(*STRATEGIES, **SUITE)
    run_once(tmp_path / "a", content, fault="after:runner.committed:7")
    for name, workers in (("a", 2), ("b", 1)):
        fake.run(tmp_path / name, content, workers=workers)
        export_study(tmp_path / name, tmp_path / f"{name}-out")
    texts = []
    for name in "ab":
        lines = (tmp_path / f"{name}-out" / "trials.jsonl").read_text(encoding="ascii").splitlines()
        texts.append(
            [
                {key: value for key, value in json.loads(line).items() if "_seconds" not in key}
                for line in lines
            ]
        )
    assert texts[0] == texts[1]


def test_a_finished_study_run_again_trains_nothing(fake: ModuleType, tmp_path: Path) -> None:
    fake.run(tmp_path, fake.suite_of())
    before = fake.lines_of(tmp_path, times=True)
    summary, shown = fake.run(tmp_path, fake.suite_of())
    assert (summary.trials, summary.exit_code) == (0, 0)
    assert set(shown.done.values()) == {6}
    assert fake.lines_of(tmp_path, times=True) == before
    with Store.open(tmp_path, read_only=True) as store:
        assert [event.kind for event in store.events()] == ["created", "resumed"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"root_seed": 2}, "root_seed: 1, 2"),
        ({"budget": {"trials": 7}}, "budget.trials: 6, 7"),
        ({"budget": {"epochs": 7}}, r"budget.epochs: '\(absent\)', 7"),
        ({"repetitions": 3}, "repetitions: 2, 3"),
        ({"strategies": [{"use": "random"}]}, "strategies: 2 entries, 1 entries"),
        ({"objective": "loss"}, "objective: 'error', 'loss'"),
    ],
)
def test_a_changed_suite_is_refused_with_what_changed(
    fake: ModuleType, tmp_path: Path, change: dict, named: str
) -> None:
    fake.run(tmp_path, fake.suite_of(budget={"trials": 6}))
    before = fake.lines_of(tmp_path, times=True)
    with pytest.raises(UsageError, match=rf"{named}[\s\S]*--results"):
        fake.run(tmp_path, fake.suite_of(**{"budget": {"trials": 6}, **change}))
    assert fake.lines_of(tmp_path, times=True) == before


def test_a_changed_task_is_named_by_its_path(fake: ModuleType, tmp_path: Path) -> None:
    fake.run(tmp_path, fake.suite_of(repetitions=1))
    with pytest.raises(UsageError, match=r"tasks\[0\].epochs: 2, 3"):
        fake.run(tmp_path, fake.suite_of(repetitions=1, epochs=3))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("device", "with device cuda, now it is cpu"),
        ("torch", "with torch 1.0, now it is"),
        ("data", "its checksum differs"),
    ],
)
def test_another_device_torch_or_data_set_is_refused(
    fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, message: str
) -> None:
    describe = runner.describe_study

    def changed(*args: object, **keys: object) -> object:
        info = describe(*args, **keys)  # type: ignore[arg-type]
        match what:
            case "device":
                return replace(info, device="cuda")
            case "torch":
                libraries = {**info.environment["libraries"], "torch": "1.0"}
                return replace(info, environment={**info.environment, "libraries": libraries})
        return replace(info, tasks={name: {**task, "checksum": "0"} for name, task in info.tasks.items()})

    with monkeypatch.context() as patch:
        patch.setattr(runner, "describe_study", changed)
        fake.run(tmp_path, fake.suite_of(repetitions=1))
    with pytest.raises(UsageError, match=message):
        fake.run(tmp_path, fake.suite_of(repetitions=1))


def test_runs_that_have_not_begun_want_the_library_that_the_study_began_with(
    fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = fake.suite_of("fake-drifting", "fake-adaptive", repetitions=3)
    fake.run(tmp_path, content, only="*/fake-drifting/0")
    installed = version("numpy")
    with monkeypatch.context() as patch:
        for module in (description, session):
            patch.setattr(module, "library_version", lambda name: name and "99.0")
        begun = f"began with numpy {installed}, now it is numpy 99.0, and 2 of its runs"
        with pytest.raises(UsageError, match=begun) as refused:
            fake.run(tmp_path, content)
        for words in (
            "(task0/fake-drifting/1, ...)",
            f"pip install 'numpy=={installed}'",
            "--only",
            "--results",
        ):
            assert words in str(refused.value)
        with Store.open(tmp_path, read_only=True) as store:
            assert [event.kind for event in store.events()] == ["created"]
        fake.run(tmp_path, content, only="*/fake-adaptive")
    fake.run(tmp_path, content)
    assert len(fake.lines_of(tmp_path)) == 2 * 3 * 6
    monkeypatch.setattr(description, "library_version", lambda name: name and "99.0")
    assert fake.run(tmp_path, content)[0].exit_code == 0  # nothing is left to do


def test_a_strategy_that_changed_its_mind_fails_its_runs_and_the_study_goes_on(
    fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_STOP_SECONDS", 0.2)
    for variable, name in ((fake.MARK, "mark"), (fake.DRIFT, "drift")):
        monkeypatch.setenv(variable, str(tmp_path / name))
    content = fake.suite_of("fake-drifting", "fake-adaptive", repetitions=1, behaviour="interrupt-and-hang")
    summary, _ = fake.run(tmp_path / "r", content)
    assert summary.interrupted == signal.SIGTERM
    assert summary.trials == fake.GUILTY
    (tmp_path / "mark").touch()
    (tmp_path / "drift").touch()
    summary, _ = fake.run(tmp_path / "r", content)
    assert {row.run.strategy: row.state for row in summary.runs}["fake-adaptive"] is RunState.COMPLETE
    (row,) = summary.failed
    assert summary.exit_code == 3
    assert "strategy 'fake-drifting' diverged at trial 1 of task0/fake-drifting/0" in row.message
    assert row.message.count("(numpy ") == 2
    (tmp_path / "drift").unlink()
    again, _ = fake.run(tmp_path / "r", content)
    assert again.exit_code == 0
    assert {row.state for row in again.runs} == {RunState.COMPLETE}

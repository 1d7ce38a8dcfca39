"""Tests of the modelled clock in whole studies: calibrated once, stored, charged, checked."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hpbench import session
from hpbench.canonical import TIME_KEYS
from hpbench.clockwork import CHECK, SAMPLE
from hpbench.store import Store
from hpbench.study import Event, RunState


@pytest.fixture(autouse=True)
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file whose existence ends what the fake task does once."""
    path = tmp_path / "mark"
    monkeypatch.setenv("FAKE_STUDY_MARK", str(path))
    return path


def modelled(fake: ModuleType, *strategies: str, **keys: Any) -> dict[str, Any]:
    """Return a suite with the reference trainer under the modelled clock."""
    content: dict[str, Any] = fake.suite_of(*strategies, clock="modelled", **keys)
    return content


def stored(results: Path) -> tuple[dict[str, Any], list[Event]]:
    """Return calibrations and checks of a study."""
    with Store.open(results, read_only=True) as store:
        return store.calibrations(), [event for event in store.events() if event.kind == CHECK]


def test_every_trial_is_charged_what_its_signature_costs(fake: ModuleType, tmp_path: Path) -> None:
    summary, shown = fake.run(tmp_path / "r", modelled(fake, tasks=2))
    assert summary.exit_code == 0
    assert shown.notes == ["calibrating task0: 1 signatures", "calibrating task1: 1 signatures"]
    calibrations, _ = stored(tmp_path / "r")
    assert len(calibrations) == 2
    (key, cost), *_ = calibrations.items()
    name, _, signature = key.partition(" ")
    assert (name, json.loads(signature)["batch_size"], cost["step_seconds"]) == ("task0", 32, 0.001)
    for line in fake.lines_of(tmp_path / "r", times=True):
        assert line["train_seconds"] == 2 * 1 * 0.001  # two epochs of one batch of 32 of 36 examples
        assert line["evaluate_seconds"] == pytest.approx(2 * 0.01 + 0.02, rel=1e-3)


def test_the_clock_changes_no_result(fake: ModuleType, tmp_path: Path) -> None:
    fake.run(tmp_path / "a", fake.suite_of(behaviour="raise"))
    fake.run(tmp_path / "b", modelled(fake, behaviour="raise"), workers=2)
    assert fake.lines_of(tmp_path / "a") == fake.lines_of(tmp_path / "b")
    failed = [line for line in fake.lines_of(tmp_path / "b") if line["status"] == "error"]
    assert len(failed) == 4


def test_a_measured_clock_calibrates_and_checks_nothing(fake: ModuleType, tmp_path: Path) -> None:
    _, shown = fake.run(tmp_path / "r", fake.suite_of())
    assert stored(tmp_path / "r") == ({}, [])
    assert shown.notes == []


def test_a_random_sample_is_trained_again_and_stored_with_what_it_was_charged(
    fake: ModuleType, tmp_path: Path
) -> None:
    fake.run(tmp_path / "r", modelled(fake, tasks=2))
    fake.run(tmp_path / "again", modelled(fake, tasks=2), workers=2)
    _, checks = stored(tmp_path / "r")
    assert [event.payload for event in checks] == [event.payload for event in stored(tmp_path / "again")[1]]
    assert [event.payload["task"] for event in checks] == ["task0"] * 10 + ["task1"] * 10
    places = [
        tuple(event.payload[key] for key in ("task", "strategy", "repetition", "number")) for event in checks
    ]
    assert len(set(places)) == SAMPLE
    for event in checks:
        assert event.payload["measured"] == 0.1 + event.payload["number"] / 1000
        assert event.payload["modelled"] == pytest.approx(0.042, rel=1e-3)


def test_a_small_study_is_checked_whole(fake: ModuleType, tmp_path: Path) -> None:
    fake.run(tmp_path / "r", modelled(fake, "fake-adaptive", repetitions=1, budget={"trials": 3}))
    assert len(stored(tmp_path / "r")[1]) == 3


def test_a_study_that_is_continued_uses_and_keeps_its_figures(fake: ModuleType, tmp_path: Path) -> None:
    content = modelled(fake)
    _, first = fake.run(tmp_path / "r", content, only="*/fake-adaptive/*")
    assert first.notes == ["calibrating task0: 1 signatures"]
    before, checks = stored(tmp_path / "r")
    assert checks == []  # runs of the task are still to come
    _, second = fake.run(tmp_path / "r", content)
    _, third = fake.run(tmp_path / "r", content)
    assert second.notes == third.notes == []
    after, checks = stored(tmp_path / "r")
    assert after == before
    assert len(checks) == 20
    whole = fake.run(tmp_path / "whole", content)
    assert whole[0].exit_code == 0
    assert [event.payload for event in checks] == [event.payload for event in stored(tmp_path / "whole")[1]]
    own = {"ask_seconds", "tell_seconds"}
    for one, other in zip(
        fake.lines_of(tmp_path / "r", times=True), fake.lines_of(tmp_path / "whole", times=True), strict=True
    ):
        assert {key: one[key] for key in one if key not in own} == {
            key: other[key] for key in other if key not in own
        }
    assert own < set(TIME_KEYS)


@pytest.mark.parametrize(("behaviour", "reason"), [
    ("uncalibratable", "cannot be calibrated: RuntimeError: no clock here"),
    ("kill-calibrating", "two processes were killed by signal 9 (SIGKILL) while task 'task0' was calibrated"),
    ("unbuildable", "task 'task0' cannot be built: RuntimeError: no such thing"),
])  # fmt: skip
def test_a_task_that_cannot_be_calibrated_fails_and_the_others_go_on(
    fake: ModuleType, tmp_path: Path, behaviour: str, reason: str
) -> None:
    content = modelled(fake, "fake-adaptive", tasks=2, behaviour=behaviour)
    content["tasks"][1]["space"] = {"behaviour": "plain"}
    summary, shown = fake.run(tmp_path / "r", content)
    assert summary.exit_code == 3
    assert {row.run.task for row in summary.failed} == {"task0"}
    assert all(reason in row.message for row in summary.failed)
    assert {run.task for run, (state, _) in shown.ends.items() if state == "failed"} == {"task0"}
    assert {line["task"] for line in fake.lines_of(tmp_path / "r")} == {"task1"}
    assert len(fake.lines_of(tmp_path / "r")) == 12


def test_a_worker_that_dies_once_while_it_calibrates_costs_nothing(fake: ModuleType, tmp_path: Path) -> None:
    summary, shown = fake.run(tmp_path / "r", modelled(fake, behaviour="kill-calibrating-once"))
    assert summary.exit_code == 0
    assert any("while it calibrated task 'task0'; trying again" in note for note in shown.notes)


@pytest.mark.parametrize(
    ("behaviour", "reason"), [("unmeasurable", "no stopwatch here"), ("kill-measuring", "SIGKILL")]
)
def test_a_check_that_fails_costs_no_trial(
    fake: ModuleType, tmp_path: Path, behaviour: str, reason: str
) -> None:
    summary, shown = fake.run(tmp_path / "r", modelled(fake, behaviour=behaviour))
    assert summary.exit_code == 0
    assert stored(tmp_path / "r")[1] == []
    (note,) = [note for note in shown.notes if "was not checked" in note]
    assert reason in note


@pytest.mark.parametrize("trials", [6, 12], ids=["of all trials", "of a sample"])
def test_a_check_that_was_cut_short_is_completed_by_the_next_session(
    fake: ModuleType, tmp_path: Path, mark: Path, trials: int
) -> None:
    content = modelled(fake, "fake-adaptive", behaviour="kill-measuring-once", budget={"trials": trials})
    fake.run(tmp_path / "r", content)
    first = stored(tmp_path / "r")[1]
    fake.run(tmp_path / "whole", content)
    whole = [event.payload for event in stored(tmp_path / "whole")[1]]
    assert mark.exists()
    assert 0 < len(first) < len(whole) == min(2 * trials, SAMPLE)
    for _ in range(2):
        fake.run(tmp_path / "r", content)
        assert [event.payload for event in stored(tmp_path / "r")[1]] == whole


def test_a_signal_while_calibrating_stops_and_the_study_can_be_continued(
    fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: Path
) -> None:
    monkeypatch.setattr(session, "_STOP_SECONDS", 0.2)
    content = modelled(fake, behaviour="interrupt-calibrating")
    summary, shown = fake.run(tmp_path / "r", content)
    assert summary.exit_code == 128 + signal.SIGINT
    assert shown.records == []
    assert {row.state for row in summary.runs} == {RunState.PENDING}
    assert mark.exists()
    summary, _ = fake.run(tmp_path / "r", content)
    assert summary.exit_code == 0
    assert len(fake.lines_of(tmp_path / "r")) == 24


def test_how_steps_are_taken_is_decided_once_and_kept(
    fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = fake.suite_of("fake-adaptive", trainer="cohort", compile="always")
    monkeypatch.setattr("hpbench.plan.find_compiler", lambda: ["cc"])
    fake.run(tmp_path / "r", content, only="*/*/0")
    with Store.open(tmp_path / "r", read_only=True) as store:
        task = store.info.tasks["task0"]
    assert (task["steps"], task["steps_reason"]) == ("compiled", "compile = 'always'")
    content = fake.suite_of("fake-adaptive", trainer="cohort", compile="auto")
    monkeypatch.setattr("hpbench.compilation.REPAID_STEPS", 1)
    fake.run(tmp_path / "s", content, only="*/*/0")
    monkeypatch.setattr("hpbench.plan.find_compiler", lambda: None)
    specs: list[bool] = []
    monkeypatch.setattr(session.Session, "_spec", spied(session.Session._spec, specs))
    fake.run(tmp_path / "s", content)
    assert set(specs) == {True}
    with Store.open(tmp_path / "s", read_only=True) as store:
        assert store.info.tasks["task0"]["steps"] == "compiled"


def spied(original: Any, seen: list[bool]) -> Any:
    """Return ``_spec`` that notes whether steps are to be compiled."""

    def spec(self: session.Session, task: str) -> Any:
        found = original(self, task)
        seen.append(found.compiled)
        return found

    return spec

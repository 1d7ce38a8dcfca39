"""Tests of what follows a finished run: incumbents trained again, stored, exported, resumed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hpbench.canonical import RETRAINING_KEYS, retraining_from_line
from hpbench.export import export_study
from hpbench.finals import epochs_to_retrain, incumbent_of
from hpbench.store import Store
from hpbench.trial import Evaluation, Record, RunKey, Status

SCRIPT = Path(__file__).parent / "plugins" / "run_fake_study.py"
RUN = RunKey("t", "s", 0)
FINAL = {"final": {"retrain": 3}, "budget": {"trials": 5}}


@pytest.fixture(autouse=True)
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file whose existence ends what the fake task does once."""
    path = tmp_path / "mark"
    monkeypatch.setenv("FAKE_STUDY_MARK", str(path))
    return path


def record(number: int, correct: int | None, *, parent: int | None = None, **keys: Any) -> Record:
    """Return a trial with so many correct examples of ten, or one that diverged."""
    status = Status.DIVERGED if correct is None else Status.OK
    total = None if correct is None else 10
    result = Evaluation(status, val_correct=correct, val_total=total, val_loss=keys.pop("loss", 0.5), **keys)
    return Record(RUN, number, parent, {"rate": 0.1 + number}, result, 0.0, 0.0)


# the incumbent and its epochs


def test_the_incumbent_is_the_best_by_validation_and_the_earliest_of_equals() -> None:
    records = [record(0, None), record(1, 6), record(2, 8, loss=0.4), record(3, 8, loss=0.2)]
    best = incumbent_of(records, "error")
    assert best is records[2]
    assert incumbent_of(records[::-1], "error") is best
    assert incumbent_of(records, "loss") is records[3]
    assert incumbent_of(records[:1], "error") is None
    assert incumbent_of([], "error") is None


def test_test_scores_choose_nothing() -> None:
    records = [record(0, 6, test_correct=9, test_total=9), record(1, 7, test_correct=0, test_total=9)]
    assert incumbent_of(records, "error") is records[1]


def test_it_is_trained_as_long_as_it_was_and_with_early_stopping_until_its_best_epoch() -> None:
    only = record(0, 7, epochs=4, curve=(0.5, 0.3, 0.3, 0.4))
    assert epochs_to_retrain({0: only}, only, None) == 4
    assert epochs_to_retrain({0: only}, only, 2) == 2


def test_the_epochs_of_its_parents_count() -> None:
    records = {
        0: record(0, 5, epochs=2, curve=(0.9, 0.2)),
        1: record(1, 5, parent=0, epochs_from=2, epochs=4, curve=(0.1, 0.4)),
        2: record(2, 5, parent=1, epochs_from=4, epochs=5, curve=(0.3,)),
    }
    assert epochs_to_retrain(records, records[2], None) == 5
    assert epochs_to_retrain(records, records[2], 3) == 3
    later = record(3, 5, parent=1, epochs_from=4, epochs=5, curve=(0.05,))
    assert epochs_to_retrain({**records, 3: later}, later, 3) == 5


# whole studies


@pytest.mark.parametrize("keys", [{}, {"trainer": "cohort", "compile": "always"}], ids=["plain", "cohort"])
def test_the_incumbent_of_every_run_is_trained_again(
    fake: ModuleType, tmp_path: Path, keys: dict[str, Any]
) -> None:
    content = fake.suite_of("fake-adaptive", "fake-short", **FINAL, **keys)
    summary, shown = fake.run(tmp_path / "r", content)
    assert summary.exit_code == 0
    assert "retraining incumbents: 12 trainings" in shown.notes
    lines = fake.retrainings_of(tmp_path / "r")
    assert [(line["strategy"], line["repetition"], line["number"]) for line in lines] == [
        (strategy, repetition, number)
        for strategy in ("fake-adaptive", "fake-short")
        for repetition in range(2)
        for number in range(3)
    ]
    trials = fake.lines_of(tmp_path / "r")
    for line in lines:
        of_run = [t for t in trials if all(t[key] == line[key] for key in ("strategy", "repetition"))]
        best = max(of_run, key=lambda trial: (trial["val_correct"], -trial["number"]))
        assert (line["trial"], line["epochs"], line["status"]) == (best["number"], 2, "ok")
        assert line["test_total"] == 12


def test_retraining_changes_no_trial(fake: ModuleType, tmp_path: Path) -> None:
    plain = fake.suite_of(budget={"trials": 5})
    fake.run(tmp_path / "a", plain)
    fake.run(tmp_path / "b", {**plain, **FINAL}, workers=2)
    assert fake.lines_of(tmp_path / "a") == fake.lines_of(tmp_path / "b")
    assert fake.retrainings_of(tmp_path / "a") == []


def test_a_run_without_a_result_has_no_incumbent_and_a_failed_one_is_not_finished(
    fake: ModuleType, tmp_path: Path
) -> None:
    content = fake.suite_of("fake-adaptive", "fake-raising-ask", **FINAL)
    fake.run(tmp_path / "r", content)
    assert {line["strategy"] for line in fake.retrainings_of(tmp_path / "r")} == {"fake-adaptive"}
    lost = fake.suite_of("fake-adaptive", behaviour="all-nan", **FINAL)
    fake.run(tmp_path / "lost", lost)
    assert fake.retrainings_of(tmp_path / "lost") == []


def test_only_what_was_selected_is_trained_again(fake: ModuleType, tmp_path: Path) -> None:
    content = fake.suite_of(**FINAL)
    fake.run(tmp_path / "r", content, only="*/fake-ahead/1")
    assert {(line["strategy"], line["repetition"]) for line in fake.retrainings_of(tmp_path / "r")} == {
        ("fake-ahead", 1)
    }
    _, shown = fake.run(tmp_path / "r", content)
    assert "retraining incumbents: 9 trainings" in shown.notes
    assert len(fake.retrainings_of(tmp_path / "r")) == 12


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        ("kill-retraining", ("killed", "the process was killed by signal 9 (SIGKILL)")),
        ("hang-retraining", ("timeout", "no result within 0.2 s, the suite's limits.trial_seconds")),
        ("raise-retraining", ("error", "ValueError: cannot do it again")),
        ("nan-retraining", ("diverged", "the test loss is nan")),
    ],
)
@pytest.mark.parametrize("keys", [{}, {"trainer": "cohort", "compile": "always"}], ids=["plain", "cohort"])
def test_a_retraining_that_goes_wrong_costs_itself_only(
    fake: ModuleType, tmp_path: Path, behaviour: str, told: tuple[str, str], keys: dict[str, Any]
) -> None:
    status, message = told
    limits = {"limits": {"trial_seconds": 0.2}} if "hang" in behaviour else {}
    content = fake.suite_of("fake-adaptive", behaviour=behaviour, **limits, **FINAL, **keys)
    summary, shown = fake.run(tmp_path / "r", content)
    assert summary.exit_code == 0
    lines = fake.retrainings_of(tmp_path / "r")
    assert [line["status"] for line in lines] == ["ok", status, "ok"] * 2
    for line in lines:
        if line["status"] != "ok":
            assert line["message"].startswith(message)
            assert (line["test_correct"], line["test_total"], line["test_loss"]) == (None,) * 3
    assert f"retraining 1 of task0/fake-adaptive/0: {status}" in shown.notes
    _, again = fake.run(tmp_path / "r", content)
    assert not any("retraining incumbents" in note for note in again.notes)
    assert fake.retrainings_of(tmp_path / "r") == lines


def test_a_worker_that_dies_once_leaves_no_trace(fake: ModuleType, tmp_path: Path) -> None:
    content = fake.suite_of("fake-adaptive", behaviour="kill-retraining-once", **FINAL)
    _, shown = fake.run(tmp_path / "r", content)
    assert [line["status"] for line in fake.retrainings_of(tmp_path / "r")] == ["ok"] * 6
    assert any("trying again, one at a time" in note for note in shown.notes)


@pytest.mark.parametrize("fault", ["after:store.retrained:1", "after:store.retrained:4"])
def test_killed_in_the_midst_of_retraining_it_comes_to_the_same_end(
    fake: ModuleType, tmp_path: Path, fault: str
) -> None:
    content = fake.suite_of(**FINAL)
    fake.run(tmp_path / "whole", content)
    command = [sys.executable, str(SCRIPT), str(tmp_path / "r"), "2", json.dumps(content)]
    environment = {**os.environ, "HPBENCH_FAULT": fault}
    done = subprocess.run(command, env=environment, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    before = fake.retrainings_of(tmp_path / "r")
    assert len(before) < 12
    fake.run(tmp_path / "r", content)
    after = fake.retrainings_of(tmp_path / "r")
    assert after == fake.retrainings_of(tmp_path / "whole")
    assert [line for line in before if line not in after] == []
    assert fake.lines_of(tmp_path / "r") == fake.lines_of(tmp_path / "whole")
    _, shown = fake.run(tmp_path / "r", content)
    assert not any("retraining" in note for note in shown.notes)


def test_the_export_holds_them_and_says_how_many(fake: ModuleType, tmp_path: Path) -> None:
    content = fake.suite_of("fake-adaptive", **FINAL)
    fake.run(tmp_path / "r", content)
    written = export_study(tmp_path / "r", tmp_path / "out")
    assert tmp_path / "out" / "retrainings.jsonl" in written
    lines = [json.loads(line) for line in (tmp_path / "out" / "retrainings.jsonl").read_text().splitlines()]
    assert lines == fake.retrainings_of(tmp_path / "r")
    assert all(list(line) == list(RETRAINING_KEYS) for line in lines)
    with Store.open(tmp_path / "r", read_only=True) as store:
        assert [retraining_from_line(line) for line in lines] == list(store.retrainings())
    with (tmp_path / "out" / "retrainings.csv").open(newline="") as file:
        assert [row["number"] for row in csv.DictReader(file)] == ["0", "1", "2"] * 2
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["retrainings"], len(manifest["retrainings_sha256"])) == (6, 64)
    fake.run(tmp_path / "plain", fake.suite_of("fake-adaptive"))
    export_study(tmp_path / "plain", tmp_path / "plain-out")
    assert not (tmp_path / "plain-out" / "retrainings.jsonl").exists()
    assert "retrainings" not in json.loads((tmp_path / "plain-out" / "manifest.json").read_text())


def test_another_number_of_retrainings_is_another_study(fake: ModuleType, tmp_path: Path) -> None:
    fake.run(tmp_path / "r", fake.suite_of("fake-adaptive", **FINAL))
    other = fake.suite_of("fake-adaptive", **{**FINAL, "final": {"retrain": 4}})
    with pytest.raises(Exception, match=r"final\.retrain: 3, 4"):
        fake.run(tmp_path / "r", other)


def test_a_line_is_the_retraining(fake: ModuleType, tmp_path: Path) -> None:
    fake.run(tmp_path / "r", fake.suite_of("fake-adaptive", **FINAL))
    with Store.open(tmp_path / "r", read_only=True) as store:
        (first, *_) = store.retrainings(RunKey("task0", "fake-adaptive", 1))
    assert first == replace(first, number=0, run=RunKey("task0", "fake-adaptive", 1))

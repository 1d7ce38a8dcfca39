"""Tests of the public form of a study."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet
import pytest

from hpbench import export
from hpbench.canonical import KEYS, from_line
from hpbench.errors import StoreError, UsageError
from hpbench.export import FORMAT, FORMAT_VERSION, export_study, manifest_of, trial_line
from hpbench.store import Store
from hpbench.study import RunRow, RunState, StudyInfo
from hpbench.trial import Evaluation, Record, Retraining, RunKey, Status

HOSTILE = "=cmd|'/c calc'!A1,\"quoted\"\n<script>\x1b[31m\u202e\\textbf{x}"
INFO = StudyInfo(suite={"name": "x"}, suite_text="", suite_digest="d", device="cpu")
RUN = RunKey("t", "s", 0)
RECORD = Record(
    run=RUN,
    number=0,
    parent=None,
    config={"lr": 0.1, "depth": 2, "kind": "a", "flag": True},
    evaluation=Evaluation(
        Status.OK, 1, 3, 5, 9, 0.1 + 0.2, 4, 8, 1e-300, (0.5, 1 / 3), train_seconds=1.5, evaluate_seconds=0.25
    ),
    ask_seconds=0.125,
    tell_seconds=0.0625,
)


def study(path: Path, *records: Record) -> Path:
    """Write a store with these records and return its directory."""
    with Store.create(path, INFO) as store:
        store.add(records)
    return path


def test_the_canonical_line_is_this_text() -> None:
    assert trial_line(RECORD) == (
        '{"task":"t","strategy":"s","repetition":0,"number":0,"parent":null,'
        '"config":{"depth":2,"flag":true,"kind":"a","lr":0.1},"epochs_from":1,"epochs":3,"status":"ok",'
        '"val_correct":5,"val_total":9,"val_loss":0.30000000000000004,"test_correct":4,"test_total":8,'
        '"test_loss":1e-300,"curve":[0.5,0.3333333333333333],"ask_seconds":0.125,"train_seconds":1.5,'
        '"evaluate_seconds":0.25,"tell_seconds":0.0625,"message":""}'
    )


def test_every_file_is_written_and_named(tmp_path: Path) -> None:
    written = export_study(study(tmp_path / "r", RECORD), tmp_path / "out")
    names = ["trials.jsonl", "trials.csv", "curves.csv", "trials.parquet", "manifest.json"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)


def test_lines_are_sorted_whatever_the_order_of_writing(tmp_path: Path) -> None:
    runs = [
        RunKey(task, strategy, repetition) for task in "ba" for strategy in "dc" for repetition in (10, 9)
    ]
    records = [replace(RECORD, run=run, number=number) for run in runs for number in (10, 9)]
    export_study(study(tmp_path / "r", *records), tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "trials.jsonl").read_text().splitlines()]
    keys = [(line["task"], line["strategy"], line["repetition"], line["number"]) for line in lines]
    assert keys == sorted(keys)
    assert len(keys) == 16


def test_the_lines_read_back_to_the_records(tmp_path: Path) -> None:
    records = [replace(RECORD, number=number) for number in range(3)]
    export_study(study(tmp_path / "r", *records), tmp_path / "out")
    lines = (tmp_path / "out" / "trials.jsonl").read_text(encoding="ascii").splitlines()
    assert [from_line(json.loads(line)) for line in lines] == records
    assert all(tuple(json.loads(line)) == KEYS for line in lines)


def test_exporting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    study(tmp_path / "r", *[replace(RECORD, number=number) for number in range(5)])
    for name in "ab":
        export_study(tmp_path / "r", tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_the_csv_holds_the_same_values(tmp_path: Path) -> None:
    export_study(study(tmp_path / "r", RECORD), tmp_path / "out")
    with (tmp_path / "out" / "trials.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == KEYS
    assert json.loads(row["config"]) == RECORD.config
    assert (row["val_loss"], row["parent"], row["curve"]) == (
        "0.30000000000000004",
        "",
        "[0.5,0.3333333333333333]",
    )


def test_curves_count_epochs_from_those_that_were_inherited(tmp_path: Path) -> None:
    export_study(study(tmp_path / "r", RECORD), tmp_path / "out")
    text = (tmp_path / "out" / "curves.csv").read_text(encoding="utf-8")
    assert (
        text
        == "task,strategy,repetition,number,epoch,val_error\nt,s,0,0,2,0.5\nt,s,0,0,3,0.3333333333333333\n"
    )


def test_parquet_holds_the_same_values_with_types(tmp_path: Path) -> None:
    missing = replace(RECORD, number=1, evaluation=Evaluation(Status.ERROR, message="no"))
    export_study(study(tmp_path / "r", RECORD, missing), tmp_path / "out")
    table = pyarrow.parquet.read_table(tmp_path / "out" / "trials.parquet")
    assert tuple(table.column_names) == KEYS
    rows = table.to_pylist()
    assert rows[0]["val_loss"] == 0.1 + 0.2
    assert rows[0]["curve"] == [0.5, 1 / 3]
    assert rows[1]["val_correct"] is None
    assert str(table.schema.field("val_correct").type) == "int64"


def test_a_study_without_a_trial_is_exported_too(tmp_path: Path) -> None:
    export_study(study(tmp_path / "r"), tmp_path / "out")
    assert (tmp_path / "out" / "trials.jsonl").read_bytes() == b""
    assert pyarrow.parquet.read_table(tmp_path / "out" / "trials.parquet").num_rows == 0


def test_without_pyarrow_the_other_files_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "parquet_available", lambda: False)
    written = export_study(study(tmp_path / "r", RECORD), tmp_path / "out")
    assert "trials.parquet" not in [path.name for path in written]
    assert len(written) == 4


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_cell_that_a_spreadsheet_would_run_is_quoted(tmp_path: Path, start: str) -> None:
    bad = replace(RECORD, evaluation=replace(RECORD.evaluation, message=start))
    export_study(study(tmp_path / "r", bad), tmp_path / "out")
    with (tmp_path / "out" / "trials.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["message"] == f"'{start}"


def test_negative_numbers_are_no_formulas(tmp_path: Path) -> None:
    bad = replace(RECORD, evaluation=replace(RECORD.evaluation, val_loss=-1.5))
    export_study(study(tmp_path / "r", bad), tmp_path / "out")
    assert ",-1.5," in (tmp_path / "out" / "trials.csv").read_text(encoding="utf-8")


def test_hostile_text_goes_through_every_file_unharmed(tmp_path: Path) -> None:
    record = replace(
        RECORD,
        run=RunKey(HOSTILE, HOSTILE, 0),
        config={HOSTILE: HOSTILE},
        evaluation=replace(RECORD.evaluation, message=HOSTILE),
    )
    export_study(study(tmp_path / "r", record), tmp_path / "out")
    line = json.loads((tmp_path / "out" / "trials.jsonl").read_text(encoding="ascii"))
    assert from_line(line) == record
    with (tmp_path / "out" / "trials.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["task"] == row["message"] == f"'{HOSTILE}"
    assert (
        pyarrow.parquet.read_table(tmp_path / "out" / "trials.parquet").to_pylist()[0]["message"] == HOSTILE
    )


def test_the_manifest_versions_the_format_and_seals_the_lines(tmp_path: Path) -> None:
    export_study(study(tmp_path / "r", RECORD), tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="ascii"))
    assert (
        (manifest["format"], manifest["format_version"]) == (FORMAT, FORMAT_VERSION) == ("hpbench-trials", 1)
    )
    assert manifest["keys"] == list(KEYS)
    digest = hashlib.sha256((tmp_path / "out" / "trials.jsonl").read_bytes()).hexdigest()
    assert manifest["trials_sha256"] == digest
    assert (manifest["trials"], manifest["partial"]) == (1, True)


def test_the_manifest_of_a_growing_study_counts_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(1, 99))
    info = replace(INFO, suite={"name": "x", "final": {"retrain": 99}})
    with Store.create(tmp_path / "r", info) as store:
        store.add([RECORD])

        def growing(call: Callable[..., Any]) -> Callable[..., Any]:
            """Return ``call`` after which the study has another trial and retraining, and is complete."""

            def grow(*given: Any) -> Any:
                found, number = call(*given), next(numbers)
                store.add([replace(RECORD, number=number)])
                store.add_retrainings([Retraining(RUN, number, 0, 3, Status.OK, 4, 8, 0.5)])
                store.set_run_state(RUN, RunState.COMPLETE)
                return found

            return grow

        monkeypatch.setattr(export, "manifest_of", growing(export.manifest_of))
        monkeypatch.setattr(export, "atomic_write", growing(export.atomic_write))
        export_study(tmp_path / "r", tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="ascii"))
    for kind in ("trials", "retrainings"):
        content = (tmp_path / "out" / f"{kind}.jsonl").read_bytes()
        assert manifest[kind] == content.count(b"\n") > 0
        assert manifest[f"{kind}_sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest["partial"]


def test_the_manifest_says_how_far_the_study_is(tmp_path: Path) -> None:
    with Store.create(tmp_path / "r", INFO) as store:
        store.add_runs(
            [RunRow(RUN, RunState.PENDING), RunRow(replace(RUN, repetition=1), RunState.SKIPPED, "why")]
        )
        assert manifest_of(store)["partial"]
        store.set_run_state(RUN, RunState.FAILED, "it broke")
        found = manifest_of(store)
    assert not found["partial"]
    assert (found["runs"]["failed"], found["runs"]["skipped"]) == (1, 1)
    assert found["failed_runs"] == [{"run": "t/s/0", "message": "it broke"}]


def test_the_manifest_of_a_real_run_names_no_machine_and_no_person(fake: ModuleType, tmp_path: Path) -> None:
    fake.run(tmp_path / "r", fake.suite_of(repetitions=1))
    export_study(tmp_path / "r", tmp_path / "out")
    text = (tmp_path / "out" / "manifest.json").read_text(encoding="ascii")
    assert os.uname().nodename not in text
    assert str(Path.home()) not in text
    assert str(tmp_path) not in text
    manifest = json.loads(text)
    assert set(manifest["environment"]) == {
        "hpbench", "python", "implementation", "system", "release", "machine",
        "cpu", "cpus", "compiler", "threads", "workers", "libraries", "blas", "checkout", "packages",
    }  # fmt: skip
    assert not manifest["partial"]
    assert json.loads((tmp_path / "r" / "manifest.json").read_text())["runs"] == manifest["runs"]


def test_where_there_is_no_study_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no study"):
        export_study(tmp_path / "r", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(StoreError, match=r"file.* cannot be written"):
        export_study(study(tmp_path / "r", RECORD), tmp_path / "file" / "out")


def test_a_locale_that_is_not_utf8_changes_nothing(tmp_path: Path) -> None:
    study(tmp_path / "r", replace(RECORD, config={"ä": "ö"}))
    code = "import sys; from pathlib import Path; from hpbench.export import export_study\n"
    code += "export_study(Path(sys.argv[1]), Path(sys.argv[2]))"
    for name, locale in (("a", "C"), ("b", "C.UTF-8")):
        environment = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        command = [sys.executable, "-c", code, tmp_path / "r", tmp_path / name]
        subprocess.run(command, env=environment, check=True)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name

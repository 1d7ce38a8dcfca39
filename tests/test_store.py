"""Tests of the store: what is written is there, and damage is seen and never made worse."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpbench.errors import ExitCode, StoreError, UsageError
from hpbench.store import STORE_NAME, Store, store_path
from hpbench.store.schema import APPLICATION_ID, SCHEMA_VERSION, checksum
from hpbench.study import RunRow, RunState, StudyInfo
from hpbench.trial import Evaluation, Record, Retraining, RunKey, Status

INFO = StudyInfo(
    suite={"name": "x", "ä": [1, 2.5]}, suite_text="name = 'x'\n", suite_digest="d", device="cpu"
)
RUN = RunKey("digits-mlp", "random", 0)


def make_record(number: int = 0, run: RunKey = RUN, **changes: object) -> Record:
    """Return a record that differs from others of its run in its number."""
    evaluation = Evaluation(
        Status.OK,
        epochs=3,
        val_correct=50 + number,
        val_total=99,
        val_loss=0.1 + number / 7,
        test_correct=40,
        test_total=90,
        test_loss=0.25,
        curve=(0.5, 0.25, 1 / 3),
        train_seconds=0.5,
        evaluate_seconds=0.125,
    )
    record = Record(run, number, None, {"lr": 0.1 / (number + 1), "kind": "a"}, evaluation, 0.01, 0.02)
    return replace(record, **changes)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store, open for writing."""
    with Store.create(tmp_path, INFO) as made:
        yield made


def raw(path: Path) -> sqlite3.Connection:
    """Return a plain connection, as another program would open one."""
    return sqlite3.connect(store_path(path), isolation_level=None)


def test_a_new_store_holds_its_description_and_nothing_else(store: Store) -> None:
    assert store.info == INFO
    assert list(store.records()) == store.runs() == store.events() == []
    assert store.calibrations() == store.counts() == {}


def test_a_results_directory_and_the_file_in_it_mean_the_same(tmp_path: Path) -> None:
    assert store_path(tmp_path) == tmp_path / STORE_NAME == store_path(tmp_path / STORE_NAME)
    folder = tmp_path / "mine.sqlite"
    assert store_path(folder) == folder
    folder.mkdir()
    assert store_path(folder) == folder / STORE_NAME


def test_what_is_added_is_read_again_by_another_connection(store: Store, tmp_path: Path) -> None:
    records = [make_record(number) for number in range(5)]
    store.add(records)
    with Store.open(tmp_path, read_only=True) as reader:
        assert list(reader.records()) == records


def test_records_come_sorted_by_task_strategy_repetition_and_number(store: Store) -> None:
    runs = [
        RunKey(task, strategy, repetition) for task in "ba" for strategy in "dc" for repetition in (10, 2)
    ]
    records = [make_record(number, run) for run in runs for number in (11, 3, 0)]
    for record in records:
        store.add([record])
    assert list(store.records()) == sorted(records, key=lambda item: (item.run, item.number))


def test_records_of_one_run_are_read_alone(store: Store) -> None:
    other = replace(RUN, repetition=1)
    store.add([make_record(0), make_record(0, other), make_record(1)])
    assert [item.number for item in store.records(RUN)] == [0, 1]
    assert list(store.records(RunKey("no", "such", 0))) == []


def test_numbers_that_are_not_finite_are_stored_as_missing(store: Store) -> None:
    bad = replace(make_record().evaluation, val_loss=math.nan, test_loss=math.inf, curve=(0.5, math.nan))
    store.add([make_record(evaluation=bad)])
    (found,) = store.records()
    assert found.evaluation.val_loss is found.evaluation.test_loss is None
    assert math.isnan(found.evaluation.curve[1])


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=8),
        st.floats(allow_nan=False, allow_infinity=False)
        | st.integers(-(2**70), 2**70)
        | st.booleans()
        | st.text(st.characters(codec="utf-8"), max_size=8),
        max_size=4,
    ),
    st.lists(st.floats(0, 1), max_size=4),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
def test_any_configuration_curve_and_message_survive(
    tmp_path_factory: pytest.TempPathFactory, config: dict, curve: list[float], message: str
) -> None:
    record = make_record(config=config)
    record = replace(record, evaluation=replace(record.evaluation, curve=tuple(curve), message=message))
    with Store.create(tmp_path_factory.mktemp("s"), INFO) as store:
        store.add([record])
        assert list(store.records()) == [record]


def test_what_utf8_cannot_say_in_a_message_is_escaped(store: Store, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    failed = Evaluation(Status.ERROR, message=f"OSError: {name}")
    other = replace(RUN, repetition=1)
    store.add([make_record(evaluation=failed)])
    store.add_retrainings([replace(FAILED, trial=0, message=name)])
    store.set_run_state(RUN, RunState.FAILED, f"cannot read {name}")
    store.add_runs([RunRow(other, RunState.SKIPPED, name)])
    with Store.open(tmp_path, read_only=True) as reader:
        assert [item.evaluation.message for item in reader.records()] == [r"OSError: caf\udce9.txt"]
        assert [item.message for item in reader.retrainings()] == [r"caf\udce9.txt"]
        assert [row.message for row in reader.runs()] == [r"cannot read caf\udce9.txt", r"caf\udce9.txt"]


def test_a_trial_is_never_written_twice(store: Store) -> None:
    store.add([make_record(0)])
    with pytest.raises(StoreError, match="never written twice"):
        store.add([make_record(1), make_record(0)])
    assert [item.number for item in store.records()] == [0]


@pytest.mark.parametrize(
    "statement", ["UPDATE trial SET epochs = 1", "DELETE FROM trial", "UPDATE study SET id = 1"]
)
def test_finished_trials_and_the_description_cannot_be_changed(
    store: Store, tmp_path: Path, statement: str
) -> None:
    store.add([make_record()])
    connection = raw(tmp_path)
    with pytest.raises(sqlite3.IntegrityError, match="never"):
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "change",
    [
        "val_correct = val_correct + 1",
        "val_loss = 0.0",
        "config = replace(config, 'a', 'b')",
        "message = 'x'",
        "curve = '[]'",
        "status = 'diverged'",
        "number = 7",
        "ask_seconds = 9.0",
    ],
)
def test_a_row_that_was_changed_behind_our_back_is_noticed(store: Store, tmp_path: Path, change: str) -> None:
    store.add([make_record()])
    connection = raw(tmp_path)
    connection.execute("DROP TRIGGER trial_never_changes")
    connection.execute(f"UPDATE trial SET {change}")  # noqa: S608 - from the list above
    connection.close()
    with pytest.raises(StoreError, match="does not match its checksum"):
        list(store.records())


def test_a_row_that_was_moved_to_another_run_is_noticed(store: Store, tmp_path: Path) -> None:
    store.add([make_record(), make_record(0, replace(RUN, repetition=1))])
    connection = raw(tmp_path)
    connection.execute("UPDATE run SET repetition = repetition + 5")
    connection.close()
    with pytest.raises(StoreError, match="checksum"):
        list(store.records())


def test_a_description_that_was_changed_is_noticed(tmp_path: Path) -> None:
    Store.create(tmp_path, INFO).close()
    connection = raw(tmp_path)
    connection.execute("DROP TRIGGER study_never_changes")
    connection.execute("UPDATE study SET payload = replace(payload, 'cpu', 'gpu')")
    connection.close()
    with pytest.raises(StoreError, match="description does not match"):
        Store.open(tmp_path)


def test_runs_keep_the_state_that_was_set(store: Store) -> None:
    other = replace(RUN, repetition=1)
    store.add_runs([RunRow(RUN, RunState.PENDING), RunRow(other, RunState.SKIPPED, "it cannot")])
    store.set_run_state(RUN, RunState.FAILED, "why")
    store.add_runs([RunRow(RUN, RunState.PENDING)])
    assert store.runs() == [RunRow(RUN, RunState.FAILED, "why"), RunRow(other, RunState.SKIPPED, "it cannot")]


def test_a_run_that_nobody_registered_is_running_once_it_has_a_trial(store: Store) -> None:
    store.add([make_record()])
    assert store.runs() == [RunRow(RUN, RunState.RUNNING)]
    assert store.counts() == {RUN: 1}


def test_events_keep_their_order(store: Store) -> None:
    store.add_event("created", {"a": 1})
    store.add_event("resumed", {"b": [2]})
    assert [(event.kind, event.payload) for event in store.events()] == [
        ("created", {"a": 1}),
        ("resumed", {"b": [2]}),
    ]
    assert all(event.at.endswith("+00:00") for event in store.events())


def test_a_calibration_is_kept_and_never_replaced(store: Store) -> None:
    store.put_calibration("mlp", {"step": 0.1})
    store.put_calibration("mlp", {"step": 0.1})
    with pytest.raises(StoreError, match="exists already"):
        store.put_calibration("mlp", {"step": 0.2})
    assert store.calibrations() == {"mlp": {"step": 0.1}}


def test_calibrations_are_found_by_how_their_keys_begin(store: Store) -> None:
    for key in ["m_p a", "mlp a", "mlp b", "mlp-2 a"]:
        store.put_calibration(key, {"step": 0.1})
    assert list(store.calibrations("mlp ")) == ["mlp a", "mlp b"]
    assert list(store.calibrations("m_p ")) == ["m_p a"]
    assert not store.calibrations("%")


def test_a_transaction_is_written_whole_or_not_at_all(store: Store) -> None:
    def write_and_fail() -> None:
        with store.transaction():
            store.add([make_record()])
            store.set_run_state(RUN, RunState.COMPLETE)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert store.runs() == list(store.records()) == []
    store.add([make_record()])
    assert store.counts() == {RUN: 1}


def test_a_store_is_not_created_over_another(store: Store, tmp_path: Path) -> None:
    del store
    with pytest.raises(StoreError, match="exists already"):
        Store.create(tmp_path, INFO)


def test_a_leftover_of_a_killed_creation_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f"{STORE_NAME}.new").write_bytes(b"half")
    with Store.create(tmp_path, INFO) as store:
        assert store.info == INFO
    assert sorted(path.name for path in tmp_path.iterdir()) == [STORE_NAME]


def test_settings_are_those_that_survive_a_power_cut(store: Store) -> None:
    ask = store._connection.execute
    assert ask("PRAGMA journal_mode").fetchone() == ("delete",)
    assert ask("PRAGMA synchronous").fetchone() == (2,)
    assert ask("PRAGMA busy_timeout").fetchone() == (30000,)
    assert ask("PRAGMA foreign_keys").fetchone() == (1,)
    assert ask("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert ask("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


# -- readers ---------------------------------------------------------------------------------------


def test_a_reader_cannot_write(store: Store, tmp_path: Path) -> None:
    store.add([make_record()])
    with Store.open(tmp_path, read_only=True) as reader, pytest.raises(StoreError, match="cannot be written"):
        reader.add([make_record(1)])


def test_a_reader_in_the_midst_of_its_work_does_not_block_the_writer(store: Store, tmp_path: Path) -> None:
    store.add([make_record(number) for number in range(10)])
    with Store.open(tmp_path, read_only=True) as reader:
        rows = reader.records()
        next(rows)
        store._connection.execute("PRAGMA busy_timeout = 0")
        store.add([make_record(10)])
        assert len(list(rows)) == 9
        assert len(list(reader.records())) == 11


def test_readers_and_a_writer_at_the_same_time_lose_nothing(store: Store, tmp_path: Path) -> None:
    store.add([make_record(0)])
    finished, lengths = threading.Event(), []

    def read() -> None:
        with Store.open(tmp_path, read_only=True) as reader:
            while not finished.is_set():
                lengths.append(len(list(reader.records())))

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(1, 60):
        store.add([make_record(number)])
    finished.set()
    thread.join()
    assert lengths == sorted(lengths)
    assert len(list(store.records())) == 60


HALF_WRITTEN = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.executemany("INSERT INTO event (at, kind, payload) VALUES ('', ?, '{}')", [("x" * 3000,)] * 400)
os.kill(os.getpid(), 9)
"""


def leave_a_journal(path: Path) -> None:
    """Make a store of one trial whose writer was killed inside its next transaction."""
    with Store.create(path, INFO) as store:
        store.add([make_record()])
        store.add_event("created", {})
    died = subprocess.run([sys.executable, "-c", HALF_WRITTEN, store_path(path)], check=False)
    assert died.returncode == -9
    assert store_path(path).with_name(f"{STORE_NAME}-journal").stat().st_size > 0


@pytest.mark.parametrize("read_only", [True, False])
def test_the_journal_of_a_killed_writer_is_rolled_back_by_whoever_comes(
    tmp_path: Path, *, read_only: bool
) -> None:
    leave_a_journal(tmp_path)
    with Store.open(tmp_path, read_only=read_only) as store:
        assert list(store.records()) == [make_record()]
        assert [event.kind for event in store.events()] == ["created"]


def test_the_journal_of_a_deleted_store_is_not_rolled_back_into_a_new_one(tmp_path: Path) -> None:
    leave_a_journal(tmp_path)
    store_path(tmp_path).unlink()
    other = replace(INFO, suite_digest="another")
    with Store.create(tmp_path, other) as store:
        assert store.info == other
        assert list(store.records()) == store.runs() == store.events() == []
    assert [path.name for path in tmp_path.iterdir()] == [STORE_NAME]


# -- damage ----------------------------------------------------------------------------------------


def test_where_there_is_no_study_the_user_is_told_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no study at .*hpbench run"):
        Store.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def spoil(path: Path, how: str) -> None:
    """Damage a store in one of many ways."""
    data = path.read_bytes()
    match how:
        case "zero length":
            path.write_bytes(b"")
        case "no database":
            path.write_bytes(b"#!/bin/sh\necho this is a script\n" * 50)
        case "cut in half":
            path.write_bytes(data[: len(data) // 2])
        case "one page":
            path.write_bytes(data[:4096])
        case "in the header":
            path.write_bytes(data[:60])
        case "odd length":
            path.write_bytes(data[:-1000])
        case "overwritten":
            path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
        case "schema overwritten":
            path.write_bytes(data[:200] + b"\x55" * 3000 + data[3200:])


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(
    "how",
    [
        "zero length",
        "no database",
        "cut in half",
        "one page",
        "in the header",
        "odd length",
        "overwritten",
        "schema overwritten",
    ],
)
def test_a_damaged_store_is_refused_and_left_as_it_is(tmp_path: Path, how: str, *, read_only: bool) -> None:
    with Store.create(tmp_path, INFO) as store:
        store.add([make_record(number) for number in range(200)])
    path = store_path(tmp_path)
    spoil(path, how)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=str(path)) as caught:
        Store.open(path, read_only=read_only)
    assert caught.value.exit_code is ExitCode.STORE
    assert path.read_bytes() == before


def test_a_store_of_a_newer_version_is_refused_with_what_to_do(store: Store, tmp_path: Path) -> None:
    store._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(
        StoreError, match=rf"newer hpbench \(store version {SCHEMA_VERSION + 1}.*pip install --upgrade"
    ):
        Store.open(tmp_path)


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("version", [-1, 0])
def test_a_store_of_no_version_is_damaged_and_not_copied(
    store: Store, tmp_path: Path, version: int, *, read_only: bool
) -> None:
    store._connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(StoreError, match=rf"is damaged \(it says store version {version}\)"):
        Store.open(tmp_path, read_only=read_only)
    assert [path.name for path in tmp_path.iterdir()] == [STORE_NAME]


RETRAINED = Retraining(RUN, 0, 1, 3, Status.OK, 40, 90, 0.25)
FAILED = Retraining(RUN, 1, 1, 3, Status.DIVERGED, message="the loss was not finite")


def test_retrainings_are_read_again_sorted_and_by_run(store: Store, tmp_path: Path) -> None:
    other = replace(RETRAINED, run=replace(RUN, repetition=1), trial=0, test_loss=float("inf"))
    store.add([make_record(0), make_record(1), make_record(0, other.run)])
    store.add_retrainings([other, FAILED, RETRAINED])
    with Store.open(tmp_path, read_only=True) as reader:
        assert list(reader.retrainings()) == [RETRAINED, FAILED, replace(other, test_loss=None)]
        assert list(reader.retrainings(RUN)) == [RETRAINED, FAILED]


def test_a_retraining_is_never_written_twice_or_without_its_trial(store: Store) -> None:
    with pytest.raises(StoreError, match="was tried"):
        store.add_retrainings([RETRAINED])
    store.add([make_record(0), make_record(1)])
    store.add_retrainings([RETRAINED])
    with pytest.raises(StoreError, match="never written twice"):
        store.add_retrainings([FAILED, RETRAINED])
    assert list(store.retrainings()) == [RETRAINED]


def test_a_retraining_cannot_be_changed_and_a_change_behind_our_back_is_noticed(
    store: Store, tmp_path: Path
) -> None:
    store.add([make_record(0), make_record(1)])
    store.add_retrainings([RETRAINED])
    connection = raw(tmp_path)
    for statement in ("UPDATE retraining SET test_correct = 90", "DELETE FROM retraining"):
        with pytest.raises(sqlite3.IntegrityError, match="a finished retraining is never"):
            connection.execute(statement)
    connection.execute("DROP TRIGGER retraining_never_changes")
    connection.execute("UPDATE retraining SET test_correct = 90")
    connection.close()
    with pytest.raises(StoreError, match=r"retraining 0 of digits-mlp/random/0 does not match its checksum"):
        list(store.retrainings())


OLD = Path(__file__).parent / "assets" / "stores" / "version-1.sqlite"


def version_of(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_a_store_of_version_1_is_read_as_it_is(tmp_path: Path) -> None:
    path = Path(shutil.copy(OLD, tmp_path / STORE_NAME))
    before = path.read_bytes()
    with Store.open(path, read_only=True) as store:
        assert len(list(store.records())) == 6
        assert list(store.retrainings()) == []
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == [STORE_NAME]


def test_a_store_of_version_1_is_upgraded_and_a_copy_is_kept(tmp_path: Path) -> None:
    path = Path(shutil.copy(OLD, tmp_path / STORE_NAME))
    with Store.open(OLD, read_only=True) as store:
        expected = [list(store.records()), store.runs(), store.calibrations(), store.info]
    for _ in range(2):
        with Store.open(path) as store:
            assert [list(store.records()), store.runs(), store.calibrations(), store.info] == expected
    assert version_of(path) == SCHEMA_VERSION == 2
    copy = tmp_path / "study.v1.sqlite"
    assert version_of(copy) == 1
    with Store.open(copy, read_only=True) as store:
        assert list(store.records()) == expected[0]
    with Store.open(path) as store:
        store.add_retrainings([RETRAINED])
        assert list(store.retrainings()) == [RETRAINED]
    with Store.create(tmp_path / "new", INFO) as new, Store.open(path) as upgraded:
        shapes = [
            sorted(
                row[0] for row in item._connection.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL")
            )
            for item in (new, upgraded)
        ]
    assert shapes[0] == shapes[1]


def test_an_upgrade_that_was_killed_on_the_way_is_done_again(tmp_path: Path) -> None:
    path = Path(shutil.copy(OLD, tmp_path / STORE_NAME))
    (tmp_path / "study.v1.sqlite.new").write_bytes(b"half a copy")
    with Store.open(path) as store:
        assert len(list(store.records())) == 6
    assert sorted(item.name for item in tmp_path.iterdir()) == [STORE_NAME, "study.v1.sqlite"]


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    connection = raw(tmp_path)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with pytest.raises(StoreError, match="database of another program"):
        Store.open(tmp_path)


def test_a_full_disk_loses_nothing_that_was_reported_and_writing_goes_on_after(store: Store) -> None:
    store.add([make_record(number) for number in range(20)])
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match=r"disk is full.*free some space and run the same command again"):
        store.add([make_record(number) for number in range(20, 500)])
    assert len(list(store.records())) == 20
    assert store._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store._connection.execute("PRAGMA max_page_count = 100000")
    store.add([make_record(number) for number in range(20, 500)])
    assert len(list(store.records())) == 500


def test_a_file_that_others_keep_locked_is_said_to_be_locked(store: Store, tmp_path: Path) -> None:
    other = raw(tmp_path)
    other.execute("BEGIN EXCLUSIVE")
    store._connection.execute("PRAGMA busy_timeout = 0")
    with pytest.raises(StoreError, match="held it locked"):
        store.add([make_record()])
    other.execute("ROLLBACK")
    other.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="permission"):
        Store.create(tmp_path / "below", INFO)


def test_a_file_where_the_directory_should_be_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(StoreError, match="file"):
        Store.create(tmp_path / "file" / "results", INFO)


@pytest.mark.parametrize("name", ["with space", "ümläut", "per%20cent", "quest?ion#hash", "semi;colon&co"])
def test_odd_directory_names_work(tmp_path: Path, name: str) -> None:
    with Store.create(tmp_path / name, INFO) as store:
        store.add([make_record()])
    with Store.open(tmp_path / name, read_only=True) as store:
        assert list(store.records()) == [make_record()]


def test_checksums_tell_types_apart() -> None:
    assert len({checksum([value]) for value in (1, 1.0, True, "1", None)}) == 5


def test_closing_twice_does_no_harm(store: Store) -> None:
    store.close()
    store.close()

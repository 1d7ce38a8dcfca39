"""Tests of whole studies with real worker processes: faults, limits, locks, signals, worker counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hpbench import session
from hpbench.errors import HpbenchError, LockedError, StoreError, UsageError
from hpbench.jobs import Ready
from hpbench.lock import locked
from hpbench.plan import make_plan
from hpbench.store import Store
from hpbench.study import RunState
from hpbench.suite import Suite
from hpbench.trial import RunKey

SCRIPT = Path(__file__).parent / "plugins" / "run_fake_study.py"


def start(results: Path, content: dict, *, workers: int = 1, **environment: str) -> subprocess.Popen[str]:
    """Start a fake study in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(results), str(workers), json.dumps(content)],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def group_is_gone(leader: int) -> bool:
    """Return whether no process of the group is left; waits for those that are just ending."""
    for _ in range(2000):
        members = _members(leader)
        if not members:
            return True
        for member in members:
            _wait_for_end(member)
    return False


def _members(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if entry.name.isdigit() and int(fields[2]) == leader and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def _wait_for_end(pid: int) -> None:
    """Wait until a process that is no child of ours has ended, at most five seconds."""
    import select  # noqa: PLC0415

    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    select.select([handle], [], [], 5.0)
    os.close(handle)


@pytest.fixture(autouse=True)
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file whose existence ends ``kill-once``."""
    path = tmp_path / "mark"
    monkeypatch.setenv("FAKE_STUDY_MARK", str(path))
    return path


# -- the ordinary case -----------------------------------------------------------------------------


def test_a_study_runs_to_its_end_and_leaves_what_it_promises(fake: ModuleType, tmp_path: Path) -> None:
    summary, shown = fake.run(tmp_path / "r", fake.suite_of())
    assert summary.exit_code == 0
    assert summary.trials == len(shown.records) == len(fake.lines_of(tmp_path / "r")) == 24
    assert {row.state for row in summary.runs} == {RunState.COMPLETE}
    assert {state for state, _ in shown.ends.values()} == {"complete"}
    assert shown.stops == 1
    assert set(shown.done.values()) == {0}
    assert (tmp_path / "r" / "manifest.json").is_file()


def test_one_two_and_three_workers_give_the_same_records(fake: ModuleType, tmp_path: Path) -> None:
    content = fake.suite_of(
        "fake-adaptive", "fake-ahead", "fake-short", "genetic", tasks=2, behaviour="raise"
    )
    found = []
    for workers in (1, 2, 3):
        fake.run(tmp_path / str(workers), content, workers=workers)
        found.append(fake.lines_of(tmp_path / str(workers)))
    assert len(found[0]) == 2 * 2 * (6 * 3 + 5)
    assert found[0] == found[1] == found[2]


def test_cohort_shards_give_the_same_records_as_single_runs(fake: ModuleType, tmp_path: Path) -> None:
    content = fake.suite_of("fake-adaptive", "fake-ahead", repetitions=5)
    for trainer in ("reference", "cohort"):
        fake.run(tmp_path / trainer, {**content, "trainer": trainer}, workers=2)
    assert fake.lines_of(tmp_path / "reference") == fake.lines_of(tmp_path / "cohort")


def test_a_results_directory_may_be_called_like_a_store(fake: ModuleType, tmp_path: Path) -> None:
    for trials in (6, 0):
        summary, _ = fake.run(tmp_path / "mine.sqlite", fake.suite_of("fake-adaptive", repetitions=1))
        assert (summary.exit_code, summary.trials) == (0, trials)
    assert len(fake.lines_of(tmp_path / "mine.sqlite")) == 6


def test_the_description_explains_the_study(fake: ModuleType, tmp_path: Path) -> None:
    fake.run(tmp_path / "r", fake.suite_of("fake-drifting", behaviour="plain"))
    with Store.open(tmp_path / "r", read_only=True) as store:
        info, kinds = store.info, [event.kind for event in store.events()]
    assert kinds == ["created"]
    assert (info.device, info.suite_text, info.suite["name"]) == ("cpu", "text", "fake")
    task = info.tasks["task0"]
    assert (task["dataset"], task["n_classes"], task["shape"]) == ("fake-data", 3, [4])
    assert task["n_train"] + task["n_val"] + task["n_test"] == 60
    assert [item["name"] for item in task["space"]] == ["rate", "units", "kind"]
    assert task["constants"] == {"behaviour": "plain"}
    assert info.strategies["fake-drifting"]["library"] == "numpy"
    assert info.strategies["fake-drifting"]["version"] == info.environment["libraries"]["numpy"]


def test_a_refused_pairing_is_stored_as_skipped_with_its_reason(fake: ModuleType, tmp_path: Path) -> None:
    task = {"dataset": "iris", "network": "mlp", "epochs": 1}
    content = fake.suite_of("fake-adaptive", "fake-ahead", repetitions=1) | {"tasks": [task]}
    summary, _ = fake.run(tmp_path / "r", content)
    states = {row.run.strategy: row for row in summary.runs}
    assert states["fake-adaptive"].state is RunState.SKIPPED
    assert "lacks CONDITIONAL" in states["fake-adaptive"].message
    with Store.open(tmp_path / "r", read_only=True) as store:
        assert store.info.skipped[0]["strategy"] == "fake-adaptive"


def test_only_runs_what_was_selected_and_leaves_the_rest_pending(fake: ModuleType, tmp_path: Path) -> None:
    summary, _ = fake.run(tmp_path / "r", fake.suite_of(), only="*/fake-ahead/1")
    states = {str(row.run): row.state for row in summary.runs}
    assert states.pop("task0/fake-ahead/1") is RunState.COMPLETE
    assert set(states.values()) == {RunState.PENDING}
    assert summary.exit_code == 0
    fake.run(tmp_path / "r", fake.suite_of())
    fake.run(tmp_path / "whole", fake.suite_of())
    assert fake.lines_of(tmp_path / "r") == fake.lines_of(tmp_path / "whole")


# -- faults of tasks and strategies ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "status", "message"),
    [
        ("nan", "diverged", "the validation loss is nan"),
        ("inf", "diverged", "the validation loss is inf"),
        ("test-nan", "ok", ""),
        ("raise", "error", "ValueError: wrong with"),
        ("kill", "killed", "the process was killed by signal 9 (SIGKILL)"),
        ("segfault", "killed", "the process was killed by signal 11 (SIGSEGV)"),
        ("exit", "killed", "the process was ended with exit status 7"),
    ],
)
def test_a_trial_that_goes_wrong_costs_itself_only(
    fake: ModuleType, tmp_path: Path, behaviour: str, status: str, message: str
) -> None:
    content = fake.suite_of("fake-adaptive", behaviour=behaviour, repetitions=1)
    summary, _ = fake.run(tmp_path / "r", content)
    lines = fake.lines_of(tmp_path / "r")
    assert [line["status"] for line in lines] == ["ok"] * 3 + [status] + ["ok"] * 2
    assert lines[3]["message"].startswith(message)
    assert summary.exit_code == 0


@pytest.mark.parametrize("behaviour", ["hang", "hang-stubborn"])
def test_a_trial_that_hangs_is_ended_at_the_limit(fake: ModuleType, tmp_path: Path, behaviour: str) -> None:
    content = fake.suite_of(
        "fake-adaptive", behaviour=behaviour, repetitions=1, limits={"trial_seconds": 0.5}
    )
    summary, shown = fake.run(tmp_path / "r", content)
    lines = fake.lines_of(tmp_path / "r", times=True)
    assert [line["status"] for line in lines] == ["ok"] * 3 + ["timeout"] + ["ok"] * 2
    assert lines[3]["train_seconds"] == 0.5
    assert lines[3]["message"] == "no result within 0.5 s, the suite's limits.trial_seconds"
    assert any("outlived 0.5 s" in note for note in shown.notes)
    assert summary.exit_code == 0


@pytest.mark.parametrize("keys", [{}, {"trainer": "cohort", "compile": "always"}], ids=["plain", "cohort"])
def test_whether_a_trial_is_too_slow_does_not_depend_on_its_company(
    fake: ModuleType, tmp_path: Path, keys: dict[str, Any]
) -> None:
    content = fake.suite_of(
        "fake-ahead", "random", behaviour="slow", repetitions=1, limits={"trial_seconds": 0.5}, **keys
    )
    fake.run(tmp_path / "r", content)
    found = [line["status"] for line in fake.lines_of(tmp_path / "r")]
    assert found == (["ok"] * 3 + ["timeout"] + ["ok"] * 2) * 2


@pytest.mark.parametrize("behaviour", ["kill", "hang"])
def test_the_guilty_trial_is_found_among_many(fake: ModuleType, tmp_path: Path, behaviour: str) -> None:
    keys: dict[str, Any] = {"trainer": "cohort", "compile": "always", "budget": {"trials": 5}}
    if behaviour == "hang":
        keys["limits"] = {"trial_seconds": 0.4}
    fake.run(tmp_path / "r", fake.suite_of("fake-ahead", behaviour=behaviour, **keys))
    lines = fake.lines_of(tmp_path / "r")
    fake.run(tmp_path / "plain", fake.suite_of("fake-ahead", **keys))
    plain = fake.lines_of(tmp_path / "plain")
    assert [line["number"] for line in lines if line["status"] != "ok"] == [fake.GUILTY] * 2
    innocent = [line for line in lines if line["status"] == "ok"]
    assert innocent == [line for line in plain if line["number"] != fake.GUILTY]


def test_a_worker_that_dies_once_leaves_no_trace_in_the_records(
    fake: ModuleType, tmp_path: Path, mark: Path
) -> None:
    _, shown = fake.run(tmp_path / "r", fake.suite_of(behaviour="kill-once"), workers=2)
    assert mark.exists()
    assert any("trying again" in note for note in shown.notes)
    fake.run(tmp_path / "undisturbed", fake.suite_of(behaviour="kill-once"))
    assert fake.lines_of(tmp_path / "r") == fake.lines_of(tmp_path / "undisturbed")
    with Store.open(tmp_path / "r", read_only=True) as store:
        assert "incident" in [event.kind for event in store.events()]


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("fake-raising-ask", r"nothing comes to mind from caf\udce9.txt"),
        ("fake-raising-tell", "cannot hear it"),
        ("fake-outside", "cannot be used"),
        ("fake-kills-itself", "killed by signal 9 (SIGKILL) twice while strategy 'fake-kills-itself'"),
    ],
)
@pytest.mark.parametrize("trainer", ["reference", "cohort"])
def test_a_strategy_that_fails_fails_its_own_runs_only(
    fake: ModuleType, tmp_path: Path, strategy: str, message: str, trainer: str
) -> None:
    summary, _ = fake.run(tmp_path / "r", fake.suite_of(strategy, "fake-adaptive", trainer=trainer))
    assert summary.exit_code == 3
    assert {row.run.strategy for row in summary.failed} == {strategy}
    assert all(message in row.message for row in summary.failed)
    good = [line for line in fake.lines_of(tmp_path / "r") if line["strategy"] == "fake-adaptive"]
    assert len(good) == 12


@pytest.mark.parametrize("behaviour", ["all-nan", "raise-all"])
def test_a_task_in_which_everything_fails_ends_with_a_clear_line(
    fake: ModuleType, tmp_path: Path, behaviour: str
) -> None:
    summary, _ = fake.run(tmp_path / "r", fake.suite_of(behaviour=behaviour, limits={"max_failures": 3}))
    assert summary.exit_code == 3
    assert all("3 trials in a row failed" in row.message for row in summary.failed)
    assert len(fake.lines_of(tmp_path / "r")) == 12


def test_a_run_that_lost_too_many_trials_is_tried_again_by_the_same_command(
    fake: ModuleType, tmp_path: Path
) -> None:
    content = fake.suite_of(
        "fake-adaptive",
        behaviour="raise-all",
        repetitions=1,
        limits={"max_failures": 2},
        budget={"trials": 5},
    )
    found = [fake.run(tmp_path / "r", content)[0] for _ in range(4)]
    assert [(summary.trials, summary.exit_code) for summary in found] == [(2, 3), (2, 3), (1, 3), (0, 3)]


def test_a_task_that_cannot_be_built_fails_its_runs(fake: ModuleType, tmp_path: Path) -> None:
    summary, _ = fake.run(tmp_path / "r", fake.suite_of(behaviour="unbuildable"))
    assert summary.exit_code == 3
    assert all(
        "task 'task0' cannot be built: RuntimeError: no such thing" in row.message for row in summary.failed
    )


def test_workers_that_cannot_start_are_an_error_not_a_loop(
    fake: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(HpbenchError, match=r"cannot start: two in a row died, .* ended with exit status 1"):
        fake.run(tmp_path / "r", fake.suite_of(), task_factory="no_such_module:build")
    assert capfd.readouterr().err.count("UsageError: the task factory must be") == 2


DIES_STARTING = """
import multiprocessing, os
from pathlib import Path

if multiprocessing.parent_process() is not None:
    with Path({starts!r}).open("a") as file:
        file.write("!")
    if Path({starts!r}).stat().st_size in (1, 3):
        os.kill(os.getpid(), 9)
"""


def test_a_worker_that_dies_while_it_starts_is_replaced(fake: ModuleType, tmp_path: Path, mark: Path) -> None:
    starts, plugin = tmp_path / "starts", tmp_path / "dies_starting.py"
    plugin.write_text(DIES_STARTING.format(starts=str(starts)), encoding="utf-8")
    content = fake.suite_of("fake-adaptive", behaviour="kill-once")
    summary, shown = fake.run(tmp_path / "r", content, plugins=[fake.PATH, plugin])
    assert summary.exit_code == 0
    assert mark.exists()
    assert starts.stat().st_size == 4  # the second died in a trial
    told = "a worker was killed by signal 9 (SIGKILL) while it started; starting another"
    assert shown.notes.count(told) == 2
    with Store.open(tmp_path / "r", read_only=True) as store:
        incidents = [event.payload["text"] for event in store.events() if event.kind == "incident"]
    assert incidents == shown.notes
    fake.run(tmp_path / "undisturbed", content)
    assert fake.lines_of(tmp_path / "r") == fake.lines_of(tmp_path / "undisturbed")


# -- what is refused before anything is written ----------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"workers": 0}, "at least 1"),
        ({"device": "gpu"}, "cpu, cuda, cuda:N or auto"),
        ({"device": "cuda:x"}, "cpu, cuda, cuda:N or auto"),
        ({"only": "nothing"}, "matches no run"),
        ({"only": ""}, "must be TASK/STRATEGY/REPETITION"),
        ({"plugins": [Path("no-such-plugin.py")]}, "must name a Python file"),
    ],
)
def test_a_refused_call_leaves_nothing_behind(
    fake: ModuleType, tmp_path: Path, keys: dict, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        fake.run(tmp_path / "r", fake.suite_of(), **keys)
    assert not (tmp_path / "r").exists()


def test_two_runners_on_one_directory_are_one_too_many(fake: ModuleType, tmp_path: Path) -> None:
    with locked(tmp_path / "r"), pytest.raises(LockedError, match=rf"process {os.getpid()} on .* since 20"):
        fake.run(tmp_path / "r", fake.suite_of())
    summary, _ = fake.run(tmp_path / "r", fake.suite_of())
    assert summary.exit_code == 0


def test_a_lock_dies_with_its_holder(fake: ModuleType, tmp_path: Path) -> None:
    content = fake.suite_of("fake-adaptive")
    first = start(tmp_path / "r", content, HPBENCH_FAULT="after:runner.committed:1")
    assert first.wait() == -signal.SIGKILL
    assert (tmp_path / "r" / "study.lock").exists()
    second = start(tmp_path / "r", content)
    assert second.wait() == 0
    for process in (first, second):
        process.communicate()


def test_a_damaged_store_stops_the_run_and_is_left_as_it_is(fake: ModuleType, tmp_path: Path) -> None:
    fake.run(tmp_path / "r", fake.suite_of())
    path = tmp_path / "r" / "study.sqlite"
    path.write_bytes(path.read_bytes()[:5000])
    before = path.read_bytes()
    with pytest.raises(StoreError, match="damaged"):
        fake.run(tmp_path / "r", fake.suite_of())
    assert path.read_bytes() == before


def test_a_full_disk_stops_the_run_and_it_goes_on_when_there_is_space(
    fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = fake.suite_of("fake-adaptive", budget={"trials": 400}, repetitions=1)
    create = Store.create

    def cramped(path: Path, info: object) -> Store:
        store = create(path, info)  # type: ignore[arg-type]
        store._connection.execute("PRAGMA max_page_count = 20")
        return store

    monkeypatch.setattr(Store, "create", cramped)
    with pytest.raises(StoreError, match="disk is full"):
        fake.run(tmp_path / "r", content)
    kept = fake.lines_of(tmp_path / "r")
    assert 0 < len(kept) < 400
    fake.run(tmp_path / "r", content)
    lines = fake.lines_of(tmp_path / "r")
    assert len(lines) == 400
    assert lines[: len(kept)] == kept


# -- signals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "number"), [("interrupt-parent", signal.SIGINT), ("interrupt-and-hang", signal.SIGTERM)]
)
def test_a_signal_ends_the_study_with_everything_reported_on_disk(
    fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str, number: int
) -> None:
    monkeypatch.setattr(session, "_STOP_SECONDS", 0.2)
    content = fake.suite_of("fake-adaptive", behaviour=behaviour, repetitions=1, budget={"trials": 5000})
    handler = signal.getsignal(number)
    summary, shown = fake.run(tmp_path / "r", content)
    assert summary.exit_code == 128 + number
    assert summary.interrupted == number
    assert len(shown.records) == len(fake.lines_of(tmp_path / "r")) >= fake.GUILTY
    assert len(shown.records) < 5000
    assert shown.stops == 1
    assert any("finished trials are kept" in note for note in shown.notes)
    assert signal.getsignal(number) is handler
    with Store.open(tmp_path / "r", read_only=True) as store:
        assert store.runs()[0].state is RunState.RUNNING


def test_a_second_signal_ends_it_at_once_and_leaves_no_orphans(fake: ModuleType, tmp_path: Path) -> None:
    content = fake.suite_of("fake-adaptive", behaviour="interrupt-and-hang", repetitions=1)
    process = start(tmp_path / "r", content)
    assert process.stderr is not None
    assert "stopping" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait() == 128 + signal.SIGTERM
    assert group_is_gone(process.pid)
    process.communicate()


@pytest.mark.parametrize("point", ["runner.received", "runner.committed", "worker.evaluated"])
def test_workers_die_with_a_parent_that_is_killed(fake: ModuleType, tmp_path: Path, point: str) -> None:
    content = fake.suite_of("fake-adaptive", budget={"trials": 100_000}, limits={"max_failures": 1})
    process = start(tmp_path / "r", content, workers=2, HPBENCH_FAULT=f"after:{point}:2")
    if point == "worker.evaluated":
        assert process.stderr is not None
        process.stderr.readline()
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert group_is_gone(process.pid)
    process.communicate()


def test_a_run_key_is_what_the_display_is_told(fake: ModuleType, tmp_path: Path) -> None:
    _, shown = fake.run(tmp_path / "r", fake.suite_of("fake-short", repetitions=1))
    assert shown.ends == {RunKey("task0", "fake-short", 0): ("exhausted", "")}


def test_another_compiler_is_said_and_what_a_worker_did_not_say_is_no_difference(
    fake: ModuleType, tmp_path: Path
) -> None:
    fake.run(tmp_path / "r", fake.suite_of())
    suite, shown = Suite.of(fake.suite_of()), fake.Recorder()
    plain = {"torch": "2.13.0", "cpu_capability": "AVX2"}
    with Store.open(tmp_path / "r") as store:
        continued = session.Session(store, suite, make_plan(suite), shown)
        continued._take([Ready(plain), Ready({**plain, "compiler": "gcc 12"})])
        assert not shown.notes
        continued._take([Ready({**plain, "compiler": "gcc 13"})])
    assert shown.notes == [
        "earlier trials were made with compiler gcc 12, now it is compiler gcc 13: results may differ in bits"
    ]

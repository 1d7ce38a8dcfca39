from __future__ import annotations

import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hpbench.analysis import write_report
from hpbench.analysis.children import ChildError, Children

MakeStudy = Callable[..., Path]
SPACE = (
    {"name": "lr", "kind": "float", "low": 1e-4, "high": 0.1, "log": True},
    {"name": "width", "kind": "integer", "low": 8, "high": 64, "log": False},
    {"name": "optimizer", "kind": "categorical", "choices": ["sgd", "adam"], "ordered": False},
)
MODULE = "hpbench.analysis.children"
BUSY = f"""
import os, signal, time
from hpbench.analysis.children import Children
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
os.sched_getaffinity = lambda _: {{0, 1}}
with Children({MODULE!r}) as children:
    print(children.call(os.getpid).result(), flush=True)
    children.call(*CALL).result()
"""


def cores(patch: pytest.MonkeyPatch, count: int) -> None:
    """Let this process believe that it may use so many cores."""
    patch.setattr(os, "sched_getaffinity", lambda _pid: set(range(count)), raising=False)


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Children:
    """Return one child, not started yet."""
    cores(monkeypatch, 2)
    return Children(MODULE)


def test_children_write_the_same_bytes_as_one_process(
    make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_study(
        tasks=("digits-mlp",),
        strategies=("random", "skopt-gp"),
        repetitions=5,
        trials=8,
        space=SPACE,
        checks=[("digits-mlp", 0.5, 0.6)],
    )
    contents = []
    for count in (1, 2, 3):
        cores(monkeypatch, count)
        contents.append({path: path.read_bytes() for path in write_report(folder)})
    names = {path.name for path in contents[0]}
    assert {f"{name}.{kind}" for name in ("effects", "clock") for kind in ("png", "svg", "pdf")} <= names
    assert contents[0] == contents[1] == contents[2]


def test_what_waits_while_the_child_is_busy_is_done_here(children: Children, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with children:
        child = children.call(os.getpid).result()
        busy = children.call(Path.read_text, gate)
        with gate.open("w") as file:  # waits for the child to read, which then waits for us
            answers = [children.call(os.getpid) for _ in range(20)]
            children.help()
            assert {answer.result() for answer in answers} == {os.getpid()}
            file.write("go")
        assert busy.result() == "go"
        assert children.call(os.getpid).result() == child != os.getpid()


def test_on_one_core_every_call_is_made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    cores(monkeypatch, 1)
    with Children(MODULE) as alone:
        assert alone.call(os.getpid).result() == os.getpid()
        with pytest.raises(ValueError, match="math domain error"):
            alone.call(math.sqrt, -1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ((math.sqrt, -1.0), "exit status 1(.|\n)*math domain error"),
        ((os._exit, 3), "exit status 3(.|\n)*nothing"),
        ((os.kill, 0, signal.SIGKILL), "exit status -9"),
    ],
    ids=["raises", "exits", "is-killed"],
)
def test_a_child_that_fails_is_an_error_with_its_own_words(
    children: Children, call: tuple[Callable[..., object], ...], message: str
) -> None:
    with children:
        if call[0] is os.kill:
            call = (os.kill, children.call(os.getpid).result(), signal.SIGKILL)
        with pytest.raises(ChildError, match=message):
            children.call(*call).result()


def test_what_a_child_prints_is_no_answer_and_is_shown(
    children: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    with children:
        assert children.call(os.system, "echo beside the point").result() == 0
        assert children.call(abs, -3).result() == 3
    assert "beside the point" in capsys.readouterr().err


def test_an_error_of_the_parent_ends_a_busy_child(children: Children) -> None:
    threads = threading.active_count()
    pids = []

    def work() -> None:
        with children:
            pids.append(children.call(os.getpid).result())
            children.call(time.sleep, 600)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    assert threading.active_count() == threads


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is not its child")
@pytest.mark.parametrize(
    ("call", "end"),
    [("(time.sleep, 600)", signal.SIGINT), ("(input,)", signal.SIGKILL)],
    ids=["Ctrl-C", "killed"],
)
def test_no_child_outlives_its_parent(call: str, end: signal.Signals) -> None:
    code = BUSY.replace("*CALL", f"*{call}")
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        if end is signal.SIGINT:
            os.killpg(parent.pid, end)  # as a terminal does
        else:
            os.kill(parent.pid, end)
        assert select.select([child], [], [], 60)[0]
        os.close(child)
        parent.communicate()
    assert parent.returncode == -end


def test_a_script_without_a_guard_runs_once(make_study: MakeStudy, tmp_path: Path) -> None:
    folder = make_study(tasks=("wine-mlp",), repetitions=1, trials=2, strategies=("random",))
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "os.sched_getaffinity = lambda _: {0, 1}\n"
        "from pathlib import Path\n"
        "from hpbench.analysis import write_report\n"
        f"print(len(write_report(Path({str(folder)!r}))))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""

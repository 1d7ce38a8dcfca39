"""Tests of ``--plugin``, of the fault points and of the lock: small modules at the edge."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpbench import faults, plugins
from hpbench.errors import LockedError, StoreError, UsageError
from hpbench.faults import fault_point
from hpbench.lock import LOCK_NAME, locked
from hpbench.plugins import load_plugins, plugin_module


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget plug-ins and fault counts after each test."""
    yield
    plugins.reset()
    faults._passed.clear()


def write(path: Path, text: str) -> Path:
    """Write a plug-in."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plugin_is_run_once_and_can_be_imported(tmp_path: Path) -> None:
    path = write(tmp_path / "my-plug.py", "import sys\nsys.my_count = getattr(sys, 'my_count', 0) + 1\n")
    load_plugins([path, tmp_path / "." / "my-plug.py"])
    load_plugins([path])
    assert sys.my_count == 1  # type: ignore[attr-defined]
    assert plugin_module(path) == "hpbench_plugin_my_plug"
    assert "hpbench_plugin_my_plug" in sys.modules
    del sys.my_count  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:\n", "SyntaxError: .* (bad.py, line 1)"),
        ("import no_such_module_anywhere\n", "no_such_module_anywhere.* (bad.py, line 1)"),
        ("\nopen('/no/such/file')\n", "FileNotFoundError: .* (bad.py, line 2)"),
        ("x = 1\nundefined\n", "NameError: name 'undefined' is not defined (bad.py, line 2)"),
        ("def f():\n    int('x')\nf()\n", "ValueError: invalid literal .* (bad.py, line 2)"),
        ("import json\njson.loads('')\n", "JSONDecodeError: .* (bad.py, line 2)"),
        ("raise ZeroDivisionError\n", "ZeroDivisionError (bad.py, line 1)"),
        ("import sys\nsys.exit(0)\n", "SystemExit: 0 (bad.py, line 2)"),
    ],
)
def test_a_plugin_that_cannot_be_run_is_named_with_the_reason(
    tmp_path: Path, text: str, message: str
) -> None:
    path = write(tmp_path / "bad.py", text)
    message = message.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(UsageError, match=rf"bad.py cannot be loaded: .*{message}$"):
        load_plugins([path])
    assert plugin_module(path) not in sys.modules


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("raise KeyboardInterrupt\n", KeyboardInterrupt),
        ("from hpbench.errors import StoreError as E\nraise E('all is said')\n", StoreError),
    ],
)
def test_an_interruption_and_an_error_of_ours_pass_as_they_are(
    tmp_path: Path, text: str, kind: type[BaseException]
) -> None:
    path = write(tmp_path / "bad.py", text)
    with pytest.raises(kind):
        load_plugins([path])
    assert plugin_module(path) not in sys.modules


@pytest.mark.parametrize("name", ["missing.py", "folder.py", "notes.txt"])
def test_what_is_no_python_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.py").mkdir()
    write(tmp_path / "notes.txt", "x = 1\n")
    with pytest.raises(UsageError, match="must name a Python file"):
        load_plugins([tmp_path / name])


def test_two_plugins_of_one_name_are_refused(tmp_path: Path) -> None:
    load_plugins([write(tmp_path / "a" / "same.py", "x = 1\n")])
    with pytest.raises(UsageError, match="two plugins are called 'same'"):
        load_plugins([write(tmp_path / "b" / "same.py", "x = 2\n")])


# -- fault points ----------------------------------------------------------------------------------


def test_without_the_variable_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(faults.VARIABLE, raising=False)
    fault_point("store.add")


@pytest.mark.parametrize(
    "wish", ["store.add", "after:store.add", "before:store.add:1", "after:a:b:c", "after:a:-1"]
)
def test_a_wish_of_another_form_is_refused(monkeypatch: pytest.MonkeyPatch, wish: str) -> None:
    monkeypatch.setenv(faults.VARIABLE, wish)
    with pytest.raises(UsageError, match="after:POINT:COUNT"):
        fault_point("store.add")


def test_the_process_is_killed_at_the_passing_that_was_asked_for() -> None:
    code = "from hpbench.faults import fault_point as f\nfor n in range(9): f('other'); print(n, flush=True); f('it')"
    environment = {**os.environ, faults.VARIABLE: "after:it:3"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split() == ["0", "1", "2"]


# -- the lock --------------------------------------------------------------------------------------


def test_a_lock_is_exclusive_and_free_again_after(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "new"),
        pytest.raises(LockedError, match="in use by another"),
        locked(tmp_path / "new"),
    ):
        pass
    with locked(tmp_path / "new"):
        holder = json.loads((tmp_path / "new" / LOCK_NAME).read_text(encoding="ascii"))
    assert holder["pid"] == os.getpid()


def test_a_file_that_a_dead_process_left_behind_locks_nothing(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_text(
        '{"pid": 1, "host": "x", "start": "y"} and a longer text', encoding="ascii"
    )
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK_NAME).read_text(encoding="ascii"))["pid"] == os.getpid()


@pytest.mark.parametrize("text", ["", "garbage", "[]", "{}"])
def test_a_holder_that_has_not_said_who_it_is_still_holds(tmp_path: Path, text: str) -> None:
    with locked(tmp_path):
        (tmp_path / LOCK_NAME).write_text(text, encoding="ascii")
        with pytest.raises(LockedError, match="it has not said which"), locked(tmp_path):
            pass


def test_a_directory_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be used for results"), locked(tmp_path / "file"):
        pass

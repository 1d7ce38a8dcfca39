"""The self-test finds what is broken, and nothing that breaks stops it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hpbench.doctor import Check, self_test
from hpbench.doctor import probes as module
from hpbench.doctor.checks import plan_checks
from hpbench.environment import find_compiler
from hpbench.errors import UsageError
from hpbench.trial import Evaluation, Status

PLUGIN = """
import os, signal, threading

print("chatter at import")

from hpbench.strategies import REGISTRY
from hpbench.strategies.random import RandomStrategy
from hpbench.trial import Proposal


class Chatty(RandomStrategy):
    def ask(self):
        os.write(1, b"chatter below Python")
        print("chatter")
        return super().ask()


class Killed(RandomStrategy):
    def ask(self):
        os.kill(os.getpid(), signal.SIGILL)


class Raises(RandomStrategy):
    def ask(self):
        raise ZeroDivisionError("the library is broken")


class Incomplete(RandomStrategy):
    def ask(self):
        import no_such_library


class Hangs(RandomStrategy):
    def ask(self):
        threading.Event().wait()


class Reads(RandomStrategy):
    def ask(self):
        with open(os.environ["MEETING"]):  # waits for one who writes
            return super().ask()


class Writes(RandomStrategy):
    def ask(self):
        with open(os.environ["MEETING"], "w"):  # waits for one who reads
            return super().ask()


class Empty(RandomStrategy):
    def ask(self):
        return None


class Outside(RandomStrategy):
    def ask(self):
        return Proposal({**super().ask().config, "width": 10**9})


class Demanding(RandomStrategy):
    def __init__(self, space, *, depth, **given):
        super().__init__(space, **given)


for kind in (Chatty, Killed, Raises, Incomplete, Hangs, Reads, Writes, Empty, Outside, Demanding):
    REGISTRY.add(f"own-{kind.__name__.lower()}", kind)
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of strategies that are broken, each in its way."""
    path = tmp_path_factory.mktemp("plugins") / "broken.py"
    path.write_text(PLUGIN, encoding="utf-8")
    return path


def test_the_probes_are_those_of_the_machine_and_one_for_each_strategy() -> None:
    with_torch, without = plan_checks(["botorch-logei", "random", "grid"])
    assert with_torch[-1] == "strategy:botorch-logei"
    assert without == ["strategy:random", "strategy:grid"]
    assert {name.partition(":")[0] for name in with_torch} == set(module._PROBES)


def test_the_lists_run_side_by_side(plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "meeting")
    monkeypatch.setenv("MEETING", str(tmp_path / "meeting"))
    planned = [["strategy:own-reads"], [], ["strategy:own-writes", "store"]]
    checks = list(self_test(planned, plugins=[plugin]))
    assert [(check.name, check.state) for check in checks] == [
        ("strategy:own-reads", "ok"),
        ("strategy:own-writes", "ok"),
        ("store", "ok"),
    ]


def test_what_breaks_fails_its_own_check_and_no_other(plugin: Path) -> None:
    order = ("chatty", "killed", "raises", "incomplete", "empty", "outside", "demanding")
    names = [*(f"strategy:own-{name}" for name in order), "strategy:random", "store"]
    checks = list(self_test([names], plugins=[plugin]))
    assert [check.name for check in checks] == names
    states = {check.name.removeprefix("strategy:own-"): (check.state, check.note) for check in checks}
    assert states["chatty"] == states["strategy:random"] == ("ok", "proposes")
    assert states["killed"] == ("failed", "its process was ended by SIGILL")
    assert states["raises"] == ("failed", "ZeroDivisionError: the library is broken")
    assert states["incomplete"] == ("failed", "ModuleNotFoundError: No module named 'no_such_library'")
    assert states["empty"][0] == "failed"
    assert "must have a first proposal" in states["empty"][1]
    assert states["outside"][0] == "failed"
    assert "'width'" in states["outside"][1]
    assert states["demanding"] == ("skipped", "it needs the option 'depth'")
    assert states["store"] == ("ok", "a trial was stored and read back")


def test_importing_is_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((10.0, 13.0, 14.0))
    monkeypatch.setattr(module, "perf_counter", lambda: next(times))
    check = module._check("strategy:skopt-gp")
    assert check == Check("strategy:skopt-gp", "ok", "proposes", seconds=1.0, importing_seconds=3.0)


def test_a_probe_that_hangs_is_ended(plugin: Path) -> None:
    (check,) = self_test([["strategy:own-hangs"]], plugins=[plugin], limit_seconds=1.0)
    assert check == Check("strategy:own-hangs", "failed", "it did not end within 1 s")


def test_nobody_who_stops_listening_leaves_a_process(plugin: Path) -> None:
    answers = self_test([["store", "strategy:own-hangs"], ["strategy:own-hangs"]], plugins=[plugin])
    assert next(iter(answers)).state == "ok"
    answers.close()  # type: ignore[attr-defined]  # returns only when the process has ended


def test_a_plugin_that_cannot_be_run_fails_every_check(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("import no_such_library", encoding="utf-8")
    checks = list(self_test([["cache", "store"]], plugins=[path]))
    assert [check.state for check in checks] == ["failed", "failed"]
    assert all("bad.py cannot be loaded" in check.note for check in checks)


def test_without_a_compiler_there_is_nothing_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    (check,) = self_test([["compiled"]])
    assert check.state == "skipped"
    assert "there is no C compiler" in check.note
    assert "Install gcc" in check.note


@pytest.mark.skipif(find_compiler() is None, reason="no C compiler: install gcc or set CC")
def test_a_cache_folder_that_cannot_be_written_fails_what_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "file"))
    checks = list(self_test([["cache", "compiled", "store"]]))
    assert [check.state for check in checks] == ["failed", "failed", "ok"]
    for check in checks[:2]:
        assert f"the cache folder {tmp_path / 'file'} must be one that can be written: " in check.note
        assert check.note.endswith("Set the environment variable HPBENCH_CACHE to another folder.")


@pytest.mark.skipif(find_compiler() is None, reason="no C compiler: install gcc or set CC")
def test_a_compiler_that_fails_is_a_failed_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "cc"
    script.write_text("#!/bin/sh\ncat > /dev/null\necho out of ink >&2\nexit 7\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "cache"))
    (check,) = self_test([["compiled"]])
    assert check.state == "failed"
    assert "out of ink" in check.note


def test_other_losses_than_the_reference_trainers_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [Evaluation(Status.OK, 0, 2, val_loss=1.0, test_loss=2.0)] * 3
    monkeypatch.setattr(module, "_trained", lambda: expected)
    near = [*expected[:2], replace(expected[2], test_loss=2.0002)]
    assert module._difference(near, "it") == pytest.approx(1e-4)
    for wrong in (2.02, None):
        with pytest.raises(UsageError, match=r"it must give the losses of the reference trainer"):
            module._difference([*expected[:2], replace(expected[2], test_loss=wrong)], "it")

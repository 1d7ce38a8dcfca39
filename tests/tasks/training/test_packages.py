"""Compiled steps in the cache: keyed by all they depend on, written whole, made once, mended if spoilt."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hpbench.errors import UsageError
from hpbench.tasks.training import cohort, packages
from hpbench.tasks.training.packages import compiled_step, compiler_at_hand, package_folder

Make = Callable[..., Any]


def untraceable() -> Any:
    """Stand for a recording that nobody may ask for."""
    raise AssertionError("the step was recorded although the cache holds it")


class Compiler:
    """Stands for the compiler: writes a package of the right form and counts how often."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[Path] = []
        self.loaded: list[Path] = []
        self.refused: list[Path] = []
        monkeypatch.setattr(packages, "_compile", self.compile)
        monkeypatch.setattr(packages, "_loaded", self.load)
        monkeypatch.setattr(packages, "compiler_at_hand", lambda: True)

    def compile(self, _graph: object, _examples: object, path: Path) -> None:
        """Write the package."""
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model.so", bytes(range(256)) * 40)
        self.made.append(path)

    def load(self, path: Path) -> Callable[..., object]:
        """Return a step, unless the package is one that does not load."""
        if path in self.refused:
            self.refused.remove(path)
            raise RuntimeError("undefined symbol")
        self.loaded.append(path)
        return lambda *_: None


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of packages, still to be made."""
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "steps"


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    """A compiler that takes no time."""
    return Compiler(monkeypatch)


def ask(source: str = "source", name: str = "mlp-layers=1") -> Callable[..., object]:
    """Ask for a step."""
    return compiled_step(lambda: (None, []), name, source)  # type: ignore[return-value, arg-type]


def test_the_folder_is_chosen_by_the_environment_or_the_users_cache(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert package_folder() == folder
    monkeypatch.delenv("HPBENCH_CACHE")
    assert package_folder().parts[-2:] == ("hpbench", "steps")


def test_the_second_time_nothing_is_recorded_or_compiled(compiler: Compiler, folder: Path) -> None:
    ask()
    compiled_step(untraceable, "mlp-layers=1", "source")
    assert len(compiler.made) == 1
    assert compiler.loaded == compiler.made * 2
    assert compiler.made[0].parent == folder
    assert compiler.made[0].name.startswith("mlp-layers=1-")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_another_source_or_name_is_another_package(compiler: Compiler) -> None:
    ask("one")
    ask("two")
    ask("one", "mlp-layers=2")
    assert len({path.name for path in compiler.made}) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(torch, "__version__", "9.9"),
        lambda patch: patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX9"),
        lambda patch: patch.setattr(packages, "_processor", lambda: "flags: other"),
        lambda patch: patch.setattr(packages.platform, "machine", lambda: "riscv"),
        lambda patch: patch.setattr(packages, "FORMAT", 99),
    ],
    ids=["torch", "capability", "processor", "machine", "format"],
)
def test_another_platform_is_another_package(
    compiler: Compiler, monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    ask()
    change(monkeypatch)
    ask()
    assert len({path.name for path in compiler.made}) == 2


def test_the_processor_is_told_by_its_instruction_sets() -> None:
    assert packages._processor() == packages._processor()
    assert packages._processor()


@pytest.mark.parametrize("spoil", ["empty", "half", "junk", "flipped"])
def test_a_spoilt_package_is_compiled_again(compiler: Compiler, spoil: str) -> None:
    ask()
    (path,) = compiler.made
    whole = path.read_bytes()
    flipped = whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:]
    path.write_bytes(
        {"empty": b"", "half": whole[: len(whole) // 2], "junk": b"x" * 500, "flipped": flipped}[spoil]
    )
    ask()
    assert compiler.made == [path, path]
    assert path.read_bytes()[:2] == b"PK"


def test_a_package_that_does_not_load_is_compiled_again_once(compiler: Compiler) -> None:
    ask()
    (path,) = compiler.made
    compiler.refused = [path]
    ask()
    assert len(compiler.made) == 2
    compiler.refused = [path, path]
    with pytest.raises(RuntimeError, match="undefined symbol"):
        ask()
    assert len(compiler.made) == 3


@pytest.mark.parametrize("variable", ["no-such-compiler", "/nowhere/g++"])
def test_without_a_compiler_there_is_a_way_out(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv("CXX", variable)
    assert not compiler_at_hand()
    with pytest.raises(UsageError) as caught:
        compiled_step(untraceable, "mlp-layers=1", "source")
    message = str(caught.value)
    for part in ("'mlp-layers=1'", repr(variable), "Install g++", "CXX", '`compile = "never"`'):
        assert part in message


def test_a_package_that_is_there_needs_no_compiler(
    compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask()
    monkeypatch.setattr(packages, "compiler_at_hand", lambda: False)
    compiled_step(untraceable, "mlp-layers=1", "source")
    assert len(compiler.loaded) == 2


def test_a_package_appears_whole_or_not_at_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[tuple[str, bool]] = []
    target = tmp_path / "step-1.pt2"

    def write(_program: object, *, package_path: str, **_: object) -> None:
        Path(package_path).write_text("half", encoding="utf-8")
        seen.append((Path(package_path).name, target.exists()))
        Path(package_path).write_text("whole", encoding="utf-8")

    def broken(_program: object, *, package_path: str, **_: object) -> None:
        Path(package_path).write_text("half", encoding="utf-8")
        raise RuntimeError("the compiler was killed")

    def add(one: torch.Tensor) -> None:
        one.add_(1)

    graph: Any = add
    for writer in (write, broken):
        monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", writer)
        if writer is broken:
            target.unlink()
            with pytest.raises(RuntimeError, match="killed"):
                packages._compile(graph, [torch.zeros(3, 2)], target)
            assert not target.exists()
        else:
            packages._compile(graph, [torch.zeros(3, 2)], target)
            assert target.read_text(encoding="utf-8") == "whole"
    assert seen == [(f"step-1.{os.getpid()}.pt2", False)]
    assert list(tmp_path.glob("*.pt2")) == []
    assert not folder.exists()


ASKER = """
import sys, zipfile
from pathlib import Path
from hpbench.tasks.training import cohort, packages

def compile_(graph, examples, path):
    print("compiled", flush=True)
    sys.stdin.readline()  # until the parent says so, nobody else may get beyond the lock
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.so", "bytes")

packages._compile = compile_
packages._loaded = lambda path: print("loaded", flush=True)
packages.compiler_at_hand = lambda: True
print("asking", flush=True)
packages.compiled_step(lambda: (None, []), "mlp", "source")
"""


def lines(process: Any, count: int) -> list[str]:
    """Return the next lines that a process prints."""
    return [process.stdout.readline().strip() for _ in range(count)]


def asker() -> Any:
    """Start a process that asks for a step."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", ASKER], stdin=pipe, stdout=pipe, text=True)


def test_of_two_processes_that_ask_at_once_one_compiles_and_the_other_waits(folder: Path) -> None:
    with asker() as ahead:
        assert lines(ahead, 2) == ["asking", "compiled"]
        with asker() as behind:
            assert lines(behind, 1) == ["asking"]
            ahead.stdin.write("go\n")
            ahead.stdin.flush()
            assert lines(ahead, 1) == lines(behind, 1) == ["loaded"]
    assert (ahead.returncode, behind.returncode) == (0, 0)
    assert sorted(path.suffix for path in folder.iterdir()) == [".lock", ".pt2"]


def test_a_real_package_is_loaded_and_spoilt_and_compiled_again(
    compiled_workshop: Make, package_cache: Path, same: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = compiled_workshop(full_epochs=3)
    trials = [(own.config(layers=1, width=20, batch_size=30), place) for place in range(2)]
    expected = own.train(trials, 1)
    (path,) = (package_cache / "hpbench" / "steps").glob("mlp-layers=1-*.pt2")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    made: list[Path] = []

    def restore(_graph: object, _examples: object, target: Path) -> None:
        made.append(target)
        target.write_bytes(whole)

    monkeypatch.setattr(packages, "_compile", restore)
    monkeypatch.setattr(cohort, "_STEPS", {})
    for lane, before in zip(own.train(trials, 1), expected, strict=True):
        same(lane, before)
    assert made == [path]

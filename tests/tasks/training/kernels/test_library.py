"""The C library in the cache: keyed by all it depends on, compiled once, mended if spoilt, clear when it cannot be."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hpbench.environment import find_compiler
from hpbench.errors import UsageError
from hpbench.tasks.training.kernels import library as module
from hpbench.tasks.training.kernels.library import library

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C compiler: install gcc or set CC")


OPTIONS = tuple("-O0" if option == "-O3" else option for option in module._OPTIONS)
"""What makes a library in a fraction of the time; nothing is trained with it here."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the library, still to be made."""
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_OPTIONS", OPTIONS)
    return tmp_path / "cache" / "kernels"


def again() -> None:
    """Ask for the library as a new process would."""
    module._library.cache_clear()
    library()


def made(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.so"))


def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")


def test_the_second_time_nothing_is_compiled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again()
    before = [(path, path.stat().st_mtime_ns) for path in made(folder)]
    monkeypatch.setattr(module, "_compile", None)
    again()
    assert [(path, path.stat().st_mtime_ns) for path in made(folder)] == before
    assert len(before) == 1
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(path.suffix for path in folder.iterdir()) == [".lock", ".sha256", ".so"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_processor", lambda: "flags: other"),
        ("_OPTIONS", (*OPTIONS, "-DOTHER")),
        ("compiler_version", lambda: "cc 99.0"),
        ("find_compiler", lambda: [*(find_compiler() or []), "-DANOTHER"]),
    ],
)
def test_another_processor_compiler_or_other_options_are_another_library(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    again()
    monkeypatch.setattr(module, name, value)
    again()
    assert len(made(folder)) == 2


def test_a_folder_that_holds_it_need_not_be_one_that_can_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again()
    monkeypatch.setattr(module, "_locked", None)
    again()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    with pytest.raises(
        UsageError, match=r"kept in .*/cache/kernels and .* NotADirectoryError: .* HPBENCH_CACHE"
    ):
        again()


def test_a_library_of_another_machine_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "cc"
    script.write_text(
        '#!/bin/sh\nwhile [ $# -gt 1 ] && [ "$1" != -o ]; do shift; done\necho other > "$2"\n',
        encoding="utf-8",
    )
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    with pytest.raises(UsageError, match=r"loaded from there: OSError: .* HPBENCH_CACHE"):
        again()


@pytest.mark.parametrize("spoil", ["cut", "changed", "no checksum"])
def test_a_spoilt_library_is_compiled_anew(folder: Path, spoil: str) -> None:
    again()
    (path,) = made(folder)
    whole = path.read_bytes()
    path.unlink()  # this process has it loaded: another file takes its place
    if spoil != "cut":
        path.write_bytes(whole[:5000] + bytes([whole[5000] ^ (spoil == "changed")]) + whole[5001:])
    else:
        path.write_bytes(whole[:1000])
    if spoil == "no checksum":
        path.with_suffix(".sha256").unlink()
    again()
    assert len(path.read_bytes()) == len(whole)


def test_without_a_compiler_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    no_compiler(monkeypatch)
    with pytest.raises(UsageError, match=r"needs a C compiler, and none is on this machine\. Install gcc"):
        again()


def test_a_failing_compiler_is_quoted_and_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "cc"
    script.write_text("#!/bin/sh\ncat > /dev/null\necho out of ink >&2\nexit 7\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("CC", f"{script} -v")
    with pytest.raises(UsageError, match=r"cc -v' must compile .* ended with 7: out of ink"):
        again()
    assert [path.suffix for path in folder.iterdir()] == [".lock"]


COUNTING = """
#!/bin/sh
[ "$1" = --version ] || echo compiled >> {log}
exec {compiler} "$@"
"""


def test_processes_that_ask_at_once_compile_it_once(folder: Path, tmp_path: Path) -> None:
    script, log = tmp_path / "cc", tmp_path / "log"
    compiler = " ".join(find_compiler() or [])
    script.write_text(COUNTING.format(log=log, compiler=compiler).lstrip(), encoding="utf-8")
    script.chmod(0o755)
    code = "from hpbench.tasks.training.kernels.library import library; library()"
    environment = {**os.environ, "CC": str(script), "OMP_NUM_THREADS": "1"}
    running = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert log.read_text(encoding="utf-8").split() == ["compiled"]
    assert len(made(folder)) == 1

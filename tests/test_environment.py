"""Tests of the description of a machine and of the variables of a training process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpbench import environment
from hpbench.environment import (
    compiler_version,
    describe,
    describe_blas,
    describe_checkout,
    describe_torch,
    find_compiler,
    installed_packages,
    library_version,
    resolve_device,
    worker_environment,
)
from hpbench.errors import UsageError


def test_the_description_says_what_it_was_told_and_what_is_installed() -> None:
    found = describe(threads=3, workers=2, libraries=["no-such-library"])
    assert (found["threads"], found["workers"]) == (3, 2)
    assert found["libraries"]["numpy"] == library_version("numpy")
    assert found["libraries"]["torch"]
    assert found["libraries"]["no-such-library"] is None


def test_the_description_names_no_machine() -> None:
    assert os.uname().nodename not in str(describe(threads=1, workers=1))


def test_no_library_has_no_version() -> None:
    assert library_version(None) is None


def test_torch_is_asked_only_where_it_is_loaded() -> None:
    code = "from hpbench.environment import *; import sys; sys.exit(describe_torch() != {} or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("said", "driver"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\nGCC version: 12.2.0",
            "550.54.15",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build", "575.57.08"),
        ("something else", None),
        (None, None),
    ],
)
def test_torch_says_version_capability_threads_and_what_cuda_computes_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str | None, driver: str | None
) -> None:
    if said is not None:
        (tmp_path / "version").write_text(said, encoding="utf-8")
    monkeypatch.setattr(environment, "_DRIVER", tmp_path / "version")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch = SimpleNamespace(
        __version__="2.13.0",
        backends=SimpleNamespace(
            cpu=SimpleNamespace(get_cpu_capability=lambda: "AVX2"),
            cudnn=SimpleNamespace(version=lambda: 91900, allow_tf32=False),
            cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False)),
        ),
        are_deterministic_algorithms_enabled=lambda: True,
        __config__=SimpleNamespace(
            show=lambda: "- Intel(R) MKL-DNN v3.12.0 (Git\n- Build: BLAS_INFO=open, X=1"
        ),
        get_num_threads=lambda: 1,
        cuda=SimpleNamespace(
            is_initialized=lambda: True,
            get_device_name=lambda: "H200",
            current_device=lambda: 0,
            get_device_properties=lambda _device: SimpleNamespace(multi_processor_count=132),
        ),
        version=SimpleNamespace(cuda="13.0"),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert describe_torch() == {
        "torch": "2.13.0",
        "cpu_capability": "AVX2",
        "torch_threads": 1,
        "blas": "open",
        "mkl": None,
        "onednn": "3.12.0",
        "cuda": "13.0",
        "cuda_device": "H200",
        "cuda_multiprocessors": 132,
        "cuda_driver": driver,
        "cudnn": 91900,
        "tf32": False,
        "deterministic": True,
        "cublas_workspace": ":4096:8",
    }


def test_the_checkout_is_the_packages_own_and_says_when_it_was_changed(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        names = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(tmp_path), *names, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git("init", "--quiet")
    assert describe_checkout(package) is None  # inside a checkout, not part of it
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    assert describe_checkout(package) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (package / "new.py").write_text("")
    found = describe_checkout(package)
    assert found is not None
    assert found["dirty"]


def test_packages_and_linear_algebra_come_with_versions() -> None:
    assert installed_packages()["numpy"] == library_version("numpy")
    assert set(describe_blas()) == {"numpy", "scipy"}
    assert all(any(sign.isdigit() for sign in text) for text in describe_blas().values())


def test_the_variables_hold_inside_and_are_as_before_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with worker_environment(2):
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "2"
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("name", "devices", "expected"),
    [
        ("cpu", 0, "cpu"),
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda"),
        ("cuda", 1, "cuda"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_devices_are_resolved(
    monkeypatch: pytest.MonkeyPatch, name: str, devices: int, expected: str
) -> None:
    monkeypatch.setattr(environment, "_cuda_devices", lambda: devices)
    assert resolve_device(name) == expected


@pytest.mark.parametrize(
    "name", ["", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:a", "cuda:\u00b2", "cpu:0", "auto:1"]
)
def test_unknown_devices_are_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(environment, "_cuda_devices", lambda: 8)
    with pytest.raises(UsageError, match="must be cpu, cuda, cuda:N or auto, got"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:3"])
def test_a_device_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(environment, "_cuda_devices", lambda: 0)
    with pytest.raises(UsageError, match=r"torch sees 0 CUDA devices\. Use --device cpu"):
        resolve_device(name)


def test_a_torch_that_cannot_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "library_version", lambda _: "2.13.0")
    monkeypatch.setattr(environment, "_PROBE", "raise ImportError('libcudart is missing')")
    with pytest.raises(UsageError, match=r"could not be asked[\s\S]*libcudart is missing"):
        resolve_device("auto")


def test_a_torch_that_was_built_without_cuda_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "library_version", lambda _: "2.13.0+cpu")
    monkeypatch.setattr(environment, "_PROBE", "raise SystemExit(1)")
    assert resolve_device("auto") == "cpu"


def test_the_answer_of_torch_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "library_version", lambda _: "2.13.0")
    monkeypatch.setattr(environment, "_PROBE", "print('a warning'); print(2)")
    assert resolve_device("cuda:1") == "cuda:1"


@pytest.mark.parametrize(
    ("variable", "command"),
    [("no-such-compiler", None), ("sh -c", ["sh", "-c"]), ("", ["cc"])],
)
def test_the_compiler_is_the_one_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, command: list[str] | None
) -> None:
    for name in ("cc", "sh"):
        (tmp_path / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CC", variable)
    assert find_compiler() == command


def test_a_compiler_that_cannot_be_read_as_a_command_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", 'gcc "')
    with pytest.raises(
        UsageError, match=r"variable CC must be a command, got 'gcc \"': No closing quotation\."
    ):
        find_compiler()


@pytest.mark.parametrize(
    ("answer", "known"),
    [("echo 'cc (Test) 12.2.0'; echo more", "cc (Test) 12.2.0"), ("exit 3", None), (None, None)],
)
def test_the_compiler_says_its_version_in_its_first_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str | None, known: str | None
) -> None:
    monkeypatch.setenv("CC", str(tmp_path / "mycc"))
    if answer is not None:
        (tmp_path / "mycc").write_text(f"#!/bin/sh\n{answer}\n", encoding="utf-8")
        (tmp_path / "mycc").chmod(0o755)
    assert compiler_version() == known
    assert environment.describe(threads=1, workers=1)["compiler"] == known


def test_without_cc_any_usual_compiler_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert find_compiler() is None
    (tmp_path / "clang").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "clang").chmod(0o755)
    assert find_compiler() == ["clang"]

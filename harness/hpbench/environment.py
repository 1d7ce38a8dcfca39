"""What a study ran on: a whitelisted description, and the variables that a training process needs.

No host name, no user, no environment dump: results are published. torch is asked only where it is
loaded already, in a worker.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

from hpbench import __version__
from hpbench.errors import UsageError

__all__ = [
    "THREAD_VARIABLES",
    "compiler_version",
    "describe",
    "describe_blas",
    "describe_checkout",
    "describe_devices",
    "describe_torch",
    "find_compiler",
    "installed_packages",
    "library_version",
    "resolve_device",
    "usable_cpus",
    "worker_environment",
]

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""What the numerical libraries read when they are imported; workers set all of them."""

_CORE = ("torch", "numpy", "scipy", "scikit-learn", "scikit-optimize", "pandas")
_PATIENCE_SECONDS = 10.0
_BUILD = {
    "blas": r"BLAS_INFO=([^,\s]+)",
    "mkl": r"Kernel Library Version ([\d.]+)",
    "onednn": r"MKL-DNN v([\d.]+)",
}
_DRIVER = Path("/proc/driver/nvidia/version")
_CUDA = re.compile("cuda(:[0-9]{1,5})?")
_PROBE = "import torch; print(torch.cuda.device_count())"


@cache
def library_version(distribution: str | None) -> str | None:
    """Return the installed version of a distribution; None without one, or if it is not installed.

    It is read once in a process: that takes milliseconds, and every run of a study asks.
    """
    if distribution is None:
        return None
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def find_compiler() -> list[str] | None:
    """Return the command of the C compiler: what ``$CC`` names, or cc, gcc or clang; None if there is none.

    Raises:
        UsageError: ``$CC`` cannot be read as a command.
    """
    try:
        chosen = shlex.split(os.environ.get("CC", ""))
    except ValueError as error:
        raise UsageError(
            f"the environment variable CC must be a command, got {os.environ['CC']!r}: {error}."
        ) from error
    for words in [chosen] if chosen else [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(words[0]):
            return words
    return None


def compiler_version() -> str | None:
    """Return what the C compiler says of itself in its first line; None without one, or if it says nothing."""
    words = find_compiler()
    if words is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - the user's own compiler
            [*words, "--version"], capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next(iter(answer.stdout.splitlines()), None)


def describe(*, threads: int, workers: int, libraries: Iterable[str] = ()) -> dict[str, Any]:
    """Return what this process knows without importing anything heavy.

    Args:
        threads: intra-operation threads of each training process.
        workers: training processes.
        libraries: distributions beyond the core whose versions decide proposals.
    """
    names = sorted({*_CORE, *libraries})
    return {
        "hpbench": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cpus": usable_cpus(),
        "compiler": compiler_version(),
        "threads": threads,
        "workers": workers,
        "libraries": {name: library_version(name) for name in names},
    }


def installed_packages() -> dict[str, str]:
    """Return every installed distribution with its version, sorted by name."""
    found = {str(item.metadata["Name"]): item.version for item in distributions()}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def describe_blas() -> dict[str, str]:
    """Return the linear algebra that numpy and scipy were built with; proposals of Gaussian processes depend on it."""
    import numpy as np  # noqa: PLC0415 - this module imports nothing heavy
    import scipy  # noqa: PLC0415

    found = {}
    for name, module in (("numpy", np), ("scipy", scipy)):
        blas = module.show_config(mode="dicts")["Build Dependencies"]["blas"]
        found[name] = f"{blas.get('name')} {blas.get('version')}"
    return found


def describe_checkout(package: Path = Path(__file__).parent) -> dict[str, Any] | None:
    """Return the git commit that the package runs from, and whether its files were changed since.

    None unless the package is tracked by git: one that is installed below some other project's
    checkout has no commit of its own.
    """
    answers = []
    for words in (
        ["ls-files", "--error-unmatch", "__init__.py"],
        ["rev-parse", "HEAD"],
        ["status", "--porcelain", "--", "."],
    ):
        try:
            answer = subprocess.run(  # noqa: S603 - fixed words
                ["git", "--no-optional-locks", "-C", str(package), *words],  # noqa: S607 - the user's own git
                capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return None
        if answer.returncode:
            return None
        answers.append(answer.stdout.strip())
    return {"commit": answers[1], "dirty": bool(answers[2])}


def usable_cpus() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_torch() -> dict[str, Any]:
    """Return what torch says of itself and its devices; empty where torch is not loaded."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    found: dict[str, Any] = {
        "torch": str(torch.__version__),
        "cpu_capability": str(torch.backends.cpu.get_cpu_capability()),
        "torch_threads": int(torch.get_num_threads()),
    }
    build = str(torch.__config__.show())
    for name, pattern in _BUILD.items():
        part = re.search(pattern, build)
        found[name] = part[1] if part else None
    if torch.cuda.is_initialized():
        found["cuda"] = str(torch.version.cuda)
        found["cuda_device"] = str(torch.cuda.get_device_name())
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        found["cuda_multiprocessors"] = properties.multi_processor_count
        found["cuda_driver"] = _cuda_driver()
        found["cudnn"] = torch.backends.cudnn.version()
        found["tf32"] = bool(torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32)
        found["deterministic"] = bool(torch.are_deterministic_algorithms_enabled())
        found["cublas_workspace"] = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    return found


def _cuda_driver() -> str | None:
    """Return the version of NVIDIA's kernel module, such as ``"575.57.08"``; None where it does not say."""
    with contextlib.suppress(OSError):
        match = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", _DRIVER.read_text(encoding="utf-8"))
        return match[1] if match else None
    return None


def describe_devices() -> dict[str, str]:
    """Return the CUDA devices that torch sees, each with its model; empty where torch is not loaded."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    return {
        f"cuda:{index}": str(torch.cuda.get_device_name(index)) for index in range(torch.cuda.device_count())
    }


@contextlib.contextmanager
def worker_environment(threads: int) -> Iterator[None]:
    """Set, while a worker is started, the variables that its libraries read when they are imported.

    numpy's linear algebra and torch fix their threads at import, and another number of threads means
    other bits, in a strategy's Gaussian process too. cuBLAS is deterministic only with a workspace
    that was set before CUDA starts.
    """
    wanted = {name: str(threads) for name in THREAD_VARIABLES}
    wanted["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def resolve_device(name: str) -> str:
    """Return ``"cpu"``, ``"cuda"`` or ``"cuda:N"`` for what the user asked for; ``"auto"`` prefers CUDA.

    torch is asked in a process of its own, so that this one stays light.

    Raises:
        UsageError: the name is unknown, or there is no such device here.
    """
    if name == "cpu":
        return name
    if name != "auto" and not _CUDA.fullmatch(name):
        raise UsageError(f"`device` must be cpu, cuda, cuda:N or auto, got {name!r}.")
    count = _cuda_devices()
    if name == "auto":
        return "cuda" if count else "cpu"
    if int(name.partition(":")[2] or 0) >= count:
        raise UsageError(f"device {name!r} is not here: torch sees {count} CUDA devices. Use --device cpu.")
    return name


def _cuda_devices() -> int:
    """Return the number of CUDA devices that the installed torch can use."""
    if (library_version("torch") or "").endswith("+cpu"):
        return 0
    command = [sys.executable, "-c", _PROBE]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own text
    lines = answer.stdout.split()
    if answer.returncode or not lines:
        raise UsageError(f"torch could not be asked for CUDA devices: {answer.stderr.strip()[-500:]}")
    return int(lines[-1])


def _cpu_model() -> str:
    """Return the processor's name as Linux gives it, else what Python knows."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    for line in text.splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()

"""The C library of training: compiled once a machine, kept in the user's cache folder, called for whole epochs."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from hpbench.environment import compiler_version, find_compiler
from hpbench.errors import UsageError
from hpbench.files import cache_folder
from hpbench.tasks.training.kernels.program import Program
from hpbench.tasks.training.outcome import Scores, unexplained

__all__ = ["Library", "Workspace", "library"]

_OPTIONS: Final = (
    "-O3", "-march=native", "-std=c11", "-fPIC", "-shared",
    # Neither error numbers nor traps are read; not-a-numbers and infinities stay as they are.
    "-fno-math-errno", "-fno-trapping-math",
)  # fmt: skip


def library() -> Library:
    """Return the library, compiled first if the cache does not hold it whole.

    Several processes may ask at once: one compiles, the others wait for it.

    Raises:
        UsageError: it must be compiled, and there is no compiler, or the compiler fails; or the cache folder
            cannot be written, or what is kept there cannot be loaded.
    """
    return _library(cache_folder("kernels"))


@cache
def _library(folder: Path) -> Library:
    source = files(__package__).joinpath("kernels.c").read_text(encoding="utf-8")
    compiler = [*(find_compiler() or []), str(compiler_version())]
    key = hashlib.sha256(
        "\n".join([source, *_OPTIONS, *compiler, platform.machine(), _processor()]).encode()
    ).hexdigest()
    path = folder / f"kernels-{key[:20]}.so"
    try:
        if not _whole(path):  # a folder that holds it need not be one that can be written
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _locked(path.with_suffix(".lock")):
                if not _whole(path):
                    _compile(source, path)
        return Library(path)
    except OSError as error:
        raise UsageError(
            f"the training library must be one that can be kept in {folder} and loaded from there: "
            f"{type(error).__name__}: {error}. Set the environment variable HPBENCH_CACHE to another folder, or "
            '`compile = "never"` in the suite.'
        ) from error


def _processor() -> str:
    """Return the instruction sets of the processor, for any of which the compiler may decide."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                return line
    return platform.processor()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that the system releases when the process ends, however it ends."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _checksum(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _whole(path: Path) -> bool:
    """Return whether the library at ``path`` is there, with no byte changed since it was compiled."""
    try:
        expected = _checksum(path).read_text(encoding="utf-8")
        return hashlib.sha256(path.read_bytes()).hexdigest() == expected
    except OSError:
        return False


def _compile(source: str, path: Path) -> None:
    """Compile ``source`` into a library at ``path``.

    Raises:
        UsageError: there is no compiler, or it fails.
    """
    compiler = find_compiler()
    if compiler is None:
        raise UsageError(
            "compiled training needs a C compiler, and none is on this machine. Install gcc or clang, set the "
            'environment variable CC to a compiler, or set `compile = "never"` in the suite.'
        )
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.so")
    try:
        done = subprocess.run(  # noqa: S603 - the compiler that the user has
            [*compiler, *_OPTIONS, "-x", "c", "-", "-o", str(temporary), "-lm"],
            input=source, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise UsageError(
                f"the C compiler {' '.join(compiler)!r} must compile the training library, and it ended with "
                f"{done.returncode}: {done.stderr.strip()[-500:]}. Set the environment variable CC to another "
                'compiler (gcc 9 or newer, clang 9 or newer), or set `compile = "never"` in the suite.'
            )
        _checksum(path).unlink(missing_ok=True)
        digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
        temporary.replace(path)
        _checksum(path).write_text(digest, encoding="utf-8")
    finally:
        temporary.unlink(missing_ok=True)


class _Network(ctypes.Structure):
    """In the order of the C structure."""

    _fields_ = [
        ("operations", ctypes.c_void_p), ("count", ctypes.c_int64), ("tables", ctypes.c_void_p),
        ("segments", ctypes.c_void_p), ("n_segments", ctypes.c_int64), ("features", ctypes.c_int64),
        ("logits", ctypes.c_int64), ("classes", ctypes.c_int64), ("stored", ctypes.c_int64),
        ("scratch_size", ctypes.c_int64), ("values", ctypes.c_void_p), ("grads", ctypes.c_void_p),
        ("scratch", ctypes.c_void_p), ("turned", ctypes.c_void_p), ("spare", ctypes.c_void_p),
        ("g", ctypes.c_void_p),
    ]  # fmt: skip


class Workspace:
    """Memory that one thread's calls share; it grows to the largest program."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def network(self, program: Program) -> _Network:
        """Return ``program`` as the library takes it, with memory to work in."""
        sizes = {
            "values": program.values, "grads": program.values, "scratch": program.scratch,
            "turned": program.turned, "spare": program.spare, "g": program.size,
        }  # fmt: skip
        return _Network(
            program.operations.ctypes.data, len(program.operations), program.tables.ctypes.data,
            program.segments.ctypes.data, len(program.segments), program.features, program.logits,
            program.n_classes, program.stored, program.scratch,
            *(self._buffer(name, size, torch.float32) for name, size in sizes.items()),
        )  # fmt: skip

    def targets(self, batch: int) -> int:
        """Return the address of memory for the targets of a batch."""
        return self._buffer("targets", batch, torch.int64)

    def _buffer(self, name: str, size: int, dtype: torch.dtype) -> int:
        held = self._buffers.get(name)
        if held is None or held.numel() < size:
            held = self._buffers[name] = torch.zeros(max(1, size), dtype=dtype)
        return held.data_ptr()


class Library:
    """The two entries of the library at ``path``.

    Its calls let other threads of the process run.
    """

    def __init__(self, path: Path) -> None:
        handle = ctypes.CDLL(str(path))
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        self._train: Any = handle.hpbench_train
        self._train.restype = None
        self._train.argtypes = [
            *[pointer] * 7, number, number, pointer, pointer, number, ctypes.c_float, pointer,
        ]  # fmt: skip
        self._score: Any = handle.hpbench_score
        self._score.restype = number
        self._score.argtypes = [*[pointer] * 4, number, number, pointer]

    def train(
        self,
        program: Program,
        workspace: Workspace,
        *,
        state: tuple[Tensor, Tensor, Tensor],
        examples: tuple[Tensor, Tensor],
        order: Tensor,
        coefficients: Tensor,
        seeds: Tensor,
        smoothing: float,
    ) -> None:
        """Take every step of ``order``.

        Args:
            program: of the network and the batch size.
            workspace: of this thread.
            state: parameters and both moments, float32, shape ``(program.size,)``; changed in place.
            examples: inputs float32 ``(n, program.features)`` and targets ``(n,)``: int64, or float32 for a
                regression, whose program has one output.
            order: examples of each step, int64, shape ``(steps, batch)``.
            coefficients: of each step, float32, shape ``(steps, N_COEFFICIENTS)``.
            seeds: of each dropout layer at each step, int32, shape ``(steps, n_dropouts)``.
            smoothing: share of the target that is spread over all classes.
        """
        steps, batch = order.shape
        network = workspace.network(program)
        self._train(
            ctypes.addressof(network), *(tensor.data_ptr() for tensor in (*state, *examples, order)), steps, batch,
            coefficients.data_ptr(), seeds.data_ptr(), program.n_dropouts, smoothing, workspace.targets(batch),
        )  # fmt: skip

    def score(
        self, program: Program, workspace: Workspace, *, p: Tensor, inputs: Tensor, targets: Tensor
    ) -> Scores:
        """Return counts and mean cross-entropy (nats) on a whole part, or the share not explained of a regression.

        Args:
            program: of the network.
            workspace: of this thread.
            p: parameters, float32, shape ``(program.size,)``.
            inputs: float32, shape ``(n, program.features)``.
            targets: int64, or float32 for a regression, shape ``(n,)``.
        """
        loss = ctypes.c_double()
        network = workspace.network(program)
        correct = self._score(
            ctypes.addressof(network), p.data_ptr(), inputs.data_ptr(), targets.data_ptr(), len(targets),
            program.batch, ctypes.addressof(loss),
        )  # fmt: skip
        if targets.is_floating_point():
            return Scores(None, None, unexplained(loss.value, targets))
        mean = loss.value / len(targets)
        return Scores(correct, len(targets), mean if abs(mean) < float("inf") else None)

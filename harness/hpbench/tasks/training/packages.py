"""Compiled steps: recorded steps compiled ahead of time, kept in the user's cache folder.

One package a depth serves every width, batch size and number of lanes. A package belongs to one torch
build, one processor capability and one version of the step; another of any of these is another file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import platformdirs
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from hpbench.errors import UsageError
from hpbench.tasks.training.steps import Step

__all__ = ["compiled_step", "compiler_at_hand", "package_folder"]

FORMAT: Final = 1
"""Raised when the arguments of a step or the options of compiling change."""

_OPTIONS: Final[dict[str, Any]] = {
    # It looks for attention and the like, finds none here and takes seconds to say so.
    "pattern_matcher": False,
    # A package serves every number of threads and rounds alike with all; products use theirs anyway.
    "cpp.threads": 1,
}


def compiler_at_hand() -> bool:
    """Return whether this machine has the C++ compiler that compiling a step needs."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def package_folder() -> Path:
    """Return the folder of the compiled steps: ``$HPBENCH_CACHE`` or the user's cache folder."""
    chosen = os.environ.get("HPBENCH_CACHE")
    base = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("hpbench"))
    return base / "steps"


def compiled_step(trace: Callable[[], tuple[GraphModule, Sequence[Tensor]]], name: str, source: str) -> Step:
    """Return the compiled step called ``name``, compiling it if the cache does not hold it whole.

    Several processes may ask for the same package at once: one compiles, the others wait for it.

    Args:
        trace: records the step; called only to compile. Returns the graph and its example arguments.
        name: tells people what the package is, such as ``"mlp-layers=2"``.
        source: whatever decides the recorded operations; part of the key.

    Raises:
        UsageError: the step must be compiled, and there is no compiler.
    """
    key = hashlib.sha256("\n".join([source, *_platform()]).encode()).hexdigest()[:20]
    folder = package_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{name}-{key}.pt2"
    with _locked(folder / f"{name}-{key}.lock"):
        if _whole(path):
            with contextlib.suppress(RuntimeError):  # what does not load is compiled again, once
                return _loaded(path)
        _check_compiler(name)
        graph, examples = trace()
        _compile(graph, examples, path)
        return _loaded(path)


def _whole(path: Path) -> bool:
    """Return whether there is a package at ``path`` of which no byte has changed since it was written."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (FileNotFoundError, zipfile.BadZipFile, EOFError, zlib.error):
        return False


def _loaded(path: Path) -> Step:
    """Return the step in the package at ``path``.

    Raises:
        RuntimeError: it cannot be loaded.
    """
    try:
        # What ``aoti_load_package`` ends in; on the way there it imports the compiler and starts it
        # to learn what this processor can do, two seconds which a load needs nothing of.
        loader = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1)  # noqa: SLF001, FBT003
    except TypeError:  # torch before 2.8 takes fewer arguments
        loader = torch._inductor.aoti_load_package(str(path)).loader  # noqa: SLF001
    return lambda *arguments: loader.boxed_run(list(arguments))


def _check_compiler(name: str) -> None:
    if not compiler_at_hand():
        raise UsageError(
            f"compiling the training step {name!r} needs a C++ compiler, and "
            f"{os.environ.get('CXX', 'g++')!r} is not on this machine. Install g++, set the environment "
            'variable CXX to a compiler, or set `compile = "never"` in the suite.'
        )


def _platform() -> list[str]:
    """Return what a package is bound to besides its source."""
    capability = torch.backends.cpu.get_cpu_capability()
    return [f"format {FORMAT}", torch.__version__, capability, platform.machine(), _processor()]


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


def _compile(graph: GraphModule, examples: Sequence[Tensor], path: Path) -> None:
    """Compile ``graph`` into a package at ``path``; it appears there whole or not at all."""
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.pt2")
    try:
        with torch.no_grad(), warnings.catch_warnings():
            for kind in (DeprecationWarning, FutureWarning):  # torch warns of itself
                warnings.simplefilter("ignore", kind)
            torch._inductor.aoti_compile_and_package(  # noqa: SLF001 - torch publishes it under this name
                _exported(graph, examples), package_path=str(temporary), inductor_configs=_OPTIONS
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _exported(graph: GraphModule, examples: Sequence[Tensor]) -> Any:
    """Return the program that ``graph`` is, every size of its arguments left open."""
    from torch.export import Dim, export  # noqa: PLC0415 - seconds of imports that a warm cache spares

    class _InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.graph = graph

        def forward(self, *arguments: Tensor) -> tuple[()]:
            self.graph(*arguments)
            return ()

    open_sizes = tuple(
        {axis: Dim.STATIC if size == 1 else Dim.AUTO for axis, size in enumerate(example.shape)}
        for example in examples
    )
    return export(_InPlace(), tuple(examples), dynamic_shapes=(open_sizes,), strict=False)

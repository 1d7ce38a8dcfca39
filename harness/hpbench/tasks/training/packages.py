"""Compiled steps: recorded steps compiled ahead of time, kept in the user's cache folder.

One package a depth serves every width, batch size and number of lanes. A package belongs to one torch
build, one processor capability and one version of the step; another of any of these is another file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import platformdirs
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from hpbench.tasks.training.steps import Step

__all__ = ["compiled_step", "compiler_at_hand", "package_folder"]

FORMAT: Final = 1
"""Raised when the arguments of a step or the options of compiling change."""


def compiler_at_hand() -> bool:
    """Return whether this machine has the C++ compiler that compiling a step needs."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def package_folder() -> Path:
    """Return the folder of the compiled steps: ``$HPBENCH_CACHE`` or the user's cache folder."""
    chosen = os.environ.get("HPBENCH_CACHE")
    base = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("hpbench"))
    return base / "steps"


def compiled_step(trace: Callable[[], tuple[GraphModule, Sequence[Tensor]]], name: str, source: str) -> Step:
    """Return the compiled step called ``name``, compiling it if the cache does not hold it.

    Several processes may ask for the same package at once: one compiles, the others wait for it.

    Args:
        trace: records the step; called only to compile. Returns the graph and its example arguments.
        name: tells people what the package is, such as ``"mlp-layers=2"``.
        source: whatever decides the recorded operations; part of the key.
    """
    key = hashlib.sha256("\n".join([source, *_platform()]).encode()).hexdigest()[:20]
    folder = package_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{name}-{key}.pt2"
    with _locked(folder / f"{name}-{key}.lock"):
        if not path.exists():
            graph, examples = trace()
            _compile(graph, examples, path)
    loaded = torch._inductor.aoti_load_package(str(path))  # noqa: SLF001 - torch publishes it under this name
    run: Step = loaded.loader.boxed_run if hasattr(loaded.loader, "boxed_run") else loaded.loader.run
    return lambda *arguments: run(list(arguments))


def _platform() -> list[str]:
    """Return what a package is bound to besides its source."""
    return [f"format {FORMAT}", torch.__version__, torch.backends.cpu.get_cpu_capability()]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that the system releases when the process ends, however it ends."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _compile(graph: GraphModule, examples: Sequence[Tensor], path: Path) -> None:
    """Compile ``graph`` into a package at ``path``; it appears there whole or not at all."""
    from torch.export import Dim, export  # noqa: PLC0415 - seconds of imports that a warm cache spares

    class _InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.graph = graph

        def forward(self, *arguments: Tensor) -> tuple[()]:
            self.graph(*arguments)
            return ()

    open_sizes = tuple(dict.fromkeys(range(example.ndim), Dim.AUTO) for example in examples)
    with torch.no_grad():
        program = export(_InPlace(), tuple(examples), dynamic_shapes=(open_sizes,), strict=False)
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.pt2")
    # The pattern matcher looks for attention and the like, finds none here and takes seconds to say so.
    options: dict[str, Any] = {"pattern_matcher": False}
    torch._inductor.aoti_compile_and_package(  # noqa: SLF001 - torch publishes it under this name
        program, package_path=str(temporary), inductor_configs=options
    )
    temporary.replace(path)

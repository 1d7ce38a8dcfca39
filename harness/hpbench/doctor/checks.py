"""The self-test: probes that run in processes of their own, so that no crash of theirs is one of ours.

Nearly all of its time goes into importing libraries, because one that is installed may yet be broken. So two
processes share the probes and run side by side, one for what needs torch, one for everything else.

Each probe's answer is a line of JSON. A process that dies (a library that raises at import, machine
code that the processor does not know) has failed the probe that it was at; the next process goes on
with those that are left.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import IO, Any, Literal, Self

from hpbench.environment import worker_environment
from hpbench.strategies import REGISTRY

__all__ = ["Check", "plan_checks", "self_test"]

_LIMIT_SECONDS = 120.0
"""How long one process may take: compiling on a slow machine included."""

_MACHINE = ("cache", "store", "torch", "reference", "compiled", "cuda")

_LOADING_TORCH = frozenset({"botorch"})
"""Extras whose library imports torch."""

State = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """What one probe found.

    Attributes:
        name: ``"torch"``, ``"compiled"``, ``"strategy:random"``, ….
        state: ``"skipped"`` where there is nothing to try, which is no failure.
        note: what was found, or what is wrong and what to do.
        seconds: how long it took, but for importing.
        importing_seconds: how long importing what it needs took; the first probe that needs a library pays.
        found: facts for other programs.
    """

    name: str
    state: State
    note: str
    seconds: float = 0.0
    importing_seconds: float = 0.0
    found: dict[str, Any] = field(default_factory=dict)


def plan_checks(strategies: Sequence[str]) -> list[list[str]]:
    """Return all probes, a list for each process: the machine's, and one for each of ``strategies``."""
    with_torch: list[str] = []
    without: list[str] = []
    for name in strategies:
        extra = REGISTRY.extra_of(name)
        shares = extra is not None and extra.name in _LOADING_TORCH
        (with_torch if shares else without).append(f"strategy:{name}")
    return [[*_MACHINE, *with_torch], without]


def self_test(
    planned: Sequence[Sequence[str]], *, plugins: Sequence[Path] = (), limit_seconds: float = _LIMIT_SECONDS
) -> Iterator[Check]:
    """Yield the outcome of every probe in the order of the lists, as soon as it is known.

    Args:
        planned: names of probes, as ``plan_checks`` gives them; the lists run side by side.
        plugins: files to run first, as a worker does.
        limit_seconds: of one process; the probe that it is at when they are over has failed.
    """
    with contextlib.ExitStack() as stack:

        def started(names: Sequence[str]) -> _Process:
            return stack.enter_context(_Process(names, plugins, limit_seconds))

        begun = [(list(names), started(names)) for names in planned if names]
        for left, process in begun:
            at_work = process
            while left:
                for check in at_work.answers():
                    left.remove(check.name)
                    yield check
                if left:  # it has died
                    at_work = started(left)


class _Process:
    """A process that goes through probes from its making on; left before its end, it is killed.

    Args:
        names: of the probes.
        plugins: files that it runs first.
        limit_seconds: after which it is killed.
    """

    def __init__(self, names: Sequence[str], plugins: Sequence[Path], limit_seconds: float) -> None:
        self._names, self._limit_seconds = tuple(names), limit_seconds
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed by __exit__
        command = [sys.executable, "-c", "from hpbench.doctor.probes import main; main()"]
        with worker_environment(1):
            self._process = subprocess.Popen(  # noqa: S603 - our own text
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
            )
        self._timer = Timer(limit_seconds, self._process.kill)
        self._timer.start()
        wanted = json.dumps({"names": self._names, "plugins": [str(path) for path in plugins]})
        _write(self._process.stdin, wanted)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._timer.cancel()
        self._process.kill()
        with self._process, self._errors:
            pass  # closes the pipes and waits

    def answers(self) -> Iterator[Check]:
        """Yield the outcomes of all probes, or up to the one that ended the process."""
        answered = 0
        for line in self._process.stdout or ():
            answered += 1
            yield Check(**json.loads(line))
        self._process.wait()
        overdue = not self._timer.is_alive()
        if answered < len(self._names):
            late = f"it did not end within {self._limit_seconds:g} s" if overdue else None
            reason = late or _reason(self._process.returncode, self._errors)
            yield Check(self._names[answered], "failed", reason)


def _write(pipe: IO[str] | None, text: str) -> None:
    """Write all that a process is told."""
    assert pipe is not None, "it was started with a pipe"  # noqa: S101 - our own invariant
    # one that died before it could listen says by its status how
    with contextlib.suppress(BrokenPipeError), pipe:
        pipe.write(text)


def _reason(status: int, errors: IO[str]) -> str:
    """Return why a process ended before it had answered."""
    if status < 0:
        return f"its process was ended by {signal.Signals(-status).name}"
    errors.seek(0)
    lines = [line.strip() for line in errors.read().splitlines() if line.strip()]
    return lines[-1] if lines else f"its process ended with {status}"

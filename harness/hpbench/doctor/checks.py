"""The self-test: probes that run in a process of their own, so that no crash of theirs is one of ours.

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
from typing import IO, Any, Literal

from hpbench.environment import worker_environment

__all__ = ["Check", "names_of_checks", "self_test"]

_LIMIT_SECONDS = 120.0
"""How long one process may take: compiling on a slow machine included."""

_MACHINE = ("cache", "store", "torch", "reference", "compiled", "cuda")


@dataclass(frozen=True)
class Check:
    """What one probe found.

    Attributes:
        name: ``"torch"``, ``"compiled"``, ``"strategy:random"``, ….
        state: ``"skipped"`` where there is nothing to try, which is no failure.
        note: what was found, or what is wrong and what to do.
        seconds: how long it took.
        found: facts for other programs.
    """

    name: str
    state: Literal["ok", "failed", "skipped"]
    note: str
    seconds: float = 0.0
    found: dict[str, Any] = field(default_factory=dict)


def names_of_checks(strategies: Sequence[str]) -> list[str]:
    """Return all probes in order: the machine's, then one for each of ``strategies``."""
    return [*_MACHINE, *(f"strategy:{name}" for name in strategies)]


def self_test(
    names: Sequence[str], *, plugins: Sequence[Path] = (), limit_seconds: float = _LIMIT_SECONDS
) -> Iterator[Check]:
    """Yield the outcome of every probe, in order, as soon as it is known.

    Args:
        names: as ``names_of_checks`` gives them.
        plugins: files to run first, as a worker does.
        limit_seconds: of one process; a probe that takes longer has failed.
    """
    left = list(names)
    while left:
        for check in _asked(tuple(left), plugins, limit_seconds):
            left.remove(check.name)
            yield check


def _asked(names: Sequence[str], plugins: Sequence[Path], limit_seconds: float) -> Iterator[Check]:
    """Yield the outcomes of one process: of all probes, or up to the one that ended it."""
    command = [sys.executable, "-c", "from hpbench.doctor.probes import main; main()"]
    wanted = json.dumps({"names": list(names), "plugins": [str(path) for path in plugins]})
    answered = 0
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        with worker_environment(1):
            process = subprocess.Popen(  # noqa: S603 - our own text
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        timer = Timer(limit_seconds, process.kill)
        timer.start()
        try:
            with process, _killed_on_error(process):
                for line in _exchanged(process, wanted):
                    answered += 1
                    yield Check(**json.loads(line))
        finally:
            overdue = not timer.is_alive()
            timer.cancel()
        if answered < len(names):
            late = f"it did not end within {limit_seconds:g} s" if overdue else None
            yield Check(names[answered], "failed", late or _reason(process.returncode, errors))


@contextlib.contextmanager
def _killed_on_error(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill the process if nobody waits for its answers any more."""
    try:
        yield
    except BaseException:
        process.kill()
        raise


def _exchanged(process: subprocess.Popen[str], wanted: str) -> Iterator[str]:
    """Tell the process what is wanted and yield its lines."""
    if process.stdin is None or process.stdout is None:
        return
    try:
        process.stdin.write(wanted)
        process.stdin.close()
    except BrokenPipeError:  # it died before it could listen: its status says how
        return
    yield from process.stdout


def _reason(status: int, errors: IO[str]) -> str:
    """Return why a process ended before it had answered."""
    if status < 0:
        return f"its process was ended by {signal.Signals(-status).name}"
    errors.seek(0)
    lines = [line.strip() for line in errors.read().splitlines() if line.strip()]
    return lines[-1] if lines else f"its process ended with {status}"

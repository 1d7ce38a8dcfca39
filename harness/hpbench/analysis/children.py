"""Functions called in processes of their own, while this one goes on.

A child is this interpreter, started anew: it takes calls from its standard input and answers on its
standard output, both as pickles. ``multiprocessing`` would do the same, but its children import the
program's main module once more, and a report may be asked for by a script that does not expect that.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib import import_module
from queue import Empty, Queue
from signal import SIG_IGN, SIGINT, signal
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from hpbench.environment import usable_cpus
from hpbench.errors import HpbenchError

__all__ = ["ChildError", "Children", "serve"]

T = TypeVar("T")

_MOST = 4
"""Children at most: this process keeps no more of them busy."""

_WAITING = 3
"""Calls that wait for each child; every one of them may hold a figure."""

_LAST_WORDS = 4000
"""Characters of what a child said last that an error repeats."""

_PROGRAM = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from hpbench.analysis.children import serve; serve()"
)


class ChildError(RuntimeError):
    """A child process raised an error, or died; the message ends with what it said last."""


@dataclass(frozen=True)
class _Call(Generic[T]):
    """A function with its arguments, as they are and pickled, and where its answer will be."""

    function: Callable[..., T]
    arguments: tuple[Any, ...]
    pickled: bytes
    answer: Future[T] = field(default_factory=Future)

    def here(self) -> None:
        """Call the function in this process."""
        self.answer.set_result(self.function(*self.arguments))


class Children:
    """Child processes, one fewer than there are cores, for this process works as well.

    Use it as a context manager; leaving it ends the children, whatever they are doing. On one core
    there is none, and every call is made at once, here.

    Args:
        module: what a child imports before its first call.
    """

    def __init__(self, module: str) -> None:
        count = min(usable_cpus() - 1, _MOST)
        self._module = module
        self._calls: Queue[_Call[Any] | None] = Queue(_WAITING * max(count, 1))
        self._children: list[_Child] = []
        self._threads = [
            threading.Thread(target=self._feed, args=(place,), daemon=True) for place in range(count)
        ]

    def __enter__(self) -> Self:
        try:
            for thread in self._threads:
                self._children.append(_Child(self._module))
                thread.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def call(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Call ``function`` in a child, or here and now if the children have enough to do.

        What it raises here is raised at once, what it raises in a child where the answer is asked for: an
        error meant for users as it is, any other, and the end of a child, as a :class:`ChildError`.

        Args:
            function: found by its name in its module.
            arguments: what can be pickled; not to be used any more.
        """
        if not self._threads or self._calls.full():
            call = _Call(function, arguments, b"")
            call.here()
        else:
            call = _Call(function, arguments, pickle.dumps((function, arguments), pickle.HIGHEST_PROTOCOL))
            self._calls.put(call)
        return call.answer

    def help(self) -> None:
        """Make here the calls that no child has begun."""
        for call in self._waiting():
            call.here()

    def _waiting(self) -> Iterator[_Call[Any]]:
        """Yield the calls that no child has begun; none of them will."""
        with contextlib.suppress(Empty):
            while (call := self._calls.get_nowait()) is not None:
                yield call

    def _feed(self, place: int) -> None:
        """Give calls to a child, one after another."""
        while (call := self._calls.get()) is not None:
            try:
                call.answer.set_result(self._children[place].answer(call.pickled))
            except BaseException as error:  # noqa: BLE001 -- it is raised where the answer is asked for
                call.answer.set_exception(error)

    def _end(self) -> None:
        """Kill the children, which have nothing to lose, and let their threads end."""
        for child in self._children:
            child.kill()
        for _ in self._waiting():
            pass
        started = [thread for thread in self._threads if thread.is_alive()]
        for _ in started:
            self._calls.put(None)
        for thread in started:
            thread.join()
        for child in self._children:
            child.close()


class _Child:
    """A process that answers one call at a time."""

    def __init__(self, module: str) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 -- it lives as long as the child
        self._reported = False
        self._process = subprocess.Popen(  # noqa: S603 -- our own text
            [sys.executable, "-P", *(f"-W{option}" for option in sys.warnoptions), "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        self._send(pickle.dumps(sys.path) + pickle.dumps(module))

    def answer(self, pickled: bytes) -> Any:
        """Return what a call gives.

        Raises:
            HpbenchError: what the function raised.
            ChildError: it raised another error, or the child died.
        """
        assert self._process.stdout is not None  # noqa: S101 -- it is a pipe
        try:
            self._send(pickled)
            answer, failure = pickle.load(self._process.stdout)  # noqa: S301 -- written by our own child
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            code = self._process.wait()
            self._reported = True
            words = self._words()[-_LAST_WORDS:].strip() or "nothing"
            message = f"a child process ended with exit status {code}. It said last:\n{words}"
            raise ChildError(message) from error
        if failure is not None:
            raise failure
        return answer

    def _send(self, data: bytes) -> None:
        """Write to the child."""
        assert self._process.stdin is not None  # noqa: S101 -- it is a pipe
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def _words(self) -> str:
        """Return what the child wrote on its standard error."""
        self._said.seek(0)
        return self._said.read().decode(errors="replace")

    def kill(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Close the files of a child that was killed; warnings that it gave are passed on."""
        if not self._reported:
            sys.stderr.write(self._words())
        for file in (self._process.stdin, self._process.stdout, self._said):
            with contextlib.suppress(OSError):  # what a dead child did not take
                file.close()  # type: ignore[union-attr]  # both are pipes


def serve() -> None:
    """Answer calls until there are no more; the first value read names a module to import.

    Ctrl-C reaches the children of a terminal's program, too: it is the parent's business. What a
    function prints goes to the standard error, so that nobody takes it for an answer.
    """
    signal(SIGINT, SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import_module(pickle.load(sys.stdin.buffer))  # noqa: S301 -- written by our own parent
    while True:
        try:
            function, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301
        except EOFError:
            return
        answer: tuple[object, HpbenchError | None]
        try:
            answer = function(*arguments), None
        except HpbenchError as error:
            answer = None, error
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()

"""Ctrl-C and SIGTERM as requests that the main loop sees, instead of exceptions anywhere."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["Requests", "signals_as_requests"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Requests:
    """The signals that have come; ``wakeup`` becomes readable with each."""

    def __init__(self) -> None:
        self.count = 0
        self.first: int | None = None
        self.wakeup, self._bell = os.pipe()
        for end in (self.wakeup, self._bell):
            os.set_blocking(end, False)

    def take(self, number: int, _frame: FrameType | None = None) -> None:
        """Note a signal; the signature is that of a signal handler."""
        self.count += 1
        self.first = number if self.first is None else self.first
        with contextlib.suppress(BlockingIOError):
            os.write(self._bell, b"!")

    def quiet(self) -> None:
        """Make ``wakeup`` unreadable until the next signal."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wakeup, 64)

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self.wakeup)
        os.close(self._bell)


@contextlib.contextmanager
def signals_as_requests() -> Iterator[Requests]:
    """Collect SIGINT and SIGTERM while inside; outside the main thread there is nothing to collect."""
    requests = Requests()
    if threading.current_thread() is not threading.main_thread():
        try:
            yield requests
        finally:
            requests.close()
        return
    before = {number: signal.signal(number, requests.take) for number in _SIGNALS}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        requests.close()

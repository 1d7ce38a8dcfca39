"""Generators of one's own for libraries that draw from the global ones, and threads that let a process end."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import numpy as np

__all__ = ["PrivateGenerators", "in_a_daemon"]

T = TypeVar("T")

# NPY002 wants Generators; here the legacy global state itself is what is exchanged.


class PrivateGenerators:
    """Python's, numpy's and torch's global generators, exchanged for private ones inside a ``with`` block.

    A library that draws from the global generators thus draws from a stream of its own, which goes on
    in the next block where it stopped; outside, nothing was read or changed. Some libraries draw when they
    are imported: that is done in a block of its own, so that the first run of a process is like all others.
    torch takes part if it is imported when the first block begins, so a library that uses torch is imported
    before.

    Args:
        seed: in [0, 2**31); all three start from it.
    """

    def __init__(self, seed: int) -> None:
        own = random.Random(seed)  # noqa: S311 - nothing secret
        self._python = own.getstate()
        self._numpy = np.random.RandomState(seed).get_state()
        self._torch: object = None
        self._seed = seed
        self._outside: tuple[object, object, object] | None = None

    def __enter__(self) -> None:
        torch = sys.modules.get("torch")
        if torch is not None and self._torch is None:
            self._torch = torch.Generator().manual_seed(self._seed).get_state()
        self._outside = self._exchange((self._python, self._numpy, self._torch))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outside, self._outside = self._outside, None
        assert outside is not None, "__exit__ follows __enter__"  # noqa: S101 - our own invariant
        self._python, self._numpy, inside = self._exchange(outside)  # type: ignore[assignment]
        self._torch = inside if self._torch is not None else None

    @staticmethod
    def _exchange(states: tuple[object, object, object]) -> tuple[object, object, object]:
        """Return the global states and put ``states`` in their place; None leaves torch alone."""
        torch = sys.modules.get("torch")
        of_torch = torch.get_rng_state() if torch is not None else None
        before = (random.getstate(), np.random.get_state(), of_torch)  # noqa: NPY002
        random.setstate(states[0])  # type: ignore[arg-type]
        np.random.set_state(states[1])  # type: ignore[arg-type]  # noqa: NPY002
        if torch is not None and states[2] is not None:
            torch.set_rng_state(states[2])
        return before


def in_a_daemon(call: Callable[[], T]) -> T:
    """Return what ``call`` returns in a daemon thread that ends with it.

    A library that starts a thread of its own there makes it a daemon, too, because that is inherited;
    started from the main thread it would keep the process from ending.
    """
    answer: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            answer.append(call())
        except BaseException as error:  # noqa: BLE001 - it goes on below, where it belongs
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return answer[0]

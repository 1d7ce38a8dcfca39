"""Killing the program on purpose, so that tests can show what survives.

``HPBENCH_FAULT="after:store.add:3"`` sends SIGKILL to the process that passes the point ``store.add``
for the third time. Without the variable a point costs one look into a dictionary.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

from hpbench.errors import UsageError

__all__ = ["VARIABLE", "fault_point"]

VARIABLE = "HPBENCH_FAULT"
_PARTS = 3
_passed: Counter[str] = Counter()


def fault_point(name: str) -> None:
    """Mark a place where the program may be killed; it is, if the environment asks for it.

    Raises:
        UsageError: the variable is not of the form ``after:POINT:COUNT``.
    """
    wish = os.environ.get(VARIABLE)
    if not wish:
        return
    parts = wish.split(":")
    if len(parts) != _PARTS or parts[0] != "after" or not parts[2].isdigit():
        raise UsageError(f"{VARIABLE} must be 'after:POINT:COUNT', got {wish!r}.")
    _passed[name] += 1
    if parts[1] == name and _passed[name] == int(parts[2]):
        os.kill(os.getpid(), signal.SIGKILL)

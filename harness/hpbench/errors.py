"""The errors that hpbench shows to its users, and the exit status each one leads to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum

__all__ = [
    "ExitCode",
    "HpbenchError",
    "LockedError",
    "MissingExtraError",
    "ReplayError",
    "StoreError",
    "UnsuitableSpaceError",
    "UsageError",
    "did_you_mean",
    "unknown_name",
]


class ExitCode(IntEnum):
    """What the process ends with; scripts and CI rely on these numbers."""

    COMPLETE = 0
    INTERNAL = 1
    USAGE = 2
    FAILED_CELLS = 3
    STORE = 4
    LOCKED = 5
    INTERRUPTED = 130
    TERMINATED = 143


class HpbenchError(Exception):
    """An error whose message is complete: what must hold, what arrived, what to do."""

    exit_code: ExitCode = ExitCode.INTERNAL


class UsageError(HpbenchError):
    """The user's input cannot be used as it is."""

    exit_code = ExitCode.USAGE


class MissingExtraError(UsageError):
    """A strategy, network or data set needs a package that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}: pip install 'hpbench[{extra}]'")
        self.extra = extra


class UnsuitableSpaceError(UsageError):
    """A strategy cannot search this space, whatever its options; suites skip the pairing and go on."""


class StoreError(HpbenchError):
    """The results on disk are damaged, too new, or cannot be written."""

    exit_code = ExitCode.STORE


class LockedError(HpbenchError):
    """Another process is writing the same results."""

    exit_code = ExitCode.LOCKED


class ReplayError(HpbenchError):
    """On resume a strategy did not propose again what the store says it proposed."""

    exit_code = ExitCode.FAILED_CELLS


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name nearest to ``name``, or ``""``."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that nobody knows: the nearest one first, then all of them.

    Args:
        kind: what was looked for, such as ``"strategy"``.
        name: what arrived.
        known: every name that would have been accepted.
    """
    names = sorted(known)
    return UsageError(
        f"unknown {kind} {name!r}.{did_you_mean(name, names)} Known: {', '.join(names) or 'none'}."
    )

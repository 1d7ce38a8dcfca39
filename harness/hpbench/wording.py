"""How numbers of things are said, on the terminal and in reports alike."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return ``"1 run"``, ``"2 runs"``."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"

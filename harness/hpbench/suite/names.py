"""Names that are safe as a folder, in a glob and in a table on every system; and free text that is safe to show."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["check_label", "check_name", "legal_name"]

_LEGAL = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_LONGEST_NAME = 64
_LONGEST_LABEL = 80
_DEVICES = frozenset(
    {"aux", "con", "nul", "prn", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
)
"""Names that Windows keeps for devices, with any ending."""


def check_name(name: str) -> str:
    """Return ``name`` if it can be a name.

    Raises:
        ValueError: it cannot; the message says why.
    """
    if not _LEGAL.fullmatch(name):
        raise ValueError(
            f"must be 1 to {_LONGEST_NAME} of a-z, 0-9, '_', '.' and '-', beginning with a letter or digit"
        )
    if ".." in name or name.endswith("."):
        raise ValueError("must neither hold '..' nor end with '.'")
    if name.partition(".")[0] in _DEVICES:
        raise ValueError("must not be the name of a Windows device")
    return name


def check_label(label: str) -> str:
    """Return ``label`` if it can stand in figures and tables.

    Raises:
        ValueError: it cannot; the message says why.
    """
    if not label.strip() or len(label) > _LONGEST_LABEL:
        raise ValueError(f"must be 1 to {_LONGEST_LABEL} characters, not only spaces")
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in label):
        raise ValueError("must hold no control characters and no line breaks")
    return label


def legal_name(text: str) -> str:
    """Return the legal name nearest to ``text``: lower case, anything else a dash.

    The result still may be refused by :func:`check_name` if nothing of ``text`` is legal.
    """
    dashed = re.sub(r"[^a-z0-9_.-]+", "-", text.lower())
    single = re.sub(r"\.{2,}", ".", dashed)
    return single.lstrip("_.-")[:_LONGEST_NAME].rstrip(".")

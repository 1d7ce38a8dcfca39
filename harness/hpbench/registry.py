"""Finding strategies, networks and data sets by name, without importing them before they are used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from hpbench.errors import UsageError, unknown_name

__all__ = ["Registry"]

T = TypeVar("T")


@dataclass
class Registry(Generic[T]):
    """Names that stand for ``"module:attribute"``, loaded when asked for.

    Three sources, the first that knows a name wins: what a ``--plugin`` file registered, what this
    package ships, and the installed entry points of ``group``.

    Attributes:
        kind: the noun for messages, such as ``"strategy"``.
        group: the entry-point group, such as ``"hpbench.strategies"``.
        builtin: name → ``"module:attribute"``.
    """

    kind: str
    group: str
    builtin: dict[str, str]
    _added: dict[str, T] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return every known name, sorted."""
        installed = {point.name for point in entry_points(group=self.group)}
        return sorted({*self._added, *self.builtin, *installed})

    def get(self, name: str) -> T:
        """Return the object called ``name``.

        Raises:
            UsageError: nobody knows the name (the message gives the nearest one), or the module
                behind it cannot be imported.
        """
        if name in self._added:
            return self._added[name]
        if name in self.builtin:
            module, _, attribute = self.builtin[name].partition(":")
            found: T = getattr(importlib.import_module(module), attribute)
            return found
        for point in entry_points(group=self.group, name=name):
            try:
                loaded: T = point.load()
            except ImportError as error:
                message = (
                    f"{self.kind} {name!r} is registered as {point.value!r}, but importing it failed: {error}"
                )
                raise UsageError(message) from error
            return loaded
        raise unknown_name(self.kind, name, self.names())

    def add(self, name: str, item: T) -> None:
        """Register ``item`` under ``name``; how a ``--plugin`` file brings in its own code.

        Raises:
            UsageError: the name is taken.
        """
        if name in self.names():
            message = f"{self.kind} {name!r} exists already; register yours under another name."
            raise UsageError(message)
        self._added[name] = item

    def reset(self) -> None:
        """Forget what was added; for tests."""
        self._added.clear()

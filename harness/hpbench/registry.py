"""Finding strategies, networks and data sets by name, without importing them before they are used."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from hpbench.errors import MissingExtraError, UsageError, unknown_name

__all__ = ["Extra", "Registry"]

T = TypeVar("T")


@dataclass(frozen=True)
class Extra:
    """An optional extra of this package, and what it brings.

    Attributes:
        name: as in ``pip install 'hpbench[name]'``.
        modules: the top-level modules that must be there; they are looked for, never imported.
    """

    name: str
    modules: tuple[str, ...]

    def missing(self) -> tuple[str, ...]:
        """Return the modules that are not installed."""
        return tuple(module for module in self.modules if not _installed(module))


@dataclass
class Registry(Generic[T]):
    """Names that stand for ``"module:attribute"``, loaded when asked for.

    Three sources, the first that knows a name wins: what a ``--plugin`` file registered, what this
    package ships, and the installed entry points of ``group``.

    Attributes:
        kind: the noun for messages, such as ``"strategy"``.
        group: the entry-point group, such as ``"hpbench.strategies"``.
        builtin: name → ``"module:attribute"``.
        extras: module of ours, as in ``builtin`` → the extra without which it cannot work.
        left_out: name → why this package does not ship what bears it.
        wanted: what an item must be, in words.
        fits: whether an item of others is that.
    """

    kind: str
    group: str
    builtin: dict[str, str]
    extras: Mapping[str, Extra] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    wanted: str = "anything"
    fits: Callable[[object], bool] = lambda _item: True
    _added: dict[str, T] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return every known name, sorted."""
        installed = {point.name for point in entry_points(group=self.group)}
        return sorted({*self._added, *self.builtin, *installed})

    def get(self, name: str) -> T:
        """Return the object called ``name``.

        Raises:
            MissingExtraError: the extra that brings the library behind the name is not installed.
            UsageError: nobody knows the name (the message gives the nearest one), it was left out (the
                message says why), the module behind it cannot be imported, or holds something else.
        """
        if name in self._added:
            return self._added[name]
        if name in self.builtin:
            module, _, attribute = self.builtin[name].partition(":")
            extra = self.extra_of(name)
            if extra is not None and extra.missing():
                raise MissingExtraError(f"{self.kind} {name!r}", extra.name)
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
            self._check(name, loaded)
            return loaded
        if name in self.left_out:
            raise UsageError(f"{self.kind} {name!r} was left out: {self.left_out[name]}.")
        raise unknown_name(self.kind, name, self.names())

    def extra_of(self, name: str) -> Extra | None:
        """Return the extra that the built-in ``name`` needs, installed or not; None if it needs none."""
        if name in self._added or name not in self.builtin:
            return None
        return self.extras.get(self.builtin[name].partition(":")[0])

    def add(self, name: str, item: T) -> None:
        """Register ``item`` under ``name``; how a ``--plugin`` file brings in its own code.

        Raises:
            UsageError: the name is taken, or ``item`` is not what is registered here.
        """
        self._check(name, item)
        if name in self.names():
            message = f"{self.kind} {name!r} exists already; register yours under another name."
            raise UsageError(message)
        self._added[name] = item

    def _check(self, name: str, item: object) -> None:
        """Raise unless ``item``, of others, is what this registry holds."""
        if not self.fits(item):
            raise UsageError(f"{self.kind} {name!r} must be {self.wanted}, got {item!r}.")

    def reset(self) -> None:
        """Forget what was added; for tests."""
        self._added.clear()


def _installed(module: str) -> bool:
    """Return whether a top-level module can be found; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False

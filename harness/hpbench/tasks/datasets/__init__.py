"""Data sets by name, and their splits."""

from __future__ import annotations

from functools import cache

from hpbench.registry import Registry
from hpbench.tasks.datasets.base import Dataset, DatasetLoader, DatasetSource

__all__ = ["REGISTRY", "SOURCES", "Dataset", "DatasetLoader", "DatasetSource", "is_known", "load"]

_BUNDLED = "hpbench.tasks.datasets.bundled"
_GENERATED = "hpbench.tasks.datasets.generated"

REGISTRY: Registry[DatasetLoader] = Registry(
    "data set",
    "hpbench.datasets",
    {
        "breast-cancer": f"{_BUNDLED}:breast_cancer",
        "digits": f"{_BUNDLED}:digits",
        "iris": f"{_BUNDLED}:iris",
        "moons": f"{_GENERATED}:moons",
        "sparse": f"{_GENERATED}:sparse",
        "spirals": f"{_GENERATED}:spirals",
        "wine": f"{_BUNDLED}:wine",
    },
)

SOURCES: Registry[DatasetSource] = Registry("data set source", "hpbench.dataset_sources", {})
"""Prefixes: a name ``"prefix:rest"`` is loaded by giving ``rest`` to what the prefix stands for."""


def is_known(name: str) -> bool:
    """Return whether :func:`load` would find somebody to load ``name``; nothing is imported or read."""
    prefix, colon, _ = name.partition(":")
    return name in REGISTRY.names() or (bool(colon) and prefix in SOURCES.names())


@cache
def load(name: str) -> Dataset:
    """Return the data set called ``name``; a process loads it once.

    Raises:
        UsageError: nobody knows the name (the message gives the nearest one), or what was loaded
            cannot be used.
    """
    prefix, colon, rest = name.partition(":")
    if colon and prefix in SOURCES.names():
        return SOURCES.get(prefix)(rest)
    return REGISTRY.get(name)()

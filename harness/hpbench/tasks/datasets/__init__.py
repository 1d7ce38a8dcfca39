"""Data sets by name, and their splits."""

from __future__ import annotations

from functools import cache

from hpbench.errors import UsageError, unknown_name
from hpbench.registry import Registry
from hpbench.tasks.datasets.base import Dataset, DatasetLoader, DatasetSource, DataSpec
from hpbench.tasks.datasets.images import as_images
from hpbench.tasks.datasets.subsets import subset

__all__ = [
    "REGISTRY",
    "SOURCES",
    "DataSpec",
    "Dataset",
    "DatasetLoader",
    "DatasetSource",
    "from_source",
    "is_known",
    "load",
    "unknown_data",
]

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

SOURCES: Registry[DatasetSource] = Registry(
    "data set source",
    "hpbench.dataset_sources",
    {
        "file": "hpbench.tasks.datasets.files:from_file",
        "openml": "hpbench.tasks.datasets.openml:from_openml",
    },
)
"""Prefixes: a name ``"prefix:rest"`` is loaded by what the prefix stands for."""


def is_known(name: str) -> bool:
    """Return whether :func:`load` would find somebody to load ``name``; nothing is imported or read."""
    return name in REGISTRY.names() or from_source(name)


def from_source(name: str) -> bool:
    """Return whether ``name`` has a prefix that stands for a source, such as ``"file:"``."""
    prefix, colon, _ = name.partition(":")
    return bool(colon) and prefix in SOURCES.names()


def unknown_data(name: str) -> UsageError:
    """Return the error for a name that nobody knows; it lists names and prefixes."""
    return unknown_name("data set", name, [*REGISTRY.names(), *(f"{name}:..." for name in SOURCES.names())])


@cache
def load(wanted: str | DataSpec) -> Dataset:
    """Return a data set; a process loads it once.

    Args:
        wanted: what a task says of its data, or just a name.

    Raises:
        UsageError: nobody knows the name (the message gives the nearest one), what was loaded cannot
            be used, or ``target``, ``shape`` or ``subset`` do not fit it.
    """
    if isinstance(wanted, str):
        return load(DataSpec(wanted))
    if wanted != wanted.plain():
        return load(wanted.plain())
    if from_source(wanted.name):
        found = SOURCES.get(wanted.name.partition(":")[0])(wanted)
    elif wanted.name not in REGISTRY.names():
        raise unknown_data(wanted.name)
    elif wanted.target is not None:
        raise UsageError(
            f"`target` must be left out for data set {wanted.name!r}, which knows what is to be predicted, "
            f"got {wanted.target!r}. It is for 'file:' and 'openml:'."
        )
    else:
        found = REGISTRY.get(wanted.name)()
    if wanted.shape is not None:
        found = as_images(found, wanted.shape)
    return found if wanted.subset is None else subset(found, wanted.subset, root_seed=wanted.root_seed)

"""What can be known of this machine without training anything or importing a library."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

from hpbench.environment import THREAD_VARIABLES, describe, find_compiler, library_version
from hpbench.errors import MissingExtraError, UsageError
from hpbench.files import cache_folder
from hpbench.registry import Extra
from hpbench.store import sqlite_version
from hpbench.strategies import LEFT_OUT, REGISTRY

__all__ = ["facts"]

_PARQUET = Extra("parquet", ("pyarrow",))


def facts(*, workers: int) -> dict[str, Any]:
    """Return what is installed and set here, as JSON values.

    Args:
        workers: training processes that ``hpbench run`` would start.
    """
    found = describe(threads=1, workers=workers)
    return {
        "hpbench": found.pop("hpbench"),
        "machine": found,
        "executable": sys.executable,
        "sqlite": sqlite_version(),
        "compiler": shlex.join(find_compiler() or []) or None,
        "cache": str(cache_folder("")),
        "variables": {name: os.environ[name] for name in (*THREAD_VARIABLES, "CC") if name in os.environ},
        "strategies": _strategies(),
        "missing": _missing(),
        "left_out": dict(LEFT_OUT),
    }


def _strategies() -> list[dict[str, Any]]:
    """Return every strategy with its library and version, and, for those that are not there, why."""
    entries = []
    for name in REGISTRY.names():
        entry: dict[str, Any] = {"name": name, "library": None, "version": None, "missing": None}
        try:
            entry["library"] = REGISTRY.get(name).library
        except MissingExtraError as error:
            entry["missing"] = error.extra
        except UsageError:  # an entry point that cannot be imported: the self-test says so
            entry["library"] = None
        entry["version"] = library_version(entry["library"])
        entries.append(entry)
    return entries


def _missing() -> list[dict[str, Any]]:
    """Return every extra that is not installed: what it brings, which modules it lacks, what installs it."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(REGISTRY.builtin):
        extra = REGISTRY.extra_of(name)
        if extra is not None and extra.missing():
            found.setdefault(extra.name, _lacking(extra))["brings"].append(name)
    if _PARQUET.missing():
        found["parquet"] = {**_lacking(_PARQUET), "brings": ["Parquet files", "trials.parquet"]}
    return [found[name] for name in sorted(found)]


def _lacking(extra: Extra) -> dict[str, Any]:
    """Return an extra that is not installed, without what it brings."""
    return {
        "extra": extra.name,
        "modules": list(extra.missing()),
        "install": f"pip install 'hpbench[{extra.name}]'",
        "brings": [],
    }

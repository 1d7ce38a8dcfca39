"""The results of a study on disk: one SQLite file."""

from __future__ import annotations

from hpbench.store.opening import STORE_NAME, store_path
from hpbench.store.schema import sqlite_version
from hpbench.store.store import Store

__all__ = ["STORE_NAME", "Store", "sqlite_version", "store_path"]

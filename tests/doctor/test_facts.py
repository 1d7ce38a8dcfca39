from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from importlib.metadata import EntryPoint, version
from pathlib import Path

import pytest

from hpbench import registry as module
from hpbench.doctor import facts
from hpbench.strategies import EXTRAS, LEFT_OUT, REGISTRY

BLOCKED = sorted({"pyarrow", *(name for extra in EXTRAS.values() for name in extra.modules)})
WITHOUT = f"""
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from hpbench.doctor import facts
print(json.dumps(facts(workers=1)))
"""


def test_without_the_extras_each_is_named_with_what_installs_it() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    missing = {item["extra"]: item for item in found["missing"]}
    assert set(missing) == {"parquet", *(extra.name for extra in EXTRAS.values())}
    for name, item in missing.items():
        assert item["install"] == f"pip install 'hpbench[{name}]'"
    lacking = {entry["name"] for entry in found["strategies"] if entry["missing"]}
    assert lacking == {name for name in REGISTRY.builtin if REGISTRY.extra_of(name) is not None}
    assert lacking == {
        name for item in missing.values() for name in item["brings"] if name in REGISTRY.builtin
    }


def test_what_is_known_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "kept"))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("CC", f"{sys.executable} -W ignore")
    found = facts(workers=2)
    assert found["cache"] == str(tmp_path / "kept")
    assert found["variables"]["OMP_NUM_THREADS"] == "3"
    assert found["compiler"] == f"{sys.executable} -W ignore"
    assert found["sqlite"] == sqlite3.sqlite_version
    assert found["machine"]["libraries"]["torch"] == version("torch")
    assert found["left_out"] == LEFT_OUT
    entries = {entry["name"]: entry for entry in found["strategies"]}
    assert entries["skopt-gp"]["library"] == "scikit-optimize"
    assert entries["skopt-gp"]["version"] == version("scikit-optimize")
    assert not (tmp_path / "kept").exists()
    json.dumps(found, allow_nan=False)


def test_without_a_compiler_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    assert facts(workers=1)["compiler"] is None


def test_an_entry_point_that_cannot_be_imported_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("broken", "no_such_module_at_all:x", "hpbench.strategies")

    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        return [point] if group == point.group and name in (None, point.name) else []

    monkeypatch.setattr(module, "entry_points", entry_points)
    assert "broken" in [entry["name"] for entry in facts(workers=1)["strategies"]]

"""Without the extras everything else works, and asking for what is missing names what installs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hpbench.errors import UsageError
from hpbench.registry import Extra, Registry
from hpbench.strategies import EXTRAS, LEFT_OUT, REGISTRY

BLOCKED = sorted({module for extra in EXTRAS.values() for module in extra.modules})
WITHOUT = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from hpbench.cli import run_program
sys.exit(run_program(sys.argv[1:]))
"""
NEEDY = sorted(name for name in REGISTRY.builtin if REGISTRY.extra_of(name) is not None)


def call(*words: str) -> subprocess.CompletedProcess[str]:
    """Return what hpbench answers in a process that can import none of the extras."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, check=False
    )


def extra_of(name: str) -> str:
    extra = REGISTRY.extra_of(name)
    assert extra is not None
    return extra.name


def test_the_list_shows_what_is_missing_and_what_installs_it() -> None:
    done = call("list", "strategies", "--json")
    assert done.returncode == 0, done.stderr
    listed = {entry["name"]: entry for entry in json.loads(done.stdout)}
    assert set(listed) >= set(REGISTRY.builtin)
    missing = {name: entry["missing_extra"] for name, entry in listed.items() if entry["missing_extra"]}
    assert missing == {name: extra_of(name) for name in NEEDY}
    for name, extra in missing.items():
        assert f"pip install 'hpbench[{extra}]'" in listed[name]["summary"]


@pytest.mark.parametrize(
    "name",
    [
        next(name for name in NEEDY if extra_of(name) == extra)
        for extra in sorted({extra_of(name) for name in NEEDY})
    ],
)
def test_asking_for_what_is_missing_names_the_extra(name: str, tmp_path: Path) -> None:
    suite = tmp_path / "wants.toml"
    suite.write_text(
        'schema = 1\nname = "wants"\nroot_seed = 1\nrepetitions = 1\nbudget = { trials = 2 }\n'
        'tasks = [{ dataset = "iris", network = "mlp", epochs = 1 }]\n'
        f'strategies = [{{ use = "random" }}, {{ use = "{name}" }}]\n',
        encoding="utf-8",
    )
    for words in (("show", "strategy", name), ("plan", str(suite))):
        done = call(*words)
        assert done.returncode == 2, done.stderr
        assert (
            f"{name!r} needs the extra {extra_of(name)!r}: pip install 'hpbench[{extra_of(name)}]'"
            in done.stderr
        )


def test_everything_else_works_without_them() -> None:
    done = call("plan", "smoke")
    assert done.returncode == 0, done.stderr


def test_what_was_left_out_is_no_name_and_has_its_reason() -> None:
    assert not set(LEFT_OUT) & set(REGISTRY.names())
    assert all(not reason.endswith(".") and len(reason.split()) > 3 for reason in LEFT_OUT.values())
    registry: Registry[object] = Registry("thing", "hpbench.things", {}, left_out={"pi": "it never ends"})
    with pytest.raises(UsageError, match="thing 'pi' was left out: it never ends"):
        registry.get("pi")


def test_an_extra_tells_which_modules_are_missing() -> None:
    assert Extra("half", ("json", "no_such_module_at_all")).missing() == ("no_such_module_at_all",)
    assert not Extra("whole", ("json",)).missing()

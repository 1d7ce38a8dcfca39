"""What no single module can promise: who imports whom, what loads when, that everything public is documented."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "harness" / "hpbench"

LAYERS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "__init__",
            "environment",
            "errors",
            "faults",
            "files",
            "lock",
            "plugins",
            "seeding",
            "signals",
            "wording",
        }
    ),
    frozenset({"canonical", "overrides", "registry", "space", "study", "trial"}),
    frozenset({"strategies", "tasks"}),
    frozenset({"clock", "store", "suite"}),
    frozenset(
        {
            "answers",
            "clockwork",
            "finals",
            "compilation",
            "description",
            "driver",
            "executors",
            "export",
            "jobs",
            "lockstep",
            "plan",
            "replay",
            "runner",
            "session",
            "shards",
        }
    ),
    frozenset({"analysis", "doctor", "testing"}),
    frozenset({"__main__", "api", "cli"}),
)
"""The units of the package from the bottom to the top; a unit imports from below and from its own layer."""

DOOR = {"__init__": {"api"}}
"""What a unit names above itself, loaded when a user first asks for it; a test sees to that."""

APART = {
    "strategies": {"tasks"},
    "tasks": {"strategies"},
    "analysis": {
        "strategies",
        "tasks",
        "suite",
        "plan",
        "runner",
        "executors",
        "driver",
        "lockstep",
        "testing",
    },
    "testing": {"analysis", "runner", "executors"},
    "store": {"suite"},
}
"""What a unit must not import although it lies below or beside it."""

HOMES = {
    "ConfigSpace": {"strategies"},
    "botorch": {"strategies"},
    "gpytorch": {"strategies"},
    "linear_operator": {"strategies"},
    "pymoo": {"strategies"},
    "ray": {"strategies"},
    "smac": {"strategies"},
    "click": {"cli"},
    "hyperopt": {"strategies"},
    "lightgbm": {"strategies"},
    "nevergrad": {"strategies"},
    "optuna": {"strategies"},
    "rich": {"__init__", "cli"},
    "matplotlib": {"analysis"},
    "pandas": {"analysis"},
    "seaborn": {"analysis"},
    "pydantic": {"strategies", "suite"},
    "pyarrow": {"export", "tasks"},
    "scipy": {"analysis", "environment", "strategies"},
    "skopt": {"strategies"},
    "sklearn": {"analysis", "strategies", "tasks"},
    "sqlite3": {"schema", "store"},
    "tomllib": {"suite"},
    "torch": {"strategies", "tasks", "testing"},
}
"""Libraries that are the business of a few units alone."""

DISTRIBUTIONS = {
    "pydantic_core": "pydantic",
    "skopt": "scikit-optimize",
    "sklearn": "scikit-learn",
    "ConfigSpace": "smac",
    "gpytorch": "botorch",
    "linear_operator": "botorch",
}
"""Import name → the declared distribution that is it, or that brings it."""
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = [path.relative_to(PACKAGE).as_posix() for path in MODULES]


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def unit_of(path: Path) -> str:
    """Return the unit that a module belongs to: the file or folder directly below the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything that a module imports, anywhere in it."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_units(path: Path) -> set[str]:
    """Return the units that a module imports from."""
    dotted = [name.split(".") for name in imported(path) if name.split(".")[0] == "hpbench"]
    known = frozenset().union(*LAYERS)
    return {parts[1] if len(parts) > 1 and parts[1] in known else "__init__" for parts in dotted}


def layer_of(unit: str) -> int:
    """Return the number of the layer of a unit, from 0 at the bottom."""
    (found,) = [number for number, units in enumerate(LAYERS) if unit in units]
    return found


def test_every_unit_has_its_layer() -> None:
    units = {unit_of(path) for path in MODULES}
    assert units <= frozenset().union(*LAYERS)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_imports_point_downwards(path: Path) -> None:
    unit = unit_of(path)
    above = {other for other in own_units(path) - {unit} if layer_of(other) > layer_of(unit)}
    assert above <= DOOR.get(unit, set())


def test_importing_hpbench_loads_nothing_heavy() -> None:
    assert not loaded_by("import hpbench\nhpbench.__version__\ndir(hpbench)") & HEAVY
    assert "api" not in (ROOT / "harness" / "hpbench" / "cli" / "app.py").read_text(encoding="utf-8")


def test_loading_a_study_from_python_loads_neither_torch_nor_matplotlib() -> None:
    assert not loaded_by("import hpbench\nhpbench.load, hpbench.run") & {
        "torch",
        "matplotlib",
        "skopt",
        "pydantic",
    }


@pytest.mark.parametrize("unit", APART)
def test_what_is_kept_apart_stays_apart(unit: str) -> None:
    for path in MODULES:
        if unit_of(path) == unit:
            assert not own_units(path) & APART[unit], path


def test_units_of_one_layer_do_not_import_each_other_in_a_circle() -> None:
    edges: dict[str, set[str]] = {}
    for path in MODULES:
        edges.setdefault(unit_of(path), set()).update(own_units(path) - {unit_of(path)})
    settled: set[str] = set()
    edges["__init__"] -= DOOR["__init__"]
    while len(settled) < len(edges):
        free = {
            unit for unit, needs in edges.items() if unit not in settled and needs & set(edges) <= settled
        }
        assert free, f"a circle among {sorted(set(edges) - settled)}"
        settled |= free


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_libraries_are_imported_where_they_belong(path: Path) -> None:
    unit = unit_of(path)
    for name in imported(path):
        library = name.split(".")[0]
        assert unit in HOMES.get(library, {unit}), f"{library} is none of {unit}'s business"


def test_every_library_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    declared = {line.partition(">=")[0].partition("[")[0] for line in lines}
    used = {name.split(".")[0] for path in MODULES for name in imported(path)}
    foreign = {name for name in used if name not in sys.stdlib_module_names and name != "hpbench"}
    assert {DISTRIBUTIONS.get(name, name) for name in foreign} <= declared


def test_nothing_is_pickled_by_hand_but_what_a_process_of_our_own_is_sent() -> None:
    calls = PACKAGE / "analysis" / "children.py"
    for path in [path for path in MODULES if unit_of(path) != "testing" and path != calls]:
        assert not {"pickle", "dill", "cloudpickle", "shelve", "marshal"} & {
            name.split(".")[0] for name in imported(path)
        }


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler is bare or names Exception; BaseException is for cleaning up and raising again."""
    return handler.type is None or (isinstance(handler.type, ast.Name) and handler.type.id == "Exception")


def test_exceptions_are_caught_broadly_in_one_place() -> None:
    places = [
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if unit_of(path) != "testing"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    ]
    assert places == ["answers.py"]


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_everything_public_is_documented(path: Path) -> None:
    module = tree(path)
    assert ast.get_docstring(module)
    for node in module.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                    assert ast.get_docstring(member), f"{node.name}.{member.name}"


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_what_is_announced_exists_and_is_sorted_by_name(path: Path) -> None:
    body = tree(path).body
    lists = [
        node.value
        for node in body
        if isinstance(node, ast.Assign)
        and [getattr(target, "id", "") for target in node.targets] == ["__all__"]
    ]
    for value in lists:
        announced = ast.literal_eval(value)
        assert len(set(announced)) == len(announced)
        defined = {getattr(node, "name", None) for node in body}
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                defined |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                defined.add(node.id)
        assert set(announced) <= defined


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh process has loaded after ``code``."""
    text = f"import sys, json\n{code}\nprint()\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


HEAVY = {
    "ConfigSpace",
    "botorch",
    "pymoo",
    "ray",
    "smac",
    "torch",
    "matplotlib",
    "seaborn",
    "pandas",
    "sklearn",
    "skopt",
    "scipy",
    "hyperopt",
    "lightgbm",
    "nevergrad",
    "optuna",
    "numpy",
    "pydantic",
    "rich",
    "pyarrow",
}


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["run", "-h"], ["show", "task", "-h"], ["doctor", "-h"]]
)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    loaded = loaded_by(f"from hpbench.cli import run_program\nrun_program({words!r})")
    assert not loaded & HEAVY


def test_listing_trains_and_draws_nothing() -> None:
    code = "from hpbench.cli import run_program\nrun_program(['list', 'strategies'])\nrun_program(['list', 'networks'])"
    assert not loaded_by(code) & {
        "ConfigSpace",
        "botorch",
        "pymoo",
        "ray",
        "smac",
        "torch",
        "matplotlib",
        "seaborn",
        "pandas",
        "skopt",
        "sklearn",
        "hyperopt",
        "lightgbm",
        "nevergrad",
        "optuna",
    }


def test_the_process_that_runs_a_study_does_not_load_torch() -> None:
    assert "torch" not in loaded_by("import hpbench.runner, hpbench.cli.display")


def test_the_analysis_does_not_load_torch() -> None:
    assert not loaded_by("import hpbench.analysis.report") & {"torch", "skopt", "pydantic"}

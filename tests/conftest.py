"""What all tests share: golden files and the option that writes them anew."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

from hpbench import plugins
from hpbench.strategies import REGISTRY as STRATEGIES
from hpbench.tasks.datasets import REGISTRY as DATASETS
from hpbench.tasks.families import REGISTRY as FUNCTIONS
from hpbench.tasks.networks import REGISTRY as NETWORKS

# the same examples each time, no clock, no example database beside the code
settings.register_profile("hpbench", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("hpbench")

GOLDEN = Path(__file__).parent / "assets" / "golden"
FAKE_STUDY = Path(__file__).parent / "plugins" / "fake_study.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate-golden",
        action="store_true",
        help="write tests/assets/golden/* from what the code does now, instead of comparing",
    )


def same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal; floats up to the last digits, which libm may choose."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12)
    return type(one) is type(other) and bool(one == other)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Any], None]:
    """Compare a JSON value with a golden file, or write the file if asked to."""

    def compare(name: str, value: Any) -> None:
        path = GOLDEN / name
        if request.config.getoption("--regenerate-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
            pytest.skip(f"{path.name} was written anew; run again without --regenerate-golden")
        expected = json.loads(path.read_text(encoding="utf-8"))
        found = json.loads(json.dumps(value))
        assert same(found, expected), (
            f"{path.name} no longer matches; if that is meant, run with --regenerate-golden and review the diff"
        )

    return compare


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Whatever plug-ins a test loads are forgotten after it."""
    yield
    plugins.reset()
    for registry in (STRATEGIES, DATASETS, FUNCTIONS, NETWORKS):
        registry.reset()


@pytest.fixture(scope="module")
def fake() -> Iterator[ModuleType]:
    """The plug-in ``plugins/fake_study.py``, loaded and registered while a module's tests run."""
    plugins.load_plugins([FAKE_STUDY])
    yield importlib.import_module(plugins.plugin_module(FAKE_STUDY))
    plugins.reset()
    for registry in (STRATEGIES, DATASETS, FUNCTIONS, NETWORKS):
        registry.reset()


@pytest.fixture(scope="session")
def synthetic() -> Iterator[ModuleType]:
    """The maker of synthetic studies, of the tests of the analysis."""
    path = Path(__file__).parent / "analysis" / "conftest.py"
    spec = importlib.util.spec_from_file_location("synthetic_studies", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]

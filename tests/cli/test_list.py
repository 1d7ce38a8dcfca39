from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpbench.cli.list import first_sentence
from hpbench.errors import MissingExtraError
from hpbench.registry import Registry
from hpbench.strategies import REGISTRY as STRATEGIES
from hpbench.suite import bundled_suites
from hpbench.tasks.datasets import REGISTRY as DATASETS
from hpbench.tasks.datasets import SOURCES
from hpbench.tasks.families import REGISTRY as FUNCTIONS
from hpbench.tasks.networks import REGISTRY as NETWORKS

NAMES = {
    "strategies": STRATEGIES.names,
    "datasets": lambda: [*DATASETS.names(), *(f"{name}:..." for name in SOURCES.names())],
    "networks": NETWORKS.names,
    "functions": FUNCTIONS.names,
    "suites": lambda: sorted(bundled_suites()),
}


@pytest.mark.parametrize("kind", NAMES)
def test_every_name_is_listed_with_what_it_is(call: Callable[..., Any], kind: str) -> None:
    answer = call("list", kind)
    header, *lines = answer.out.splitlines()
    assert answer.code == 0
    assert header.split() == ["NAME", "WHAT", "IT", "IS"]
    assert [line.split()[0] for line in lines] == NAMES[kind]()
    assert all(len(line.split()) > 2 for line in lines)


@pytest.mark.parametrize("kind", NAMES)
def test_other_programs_get_json(call: Callable[..., Any], kind: str) -> None:
    entries = json.loads(call("list", kind, "--json").out)
    assert [entry["name"] for entry in entries] == NAMES[kind]()
    assert all(entry["summary"] for entry in entries)


def test_json_of_a_strategy_says_what_it_can_do(call: Callable[..., Any]) -> None:
    found = {entry["name"]: entry for entry in json.loads(call("list", "strategies", "--json").out)}
    assert found["random"]["capabilities"] == ["conditional", "non_adaptive", "parallel"]
    assert found["skopt-gp"]["library"] == "scikit-optimize"


def test_a_strategy_without_its_library_is_listed_with_what_installs_it(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(_registry: Registry[Any], name: str) -> Any:
        raise MissingExtraError(f"strategy {name!r}", "optuna")

    monkeypatch.setattr(Registry, "get", get)
    answer = call("list", "strategies")
    assert answer.code == 0
    assert "strategy 'grid' needs the extra 'optuna': pip install 'hpbench[optuna]'" in answer.out


def test_a_plugin_adds_names(call: Callable[..., Any], tmp_path: Path) -> None:
    plugin = tmp_path / "brings_iris_again.py"
    plugin.write_text(
        "from hpbench.tasks.datasets import REGISTRY, load\n"
        "def again():\n"
        '    """Return the flowers once more."""\n'
        '    return load("iris")\n'
        'REGISTRY.add("iris-again", again)\n',
        encoding="utf-8",
    )
    try:
        assert "iris-again     The flowers once more" in call("list", "datasets", "--plugin", plugin).out
    finally:
        DATASETS.reset()


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize(
    ("module", "item", "wanted"),
    [
        ("strategies", "dict", "a subclass of hpbench.strategies.Strategy"),
        ("strategies", "3", "a subclass of hpbench.strategies.Strategy"),
        ("tasks.networks", "lambda: 1", "a hpbench.tasks.networks.NetworkFamily"),
        ("tasks.families", "None", "a hpbench.tasks.families.TaskFamily"),
    ],
)
def test_a_plugin_that_registers_something_else_is_2(
    call: Callable[..., Any], tmp_path: Path, module: str, item: str, wanted: str
) -> None:
    plugin = tmp_path / "other_things.py"
    plugin.write_text(
        f"from hpbench.{module} import REGISTRY\nREGISTRY.add('foo', {item})\n", encoding="utf-8"
    )
    answer = call("list", "strategies", "--plugin", plugin)
    assert answer.code == 2
    assert f"'foo' must be {wanted}, got" in answer.err


@pytest.mark.parametrize("content", ["def broken(:", "import a_module_that_does_not_exist"])
def test_a_plugin_that_cannot_be_loaded_is_2(call: Callable[..., Any], tmp_path: Path, content: str) -> None:
    plugin = tmp_path / "bad_plugin.py"
    plugin.write_text(content, encoding="utf-8")
    answer = call("list", "datasets", "--plugin", plugin)
    assert answer.code == 2
    assert "bad_plugin.py" in answer.err


def test_a_missing_plugin_is_2(call: Callable[..., Any], tmp_path: Path) -> None:
    answer = call("list", "datasets", "--plugin", tmp_path / "nothing.py")
    assert answer.code == 2
    assert "--plugin must name a Python file" in answer.err


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Return 150 flowers, ``iris``.\n\nMore.", "150 flowers, iris"),
        ("Draws at random.", "Draws at random"),
        (None, "No description"),
        ("", "No description"),
        ("   ", "No description"),
    ],
)
def test_the_first_sentence_becomes_a_heading(docstring: str | None, expected: str) -> None:
    assert first_sentence(docstring) == expected

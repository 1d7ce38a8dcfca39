from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpbench.tasks.datasets import load
from hpbench.tasks.networks import REGISTRY as NETWORKS

TABLE = "age,job,income\n" + "".join(
    f"{row if row % 5 else ''},{'cook' if row % 3 else 'clerk'},{'high' if row % 2 else 'low'}\n"
    for row in range(40)
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_rows_columns_classes_and_parts_of_a_table(call: Callable[..., Any], table: Path) -> None:
    answer = call("show", "data", f"file:{table}", "--target", "income")
    assert answer.code == 0
    assert answer.out.splitlines()[:7] == [
        "Data set file:people.csv",
        "Rows: 40",
        "Inputs of a network: 3 numbers",
        "Columns: 2, 1 of numbers, 1 of categories",
        "Missing values, filled in by the training part: age (8)",
        "Classes: 2",
        "Parts: 24 training, 8 validation, 8 test",
    ]
    assert "Origin: source file, file people.csv, sha256 " in answer.out
    assert [line.split() for line in answer.out.splitlines()[-2:]] == [["high", "20"], ["low", "20"]]


def test_images_and_a_subset(call: Callable[..., Any]) -> None:
    lines = call("show", "data", "digits", "--subset", 200).out.splitlines()
    assert lines[1:3] == ["Rows: 200", "Inputs of a network: images of shape (1, 8, 8)"]
    assert "Parts: 120 training, 40 validation, 40 test" in lines


def test_vectors(call: Callable[..., Any]) -> None:
    assert "Columns: 13 of numbers" in call("show", "data", "wine").out


def test_many_classes_are_counted_not_listed(call: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("a,y\n" + "".join(f"{row},c{row % 30:02}\n" for row in range(120)), encoding="utf-8")
    out = call("show", "data", f"file:{path}", "--target", "y").out
    assert "Classes: 30" in out
    assert out.endswith("and 10 more\n")


def test_json(call: Callable[..., Any], table: Path) -> None:
    content = json.loads(call("show", "data", f"file:{table}", "--target", "income", "--json").out)
    assert content["columns"] == [
        {"name": "age", "categories": [], "missing": 8},
        {"name": "job", "categories": ["clerk", "cook"], "missing": 0},
    ]
    assert content["classes"] == [{"name": "high", "rows": 20}, {"name": "low", "rows": 20}]
    assert content["split"] == {"train": 24, "validation": 8, "test": 8}
    assert (content["rows"], content["shape"]) == (40, [3])


@pytest.mark.parametrize("network", NETWORKS.names())
def test_json_of_a_task_has_the_whole_space(call: Callable[..., Any], network: str) -> None:
    content = json.loads(call("show", "task", "digits", network, "--json").out)
    family = NETWORKS.get(network)
    assert [item["name"] for item in content["space"]] == list(family.space.names)
    assert content["default"] == family.space.default_config()
    sizes = {"examples": 1797, "shape": [1, 8, 8], "n_classes": 10}
    assert content["dataset"] == {"name": "digits", "target_kind": "classification", **sizes}


def test_a_task_on_a_table(call: Callable[..., Any], table: Path) -> None:
    answer = call("show", "task", f"file:{table}", "mlp", "--target", "income", "--subset", 10)
    assert "10 examples of shape (3,), 2 classes" in answer.out


def test_vectors_that_may_be_images_get_a_hint(call: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "pixels.csv"
    digits = load("digits")
    rows = digits.inputs[:60].reshape(60, 64).astype(int)
    names = ",".join(f"p{number}" for number in range(64))
    text = "".join(
        f"{','.join(map(str, row))},{label}\n" for row, label in zip(rows, digits.targets, strict=False)
    )
    path.write_text(f"{names},digit\n{text}", encoding="utf-8")
    answer = call("show", "task", f"file:{path}", "cnn", "--target", "digit")
    assert answer.code == 2
    assert "set `shape = [1, 8, 8]`" in answer.err
    assert call("show", "task", f"file:{path}", "cnn", "--target", "digit", "--shape", "1,8,8").code == 0


@pytest.mark.parametrize(
    "shape",
    ["8", "1,2,3,4", "a,b", "0,4", "-1,4", "", "65537,1", "²,4", pytest.param(f"{'9' * 5000},1", id="long")],
)
def test_a_shape_that_is_none_is_2(call: Callable[..., Any], shape: str) -> None:
    answer = call("show", "data", "digits", "--shape", shape)
    assert answer.code == 2
    assert "'--shape': must be two or three whole numbers from 1 to 65536" in " ".join(answer.err.split())
    assert len(answer.err) < 400


@pytest.mark.parametrize("name", ["digitz", "file:", "file:nowhere.csv", "openml:", "table:x"])
def test_data_that_are_not_there_are_2(call: Callable[..., Any], name: str) -> None:
    answer = call("show", "data", name)
    assert answer.code == 2
    assert answer.err.startswith("hpbench: ")

"""A study on a user's own file, from the suite to the manifest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SUITE = """
schema = 1
name = "people"
root_seed = 1
repetitions = 1
budget = { trials = 2 }
trainer = "cohort"

[[tasks]]
dataset = "file:people.csv"
target = "income"
subset = 60
network = "mlp"
epochs = 2

[[strategies]]
use = "random"
"""


def rows(count: int) -> str:
    """Return a table in which the job and the age tell the income, with gaps."""
    lines = ["age,job,income"]
    for row in range(count):
        age, job = 20 + row % 40, ("clerk", "cook", "judge")[row % 3]
        income = "high" if job == "judge" or age > 50 else "low"
        lines.append(f"{age if row % 7 else ''},{job if row % 11 else '?'},{income}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds a table."""
    place = tmp_path / "study"
    place.mkdir()
    (place / "people.csv").write_text(rows(120), encoding="utf-8")
    return place


def test_an_own_table_is_tuned_on_and_pinned(
    call: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "people.toml").write_text(SUITE, encoding="utf-8")
    monkeypatch.chdir(folder.parent)
    words = ("run", "study/people.toml", "--results", "out", "--workers", 1)
    answer = call(*words)
    assert answer.code == 0, answer.err
    manifest = json.loads(Path("out/manifest.json").read_text(encoding="utf-8"))
    task = manifest["tasks"]["people-mlp"]
    assert task["origin"]["file"] == "people.csv"
    assert (task["shape"], task["n_classes"]) == ([4], 2)
    assert task["n_train"] + task["n_val"] + task["n_test"] == 60
    assert str(folder) not in json.dumps(manifest)
    (folder / "people.csv").write_text(rows(121), encoding="utf-8")
    answer = call(*words)
    assert answer.code == 2
    assert "data set 'file:people.csv' of task 'people-mlp' is not the one" in answer.err

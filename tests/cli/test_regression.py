"""A study of regressions, from the suite to the report: 1 - R² wherever classification has an error."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpbench.analysis.frames import load_frames
from hpbench.environment import find_compiler
from hpbench.store import Store

SUITE = """
schema = 1
name = "numbers"
root_seed = 1
repetitions = 2
budget = { trials = 3 }
trainer = "cohort"
compile = "always"

[[tasks]]
dataset = "diabetes"
network = "mlp"
epochs = 2
[tasks.space]
layers = 1
width = 16
batch_size = 64
optimizer = "adam"

[[tasks]]
dataset = "file:prices.csv"
target = "price"
target_kind = "regression"
network = "mlp"
epochs = 2
[tasks.space]
layers = 1
width = 16
batch_size = 64
optimizer = "adam"

[[tasks]]
dataset = "iris"
network = "mlp"
epochs = 1
[tasks.space]
layers = 1
width = 16
batch_size = 64
optimizer = "adam"

[[strategies]]
use = "random"

[[strategies]]
use = "default"
"""

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C compiler: install gcc or set CC")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the suite and its table."""
    place = tmp_path_factory.mktemp("numbers")
    lines = [f"{row % 17},{'ab'[row % 2]},{row % 17 * 1.5 + row % 2}" for row in range(200)]
    (place / "prices.csv").write_text("\n".join(["area,town,price", *lines]) + "\n", encoding="utf-8")
    (place / "numbers.toml").write_text(SUITE, encoding="utf-8")
    return place


@needs_compiler
def test_a_regression_is_tuned_and_reported_as_r2(call: Callable[..., Any], folder: Path) -> None:
    results = folder / "out"
    answer = call("run", folder / "numbers.toml", "--results", results, "--workers", 1)
    assert answer.code == 0, answer.err
    assert "Accuracy or R² of what validation chose" in answer.out
    with Store.open(results, read_only=True) as store:
        records = list(store.records())
        tasks = store.info.tasks
    assert (tasks["diabetes-mlp"]["target_kind"], tasks["diabetes-mlp"]["n_classes"]) == ("regression", 1)
    assert tasks["iris-mlp"]["target_kind"] == "classification"
    for record in records:
        result = record.evaluation
        counts = (result.val_correct, result.val_total, result.test_correct, result.test_total)
        assert (counts == (None,) * 4) == (record.run.task != "iris-mlp")
        if record.run.task != "iris-mlp":
            assert result.val_loss == result.curve[-1]
            assert record.as_trial("error").objective == record.as_trial("loss").objective == result.val_loss
    frames = load_frames(results)
    assert frames.measure() == "accuracy or R²"
    assert frames.measure("diabetes-mlp", "prices-mlp") == "R²"
    numbers = frames.trials[frames.trials["task"] != "iris-mlp"]
    assert (numbers["test_error"] == numbers["test_loss"]).all()
    assert all(map(math.isfinite, numbers["val_error"]))
    final = (results / "tables" / "final.md").read_text(encoding="utf-8")
    assert "Test accuracy or R² (%)" in final
    assert "Tasks that predict a number: R² in per cent" in final
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "highest mean test R²" in page


def test_the_data_are_shown(call: Callable[..., Any], folder: Path) -> None:
    words = (f"file:{folder / 'prices.csv'}", "--target", "price", "--target-kind", "regression")
    answer = call("show", "data", *words)
    assert answer.code == 0, answer.err
    assert "To be predicted (regression): numbers from 0 to 25, mean" in answer.out
    assert "CLASS" not in answer.out
    shown = json.loads(call("show", "data", "diabetes", "--json").out)
    assert (shown["classes"], shown["numbers"]["low"]) == ([], 25.0)
    assert "a number to be predicted (regression)" in call("show", "task", "diabetes", "mlp").out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('target_kind = "regression"', 'target_kind = "regresion"', "Did you mean 'regression'?"),
        ('target_kind = "regression"', "", "set `target_kind` to 'regression'"),
        (
            'dataset = "iris"',
            'dataset = "iris"\ntarget_kind = "regression"',
            "must be left out for data set 'iris'",
        ),
        ('dataset = "diabetes"', 'dataset = "diabetes"\nsubset = 2', "`subset` must be at least 3"),
        ("layers = 1", "layers = 1\nlabel_smoothing = [0.0, 0.1]", "`label_smoothing` must be left out"),
    ],
)
def test_what_cannot_work_is_2(
    call: Callable[..., Any], folder: Path, old: str, new: str, message: str
) -> None:
    path = folder / "wrong.toml"
    path.write_text(SUITE.replace(old, new, 1), encoding="utf-8")
    answer = call("plan", path)
    assert answer.code == 2
    assert message in answer.err

"""A study with cross-validation and retrained incumbents, from the suite to the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpbench.environment import find_compiler
from hpbench.store import Store

SUITE = """
schema = 1
name = "careful"
root_seed = 1
repetitions = 2
budget = { trials = 3 }
trainer = "TRAINER"
compile = "always"
validation = { kind = "cv", folds = 3 }
final = { retrain = 2 }

[[tasks]]
dataset = "wine"
network = "mlp"
epochs = 6
patience = 1
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


def test_folds_are_pooled_and_incumbents_retrained(call: Callable[..., Any], tmp_path: Path) -> None:
    trainer = "cohort" if find_compiler() else "reference"
    path, results = tmp_path / "careful.toml", tmp_path / "out"
    path.write_text(SUITE.replace("TRAINER", trainer), encoding="utf-8")
    answer = call("run", path, "--results", results, "--workers", 1)
    assert answer.code == 0, answer.err
    assert "retraining incumbents: 8 trainings" in answer.out
    assert "RETRAINED (%)" in answer.out
    with Store.open(results, read_only=True) as store:
        records, retrainings = list(store.records()), list(store.retrainings())
        task, calibrations = store.info.tasks["wine-mlp"], store.calibrations()
    assert (task["n_train"], task["n_val"], task["n_test"]) == (94, 142, 36)
    assert {item.evaluation.val_total for item in records} == {142}
    assert {item.evaluation.test_total for item in records} == {3 * 36}
    assert len(retrainings) == 8
    assert {item.test_total for item in retrainings} == {36}
    if trainer == "cohort":
        (cost,) = (
            value["step_seconds"]
            for key, value in calibrations.items()
            if '"dropout":false' in key and '"l1":true' in key
        )
        first = next(item.evaluation for item in records if item.run.strategy == "default")
        assert first.train_seconds == pytest.approx(3 * first.epochs * (94 // 64) * cost)
    assert "Retrained (%)" in (results / "tables" / "final.md").read_text(encoding="utf-8")

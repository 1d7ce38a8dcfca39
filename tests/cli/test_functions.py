"""A suite names a function instead of data set and network, and everything works with it to the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpbench.analysis.comparison import study_of
from hpbench.analysis.frames import load_frames
from hpbench.analysis.report import all_tables
from hpbench.analysis.values import value_table
from hpbench.cli import run_program
from hpbench.plan import make_plan
from hpbench.store import Store
from hpbench.suite import Suite, SuiteError
from hpbench.tasks.families import REGISTRY

CONTENT: dict[str, Any] = {
    "name": "functions",
    "root_seed": 7,
    "repetitions": 5,
    "budget": {"trials": 6},
    "objective": "loss",
    "tasks": [{"function": "branin"}, {"function": "conditional", "name": "two-branches"}],
    "strategies": [{"use": "random"}, {"use": "genetic", "options": {"population_size": 3}}, {"use": "grid"}],
}
PLUGIN = """
from hpbench.space import Float, SearchSpace
from hpbench.tasks.base import Task
from hpbench.tasks.families import REGISTRY, TaskFamily
from hpbench.trial import Evaluation, Status


class Mine(Task):
    def __init__(self, spec):
        self.name, self.space, self.full_epochs = spec.name, spec.space, spec.epochs

    def evaluate(self, requests):
        return [self.one(request) for request in requests]

    def one(self, request):
        right = round(100 * (1 - abs(request.config["x"] - 0.3)))
        return Evaluation(Status.OK, epochs=request.epochs, val_correct=right, val_total=100, val_loss=0.5,
                          test_correct=right, test_total=100, test_loss=0.5, curve=(1 - right / 100,) * request.epochs)


REGISTRY.add("mine", TaskFamily("mine", SearchSpace((Float("x", 0.0, 1.0),)), Mine, "me", counts=True))
"""
TOML = """
schema = 1
name = "own"
root_seed = 1
repetitions = 2
budget = { trials = 4 }
tasks = [{ function = "mine", epochs = 3 }]
strategies = [{ use = "random" }]
"""


def make(**changes: Any) -> Suite:
    return Suite.of({**CONTENT, **changes})


def problem(**changes: Any) -> str:
    with pytest.raises(SuiteError) as caught:
        make(**changes)
    return str(caught.value)


def toml_of(content: dict[str, Any]) -> str:
    """Return the content as TOML; JSON's inline values are nearly TOML's."""

    def value(item: Any) -> str:
        if isinstance(item, dict):
            return "{ " + ", ".join(f"{key} = {value(inner)}" for key, inner in item.items()) + " }"
        if isinstance(item, list):
            return "[" + ", ".join(map(value, item)) + "]"
        return json.dumps(item)

    return "\n".join(f"{key} = {value(item)}" for key, item in content.items())


def test_defaults_of_a_function() -> None:
    task = make().tasks[0]
    assert (task.name, task.epochs, task.dataset, task.network) == ("branin", 1, "", "")
    assert make().tasks[1].name == "two-branches"
    assert task.subject == "'branin'"


def test_a_suite_with_functions_survives_being_written() -> None:
    suite = make()
    assert Suite.of(suite.resolved()) == suite
    assert suite.resolved()["tasks"][0] == {"function": "branin", "name": "branin", "epochs": 1, "space": {}}


def test_a_suite_without_functions_is_written_as_before() -> None:
    task = make(tasks=[{"dataset": "iris", "network": "mlp", "epochs": 2}]).resolved()["tasks"][0]
    assert set(task) == {"dataset", "network", "name", "epochs", "space"}


def test_what_cannot_be_a_function_task() -> None:
    assert "Did you mean 'branin'" in problem(tasks=[{"function": "brannin"}])
    assert "it names both kinds" in problem(tasks=[{"function": "branin", "dataset": "iris"}])
    learning = {
        "patience": 2, "target": "y", "target_kind": "regression", "shape": [2, 3], "subset": 9
    }  # fmt: skip
    for key, value in learning.items():
        assert f"must leave out `{key}`" in problem(tasks=[{"function": "branin", key: value}])
    assert "`patience` and `target` and `subset`" in problem(
        tasks=[{"function": "branin", "target": "income", "subset": 9, "patience": 1}]
    )
    assert "the key `dataset` is missing" in problem(tasks=[{"epochs": 2}])
    assert "`objective` must be 'loss' where a task is the function 'branin'" in problem(objective="error")
    assert "low" in problem(tasks=[{"function": "branin", "space": {"x1": {"low": -9.0, "high": 10.0}}}])


@pytest.mark.parametrize("trainer", ["reference", "cohort"])
def test_a_function_is_planned_without_steps_and_calibration(trainer: str) -> None:
    plan = make_plan(make(trainer=trainer))
    assert {steps.kind for steps in plan.steps.values()} == {"plain"}
    assert plan.n_trials == 2 * 3 * 5 * 6


def test_a_pairing_that_cannot_work_names_the_function() -> None:
    plan = make_plan(make(strategies=[{"use": "random"}, {"use": "skopt-gp"}]))
    (refusal,) = plan.refused
    assert "strategy 'skopt-gp' cannot search 'conditional': it lacks CONDITIONAL" in refusal.reason


def test_a_study_of_functions_is_described_stored_and_reported_by_value(
    tmp_path: Path, call: Callable[..., Any]
) -> None:
    suite, results = tmp_path / "functions.toml", tmp_path / "out"
    suite.write_text(toml_of(CONTENT), encoding="utf-8")
    answer = call("run", suite, "--results", results, "--workers", "1")
    assert answer.code == 0
    shown = answer.out
    assert "smallest value" in shown
    assert "accuracy" not in shown.lower()
    with Store.open(results, read_only=True) as store:
        info, records = store.info, list(store.records())
    assert info.tasks["branin"]["minimum"] == pytest.approx(0.397887, abs=1e-6)
    assert (info.tasks["branin"]["function"], info.tasks["branin"]["counts"]) == ("branin", False)
    assert len(records) == 2 * 3 * 5 * 6
    study = study_of(load_frames(results))
    values = value_table(study).values
    assert list(values["task"]) == ["branin"] * 3 + ["two-branches"] * 3
    for row in values.itertuples():
        runs = [
            record for record in records if (record.run.task, record.run.strategy) == (row.task, row.strategy)
        ]
        best = [
            min(record.evaluation.val_loss or 0.0 for record in runs if record.run.repetition == place)
            for place in range(5)
        ]
        assert row.value == pytest.approx(sum(best) / 5)
        assert row.excess > 0
    assert sum(values["rank"][:3]) == pytest.approx(6.0)
    assert values["rank"].nunique() > 1
    assert "final" not in {table.name for table in all_tables(study)}
    summary = (results / "tables" / "summary.md").read_text(encoding="utf-8")
    assert "branin has values and no accuracy" in summary
    assert "no run has a result" not in summary


def test_the_modelled_clock_leaves_functions_their_own_seconds(tmp_path: Path) -> None:
    suite = tmp_path / "functions.toml"
    suite.write_text(toml_of({**CONTENT, "trainer": "cohort", "repetitions": 1}), encoding="utf-8")
    assert run_program(["run", str(suite), "--results", str(tmp_path / "out"), "--workers", "1"]) == 0
    with Store.open(tmp_path / "out", read_only=True) as store:
        assert not store.calibrations()
        assert all(record.evaluation.evaluate_seconds > 0 for record in store.records())


def test_a_task_of_ones_own_is_named_like_a_function(tmp_path: Path, call: Callable[..., Any]) -> None:
    plugin, suite = tmp_path / "own_task_plugin.py", tmp_path / "own.toml"
    plugin.write_text(PLUGIN, encoding="utf-8")
    suite.write_text(TOML, encoding="utf-8")
    try:
        answer = call("run", suite, "--plugin", plugin, "--results", tmp_path / "out", "--workers", "1")
    finally:
        REGISTRY.reset()
    assert answer.code == 0
    assert "8/8 trials | mine/random: best validation accuracy" in answer.out

"""The test part is never seen by selection: other test targets change no proposal and no validation result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from hpbench.environment import find_compiler
from hpbench.finals import epochs_to_retrain, incumbent_of
from hpbench.jobs import Allowance, Finished, Message, RunJob, ShardJob
from hpbench.lockstep import run_shard
from hpbench.seeding import strategy_stream
from hpbench.suite import Suite
from hpbench.tasks.network_task import NetworkTask
from hpbench.tasks.training.data import DeviceSplit
from hpbench.tasks.training.held import TaskSplits
from hpbench.trial import Record

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C compiler: install gcc or set CC")
TEST_KEYS = ("test_correct", "test_total", "test_loss", "train_seconds", "evaluate_seconds")
HOLDOUT = {"kind": "holdout", "fraction": 0.25}
CV = {"kind": "cv", "folds": 3}


def suite_of(dataset: str, validation: dict[str, Any], patience: int | None) -> Suite:
    """Return a suite of adaptive strategies on one task whose space has no conditions."""
    task: dict[str, Any] = {"dataset": dataset, "network": "mlp", "epochs": 4, "name": "task"}
    task["space"] = {"optimizer": "adam", "layers": 1}
    if patience is not None:
        task["patience"] = patience
    return Suite.of(
        {
            "name": "blind",
            "root_seed": 5,
            "repetitions": 1,
            "budget": {"trials": 8},
            "validation": validation,
            "tasks": [task],
            "strategies": [{"use": "genetic", "options": {"population_size": 4}}, {"use": "random"}],
        }
    )


def turned(data: DeviceSplit) -> DeviceSplit:
    """Return ``data`` with other test targets."""
    return replace(data, test_targets=data.test_targets.roll(7))


class TurnedSplits(TaskSplits):
    """Splits with other test targets."""

    def folds(self, repetition: int) -> tuple[DeviceSplit, ...]:
        return tuple(map(turned, super().folds(repetition)))

    def whole(self, repetition: int) -> DeviceSplit:
        return turned(super().whole(repetition))


def selected(suite: Suite, *, compiled: bool, other: bool) -> tuple[list[Record], NetworkTask]:
    """Return the trials of every run of ``suite``, with other test targets or with the true ones."""
    way: dict[str, Any] = {"trainer": "cohort", "compiled": True} if compiled else {}
    spec = replace(suite.task_spec("task", device="cpu"), **way)
    task = NetworkTask(spec)
    if other:
        task._splits = TurnedSplits(task.dataset, spec, task.device)
    runs = tuple(
        RunJob(
            run,
            suite.strategy(run.strategy).use,
            suite.strategy(run.strategy).options,
            strategy_stream(5, "task", 0).integer(),
        )
        for run in suite.run_keys()
    )
    job = ShardJob(
        spec=spec,
        objective="error",
        allowance=Allowance(trials=8),
        budget_trials=8,
        max_failures=8,
        ask_ahead=1,
        runs=runs,
    )
    sent: list[Message] = []
    run_shard(job, task, sent.append, lambda: False)
    records = [record for message in sent if isinstance(message, Finished) for record in message.records]
    return records, task


def without_test(record: Record) -> Record:
    """Return what selection may depend on."""
    hidden = replace(record.evaluation, **dict.fromkeys(TEST_KEYS, None))
    return replace(record, evaluation=hidden, ask_seconds=0.0, tell_seconds=0.0)


@pytest.mark.parametrize("dataset", ["wine", "diabetes"])
@pytest.mark.parametrize("validation", [HOLDOUT, CV], ids=["holdout", "cv"])
@pytest.mark.parametrize("patience", [None, 1])
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_other_test_targets_change_no_proposal_and_no_validation_result(
    dataset: str,
    validation: dict[str, Any],
    patience: int | None,
    compiled: bool,  # noqa: FBT001 - parametrised
) -> None:
    suite = suite_of(dataset, validation, patience)
    (true, task), (other, turned_task) = (
        selected(suite, compiled=compiled, other=which) for which in (False, True)
    )
    assert len(true) == 16
    assert list(map(without_test, true)) == list(map(without_test, other))
    assert [item.evaluation.test_loss for item in true] != [item.evaluation.test_loss for item in other]
    chosen = []
    for records in (true, other):
        by_number = {item.number: item for item in records if item.run.strategy == "genetic"}
        best = incumbent_of(by_number.values(), "error")
        assert best is not None
        chosen.append((best.number, epochs_to_retrain(by_number, best, patience)))
    assert chosen[0] == chosen[1]
    assert torch.equal(task._splits.whole(0).train_targets, turned_task._splits.whole(0).train_targets)

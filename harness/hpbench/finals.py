"""What follows a finished run: its incumbent is trained again under fresh seeds and tested.

Selection is over by then, so the validation part trains too. The result is what a user would ship: a
configuration, not one lucky network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hpbench.jobs import RetrainJob
from hpbench.store import Store
from hpbench.study import FINISHED
from hpbench.suite import Suite
from hpbench.tasks.base import TaskSpec
from hpbench.trial import Objective, Record, Request, RunKey, objective_of

__all__ = ["epochs_to_retrain", "incumbent_of", "retrain_jobs"]

_TOGETHER = 64
"""Retrainings of one job: enough to fill cohorts, few enough to keep several workers busy."""


def incumbent_of(records: Iterable[Record], objective: Objective) -> Record | None:
    """Return the best of a run's trials by validation, the earliest of equals; None if none succeeded."""
    best: tuple[float, int] | None = None
    found: Record | None = None
    for record in records:
        value = objective_of(record.evaluation, objective)
        if value is not None and (best is None or (value, record.number) < best):
            best, found = (value, record.number), record
    return found


def epochs_to_retrain(records: Mapping[int, Record], incumbent: Record, patience: int | None) -> int:
    """Return for how many epochs the incumbent's configuration is trained again.

    As many as the incumbent was; with early stopping up to its best epoch on validation, the earliest
    of equals, since there is nothing left to stop by. The epochs of its parents count.

    Args:
        records: of the run, by number.
        incumbent: one of them.
        patience: of the task's early stopping; None: there is none.
    """
    if patience is None:
        return incumbent.evaluation.epochs
    line = [incumbent]
    while line[-1].parent is not None:
        line.append(records[line[-1].parent])
    curve: list[float] = []
    for record in reversed(line):
        curve = [*curve[: record.evaluation.epochs_from], *record.evaluation.curve]
    return min(range(len(curve)), key=curve.__getitem__) + 1


def retrain_jobs(
    store: Store, suite: Suite, specs: Mapping[str, TaskSpec], runs: Sequence[RunKey]
) -> list[RetrainJob]:
    """Return the retrainings that are still to be done: of finished runs with an incumbent.

    Args:
        store: with all trials of these runs.
        suite: whose ``final`` says how many.
        specs: task → specification.
        runs: of this session; those that failed or have not ended are left out.
    """
    if suite.final is None:
        return []
    over = {row.run for row in store.runs() if row.state in FINISHED}
    missing: dict[str, list[tuple[Request, int]]] = {}
    for run in runs:
        if run in over and suite.task(run.task).function is None:  # a function has no parts to train on
            missing.setdefault(run.task, []).extend(_missing(store, suite, run))
    jobs = []
    for task, items in missing.items():
        alone = specs[task].trainer == "reference" or suite.limits.trial_seconds is not None
        size = suite.final.retrain if alone else _TOGETHER
        for begin in range(0, len(items), size):
            block = items[begin : begin + size]
            requests, trials = tuple(request for request, _ in block), tuple(trial for _, trial in block)
            jobs.append(RetrainJob(specs[task], requests, trials, at_once=1 if alone else size))
    return jobs


def _missing(store: Store, suite: Suite, run: RunKey) -> list[tuple[Request, int]]:
    """Return what is still to be trained for one run, each with the incumbent's number."""
    records = {record.number: record for record in store.records(run)}
    incumbent = incumbent_of(records.values(), suite.objective)
    if incumbent is None or suite.final is None:
        return []
    epochs = epochs_to_retrain(records, incumbent, suite.task(run.task).patience)
    known = {item.number for item in store.retrainings(run)}
    return [
        (Request(run, number, incumbent.config, epochs), incumbent.number)
        for number in range(suite.final.retrain)
        if number not in known
    ]

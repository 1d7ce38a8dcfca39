"""What the modelled clock needs before a study trains, and how it is checked afterwards.

Before anything trains, one worker calibrates every signature that a task's space can have, alone on
the machine. The figures are stored, so that a resumed study charges what it charged before. When all
runs of a task are over, a seeded random sample of its trials is trained again, alone, by the
reference trainer and timed: the report shows these seconds against the modelled ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from hpbench.jobs import Calibrated, CalibrationJob, Checked, CheckJob
from hpbench.seeding import Stream
from hpbench.store import Store
from hpbench.study import Event
from hpbench.suite import Suite
from hpbench.tasks import networks
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.training.costs import StepCost, signatures_of
from hpbench.trial import Record, Request, RunKey, Status

__all__ = [
    "CHECK",
    "SAMPLE",
    "calibration_jobs",
    "check_jobs",
    "costs_of",
    "store_calibrated",
    "store_checked",
]

CHECK = "clock_check"
"""The kind of the store's events that hold a trial's modelled and measured seconds."""

SAMPLE = 20
"""Trials of a study that are trained again; shared out among its tasks."""


def _key(task: str, signature: str) -> str:
    """Return the store's key of one calibration."""
    return f"{task} {signature}"


def costs_of(store: Store, task: str) -> dict[str, StepCost]:
    """Return what the signatures of ``task`` cost, as far as the store knows."""
    lead = _key(task, "")
    found = store.calibrations(lead)
    return {key.removeprefix(lead): StepCost(**cost) for key, cost in found.items()}


def calibration_jobs(
    store: Store, specs: Iterable[TaskSpec], n_train: Mapping[str, int]
) -> list[CalibrationJob]:
    """Return the work of measuring every signature that is not in the store yet; functions have none.

    Args:
        store: with the calibrations of earlier sessions.
        specs: the tasks that still train.
        n_train: task → training examples.
    """
    jobs = []
    for spec in [spec for spec in specs if spec.function is None]:
        known = costs_of(store, spec.name)
        wanted = signatures_of(networks.REGISTRY.get(spec.network), spec.space, n_train[spec.name])
        missing = tuple(signature for signature in wanted if signature not in known)
        if missing:
            jobs.append(CalibrationJob(spec, missing))
    return jobs


def store_calibrated(store: Store, message: Calibrated) -> None:
    """Write calibrations to the store."""
    for signature, cost in message.costs.items():
        store.put_calibration(_key(message.task, signature), asdict(cost))


def check_jobs(store: Store, suite: Suite, specs: Sequence[TaskSpec]) -> list[CheckJob]:
    """Return the trials that are to be trained again: a seeded sample of each task in ``specs``.

    What was checked before is left out, so a check that was cut short is completed, and none grows when
    runs are tried again. Functions are left out, too: their seconds are measured anyway.
    Trials that failed otherwise than by diverging, and those that continued another one, are not drawn.

    Args:
        store: with every trial of these tasks.
        suite: whose seed and number of tasks decide the sample.
        specs: the tasks whose runs are over.
    """
    checked = [_checked(event) for event in store.events() if event.kind == CHECK]
    count = math.ceil(SAMPLE / len(suite.tasks))
    jobs = []
    for spec in specs:
        done = {place for place in checked if place[0].task == spec.name}
        if len(done) >= count or spec.function is not None:
            continue
        usable = [record for record in store.records() if _usable(record, spec.name)]
        drawn = _drawn(usable, suite, spec.name, count)
        left = [record for record in drawn if (record.run, record.number) not in done]
        if left:
            jobs.append(CheckJob(spec, tuple(_request(record) for record in left[: count - len(done)])))
    return jobs


def _checked(event: Event) -> tuple[RunKey, int]:
    """Return which trial a stored check was of."""
    place = event.payload
    return RunKey(place["task"], place["strategy"], place["repetition"]), place["number"]


def _usable(record: Record, task: str) -> bool:
    """Return whether a trial can be compared with its modelled seconds."""
    trained = record.evaluation.status in {Status.OK, Status.DIVERGED}
    return record.run.task == task and record.parent is None and trained


def _drawn(records: Sequence[Record], suite: Suite, task: str, count: int) -> list[Record]:
    """Return ``count`` of ``records`` at random, or all if there are fewer."""
    rng = Stream((suite.root_seed, task, "clock check")).generator()
    places = rng.permutation(len(records))[:count]
    return [records[place] for place in sorted(places.tolist())]


def _request(record: Record) -> Request:
    """Return what trains ``record`` again."""
    return Request(record.run, record.number, record.config, record.evaluation.epochs)


def store_checked(store: Store, message: Checked) -> None:
    """Write down what a trial took alone, beside what it was charged."""
    request = message.request
    (record,) = [item for item in store.records(request.run) if item.number == request.number]
    charged = record.evaluation.train_seconds + record.evaluation.evaluate_seconds
    store.add_event(
        CHECK, {**_place(request.run, request.number), "modelled": charged, "measured": message.seconds}
    )


def _place(run: RunKey, number: int) -> dict[str, str | int]:
    """Return which trial it is, as JSON values."""
    return {"task": run.task, "strategy": run.strategy, "repetition": run.repetition, "number": number}

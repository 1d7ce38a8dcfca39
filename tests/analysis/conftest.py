"""Synthetic studies: stores with plausible curves, written through the store's own interface."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpbench.analysis.frames import Frames, load_frames
from hpbench.store import Store
from hpbench.study import RunRow, RunState, StudyInfo
from hpbench.trial import Config, Evaluation, Record, RunKey, Status, Value

N_VAL, N_TEST = 360, 361


@dataclass(frozen=True)
class Plan:
    """What a synthetic study is to look like; a cell's run is named by (task, strategy, repetition)."""

    tasks: Sequence[str] = ("digits-mlp", "digits-cnn", "wine-mlp")
    strategies: Sequence[str] = ("random", "grid", "skopt-gp", "genetic")
    labels: Mapping[str, str] = field(default_factory=dict)
    repetitions: int = 10
    trials: int = 20
    lengths: Mapping[tuple[str, str, int], int] = field(default_factory=dict)
    states: Mapping[tuple[str, str, int], RunState] = field(default_factory=dict)
    skipped: Sequence[tuple[str, str]] = ()
    failure_rate: float = 0.02
    gains: Mapping[str, float] = field(default_factory=lambda: {"skopt-gp": 0.05, "genetic": 0.02})
    objective: str = "error"
    name: str = "synthetic"
    root_seed: int = 7
    device: str = "cpu"
    slower: float = 1.0
    worse: Mapping[str, float] = field(default_factory=dict)
    space: Sequence[Mapping[str, Any]] = ()
    checks: Sequence[tuple[str, float, float]] = ()
    functions: Sequence[str] = ()
    """Tasks that have a value and count no examples."""


def info_of(plan: Plan) -> StudyInfo:
    """Return the description of the study."""
    suite: dict[str, Any] = {
        "schema": 1,
        "name": plan.name,
        "root_seed": plan.root_seed,
        "repetitions": plan.repetitions,
        "budget": {"trials": plan.trials, "epochs": None, "seconds": None},
        "objective": plan.objective,
        "clock": "modelled" if plan.checks else "measured",
        "tasks": [{"name": task} for task in plan.tasks],
        "strategies": [{"name": name, "use": name} for name in plan.strategies],
    }
    tasks = {
        task: {"epochs": 10, "n_val": N_VAL, "n_test": N_TEST, "space": [dict(item) for item in plan.space]}
        for task in plan.tasks
    }
    for task in plan.functions:
        tasks[task] = {"epochs": 10, "function": task, "counts": False, "space": []}
    strategies = {name: {"use": name, "label": plan.labels.get(name, name)} for name in plan.strategies}
    skipped = [
        {"task": task, "strategy": name, "reason": f"strategy {name!r} lacks CONDITIONAL. Skipped."}
        for task, name in plan.skipped
    ]
    return StudyInfo(
        suite, "", "0" * 64, plan.device, {}, tasks, strategies, skipped, "0.1.0", "2026-11-20T00:00:00+00:00"
    )


def records_of(plan: Plan, run: RunKey, count: int) -> list[Record]:
    """Return ``count`` trials; better strategies drift to lower errors, all share a repetition's luck."""
    rng = np.random.default_rng(zlib.crc32(f"{run.task}/{run.strategy}/{run.repetition}".encode()))
    luck = np.random.default_rng([run.repetition, zlib.crc32(run.task.encode())]).normal(0, 0.01)
    drift = plan.gains.get(run.strategy, 0.0) * np.linspace(0, 1, max(count, 1))
    error = np.clip(
        0.06 + luck + 0.25 * rng.beta(0.8, 4, count) * (1 - 8 * drift[:count]) - drift[:count], 0.004, 0.9
    )
    error = np.clip(error + plan.worse.get(run.strategy, 0.0), 0.0, 0.95)
    ask = {"skopt-gp": 0.08}.get(run.strategy, 0.0004) * rng.lognormal(0, 0.2, count)
    train = plan.slower * rng.lognormal(-0.7, 0.5, count)
    failed = rng.random(count) < plan.failure_rate
    return [
        _record(
            run,
            number,
            float(error[number]),
            float(ask[number]),
            float(train[number]),
            plan=plan,
            config=config_of(plan, run, number),
            failed=bool(failed[number]),
            rng=rng,
        )
        for number in range(count)
    ]


def config_of(plan: Plan, run: RunKey, number: int) -> Config:
    """Return the configuration of a trial: drawn from the plan's space, or the one that all share."""
    if not plan.space:
        return {"lr": 0.1}
    rng = np.random.default_rng([zlib.crc32(f"{run.task}/{run.strategy}".encode()), run.repetition, number])
    config: dict[str, Value] = {}
    for item in plan.space:
        unit = float(rng.random())
        if item["kind"] == "categorical":
            config[item["name"]] = item["choices"][int(unit * len(item["choices"]))]
            continue
        value = item["low"] + unit * (item["high"] - item["low"])
        if item["log"]:
            value = item["low"] * (item["high"] / item["low"]) ** unit
        config[item["name"]] = round(value) if item["kind"] == "integer" else value
    return config


def _record(
    run: RunKey,
    number: int,
    error: float,
    ask: float,
    train: float,
    *,
    plan: Plan,
    config: Config,
    failed: bool,
    rng: np.random.Generator,
) -> Record:
    val = int(rng.binomial(N_VAL, 1 - error))
    test = int(rng.binomial(N_TEST, 1 - min(error + 0.005, 1.0)))
    common: dict[str, Any] = {"epochs": 10, "train_seconds": train, "evaluate_seconds": 0.03}
    if run.task in plan.functions:
        evaluation = Evaluation(Status.OK, val_loss=20 * error - 3, **common)
    elif failed:
        evaluation = Evaluation(Status.DIVERGED, message="loss is nan", **common)
    else:
        evaluation = Evaluation(
            Status.OK,
            val_correct=val,
            val_total=N_VAL,
            val_loss=error * 3,
            test_correct=test,
            test_total=N_TEST,
            test_loss=error * 3.1,
            curve=(0.5, 1 - val / N_VAL),
            **common,
        )
    return Record(run, number, None, config, evaluation, ask, 0.0001)


def write(folder: Path, plan: Plan) -> Path:
    """Write the store of the study into ``folder`` and return the folder."""
    with Store.create(folder, info_of(plan)) as store, store.transaction():
        for task in plan.tasks:
            for name in plan.strategies:
                for repetition in range(plan.repetitions):
                    _write_run(store, plan, RunKey(task, name, repetition))
        for number, (task, modelled, measured) in enumerate(plan.checks):
            place = {"task": task, "strategy": "random", "repetition": 0, "number": number}
            store.add_event("clock_check", {**place, "modelled": modelled, "measured": measured})
    return folder


def _write_run(store: Store, plan: Plan, run: RunKey) -> None:
    if (run.task, run.strategy) in plan.skipped:
        store.add_runs([RunRow(run, RunState.SKIPPED, "refused")])
        return
    key = (run.task, run.strategy, run.repetition)
    count = plan.lengths.get(key, plan.trials)
    state = plan.states.get(key, RunState.COMPLETE)
    store.add_runs([RunRow(run, RunState.PENDING)])
    if count:
        store.add(records_of(plan, run, count))
    message = "ValueError: it broke" if state is RunState.FAILED else ""
    if state is not RunState.PENDING:
        store.set_run_state(run, state, message)


StudyMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def write_study() -> StudyMaker:
    """Return a function that writes a synthetic study into a folder."""

    def make(folder: Path, **options: Any) -> Path:
        return write(folder, Plan(**options))

    return make


@pytest.fixture
def make_study(tmp_path: Path) -> StudyMaker:
    """Return a function that writes a synthetic study; its options are the fields of a plan."""

    def make(**options: Any) -> Path:
        folder = tmp_path / f"study-{len(list(tmp_path.iterdir()))}"
        return write(folder, Plan(**options))

    return make


def with_errors(frames: Frames, errors: Mapping[str, np.ndarray]) -> Frames:
    """Return ``frames`` in which every trial of a run has the same error.

    Args:
        frames: a study.
        errors: by task, shape ``(k, n)``; infinite for a run that failed, NaN for one that has not ended.
    """
    trials, runs = frames.trials.copy(), frames.runs.copy()
    wanted = np.full((len(frames.tasks), len(frames.strategies), frames.repetitions), 0.05)
    for task, values in errors.items():
        wanted[frames.tasks.index(task)] = values
    found, ended = (
        wanted[rows["task"].cat.codes, rows["strategy"].cat.codes, rows["repetition"]]
        for rows in (trials, runs)
    )
    good = np.isfinite(found)
    for name in ("val_error", "test_error", "objective"):
        trials[name] = np.where(good, found, np.nan)
    trials["status"] = pd.Categorical(
        np.where(good, str(Status.OK), str(Status.ERROR)), dtype=trials["status"].dtype
    )
    states = [
        RunState.RUNNING if np.isnan(e) else RunState.FAILED if np.isinf(e) else RunState.COMPLETE
        for e in ended
    ]
    runs["state"] = [str(state) for state in states]
    return replace(frames, trials=trials, runs=runs)


@pytest.fixture(scope="session")
def study_with(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Frames]:
    """Return a function from final errors, by task and of shape ``(k, n)``, to a study that has them."""

    def make(errors: Mapping[str, np.ndarray], **options: Any) -> Frames:
        k, n = next(iter(errors.values())).shape
        plan: dict[str, Any] = {"tasks": tuple(errors), "repetitions": n, "trials": 2} | options
        plan.setdefault("strategies", ("random", "grid", "skopt-gp", "genetic")[:k])
        return with_errors(
            load_frames(write(tmp_path_factory.mktemp("study") / "results", Plan(**plan))), errors
        )

    return make


@pytest.fixture
def awkward_options() -> dict[str, Any]:
    """Return options of a study in which everything that can go wrong has gone wrong."""
    lengths = {("digits-mlp", "grid", r): 8 for r in range(10)}
    states: dict[tuple[str, str, int], RunState] = {
        ("digits-mlp", "grid", r): RunState.EXHAUSTED for r in range(10)
    }
    lengths |= {
        ("digits-mlp", "genetic", 3): 7,
        ("digits-cnn", "random", 9): 5,
        ("wine-mlp", "genetic", 9): 0,
    }
    states |= {
        ("digits-mlp", "genetic", 3): RunState.FAILED,
        ("digits-cnn", "random", 9): RunState.RUNNING,
        ("wine-mlp", "genetic", 9): RunState.PENDING,
    }
    return {"lengths": lengths, "states": states, "skipped": [("wine-mlp", "skopt-gp")], "failure_rate": 0.1}

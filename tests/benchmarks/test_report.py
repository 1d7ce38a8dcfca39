"""How long the report takes and how much memory: of a million trials, and of the shapes of the bundled suites.

The stores are made up, written through the store's own interface; each report is one of a fresh process,
whose memory, with that of its children, is read from ``/proc`` ten times a second.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from numpy.random import Generator
from pytest_benchmark.fixture import BenchmarkFixture

from hpbench.store import Store
from hpbench.study import RunRow, RunState, StudyInfo
from hpbench.trial import Evaluation, Record, RunKey, Status

EPOCHS, N_VAL, N_TEST = 10, 360, 360
FAILING = 0.03
PAGE_BYTES = 2_000_000
"""What the page of a bundled suite must stay under."""

SPACE: tuple[dict[str, Any], ...] = (
    {"name": "layers", "kind": "integer", "low": 1, "high": 3, "log": False},
    {"name": "width", "kind": "integer", "low": 16, "high": 128, "log": True},
    {"name": "activation", "kind": "categorical", "choices": ["relu", "tanh", "gelu"], "ordered": False},
    {"name": "learning_rate", "kind": "float", "low": 1e-4, "high": 1e-1, "log": True},
    {"name": "batch_size", "kind": "categorical", "choices": [16, 32, 64, 128], "ordered": True},
    {"name": "dropout", "kind": "float", "low": 0.0, "high": 0.5, "log": False},
    {"name": "l1", "kind": "float", "low": 1e-7, "high": 1e-3, "log": True},
    {"name": "weight_decay", "kind": "float", "low": 1e-6, "high": 1e-1, "log": True},
    {"name": "optimizer", "kind": "categorical", "choices": ["sgd", "adam", "rmsprop"], "ordered": False},
    {"name": "schedule", "kind": "categorical", "choices": ["constant", "cosine"], "ordered": False},
)
DEFAULT = {item["name"]: item.get("low", item.get("choices", [None])[0]) for item in SPACE}

_REPORT = "import sys; from pathlib import Path; from hpbench.analysis import write_report; write_report(Path(sys.argv[1]))"


@dataclass(frozen=True)
class Shape:
    """How many of everything a study has."""

    tasks: int
    strategies: int
    repetitions: int
    trials: int


SHAPES = {
    "small": Shape(3, 4, 10, 20),
    "standard": Shape(7, 7, 20, 50),
    "million": Shape(4, 5, 50, 1000),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_report(benchmark: BenchmarkFixture, tmp_path: Path, name: str) -> None:
    shape = SHAPES[name]
    folder = write(tmp_path / "study", shape)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = perf_counter()
    peak = benchmark.pedantic(peak_of_report, (folder,), rounds=1)
    seconds = perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    page = (folder / "report.html").stat().st_size
    found = {
        "trials": shape.tasks * shape.strategies * shape.repetitions * shape.trials,
        "seconds": seconds,
        "cpu_seconds": sum(getattr(after, part) - getattr(before, part) for part in ("ru_utime", "ru_stime")),
        "peak_bytes": peak,
        "page_bytes": page,
        "store_bytes": (folder / "study.sqlite").stat().st_size,
    }
    benchmark.extra_info.update(found)
    sys.stdout.write(f"\n{name}: {', '.join(f'{key} {value:,.1f}' for key, value in found.items())}\n")
    figures = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {"best-validation-seconds", "importance", "parallel", "learning", "status"} <= figures
    for kind in ("svg", "pdf"):
        assert {path.stem for path in (folder / "figures").glob(f"*.{kind}")} == figures
    rows = (folder / "tables" / "status.csv").read_text().splitlines()
    assert len(rows) == 1 + shape.tasks * shape.strategies
    if name != "million":
        assert page < PAGE_BYTES


def peak_of_report(folder: Path) -> int:
    """Write the report of ``folder`` in a fresh process; return the most memory seen, children included."""
    process = subprocess.Popen([sys.executable, "-c", _REPORT, str(folder)])
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(proportional_bytes, [process.pid, *children_of(process.pid)])))
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    assert process.returncode == 0
    return peak


def children_of(pid: int) -> Iterator[int]:
    """Yield the processes that ``pid`` has started, and what these have."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = [int(word) for word in path.read_text().split()]
        except OSError:
            continue
        for child in found:
            yield child
            yield from children_of(child)


def proportional_bytes(pid: int) -> int:
    """Return the memory of a process, what it shares divided among those who share it; 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def write(folder: Path, shape: Shape) -> Path:
    """Write the store of a study of this shape, one transaction a task, and return its folder."""
    tasks = [f"task-{number}" for number in range(shape.tasks)]
    strategies = ["random", *(f"strategy-{number}" for number in range(1, shape.strategies))]
    with Store.create(folder, info_of(shape, tasks, strategies)) as store:
        for task in tasks:
            with store.transaction():
                for place, strategy in enumerate(strategies):
                    for repetition in range(shape.repetitions):
                        run = RunKey(task, strategy, repetition)
                        store.add_runs([RunRow(run, RunState.PENDING)])
                        store.add(records_of(run, shape.trials, skill=place / len(strategies)))
                        store.set_run_state(run, RunState.COMPLETE)
        for number in range(60):
            place = {"task": tasks[number % len(tasks)], "strategy": "random", "repetition": 0}
            seconds = {"modelled": 0.5 + number / 100, "measured": 0.52 + number / 99}
            store.add_event("clock_check", {**place, "number": number, **seconds})
    return folder


def info_of(shape: Shape, tasks: list[str], strategies: list[str]) -> StudyInfo:
    """Return the description of the study."""
    suite: dict[str, Any] = {
        "schema": 1,
        "name": "synthetic",
        "root_seed": 7,
        "repetitions": shape.repetitions,
        "budget": {"trials": shape.trials, "epochs": None, "seconds": None},
        "objective": "error",
        "clock": "modelled",
        "tasks": [{"name": task} for task in tasks],
        "strategies": [{"name": name, "use": name} for name in strategies],
    }
    described = {
        "epochs": EPOCHS,
        "n_val": N_VAL,
        "n_test": N_TEST,
        "space": [dict(item) for item in SPACE],
        "default": DEFAULT,
    }
    return StudyInfo(
        suite,
        "",
        "0" * 64,
        "cpu",
        {},
        dict.fromkeys(tasks, described),
        {name: {"use": name, "label": name} for name in strategies},
        [],
        "0.1.0",
        "2026-11-20T00:00:00+00:00",
    )


def records_of(run: RunKey, count: int, *, skill: float) -> list[Record]:
    """Return the trials of a run: random configurations, drawn nearer to the good ones by a skilled strategy."""
    rng = np.random.default_rng([zlib.crc32(f"{run.task}/{run.strategy}".encode()), run.repetition])
    units = rng.random((count, len(SPACE)))
    pull = skill * np.linspace(0, 0.8, count)[:, None]
    units += pull * (0.5 - units)
    configs = [
        dict(zip(DEFAULT, row, strict=True)) for row in zip(*map(values_of, SPACE, units.T), strict=True)
    ]
    distance = np.square(units - 0.5) @ (0.5 ** np.arange(len(SPACE)))
    final = np.clip(0.02 + 0.6 * distance + rng.normal(0, 0.01, count), 0.004, 0.9)
    decay = np.exp(-np.arange(1, EPOCHS + 1) / 2.0)
    expected = final[:, None] + (0.7 - final[:, None]) * (decay - decay[-1])
    wrong = rng.binomial(N_VAL, expected)
    return [
        Record(run, number, None, config, evaluation, *thinking)
        for number, (config, evaluation, thinking) in enumerate(
            zip(
                configs,
                evaluations_of(wrong, final, rng),
                rng.lognormal(-7, 0.4, (count, 2)).tolist(),
                strict=True,
            )
        )
    ]


def values_of(item: dict[str, Any], units: np.ndarray) -> list[Any]:
    """Return the values of one hyperparameter at places in [0, 1)."""
    if item["kind"] == "categorical":
        return [item["choices"][place] for place in (units * len(item["choices"])).astype(int)]
    low, high = item["low"], item["high"]
    values = low * (high / low) ** units if item["log"] else low + units * (high - low)
    return np.rint(values).astype(int).tolist() if item["kind"] == "integer" else values.tolist()


def evaluations_of(wrong: np.ndarray, final: np.ndarray, rng: Generator) -> Iterator[Evaluation]:
    """Yield what training gave, of wrong validation examples after each epoch, shape ``(n_trials, n_epochs)``."""
    count = len(wrong)
    columns = (
        (wrong / N_VAL).tolist(),
        rng.binomial(N_TEST, 1 - final).tolist(),
        (3 * final + rng.normal(0, 0.01, count) ** 2).tolist(),
        rng.lognormal(-0.7, 0.5, count).tolist(),
        (rng.random(count) < FAILING).tolist(),
    )
    for curve, test, loss, seconds, failed in zip(*columns, strict=True):
        spent = {"epochs": EPOCHS, "train_seconds": seconds, "evaluate_seconds": 0.03 * seconds}
        if failed:
            yield Evaluation(Status.DIVERGED, message="loss is nan", **spent)
            continue
        yield Evaluation(
            Status.OK,
            val_correct=N_VAL - round(curve[-1] * N_VAL),
            val_total=N_VAL,
            val_loss=loss,
            test_correct=test,
            test_total=N_TEST,
            test_loss=1.1 * loss,
            curve=tuple(curve),
            **spent,
        )

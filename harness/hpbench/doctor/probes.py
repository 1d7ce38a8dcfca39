"""What the self-test tries, in a process of its own: storing, training, comparing, asking."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from hpbench.doctor.checks import Check, State
from hpbench.environment import describe_devices, describe_torch, find_compiler
from hpbench.errors import HpbenchError, UsageError
from hpbench.files import cache_folder
from hpbench.plugins import load_plugins
from hpbench.space import SearchSpace
from hpbench.store import Store
from hpbench.strategies.base import Strategy
from hpbench.strategies.factory import create, describe_options
from hpbench.study import StudyInfo
from hpbench.tasks import networks
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.factory import build_task
from hpbench.trial import Evaluation, Record, Request, RunKey, Status

__all__ = ["main"]

_NETWORK_TASK = "hpbench.tasks.network_task"
_TRAINING = frozenset({"torch", "reference", "compiled", "cuda"})
_EPOCHS, _TRIALS = 2, 3
_ROUNDING = 1e-3
"""Relative difference of losses between two ways to train: after a few steps rounding is far below."""

_RUN = RunKey("doctor", "random", 0)
Answer = tuple[str, dict[str, Any]]


class _SkippedError(Exception):
    """There is nothing to try."""


def main() -> None:
    """Read the names of probes from standard input and answer each by a line of JSON.

    Whatever a library prints goes to standard error, so that standard output holds answers alone.
    """
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        wanted = json.load(sys.stdin)
        load_plugins([Path(path) for path in wanted["plugins"]])
        for name in wanted["names"]:
            print(json.dumps(asdict(_check(name))), file=answers, flush=True)


def _check(name: str) -> Check:
    """Return the outcome of one probe. What is not expected ends the process, and so fails the probe."""
    kind, _, detail = name.partition(":")
    found: dict[str, Any] = {}
    begun = loaded = perf_counter()
    try:
        _load(kind, detail)
        loaded = perf_counter()
        note, found = _PROBES[kind](detail)
        state: State = "ok"
    except _SkippedError as reason:
        state, note = "skipped", str(reason)
    except HpbenchError as error:
        state, note = "failed", str(error)
    except (ImportError, OSError) as error:
        state, note = "failed", f"{type(error).__name__}: {error}"
    return Check(name, state, note, perf_counter() - loaded, loaded - begun, found)


def _load(kind: str, detail: str) -> None:
    """Import what a probe needs, which takes longer than what it does."""
    if kind == "strategy":
        with contextlib.suppress(HpbenchError):  # the probe says why there is none
            _made(detail)
    elif kind in _TRAINING:
        importlib.import_module(_NETWORK_TASK)
        if kind == "reference":
            torch = importlib.import_module("torch")
            torch.optim.SGD([torch.zeros(1)])  # the first optimiser of a process imports half of torch


def _cache(_detail: str) -> Answer:
    """Write a file into the cache folder."""
    folder = cache_folder("")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"hpbench")
    except OSError as error:
        raise UsageError(
            f"the cache folder {folder} must be one that can be written: {type(error).__name__}: {error}. Set the "
            "environment variable HPBENCH_CACHE to another folder."
        ) from error
    return f"{folder} can be written", {"folder": str(folder)}


def _store(_detail: str) -> Answer:
    """Store a trial and read it back."""
    record = Record(_RUN, 0, None, _space().default_config(), Evaluation(Status.OK, 0, 1), 0.0, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        with Store.create(folder, StudyInfo({}, "", "", "cpu")) as store:
            store.add([record])
        with Store.open(folder, read_only=True) as store:
            if list(store.records()) != [record]:
                raise UsageError(f"SQLite gave another trial back than was stored in {folder}.")
    return "a trial was stored and read back", {}


def _torch(_detail: str) -> Answer:
    """Ask torch for its devices."""
    found, devices = describe_torch(), describe_devices()
    names = ", ".join(f"{name} ({model})" for name, model in devices.items()) or "no CUDA device"
    return f"torch {found['torch']}, CPU capability {found['cpu_capability']}; {names}", {
        **found,
        "devices": devices,
    }


def _reference(_detail: str) -> Answer:
    """Train a few trials twice."""
    if _train() != _trained():
        raise UsageError("the reference trainer must train the same trials alike, and did not.")
    return f"{_TRIALS} trials, twice alike", {}


def _compiled(_detail: str) -> Answer:
    """Train the same trials in C, which compiles the library if the cache does not hold it."""
    compiler = find_compiler()
    if compiler is None:
        raise _SkippedError(
            "there is no C compiler, so cohorts do without compiled steps, which are the fastest on a CPU. Install gcc "
            "or clang, or set the environment variable CC"
        )
    _cache("")
    folder = cache_folder("kernels")
    before = _libraries(folder)
    answers = _train(trainer="cohort", compiled=True)
    fresh = _libraries(folder) != before
    largest = _difference(answers, "compiled steps")
    where = f"compiled just now by {' '.join(compiler)}" if fresh else "from the cache"
    return f"losses as the reference trainer's to {largest:.0e}; library {where}", {
        "compiled_now": fresh,
        "largest_difference": largest,
    }


def _cuda(_detail: str) -> Answer:
    """Train the same trials on the first CUDA device."""
    if not describe_devices():
        raise _SkippedError("torch sees no CUDA device")
    largest = _difference(_train(device="cuda"), "the CUDA device")
    return f"losses as on the CPU to {largest:.0e}", {"largest_difference": largest}


def _strategy(name: str) -> Answer:
    """Ask a strategy for a proposal."""
    for option in describe_options(name):
        if option.default is inspect.Parameter.empty:
            raise _SkippedError(f"it needs the option {option.name!r}")
    proposal = _made(name).ask()
    if proposal is None:
        raise UsageError(f"strategy {name!r} must have a first proposal, and has none.")
    _space().check(proposal.config)
    return "proposes", {}


def _made(name: str) -> Strategy:
    """Return a strategy as a run would make it, with its own defaults."""
    return create(name, _space(), full_epochs=_EPOCHS, seed=1, budget_trials=20, options={})


_PROBES: Mapping[str, Callable[[str], Answer]] = {
    "cache": _cache,
    "store": _store,
    "torch": _torch,
    "reference": _reference,
    "compiled": _compiled,
    "cuda": _cuda,
    "strategy": _strategy,
}


def _space() -> SearchSpace:
    """Return a space that every strategy can search: no hyperparameter hangs on another."""
    return networks.REGISTRY.get("mlp").space.fixed("momentum", 0.9)


@cache
def _trained() -> list[Evaluation]:
    """Return what the reference trainer makes of a few trials on the CPU."""
    return _train()


def _train(*, trainer: str = "reference", compiled: bool = False, device: str = "cpu") -> list[Evaluation]:
    """Return what training a few trials gave, times aside."""
    spec = TaskSpec("doctor", "moons", "mlp", _EPOCHS, _space(), compiled=compiled, device=device)
    task = build_task(replace(spec, trainer="cohort") if trainer == "cohort" else spec)
    rng = np.random.default_rng(0)
    configs = [task.space.default_config(), *(task.space.sample(rng) for _ in range(_TRIALS - 1))]
    # a rate at which rounding does not grow
    asked = [
        Request(_RUN, number, {**config, "learning_rate": 1e-3}, _EPOCHS)
        for number, config in enumerate(configs)
    ]
    answers = [replace(answer, train_seconds=0.0, evaluate_seconds=0.0) for answer in task.evaluate(asked)]
    task.close()
    for answer in answers:
        if answer.status is not Status.OK:
            raise UsageError(f"a tiny training must succeed, and it ended {answer.status}: {answer.message}")
    return answers


def _difference(answers: list[Evaluation], what: str) -> float:
    """Return the largest relative difference of losses to the reference trainer on the CPU.

    Raises:
        UsageError: it is more than rounding.
    """
    pairs = [
        (mine, its)
        for answer, expected in zip(answers, _trained(), strict=True)
        for mine, its in ((answer.val_loss, expected.val_loss), (answer.test_loss, expected.test_loss))
    ]
    largest = max(abs((mine or math.inf) - (its or 0.0)) / max(its or 0.0, 1e-9) for mine, its in pairs)
    if largest > _ROUNDING:
        raise UsageError(
            f"{what} must give the losses of the reference trainer but for rounding, and they differ by "
            f"{largest:.1%}. Train with --trainer reference --device cpu, and please report it."
        )
    return largest


def _libraries(folder: Path) -> dict[str, int]:
    """Return every compiled library in ``folder`` with the time it was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.so")}

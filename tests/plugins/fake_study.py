"""A plug-in for tests of the runner: a task without torch that can misbehave, and strategies that do."""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hpbench.canonical import TIME_KEYS, config_text, retraining_to_line, to_line
from hpbench.jobs import Allowance, RunJob, ShardJob
from hpbench.runner import run_study
from hpbench.seeding import strategy_stream
from hpbench.space import Categorical, Float, Integer, SearchSpace
from hpbench.store import Store
from hpbench.strategies import REGISTRY as STRATEGIES
from hpbench.strategies import Capability, Strategy
from hpbench.suite import Suite
from hpbench.tasks.base import Task, TaskSpec
from hpbench.tasks.datasets import REGISTRY as DATASETS
from hpbench.tasks.datasets import Dataset
from hpbench.tasks.networks import REGISTRY as NETWORKS
from hpbench.tasks.networks import NetworkFamily
from hpbench.tasks.training.costs import StepCost
from hpbench.trial import Evaluation, Proposal, Record, Request, RunKey, Status, Trial

BEHAVIOURS = (
    "plain",
    "nan",
    "inf",
    "test-nan",
    "all-nan",
    "raise",
    "raise-all",
    "short-answer",
    "kill",
    "segfault",
    "kill-once",
    "exit",
    "hang",
    "hang-stubborn",
    "slow",
    "interrupt-parent",
    "interrupt-and-hang",
    "unbuildable",
    "uncalibratable",
    "kill-calibrating",
    "kill-calibrating-once",
    "interrupt-calibrating",
    "unmeasurable",
    "kill-measuring",
    "kill-measuring-once",
    "kill-retraining",
    "kill-retraining-once",
    "hang-retraining",
    "raise-retraining",
    "nan-retraining",
    "change-config",
)
GUILTY = 3
"""The number of the trial that misbehaves, in every repetition."""

RETRAINED = 1
"""The number of the retraining that misbehaves."""

LATIN1 = os.fsdecode(b"caf\xe9.txt")
"""The name of a file as Python gives it where it is no UTF-8; SQLite and files refuse it."""

MARK = "FAKE_STUDY_MARK"
"""Environment variable: a path whose existence makes ``kill-once`` and ``interrupt-and-hang`` behave."""

DRIFT = "FAKE_STUDY_DRIFT"
"""Environment variable: a path whose existence makes ``fake-drifting`` drift."""

SPACE = SearchSpace(
    (
        Float("rate", 1e-4, 1e-1, log=True),
        Integer("units", 1, 64),
        Categorical("kind", ("a", "b")),
        Categorical("behaviour", BEHAVIOURS),
    )
)


PATH = Path(__file__)
FACTORY = f"hpbench_plugin_{PATH.stem}:build_task"


class Recorder:
    """A progress display that remembers what it was told."""

    def __init__(self) -> None:
        self.done: dict[RunKey, int] = {}
        self.records: list[Record] = []
        self.ends: dict[RunKey, tuple[str, str]] = {}
        self.notes: list[str] = []
        self.stops = 0

    def started(self, plan: object, done: Mapping[RunKey, int]) -> None:
        del plan
        self.done = dict(done)

    def finished(self, record: Record) -> None:
        self.records.append(record)

    def run_ended(self, run: RunKey, state: str, message: str) -> None:
        self.ends[run] = (str(state), message)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stopped(self) -> None:
        self.stops += 1


def suite_of(
    *strategies: str, behaviour: str = "plain", tasks: int = 1, epochs: int = 2, **keys: Any
) -> dict[str, Any]:
    """Return a suite file's content: fake tasks that behave so, these strategies, and other keys."""
    table = {
        "dataset": "fake-data",
        "network": "fake-net",
        "epochs": epochs,
        "space": {"behaviour": behaviour},
    }
    return {
        "schema": 1,
        "name": "fake",
        "root_seed": 1,
        "repetitions": 2,
        "budget": {"trials": 6},
        "tasks": [{**table, "name": f"task{index}"} for index in range(tasks)],
        "strategies": [{"use": name} for name in strategies or ("fake-adaptive", "fake-ahead")],
        **keys,
    }


def run(results: Path, content: dict[str, Any], **keys: Any) -> tuple[Any, Recorder]:
    """Run a suite with fake tasks and return summary and display."""
    recorder = Recorder()
    options = {"workers": 1, "device": "cpu", "task_factory": FACTORY, "plugins": [PATH], **keys}
    summary = run_study(Suite.of(content), "text", results=results, progress=recorder, **options)
    return summary, recorder


def lines_of(results: Path, *, times: bool = False) -> list[dict[str, Any]]:
    """Return the canonical lines of a study, without times by default."""
    with Store.open(results, read_only=True) as store:
        lines = [to_line(record) for record in store.records()]
    return lines if times else [{key: line[key] for key in line if key not in TIME_KEYS} for line in lines]


def retrainings_of(results: Path) -> list[dict[str, Any]]:
    """Return the canonical lines of a study's retrainings."""
    with Store.open(results, read_only=True) as store:
        return [retraining_to_line(item) for item in store.retrainings()]


def shard_of(content: dict[str, Any], **keys: Any) -> ShardJob:
    """Return all runs of the first task of a suite as one shard."""
    suite = Suite.of(content)
    name = suite.tasks[0].name
    budget = suite.budget
    runs = tuple(
        RunJob(run, suite.strategy(run.strategy).use, {}, strategy_stream(1, name, run.repetition).integer())
        for run in suite.run_keys()
        if run.task == name
    )
    options = {
        "objective": "error",
        "max_failures": suite.limits.max_failures,
        "ask_ahead": 1,
        "runs": runs,
        **keys,
    }
    return ShardJob(
        spec=suite.task_spec(name, device="cpu"),
        allowance=Allowance(budget.trials, budget.epochs, budget.seconds),
        budget_trials=suite.budget_trials(name),
        **options,
    )


def _dataset() -> Dataset:
    targets = np.arange(60, dtype=np.int64) % 3
    inputs = np.arange(240, dtype=np.float32).reshape(60, 4)
    digest = hashlib.sha256(inputs.tobytes() + targets.tobytes()).hexdigest()
    return Dataset(name="fake-data", inputs=inputs, targets=targets, n_classes=3, checksum=digest)


def _build(*_: object) -> None:
    raise NotImplementedError


class FakeTask(Task):
    """Answers at once with figures hashed from the configuration; misbehaves as its space says."""

    def __init__(self, spec: TaskSpec) -> None:
        self.name, self.space, self.full_epochs = spec.name, spec.space, spec.epochs
        self.behaviour = spec.space.constants.get("behaviour", "plain")
        self.sizes: list[int] = []
        self.forgotten: list[tuple[str, int]] = []
        self.states: set[tuple[str, int]] = set()
        if self.behaviour == "unbuildable":
            raise RuntimeError("no such thing")

    def evaluate(self, requests: Sequence[Request]) -> list[Evaluation]:
        self.sizes.append(len(requests))
        answers = [self._one(request) for request in requests]
        return answers[:-1] if self.behaviour == "short-answer" else answers

    def forget(self, requests: Sequence[Request]) -> None:
        self.forgotten += [(str(request.run), request.number) for request in requests]

    def calibrate(self, signature: str) -> StepCost:
        if self.behaviour == "uncalibratable":
            raise RuntimeError("no clock here")
        if self.behaviour == "kill-calibrating":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.behaviour == "kill-calibrating-once" and not Path(os.environ[MARK]).exists():
            Path(os.environ[MARK]).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.behaviour == "interrupt-calibrating" and not Path(os.environ[MARK]).exists():
            Path(os.environ[MARK]).touch()
            os.kill(os.getppid(), signal.SIGINT)
            threading.Event().wait()
        return StepCost(0.001, 0.01 + len(signature) / 1e9, 0.02)

    def measure(self, request: Request) -> float:
        if self.behaviour == "unmeasurable":
            raise RuntimeError("no stopwatch here")
        if self.behaviour == "kill-measuring":
            os.kill(os.getpid(), signal.SIGKILL)
        if (
            self.behaviour == "kill-measuring-once"
            and request.number > GUILTY
            and not Path(os.environ[MARK]).exists()
        ):
            Path(os.environ[MARK]).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 0.1 + request.number / 1000

    def retrain(self, requests: Sequence[Request]) -> list[Evaluation]:
        self.sizes.append(len(requests))
        return [self._retrained(request) for request in requests]

    def _retrained(self, request: Request) -> Evaluation:
        if request.number == RETRAINED:
            marked = Path(os.environ[MARK]).exists() if "once" in str(self.behaviour) else False
            match self.behaviour:
                case "kill-retraining" | "kill-retraining-once" if not marked:
                    if "once" in str(self.behaviour):
                        Path(os.environ[MARK]).touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                case "hang-retraining":
                    threading.Event().wait()
                case "raise-retraining":
                    raise ValueError("cannot do it again")
        key = f"{self.name}/{request.run.repetition}/{config_text(request.config)}/{request.epochs}/{request.number}"
        digest = hashlib.sha256(key.encode()).digest()
        lost = self.behaviour == "nan-retraining" and request.number == RETRAINED
        loss = float("nan") if lost else digest[2] / 100
        return Evaluation(
            Status.OK, epochs=request.epochs, test_correct=digest[1] % 13, test_total=12, test_loss=loss
        )

    def _one(self, request: Request) -> Evaluation:
        if request.parent is not None and (str(request.run), request.parent) not in self.states:
            raise KeyError(request.parent)
        if request.keep:
            self.states.add((str(request.run), request.number))
        if request.number == GUILTY:
            self._misbehave(request)
        if self.behaviour == "change-config":
            answer = self._figures(request)
            request.config["units"] = 0  # type: ignore[index]
            return answer
        if self.behaviour == "raise-all":
            raise ValueError(f"everything is wrong with {LATIN1}")
        return self._figures(request)

    def _misbehave(self, request: Request) -> None:
        match self.behaviour:
            case "raise":
                raise ValueError(f"wrong with {request.config['kind']}")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "segfault":
                ctypes.string_at(0)
            case "exit":
                os._exit(7)
            case "kill-once" if not Path(os.environ[MARK]).exists():
                Path(os.environ[MARK]).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang" | "slow":
                threading.Event().wait(1.0 if self.behaviour == "slow" else None)
            case "hang-stubborn":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                threading.Event().wait()
            case "interrupt-parent":
                os.kill(os.getppid(), signal.SIGINT)
            case "interrupt-and-hang" if not Path(os.environ[MARK]).exists():
                os.kill(os.getppid(), signal.SIGTERM)
                threading.Event().wait()

    def _figures(self, request: Request) -> Evaluation:
        key = f"{self.name}/{request.run.repetition}/{config_text(request.config)}/{request.parent}"
        digest = hashlib.sha256(key.encode()).digest()
        loss = 0.1 + digest[2] / 100
        guilty = request.number == GUILTY
        if self.behaviour == "all-nan" or (guilty and self.behaviour == "nan"):
            loss = float("nan")
        if guilty and self.behaviour == "inf":
            loss = float("inf")
        begin = 0 if request.parent is None else request.epochs - 1
        return Evaluation(
            Status.OK,
            epochs_from=begin,
            epochs=request.epochs,
            val_correct=digest[0] % 13,
            val_total=12,
            val_loss=loss,
            test_correct=digest[1] % 13,
            test_total=12,
            test_loss=float("nan") if guilty and self.behaviour == "test-nan" else 0.5,
            curve=tuple(digest[3 + epoch] / 255 for epoch in range(request.epochs - begin)),
            train_seconds=0.25,
            evaluate_seconds=0.125,
        )


def build_task(spec: TaskSpec) -> Task:
    """Return the task, as a worker's factory does."""
    return FakeTask(spec)


class Adaptive(Strategy):
    """Proposes near the best so far, so that its proposals show what it was told."""

    def __init__(self, space: SearchSpace, *, full_epochs: int, seed: int, budget_trials: int | None) -> None:
        super().__init__(space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials)
        self._rng = np.random.default_rng(seed)
        self._best = (2.0, 0.5)
        self.told: list[Trial] = []

    def ask(self) -> Proposal | None:
        point = self._rng.random(len(self.space.parameters))
        point[0] = 0.9 * self._best[1] + 0.1 * point[0]
        return Proposal(self.space.from_unit(point.tolist()))

    def tell(self, trial: Trial) -> None:
        self.told.append(trial)
        if trial.objective is not None and trial.objective < self._best[0]:
            self._best = (trial.objective, self.space.to_unit(trial.config)[0])


class Ahead(Adaptive):
    """Does not adapt, so it may be asked ahead."""

    capabilities = frozenset({Capability.NON_ADAPTIVE, Capability.CONDITIONAL})

    def tell(self, trial: Trial) -> None:
        self.told.append(trial)


class Drifting(Adaptive):
    """Proposes something else once the mark is there, as another version of a library may."""

    library = "numpy"

    def ask(self) -> Proposal | None:
        proposal = super().ask()
        drifted = DRIFT in os.environ and Path(os.environ[DRIFT]).exists()
        if proposal is not None and drifted and len(self.told) == 1:
            return Proposal({**proposal.config, "units": 65 - int(proposal.config["units"])})
        return proposal


class RaisingAsk(Adaptive):
    def ask(self) -> Proposal | None:
        if len(self.told) == GUILTY:
            raise RuntimeError(f"nothing comes to mind from {LATIN1}")
        return super().ask()


class RaisingTell(Adaptive):
    def tell(self, trial: Trial) -> None:
        super().tell(trial)
        if trial.number == GUILTY:
            raise RuntimeError("cannot hear it")


class Outside(Adaptive):
    def ask(self) -> Proposal | None:
        proposal = super().ask()
        return None if proposal is None else Proposal({**proposal.config, "units": 1000})


class KillsItself(Adaptive):
    def ask(self) -> Proposal | None:
        if len(self.told) == GUILTY:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().ask()


class Short(Adaptive):
    """Has five proposals."""

    def ask(self) -> Proposal | None:
        return super().ask() if len(self.told) < GUILTY + 2 else None


class Resumes(Adaptive):
    """Continues its previous trial by one epoch, from one epoch on, and begins anew at the full fidelity."""

    capabilities = frozenset({Capability.RESUMES})

    def ask(self) -> Proposal | None:
        if self.told and self.told[-1].epochs < self.full_epochs and self.told[-1].status is Status.OK:
            last = self.told[-1]
            return Proposal(last.config, epochs=last.epochs + 1, parent=last.number)
        proposal = super().ask()
        return None if proposal is None else Proposal(proposal.config, epochs=1)


class Reuses(Ahead):
    """Fills one dictionary anew for every proposal, and writes into what it is told."""

    def __init__(self, space: SearchSpace, *, full_epochs: int, seed: int, budget_trials: int | None) -> None:
        super().__init__(space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials)
        self._config: dict[str, Any] = {}

    def ask(self) -> Proposal | None:
        proposal = super().ask()
        if proposal is None:
            return None
        self._config.clear()
        self._config.update(proposal.config)
        return replace(proposal, config=self._config)

    def tell(self, trial: Trial) -> None:
        trial.config["units"] = 0  # type: ignore[index]


DATASETS.add("fake-data", _dataset)
NETWORKS.add(
    "fake-net",
    NetworkFamily("fake-net", SPACE, _build, citation="none", shaping=("batch_size",), compiled=True),
)
for name, kind in {
    "fake-adaptive": Adaptive,
    "fake-ahead": Ahead,
    "fake-drifting": Drifting,
    "fake-raising-ask": RaisingAsk,
    "fake-raising-tell": RaisingTell,
    "fake-outside": Outside,
    "fake-kills-itself": KillsItself,
    "fake-short": Short,
    "fake-resumes": Resumes,
    "fake-reuses": Reuses,
}.items():
    STRATEGIES.add(name, kind)

"""How many times faster cohorts train a mixed search space than the plain loop, everything included.

The space of the mlp on digits with all hyperparameters varying: 50 random trials of 10 epochs in each
repetition, one thread. ``nox -s bench -- tests/benchmarks/test_cohort.py`` takes about ten minutes.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from time import perf_counter

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from hpbench.tasks import networks
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.network_task import NetworkTask
from hpbench.tasks.training import cohort
from hpbench.tasks.training.cohort import CohortTrainer
from hpbench.tasks.training.lanes import Advance
from hpbench.tasks.training.packages import compiler_at_hand
from hpbench.trial import Evaluation, Request, RunKey

MLP = networks.REGISTRY.get("mlp")
NAME, EPOCHS, TRIALS, REPETITIONS = "digits-mlp", 10, 50, 20
AGREEING = 200
"""Configurations that the reference trainer trains too; they time it as well."""
WARM_BAR, COLD_BAR, AGREEMENT_BAR = 8.0, 5.0, 0.002
FLOPS_PER_WEIGHT = 6
"""Of one example: two forwards and four backwards."""


@dataclass
class Measured:
    """What one way of training cost, and what it trained.

    Attributes:
        trials: how many.
        seconds: of wall time.
        cpu_seconds: of this process and its children.
        signatures: different ones among the lanes.
        lanes: of each cohort.
        gigaflop: of the true networks, padding not counted.
    """

    trials: int
    seconds: float
    cpu_seconds: float
    signatures: int = 0
    lanes: tuple[int, ...] = ()
    gigaflop: float = 0.0


def spec(trainer: str, *, compiled: bool = False) -> TaskSpec:
    """Return the task, one thread."""
    return TaskSpec(NAME, "digits", "mlp", EPOCHS, MLP.space, trainer=trainer, compiled=compiled)  # type: ignore[arg-type]


def requests(repetitions: int) -> list[Request]:
    """Return the random trials of the first repetitions."""
    found = []
    for repetition in range(repetitions):
        rng = np.random.default_rng([repetition, 20])
        run = RunKey(NAME, "random", repetition)
        found += [Request(run, number, MLP.space.sample(rng), EPOCHS) for number in range(TRIALS)]
    return found


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall and processor seconds of ``work``, its child processes included."""

    def spent() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(item.ru_utime + item.ru_stime for item in used)

    begun, cpu = perf_counter(), spent()
    work()
    return perf_counter() - begun, spent() - cpu


def by_cohorts(repetitions: int, *, compiled: bool) -> Measured:
    """Return what training the repetitions in cohorts costs from building the task on."""
    asked, trained, sizes = requests(repetitions), [], []
    advance, advance_cohort = CohortTrainer.advance, CohortTrainer._advance_cohort

    def watched(self: CohortTrainer, work: Sequence[Advance]) -> None:
        trained.extend(work)
        advance(self, work)

    def counted(self: CohortTrainer, members: Sequence[Advance]) -> None:
        sizes.append(len(members))
        advance_cohort(self, members)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CohortTrainer, "advance", watched)
        patch.setattr(CohortTrainer, "_advance_cohort", counted)
        patch.setattr(cohort, "_STEPS", {})
        seconds, cpu = timed(lambda: NetworkTask(spec("cohort", compiled=compiled)).evaluate(asked))
    flops = sum(
        FLOPS_PER_WEIGHT
        * sum(parameter.numel() for parameter in item.lane.module.parameters())
        * item.lane.steps
        * item.lane.recipe.batch_size
        for item in trained
    )
    signatures = len({item.lane.signature for item in trained})
    return Measured(len(asked), seconds, cpu, signatures, tuple(sizes), flops * 1e-9)


ELSEWHERE = """
import importlib.util, json, sys
from dataclasses import asdict
import torch
torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("test_cohort", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["test_cohort"] = module
spec.loader.exec_module(module)
module.NetworkTask(module.spec("reference")).data(0)
print(json.dumps(asdict(module.by_cohorts(module.REPETITIONS, compiled=True))))
"""


@pytest.fixture(scope="module")
def compiled_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of compiled steps: empty at first, filled by the measurement from a cold cache."""
    if not compiler_at_hand():
        pytest.skip("compiling a step needs a C++ compiler: install g++ or set CXX")
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def cold(compiled_cache: Path) -> Measured:
    """A fresh process that finds no compiled step and none of the compiler's own leavings."""
    environment = {
        **os.environ,
        "HPBENCH_CACHE": str(compiled_cache / "hpbench"),
        "TORCHINDUCTOR_CACHE_DIR": str(compiled_cache / "inductor"),
        "OMP_NUM_THREADS": "1",
    }
    answer = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, __file__],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    values = json.loads(answer.stdout.splitlines()[-1])
    return Measured(**{**values, "lanes": tuple(values["lanes"])})


@pytest.fixture
def warm_cache(cold: Measured, compiled_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let compiled steps come from the cache that the cold measurement filled."""
    assert cold.trials
    monkeypatch.setenv("HPBENCH_CACHE", str(compiled_cache / "hpbench"))


@pytest.fixture(scope="module")
def sample() -> list[Request]:
    """A random sample of the trials."""
    everything = requests(REPETITIONS)
    places = np.random.default_rng(7).choice(len(everything), AGREEING, replace=False)
    return [everything[place] for place in sorted(places)]


@pytest.fixture(scope="module")
def plain(sample: list[Request]) -> tuple[Measured, list[Evaluation]]:
    """What the sample costs the reference trainer, and its answers."""
    torch.set_num_threads(1)
    answers: list[Evaluation] = []
    seconds, cpu = timed(lambda: answers.extend(NetworkTask(spec("reference")).evaluate(sample)))
    return Measured(len(sample), seconds, cpu), answers


def ratios(plain: Measured, measured: Measured) -> tuple[float, float]:
    """Return how many times faster than the reference trainer, by wall and by processor time."""
    return (
        plain.seconds / plain.trials / (measured.seconds / measured.trials),
        plain.cpu_seconds / plain.trials / (measured.cpu_seconds / measured.trials),
    )


def report(
    benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str], name: str, *pair: Measured
) -> float:
    """Keep and print the figures of a way of training; return its ratio by wall time."""
    plain, measured = pair
    wall, cpu = ratios(plain, measured)
    lanes = measured.lanes
    benchmark.extra_info[name] = {
        **asdict(measured),
        "ratio": wall,
        "cpu_ratio": cpu,
        "mean_lanes": fmean(lanes),
        "gigaflop_per_second": measured.gigaflop / measured.seconds,
    }
    benchmark.extra_info["reference"] = asdict(plain)
    with capsys.disabled():
        print(  # noqa: T201 - a benchmark's table
            f"\n{name:>24}: {measured.trials:5d} trials {measured.seconds:7.1f} s (cpu {measured.cpu_seconds:7.1f}) "
            f"ratio {wall:5.1f} (cpu {cpu:5.1f}), {measured.signatures} signatures, {len(lanes)} cohorts of "
            f"{min(lanes)}-{median(lanes):.0f}-{max(lanes)} lanes, "
            f"{measured.gigaflop / measured.cpu_seconds:.1f} GFLOP per cpu second; "
            f"reference {plain.seconds / plain.trials:.3f} s a trial (cpu {plain.cpu_seconds / plain.trials:.3f})",
            end="",
        )
    return wall


Plain = tuple[Measured, list[Evaluation]]
Capture = pytest.CaptureFixture[str]


def test_from_a_warm_cache(
    benchmark: BenchmarkFixture, capsys: Capture, warm_cache: None, plain: Plain
) -> None:
    assert warm_cache is None
    torch.set_num_threads(1)
    found = benchmark.pedantic(lambda: by_cohorts(REPETITIONS, compiled=True), rounds=1)
    report(benchmark, capsys, "compiled, warm cache", plain[0], found)
    benchmark.extra_info["wanted_ratio"] = WARM_BAR


def test_from_a_cold_cache(
    benchmark: BenchmarkFixture, capsys: Capture, cold: Measured, plain: Plain
) -> None:
    benchmark.pedantic(lambda: cold, rounds=1)  # measured in its own process
    report(benchmark, capsys, "compiled, cold cache", plain[0], cold)
    benchmark.extra_info["wanted_ratio"] = COLD_BAR


def test_without_a_compiler(benchmark: BenchmarkFixture, capsys: Capture, plain: Plain) -> None:
    torch.set_num_threads(1)
    found = benchmark.pedantic(lambda: by_cohorts(REPETITIONS, compiled=False), rounds=1)
    report(benchmark, capsys, "traced", plain[0], found)


@pytest.mark.parametrize("repetitions", [1, 5, 10, 40])
def test_the_ratio_grows_with_repetitions(
    benchmark: BenchmarkFixture, capsys: Capture, warm_cache: None, plain: Plain, repetitions: int
) -> None:
    assert warm_cache is None
    torch.set_num_threads(1)
    found = benchmark.pedantic(lambda: by_cohorts(repetitions, compiled=True), rounds=1)
    report(benchmark, capsys, f"warm, {repetitions} repetitions", plain[0], found)


@pytest.mark.parametrize("compiled", [True, False])
def test_accuracies_agree_with_the_reference_trainers(
    benchmark: BenchmarkFixture,
    capsys: Capture,
    warm_cache: None,
    plain: Plain,
    sample: list[Request],
    *,
    compiled: bool,
) -> None:
    assert warm_cache is None
    torch.set_num_threads(1)
    task = NetworkTask(spec("cohort", compiled=compiled))
    answers = benchmark.pedantic(lambda: task.evaluate(sample), rounds=1)
    pairs = list(zip(answers, plain[1], strict=True))
    both = [
        (one.val_correct / one.val_total, other.val_correct / other.val_total)
        for one, other in pairs
        if one.val_correct is not None and other.val_correct is not None
    ]
    differences = [one - other for one, other in both]
    figures = {
        "mean_difference": fmean(differences),
        "mean_absolute_difference": fmean(map(abs, differences)),
        "largest_difference": max(map(abs, differences)),
        "equal": sum(difference == 0.0 for difference in differences) / len(differences),
        "status_differs": sum(one.status is not other.status for one, other in pairs),
    }
    benchmark.extra_info.update(figures)
    with capsys.disabled():
        values = ", ".join(f"{name} {value:.5f}" for name, value in figures.items())
        print(f"\n{'compiled' if compiled else 'traced':>24}: {len(both)} accuracies: {values}", end="")  # noqa: T201
    assert abs(figures["mean_difference"]) <= AGREEMENT_BAR
    assert figures["status_differs"] == 0

"""How many times faster cohorts train a mixed search space than the plain loop, everything included.

The space of a family on digits with all hyperparameters varying: 50 random trials of 10 epochs in each
repetition, one thread. ``nox -s bench -- tests/benchmarks/test_cohort.py -k "mlp or cnn"`` took 25
minutes on a busy machine with two cores; ``-k from_a_warm_cache`` asks every family for its ratio alone.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from time import perf_counter
from typing import Any

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from hpbench.environment import find_compiler
from hpbench.seeding import training_stream
from hpbench.tasks import networks
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.network_task import NetworkTask
from hpbench.tasks.networks.maps import Convolution
from hpbench.tasks.training.compiled import CompiledTrainer
from hpbench.tasks.training.kernels import library
from hpbench.tasks.training.lanes import Advance, Lane
from hpbench.tasks.training.stacked import StackedTrainer
from hpbench.trial import Evaluation, Request, RunKey

EPOCHS, TRIALS, REPETITIONS = 10, 50, 20
AGREEING = 200
"""Configurations that the reference trainer trains too; they time it as well."""
BARS = {
    "mlp": (5.0, 8.0),
    "cnn": (2.0, 3.0),
    "transformer": (None, 4.0),
    "resnet": (None, 2.0),
    "rnn": (None, 3.0),
}
"""Ratios wanted from a cold and from a warm cache."""
FAMILIES = [name for name in networks.REGISTRY.names() if networks.REGISTRY.get(name).compiled]
AGREEMENT_BAR = 0.002
LARGE = 0.05
"""A difference of one trial that must be explained: by how far rounding alone moves the reference trainer."""
AVERAGED = 0.02
"""Above it the difference of one trial is that of two means, so that chaos does not hide a bias, or pass for one."""
NUDGES = 5
FLOPS_PER_WEIGHT = 6
"""Of one use of a weight: two forwards and four backwards."""


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


def name_of(family: str) -> str:
    """Return the name of the task."""
    return f"digits-{family}"


def spec(family: str, trainer: str, *, compiled: bool = False) -> TaskSpec:
    """Return the task, one thread."""
    space = networks.REGISTRY.get(family).space
    return TaskSpec(name_of(family), "digits", family, EPOCHS, space, trainer=trainer, compiled=compiled)  # type: ignore[arg-type]


def requests(family: str, repetitions: int) -> list[Request]:
    """Return the random trials of the first repetitions."""
    space, found = networks.REGISTRY.get(family).space, []
    for repetition in range(repetitions):
        rng = np.random.default_rng([repetition, 20])
        run = RunKey(name_of(family), "random", repetition)
        found += [Request(run, number, space.sample(rng), EPOCHS) for number in range(TRIALS)]
    return found


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall and processor seconds of ``work``, its child processes included."""

    def spent() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(item.ru_utime + item.ru_stime for item in used)

    begun, cpu = perf_counter(), spent()
    work()
    return perf_counter() - begun, spent() - cpu


@cache
def multiplications(family: str, shaping: str) -> int:
    """Return the multiplications of one example through the network of true size, by running shapes through it."""
    count = 0

    def add(layer: torch.nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal count
        if isinstance(layer, torch.nn.Linear | Convolution):
            places = output[0].numel() // layer.weight.shape[0]
            count += layer.weight.numel() * places

    module = networks.REGISTRY.get(family).build(json.loads(shaping), (1, 8, 8), 10)
    for layer in module.modules():
        layer.register_forward_hook(add)
    module(torch.zeros(1, 1, 8, 8))
    return count


def gigaflop(family: str, lane: Lane) -> float:
    """Return what a lane's training took in arithmetic."""
    each = multiplications(family, json.dumps(lane.config, sort_keys=True))
    return FLOPS_PER_WEIGHT * each * lane.steps * lane.recipe.batch_size * 1e-9


def by_cohorts(family: str, repetitions: int, *, compiled: bool) -> Measured:
    """Return what training the repetitions in cohorts costs from building the task on."""
    asked, trained, sizes = requests(family, repetitions), [], []
    kind: Any = CompiledTrainer if compiled else StackedTrainer
    advance, stacked = kind.advance, StackedTrainer._advance_cohort

    def watched(self: Any, work: Sequence[Advance[Any]]) -> None:
        trained.extend(work)
        advance(self, work)

    def counted(self: StackedTrainer, members: Sequence[Advance[Any]]) -> None:
        sizes.append(len(members))
        stacked(self, members)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "advance", watched)
        patch.setattr(StackedTrainer, "_advance_cohort", counted)
        library._library.cache_clear()
        task = spec(family, "cohort", compiled=compiled)
        seconds, cpu = timed(lambda: NetworkTask(task).evaluate(asked))
    shaping = networks.REGISTRY.get(family).shaping
    signatures = len({json.dumps([item.lane.config[name] for name in shaping]) for item in trained})
    flops = sum(gigaflop(family, item.lane) for item in trained)
    return Measured(len(asked), seconds, cpu, signatures, tuple(sizes) or (len(asked),), flops)


ELSEWHERE = """
import importlib.util, json, sys
from dataclasses import asdict
import torch
torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("test_cohort", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["test_cohort"] = module
spec.loader.exec_module(module)
module.NetworkTask(module.spec(sys.argv[2], "reference")).data(0)
print(json.dumps(asdict(module.by_cohorts(sys.argv[2], module.REPETITIONS, compiled=True))))
"""


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """A family whose lanes can be compiled."""
    if find_compiler() is None:
        pytest.skip("compiled training needs a C compiler: install gcc or set CC")
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def cold(family: str, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A fresh process that finds no compiled library."""
    folder = tmp_path_factory.mktemp("cold")
    answer = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, __file__, family],
        env={**os.environ, "HPBENCH_CACHE": str(folder), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    values = json.loads(answer.stdout.splitlines()[-1])
    return Measured(**{**values, "lanes": tuple(values["lanes"])})


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the compiled library."""
    folder = tmp_path_factory.mktemp("warm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPBENCH_CACHE", str(folder))
        library.library()
    return folder


@pytest.fixture
def warm_cache(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library come from a cache."""
    monkeypatch.setenv("HPBENCH_CACHE", str(filled))
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def sample(family: str) -> list[Request]:
    """A random sample of the trials."""
    everything = requests(family, REPETITIONS)
    places = np.random.default_rng(7).choice(len(everything), AGREEING, replace=False)
    return [everything[place] for place in sorted(places)]


Plain = tuple[Measured, list[Evaluation]]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def plain(family: str, sample: list[Request]) -> Plain:
    """What the sample costs the reference trainer, and its answers."""
    torch.set_num_threads(1)
    answers: list[Evaluation] = []
    seconds, cpu = timed(lambda: answers.extend(NetworkTask(spec(family, "reference")).evaluate(sample)))
    return Measured(len(sample), seconds, cpu), answers


def report(
    benchmark: BenchmarkFixture, capsys: Capture, name: str, *pair: Measured, wanted: float | None = None
) -> None:
    """Keep and print the figures of a way of training."""
    plain, measured = pair
    wall = plain.seconds / plain.trials / (measured.seconds / measured.trials)
    cpu = plain.cpu_seconds / plain.trials / (measured.cpu_seconds / measured.trials)
    benchmark.extra_info[name] = {
        **asdict(measured),
        "ratio": wall,
        "cpu_ratio": cpu,
        "mean_lanes": fmean(measured.lanes),
        "gigaflop_per_second": measured.gigaflop / measured.seconds,
        "wanted_ratio": wanted,
    }
    benchmark.extra_info["reference"] = asdict(plain)
    with capsys.disabled():
        print(  # noqa: T201 - a benchmark's table
            f"\n{name:>28}: {measured.trials:5d} trials {measured.seconds:7.1f} s (cpu {measured.cpu_seconds:7.1f}) "
            f"ratio {wall:5.1f} (cpu {cpu:5.1f}), {measured.signatures} signatures, {len(measured.lanes)} cohorts, "
            f"mean {fmean(measured.lanes):.0f} lanes, {measured.gigaflop / measured.cpu_seconds:.1f} GFLOP per cpu "
            f"second; reference {plain.seconds / plain.trials:.3f} s a trial (cpu {plain.cpu_seconds / plain.trials:.3f})",
            end="",
        )


@pytest.mark.usefixtures("warm_cache")
def test_from_a_warm_cache(benchmark: BenchmarkFixture, capsys: Capture, family: str, plain: Plain) -> None:
    found = benchmark.pedantic(lambda: by_cohorts(family, REPETITIONS, compiled=True), rounds=1)
    wanted = BARS.get(family, (None, None))[1]
    report(benchmark, capsys, f"{family}, compiled, warm", plain[0], found, wanted=wanted)


def test_from_a_cold_cache(
    benchmark: BenchmarkFixture, capsys: Capture, family: str, cold: Measured, plain: Plain
) -> None:
    benchmark.pedantic(lambda: cold, rounds=1)  # measured in its own process
    wanted = BARS.get(family, (None, None))[0]
    report(benchmark, capsys, f"{family}, compiled, cold", plain[0], cold, wanted=wanted)


@pytest.mark.usefixtures("warm_cache")
@pytest.mark.parametrize("repetitions", [1, 5, 10, 40])
def test_the_ratio_does_not_need_repetitions(
    benchmark: BenchmarkFixture, capsys: Capture, family: str, plain: Plain, repetitions: int
) -> None:
    found = benchmark.pedantic(lambda: by_cohorts(family, repetitions, compiled=True), rounds=1)
    report(benchmark, capsys, f"{family}, warm, {repetitions} repetitions", plain[0], found)


@pytest.mark.parametrize("family", ["mlp"], indirect=True)
def test_without_a_compiler(benchmark: BenchmarkFixture, capsys: Capture, family: str, plain: Plain) -> None:
    torch.set_num_threads(1)
    found = benchmark.pedantic(lambda: by_cohorts(family, REPETITIONS, compiled=False), rounds=1)
    report(benchmark, capsys, f"{family}, traced", plain[0], found)


def nudged(task: NetworkTask, request: Request) -> list[float]:
    """Return accuracies of the task's trainer where initial weights are off by one part in ten million."""
    trainer: Any = task._cohorts or task._trainer
    data, found = task.data(request.run.repetition), []
    stream = training_stream(0, request.run.task, request.run.repetition)
    for seed in range(NUDGES):
        state = trainer.start(task.space.complete(request.config), data, stream)
        generator = torch.Generator().manual_seed(seed)
        for weights in [state.p] if isinstance(state, Lane) else state.module.parameters():
            weights.data.mul_(1 + 1e-7 * torch.randn(weights.shape, generator=generator))
        if isinstance(state, Lane):
            trainer.advance([Advance(state, data, stream, request.epochs)])
        else:
            trainer.advance(state, data, stream, request.epochs)
        found.append(1 - state.outcome.last.error)
    return found


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean of ``values``."""
    return stdev(values) / math.sqrt(len(values))


@pytest.mark.usefixtures("warm_cache")
def test_accuracies_agree_with_the_reference_trainers(
    benchmark: BenchmarkFixture, capsys: Capture, family: str, plain: Plain, sample: list[Request]
) -> None:
    """The mean difference has to be small, and no large one may be without explanation.

    Some trainings, most of them at high learning rates, turn the last bit of one weight into several
    points of accuracy. There the difference of two accuracies says nothing of the trainers, that of two
    means over slightly different initial weights does.
    """
    task, other = NetworkTask(spec(family, "cohort", compiled=True)), NetworkTask(spec(family, "reference"))
    answers = benchmark.pedantic(lambda: task.evaluate(sample), rounds=1)
    single, averaged, unexplained = [], [], []
    for request, one, its in zip(sample, answers, plain[1], strict=True):
        assert one.status is its.status
        if one.val_correct is None or one.val_total is None or its.val_correct is None:
            continue
        difference = (one.val_correct - its.val_correct) / one.val_total
        single.append(difference)
        averaged.append(difference)
        if abs(difference) > AVERAGED:
            ours, theirs = nudged(task, request), nudged(other, request)
            averaged[-1] = fmean(ours) - fmean(theirs)
            spread = np.ptp([*theirs, its.val_correct / one.val_total])
            if abs(difference) > max(LARGE, 3 * spread):
                unexplained.append((difference, spread, request.config))
    figures = {
        "mean_difference": fmean(averaged),
        "standard_error": standard_error(averaged),
        "averaged": sum(abs(difference) > AVERAGED for difference in single),
        "mean_single_difference": fmean(single),
        "single_standard_error": standard_error(single),
        "mean_absolute_difference": fmean(map(abs, single)),
        "largest_difference": max(map(abs, single)),
        "equal": sum(difference == 0.0 for difference in single) / len(single),
        "large": sum(abs(difference) > LARGE for difference in single),
    }
    benchmark.extra_info.update(figures)
    with capsys.disabled():
        values = ", ".join(f"{name} {value:.5f}" for name, value in figures.items())
        print(f"\n{family:>28}: {len(single)} accuracies: {values}", end="")  # noqa: T201
    assert abs(figures["mean_difference"]) <= AGREEMENT_BAR
    assert not unexplained

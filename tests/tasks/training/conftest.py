"""What the tests of cohorts share: both trainers over one small task, with the same splits and streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from hpbench.environment import find_compiler
from hpbench.seeding import Stream, training_stream
from hpbench.tasks import datasets, networks
from hpbench.tasks.datasets import DataSpec
from hpbench.tasks.datasets.splits import split
from hpbench.tasks.training.cohort import CohortTrainer
from hpbench.tasks.training.compiled import CompiledTrainer
from hpbench.tasks.training.data import DeviceSplit
from hpbench.tasks.training.lanes import Advance, Lane
from hpbench.tasks.training.reference import ReferenceState, ReferenceTrainer
from hpbench.tasks.training.stacked import StackedTrainer
from hpbench.trial import Config

CPU = torch.device("cpu")
Trial = tuple[Config, int]
"""A configuration and its repetition."""


class Workshop:
    """A cohort trainer and a reference trainer of one family for one data set."""

    def __init__(
        self,
        dataset: str = "iris",
        *,
        family: str = "mlp",
        kind: str = "stacked",
        full_epochs: int = 4,
        patience: int | None = None,
        threads: int = 1,
        subset: int | None = None,
        device: torch.device = CPU,
    ) -> None:
        self.device = device
        self.dataset = datasets.load(DataSpec(dataset, subset=subset))
        self.family = networks.REGISTRY.get(family)
        common: dict[str, Any] = {
            "n_classes": self.dataset.n_classes,
            "full_epochs": full_epochs,
            "patience": patience,
        }
        self.reference = ReferenceTrainer(self.family, device=device, **common)
        common["input_shape"] = self.dataset.shape
        self.cohort: CohortTrainer[Any] = (
            CompiledTrainer(self.family, threads=threads, **common)
            if kind == "compiled"
            else StackedTrainer(self.family, device=device, **common)
        )
        self.data = cache(self._data)

    def _data(self, repetition: int) -> DeviceSplit:
        shares = {"validation_fraction": 0.2, "test_fraction": 0.2}
        parts = split(self.dataset, root_seed=0, repetition=repetition, **shares)
        return DeviceSplit.of(parts, self.device)

    @staticmethod
    def stream(repetition: int) -> Stream:
        """Return the training stream of a repetition."""
        return training_stream(0, "workshop", repetition)

    def config(self, **values: Any) -> Config:
        """Return the family's default configuration with changes, complete."""
        space = self.family.space
        return {**space.complete(space.active({**space.default_values(), **values})), **values}

    def start(self, config: Config, repetition: int = 0) -> Lane:
        """Return an untrained lane."""
        return self.cohort.start(config, self.data(repetition), self.stream(repetition))

    def advance(self, lanes: Sequence[Lane], epochs: int, repetitions: Sequence[int] | None = None) -> None:
        """Train lanes together until ``epochs``."""
        places = [0] * len(lanes) if repetitions is None else repetitions
        work = [
            Advance(lane, self.data(place), self.stream(place), epochs)
            for lane, place in zip(lanes, places, strict=True)
        ]
        self.cohort.advance(work)

    def train(self, trials: Sequence[Trial], *stops: int) -> list[Lane]:
        """Return the lanes of ``trials`` after training them together from stop to stop."""
        lanes = [self.start(config, repetition) for config, repetition in trials]
        for epochs in stops:
            self.advance(lanes, epochs, [repetition for _, repetition in trials])
        return lanes

    def refer(self, config: Config, epochs: int, repetition: int = 0) -> ReferenceState:
        """Return what the reference trainer makes of a configuration."""
        data, stream = self.data(repetition), self.stream(repetition)
        state = self.reference.start(config, data, stream)
        self.reference.advance(state, data, stream, epochs)
        return state


def state_of(lane: Lane) -> list[Tensor]:
    """Return copies of all tensors of a lane."""
    return [tensor.clone() for tensor in (lane.p, lane.m, lane.v)]


def assert_same(one: Lane, other: Lane) -> None:
    """Check that two lanes are equal, bit for bit."""
    counts = [(lane.epochs, lane.steps, lane.moments, lane.outcome) for lane in (one, other)]
    assert counts[0] == counts[1]
    for name in ("p", "m", "v"):
        mine, its = getattr(one, name), getattr(other, name)
        # as integers: a diverged lane holds NaN, and even those are to be the same
        assert torch.equal(mine.view(torch.int32), its.view(torch.int32)), name


def assert_near(workshop: Workshop, lane: Lane, state: ReferenceState, tolerance: float = 2e-4) -> None:
    """Check that a lane's parameters are those of the reference trainer but for rounding."""
    expected = dict(state.module.named_parameters())
    found = workshop.cohort.parameters(lane)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name].detach(), rtol=tolerance, atol=tolerance)
    assert (lane.epochs, lane.steps) == (state.epochs, state.steps)


@pytest.fixture(scope="session")
def made() -> Callable[..., Workshop]:
    """A maker of workshops; equal ones are made once, since each records its steps anew."""
    return cache(Workshop)


@pytest.fixture(params=["stacked", "compiled"])
def workshop(request: pytest.FixtureRequest, made: Callable[..., Workshop]) -> Callable[..., Workshop]:
    """A maker of workshops of each kind of cohort."""
    kind: str = request.param
    if kind == "compiled" and find_compiler() is None:
        pytest.skip("compiled training needs a C compiler: install gcc or set CC")
    return lambda *names, **options: made(*names, kind=kind, **options)


@pytest.fixture
def stacked(made: Callable[..., Workshop]) -> Callable[..., Workshop]:
    """A maker of workshops whose lanes are stacked."""
    return made


@pytest.fixture
def compiled(made: Callable[..., Workshop]) -> Callable[..., Workshop]:
    """A maker of workshops whose lanes train in C."""
    if find_compiler() is None:
        pytest.skip("compiled training needs a C compiler: install gcc or set CC")
    return lambda *names, **options: made(*names, kind="compiled", **options)


@pytest.fixture(scope="session")
def same() -> Callable[[Lane, Lane], None]:
    """``assert_same``."""
    return assert_same


@pytest.fixture(scope="session")
def near() -> Callable[..., None]:
    """``assert_near``."""
    return assert_near


@pytest.fixture(scope="session")
def snapshot() -> Callable[[Lane], list[Tensor]]:
    """``state_of``."""
    return state_of

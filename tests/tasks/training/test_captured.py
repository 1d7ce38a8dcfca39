"""Captured steps, as far as a machine without CUDA can tell: what is replayed, on which memory, and what it trains."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hpbench.tasks import networks
from hpbench.tasks.training.captured import CapturedStep
from hpbench.tasks.training.outcome import Scores

Make = Callable[..., Any]

ELSEWHERE = torch.device("meta")
"""A device besides the CPU that every torch has; its tensors have shapes and types but no numbers."""


class Recorder:
    """Stands for CUDA graphs: work is not run when captured, and replayed on the memory that it was captured on."""

    def __init__(self) -> None:
        self.captured = 0
        self.replayed = 0

    def __call__(self, work: Callable[[], object]) -> Callable[[], object]:
        self.captured += 1

        def replay() -> None:
            self.replayed += 1
            work()

        return replay


def test_capturing_trains_nothing_and_replays_take_what_is_fed() -> None:
    recorder, state = Recorder(), [torch.zeros(2), torch.ones(2)]

    def step(p: Tensor, m: Tensor, by: Tensor) -> None:
        p.add_(by * m)

    captured = CapturedStep(
        step, state, [torch.full((2,), 9.0)], lambda state, fed: [*state, *fed], capture=recorder
    )
    assert state[0].tolist() == [0.0, 0.0]
    captured(torch.tensor([1.0, 2.0]))
    captured(torch.tensor([10.0, 20.0]))
    assert state[0].tolist() == [11.0, 22.0]
    assert (recorder.captured, recorder.replayed) == (1, 2)


def test_what_a_replay_reads_is_kept_although_a_graph_holds_addresses_alone() -> None:
    coefficients = torch.ones(2)
    kept = weakref.ref(coefficients)
    captured = CapturedStep(
        lambda p, by, rate: p.add_(by * rate),
        [torch.zeros(2)],
        [torch.zeros(2)],
        lambda state, fed, coefficients=coefficients: [*state, *fed, coefficients],
        capture=lambda _work: lambda: None,
    )
    del coefficients
    captured(torch.ones(2))
    assert kept() is not None


@pytest.mark.parametrize(("family", "batch_size"), [("mlp", 30), ("cnn", 128)])
def test_captured_cohorts_train_the_same_bits_and_capture_again_when_a_lane_has_left(
    stacked: Make, same: Make, monkeypatch: pytest.MonkeyPatch, family: str, batch_size: int
) -> None:
    own = stacked("digits", family=family)
    values = {"layers": 1, "batch_size": batch_size, "dropout": 0.2, "schedule": "cosine"}
    cases = [(own.config(**values, learning_rate=10.0 ** -(2 + place)), place) for place in range(3)]
    expected = [own.train([case], 2 if place == 1 else 3)[0] for place, case in enumerate(cases)]
    recorder = Recorder()
    monkeypatch.setattr(own.cohort, "_capture", recorder)
    lanes = [own.start(*case) for case in cases]
    own.advance(lanes, 2, [0, 1, 2])
    assert recorder.captured == 1
    own.advance([lanes[0], lanes[2]], 3, [0, 2])
    assert recorder.captured == 2
    steps = own.data(0).n_train // batch_size
    assert recorder.replayed == 3 * steps
    for lane, alone in zip(lanes, expected, strict=True):
        same(lane, alone)


class Operations(TorchDispatchMode):
    """Takes down every operation of torch, below vmap and grad, with the devices of the tensors that it took."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[str, frozenset[str]]] = set()

    @property
    def names(self) -> set[str]:
        """The operations, without their overloads."""
        return {name for name, _ in self.seen}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        taken = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        self.seen.add((func.overloadpacket.__name__, frozenset(tensor.device.type for tensor in taken)))
        return func(*args, **(kwargs or {}))


def train_elsewhere(
    stacked: Make, monkeypatch: pytest.MonkeyPatch, family: str, capture: Callable[..., Any]
) -> None:
    """Train three random lanes for two epochs on another device than the CPU, where scores are made up."""
    own = stacked("digits", family=family, full_epochs=2, device=ELSEWHERE)
    monkeypatch.setattr(own.cohort, "_capture", capture)
    monkeypatch.setattr(own.cohort, "_scores", lambda _item, _part: Scores(1, 2, 0.5))
    rng, space = np.random.default_rng(0), own.family.space.fixed("batch_size", 128)
    lanes = own.train([(space.complete(space.sample(rng)), 0) for _ in range(3)], 2)
    assert {tensor.device for lane in lanes for tensor in (lane.p, lane.m, lane.v)} == {ELSEWHERE}
    assert [lane.epochs for lane in lanes] == [2, 2, 2]


FAMILIES = [name for name in networks.REGISTRY.names() if networks.REGISTRY.get(name).cohort]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_captured_step_takes_tensors_of_its_device_alone_and_waits_for_none(
    stacked: Make, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    inside = Operations()

    def capture(work: Callable[[], object]) -> Callable[[], object]:
        with inside:
            work()
        return lambda: None

    train_elsewhere(stacked, monkeypatch, family, capture)
    assert {"bmm", "cat", "sub_"} <= inside.names
    assert {devices for _, devices in inside.seen} == {frozenset({ELSEWHERE.type})}
    # What reads a number back, or sizes its result by one, waits for the device, which a capture refuses.
    assert not inside.names & {"_local_scalar_dense", "equal", "masked_select", "nonzero", "_unique2"}


@pytest.mark.parametrize("family", FAMILIES)
def test_around_the_steps_nothing_but_a_copy_takes_tensors_of_two_devices(
    stacked: Make, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    around = Operations()
    with around:
        train_elsewhere(stacked, monkeypatch, family, lambda _work: lambda: None)
    assert {"_to_copy", "index"} <= around.names
    assert {name for name, devices in around.seen if len(devices) > 1} <= {"copy_"}

"""Captured steps, as far as a machine without CUDA can tell: what is replayed, on which memory, and what it trains."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from hpbench.tasks.training.captured import CapturedStep

Make = Callable[..., Any]


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

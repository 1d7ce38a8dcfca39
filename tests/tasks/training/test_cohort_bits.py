"""A lane's bits are its own: the same alone and in any company, in any order, in one go or in several."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpbench.tasks import networks
from hpbench.tasks.training.lanes import Advance
from hpbench.trial import Config

SPACE = networks.REGISTRY.get("mlp").space
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
EPOCHS = 2
Make = Callable[..., Any]
Same = Callable[[Any, Any], None]
Trial = tuple[Config, int]


def lively(config: Config, **values: Any) -> Config:
    """Return a configuration of a given shape that does not diverge in few steps."""
    rate = min(float(config["learning_rate"]), 0.02)
    return {**config, "learning_rate": rate, **values}


def trials(count: int, *, width: int = 17, batch_size: int = 30) -> list[Trial]:
    """Return trials of one signature: each update rule with and without dropout, then random ones."""
    shape = {"layers": 1, "width": width, "batch_size": batch_size}
    rng = np.random.default_rng(5)
    pairs = itertools.product(OPTIMIZERS, (0.0, 0.4))
    drawn = [SPACE.complete(SPACE.sample(rng)) for _ in range(count)]
    for config, (optimizer, dropout) in zip(drawn, pairs, strict=False):
        config.update(optimizer=optimizer, dropout=dropout, momentum=0.9)
    for place in range(1, count, 4):
        drawn[place].update(label_smoothing=0.1, nesterov=True)
    return [(lively(config, **shape), place % 3) for place, config in enumerate(drawn)]


def companies(count: int) -> list[list[int]]:
    """Return pairs, threes, eights and all of ``count`` places, in several orders."""
    rng = np.random.default_rng(1)
    found = [[place, (place + 1) % count] for place in range(8)]
    found += [rng.permutation(count)[:size].tolist() for size in (2, 3, 3, 8, 8, 33, 33)]
    return [*found, list(range(8)), list(range(8))[::-1], list(range(count))]


def check(own: Any, same: Same, cases: Sequence[Trial], groups: Sequence[Sequence[int]]) -> None:
    """Check that every lane of every group is what it is alone."""
    alone = {place: own.train([cases[place]], EPOCHS)[0] for place in sorted({*itertools.chain(*groups)})}
    for number, group in enumerate(groups):
        stops = (EPOCHS,) if number % 2 else (1, EPOCHS)
        for place, lane in zip(group, own.train([cases[place] for place in group], *stops), strict=True):
            same(lane, alone[place])


@pytest.mark.parametrize("threads", [1, 2])
def test_company_and_order_change_no_bit(workshop: Make, same: Same, threads: int) -> None:
    torch.set_num_threads(threads)
    check(workshop(threads=threads), same, trials(33), companies(33)[::threads])


@pytest.mark.parametrize("dataset", ["iris", "moons", "wine"])
@pytest.mark.parametrize(
    ("width", "batch_size"), [(16, 16), (129, 7), (133, 9), (145, 17), (1, 1), (24, 500)]
)
def test_sizes_that_align_nothing_change_no_bit(
    workshop: Make, same: Same, dataset: str, width: int, batch_size: int
) -> None:
    cases = trials(6, width=width, batch_size=batch_size)
    check(workshop(dataset, subset=100), same, cases, [range(6), range(5, -1, -1), [4, 1], [2, 0, 5]])


@pytest.mark.parametrize(("layers", "threads"), [(1, 1), (3, 1), (2, 2)])
def test_large_products_change_no_bit(workshop: Make, same: Same, layers: int, threads: int) -> None:
    torch.set_num_threads(threads)
    cases = [
        ({**config, "layers": layers}, repetition)
        for config, repetition in trials(4, width=128, batch_size=128)
    ]
    check(workshop("digits", threads=threads), same, cases, [range(4), [3, 1]][::threads])


def test_true_widths_of_one_padded_width_share_a_cohort_and_change_no_bit(stacked: Make, same: Same) -> None:
    own = stacked()
    cases = [({**config, "width": 17 + place}, 0) for place, (config, _) in enumerate(trials(8))]
    assert len({own.start(*case).signature for case in cases}) == 1
    check(own, same, cases, [range(8), [7, 0], [3, 5, 1]])


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 32), min_size=1, max_size=12, unique=True), st.sampled_from([(2,), (1, 2)]))
def test_any_company_is_as_good_as_none(
    workshop: Make, same: Same, group: list[int], stops: tuple[int, ...]
) -> None:
    own, cases = workshop(), trials(33)
    together = own.train([cases[place] for place in group], *stops)
    same(together[0], own.train([cases[group[0]]], 2)[0])
    same(together[-1], own.train([cases[group[-1]]], 1, 2)[0])


def test_lanes_at_different_epochs_share_a_cohort_and_change_no_bit(workshop: Make, same: Same) -> None:
    own, cases = workshop(), trials(6)
    expected = [own.train([case], 4)[0] for case in cases]
    lanes = [own.train([case], *([place % 3] if place % 3 else []))[0] for place, case in enumerate(cases)]
    assert {lane.epochs for lane in lanes} == {0, 1, 2}
    own.advance(lanes, 4, [repetition for _, repetition in cases])
    for lane, alone in zip(lanes, expected, strict=True):
        same(lane, alone)


def test_lanes_with_different_goals_share_a_cohort_and_change_no_bit(workshop: Make, same: Same) -> None:
    own, cases = workshop(), trials(6)
    goals = [1, 4, 2, 3, 4, 1]
    lanes = [own.start(*case) for case in cases]
    work = [
        Advance(lane, own.data(place), own.stream(place), goal)
        for lane, (_, place), goal in zip(lanes, cases, goals, strict=True)
    ]
    own.cohort.advance(work)
    for lane, case, goal in zip(lanes, cases, goals, strict=True):
        same(lane, own.train([case], goal)[0])


def test_what_a_lane_is_copied_from_and_kept_as_does_not_matter(workshop: Make, same: Same) -> None:
    own, cases = workshop(), trials(4)
    kept = own.train(cases, 1)
    configs, repetitions = zip(*cases, strict=True)
    again = [
        own.cohort.continued(lane, config, own.data(place), own.stream(place))
        for lane, (config, place) in zip(kept, cases, strict=True)
    ]
    own.advance(again[::-1], 2, repetitions[::-1])
    for lane, case in zip(again, cases, strict=True):
        same(lane, own.train([case], 2)[0])
    assert [lane.epochs for lane in kept] == [1] * len(configs)


ELSEWHERE = """
import hashlib, importlib.util, sys
import torch
torch.set_num_threads(1)
modules = []
for path in sys.argv[1:3]:
    spec = importlib.util.spec_from_file_location("m" + str(len(modules)), path)
    modules.append(importlib.util.module_from_spec(spec))
    spec.loader.exec_module(modules[-1])
lanes = modules[0].Workshop(kind=sys.argv[3]).train(modules[1].trials(8)[::-1], 2)[::-1]
for lane in lanes:
    print(hashlib.sha256(b"".join(t.numpy().tobytes() for t in (lane.p, lane.m, lane.v))).hexdigest())
"""


@pytest.mark.parametrize("kind", ["stacked", "compiled"])
def test_another_process_trains_the_same_bits(request: pytest.FixtureRequest, kind: str) -> None:
    workshop = request.getfixturevalue(kind)
    paths = [str(Path(__file__).with_name(name)) for name in ("conftest.py", Path(__file__).name)]
    answer = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *paths, kind],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        check=True,
        text=True,
    )
    lanes = workshop().train(trials(8), EPOCHS)
    digests = [
        hashlib.sha256(b"".join(item.numpy().tobytes() for item in (lane.p, lane.m, lane.v))).hexdigest()
        for lane in lanes
    ]
    assert answer.stdout.split() == digests

"""Every family that trains in cohorts: its lanes are the reference trainer's, and their bits their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hpbench.tasks import networks
from hpbench.trial import Config

Make = Callable[..., Any]
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
FAMILIES = [networks.REGISTRY.get(name) for name in networks.REGISTRY.names()]
COMPILED = [family.name for family in FAMILIES if family.compiled]
STACKED = [family.name for family in FAMILIES if family.cohort]
ODD = {
    "mlp": {"width": 21},
    "rnn": {"width": 21},
    "cnn": {"channels": 9},
    "resnet": {"channels": 16, "learning_rate": 1e-4},
    "transformer": {"width": 32},
}
"""Sizes that need padding where a family allows them; a rate at which rounding does not grow."""
SMALL = {
    "layers": 2, "batch_size": 128, "learning_rate": 1e-3, "momentum": 0.5,
}  # fmt: skip
SUBSET = 430
"""Digits, of which 258 are trained on: two steps an epoch at the largest batch, eight at the smallest."""


def configs(own: Any, **values: Any) -> list[Config]:
    """Return a configuration of every update rule, with and without dropout, everything else switched on."""
    everything = {"label_smoothing": 0.1, "schedule": "cosine", "l1": 1e-5, "weight_decay": 0.01}
    names = own.family.space.names
    small = {name: value for name, value in SMALL.items() if name in names} | ODD.get(own.family.name, {})
    values = {name: value for name, value in values.items() if name in names}
    rates: list[dict[str, float]] = [{"dropout": 0.0}, {"dropout": 0.4}] if "dropout" in names else [{}]
    return [
        own.config(**{**small, **everything, **values}, optimizer=optimizer, **dropout)
        for optimizer, dropout in itertools.product(OPTIMIZERS, rates)
    ]


@pytest.mark.parametrize(("name", "kind"), [
    *((name, "compiled") for name in COMPILED),
    *((name, "stacked") for name in STACKED),
])  # fmt: skip
def test_fifty_steps_are_those_of_the_reference_trainer(
    request: pytest.FixtureRequest, near: Make, name: str, kind: str
) -> None:
    epochs = 8
    own = request.getfixturevalue(kind)("digits", family=name, full_epochs=epochs, subset=SUBSET)
    asked = configs(own, batch_size=30)
    lanes = own.train([(config, place % 2) for place, config in enumerate(asked)], epochs)
    for place, (lane, config) in enumerate(zip(lanes, asked, strict=True)):
        state = own.refer(config, epochs, place % 2)
        assert lane.steps >= 50
        near(own, lane, state, 1e-3)
        assert lane.outcome.last.correct == pytest.approx(state.outcome.last.correct, abs=2)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", COMPILED)
def test_company_order_pauses_and_threads_change_no_bit_of_compiled_lanes(
    compiled: Make, same: Make, name: str, threads: int
) -> None:
    own = compiled("digits", family=name, threads=threads, subset=SUBSET)
    shapes = ({}, {"batch_size": 30}, {"layers": 1}, {"batch_size": 64, "layers": 3})
    cases = [(config, place % 3) for place, config in enumerate(
        config for values in shapes for config in configs(own, **values)
    )]  # fmt: skip
    alone = [own.train([case], 2)[0] for case in cases]
    rng = np.random.default_rng(0)
    for size, stops in ((2, (2,)), (3, (1, 2)), (8, (2,)), (32, (1, 2))):
        group = rng.permutation(len(cases))[:size]
        for place, lane in zip(group, own.train([cases[place] for place in group], *stops), strict=True):
            same(lane, alone[place])


@pytest.mark.parametrize("name", [name for name in STACKED if name != "mlp"])
def test_company_changes_no_bit_of_stacked_lanes(stacked: Make, same: Make, name: str) -> None:
    own = stacked("digits", family=name, subset=SUBSET)
    cases = [(config, place % 3) for place, config in enumerate(configs(own)[::2])]
    alone = [own.train([case], 1)[0] for case in cases]
    last = len(cases) - 1
    for group in ([0, 1], [last, 0], list(range(len(cases)))[::-1]):
        for place, lane in zip(group, own.train([cases[place] for place in group], 1), strict=True):
            same(lane, alone[place])

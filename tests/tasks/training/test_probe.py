"""A network of one's own that could not be trained is refused before anything trains, and at the latest in its trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hpbench.errors import UsageError
from hpbench.seeding import training_stream
from hpbench.suite import SuiteError, load_suite
from hpbench.tasks import datasets
from hpbench.tasks.datasets.splits import split
from hpbench.tasks.networks import REGISTRY, NetworkFamily, training_space
from hpbench.tasks.networks.layers import Dropout
from hpbench.tasks.training.data import DeviceSplit
from hpbench.tasks.training.probe import probe
from hpbench.tasks.training.reference import ReferenceTrainer
from hpbench.trial import Config

SUITE = """
schema = 1
name = "own"
root_seed = 1
repetitions = 1
budget = { trials = 1 }
tasks = [{ dataset = "DATA", network = "own", epochs = 1 }]
strategies = [{ use = "default" }]
"""


class Noisy(nn.Module):
    """Drops units by torch's global generator, unseen by who looks at layers."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.dropout(inputs, self.rate, self.training) if self.rate else inputs


def family(last: Callable[[int], int], layer: Callable[[Config], nn.Module]) -> NetworkFamily:
    """Return a family with one layer of its own and ``last(n_classes)`` outputs."""

    def build(config: Config, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), layer(config), nn.Linear(prod(input_shape), last(n_classes)))

    return NetworkFamily("own", training_space(), build)


SOUND = family(lambda n: n, lambda config: Dropout(float(config["dropout"])))
NOISY = family(lambda n: n, lambda config: Noisy(float(config["dropout"])))
REFUSED = [
    (NOISY, "must draw nothing from a global generator while it trains, but torch's has moved"),
    (family(lambda n: n, lambda config: nn.Dropout(float(config["dropout"]))), "is a Dropout of torch"),
    (family(lambda _: 2, lambda _: nn.Identity()), r"shape (2, {n}) for 2 examples, got (2, 2)"),
    (family(lambda n: n, lambda _: nn.Linear(7, 7)), "must take inputs of shape (batch, {shape}), but its"),
]


SIZES = {"iris": {"n": 3, "shape": "4"}, "diabetes": {"n": 1, "shape": "10"}}


@pytest.fixture
def suite_of(tmp_path: Path) -> Iterator[Callable[[NetworkFamily, str], Any]]:
    def load(own: NetworkFamily, data: str) -> Any:
        REGISTRY.reset()
        REGISTRY.add("own", own)
        path = tmp_path / "own.toml"
        path.write_text(SUITE.replace("DATA", data), encoding="utf-8")
        return load_suite(path)

    yield load
    REGISTRY.reset()


@pytest.mark.parametrize(("own", "message"), REFUSED)
@pytest.mark.parametrize("data", ["iris", "diabetes"])
def test_a_suite_with_a_network_that_cannot_be_trained_is_refused(
    suite_of: Callable[..., Any], own: NetworkFamily, message: str, data: str
) -> None:
    with pytest.raises(SuiteError) as caught:
        suite_of(own, data)
    assert message.format(**SIZES[data]) in str(caught.value)
    assert "tasks[0].network" in str(caught.value)


@pytest.mark.parametrize("data", ["iris", "diabetes", "digits"])
def test_a_sound_network_is_taken_and_no_generator_moves(suite_of: Callable[..., Any], data: str) -> None:
    before = torch.get_rng_state()
    suite_of(SOUND, data)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", list(REGISTRY.builtin))
def test_the_families_of_hpbench_pass(name: str) -> None:
    found = REGISTRY.get(name)
    probe(found, found.space, (1, 8, 8), 10)


def trained(own: NetworkFamily, **values: Any) -> None:
    """Train one epoch on iris."""
    data = DeviceSplit.of(
        split(datasets.load("iris"), root_seed=0, repetition=0, validation_fraction=0.2, test_fraction=0.2),
        torch.device("cpu"),
    )
    trainer = ReferenceTrainer(own, n_classes=3, full_epochs=1, device=torch.device("cpu"), patience=None)
    stream = training_stream(0, "iris-own", 0, None)
    config = {**own.space.complete(own.space.default_config()), **values}
    trainer.advance(trainer.start(config, data, stream), data, stream, 1)


def test_a_trial_that_moves_the_global_generator_fails_and_leaves_it_as_it_was() -> None:
    trained(NOISY, dropout=0.0)
    before = torch.get_rng_state()
    with pytest.raises(UsageError, match="network 'own' must draw nothing from a global generator"):
        trained(NOISY, dropout=0.2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("outputs", [2, 4])
def test_a_trial_with_too_few_or_too_many_outputs_fails(outputs: int) -> None:
    odd = replace(family(lambda _: outputs, lambda _: nn.Identity()), name="odd")
    with pytest.raises(UsageError, match=rf"network 'odd' must give 3 outputs.* got \(32, {outputs}\)"):
        trained(odd)

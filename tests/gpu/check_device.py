"""Compare a device with the CPU and time cohorts on it; needs nothing but what hpbench itself needs.

``nox -s gpu`` runs it with the machine's own Python and torch, and sets the variable without which cuBLAS is
refused. ``--device cpu`` runs the same checks against the CPU itself, which is how the ordinary tests know
that they work.

    nox -s gpu -- [--device cuda] [--families mlp,cnn] [--trials 200]
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import torch

from hpbench.seeding import training_stream
from hpbench.tasks import datasets, networks
from hpbench.tasks.datasets.splits import split
from hpbench.tasks.network_task import make_repeatable, usable_device
from hpbench.tasks.networks.layers import Dropout
from hpbench.tasks.training.data import DeviceSplit
from hpbench.tasks.training.lanes import Advance
from hpbench.tasks.training.reference import ReferenceTrainer
from hpbench.tasks.training.stacked import StackedLane, StackedTrainer
from hpbench.trial import Value

TOLERANCE = 0.01
"""Of the mean validation error over many trials, CPU against device."""

COMPANY = 33
"""Lanes that train together where their bits are compared with those of fewer."""

EPOCHS = 5
REPETITIONS = 4


class Bench:
    """A family on digits, on one device."""

    def __init__(self, device: torch.device, family: str = "mlp") -> None:
        self.device = device
        self.family = networks.REGISTRY.get(family)
        self.dataset = datasets.load("digits")
        self.data = [
            DeviceSplit.of(
                split(self.dataset, root_seed=1, repetition=r, validation_fraction=0.2, test_fraction=0.2),
                device,
            )
            for r in range(REPETITIONS)
        ]
        shared = {
            "n_classes": self.dataset.n_classes,
            "full_epochs": EPOCHS,
            "device": device,
            "patience": None,
        }
        self.cohorts = StackedTrainer(self.family, input_shape=self.dataset.shape, **shared)
        self.reference = ReferenceTrainer(self.family, **shared)

    def configs(self, count: int) -> list[dict[str, Value]]:
        """Return ``count`` random configurations of one signature, equal for every device."""
        rng = np.random.default_rng(0)
        space = self.family.space.fixed("layers", 2).fixed("batch_size", 32)
        space = space.fixed("width", 64) if "width" in space.names else space.fixed("channels", 16)
        return [space.complete(space.sample(rng)) for _ in range(count)]

    def start(self, number: int, config: dict[str, Value]) -> Advance[StackedLane]:
        """Return the untrained lane of a trial."""
        repetition = number % REPETITIONS
        stream = training_stream(1, "digits-mlp", repetition)
        lane = self.cohorts.start(config, self.data[repetition], stream)
        return Advance(lane, self.data[repetition], stream, EPOCHS)

    def train(self, configs: list[dict[str, Value]]) -> list[StackedLane]:
        """Return the lanes of all configurations, trained together."""
        work = [self.start(number, config) for number, config in enumerate(configs)]
        self.cohorts.advance(work)
        return [item.lane for item in work]

    def reference_seconds(self, configs: list[dict[str, Value]]) -> float:
        """Return the seconds a trial takes the reference trainer, on average."""
        begun = time.perf_counter()
        for number, config in enumerate(configs):
            repetition = number % REPETITIONS
            stream = training_stream(1, "digits-mlp", repetition)
            state = self.reference.start(config, self.data[repetition], stream)
            self.reference.advance(state, self.data[repetition], stream, EPOCHS)
        return (time.perf_counter() - begun) / len(configs)


def require(condition: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Print the finding and stop with status 1 where it does not hold."""
    print(("holds: " if condition else "DOES NOT HOLD: ") + what)
    if not condition:
        sys.exit(1)


def check_random_numbers(device: torch.device, family: str) -> None:
    """Initial weights and dropout masks are equal bit for bit on both devices."""
    here, there = Bench(torch.device("cpu"), family), Bench(device, family)
    pairs = [(here.start(n, c).lane, there.start(n, c).lane) for n, c in enumerate(here.configs(20))]
    require(all(torch.equal(a.p, b.p.cpu()) for a, b in pairs), "initial weights are equal on both devices")
    masks = []
    for place in (torch.device("cpu"), device):
        layer = Dropout(0.3).to(place)
        layer.prepare((64, 96), place)
        layer.seed = torch.tensor(12345, dtype=torch.int32, device=place)
        masks.append(layer(torch.ones(64, 96, device=place)).cpu())
    require(torch.equal(masks[0], masks[1]), "dropout masks are equal on both devices")


def check_company(device: torch.device, family: str) -> None:
    """A lane's bits do not depend on its company, on this device."""
    bench = Bench(device, family)
    configs = bench.configs(COMPANY)
    together = bench.train(configs)
    for count in (1, 3, 8):
        apart = bench.train(configs[:count])
        require(
            all(torch.equal(a.p, b.p) for a, b in zip(apart, together[:count], strict=True)),
            f"lanes have equal bits in a company of {count} and of {COMPANY}",
        )


def check_metrics(device: torch.device, family: str, trials: int) -> None:
    """Errors on the device agree with those of the CPU; print how long each took."""
    here, there = Bench(torch.device("cpu"), family), Bench(device, family)
    configs = here.configs(trials)
    there.train(configs[:2])
    errors, seconds = [], []
    for bench in (here, there):
        begun = time.perf_counter()
        lanes = bench.train(configs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begun)
        errors.append(np.array([lane.outcome.curve[-1] for lane in lanes]))
    difference = float(np.mean(errors[1] - errors[0]))
    equal = float(np.mean(errors[1] == errors[0]))
    print(
        f"mean difference of validation error {difference:+.5f}; equal counts in {equal:.0%} of {trials} trials"
    )
    require(abs(difference) <= TOLERANCE, f"errors on {device} agree with the CPU within {TOLERANCE}")
    alone = there.reference_seconds(configs[: min(10, trials)])
    print(f"cohorts: {trials / seconds[0]:.1f} trials/s on the CPU, {trials / seconds[1]:.1f} on {device};")
    print(f"reference trainer on {device}: {1 / alone:.1f} trials/s; ratio {alone * trials / seconds[1]:.1f}")


def main() -> None:
    """Run every check on the device that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--families", default="mlp,cnn", help="comma-separated")
    parser.add_argument("--trials", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = usable_device(arguments.device)
    make_repeatable(device)
    print(
        f"torch {torch.__version__}, {device}, {torch.cuda.get_device_name(device) if device.type == 'cuda' else ''}"
    )
    for family in arguments.families.split(","):
        print(f"\n{family} on digits")
        check_random_numbers(device, family)
        check_company(device, family)
        check_metrics(device, family, arguments.trials)


if __name__ == "__main__":
    main()

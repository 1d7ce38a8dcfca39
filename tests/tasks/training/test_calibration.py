"""Tests of the calibration: what is built for a signature, what is timed, what is counted."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from hpbench.seeding import training_stream
from hpbench.space import SearchSpace
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.network_task import NetworkTask
from hpbench.tasks.networks import REGISTRY
from hpbench.tasks.training import calibration, reference
from hpbench.tasks.training.calibration import Calibrator, config_of, retrain, typical_seconds
from hpbench.tasks.training.costs import signature_of, signatures_of
from hpbench.tasks.training.reference import ReferenceState, ReferenceTrainer
from hpbench.trial import Request, RunKey, Status

MLP = REGISTRY.get("mlp")
SPACE = MLP.space.fixed("momentum", 0.9)


def task_of(space: SearchSpace = SPACE, *, epochs: int = 2, patience: int | None = None) -> NetworkTask:
    return NetworkTask(TaskSpec("iris-mlp", "iris", "mlp", epochs, space, patience=patience))


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that shows one more second whenever it is read."""
    ticks = iter(range(10**9))

    def tick() -> float:
        return float(next(ticks))

    monkeypatch.setattr(calibration, "perf_counter", tick)
    monkeypatch.setattr(reference, "perf_counter", tick)


def test_every_signature_is_built_as_itself() -> None:
    for signature in signatures_of(MLP, MLP.space, 500):
        config = config_of(MLP, MLP.space, signature)
        assert signature_of(MLP, MLP.space, config, 500) == signature


def test_a_size_beyond_the_space_is_built_too() -> None:
    space = SPACE.fixed("width", 20)
    (signature, *_) = signatures_of(MLP, space, 90)
    assert json.loads(signature)["width"] == 24
    assert config_of(MLP, space, signature)["width"] == 24


@pytest.mark.usefixtures("ticking")
def test_seconds_are_a_step_and_the_scoring_of_each_part() -> None:
    task = task_of()
    trainer = ReferenceTrainer(MLP, n_classes=3, full_epochs=2, device=torch.device("cpu"), patience=None)
    calibrator = Calibrator(trainer, SPACE, task.data(0))
    config = {**SPACE.default_config(), "batch_size": 16}
    cost = calibrator.cost(signature_of(MLP, SPACE, config, 90))
    assert (cost.step_seconds, cost.val_seconds, cost.test_seconds) == (1 / 5, 1.0, 1.0)
    full = calibrator.cost(signature_of(MLP, SPACE, {**config, "batch_size": 128}, 90))
    assert full.step_seconds == 1.0  # one step an epoch


def test_scoring_is_measured_once_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of()
    scored: list[int] = []
    monkeypatch.setattr(
        Calibrator, "_timed", lambda _self, _module, inputs, _targets: float(scored.append(len(inputs)) or 1)
    )
    narrow = [item for item in signatures_of(MLP, SPACE, 90) if json.loads(item)["width"] == 16]
    one_layer = [item for item in narrow if json.loads(item)["layers"] == 1][:4]
    for signature in one_layer:
        task.calibrate(signature)
    assert (
        len(scored) == 2 * 2 * 3
    )  # making the calibrator, then the network, on two parts; the first is no block


@pytest.mark.parametrize(
    ("blocks", "seconds"),
    [
        ([1.0, 1.0], 1.0),
        ([1.0, 1.0625], 1.03125),  # within a tenth
        ([9.0, 1.0, 1.0], 1.0),  # one was disturbed
        ([1.0, 4.0, 9.0, 1.0], 1.0),
        ([16.0, 1.0, 4.0, 8.0, 2.0], 4.0),  # none agree
    ],
)
def test_blocks_are_timed_until_two_agree(blocks: list[float], seconds: float) -> None:
    left = iter(blocks)
    assert typical_seconds(lambda: next(left)) == seconds
    assert next(left, None) is None


@pytest.mark.parametrize(
    ("blocks", "seconds"),
    [
        ([2.0], 2.0),  # alone long enough
        ([1.5, 1.0], 1.25),
        ([0.5, 1.0, 0.5], 0.5),
    ],
)
def test_no_block_begins_once_enough_seconds_are_spent(blocks: list[float], seconds: float) -> None:
    left = iter(blocks)
    assert typical_seconds(lambda: next(left), enough=2.0) == seconds
    assert next(left, None) is None


def test_nothing_diverges_whatever_the_suite_fixes() -> None:
    space = SPACE.fixed("learning_rate", 1e3).fixed("weight_decay", 1e3).fixed("l1", 1e3)
    task = task_of(space)
    for signature in signatures_of(MLP, space, 90)[:6]:
        assert task.calibrate(signature).step_seconds > 0.0


def test_calibrating_changes_no_result_and_no_global_generator() -> None:
    requests = [
        Request(RunKey("iris-mlp", "s", 0), number, SPACE.sample(np.random.default_rng(number)), 2)
        for number in range(3)
    ]

    def counts(task: NetworkTask) -> list[tuple[Status, int | None, float | None]]:
        return [(item.status, item.val_correct, item.val_loss) for item in task.evaluate(requests)]

    plain, calibrated = task_of(), task_of()
    before = torch.random.get_rng_state()
    calibrated.calibrate(signatures_of(MLP, SPACE, 90)[0])
    assert calibrated.measure(requests[0]) > 0.0
    assert torch.equal(before, torch.random.get_rng_state())
    assert counts(plain) == counts(calibrated)


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize("patience", [None, 1])
def test_a_trial_is_measured_as_the_reference_trainer_measures_it(patience: int | None) -> None:
    task = task_of(epochs=4, patience=patience)
    request = Request(RunKey("iris-mlp", "s", 1), 5, SPACE.sample(np.random.default_rng(1)), 3)
    (answer,) = task.evaluate([request])
    assert task.measure(request) == answer.train_seconds + answer.evaluate_seconds


def test_a_short_trial_is_trained_until_two_trainings_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of()
    request = Request(RunKey("iris-mlp", "s", 0), 0, SPACE.sample(np.random.default_rng(0)), 2)
    task.measure(request)  # makes what calibrates, which trains too
    seconds = iter([0.75, 0.25, 0.25, 9.0])
    monkeypatch.setattr(ReferenceTrainer, "advance", lambda *_: (next(seconds), 0.0))
    assert task.measure(request) == 0.25
    assert next(seconds) == 9.0


def test_retraining_stops_at_the_epoch_that_was_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def advance(_: object, state: ReferenceState, *rest: object) -> tuple[float, float]:
        del state
        asked.append(int(str(rest[-1])))
        return 1.0, 0.5

    monkeypatch.setattr(ReferenceTrainer, "advance", advance)
    trainer = ReferenceTrainer(MLP, n_classes=3, full_epochs=9, device=torch.device("cpu"), patience=None)
    config = SPACE.complete(SPACE.default_config())
    found = retrain(trainer, config, task_of().data(0), training_stream(0, "t", 0), 7)
    assert (found, asked) == (1.5, [7])


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)

"""Bit-equal training whoever proposes it, and everything else that a task promises."""

from __future__ import annotations

import itertools
import math
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpbench.errors import UsageError
from hpbench.tasks import networks
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.factory import build_task
from hpbench.tasks.network_task import NetworkTask, usable_device
from hpbench.tasks.training import reference
from hpbench.tasks.training.held import HELD
from hpbench.testing import global_generators
from hpbench.testing.spawned import evaluations
from hpbench.testing.task_kit import TaskConformance, TaskUnderTest, without_times
from hpbench.trial import Evaluation, Record, Request, RunKey, Status

Build = Callable[..., NetworkTask]
Ask = Callable[..., Request]

MLP = networks.REGISTRY.get("mlp").space
CNN = networks.REGISTRY.get("cnn").space

VARIED: list[dict[str, Any]] = [
    {"dropout": 0.3, "optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.05, "batch_size": 16},
    {"dropout": 0.1, "optimizer": "adamw", "activation": "gelu", "layers": 3, "schedule": "cosine"},
    {"optimizer": "rmsprop", "width": 17, "activation": "tanh", "l1": 1e-3, "batch_size": 64},
    {"dropout": 0.5, "optimizer": "adam", "layers": 2, "weight_decay": 0.1},
]
"""Configurations of the mlp that use everything it has."""


def results(task: NetworkTask, requests: list[Request]) -> list[Evaluation]:
    """Return the answers, times aside."""
    return [without_times(answer) for answer in task.evaluate(requests)]


def result(task: NetworkTask, request: Request) -> Evaluation:
    """Return one answer, times aside."""
    (answer,) = results(task, [request])
    return answer


def varied(task: NetworkTask, ask: Ask, **changes: Any) -> list[Request]:
    """Return a request for each of the varied configurations."""
    return [ask(task, number, **{**values, **changes}) for number, values in enumerate(VARIED)]


class TestMlpConformance(TaskConformance):
    task = NetworkTask
    options = {"spec": TaskSpec("iris-mlp", "iris", "mlp", 3, MLP)}  # noqa: RUF012 - the kit's declared form
    failing = {**MLP.default_config(), "learning_rate": math.inf}  # noqa: RUF012


class TestCnnConformance(TaskConformance):
    task = NetworkTask
    options = {  # noqa: RUF012
        "spec": TaskSpec(
            "digits-cnn",
            "digits",
            "cnn",
            2,
            CNN.fixed("channels", 8).fixed("batch_size", 128).fixed("layers", 1),
        )
    }
    trials = 2


class TestPerTrialConformance(TaskConformance):
    task = NetworkTask
    options = {"spec": TaskSpec("iris-mlp", "iris", "mlp", 2, MLP, training_seeds="per_trial")}  # noqa: RUF012
    numbers_matter = True
    test_a_fresh_process_gives_the_same_answers = None  # costs seconds; shown above


class TestPatienceConformance(TaskConformance):
    task = NetworkTask
    options = {"spec": TaskSpec("iris-mlp", "iris", "mlp", 8, MLP, patience=2)}  # noqa: RUF012
    stops_early = True
    test_a_fresh_process_gives_the_same_answers = None


class TestRegressionConformance(TaskConformance):
    task = NetworkTask
    options = {"spec": TaskSpec("diabetes-mlp", "diabetes", "mlp", 2, MLP)}  # noqa: RUF012
    regression = True
    failing = {**MLP.default_config(), "learning_rate": math.inf}  # noqa: RUF012


# A configuration gets bit-equal training whoever proposes it.


def test_in_any_order_and_in_any_company_training_is_bit_equal(build: Build, ask: Ask) -> None:
    task = build()
    requests = varied(task, ask)
    alone = [result(build(), request) for request in requests]
    assert len(set(alone)) == len(alone)
    for order in list(itertools.permutations(range(len(requests))))[::5]:
        assert results(task, [requests[place] for place in order]) == [alone[place] for place in order]


def test_whoever_proposes_it_training_is_bit_equal(build: Build, ask: Ask) -> None:
    task = build()
    expected = results(task, varied(task, ask))
    for strategy, keep, first in [("grid", False, 0), ("genetic", True, 7), ("grid", True, 3)]:
        requests = [
            replace(request, number=first + request.number)
            for request in varied(task, ask, strategy=strategy, keep=keep)
        ]
        assert results(task, requests) == expected


def test_in_another_process_training_is_bit_equal(
    build: Build, ask: Ask, spec: Callable[..., TaskSpec]
) -> None:
    task = build()
    requests = varied(task, ask)
    elsewhere = evaluations(TaskUnderTest(build_task, {"spec": spec()}), requests[::-1], hash_seed="7")
    assert elsewhere[::-1] == results(task, requests)


def test_a_cnn_with_dropout_trains_bit_equal_too(build: Build, ask: Ask) -> None:
    task = build("digits", "cnn", epochs=1)
    one = ask(task, channels=8, batch_size=128, dropout=0.4)
    other = ask(task, 1, channels=9, batch_size=128, dropout=0.2)
    first, _, second = results(task, [one, other, replace(one, number=2, run=RunKey(task.name, "sobol", 0))])
    assert first == second


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    points=st.lists(
        st.lists(st.floats(0.0, 1.0), min_size=len(MLP.names), max_size=len(MLP.names)),
        min_size=1,
        max_size=3,
    ),
    repetition=st.integers(0, 5),
)
def test_every_configuration_is_a_function_of_itself_and_the_repetition(
    build: Build, points: list[list[float]], repetition: int
) -> None:
    task = build(epochs=1)
    requests = [
        Request(RunKey(task.name, "a", repetition), number, MLP.from_unit(point), 1)
        for number, point in enumerate(points)
    ]
    mirrored = [replace(request, run=replace(request.run, strategy="b")) for request in reversed(requests)]
    assert results(task, mirrored)[::-1] == results(build(epochs=1), requests)


# What may change the result.


def test_repetitions_differ_in_split_and_training(build: Build, ask: Ask) -> None:
    task = build()
    zero, one = task.data(0), task.data(1)
    assert not torch.equal(zero.test_targets, one.test_targets) or not torch.equal(
        zero.test_inputs, one.test_inputs
    )
    streams = [task.stream(ask(task, repetition=repetition)).integer() for repetition in range(3)]
    assert len(set(streams)) == 3
    assert len({result(task, ask(task, repetition=repetition)) for repetition in range(3)}) == 3


def test_the_root_seed_and_the_name_of_the_task_change_the_training(build: Build, ask: Ask) -> None:
    tasks = [build(), build(root_seed=1), build(name="other")]
    assert len({result(task, ask(task)) for task in tasks}) == 3


def test_per_repetition_a_trial_has_no_seed_of_its_own(build: Build, ask: Ask) -> None:
    task = build()
    assert task.stream(ask(task, 0)) == task.stream(ask(task, 5, strategy="grid"))


def test_per_trial_every_number_has_a_seed_of_its_own_and_strategies_share_it(build: Build, ask: Ask) -> None:
    task = build(training_seeds="per_trial")
    streams = {task.stream(ask(task, number)).key for number in range(4)}
    assert len(streams) == 4
    assert len(set(results(task, [ask(task, number) for number in range(3)]))) == 3
    assert result(task, ask(task, 2)) == result(task, ask(task, 2, strategy="grid"))


def test_global_generators_are_neither_read_nor_changed(build: Build, ask: Ask) -> None:
    found: list[list[Evaluation]] = []
    with global_generators.preserved():
        for seed in (1, 2):
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - the global generator is what is looked at
            torch.manual_seed(seed)
            before = global_generators.fingerprint()
            task = build()
            found.append(results(task, varied(task, ask)))
            assert global_generators.fingerprint() == before
    assert found[0] == found[1]


# What is answered.


def test_an_answer_tells_counts_curve_epochs_and_times(build: Build, ask: Ask) -> None:
    task = build()
    (answer,) = task.evaluate([ask(task)])
    assert (answer.status, answer.message) == (Status.OK, "")
    assert (answer.epochs_from, answer.epochs, len(answer.curve)) == (0, 3, 3)
    assert (answer.val_total, answer.test_total) == (30, 30)
    assert answer.val_correct is not None
    assert answer.curve[-1] == (30 - answer.val_correct) / 30
    assert answer.train_seconds > 0.0
    assert answer.evaluate_seconds > 0.0


def test_constants_of_the_space_reach_the_training(build: Build, ask: Ask) -> None:
    fixed = build(space=MLP.fixed("width", 20).fixed("learning_rate", 0.05))
    assert "width" not in ask(fixed).config
    free = build()
    assert result(fixed, ask(fixed)) == result(free, ask(free, width=20, learning_rate=0.05))


def test_the_test_part_changes_nothing_that_a_strategy_is_told(build: Build, ask: Ask) -> None:
    task = build()
    request = ask(task)
    answer = result(task, request)
    upset = replace(answer, test_correct=0, test_loss=99.0, test_total=1)
    told = [
        Record(request.run, 0, None, request.config, item, 0.0, 0.0).as_trial(objective)
        for objective in ("error", "loss")
        for item in (answer, upset)
    ]
    assert told[0] == told[1]
    assert told[2] == told[3]
    assert not any("test" in name for name in vars(told[0]))


def test_test_examples_take_no_part_in_training_or_choosing(build: Build, ask: Ask) -> None:
    task = build(patience=2, epochs=6)
    answer = result(task, ask(task))
    data = task.data(0)
    data.test_inputs.zero_()
    data.test_targets.zero_()
    other = result(task, ask(task))
    HELD.clear()  # which other tests share
    assert (answer.curve, answer.val_correct, answer.val_loss) == (
        other.curve,
        other.val_correct,
        other.val_loss,
    )
    assert answer.test_loss != other.test_loss


# Trials that fail.


@pytest.mark.parametrize("learning_rate", [1e3, math.inf])
def test_a_diverging_training_is_a_result(build: Build, ask: Ask, learning_rate: float) -> None:
    task = build()
    wild = {"optimizer": "sgd", "momentum": 0.99, "layers": 3, "learning_rate": learning_rate}
    before = result(task, ask(task))
    answers = results(task, [ask(task, 0, **wild), ask(task, 1)])
    assert answers[0].status is Status.DIVERGED
    assert "not finite after epoch" in answers[0].message
    assert answers[0].epochs == len(answers[0].curve) <= 3
    figures = {"val_correct", "val_total", "val_loss", "test_correct", "test_total", "test_loss"}
    assert {getattr(answers[0], name) for name in figures} == {None}
    assert answers[1] == before


def test_a_diverged_parent_stays_diverged_and_trains_no_more(build: Build, ask: Ask) -> None:
    task = build()
    parent = result(task, ask(task, 0, epochs=1, keep=True, learning_rate=math.inf))
    child = result(task, ask(task, 1, parent=0))
    assert (parent.status, child.status) == (Status.DIVERGED, Status.DIVERGED)
    assert (child.epochs_from, child.epochs, child.curve) == (1, 1, ())


def test_out_of_memory_is_a_result_and_later_trials_go_on(
    build: Build, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = build()
    expected = results(task, [ask(task, 0), ask(task, 2)])
    start = reference.ReferenceTrainer.start

    def greedy(self: reference.ReferenceTrainer, config: Any, *rest: Any) -> reference.ReferenceState:
        if config["width"] == 128:
            raise torch.OutOfMemoryError("tried to allocate 1 TiB")
        return start(self, config, *rest)

    monkeypatch.setattr(reference.ReferenceTrainer, "start", greedy)
    fine, failed, after = task.evaluate([ask(task, 0), ask(task, 1, width=128, keep=True), ask(task, 2)])
    assert [without_times(fine), without_times(after)] == expected
    assert (failed.status, failed.message) == (Status.OUT_OF_MEMORY, "tried to allocate 1 TiB")
    assert (failed.val_correct, failed.test_correct, failed.epochs, failed.curve) == (None, None, 0, ())
    assert failed.train_seconds > 0.0
    with pytest.raises(UsageError, match="continues trial 1, whose training state is not kept"):
        task.evaluate([ask(task, 3, width=128, parent=1)])


def test_other_errors_are_not_swallowed(build: Build, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a fault of the program")

    task = build()
    monkeypatch.setattr(reference.ReferenceTrainer, "start", broken)
    with pytest.raises(ZeroDivisionError, match="a fault of the program"):
        task.evaluate([ask(task)])


# Continuing a parent.


@pytest.mark.parametrize("values", VARIED, ids=lambda values: values["optimizer"])
def test_two_epochs_and_then_five_are_five_at_once(build: Build, ask: Ask, values: dict[str, Any]) -> None:
    task = build(epochs=6)
    at_once = result(task, ask(task, 0, epochs=5, **values))
    begun = result(task, ask(task, 1, epochs=2, keep=True, **values))
    rest = result(task, ask(task, 2, epochs=5, parent=1, **values))
    assert (begun.epochs, rest.epochs_from, rest.epochs) == (2, 2, 5)
    assert replace(rest, epochs_from=0, curve=begun.curve + rest.curve) == at_once


def test_every_partition_of_the_epochs_gives_the_same(build: Build, ask: Ask) -> None:
    task = build(epochs=5)
    at_once = result(task, ask(task, dropout=0.2, schedule="cosine"))
    for number, stops in enumerate([(1, 5), (1, 2, 3, 4, 5), (4, 5)]):
        curve: tuple[float, ...] = ()
        parent = None
        for step, epochs in enumerate(stops):
            own = 10 * number + step
            answer = result(
                task, ask(task, own, epochs=epochs, parent=parent, keep=True, dropout=0.2, schedule="cosine")
            )
            curve, parent = curve + answer.curve, own
        assert replace(answer, epochs_from=0, curve=curve) == at_once


def test_a_parent_can_be_continued_many_times_and_stays_as_it_was(build: Build, ask: Ask) -> None:
    task = build()
    task.evaluate([ask(task, 0, epochs=1, keep=True)])
    first, other, again = results(
        task, [ask(task, 1, parent=0), ask(task, 2, parent=0, learning_rate=0.09), ask(task, 3, parent=0)]
    )
    assert first == again
    assert first != other


def test_parents_belong_to_their_run(build: Build, ask: Ask) -> None:
    task = build()
    task.evaluate([ask(task, 0, epochs=1, keep=True)])
    for lacking in (ask(task, 1, parent=0, strategy="grid"), ask(task, 1, parent=0, repetition=1)):
        with pytest.raises(UsageError, match="whose training state is not kept"):
            task.evaluate([lacking])


def test_a_forgotten_parent_and_one_never_kept_are_clear_errors(build: Build, ask: Ask) -> None:
    task = build()
    kept, dropped = ask(task, 0, epochs=1, keep=True), ask(task, 1, epochs=1)
    task.evaluate([kept, dropped])
    with pytest.raises(UsageError, match=r"trial 4 of iris-mlp/random/0 continues trial 1,"):
        task.evaluate([ask(task, 4, parent=1)])
    task.forget([kept, dropped])
    with pytest.raises(UsageError, match=r"continues trial 0, .* `keep = True`"):
        task.evaluate([ask(task, 4, parent=0)])


def test_closing_drops_states(build: Build, ask: Ask) -> None:
    task = build()
    task.evaluate([ask(task, 0, epochs=1, keep=True)])
    task.close()
    with pytest.raises(UsageError, match="not kept"):
        task.evaluate([ask(task, 1, parent=0)])


def test_a_parent_of_another_shape_is_a_clear_error(build: Build, ask: Ask) -> None:
    task = build()
    task.evaluate([ask(task, 0, epochs=1, keep=True, width=32)])
    for change in ({"width": 33}, {"width": 32, "layers": 2}):
        with pytest.raises(UsageError, match=r"same shape; keep the hyperparameters layers, width"):
            task.evaluate([ask(task, 1, parent=0, **change)])


# Early stopping.


def test_patience_stops_and_answers_with_the_best_epoch(build: Build, ask: Ask) -> None:
    full, stopping = build(epochs=30), build(epochs=30, patience=3)
    whole, answer = result(full, ask(full)), result(stopping, ask(stopping))
    assert answer.curve == whole.curve[: answer.epochs]
    best = min(answer.curve)
    assert answer.epochs < 30
    assert answer.epochs == answer.curve.index(best) + 1 + 3
    assert answer.val_correct == round(30 * (1 - best))
    at_best = result(full, ask(full, epochs=answer.epochs - 3))
    assert (answer.val_loss, answer.test_correct, answer.test_loss) == (
        at_best.val_loss,
        at_best.test_correct,
        at_best.test_loss,
    )


def test_patience_counts_across_parents(build: Build, ask: Ask) -> None:
    task = build(epochs=30, patience=3)
    at_once = result(task, ask(task))
    begun = result(task, ask(task, 1, epochs=at_once.epochs - 1, keep=True))
    rest = result(task, ask(task, 2, parent=1, keep=True))
    assert replace(rest, epochs_from=0, curve=begun.curve + rest.curve) == at_once
    over = result(task, ask(task, 3, parent=2))
    assert (over.epochs_from, over.epochs, over.curve) == (at_once.epochs, at_once.epochs, ())
    assert (over.val_correct, over.test_correct) == (at_once.val_correct, at_once.test_correct)


# What is refused.


def test_the_cnn_refuses_vectors(build: Build) -> None:
    with pytest.raises(
        UsageError, match=r"network 'cnn' needs images .* 'iris' holds inputs of shape \(4,\)"
    ):
        build("iris", "cnn")


def test_the_mlp_takes_images(build: Build, ask: Ask) -> None:
    task = build("digits", "mlp", epochs=1)
    assert result(task, ask(task, batch_size=128)).val_total == 359


@pytest.mark.parametrize("name", ["cuda:99", "cuda:12345"])
def test_a_device_that_is_not_there_is_a_clear_error(build: Build, name: str) -> None:
    with pytest.raises(
        UsageError, match=rf"device '{name}' is not on this machine: torch .* sees \d+ CUDA devices"
    ):
        build(device=name)


def test_a_device_that_nobody_knows_is_a_clear_error() -> None:
    with pytest.raises(UsageError, match=r"device 'gpu' must be 'cpu', 'cuda' or 'cuda:<number>'"):
        usable_device("gpu")


def test_cuda_without_cuda_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UsageError, match=r"sees 0 CUDA devices\. Use --device cpu"):
        usable_device("cuda")
    assert usable_device("cpu") == torch.device("cpu")


def test_unknown_names_are_refused(build: Build, spec: Callable[..., TaskSpec]) -> None:
    with pytest.raises(UsageError, match=r"unknown data set 'irsi'\. Did you mean 'iris'"):
        build("irsi")
    with pytest.raises(UsageError, match=r"unknown network 'mpl'\. Did you mean 'mlp'"):
        build_task(replace(spec(), network="mpl"))


# Results that a reader believes.


@pytest.mark.parametrize(("network", "at_least"), [("mlp", 0.93), ("cnn", 0.95)])
def test_the_defaults_read_digits(build: Build, ask: Ask, network: str, at_least: float) -> None:
    task = build("digits", network, epochs=10)
    answer = result(task, ask(task))
    assert answer.test_correct is not None
    assert answer.test_total is not None
    assert answer.test_correct / answer.test_total >= at_least
    assert answer.curve[-1] < answer.curve[0]


def test_a_cuda_device_is_made_to_compute_alike_every_time() -> None:
    script = (
        "import torch; from hpbench.tasks.network_task import make_repeatable; "
        "torch.cuda.set_device = print; make_repeatable(torch.device('cuda:1')); "
        "print(torch.are_deterministic_algorithms_enabled(), torch.backends.cuda.matmul.allow_tf32, "
        "torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "True", "False", "False", "False"]

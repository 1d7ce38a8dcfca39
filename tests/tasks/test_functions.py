"""Closed-form functions have the minimum they claim, and are tasks like any other."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpbench.errors import UsageError
from hpbench.space import Float, SearchSpace
from hpbench.tasks import families
from hpbench.tasks.base import Task, TaskSpec
from hpbench.tasks.factory import build_task
from hpbench.tasks.families import TaskFamily
from hpbench.tasks.function_task import FunctionTask
from hpbench.tasks.functions import branin, conditional, hartmann6, mixed
from hpbench.testing.task_kit import TaskConformance
from hpbench.trial import Evaluation, Request, RunKey, Status

MINIMISERS: dict[str, list[dict[str, Any]]] = {
    "branin": [
        {"x1": -math.pi, "x2": 12.275},
        {"x1": math.pi, "x2": 2.275},
        {"x1": 3 * math.pi, "x2": 2.475},
    ],
    "conditional": [{"branch": "bowl", "rate": 1e-3, "x": 1.0, "y": -2.0}],
    "hartmann6": [
        {"x1": 0.20169, "x2": 0.150011, "x3": 0.476874, "x4": 0.275332, "x5": 0.311652, "x6": 0.6573}
    ],
    "mixed": [{"x": 1.0, "rate": 1e-2, "units": 8, "kind": "high"}],
}
VALUES = {"branin": branin, "conditional": conditional, "hartmann6": hartmann6, "mixed": mixed}


def spec(name: str) -> TaskSpec:
    return TaskSpec("t", "", "", 1, families.REGISTRY.get(name).space, function=name)


def built(name: str) -> Task:
    """Return the task of a function, in a form that the kit can build in another process."""
    return build_task(spec(name))


class TestFunctions(TaskConformance):
    resumes = False
    repetitions_differ = False
    counts = False

    @pytest.fixture(autouse=True, params=sorted(families.REGISTRY.builtin))
    def task_under_test(self, request: pytest.FixtureRequest) -> None:
        self.task = build_task  # type: ignore[assignment]
        self.options = {"spec": spec(request.param)}


@pytest.mark.parametrize("name", sorted(families.REGISTRY.builtin))
def test_every_function_reaches_the_minimum_it_claims_and_not_less(name: str) -> None:
    family = families.REGISTRY.get(name)
    assert family.minimum is not None
    assert family.name == name
    for config in MINIMISERS[name]:
        family.space.check(config)
        assert VALUES[name](config) == pytest.approx(family.minimum, abs=1e-6)
    rng = np.random.default_rng(1)
    assert all(VALUES[name](family.space.sample(rng)) >= family.minimum for _ in range(5000))


@pytest.mark.parametrize("name", ["branin", "hartmann6"])
def test_no_minimiser_can_be_improved_by_a_step(name: str) -> None:
    for config in MINIMISERS[name]:
        here = VALUES[name](config)
        for key, value in config.items():
            for step in (-1e-2, 1e-2):
                assert VALUES[name]({**config, key: value + step}) > here


@given(st.integers(0, 2**31 - 1))
def test_the_branches_of_the_conditional_function_do_not_touch_each_other(seed: int) -> None:
    space = families.REGISTRY.get("conditional").space
    config = space.sample(np.random.default_rng(seed))
    assert set(config) == {
        "branch",
        "rate",
        *({"x", "y"} if config["branch"] == "bowl" else {"phase", "count"}),
    }
    assert math.isfinite(conditional(config))


def test_nothing_is_counted_and_the_value_is_the_loss_of_both_parts() -> None:
    (answer,) = built("mixed").evaluate([Request(RunKey("t", "s", 0), 0, MINIMISERS["mixed"][0], 1)])
    assert (answer.status, answer.epochs, answer.curve) == (Status.OK, 1, ())
    assert answer.val_loss == answer.test_loss == pytest.approx(0.0)
    assert (answer.val_correct, answer.val_total, answer.test_correct, answer.test_total) == (None,) * 4


def test_constants_of_the_suite_reach_the_function() -> None:
    space = families.REGISTRY.get("branin").space.fixed("x1", math.pi)
    task = build_task(TaskSpec("t", "", "", 1, space, function="branin"))
    (answer,) = task.evaluate([Request(RunKey("t", "s", 0), 0, {"x2": 2.275}, 1)])
    assert answer.val_loss == pytest.approx(0.39788735772973816)


def test_a_function_has_nothing_to_continue() -> None:
    request = Request(RunKey("t", "s", 0), 1, MINIMISERS["branin"][0], 1, parent=0)
    with pytest.raises(UsageError, match="no training state"):
        built("branin").evaluate([request])


def test_an_unknown_function_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown function 'brannin'\. Did you mean 'branin'"):
        build_task(TaskSpec("t", "", "", 1, SearchSpace((Float("x", 0.0, 1.0),)), function="brannin"))


def test_functions_do_without_torch() -> None:
    code = (
        "import sys\nfrom hpbench.tasks.factory import build_task\nfrom hpbench.tasks.base import TaskSpec\n"
        "from hpbench.tasks import families\n"
        "build_task(TaskSpec('t', '', '', 1, families.REGISTRY.get('branin').space, function='branin'))\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Counting(Task):
    """A task of somebody's own: it counts examples, so its error can be minimised."""

    def __init__(self, made: TaskSpec) -> None:
        self.name, self.space, self.full_epochs = made.name, made.space, made.epochs

    def evaluate(self, requests: Sequence[Request]) -> list[Evaluation]:
        return [
            Evaluation(
                Status.OK,
                epochs=request.epochs,
                val_correct=round(10 * float(request.config["x"])),
                val_total=10,
            )
            for request in requests
        ]


def test_a_task_of_ones_own_comes_in_by_the_same_door() -> None:
    space = SearchSpace((Float("x", 0.0, 1.0),))
    families.REGISTRY.add("own", TaskFamily("own", space, Counting, "here", counts=True))
    try:
        task = build_task(TaskSpec("t", "", "", 1, space, function="own"))
        (answer,) = task.evaluate([Request(RunKey("t", "s", 0), 0, {"x": 0.7}, 1)])
    finally:
        families.REGISTRY.reset()
    assert isinstance(task, Counting)
    assert answer.val_correct == 7
    assert issubclass(FunctionTask, Task)

"""Whether the cohorts of a task take compiled steps: decided from the suite alone, once for a study.

The bits of a compiled step differ from those of a traced one, so two machines and a resumed study
must decide alike: no timing enters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hpbench.errors import UsageError
from hpbench.space import Categorical, SearchSpace
from hpbench.suite import Suite, SuiteTask, space_of
from hpbench.tasks import datasets, networks

__all__ = [
    "REPAID_STEPS",
    "STEP_SECONDS",
    "UNKNOWN_STEP_SECONDS",
    "Steps",
    "decide_steps",
    "planned_steps",
    "steps_per_epoch",
    "train_examples",
]

REPAID_STEPS = 80_000
"""Planned optimiser steps, over all trials, from which compiling one depth of a network is repaid.

Compiling a depth of the mlp took 13 to 20 seconds; a compiled step took about a tenth of the reference
trainer's, which saved 0.2 to 0.5 milliseconds each. The compiling is paid once a machine, not once a suite.
"""

STEP_SECONDS = {
    "logistic": 5e-4,
    "mlp": 1.3e-3,
    "cnn": 3e-3,
    "transformer": 4.5e-3,
    "rnn": 4e-3,
    "resnet": 6e-3,
}
"""Typical seconds of one optimiser step of the reference trainer, small data, one thread."""

UNKNOWN_STEP_SECONDS = 3e-3
_NO_COMPILER = "no C++ compiler on this machine"


@dataclass(frozen=True)
class Steps:
    """How the steps of a task are taken, and why.

    Attributes:
        kind: ``"plain"`` (the reference trainer's), ``"traced"`` or ``"compiled"``.
        reason: for people.
    """

    kind: Literal["plain", "traced", "compiled"]
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} steps ({self.reason})"


def decide_steps(
    suite: Suite, task: SuiteTask, *, n_runs: int, compiler: str | None, device: str = "cpu"
) -> Steps:
    """Return how the trials of ``task`` take their steps.

    Args:
        suite: the whole suite, never a part of it.
        task: one of its tasks.
        n_runs: runs of that task in the whole suite, refused pairings left out.
        compiler: the C++ compiler of this machine, or None.
        device: where the study trains; steps are compiled for the CPU alone.

    Raises:
        UsageError: the suite wants compiled steps, and there is no compiler.
    """
    if task.function is not None:
        return Steps("plain", "a function takes no steps of training")
    if suite.trainer == "reference":
        return Steps("plain", "reference trainer")
    if not networks.REGISTRY.get(task.network).cohort:
        return Steps(
            "plain", f"family {task.network!r} cannot train in cohorts: trained by the reference trainer"
        )
    if not device.startswith("cpu"):
        return Steps("traced", f"steps are compiled for the CPU alone, and the device is {device}")
    if suite.compile == "always" and compiler is None:
        raise UsageError(
            "`compile` must be 'auto' or 'never' where there is no C++ compiler, got 'always'. Install g++, or "
            "set the environment variable CXX."
        )
    if suite.compile != "auto":
        return Steps("compiled" if suite.compile == "always" else "traced", f"compile = '{suite.compile}'")
    return _repaid(suite, task, n_runs=n_runs, compiler=compiler)


def _repaid(suite: Suite, task: SuiteTask, *, n_runs: int, compiler: str | None) -> Steps:
    """Return compiled steps if the planned ones repay the compiling and there is a compiler.

    Otherwise few steps are planned, so cohorts would be small, and traced steps in small company are
    slower than the reference trainer: it takes the task.
    """
    unit = planned_steps(suite, task, n_runs=n_runs) / n_depths(space_of(task))
    count = f"{unit:,.0f} planned steps a depth"
    if unit < REPAID_STEPS:
        return Steps("plain", f"{count}, fewer than the {REPAID_STEPS:,} that repay compiling")
    if compiler is None:
        return Steps("traced", _NO_COMPILER)
    return Steps("compiled", f"{count}, at least the {REPAID_STEPS:,} that repay compiling")


def planned_steps(suite: Suite, task: SuiteTask, *, n_runs: int) -> float:
    """Return the optimiser steps of all trials of ``task`` that the budget allows.

    A budget in seconds is turned into steps by what a step typically costs.
    """
    trials = suite.budget_trials(task)
    if trials is None:
        return n_runs * (suite.budget.seconds or 0.0) / STEP_SECONDS.get(task.network, UNKNOWN_STEP_SECONDS)
    return n_runs * trials * task.epochs * steps_per_epoch(space_of(task), train_examples(suite, task))


def n_depths(space: SearchSpace) -> int:
    """Return how many values the hyperparameter ``layers`` can have: each is compiled by itself."""
    return int(space["layers"].n_values) if "layers" in space.names else 1


def train_examples(suite: Suite, task: SuiteTask) -> float:
    """Return roughly how many examples are trained on; the data set is loaded to be counted."""
    examples = len(datasets.load(task.dataset).targets)
    return examples * (1.0 - suite.validation.fraction - suite.test_fraction)


def steps_per_epoch(space: SearchSpace, examples: float) -> float:
    """Return the mean number of batches over the batch sizes that may occur."""
    if "batch_size" in space.constants:
        sizes: Sequence[float] = [float(space.constants["batch_size"])]
    elif "batch_size" in space.names:
        parameter = space["batch_size"]
        values = parameter.choices if isinstance(parameter, Categorical) else parameter.levels(3)
        sizes = [float(value) for value in values]
    else:
        sizes = [32.0]
    return sum(max(1.0, examples // size) for size in sizes) / len(sizes)

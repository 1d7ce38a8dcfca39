"""How the trials of a task take their steps: decided from the suite alone, once for a study.

The bits of compiled, traced and plain steps differ from one another, so two machines and a resumed
study must decide alike: no timing enters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hpbench.errors import UsageError
from hpbench.space import Categorical, SearchSpace
from hpbench.suite import Suite, SuiteTask, space_of
from hpbench.tasks import datasets, networks

__all__ = [
    "REPAID_STEPS",
    "SHARED_STEPS",
    "STEP_SECONDS",
    "UNKNOWN_STEP_SECONDS",
    "Steps",
    "clipped_batches",
    "decide_steps",
    "planned_steps",
    "steps_per_epoch",
    "train_examples",
]

REPAID_STEPS = 5_000
"""Planned optimiser steps of a task, over all trials, from which compiling is repaid.

The library compiles in one to two seconds, once a machine; a compiled step saves about half a millisecond.
"""

SHARED_STEPS = 80_000
"""Planned optimiser steps a depth from which traced steps are quicker than the reference trainer's.

Traced steps gain by company: with fewer trials, cohorts are too small.
"""

STEP_SECONDS = {
    "logistic": 5e-4,
    "mlp": 1.3e-3,
    "cnn": 3e-3,
    "transformer": 4.5e-3,
    "rnn": 4e-3,
    "resnet": 6e-3,
    "resnet-batchnorm": 6e-3,
}
"""Typical seconds of one optimiser step of the reference trainer, small data, one thread."""

UNKNOWN_STEP_SECONDS = 3e-3


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
    suite: Suite, task: SuiteTask, *, n_runs: int, compiler: Sequence[str] | None, device: str = "cpu"
) -> Steps:
    """Return how the trials of ``task`` take their steps.

    Args:
        suite: the whole suite, never a part of it.
        task: one of its tasks.
        n_runs: runs of that task in the whole suite, refused pairings left out.
        compiler: the command of this machine's C compiler, or None.
        device: where the study trains; steps are compiled for the CPU alone.

    Raises:
        UsageError: the suite wants compiled steps, and there is no compiler.
    """
    steps = _steps(suite, task, n_runs=n_runs, compiler=compiler, device=device)
    if suite.limits.trial_seconds is None or steps.kind == "plain":
        return steps
    return replace(steps, reason=f"{steps.reason}; limits.trial_seconds: cohorts of one trial")


def _steps(
    suite: Suite, task: SuiteTask, *, n_runs: int, compiler: Sequence[str] | None, device: str
) -> Steps:
    """Return how the trials take their steps and why, time limits aside."""
    if task.function is not None:
        return Steps("plain", "a function takes no steps of training")
    if suite.trainer == "reference":
        return Steps("plain", "reference trainer")
    family = networks.REGISTRY.get(task.network)
    if not device.startswith("cpu"):
        return _stacked(family, f"steps are compiled for the CPU alone, and the device is {device}")
    if suite.compile == "always" and compiler is None:
        raise UsageError(
            "`compile` must be 'auto' or 'never' where there is no C compiler, got 'always'. Install gcc, or "
            "set the environment variable CC."
        )
    if suite.compile == "never":
        return _stacked(family, "compile = 'never'")
    return _compiled(suite, task, planned_steps(suite, task, n_runs=n_runs), compiler)


def _compiled(suite: Suite, task: SuiteTask, planned: float, compiler: Sequence[str] | None) -> Steps:
    """Return compiled steps where they are wanted or repaid, and possible."""
    if not networks.REGISTRY.get(task.network).compiled:
        return _in_company(task, planned, f"family {task.network!r} has layers that cannot be compiled")
    if suite.compile == "always":
        return Steps("compiled", "compile = 'always'")
    count = f"{planned:,.0f} planned steps"
    if planned < REPAID_STEPS:
        return Steps("plain", f"{count}, fewer than the {REPAID_STEPS:,} that repay compiling")
    if compiler is None:
        return _in_company(task, planned, "no C compiler on this machine")
    return Steps("compiled", f"{count}, at least the {REPAID_STEPS:,} that repay compiling")


def _stacked(family: networks.NetworkFamily, reason: str) -> Steps:
    """Return traced steps, or the reference trainer's for a family whose lanes cannot be stacked."""
    if family.cohort:
        return Steps("traced", reason)
    return Steps("plain", f"family {family.name!r} cannot train in cohorts: trained by the reference trainer")


def _in_company(task: SuiteTask, planned: float, reason: str) -> Steps:
    """Return traced steps where cohorts are large enough to gain by them."""
    family = networks.REGISTRY.get(task.network)
    each = planned / n_depths(space_of(task))
    if not family.cohort or (each >= SHARED_STEPS and family.inputs == "flat"):
        return _stacked(family, reason)
    if family.inputs != "flat":
        return Steps("plain", f"{reason}; in cohorts on a CPU it is no quicker")
    return Steps("plain", f"{reason}; {each:,.0f} planned steps a depth, too few for cohorts")


def planned_steps(suite: Suite, task: SuiteTask, *, n_runs: int) -> float:
    """Return the optimiser steps of all trials of ``task`` that the budget allows, over all folds.

    A budget in seconds is turned into steps by what a step typically costs.
    """
    trials = suite.budget_trials(task)
    if trials is None:
        return n_runs * (suite.budget.seconds or 0.0) / STEP_SECONDS.get(task.network, UNKNOWN_STEP_SECONDS)
    epochs = task.epochs * suite.validation.trainings
    return n_runs * trials * epochs * steps_per_epoch(space_of(task), train_examples(suite, task))


def n_depths(space: SearchSpace) -> int:
    """Return how many values the hyperparameter ``layers`` can have: each is traced by itself."""
    return int(space["layers"].n_values) if "layers" in space.names else 1


def train_examples(suite: Suite, task: SuiteTask) -> float:
    """Return roughly how many examples a network is trained on; the data set is loaded to be counted."""
    examples = len(datasets.load(suite.data(task)).targets)
    return examples * (1.0 - suite.validation.share(suite.test_fraction) - suite.test_fraction)


def steps_per_epoch(space: SearchSpace, examples: float) -> float:
    """Return the mean number of batches over the batch sizes that may occur."""
    sizes = _batch_sizes(space) or [32]
    return sum(max(1.0, examples // size) for size in sizes) / len(sizes)


def clipped_batches(space: SearchSpace, examples: float) -> list[int]:
    """Return the batch sizes of ``space`` above the training examples, all of which then make one batch.

    Raises:
        UsageError: several batch sizes are to be compared, and all are above, so that they are the same.
    """
    sizes = _batch_sizes(space)
    clipped = [size for size in sizes if size > examples]
    if len(clipped) == len(sizes) > 1:
        raise UsageError(
            f"`batch_size` must have a value below the {examples:.0f} training examples, got {sizes}: each of them would "
            "take all examples at once. Use smaller batches, or fix one."
        )
    return clipped


def _batch_sizes(space: SearchSpace) -> list[int]:
    """Return the batch sizes that may occur, of a range the least, the middle and the largest."""
    if "batch_size" in space.constants:
        return [int(space.constants["batch_size"])]
    if "batch_size" not in space.names:
        return []
    parameter = space["batch_size"]
    values = parameter.choices if isinstance(parameter, Categorical) else parameter.levels(3)
    return [int(value) for value in values]

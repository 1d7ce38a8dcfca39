"""Tasks that are found by one name: closed-form functions, and whatever code of others evaluates a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hpbench.registry import Registry
from hpbench.space import SearchSpace
from hpbench.tasks.base import Task, TaskSpec

__all__ = ["REGISTRY", "TaskFamily"]


@dataclass(frozen=True)
class TaskFamily:
    """A task that needs neither a data set nor a network of hpbench.

    Declaring one must be cheap: suites are checked, planned and shown from it alone. What is heavy
    belongs into ``build``, which runs in the process that evaluates.

    Attributes:
        name: what suites call it.
        space: what may be searched, with ranges, constants and defaults.
        build: returns the task; it gets the search space as the suite changed it, the seed and the
            full fidelity in the specification.
        citation: where the task comes from, if anywhere.
        counts: whether evaluations count correct examples. If not, ``val_loss`` is what is minimised, and
            the suite must have ``objective = "loss"``.
        minimum: the smallest value over ``space``, where it is known.
        limits: the ends that no suite may go beyond, by hyperparameter: ``(lowest, highest)``.
    """

    name: str
    space: SearchSpace
    build: Callable[[TaskSpec], Task]
    citation: str = ""
    counts: bool = False
    minimum: float | None = None
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)


REGISTRY: Registry[TaskFamily] = Registry(
    kind="function",
    group="hpbench.tasks",
    builtin={
        "branin": "hpbench.tasks.functions:BRANIN",
        "conditional": "hpbench.tasks.functions:CONDITIONAL",
        "hartmann6": "hpbench.tasks.functions:HARTMANN6",
        "mixed": "hpbench.tasks.functions:MIXED",
    },
    wanted="a hpbench.tasks.families.TaskFamily",
    fits=lambda item: isinstance(item, TaskFamily),
)

"""Building the task that a specification describes, inside the process that evaluates."""

from __future__ import annotations

from hpbench.tasks import families
from hpbench.tasks.base import Task, TaskSpec

__all__ = ["build_task"]


def build_task(spec: TaskSpec) -> Task:
    """Return the task that ``spec`` describes.

    Raises:
        UsageError: a name in ``spec`` is unknown, or the task cannot be built on this machine.
    """
    if spec.function is not None:
        return families.REGISTRY.get(spec.function).build(spec)
    from hpbench.tasks.network_task import NetworkTask  # noqa: PLC0415 - imports torch, functions do without

    return NetworkTask(spec)

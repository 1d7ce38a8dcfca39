"""The search space of a task of a suite: its family's, as the suite changed it."""

from __future__ import annotations

from hpbench.overrides import apply_overrides
from hpbench.space import SearchSpace
from hpbench.suite.models import SuiteTask
from hpbench.tasks import families, networks
from hpbench.tasks.families import TaskFamily
from hpbench.tasks.networks import NetworkFamily

__all__ = ["space_of"]


def space_of(task: SuiteTask, *, where: str | None = None) -> SearchSpace:
    """Return the search space of ``task``: what its family or function declares, as ``[tasks.space]`` changed it.

    Args:
        task: whose space.
        where: the key path of the overrides, for messages.

    Raises:
        UsageError: the family or function is unknown, or an override is illegal.
    """
    family: NetworkFamily | TaskFamily = (
        networks.REGISTRY.get(task.network) if task.function is None else families.REGISTRY.get(task.function)
    )
    path = f"{task.name}.space" if where is None else where
    return apply_overrides(family.space, task.space, limits=family.limits, where=path)

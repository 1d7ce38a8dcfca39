"""How the runs of a study are shared out among workers: in groups of one task, the longest first."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hpbench.plan import Plan
from hpbench.space import Categorical, SearchSpace
from hpbench.strategies import REGISTRY, Capability
from hpbench.suite import Suite, SuiteTask, space_of
from hpbench.tasks import datasets, networks
from hpbench.tasks.datasets.splits import SPLIT_BYTES, split_bytes
from hpbench.trial import RunKey

__all__ = ["plan_shards", "run_bytes", "runs_in_shard"]

_SHARD_BYTES = SPLIT_BYTES
"""What the runs of one shard may keep in memory at once: splits, and training states for continuing."""

_TENSORS_OF_A_STATE = 4
_NUMBER_BYTES = 4
_LEAST_COMPANY = 4


def plan_shards(
    plan: Plan, costs: Mapping[RunKey, float], *, runs_per_shard: Mapping[str, int]
) -> list[tuple[RunKey, ...]]:
    """Return the runs in groups of one task, the most expensive group first, so that no long one is left last.

    How runs are grouped changes no result, only how soon it is there.

    Args:
        plan: what is to be run.
        costs: expected seconds of every run, at least those of ``plan``.
        runs_per_shard: task → the largest group.
    """
    by_task: dict[str, list[RunKey]] = {}
    for run in plan.runs:
        by_task.setdefault(run.task, []).append(run)
    shards: list[tuple[RunKey, ...]] = []
    for task, runs in by_task.items():
        size = max(1, runs_per_shard[task])
        shards += [tuple(runs[begin : begin + size]) for begin in range(0, len(runs), size)]
    return sorted(shards, key=lambda shard: -sum(costs[run] for run in shard))


def runs_in_shard(plan: Plan, suite: Suite, *, workers: int) -> dict[str, int]:
    """Return, for each task, how many runs a worker takes at once.

    The reference trainer gains nothing from company, so one run at a time keeps workers busy and
    progress flowing. Cohorts want as many runs as memory allows, but two shards for every worker, so
    that none is idle while the last shard ends; where runs are few, company of four matters more.
    """
    counts = {task.name: sum(run.task == task.name for run in plan.runs) for task in suite.tasks}
    return {
        task.name: 1
        if plan.steps[task.name].kind == "plain"
        else _cohort_runs(
            suite,
            task,
            counts[task.name],
            workers=workers,
            compiled=plan.steps[task.name].kind == "compiled",
        )
        for task in suite.tasks
    }


def _cohort_runs(suite: Suite, task: SuiteTask, count: int, *, workers: int, compiled: bool) -> int:
    """Return how many of ``count`` runs of ``task`` make one shard."""
    if not count:
        return 1
    even = math.ceil(count / (2 * workers))
    company = min(_LEAST_COMPANY, math.ceil(count / workers))
    return max(1, min(max(even, company), _SHARD_BYTES // run_bytes(suite, task, compiled=compiled)))


def run_bytes(suite: Suite, task: SuiteTask, *, compiled: bool) -> int:
    """Return roughly what one run keeps in memory at most: the split of its repetition, and its states.

    States are kept for strategies that continue trials, one a trial; each holds parameters, two
    moments and the best weights. The parameters are bounded by a network whose layers are all as
    large as the largest size of the space, 3 x 3 convolutions where inputs are images. Each fold of a
    cross-validation has a split and states of its own.
    """
    dataset = datasets.load(suite.data(task))
    trainings = suite.validation.trainings
    data = split_bytes(dataset, compiled=compiled)
    kinds = [REGISTRY.get(strategy.use) for strategy in suite.strategies]
    if not any(Capability.RESUMES in kind.capabilities for kind in kinds):
        return data * trainings
    trials = suite.budget_trials(task) or 1
    space, family = space_of(task), networks.REGISTRY.get(task.network)
    sizes = {name: _largest(space, name) for name in family.shaping if name != "batch_size"}
    layers = sizes.pop("layers", 1)
    width = max(sizes.values(), default=1)
    features = math.prod(dataset.shape)
    taps = 9 if family.inputs == "image" else 1
    parameters = width * (features * taps + layers * taps * width + features * dataset.n_classes)
    states = trials * parameters * _TENSORS_OF_A_STATE * _NUMBER_BYTES
    return (data + states) * trainings


def _largest(space: SearchSpace, name: str) -> int:
    """Return the largest whole number that the hyperparameter ``name`` can be; 1 if it is none."""
    values: list[object] = [space.constants.get(name, 1)]
    if name in space.names:
        parameter = space[name]
        values = list(parameter.choices) if isinstance(parameter, Categorical) else [parameter.high]
    return max((int(value) for value in values if type(value) in {int, float}), default=1)  # type: ignore[call-overload]

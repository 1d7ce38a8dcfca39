"""What a suite must hold as a whole, beyond the types of its keys: known names, budgets and sizes that fit together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hpbench.errors import UsageError, unknown_name
from hpbench.strategies import REGISTRY as STRATEGIES
from hpbench.strategies.factory import check_options
from hpbench.suite.models import SuiteStrategy, SuiteTask
from hpbench.suite.problems import Problem, join_path
from hpbench.suite.spaces import space_of
from hpbench.tasks import datasets, families, networks

if TYPE_CHECKING:
    from hpbench.suite.suite import Suite

__all__ = ["problems_in"]

_MOST_RUNS = 1_000_000


def problems_in(suite: Suite) -> Iterator[Problem]:
    """Yield everything that is wrong with ``suite``."""
    yield from _name_problems(suite)
    yield from _size_problems(suite)
    for index in range(len(suite.tasks)):
        yield from _task_problems(suite, index)
    for index, strategy in enumerate(suite.strategies):
        yield from _strategy_problems(strategy, index)


def _name_problems(suite: Suite) -> Iterator[Problem]:
    """Yield names and labels that occur twice."""
    for table in ("tasks", "strategies"):
        yield from _repeated(table, "name", [item.name for item in getattr(suite, table)])
    yield from _repeated("strategies", "label", [strategy.label for strategy in suite.strategies])


def _repeated(table: str, key: str, values: Sequence[str]) -> Iterator[Problem]:
    """Yield a problem for every value that an earlier entry has."""
    for index, value in enumerate(values):
        first = values.index(value)
        if first < index:
            yield Problem(
                f"the {key} {value!r} belongs to {join_path(table, first)} already; set `{key}` in one of them",
                join_path(table, index, key),
            )


def _size_problems(suite: Suite) -> Iterator[Problem]:
    """Yield empty lists, and budgets, fractions and sizes that cannot work together."""
    for table in ("tasks", "strategies"):
        if not getattr(suite, table):
            yield Problem(f"`{table}` must hold at least one table, got an empty list", table)
    if suite.trainer == "cohort" and suite.clock == "measured":
        yield Problem(
            "`clock` must be 'modelled' where `trainer` is 'cohort', because trials that train together have no "
            'seconds of their own to be measured; got "measured"',
            "clock",
        )
    if suite.final is not None and all(task.function is not None for task in suite.tasks):
        yield Problem(
            "`final` must be left out where every task is a function, because a function has no seeds and parts to "
            "be trained on again",
            "final",
        )
    runs = len(suite.tasks) * len(suite.strategies) * suite.repetitions
    if runs > _MOST_RUNS:
        yield Problem(
            f"tasks times strategies times repetitions must be at most {_MOST_RUNS} runs, got {runs}"
        )
    fraction = suite.validation.fraction
    if fraction is not None and fraction + suite.test_fraction >= 1.0:
        yield Problem(
            "`validation.fraction` + `test_fraction` must be less than 1, so that something is left to train on, "
            f"got {fraction!r} + {suite.test_fraction!r}",
            "test_fraction",
        )


def _task_problems(suite: Suite, index: int) -> Iterator[Problem]:
    """Yield what is wrong with one task."""
    task = suite.tasks[index]
    if task.function is None and not datasets.is_known(task.dataset):
        yield Problem(str(datasets.unknown_data(task.dataset)), join_path("tasks", index, "dataset"))
    trainings = suite.trainings(task)
    if suite.budget.epochs is not None and suite.budget.epochs < task.epochs * trainings:
        times = f" for each of {trainings} folds" if trainings > 1 else ""
        yield Problem(
            f"`epochs` must be at most the budget's {suite.budget.epochs} epochs, so that one trial can be "
            f"trained, got {task.epochs}{times}",
            join_path("tasks", index, "epochs"),
        )
    unknown = _kind_problem(suite, task, index)
    if unknown is not None:
        yield unknown
        return
    yield from _space_problems(task, index)


def _kind_problem(suite: Suite, task: SuiteTask, index: int) -> Problem | None:
    """Return that nobody knows the network or function, or that a function has no error to minimise."""
    if task.function is None:
        if task.network in networks.REGISTRY.names():
            return None
        error = unknown_name("network", task.network, networks.REGISTRY.names())
        return Problem(str(error), join_path("tasks", index, "network"))
    where = join_path("tasks", index, "function")
    if task.function not in families.REGISTRY.names():
        return Problem(str(unknown_name("function", task.function, families.REGISTRY.names())), where)
    if suite.objective == "error" and not families.REGISTRY.get(task.function).counts:
        return Problem(
            f"`objective` must be 'loss' where a task is the function {task.function!r}, because its value is a loss "
            'and no share of wrong examples; got "error"',
            where,
        )
    return None


def _space_problems(task: SuiteTask, index: int) -> Iterator[Problem]:
    """Yield the first illegal override of each hyperparameter, or what makes them impossible together."""
    path = join_path("tasks", index, "space")
    alone = [task.model_copy(update={"space": {name: raw}}) for name, raw in task.space.items()]
    found = [error for single in alone if (error := _space_error(single, path)) is not None]
    together = None if found else _space_error(task, path) or _build_error(task, path)
    for error in found if together is None else [together]:
        yield Problem(error)


def _space_error(task: SuiteTask, path: str) -> str | None:
    """Return what is wrong with the overrides of ``task``, or None."""
    try:
        space_of(task, where=path)
    except UsageError as error:
        return str(error)
    return None


def _build_error(task: SuiteTask, path: str) -> str | None:
    """Return why some configuration of ``task`` cannot be built, as its family says, or None."""
    try:
        check = networks.REGISTRY.get(task.network).check if task.function is None else None
        if check is not None:
            check(space_of(task))
    except UsageError as error:
        return f"{str(error).rstrip('.')} ({path})."
    return None


def _strategy_problems(strategy: SuiteStrategy, index: int) -> Iterator[Problem]:
    """Yield what is wrong with one strategy: its name, or the names and types of its options."""
    if strategy.use not in STRATEGIES.names():
        error = unknown_name("strategy", strategy.use, STRATEGIES.names())
        yield Problem(str(error), join_path("strategies", index, "use"))
        return
    for name, value in strategy.options.items():
        try:
            check_options(strategy.use, {name: value})
        except UsageError as error:
            yield Problem(str(error), join_path("strategies", index, "options", name))

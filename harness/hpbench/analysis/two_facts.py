"""What two studies share, how they differ, and whether their repetitions can be paired."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpbench.analysis.comparison import Study
from hpbench.analysis.frames import Frames
from hpbench.errors import UsageError
from hpbench.study import RunState

__all__ = ["Untested", "differences", "shared_names", "shared_tasks", "untested", "why_unpaired"]


@dataclass(frozen=True)
class Untested:
    """A task and strategy that both studies have, and that cannot be compared.

    Attributes:
        task: its name.
        strategy: its name.
        reason: why, such as "no run has ended in B".
        refused: both studies refused the pairing, so that nothing is missing.
    """

    task: str
    strategy: str
    reason: str
    refused: bool

    @property
    def note(self) -> str:
        """One sentence."""
        return f"Not compared: {self.strategy} on {self.task}, for {self.reason}."


def shared_names(kind: str, first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    """Return the names that both have, in the order of the first."""
    one, other = tuple(first), tuple(second)
    names = tuple(name for name in one if name in other)
    if not names:
        plural = {"task": "tasks", "strategy": "strategies"}[kind]
        raise UsageError(
            f"the studies must share a {kind} to be compared. The first has the {plural} {', '.join(one)}; the second "
            f"has {', '.join(other)}."
        )
    return names


def shared_tasks(first: Frames, second: Frames) -> tuple[str, ...]:
    """Return the tasks with test errors that both have, in the order of the first.

    Raises:
        UsageError: they share no task, or only tasks that count no correct examples.
    """
    shared = shared_names("task", first.tasks, second.tasks)
    found = tuple(task for task in shared if task not in _uncounted(first, second))
    if not found:
        raise UsageError(
            "the studies must share a task that counts correct examples, because final test errors are compared; "
            f"{', '.join(shared)} have values and no accuracy. Compare the tables 'Final values' of their reports."
        )
    return found


def _uncounted(first: Frames, second: Frames) -> list[str]:
    """Return the shared tasks that have values and no accuracy in one of the studies."""
    shared = [task for task in first.tasks if task in second.tasks]
    return [task for task in shared if not (first.counted(task) and second.counted(task))]


_SEEDS = ("root_seed", "training_seeds", "validation", "test_fraction")
_TASK = ("dataset", "network", "function", "epochs", "space", "constants")


def why_unpaired(first: Frames, second: Frames, task: str) -> str:
    """Return why repetitions of ``task`` cannot be paired; empty if they can."""
    suites = first.info.suite, second.info.suite
    parts = [key for key in _SEEDS if suites[0].get(key) != suites[1].get(key)]
    described = first.info.tasks.get(task, {}), second.info.tasks.get(task, {})
    parts += [key for key in ("dataset", "checksum") if described[0].get(key) != described[1].get(key)]
    return f"the studies differ in {', '.join(parts)}" if parts else ""


def untested(
    studies: tuple[Study, Study],
    tasks: Iterable[str],
    strategies: Iterable[str],
    names: tuple[str, str],
    unpaired: Container[str],
) -> tuple[Untested, ...]:
    """Return the tasks and strategies without repetitions to compare.

    Args:
        studies: both.
        tasks: that both have.
        strategies: that both have.
        names: what readers see for each study.
        unpaired: tasks on which any two repetitions can be compared.
    """
    cells = itertools.product(tasks, strategies)
    found = (_untested(studies, task, name, names, paired=task not in unpaired) for task, name in cells)
    return tuple(cell for cell in found if cell is not None)


def _untested(
    studies: tuple[Study, Study], task: str, strategy: str, names: tuple[str, str], *, paired: bool
) -> Untested | None:
    """Return why a cell cannot be compared; None if it can."""
    rows = [(study.curves[task], study.frames.strategies.index(strategy)) for study in studies]
    skipped = [bool((curves.state[place] == str(RunState.SKIPPED)).all()) for curves, place in rows]
    ended = [set(np.flatnonzero(curves.ended[place])) for curves, place in rows]
    idle = [name for name, repetitions in zip(names, ended, strict=True) if not repetitions]
    if any(skipped):
        who = [name for name, refused in zip(names, skipped, strict=True) if refused]
        return Untested(task, strategy, f"it was skipped in {' and '.join(who)}", all(skipped))
    if idle:
        return Untested(task, strategy, f"no run has ended in {' nor in '.join(idle)}", refused=False)
    if paired and not ended[0] & ended[1]:
        return Untested(task, strategy, "no repetition has ended in both", refused=False)
    return None


def differences(first: Frames, second: Frames, names: tuple[str, str]) -> Iterable[str]:
    """Yield what differs besides the results."""
    for what, one, other in _facts(first, second):
        if one != other:
            yield f"{what}: {one} in {names[0]}, {other} in {names[1]}."
    for task in (name for name in first.tasks if name in second.tasks):
        described = first.info.tasks.get(task, {}), second.info.tasks.get(task, {})
        parts = [key for key in _TASK if described[0].get(key) != described[1].get(key)]
        if parts:
            yield f"Task {task} differs in {', '.join(parts)}."
    for name in (name for name in first.strategies if name in second.strategies):
        described = first.info.strategies.get(name, {}), second.info.strategies.get(name, {})
        parts = [
            key for key in ("use", "options", "version") if described[0].get(key) != described[1].get(key)
        ]
        if parts:
            yield f"Strategy {name} differs in {', '.join(parts)}."
    yield from _left_out(first, second, names)


def _left_out(first: Frames, second: Frames, names: tuple[str, str]) -> Iterable[str]:
    """Yield what is not compared, and why."""
    uncounted = _uncounted(first, second)
    if uncounted:
        yield f"Left out, for they have values and no accuracy: {', '.join(uncounted)}."
    for kind in ("tasks", "strategies"):
        for mine, others, name in ((first, second, names[0]), (second, first, names[1])):
            only = [item for item in getattr(mine, kind) if item not in getattr(others, kind)]
            if only:
                yield f"Left out, for only {name} has them: {', '.join(only)}."


def _facts(first: Frames, second: Frames) -> Iterable[tuple[str, Any, Any]]:
    """Yield name, first and second value of what explains differences."""
    infos = first.info, second.info
    yield "Device", infos[0].device, infos[1].device
    yield "hpbench", infos[0].hpbench_version, infos[1].hpbench_version
    for key in ("cpu", "machine", "python"):
        yield key.capitalize(), infos[0].environment.get(key), infos[1].environment.get(key)
    libraries = [info.environment.get("libraries", {}) for info in infos]
    for name in sorted(set(libraries[0]) | set(libraries[1])):
        yield name, libraries[0].get(name), libraries[1].get(name)
    yield "Budget of a run", first.budget, second.budget
    yield "Clock", first.clock, second.clock
    yield "Trainer", infos[0].suite.get("trainer"), infos[1].suite.get("trainer")
    yield "Objective", first.objective, second.objective
    yield "Repetitions", first.repetitions, second.repetitions

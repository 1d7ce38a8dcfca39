"""The description of a study that is stored with it, and whether a study may be continued today."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from hpbench import __version__
from hpbench.compilation import Steps
from hpbench.environment import (
    describe,
    describe_blas,
    describe_checkout,
    installed_packages,
    library_version,
)
from hpbench.errors import UsageError
from hpbench.plan import Plan
from hpbench.space import Categorical, Parameter, SearchSpace
from hpbench.strategies import REGISTRY
from hpbench.strategies.factory import resolved_options
from hpbench.study import StudyInfo
from hpbench.suite import Suite, SuiteStrategy, SuiteTask, space_of
from hpbench.tasks import datasets, families
from hpbench.tasks.datasets.splits import splits
from hpbench.trial import RunKey

__all__ = ["check_continues", "check_libraries", "describe_parameter", "describe_study"]

_MOST_DIFFERENCES = 12


def describe_study(suite: Suite, text: str, plan: Plan, *, device: str, workers: int) -> StudyInfo:
    """Return everything that explains the results of ``suite`` on this machine; data sets are loaded.

    Args:
        suite: the suite after defaults.
        text: its file, word for word.
        plan: of the whole suite.
        device: resolved, such as ``"cpu"``.
        workers: training processes.

    Raises:
        UsageError: a data set cannot be loaded or split.
    """
    strategies = {item.name: _describe_strategy(item) for item in suite.strategies}
    libraries = {entry["library"] for entry in strategies.values() if entry["library"]}
    return StudyInfo(
        suite=suite.resolved(),
        suite_text=text,
        suite_digest=suite.digest(),
        device=device,
        environment={
            **describe(threads=suite.threads, workers=workers, libraries=libraries),
            "blas": describe_blas(),
            "checkout": describe_checkout(),
            "packages": installed_packages(),
        },
        tasks={task.name: _describe_task(suite, task, plan.steps[task.name]) for task in suite.tasks},
        strategies=strategies,
        skipped=[asdict(refusal) for refusal in plan.refused],
        hpbench_version=__version__,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def describe_parameter(parameter: Parameter) -> dict[str, Any]:
    """Return a hyperparameter as JSON values."""
    found: dict[str, Any] = {"name": parameter.name, "kind": type(parameter).__name__.lower()}
    if isinstance(parameter, Categorical):
        found.update(choices=list(parameter.choices), ordered=parameter.ordered)
    else:
        found.update(low=parameter.low, high=parameter.high, log=parameter.log)
    if parameter.when is not None:
        found["when"] = {"parent": parameter.when.parent, "values": list(parameter.when.values)}
    return found


def check_continues(stored: StudyInfo, now: StudyInfo) -> None:
    """Raise unless the study ``stored`` may be continued as ``now``.

    Raises:
        UsageError: suite, data, device or torch differ; the message says how and what to do.
    """
    if stored.suite_digest != now.suite_digest:
        changes = list(_differences(stored.suite, now.suite, ""))
        shown = [f"  {line}" for line in changes[:_MOST_DIFFERENCES]]
        if len(changes) > _MOST_DIFFERENCES:
            shown.append(f"  and {len(changes) - _MOST_DIFFERENCES} more")
        raise UsageError(
            f"these results belong to another version of suite {stored.suite.get('name')!r}, and one study holds "
            "one suite. Changed (stored, now):\n" + "\n".join(shown) + "\n"
            "Undo the change, or start a new study with --results DIR."
        )
    for name, task in stored.tasks.items():
        if task.get("checksum") != now.tasks.get(name, {}).get("checksum"):
            raise UsageError(
                f"data set {task.get('dataset')!r} of task {name!r} is not the one that these results were made "
                "with (its checksum differs). Restore the data, or start a new study with --results DIR."
            )
    _check_same("device", stored.device, now.device, "--device")
    _check_same("torch", _torch(stored), _torch(now), "the torch version")


def check_libraries(stored: StudyInfo, now: StudyInfo, runs: Sequence[RunKey]) -> None:
    """Raise unless ``runs`` would be searched by the versions of libraries that the study began with.

    A run with trials needs no such check: it is replayed, which shows whether the version matters.

    Args:
        stored: the study.
        now: what it would be if it began today.
        runs: those to be done that have no trial yet.

    Raises:
        UsageError: the version of a strategy's library differs; the message says what to do.
    """
    for name in dict.fromkeys(run.strategy for run in runs):
        library = stored.strategies[name].get("library")
        before, after = stored.strategies[name].get("version"), now.strategies[name].get("version")
        if library and before != after:
            waiting = [str(run) for run in runs if run.strategy == name]
            raise UsageError(
                f"this study's strategy {name!r} began with {library} {before}, now it is {library} {after}, and "
                f"{len(waiting)} of its runs ({waiting[0]}{', ...' if len(waiting) > 1 else ''}) have not begun: "
                "runs of several versions cannot be compared. "
                f"Go back with pip install '{library}=={before}', run other strategies alone with --only, or start a "
                "new study with --results DIR."
            )


def _check_same(what: str, stored: object, now: object, mend: str) -> None:
    """Raise unless both are equal: results of one study must be comparable bit by bit."""
    if stored != now:
        raise UsageError(
            f"these results were made with {what} {stored}, now it is {now}; a mixed study cannot be compared. "
            f"Go back with {mend}, or start a new study with --results DIR."
        )


def _torch(info: StudyInfo) -> object:
    """Return the torch version of a study."""
    return info.environment.get("libraries", {}).get("torch")


def _describe_task(suite: Suite, task: SuiteTask, steps: Steps) -> dict[str, Any]:
    """Return what a task is, with the sizes of its parts and how its steps are taken."""
    found = {
        **_describe_space(task),
        "epochs": task.epochs,
        "steps": steps.kind,
        "steps_reason": steps.reason,
    }
    if task.function is not None:
        family = families.REGISTRY.get(task.function)
        return {"function": task.function, "counts": family.counts, "minimum": family.minimum, **found}
    dataset = datasets.load(suite.data(task))
    parts = splits(
        dataset,
        root_seed=suite.root_seed,
        repetition=0,
        validation_fraction=suite.validation.share(suite.test_fraction),
        test_fraction=suite.test_fraction,
        folds=suite.validation.folds,
    )
    return {
        "dataset": task.dataset,
        "network": task.network,
        "shape": list(dataset.shape),
        "target_kind": "regression" if dataset.regression else "classification",
        "n_classes": dataset.n_classes,
        "n_train": len(parts[0].train_targets),
        "n_val": sum(len(part.val_targets) for part in parts),
        "n_test": len(parts[0].test_targets),
        "checksum": dataset.checksum,
        "origin": dict(dataset.origin),
        **found,
    }


def _describe_space(task: SuiteTask) -> dict[str, Any]:
    """Return what is searched in a task."""
    space: SearchSpace = space_of(task)
    return {
        "space": [describe_parameter(parameter) for parameter in space.parameters],
        "constants": dict(space.constants),
        "default": space.default_config(),
    }


def _describe_strategy(strategy: SuiteStrategy) -> dict[str, Any]:
    """Return what a strategy is, with its options after defaults."""
    kind = REGISTRY.get(strategy.use)
    return {
        "use": strategy.use,
        "label": strategy.label,
        "options": resolved_options(strategy.use, strategy.options),
        "library": kind.library,
        "version": library_version(kind.library),
        "capabilities": sorted(str(capability) for capability in kind.capabilities),
    }


def _differences(old: object, new: object, path: str) -> Iterator[str]:
    """Yield ``path: old, new`` for every place in which two JSON values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            place = f"{path}.{key}" if path else key
            yield from _differences(old.get(key, "(absent)"), new.get(key, "(absent)"), place)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _differences(left, right, f"{path}[{index}]")
    elif isinstance(old, list) and isinstance(new, list):
        yield f"{path}: {len(old)} entries, {len(new)} entries"
    elif type(old) is not type(new) or old != new:
        yield f"{path}: {old!r}, {new!r}"

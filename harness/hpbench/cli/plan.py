"""``hpbench plan``: what a suite would run; nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpbench.cli import options
from hpbench.wording import counted

if TYPE_CHECKING:
    from hpbench.plan import Calibration, Plan
    from hpbench.suite import Suite, SuiteTask

__all__ = ["plan"]


@click.command("plan")
@options.suite
@options.only
@options.workers
@options.as_json
@options.plugins
def plan(
    suite: str, *, only: str | None, workers: int | None, as_json: bool, plugins: tuple[Path, ...]
) -> None:
    """Show what a suite would run.

    It prints the matrix of tasks and strategies, the number of trials and the time, for a suite's
    file or the name of a bundled one. Nothing is trained. The time is a rough guess from typical costs of a training step; a busy or an
    old machine is easily a factor of three away.
    """
    import json

    from hpbench.plan import estimate_calibration, estimate_seconds, make_plan
    from hpbench.suite import load_suite

    del plugins  # they are loaded already
    found, _ = load_suite(suite)
    made = make_plan(found, only=only)
    seconds = {str(run): cost for run, cost in estimate_seconds(made, found).items()}
    clocks = estimate_calibration(made, found)
    content = content_of(
        found, made, seconds, clocks, workers=options.resolve_workers(workers, threads=found.threads)
    )
    click.echo(json.dumps(content, indent=2) if as_json else text_of(content))


def content_of(
    suite: Suite, plan: Plan, seconds: dict[str, float], clocks: dict[str, Calibration], *, workers: int
) -> dict[str, Any]:
    """Return the plan as JSON values: one entry a cell, the refused pairings, the totals.

    Args:
        suite: what is planned.
        plan: its runs.
        seconds: guessed seconds of each run, by the run's name.
        clocks: what has to be calibrated before, by task; nothing where the clock is measured.
        workers: processes that would share the work.
    """
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for run in plan.runs:
        new = {"task": run.task, "strategy": run.strategy, "runs": 0, "trials_per_run": plan.trials_of(run)}
        cell = cells.setdefault(
            (run.task, run.strategy), {**new, "epochs": plan.epochs[run.task], "seconds": 0.0}
        )
        cell["runs"] += 1
        cell["seconds"] += seconds[str(run)]
    networks = [run for run in plan.runs if suite.task(run.task).function is None]
    alone = sum(seconds.values())
    calibrating = sum(item.seconds for item in clocks.values())
    return {
        "suite": suite.name,
        "digest": suite.digest(),
        "trainer": suite.trainer,
        "clock": suite.clock,
        "budget": suite.budget.model_dump(exclude_none=True),
        "validation": suite.validation.model_dump(exclude_none=True) if networks else None,
        "trainings_per_trial": dict(plan.trainings),
        "trainings": None
        if plan.n_trials is None
        else sum((plan.trials_of(run) or 0) * plan.trainings[run.task] for run in networks),
        "final": None if suite.final is None else suite.final.model_dump(),
        "retrained_runs": len(networks) if suite.final else 0,
        "cells": list(cells.values()),
        "refused": [
            {"task": item.task, "strategy": item.strategy, "reason": item.reason} for item in plan.refused
        ],
        "runs": len(plan.runs),
        "trials": plan.n_trials,
        "epochs": plan.n_epochs,
        "seconds": alone,
        "workers": workers,
        "wall_seconds": alone / min(workers, len(plan.runs)) + calibrating,
        "tasks": {
            task: {
                "steps": steps.kind,
                "steps_reason": steps.reason,
                "signatures": clocks[task].signatures if task in clocks else 0,
                "calibration_seconds": clocks[task].seconds if task in clocks else 0.0,
                **_examples(suite, suite.task(task)),
            }
            for task, steps in plan.steps.items()
        },
    }


def _examples(suite: Suite, task: SuiteTask) -> dict[str, Any]:
    """Return roughly how many examples train, and the batch sizes that are above; nothing of a function."""
    from hpbench.compilation import clipped_batches, train_examples
    from hpbench.suite import space_of

    if task.function is not None:
        return {}
    examples = train_examples(suite, task)
    return {"train_examples": round(examples), "clipped_batches": clipped_batches(space_of(task), examples)}


def text_of(content: dict[str, Any]) -> str:
    """Return the plan as text."""
    from hpbench.cli.text import clean, duration, table

    rows = [
        [
            cell["task"],
            cell["strategy"],
            str(cell["runs"]),
            "-" if cell["trials_per_run"] is None else str(cell["trials_per_run"]),
            str(cell["epochs"]),
            duration(cell["seconds"]),
        ]
        for cell in content["cells"]
    ]
    header = ["TASK", "STRATEGY", "RUNS", "TRIALS A RUN", "EPOCHS A TRIAL", "ABOUT"]
    trials = "trials until the seconds are spent"
    if content["trials"] is not None:
        trials = f"at most {content['trials']} trials, {content['epochs']} epochs"
    lines = [
        f"Suite {content['suite']}, trainer {content['trainer']}, clock {content['clock']}",
        "",
        table(header, rows, right=(2, 3, 4, 5)),
        "",
        *_task_lines(content),
        *_validation_lines(content),
        *_final_lines(content),
        *(f"{clean(item['reason'])} Skipped." for item in content["refused"]),
        f"{counted(content['runs'], 'run')}, {trials}.",
        f"About {duration(content['wall_seconds'])} with {counted(content['workers'], 'worker')}, a rough guess.",
    ]
    return "\n".join(lines)


def _validation_lines(content: dict[str, Any]) -> list[str]:
    """Return what a configuration is scored on, and what that means in trainings; functions have no examples."""
    validation = content["validation"]
    if validation is None:
        return []
    if validation["kind"] == "holdout":
        share = f"{100 * validation['fraction']:g} %"
        return [f"Validation: {share} of the examples are held out, one training a trial."]
    times, trainings = validation["folds"], content["trainings"]
    text = f"Validation: {times}-fold cross-validation, {times} trainings a trial"
    return [f"{text}." if trainings is None else f"{text}, at most {trainings} in all."]


def _final_lines(content: dict[str, Any]) -> list[str]:
    """Return what is done with the incumbents, if anything is."""
    if content["final"] is None:
        return []
    times, runs = content["final"]["retrain"], content["retrained_runs"]
    text = f"Final: the incumbent of each run is retrained under {times} fresh seeds on training and validation part"
    functions = "; functions are not" if runs < content["runs"] else ""
    return [f"{text}{functions}, {times * runs} trainings in all."]


def _task_lines(content: dict[str, Any]) -> list[str]:
    """Return how each task is trained and what its clock takes; nothing where both go without saying."""
    from hpbench.cli.text import clean, duration

    lines = []
    for name, task in content["tasks"].items():
        parts = []
        if content["trainer"] != "reference":
            parts.append(f"{task['steps']} steps ({task['steps_reason']})")
        if task["signatures"]:
            count = f"{task['signatures']} signatures"
            parts.append(f"calibrates {count} first, about {duration(task['calibration_seconds'])}")
        if task.get("clipped_batches"):
            sizes = ", ".join(map(str, task["clipped_batches"]))
            parts.append(f"batches of {sizes} hold all of about {task['train_examples']} training examples")
        if parts:
            lines.append(clean(f"{name}: {'; '.join(parts)}."))
    return lines

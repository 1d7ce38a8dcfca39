"""Sentences about what a figure or table rests on, made from the data and shared by every output."""

from __future__ import annotations

import math

from hpbench.analysis.frames import Frames
from hpbench.analysis.statistics import Interval
from hpbench.study import RunState
from hpbench.trial import Status
from hpbench.wording import counted

__all__ = [
    "METHODS",
    "about_accuracy",
    "about_measure",
    "about_values",
    "basis",
    "by_points",
    "equals",
    "goal",
    "machines_text",
    "p_text",
    "percent",
    "points",
    "repetitions_text",
    "seconds",
    "sentence_case",
]

METHODS = (
    "Intervals are 95 %: paired percentile bootstrap over repetitions from 10 repetitions on, "
    "Student's t from 5 to 9, none below 5."
)
_PERCENT = 100.0
_MACHINE = {
    "torch": "torch",
    "cpu_capability": "processor capability",
    "torch_threads": "threads",
    "cuda": "CUDA",
    "cuda_device": "CUDA device",
    "compiler": "C compiler",
}


def sentence_case(text: str) -> str:
    """Return ``text`` with its first letter large and all else as it is."""
    return text[:1].upper() + text[1:]


def about_measure(frames: Frames) -> str:
    """Return what the error of regressions is, for captions; nothing where there are none."""
    if not any(map(frames.regression, frames.tasks)):
        return ""
    return (
        "Tasks that predict a number: R² in per cent, 100 (1 - squared error / variance of the part's targets), "
        "which is 0 for predicting the mean and below 0 for worse. "
    )


def machines_text(frames: Frames) -> str:
    """Return the warning that trials were made by unlike processors, versions of torch or compilers; nothing if they were not.

    What a process did not say (CUDA before its first use, the compiler if it compiled nothing) is no difference.
    """
    differing = [
        key for key in _MACHINE if len({str(item[key]) for item in frames.workers if key in item}) > 1
    ]
    kinds = [
        ", ".join(f"{_MACHINE[key]} {item[key]}" for key in differing if key in item)
        for item in frames.workers
    ]
    found = list(dict.fromkeys(filter(None, kinds)))
    if not found:
        return ""
    return (
        f"Warning, mixed machines: some trials were made with {', others with '.join(found)}. Results under "
        "unlike conditions differ by rounding, under another torch they agree statistically at most."
    )


def about_accuracy(frames: Frames) -> str:
    """Return which tasks a figure of accuracy lacks, ending in a space; nothing where it lacks none."""
    names = ", ".join(frames.value_tasks)
    return f"Left out, for they have values and no accuracy: {names}. " if names else ""


def about_values(frames: Frames) -> str:
    """Return where values stand for errors, ending in a space; nothing where no task has a value alone."""
    names = ", ".join(frames.value_tasks)
    if not names:
        return ""
    return f"There are no test data in {names}: the value that is minimised stands for both errors. "


def basis(frames: Frames) -> str:
    """Return what every figure and table rests on: seeds, tasks, budget, clock, failures, what is missing."""
    failed_trials = int((frames.trials["status"] != Status.OK).sum())
    states = frames.runs["state"]
    failed_runs = int((states == RunState.FAILED).sum())
    size = (
        f"{counted(len(frames.strategies), 'strategy', 'strategies')}, {counted(len(frames.tasks), 'task')}, "
        f"n = {frames.repetitions} of each, budget {frames.budget} a run, {frames.clock} clock, "
        f"device {frames.info.device}."
    )
    failed = (
        f"Failed: {failed_trials} of {counted(len(frames.trials), 'trial')}, "
        f"{failed_runs} of {counted(len(states), 'run')}."
    )
    parts = [size, failed]
    skipped = int((states == RunState.SKIPPED).sum())
    exhausted = int((states == RunState.EXHAUSTED).sum())
    if skipped:
        parts.append(f"{counted(skipped, 'run')} skipped: the strategy cannot search the space.")
    if exhausted:
        parts.append(f"{counted(exhausted, 'run')} exhausted: nothing was left to propose.")
    if frames.partial:
        parts.insert(0, f"{frames.partial.capitalize()}.")
    return " ".join(parts)


def goal(frames: Frames, *tasks: str) -> str:
    """Return what the strategies minimise on ``tasks``, such as ``"validation error"``; kinds joined by "or"."""
    usual = "validation error" if frames.objective == "error" else "validation cross-entropy"
    return " or ".join(dict.fromkeys(usual if frames.counted(task) else "value" for task in tasks))


def repetitions_text(low: int, high: int) -> str:
    """Return ``"n = 10"`` or ``"n = 7 to 10"``."""
    return f"n = {high}" if low == high else f"n = {low} to {high}"


def percent(error: float) -> str:
    """Return the accuracy of ``error`` in per cent, such as ``"97.12"``; a dash if there is none."""
    return f"{_PERCENT * (1.0 - error):.2f}" if math.isfinite(error) else "-"


def points(centre: float, low: float, high: float) -> str:
    """Return a difference in percentage points with its interval, such as ``"+1.20 [0.30, 2.10]"``."""
    if not math.isfinite(centre):
        return "-"
    text = f"{_PERCENT * centre:+.2f}"
    if math.isfinite(low):
        text += f" [{_PERCENT * low:.2f}, {_PERCENT * high:.2f}]"
    return text.replace("-0.00", "0.00").replace("+0.00", "0.00")


def by_points(difference: Interval, direction: float) -> str:
    """Return by how much one side is better or worse, for a sentence whose verb is the answer of a test.

    Args:
        difference: the mean difference, with its interval; NaN if there is none.
        direction: the sign that the test has found. The mean may have the other: a few large differences
            against many small ones.

    Returns:
        ``" by +1.20 [0.30, 2.10] points"``, or that the mean says otherwise; empty without a mean.
    """
    if not math.isfinite(difference.centre):
        return ""
    text = points(difference.centre, difference.low, difference.high)
    if difference.centre * direction > 0:
        return f" by {text} points"
    return f", although the mean difference is {text} points"


def equals(p: str) -> str:
    """Return ``"= .02"`` or ``"< .001"``."""
    return p if p.startswith("<") else f"= {p}"


def p_text(p: float, *, enough: bool) -> str:
    """Return a p-value, or that so few repetitions cannot reach significance."""
    if not enough:
        return "too few"
    if math.isnan(p):
        return "-"
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")  # noqa: PLR2004 -- the usual limit


def seconds(value: float) -> str:
    """Return seconds with three significant digits."""
    return f"{value:.3g}" if math.isfinite(value) else "-"

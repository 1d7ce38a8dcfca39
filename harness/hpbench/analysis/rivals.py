"""The tables of strategies against each other: time to targets, all pairs, all tasks, and fixed points."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from hpbench.analysis.across import (
    FRACTIONS,
    Across,
    Progress,
    across_tasks,
    left_text,
    mean_text,
    rank_progress,
    regret_progress,
)
from hpbench.analysis.captions import about_values, basis, p_text
from hpbench.analysis.comparison import Study
from hpbench.analysis.curves import Part
from hpbench.analysis.frames import Frames
from hpbench.analysis.manifest import references_of
from hpbench.analysis.statistics import (
    Array,
    area_under_curve,
    iqm,
    win_tie_loss,
)
from hpbench.analysis.targets import SHARES, Pace, pace_of, random_name
from hpbench.analysis.versus import ALPHA, both_ended, paired_tests
from hpbench.analysis.writers import NAMES, Column, Mark, Table, column
from hpbench.wording import counted

__all__ = ["across_table", "pairs_table", "reference_table", "running_time_table"]

_Row = Mapping[str, Any]
_EVERY = "all tasks"


def running_time_table(study: Study) -> Table:
    """Return T2: expected trials to three targets with the successes, and the speed-up over random search."""
    frames = study.frames
    random = random_name(frames)
    rows = []
    for task, curves in study.curves.items():
        for place, strategy in enumerate(frames.strategies):
            pace = pace_of(study, task, place) if curves.n_trials else None
            if pace is not None and pace.runs and pace.ert:
                names = {"task": task, "strategy": strategy, "label": frames.label(strategy)}
                own = {"speed_up": math.nan} if strategy == random else {}
                rows.append({**names, **_pace_row(pace), **own})
    columns = [*NAMES, *(Column(f"ERT to {100 * share:.0f} % (trials)", _ert(share)) for share in SHARES)]
    caption = (
        "Expected running time: all trials that the runs spent until the target, over the runs that reached it "
        "(in brackets), as if runs were restarted; infinite if none did. Targets: 25, 50 and 75 % of the way "
        "from the baseline's median after its first trial to the best validation result of the study. "
    )
    if random is not None:
        columns.append(Column(f"Speed-up over {frames.label(random)}", _speed))
        caption += (
            "Speed-up: trials of random search over the trials after which the strategy's mean is as good as random "
            "search's expected best of all its trials (unbiased best-of-n estimator); where it never is, the trials "
            "that random search needs for the strategy's final mean over all of its trials, below 1. A dash: a run of "
            "one of the two failed, and what is worse than every result has no mean. "
        )
    return Table(
        "targets", "Trials to targets", f"{caption}{basis(frames)}", pd.DataFrame(rows), tuple(columns)
    )


def _pace_row(pace: Pace) -> dict[str, Any]:
    """Return the values of one strategy on one task."""
    row: dict[str, Any] = {}
    for share, (time, successes) in zip(SHARES, pace.ert, strict=True):
        row[f"ert_{100 * share:.0f}"] = time
        row[f"successes_{100 * share:.0f}"] = successes
    return row | {
        "runs": pace.runs,
        "own_trials": pace.own_trials,
        "random_trials": pace.random_trials,
        "speed_up": pace.speed_up,
    }


def _ert(share: float) -> Callable[[_Row], str]:
    """Return the form of an expected running time: ``"12.5 (7/10)"``."""

    def form(row: _Row) -> str:
        time = row[f"ert_{100 * share:.0f}"]
        text = f"{time:.1f}" if math.isfinite(time) else "∞"
        return f"{text} ({row[f'successes_{100 * share:.0f}']}/{row['runs']})"

    return form


def _speed(row: _Row) -> str:
    """Return the speed-up over random search; nothing for random search itself."""
    return f"{row['speed_up']:.2f}" if math.isfinite(row["speed_up"]) else "-"


def pairs_table(study: Study) -> Table:
    """Return T3: all pairs of strategies, within every task and over the tasks."""
    frames = study.frames
    blocks = {task: curves.final_losses() for task, curves in study.curves.items() if frames.counted(task)}
    rows = [row for task, losses in blocks.items() for row in _pair_rows(study, task, losses)]
    means = np.array([_means(losses) for losses in blocks.values()]).T
    if len(blocks) > 1:
        rows += _pair_rows(study, _EVERY, means)
    columns = [
        *NAMES,
        *(Column(f"vs {frames.label(name)}", _pair(name)) for name in frames.strategies),
    ]
    caption = (
        f"Every strategy (row) against every other (column): mean paired difference of test {frames.measure()} in points, "
        "positive if the row is better; blocks won / tied / lost; Wilcoxon's p, Holm-adjusted over all pairs of the "
        f"task, bold below {ALPHA}. Blocks are the repetitions that have ended in both, in which a failed run counts "
        f"as worse than every result and is left out of the difference; for '{_EVERY}' the tasks, each with its mean "
        "over repetitions, in which a failed run has the highest error of its task. 'too few': so few blocks cannot "
        f"reach p < {ALPHA}. {basis(frames)}"
    )
    return Table("pairs", "All pairs", caption, pd.DataFrame(rows), tuple(columns))


def _means(losses: Array) -> Array:
    """Return the mean of each row over the runs that have ended, a failed one with the highest error of the task.

    NaN for a row without an ended run, and if no run of the task has a result.
    """
    finite = losses[np.isfinite(losses)]
    filled = np.where(np.isinf(losses), finite.max() if len(finite) else math.nan, losses)
    ended = (row[~np.isnan(row)] for row in filled)
    return np.array([row.mean() if len(row) else math.nan for row in ended])


def _pair_rows(study: Study, task: str, losses: Array) -> list[dict[str, Any]]:
    """Return one row a strategy.

    Args:
        study: names the strategies.
        task: of the rows.
        losses: shape ``(k, n_blocks)``: infinite for a failed run, NaN for one that has not ended.
    """
    frames = study.frames
    pairs = list(itertools.combinations(range(len(frames.strategies)), 2))
    tested = zip(pairs, *paired_tests([(losses[a], losses[b]) for a, b in pairs]), strict=True)
    rows: list[dict[str, Any]] = [
        {"task": task, "strategy": name, "label": frames.label(name)} for name in frames.strategies
    ]
    for (a, b), p, enough in tested:
        for mine, other in ((a, b), (b, a)):
            name = frames.strategies[other]
            x, y = both_ended(losses[mine], losses[other])
            good = np.isfinite(x) & np.isfinite(y)
            won, tied, lost = win_tie_loss(x, y) if len(x) else (0, 0, 0)
            rows[mine] |= {
                f"{name}: difference": float(np.mean(y[good] - x[good])) if good.any() else math.nan,
                f"{name}: won": won,
                f"{name}: tied": tied,
                f"{name}: lost": lost,
                f"{name}: p": float(p),
                f"{name}: enough": bool(enough),
            }
    return rows


def _pair(name: str) -> Callable[[_Row], Mark]:
    """Return the form of one pair: difference, blocks won, tied and lost, p."""

    def form(row: _Row) -> Mark:
        if row["strategy"] == name or not math.isfinite(row[f"{name}: p"]):
            return Mark("-")
        difference = row[f"{name}: difference"]
        p, enough = row[f"{name}: p"], bool(row[f"{name}: enough"])
        counts = "/".join(f"{row[f'{name}: {kind}']:.0f}" for kind in ("won", "tied", "lost"))
        shown = p_text(p, enough=enough)
        mean = f"{100 * difference:+.2f}" if math.isfinite(difference) else "-"
        text = f"{mean}; {counts}; {shown if shown == 'too few' else f'p {shown}'}"
        return Mark(text.replace("-0.00", "0.00").replace("+0.00", "0.00"), bold=enough and p < ALPHA)

    return form


def across_table(study: Study) -> Table:
    """Return one row a strategy over all tasks: mean rank, regret, its area over the budget, IQM."""
    frames = study.frames
    found = across_tasks(study)
    regrets = _regrets(frames, found)
    rows = _across_rows(study, found, regrets) if found.possible else []
    columns = (
        NAMES[1],
        column("Mean rank (test)", "rank", _digits),
        column("Final regret, validation", "regret_val", _digits),
        column("Final regret, test", "regret_test", _digits),
        column("Area under validation regret", "area_val", _digits),
        column("IQM of 1 - test regret", "iqm", _digits),
    )
    caption = (
        f"Ranks over {counted(len(found.tasks), 'task')}, each weighing the same. Normalised regret: 0 the best "
        "incumbent of the study, 1 the baseline's median after its first trial; a run without a result has the "
        f"worst of its task. Area: mean regret from {100 * FRACTIONS[found.start]:.0f} % of the budget, where every run "
        "has ended a trial, to its end, all shares weighing the same. IQM: mean of the middle half of all runs of all "
        f"tasks. {mean_text(found, regrets)}{about_values(frames)}{left_text(frames, found)}{basis(frames)}"
    )
    return Table("across", "Over all tasks", caption, pd.DataFrame(rows), columns)


def _across_rows(study: Study, found: Across, regrets: Mapping[str, Progress | None]) -> list[dict[str, Any]]:
    """Return the values of every strategy that takes part."""
    frames = study.frames
    k = len(found.strategies)
    rank, val, test = (
        np.full((k, len(FRACTIONS)), math.nan) if progress is None else progress.mean.centre
        for progress in (rank_progress(frames, found, "test"), *regrets.values())
    )
    areas = area_under_curve(val[:, found.start :])
    scored = [values[:, :, -1] for values in found.scaled("test").values()]
    rows = []
    for place, index in enumerate(found.strategies):
        name = frames.strategies[index]
        runs = np.concatenate([1.0 - values[place] for values in scored]) if scored else np.empty(0)
        rows.append(
            {
                "strategy": name,
                "label": frames.label(name),
                "rank": float(rank[place, -1]),
                "regret_val": float(val[place, -1]),
                "regret_test": float(test[place, -1]),
                "area_val": float(areas[place]),
                "iqm": iqm(runs) if len(runs) else math.nan,
            }
        )
    return rows


def _regrets(frames: Frames, found: Across) -> dict[str, Progress | None]:
    """Return the mean regrets by the data that they are measured on."""
    parts: tuple[tuple[str, Part], ...] = (("validation data", "val"), ("test data", "test"))
    return {word: regret_progress(frames, found, part) for word, part in parts}


def _digits(value: float) -> str:
    """Return three decimals."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def reference_table(study: Study) -> Table:
    """Return the points that regrets and targets are measured from; they move when a study grows."""
    frames = study.frames
    rows = []
    for task, curves in study.curves.items():
        if curves.n_trials:
            found = references_of(frames, curves)
            errors = {name: math.nan if found[name] is None else found[name] for name in _ERRORS}
            texts = {
                f"{short}_targets": " ".join(f"{value:.6g}" for value in found[f"{name}_targets"])
                for short, name in (("ert", "running_time"), ("ecdf", "runlength"))
            }
            rows.append({"task": task, **errors, **texts})
    columns = (
        NAMES[0],
        column("Validation error at regret 0", "best_val_error", _four),
        column("at regret 1", "reference_val_error", _four),
        column("Test error at regret 0", "best_test_error", _four),
        column("at regret 1", "reference_test_error", _four),
        column("Targets of the ERT", "ert_targets"),
        column("Targets of the ECDF", "ecdf_targets"),
    )
    caption = (
        "Regret 0 is the lowest error of any incumbent, regret 1 the baseline's median after its first trial; targets "
        "are validation results in what the strategies minimise. All of them come from this study, and move "
        f"when strategies or repetitions are added; `manifest.json` keeps them in full. {basis(frames)}"
    )
    return Table(
        "references", "What regret and targets are measured from", caption, pd.DataFrame(rows), columns
    )


_ERRORS = ("best_val_error", "reference_val_error", "best_test_error", "reference_test_error")


def _four(value: float) -> str:
    """Return four decimals."""
    return f"{value:.4f}" if math.isfinite(value) else "-"

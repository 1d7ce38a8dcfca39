"""The table and the sentences about what changed from one study to another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hpbench.analysis.captions import METHODS, basis, by_points, equals, p_text, percent, points
from hpbench.analysis.comparison import Study
from hpbench.analysis.statistics import Interval
from hpbench.analysis.two_studies import Between, Change, Gate
from hpbench.analysis.writers import NAMES, Column, Table, column
from hpbench.wording import counted

__all__ = ["change_table", "headline", "statements", "two_basis"]

_VERDICTS = {"better": "better", "worse": "worse", "not shown": "no difference shown", "too few": "too few"}


def change_table(between: Between, gate: Gate | None) -> Table:
    """Return the final test accuracy of every task and strategy in both studies, and what changed."""
    rows = [_row(between, change, place, gate) for place, change in enumerate(between.changes)]
    one, other = between.names
    columns = [
        *NAMES,
        Column(f"{one} (%)", lambda row: _accuracy(row, "a")),
        Column(f"{other} (%)", lambda row: _accuracy(row, "b")),
        Column("Change (points)", lambda row: points(row["gain"], row["gain_low"], row["gain_high"])),
        Column("p (Holm)", lambda row: p_text(row["p"], enough=row["enough"])),
        column("P(better)", "improvement", lambda value: "-" if math.isnan(value) else f"{value:.2f}"),
        Column("n", _counts),
        column("Verdict", "verdict", lambda verdict: _VERDICTS[verdict], numeric=False),
    ]
    if gate is not None:
        columns.insert(
            -1,
            Column(f"p (rise > {gate.margin:g})", lambda row: p_text(row["gate_p"], enough=True)),
        )
        columns[-1] = Column("Verdict", _gate_verdict, numeric=False)
    caption = f"{_caption(between)} {METHODS.replace('paired percentile', 'percentile')}"
    if gate is not None:
        caption += (
            f" p of a rise: one-sided test of the same kind that the error rose by more than {gate.margin:g}, "
            "Holm-adjusted over all rows."
        )
    return Table(
        "compare",
        f"Final test {between.a.frames.measure()} in both studies",
        caption,
        pd.DataFrame(rows),
        tuple(columns),
    )


def _caption(between: Between) -> str:
    """Return what is compared, and by which tests."""
    paired = [task for task in between.tasks if task not in between.unpaired]
    about = (
        f"Test {between.a.frames.measure()} of the final incumbent, mean [95 % interval]; change: {between.names[1]} less {between.names[0]}, "
        "positive is better. A failed run counts as worse than every result in the tests and in P(better), and is left "
        "out of the means."
    )
    parts = [about]
    if paired:
        parts.append(
            f"Paired by repetition on {', '.join(paired)}: Wilcoxon's signed-rank test; P(better) over pairs, ties half."
        )
    for task, reason in between.unpaired.items():
        parts.append(
            f"Not paired on {task}: {reason}; Wilcoxon's rank-sum test, Welch's interval, P(better) over all combinations."
        )
    parts.append("p is Holm-adjusted over all rows.")
    return " ".join(parts)


def _row(between: Between, change: Change, place: int, gate: Gate | None) -> dict[str, Any]:
    """Return the values of one change."""
    won, tied, lost = change.wins or (None, None, None)
    return {
        "task": change.task,
        "strategy": change.strategy,
        "label": between.a.frames.label(change.strategy),
        **_ends("a", change.a),
        **_ends("b", change.b),
        "gain": 0.0 - change.rise.centre,
        "gain_low": 0.0 - change.rise.high,
        "gain_high": 0.0 - change.rise.low,
        "p": change.p,
        "improvement": change.improvement,
        "won": won,
        "tied": tied,
        "lost": lost,
        "paired": change.paired,
        "n_a": change.counts[0],
        "n_b": change.counts[1],
        "failed_a": change.failed[0],
        "failed_b": change.failed[1],
        "enough": change.enough,
        "verdict": change.verdict,
        "gate_p": math.nan if gate is None else float(gate.p[place]),
        "gate_broken": gate is not None and place in gate.broken,
    }


def _ends(prefix: str, interval: Interval) -> dict[str, float]:
    """Return an interval of errors as three values."""
    return {
        f"{prefix}_error": interval.centre,
        f"{prefix}_low": interval.low,
        f"{prefix}_high": interval.high,
    }


def _accuracy(row: Mapping[str, Any], side: str) -> str:
    """Return an accuracy with its interval."""
    text = percent(row[f"{side}_error"])
    if math.isfinite(row[f"{side}_low"]):
        text += f" [{percent(row[f'{side}_high'])}, {percent(row[f'{side}_low'])}]"
    return text


def _counts(row: Mapping[str, Any]) -> str:
    """Return the repetitions behind a row, and those that failed."""
    text = f"{row['n_a']}" if row["paired"] else f"{row['n_a']} / {row['n_b']}"
    if row["failed_a"] or row["failed_b"]:
        text += f" ({row['failed_a']} / {row['failed_b']} failed)"
    return text


def _gate_verdict(row: Mapping[str, Any]) -> str:
    """Return the verdict, with the margin's."""
    return "worse by more than the margin" if row["gate_broken"] else _VERDICTS[row["verdict"]]


def headline(between: Between, gate: Gate | None) -> str:
    """Return one sentence: how many changed for the better and the worse, and whether a margin was broken."""
    verdicts = [change.verdict for change in between.changes]
    text = (
        f"{between.names[1]} against {between.names[0]}: of {counted(len(verdicts), 'comparison')} "
        f"{verdicts.count('better')} better, {verdicts.count('worse')} worse, {verdicts.count('not shown')} without a "
        f"difference that can be shown"
    )
    few = verdicts.count("too few")
    text += f", {few} with too few repetitions for a test." if few else "."
    if gate is not None:
        text += (
            f" In {len(gate.broken)} the error rose significantly by more than {gate.margin:g}."
            if gate.broken
            else f" In none the error rose significantly by more than {gate.margin:g}."
        )
    return text


def statements(between: Between, matched: pd.DataFrame, gate: Gate | None) -> list[str]:
    """Return what the comparison shows, in plain words."""
    found = [headline(between, gate)]
    for place, change in enumerate(between.changes):
        broken = gate is not None and place in gate.broken
        if change.verdict in {"better", "worse"}:
            found.append(_shown(between, change))
        if gate is not None and broken:
            found.append(_risen(between, change, gate, float(gate.p[place])))
    same = matched[matched["same"] & matched["ok"]]
    if len(same):
        apart = (same["val_error_a"] - same["val_error_b"]).abs().to_numpy()
        ratio = np.median(same["seconds_a"] / same["seconds_b"].where(same["seconds_b"] > 0))
        found.append(
            f"Of {counted(len(matched), 'trial')} in both, {len(same):,} were proposed the same configuration and "
            f"succeeded in both; {int((apart == 0).sum()):,} of these have the same validation error, and the largest "
            f"difference is {100 * apart.max():.2f} points. The same network took {ratio:.3g} times the seconds in "
            f"{between.names[0]} (median)."
        )
    return [*found, *between.notes]


def _shown(between: Between, change: Change) -> str:
    """Return that one strategy is better or worse in the second study, and by which evidence."""
    gain = Interval(
        -change.rise.centre, -change.rise.high, -change.rise.low, change.rise.n, change.rise.method
    )
    by = by_points(gain, change.effect)
    measure = f" of test {between.a.frames.measure(change.task)}" if by else ""
    return (
        f"{between.a.frames.label(change.strategy)} on {change.task} is {change.verdict} in {between.names[1]}"
        f"{by}{measure} (Holm p {equals(p_text(change.p, enough=True))}, {_about(between, change)})."
    )


def _risen(between: Between, change: Change, gate: Gate, p: float) -> str:
    """Return that the error of one strategy rose by more than the margin."""
    rise = points(change.rise.centre, change.rise.low, change.rise.high)
    mean = f" Its mean rose by {rise} points." if math.isfinite(change.rise.centre) else ""
    return (
        f"{between.a.frames.label(change.strategy)} on {change.task}: the test error rose by significantly more than "
        f"{gate.margin:g} from {between.names[0]} to {between.names[1]} (one-sided Holm p "
        f"{equals(p_text(p, enough=True))}, {_about(between, change)}).{mean}"
    )


def _about(between: Between, change: Change) -> str:
    """Return the probability, n and the failed runs of a change."""
    n = f"n = {change.counts[1]}" if change.paired else f"n = {change.counts[0]} and {change.counts[1]}"
    text = f"{'paired' if change.paired else 'unpaired'} P(better) = {change.improvement:.2f}, {n}"
    if any(change.failed):
        failed = (f"{number} in {name}" for number, name in zip(change.failed, between.names, strict=True))
        text += f", failed runs: {' and '.join(failed)}"
    return text


def two_basis(between: Between) -> list[str]:
    """Return what each study rests on."""
    pairs: tuple[tuple[str, Study], ...] = (
        (between.names[0], between.a),
        (between.names[1], between.b),
    )
    return [f"{name}: {basis(study.frames)}" for name, study in pairs]

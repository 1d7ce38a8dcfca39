"""How sure the differences are, what pairing by seeds saved, and how many repetitions would settle them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hpbench.analysis.captions import basis, p_text
from hpbench.analysis.curves import TaskCurves
from hpbench.analysis.frames import Frames
from hpbench.analysis.statistics import (
    Array,
    bayesian_signed_rank,
    pairing_gain,
    probability_of_improvement,
    repetitions_for_difference,
    sign_flip_test,
    smallest_n,
    smallest_p,
)
from hpbench.analysis.versus import ALPHA, both_ended
from hpbench.analysis.writers import NAMES, Column, Table, column
from hpbench.seeding import bootstrap_stream
from hpbench.study import RunState

if TYPE_CHECKING:
    from hpbench.analysis.comparison import Study

__all__ = ["ROPE", "Evidence", "evidence_of", "evidence_table", "pairing_claim"]

ROPE = 0.005
"""Half a point of accuracy: differences of error within are practically none. Fixed before looking."""

_FEWEST = 5
"""Repetitions below which variances and posteriors say nothing."""


@dataclass(frozen=True)
class Evidence:
    """A strategy against the baseline on one task, by final test error.

    Attributes:
        task: its name.
        strategy: its name.
        improvement: share of repetitions in which the strategy is better, ties half, a failed run the worst.
        better: posterior probability that it is better by more than ``ROPE``; here, too, a failed run is the worst.
        equal: that the two differ by no more than that.
        worse: that it is worse by more than that.
        sign_flip: p of the sign-flip permutation test of the mean difference, not adjusted.
        correlation: between the repetitions of the two; NaN if one never varies.
        saved: the factor by which pairing reduced the variance of the difference; NaN if nothing varies.
        needed: repetitions with which a paired t-test finds a difference of ``ROPE`` in 80 of 100 studies; at
            least those with which the study's own test can.
        n: repetitions in which both have a result.
    """

    task: str
    strategy: str
    improvement: float
    better: float
    equal: float
    worse: float
    sign_flip: float
    correlation: float
    saved: float
    needed: int
    n: int


def evidence_of(frames: Frames, curves: Mapping[str, TaskCurves]) -> Iterator[Evidence]:
    """Yield what is known of every strategy but the baseline, task by task.

    Left out: tasks without an accuracy, and pairs with fewer than 5 repetitions with a result.
    """
    if frames.baseline is None:
        return
    base = frames.strategies.index(frames.baseline)
    for task, found in curves.items():
        if not frames.counted(task):
            continue
        losses = found.final_losses()
        rivals = int((found.state != str(RunState.SKIPPED)).any(axis=1).sum()) - 1
        for place, strategy in enumerate(frames.strategies):
            both = np.isfinite(losses[place]) & np.isfinite(losses[base])
            if place != base and both.sum() >= _FEWEST:
                pair = both_ended(losses[place], losses[base])
                yield _evidence(frames, task, strategy, pair, smallest_n(rivals))


def _evidence(frames: Frames, task: str, strategy: str, losses: tuple[Array, Array], fewest: int) -> Evidence:
    """Return the comparison of two rows of final test errors, infinite where a run failed.

    Args:
        frames: the study.
        task: of the rows.
        strategy: of the first one.
        losses: the strategy's and the baseline's, in the repetitions that have ended in both.
        fewest: repetitions below which the study's own test cannot be significant.
    """
    good = np.isfinite(losses[0]) & np.isfinite(losses[1])
    mine, theirs = losses[0][good], losses[1][good]
    stream = bootstrap_stream(int(frames.info.suite["root_seed"])).child(task, strategy)
    posterior = bayesian_signed_rank(*losses, rope=ROPE, rng=stream.child("posterior").generator())
    gain = pairing_gain(mine, theirs)
    return Evidence(
        task=task,
        strategy=strategy,
        improvement=probability_of_improvement(*losses),
        better=posterior.better,
        equal=posterior.equal,
        worse=posterior.worse,
        sign_flip=sign_flip_test(mine, theirs, rng=stream.child("sign flips").generator()),
        correlation=gain.correlation,
        saved=gain.factor,
        needed=max(fewest, repetitions_for_difference(ROPE, float(np.std(mine - theirs, ddof=1)))),
        n=len(mine),
    )


def evidence_table(study: Study) -> Table:
    """Return, of every strategy against the baseline, probabilities, what pairing saved and what is still needed."""
    frames = study.frames
    rows = [{**asdict(item), "label": frames.label(item.strategy)} for item in study.evidence]
    by = f"{100 * ROPE:g}"
    columns: tuple[Column, ...] = (
        *NAMES,
        column("P(better)", "improvement", _share),
        column(f"P(> {by} better)", "better", _share),
        column(f"P(within {by})", "equal", _share),
        column(f"P(> {by} worse)", "worse", _share),
        Column("p (sign flips)", lambda row: p_text(row["sign_flip"], enough=smallest_p(row["n"]) < ALPHA)),
        column("Correlation", "correlation", _share),
        column("Variance saved", "saved", _factor),
        column(f"n for {by} points", "needed", "{:,}".format),
        column("n", "n"),
    )
    base = "the baseline" if frames.baseline is None else frames.label(frames.baseline)
    caption = (
        f"Final test {frames.measure()} against {base}; n: repetitions in which both have a result, pairs with fewer than "
        f"{_FEWEST} are left out. P(better): share of repetitions won, ties half. The next three: posterior "
        f"probabilities of the Bayesian signed-rank test that the strategy is better or worse by more than {by} points, or "
        f"practically equal; {by} was fixed before any data were seen. In these four a failed run counts as worse than "
        "every result, in the others it is left out. p (sign flips): permutation test of the mean difference, not "
        f"adjusted; 'too few': so few pairs cannot reach p < {ALPHA}. Correlation: of the two strategies' repetitions, "
        "which share splits and seeds; variance saved: that of an unpaired difference over that of the paired one. "
        f"n for {by} points: repetitions with which a paired t-test finds a true difference of {by} points in 80 of 100 "
        "studies, by the deviation seen here, and no fewer than those with which Wilcoxon's test can be significant "
        f"after Holm. {basis(frames)}"
    )
    return Table("evidence", f"How sure the differences to {base} are", caption, pd.DataFrame(rows), columns)


def pairing_claim(study: Study) -> str:
    """Return what pairing saved and how many repetitions a small difference would need; empty without pairs."""
    found = study.evidence
    known = [item for item in found if not math.isnan(item.correlation)]
    if not known or study.frames.baseline is None:
        return ""
    correlation = float(np.median([item.correlation for item in known]))
    saved = float(np.median([item.saved for item in known]))
    needed = sorted(item.needed for item in found)
    span = f"{needed[0]:,} repetitions"
    if needed[0] != needed[-1]:
        span = f"{needed[0]:,} to {needed[-1]:,} repetitions, by task and strategy"
    gain = (
        f", so an unpaired comparison would need {saved:.1f} times the repetitions"
        if math.isfinite(saved)
        else ", and their differences do not vary"
    )
    return (
        f"Repetitions share splits and seeds: between a strategy and {study.frames.label(study.frames.baseline)} their "
        f"final test errors correlate by {correlation:.2f} (median){gain}. To find a difference of {100 * ROPE:g} points would take {span}."
    )


def _share(value: float) -> str:
    """Return two decimals, or a dash."""
    return "-" if math.isnan(value) else f"{value:.2f}"


def _factor(value: float) -> str:
    """Return a factor with one decimal, or a dash."""
    return f"\u00d7 {value:.1f}" if math.isfinite(value) else "-"

"""What the incumbents reach when they are trained again under fresh seeds: what a user would ship."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from hpbench.study import StudyInfo
from hpbench.trial import Retraining, Status

if TYPE_CHECKING:
    from hpbench.analysis.frames import Frames

__all__ = ["Retrained", "retrained_caption", "retrained_of", "retrainings_frame"]


class Retrained(NamedTuple):
    """The retrainings of one strategy on one task.

    Attributes:
        error: mean test error: over the seeds of each run, then over runs; NaN without any.
        deviation: standard deviation between the seeds of a run, pooled over runs; NaN below two seeds.
        n: runs with a retraining that succeeded.
        failed: retrainings that did not.
    """

    error: float
    deviation: float
    n: int
    failed: int


def retrainings_frame(items: Iterable[Retraining], info: StudyInfo) -> pd.DataFrame:
    """Return one row a retraining of an incumbent."""
    found = list(items)
    return pd.DataFrame(
        {
            "task": [item.run.task for item in found],
            "strategy": [item.run.strategy for item in found],
            "repetition": np.array([item.run.repetition for item in found], dtype=np.int64),
            "number": np.array([item.number for item in found], dtype=np.int64),
            "status": [str(item.status) for item in found],
            "test_error": np.array([_test_error(item, info) for item in found], dtype=np.float64),
        }
    )


def _test_error(item: Retraining, info: StudyInfo) -> float:
    """Return the error of a retraining on the test part, NaN for one that failed."""
    if item.status is not Status.OK:
        return math.nan
    if item.test_correct is not None and item.test_total:
        return (item.test_total - item.test_correct) / item.test_total
    counted = info.tasks.get(item.run.task, {}).get("target_kind") != "regression"
    return math.nan if counted or item.test_loss is None else item.test_loss


def retrained_of(frames: Frames, task: str, strategy: str) -> Retrained:
    """Return what the retrainings of one strategy on one task gave."""
    table = frames.retrained
    if table.empty:
        return Retrained(math.nan, math.nan, 0, 0)
    chosen = table[(table["task"] == task) & (table["strategy"] == strategy)]
    failed = int(chosen["test_error"].isna().sum())
    runs = chosen.dropna(subset="test_error").groupby("repetition")["test_error"]
    if not len(runs):
        return Retrained(math.nan, math.nan, 0, failed)
    variances = runs.var(ddof=1).dropna()
    deviation = math.sqrt(float(variances.mean())) if len(variances) else math.nan
    return Retrained(float(np.mean(runs.mean())), deviation, len(runs), failed)


def retrained_caption(frames: Frames) -> str:
    """Return what the column of retrainings holds, how many are missing and failed; nothing without ``final``."""
    wanted = (frames.info.suite.get("final") or {}).get("retrain")
    if not wanted:
        return ""
    table = frames.retrained
    failed = 0 if table.empty else int(table["test_error"].isna().sum())
    note = f" {failed} retrainings failed and are left out." if failed else ""
    return (
        f"Retrained: the incumbent's configuration trained again under {wanted} fresh seeds on training and "
        f"validation part and tested, mean over seeds and repetitions \u00b1 standard deviation between the seeds of a "
        f"run, {len(table)} retrainings.{note} "
    )

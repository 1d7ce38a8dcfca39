from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpbench.analysis import load_frames
from hpbench.analysis.across import (
    FRACTIONS,
    across_tasks,
    rank_progress,
    regret_progress,
    regret_scale,
)
from hpbench.analysis.claims import across_claim
from hpbench.analysis.comparison import Study, study_of

MakeStudy = Callable[..., Path]


def study(make_study: MakeStudy, **options: Any) -> Study:
    return study_of(load_frames(make_study(**options)))


def test_regret_is_0_at_the_best_seen_and_about_1_after_randoms_first_trial(make_study: MakeStudy) -> None:
    made = study(make_study, repetitions=7, failure_rate=0.0)
    found = across_tasks(made)
    lowest = min(float(values.min()) for values in found.regrets["val"])
    assert lowest == 0.0
    random = made.frames.strategies.index("random")
    for values in found.regrets["val"]:
        first = values[random, :, 4]  # 5 % of 20 trials
        assert np.median(first) == pytest.approx(1.0)
    progress = regret_progress(made.frames, found, "val")
    assert progress
    mean = progress.mean
    assert np.all(np.diff(mean.centre, axis=1) <= 1e-12)  # incumbents never get worse on validation
    assert np.all(mean.low <= mean.centre + 1e-12)
    assert np.all(mean.centre <= mean.high + 1e-12)
    assert progress.single.mean(axis=1) == pytest.approx(mean.centre[:, -1])


def test_ranks_sum_to_the_same_at_every_time(make_study: MakeStudy) -> None:
    made = study(make_study, repetitions=5)
    progress = rank_progress(made.frames, across_tasks(made), "test")
    assert progress
    centre = progress.mean.centre
    assert centre.sum(axis=0) == pytest.approx(np.full(100, 10.0))
    assert centre[:, 0].tolist() == [2.5] * 4  # before the first trial all are alike


def test_the_interval_is_the_same_on_every_run(make_study: MakeStudy) -> None:
    made = study(make_study, repetitions=10, tasks=("digits-mlp",))
    first, second = (rank_progress(made.frames, across_tasks(made), "val") for _ in range(2))
    assert first
    assert second
    assert first.mean.method == "bootstrap"
    assert np.array_equal(first.mean.low, second.mean.low)


def test_everything_awkward_is_counted_not_dropped(
    make_study: MakeStudy, awkward_options: dict[str, Any]
) -> None:
    made = study(make_study, **awkward_options)
    found = across_tasks(made)
    assert found.left_out == ("skopt-gp",)
    assert found.tasks == made.frames.tasks
    shapes = [values.shape[:2] for values in found.errors["val"]]
    assert shapes == [(3, 10), (3, 9), (3, 9)]  # a running and a pending repetition are not complete
    crashed = found.errors["val"][0][2, 3]
    assert np.isnan(crashed[-1])
    assert np.isfinite(found.regrets["val"][0]).all()
    worst = float(found.regrets["val"][0].max())
    assert found.regrets["val"][0][2, 3, -1] == worst


def test_an_empty_study_has_nothing_across_tasks(make_study: MakeStudy) -> None:
    made = study(make_study, trials=0, repetitions=2)
    assert not across_tasks(made).possible
    assert across_claim(made) == ""
    assert math.isnan(regret_scale(made.frames, made.curves["wine-mlp"], "val")[0])


@pytest.mark.parametrize(("trials", "first"), [(20, 0.05), (3, 0.34), (100, 0.01), (1, 1.0)])
def test_shares_count_from_where_every_run_has_ended_a_trial(
    make_study: MakeStudy, trials: int, first: float
) -> None:
    made = study(make_study, repetitions=2, trials=trials, failure_rate=0.0)
    assert FRACTIONS[across_tasks(made).start] == first


def test_a_budget_in_seconds_is_shared_out_in_seconds(make_study: MakeStudy) -> None:
    made = study(make_study, repetitions=2, tasks=("digits-mlp",), failure_rate=0.0)
    curves = made.curves["digits-mlp"]
    end = float(curves.elapsed[..., -1].max())
    made.frames.info.suite["budget"] = {"trials": None, "epochs": None, "seconds": end}
    errors = across_tasks(made).errors["val"][0]
    assert errors[..., -1] == pytest.approx(curves.final_error("val"))
    assert across_tasks(made).start == math.ceil(100 * float(curves.elapsed[..., 0].max()) / end) - 1
    early = errors[1, 0, 0]
    assert math.isnan(early) == (curves.elapsed[1, 0, 0] > end / 100)

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpbench.analysis import load_frames
from hpbench.analysis.canvas import drawing
from hpbench.analysis.comparison import Study, study_of
from hpbench.analysis.figures import bands_of, best_figure
from hpbench.analysis.standing import race_figure
from hpbench.analysis.style import REFERENCE
from hpbench.analysis.targets import pace_of, race_of, random_name, random_twice, targets_of
from hpbench.study import RunState

MakeStudy = Callable[..., Path]


@pytest.fixture
def made(make_study: MakeStudy) -> Study:
    return study_of(
        load_frames(make_study(repetitions=6, tasks=("digits-mlp", "wine-mlp"), failure_rate=0.0))
    )


def test_targets_fall_and_random_reaches_each_with_half_its_runs(made: Study) -> None:
    curves = made.curves["digits-mlp"]
    targets = targets_of(made.frames, curves)
    assert np.all(np.diff(targets) < 0)
    place = made.frames.strategies.index("random")
    reached = (np.nanmin(curves.objective[place], axis=1)[:, None] <= targets).mean(axis=0)
    assert np.all(reached >= 0.5)


def test_the_share_of_targets_rises_and_twice_is_random_at_double_the_trials(made: Study) -> None:
    race = race_of(made)
    assert race.n_tasks == 2
    assert all(np.all(np.diff(share) >= 0) and share[-1] <= 1 for share in race.reached.values())
    assert race.twice is not None
    assert race.twice.tolist() == race.reached["random"][1::2].tolist()
    assert len(race.twice) == 10


def test_random_at_twice_the_budget_ends_where_its_trials_are_used_up(made: Study) -> None:
    twice = random_twice(made, "digits-mlp")
    assert twice is not None
    assert len(twice) == 10
    curves = made.curves["digits-mlp"]
    place = made.frames.strategies.index("random")
    assert twice[-1] == pytest.approx(np.median(curves.objective[place].min(axis=1)))
    assert np.all(np.diff(twice) <= 1e-12)


def test_captions_say_where_the_reference_ends(made: Study) -> None:
    with drawing():
        race = race_figure(made)
        best = best_figure(made, bands_of(made, "trials", "val"), "trials", "val", "accuracy")
        for drawn, text in ((race, "ends at half of its trials"), (best, "it ends at t = T / 2")):
            assert text in drawn.caption
            for panel in drawn.figure.axes:
                (line,) = [line for line in panel.lines if line.get_color() == REFERENCE]
                assert np.max(np.asarray(line.get_xdata())) == 10


def test_without_random_search_there_is_no_such_reference(make_study: MakeStudy) -> None:
    study = study_of(
        load_frames(make_study(repetitions=2, strategies=("grid", "genetic"), tasks=("wine-mlp",)))
    )
    assert random_name(study.frames) is None
    assert random_twice(study, "wine-mlp") is None
    assert race_of(study).twice is None
    assert math.isnan(pace_of(study, "wine-mlp", 1).speed_up)
    with drawing():
        caption = race_figure(study).caption
    assert "Violet" not in caption
    assert "the medians that grid reached" in caption


def test_without_a_run_that_has_ended_the_panel_says_so(make_study: MakeStudy) -> None:
    states = {("wine-mlp", "grid", r): RunState.RUNNING for r in range(2)}
    study = study_of(
        load_frames(make_study(repetitions=2, strategies=("grid",), tasks=("wine-mlp",), states=states))
    )
    with drawing():
        (panel,) = race_figure(study).figure.axes
    assert [text.get_text() for text in panel.texts] == ["no results"]


def test_expected_running_times_count_what_was_spent(made: Study) -> None:
    pace = pace_of(made, "digits-mlp", made.frames.strategies.index("skopt-gp"))
    times = [time for time, _ in pace.ert]
    successes = [count for _, count in pace.ert]
    assert times == sorted(times)
    assert successes == sorted(successes, reverse=True)
    assert pace.runs == 6


def test_a_faster_strategy_has_a_speed_up_above_one_and_a_slower_one_below(make_study: MakeStudy) -> None:
    gains = {"genetic": 0.05, "grid": -0.2}
    options = {"repetitions": 10, "tasks": ("digits-mlp",), "failure_rate": 0.0, "gains": gains}
    study = study_of(load_frames(make_study(**options)))
    names = study.frames.strategies
    fast, slow = (pace_of(study, "digits-mlp", names.index(name)) for name in ("genetic", "grid"))
    assert fast.speed_up > 1.0
    assert slow.speed_up < 1.0
    assert math.isinf(slow.own_trials)


@pytest.mark.parametrize("crashed", ["random", "genetic"])
def test_there_is_no_speed_up_of_or_over_a_strategy_with_a_failed_run(
    make_study: MakeStudy, crashed: str
) -> None:
    options = {"repetitions": 10, "tasks": ("digits-mlp",), "failure_rate": 0.0}
    states = {("digits-mlp", crashed, 0): RunState.FAILED}
    whole, study = (study_of(load_frames(make_study(**options, states=found))) for found in ({}, states))
    for name in ("grid", "skopt-gp", "genetic"):
        place = study.frames.strategies.index(name)
        assert math.isfinite(pace_of(whole, "digits-mlp", place).speed_up)
        known = math.isfinite(pace_of(study, "digits-mlp", place).speed_up)
        assert known == (crashed == "genetic" != name)
    # with twice the trials the failed run is the worst of ten in the median, not left out of it
    twice, before = random_twice(study, "digits-mlp"), random_twice(whole, "digits-mlp")
    assert twice is not None
    assert before is not None
    assert np.all(twice >= before)
    assert np.any(twice > before) == (crashed == "random")


def test_a_run_without_a_result_reaches_nothing(make_study: MakeStudy) -> None:
    options = {"repetitions": 2, "tasks": ("wine-mlp",), "trials": 3, "strategies": ("random", "grid")}
    study = study_of(load_frames(make_study(failure_rate=1.0, **options)))
    assert len(targets_of(study.frames, study.curves["wine-mlp"])) == 0
    assert race_of(study).n_tasks == 0
    assert pace_of(study, "wine-mlp", 1).ert == ()

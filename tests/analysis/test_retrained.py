"""What the report says of incumbents that were trained again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpbench.analysis.comparison import study_of
from hpbench.analysis.frames import Frames, load_frames
from hpbench.analysis.retrained import retrained_caption, retrained_of, retrainings_frame
from hpbench.analysis.tables import final_table
from hpbench.analysis.writers import to_markdown
from hpbench.trial import Retraining, RunKey, Status

MakeStudy = Callable[..., Path]
RIGHT = {0: (90, 94, 98), 1: (80, 80, 86)}
"""Repetition → correct test examples of a hundred, seed by seed."""


def retraining(repetition: int, number: int, correct: int | None) -> Retraining:
    run = RunKey("digits-mlp", "random", repetition)
    if correct is None:
        return Retraining(run, number, 3, 10, Status.DIVERGED, message="the loss was not finite")
    return Retraining(run, number, 3, 10, Status.OK, correct, 100, 0.5)


def frames_with(make_study: MakeStudy, items: list[Retraining], **about: Any) -> Frames:
    frames = load_frames(make_study(tasks=("digits-mlp",), strategies=("random", "genetic"), repetitions=2))
    info = replace(
        frames.info,
        suite={**frames.info.suite, "final": {"retrain": 3}},
        tasks={name: {**task, **about} for name, task in frames.info.tasks.items()},
    )
    return replace(frames, info=info, retrained=retrainings_frame(items, info))


def all_right() -> list[Retraining]:
    return [retraining(rep, seed, right) for rep, found in RIGHT.items() for seed, right in enumerate(found)]


def test_the_mean_is_over_runs_and_the_deviation_between_seeds(make_study: MakeStudy) -> None:
    found = retrained_of(frames_with(make_study, all_right()), "digits-mlp", "random")
    assert found.error == pytest.approx(1 - (0.94 + 0.82) / 2)
    assert found.deviation == pytest.approx(math.sqrt((np.var([90, 94, 98], ddof=1) + 12) / 2) / 100)
    assert (found.n, found.failed) == (2, 0)


def test_failed_ones_are_left_out_and_counted(make_study: MakeStudy) -> None:
    items = [retraining(0, 0, 90), retraining(0, 1, None), retraining(1, 0, None), retraining(1, 1, 70)]
    frames = frames_with(make_study, items)
    found = retrained_of(frames, "digits-mlp", "random")
    assert (found.error, found.n, found.failed) == (pytest.approx(0.2), 2, 2)
    assert math.isnan(found.deviation)
    assert "4 retrainings. 2 retrainings failed and are left out." in retrained_caption(frames)
    nothing = retrained_of(frames, "digits-mlp", "genetic")
    assert (nothing.n, nothing.failed) == (0, 0)
    assert math.isnan(nothing.error)


def test_the_error_of_a_regression_is_its_loss(make_study: MakeStudy) -> None:
    item = replace(retraining(0, 0, 1), test_correct=None, test_total=None, test_loss=1.25)
    frames = frames_with(make_study, [item], target_kind="regression")
    assert retrained_of(frames, "digits-mlp", "random").error == 1.25


def test_the_table_shows_them_beside_the_selected_test_score(make_study: MakeStudy) -> None:
    text = to_markdown(final_table(study_of(frames_with(make_study, all_right()))))
    assert "| Test accuracy (%) | Retrained (%) | Validation accuracy (%) |" in text
    assert "88.00 ± 3.74" in text
    assert "trained again under 3 fresh seeds on training and validation part" in text


def test_without_final_there_is_no_such_column(make_study: MakeStudy) -> None:
    frames = load_frames(make_study(tasks=("digits-mlp",), strategies=("random",), repetitions=2))
    assert frames.retrained.empty
    assert "etrained" not in to_markdown(final_table(study_of(frames)))

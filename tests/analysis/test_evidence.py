from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpbench.analysis.claims import claims
from hpbench.analysis.comparison import Study, study_of
from hpbench.analysis.evidence import ROPE, evidence_table, pairing_claim
from hpbench.analysis.frames import Frames, load_frames
from hpbench.analysis.statistics import holm, repetitions_for_difference, wilcoxon

MakeStudy = Callable[..., Path]


def made(make_study: MakeStudy, **options: Any) -> Study:
    return study_of(load_frames(make_study(**options)))


def errors(study: Study, task: str, strategy: str) -> np.ndarray:
    return study.curves[task].final_error("test")[study.frames.strategies.index(strategy)]


def test_every_rival_of_the_baseline_is_compared_in_the_repetitions_that_both_have(
    make_study: MakeStudy,
) -> None:
    study = made(make_study)
    assert study.frames.baseline == "random"
    assert {(item.task, item.strategy) for item in study.evidence} == {
        (task, name) for task in study.frames.tasks for name in ("grid", "skopt-gp", "genetic")
    }
    for item in study.evidence:
        a, b = (errors(study, item.task, name) for name in (item.strategy, "random"))
        assert item.n == 10
        assert item.correlation == pytest.approx(np.corrcoef(a, b)[0, 1])
        apart, together = np.var(a, ddof=1) + np.var(b, ddof=1), np.var(a - b, ddof=1)
        assert item.saved == pytest.approx(apart / together)
        assert item.improvement == np.mean(a < b) + 0.5 * np.mean(a == b)
        assert item.better + item.equal + item.worse == pytest.approx(1.0)
        assert item.needed == max(7, repetitions_for_difference(ROPE, float(np.std(a - b, ddof=1))))


def test_a_strategy_that_is_much_worse_is_surely_worse(make_study: MakeStudy) -> None:
    study = made(make_study, worse={"grid": 0.2}, failure_rate=0.0)
    for item in study.evidence:
        if item.strategy == "grid":
            assert item.worse > 0.99
            assert item.improvement == 0.0
            assert item.sign_flip == 2 / 2**10  # the smallest p of ten pairs


def test_the_same_results_under_another_name_are_practically_equal(make_study: MakeStudy) -> None:
    study = made(make_study, gains={}, failure_rate=0.0)
    base = study.curves["wine-mlp"]
    for part in base.errors.values():
        part[:] = part[:1]
    base.objective[:] = base.objective[:1]
    base.index[:] = base.index[:1]
    same = [item for item in study.evidence if item.task == "wine-mlp"]
    for item in same:
        assert (item.improvement, item.sign_flip, item.needed) == (
            0.5,
            1.0,
            7,
        )  # with fewer no test is significant
        assert item.equal > 0.99
        assert item.correlation == pytest.approx(1.0)
        assert math.isinf(item.saved)
    claim = pairing_claim(replace(study, frames=replace(study.frames), curves={"wine-mlp": base}))
    assert "and their differences do not vary. To find" in claim
    assert "inf" not in claim


def test_too_few_repetitions_and_a_strategy_alone_have_no_evidence(make_study: MakeStudy) -> None:
    for options in ({"repetitions": 4}, {"strategies": ("grid",)}):
        study = made(make_study, **options)
        assert study.evidence == ()
        assert pairing_claim(study) == ""
        assert evidence_table(study).values.empty


def test_the_claims_say_what_pairing_saved(make_study: MakeStudy) -> None:
    study = made(make_study)
    (claim,) = [text for text in claims(study) if text.startswith("Repetitions share splits and seeds")]
    correlation = np.median([item.correlation for item in study.evidence])
    saved = np.median([item.saved for item in study.evidence])
    assert f"correlate by {correlation:.2f} (median)" in claim
    assert f"would need {saved:.1f} times the repetitions" in claim
    assert f"{max(item.needed for item in study.evidence):,} repetitions" in claim


def test_sign_flips_and_wilcoxon_agree_on_what_is_obvious(make_study: MakeStudy) -> None:
    study = made(make_study, worse={"genetic": 0.2}, failure_rate=0.0)
    for task in study.frames.tasks:
        raw = [
            wilcoxon(errors(study, task, name), errors(study, task, "random")) for name in ("grid", "genetic")
        ]
        flips = {item.strategy: item.sign_flip for item in study.evidence if item.task == task}
        assert (holm(np.array(raw))[1] < 0.05) == (2 * flips["genetic"] < 0.05)


def test_five_pairs_are_too_few_for_sign_flips(make_study: MakeStudy) -> None:
    for repetitions, few in ((5, True), (6, False)):
        table = evidence_table(
            made(make_study, repetitions=repetitions, tasks=("wine-mlp",), failure_rate=0.0)
        )
        place = [column.header for column in table.columns].index("p (sign flips)")
        assert {row[place].text == "too few" for row in table.cells()} == {few}


def test_failed_runs_count_in_probabilities_and_not_in_means(study_with: Callable[..., Frames]) -> None:
    base = np.linspace(0.1, 0.2, 10)
    mine = np.where(np.arange(10) < 4, math.inf, base - 0.02)
    (item,) = study_of(study_with({"wine-mlp": np.stack([base, mine])})).evidence
    assert (item.improvement, item.n) == (0.6, 6)
    assert item.better < 0.9
    assert item.sign_flip == 2 / 2**6

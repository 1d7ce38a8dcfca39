from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpbench.analysis.agreement import agreement_table, architectures, matched_trials, ratio_table
from hpbench.analysis.frames import Frames, load_frames
from hpbench.analysis.statistics import holm, wilcoxon
from hpbench.analysis.two_report import TwoReport, compare_results, write_comparison
from hpbench.analysis.two_studies import Between, Change, compare_studies, gate_of
from hpbench.analysis.two_tables import statements
from hpbench.errors import UsageError
from hpbench.study import RunState

MakeStudy = Callable[..., Path]
StudyWith = Callable[..., Frames]
SPACE = (
    {"name": "layers", "kind": "integer", "low": 1, "high": 3, "log": False},
    {"name": "width", "kind": "integer", "low": 16, "high": 128, "log": True},
    {"name": "batch_size", "kind": "categorical", "choices": [16, 32], "ordered": True},
    {"name": "rate", "kind": "float", "low": 1e-4, "high": 1e-1, "log": True},
)
ONE_TASK: dict[str, Any] = {"tasks": ("wine-mlp",), "space": SPACE}


def change(between: Between, task: str, strategy: str) -> Change:
    return next(item for item in between.changes if (item.task, item.strategy) == (task, strategy))


def compared(one: Path, other: Path, margin: float | None = None) -> TwoReport:
    return compare_results(one, other, margin=margin)


def test_a_study_equals_itself(make_study: MakeStudy) -> None:
    report = compared(make_study(space=SPACE), make_study(space=SPACE), 0.0)
    for item in report.between.changes:
        assert item.p == 1.0
        assert item.improvement == 0.5
        assert item.rise.centre == 0.0
        assert item.wins == (0, 10, 0)
        assert item.paired
        comparison = report.between.a.comparisons[item.task]
        (cell,) = (cell for cell in comparison.cells if cell.strategy == item.strategy)
        assert item.a == item.b == cell.test  # the interval that the study's own report shows
    assert report.gate is not None
    assert report.gate.broken == ()
    assert report.between.notes == ()
    matched = report.matched
    assert matched["same"].all()
    assert (matched["val_error_a"].fillna(-1) == matched["val_error_b"].fillna(-1)).all()


def test_a_strategy_that_got_worse_is_found_and_paired(make_study: MakeStudy) -> None:
    report = compared(make_study(), make_study(worse={"grid": 0.05}, name="later"), 0.01)
    between, gate = report.between, report.gate
    assert gate is not None
    assert {between.changes[place].strategy for place in gate.broken} == {"grid"}
    found = change(between, "wine-mlp", "grid")
    assert found.verdict == "worse"
    assert found.rise.centre == pytest.approx(0.05, abs=0.02)
    a, b = (study.curves["wine-mlp"].final_error("test")[1] for study in (between.a, between.b))
    raw = [
        wilcoxon(
            *(
                study.curves[item.task].final_error("test")[study.frames.strategies.index(item.strategy)]
                for study in (between.b, between.a)
            )
        )
        for item in between.changes
    ]
    place = between.changes.index(found)
    assert found.p == pytest.approx(holm(np.array(raw))[place])
    assert found.improvement == np.mean(b < a) + 0.5 * np.mean(b == a)
    assert any("Grid" in text or "grid on wine-mlp is worse" in text for text in report.statements)


def test_a_rise_within_the_margin_is_allowed(make_study: MakeStudy) -> None:
    one, other = make_study(), make_study(worse={"grid": 0.05})
    within, beyond = compared(one, other, 0.2).gate, compared(one, other, 0.0).gate
    assert within is not None
    assert beyond is not None
    assert within.broken == ()
    assert len(beyond.broken) == 3


@pytest.mark.parametrize("options", [{}, {"root_seed": 8}])
def test_a_rise_of_just_the_margin_is_allowed(study_with: StudyWith, options: dict[str, Any]) -> None:
    wrong = np.arange(1.0, 13.0)[:, None] + np.zeros(10)
    for first in wrong:
        one = study_with({"wine-mlp": first[None] / 100})
        other = study_with({"wine-mlp": (first[None] + 1) / 100}, **options)
        between = compare_studies(one, other, ("A", "B"))
        assert gate_of(between, 0.01).broken == ()
        assert gate_of(between, 0.0099).broken == (0,)


def test_getting_better_breaks_nothing(make_study: MakeStudy) -> None:
    report = compared(make_study(worse={"grid": 0.05}), make_study(), 0.0)
    assert report.gate is not None
    assert report.gate.broken == ()
    assert change(report.between, "wine-mlp", "grid").verdict == "better"


def test_other_seeds_are_not_paired_and_it_is_said(make_study: MakeStudy) -> None:
    report = compared(make_study(**ONE_TASK), make_study(**ONE_TASK, root_seed=8, repetitions=12))
    between = report.between
    assert between.unpaired == {"wine-mlp": "the studies differ in root_seed"}
    found = change(between, "wine-mlp", "random")
    assert found.counts == (10, 12)
    assert found.wins is None
    assert not found.paired
    assert "Not paired on wine-mlp: the studies differ in root_seed" in report.changes.caption
    assert report.matched.empty
    assert [table.name for table in report.tables] == ["compare"]


def test_welchs_interval_is_scipys(make_study: MakeStudy) -> None:
    from scipy import stats  # noqa: PLC0415

    between = compared(
        make_study(**ONE_TASK), make_study(**ONE_TASK, root_seed=8, repetitions=12, gains={})
    ).between
    found = change(between, "wine-mlp", "skopt-gp")
    a, b = (study.curves["wine-mlp"].final_error("test")[2] for study in (between.a, between.b))
    expected = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert (found.rise.low, found.rise.high) == pytest.approx((expected.low, expected.high))


def test_a_version_that_crashes_does_not_pass(make_study: MakeStudy) -> None:
    states = {("wine-mlp", "grid", r): RunState.FAILED for r in range(10)}
    report = compared(make_study(**ONE_TASK), make_study(**ONE_TASK, states=states), 0.5)
    found = change(report.between, "wine-mlp", "grid")
    assert found.failed == (0, 10)
    assert found.verdict == "worse"
    assert math.isnan(found.rise.centre)
    assert report.gate is not None
    assert [report.between.changes[place].strategy for place in report.gate.broken] == ["grid"]
    again = compared(make_study(**ONE_TASK, states=states), make_study(**ONE_TASK, states=states), 0.0)
    assert change(again.between, "wine-mlp", "grid").p == 1.0


def test_runs_that_have_not_ended_are_left_out(make_study: MakeStudy) -> None:
    states = {("wine-mlp", "grid", r): RunState.RUNNING for r in range(4)}
    between = compared(make_study(**ONE_TASK), make_study(**ONE_TASK, states=states)).between
    assert change(between, "wine-mlp", "grid").counts == (6, 6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"tasks": ("iris-mlp",)},
            "must share a task .* digits-mlp, digits-cnn, wine-mlp; the second has iris-mlp",
        ),
        ({"strategies": ("sobol",)}, "must share a strategy .* has sobol"),
        ({"trials": 0, "states": {}}, "none of them has a run that has ended in both"),
    ],
)
def test_studies_with_nothing_in_common_are_refused(
    make_study: MakeStudy, options: dict[str, Any], message: str
) -> None:
    if "trials" in options:
        plan = [
            (t, s, r)
            for t in ("digits-mlp", "digits-cnn", "wine-mlp")
            for s in ("random", "grid", "skopt-gp", "genetic")
            for r in range(10)
        ]
        options["states"] = dict.fromkeys(plan, RunState.PENDING)
    with pytest.raises(UsageError, match=message):
        compared(make_study(), make_study(**options))


def test_a_gate_that_could_never_close_is_refused(make_study: MakeStudy) -> None:
    one, other = make_study(repetitions=3), make_study(repetitions=3, worse={"grid": 0.3})
    with pytest.raises(UsageError, match="12 comparisons of at most 3 repetitions each cannot reach"):
        compared(one, other, 0.01)
    assert {item.verdict for item in compared(one, other).between.changes} == {"too few"}
    with pytest.raises(UsageError, match=r"margin must lie in \[0, 1\)"):
        compared(one, other, 1.0)


def test_a_cell_that_vanished_is_noted_and_does_not_pass(make_study: MakeStudy) -> None:
    cell = [("wine-mlp", "grid", r) for r in range(10)]
    one, other = make_study(**ONE_TASK), make_study(**ONE_TASK, states=dict.fromkeys(cell, RunState.RUNNING))
    note = "Not compared: grid on wine-mlp, for no run has ended in study-1."
    for pair, name in (((one, other), "study-1"), ((other, one), "study-1")):
        report = compared(*pair)
        assert len(report.between.changes) == 3
        assert note.replace("study-1", name) in report.statements
        with pytest.raises(UsageError, match=rf"grid on wine-mlp \(no run has ended in {name}\)"):
            compared(*pair, 0.01)


def test_cells_that_cannot_be_tested_are_refused_by_the_gate_alone(make_study: MakeStudy) -> None:
    halves = [
        make_study(
            **ONE_TASK, states={("wine-mlp", "grid", r): RunState.PENDING for r in range(10) if r % 2 == side}
        )
        for side in (0, 1)
    ]
    assert "no repetition has ended in both" in " ".join(compared(*halves).statements)
    with pytest.raises(UsageError, match="no repetition has ended in both"):
        compared(*halves, 0.01)
    few = make_study(**ONE_TASK, states={("wine-mlp", "grid", r): RunState.RUNNING for r in range(7)})
    with pytest.raises(UsageError, match="of grid on wine-mlp: 4 comparisons of at most 3 repetitions each"):
        compared(make_study(**ONE_TASK), few, 0.01)
    plain, skipped = make_study(**ONE_TASK), make_study(**ONE_TASK, skipped=[("wine-mlp", "grid")])
    with pytest.raises(UsageError, match="it was skipped in"):
        compared(plain, skipped, 0.01)
    again = compared(skipped, make_study(**ONE_TASK, skipped=[("wine-mlp", "grid")]), 0.01)
    assert again.gate is not None  # what neither study can run is not missing
    assert "Not compared: grid on wine-mlp, for it was skipped in" in " ".join(again.statements)


def test_a_rise_that_the_one_sided_test_alone_shows_is_told_as_one(study_with: StudyWith) -> None:
    tasks = [f"t{place}" for place in range(12)]
    rise = np.arange(1, 11) / 359 * np.where(np.arange(10) == 1, -1, 1)
    same = {task: np.full((1, 10), 0.05) for task in tasks}
    between = compare_studies(study_with(same), study_with(same | {"t0": same["t0"] + rise}), ("A", "B"))
    gate = gate_of(between, 0.0)
    (found,) = (between.changes[place] for place in gate.broken)
    assert found.verdict == "not shown"
    (text,) = (line for line in statements(between, matched_trials(between), gate) if "on t0" in line)
    assert text.startswith(
        "random on t0: the test error rose by significantly more than 0 from A to B (one-sided Holm p = .035, "
        "paired P(better) = 0.10, n = 10). Its mean rose by +1.42 ["
    )


def test_the_test_and_not_the_share_of_pairs_says_who_is_better(study_with: StudyWith) -> None:
    large, small = np.linspace(0.05, 0.08, 20), -np.linspace(0.001, 0.01, 20)
    base = np.full((1, 40), 0.2)
    between = compare_studies(
        study_with({"wine-mlp": base}),
        study_with({"wine-mlp": base - np.concatenate([large, small])}),
        ("A", "B"),
    )
    found = change(between, "wine-mlp", "random")
    assert (found.improvement, found.verdict) == (0.5, "better")
    assert "random on wine-mlp is better in B by +2.9" in " ".join(
        statements(between, matched_trials(between), None)
    )


@pytest.mark.parametrize("options", [{}, {"root_seed": 8}])
def test_a_failed_regression_is_worse_than_any_error(study_with: StudyWith, options: dict[str, Any]) -> None:
    worked = study_with({"friedman1-mlp": np.linspace(10, 19, 10)[None]})  # 1 - R^2
    failed = study_with({"friedman1-mlp": np.full((1, 10), math.inf)}, **options)
    between = compare_studies(worked, failed, ("A", "B"))
    assert between.changes[0].verdict == "worse"
    assert gate_of(between, 0.5).broken == (0,)
    text = " ".join(statements(between, matched_trials(between), None))
    assert "random on friedman1-mlp is worse in B (Holm p " in text
    assert "failed runs: 0 in A and 10 in B)." in text
    back = compare_studies(failed, worked, ("A", "B"))
    assert back.changes[0].improvement == 1.0
    assert gate_of(back, 0.0).broken == ()


def test_what_differs_is_noted(make_study: MakeStudy) -> None:
    one = make_study(strategies=("random", "grid"))
    other = make_study(strategies=("random", "genetic"), device="cuda", trials=10)
    notes = " ".join(compared(one, other).between.notes)
    assert "Device: cpu in study-0, cuda in study-1." in notes
    assert "Budget of a run: 20 trials in study-0, 10 trials in study-1." in notes
    assert "Left out, for only study-0 has them: grid." in notes
    assert "Left out, for only study-1 has them: genetic." in notes


def test_agreement_counts_equal_proposals_alone(make_study: MakeStudy) -> None:
    other = ({**SPACE[0], "high": 2}, *SPACE[1:])
    between = compared(
        make_study(**ONE_TASK), make_study(tasks=("wine-mlp",), space=other, worse={"grid": 0.01})
    ).between
    matched = matched_trials(between)
    same = matched["config.layers_a"] == matched["config.layers_b"]
    assert (matched["same"] == same).all()
    assert 0 < same.sum() < len(matched)
    rows = agreement_table(between, matched).values.set_index("strategy")
    assert rows.loc["random", "largest"] == 0.0
    assert rows.loc["random", "equal"] == rows.loc["random", "compared"]
    good = matched[matched["same"] & matched["ok"] & (matched["strategy"] == "grid")]
    apart = (good["val_error_a"] - good["val_error_b"]).abs()
    assert (
        0.0 < rows.loc["grid", "mean"] == pytest.approx(apart.mean())
    )  # over all, also without a difference
    assert "Task wine-mlp differs in space." in between.notes


def test_a_hyperparameter_that_one_side_lacks_is_no_equal_proposal(make_study: MakeStudy) -> None:
    between = compared(make_study(**ONE_TASK), make_study(tasks=("wine-mlp",), space=SPACE[1:])).between
    assert not matched_trials(between)["same"].any()
    assert ratio_table(between, matched_trials(between)).values.empty


def test_the_ratio_of_times_is_by_the_sizes_of_the_network(make_study: MakeStudy) -> None:
    between = compared(make_study(**ONE_TASK), make_study(**ONE_TASK, slower=4.0)).between
    rows = ratio_table(between, matched_trials(between)).values
    assert rows["network"].tolist()[:2] == ["layers 1, width 16 to 31", "layers 1, width 32 to 63"]
    assert len(rows) == 9
    assert rows["ratio"].between(0.25, 0.4).all()  # the evaluation is no slower
    names = architectures(between.a.frames, "wine-mlp", between.a.frames.trials)
    widths = between.a.frames.trials["config.width"]
    assert ((widths < 32) == [name.endswith("16 to 31") for name in names]).all()


def test_everything_is_written(make_study: MakeStudy, tmp_path: Path) -> None:
    labels = {"grid": "</script><img src=x onerror=alert(1)> & $x$"}
    report = compared(make_study(**ONE_TASK, labels=labels), make_study(**ONE_TASK, slower=3.0), 0.01)
    paths = write_comparison(report, tmp_path / "out")
    assert {path.suffix for path in paths} == {".html", ".md", ".csv", ".tex", ".png", ".svg", ".pdf"}
    page = paths[0].read_text(encoding="utf-8")
    assert "<img" not in page
    assert page.count("<svg") == 4
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    for index in ("figures/README.md", "tables/summary.md"):
        text = (tmp_path / "out" / index).read_text(encoding="utf-8")
        parts = text.split("\n## " if index.startswith("fig") else "\n### ")[1:]
        assert len(parts) == (4 if index.startswith("fig") else 3)
        for part in parts:
            assert (
                part.count("4 strategies, 1 task, n = 10 of each, budget 20 trials a run, measured clock")
                == 2
            ), part
            assert part.count("device cpu. Failed: ") == 2, part
    again = {path: path.read_bytes() for path in write_comparison(report, tmp_path / "out")}
    assert again == {path: path.read_bytes() for path in paths}


def test_results_do_not_depend_on_which_folder_is_deeper(make_study: MakeStudy, tmp_path: Path) -> None:
    one = make_study(**ONE_TASK)
    other = tmp_path / "b" / one.name
    other.parent.mkdir()
    one.rename(tmp_path / "moved")
    (tmp_path / "a").mkdir()
    (tmp_path / "moved").rename(tmp_path / "a" / one.name)
    other.symlink_to(tmp_path / "a" / one.name)
    assert compared(tmp_path / "a" / one.name, other).between.names == ("A", "B")  # one and the same folder
    assert json.dumps(load_frames(other).info.suite)

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpbench.strategies import EXTRAS
from hpbench.suite import bundled_suites


@pytest.mark.parametrize("name", bundled_suites())
def test_every_bundled_suite_can_be_planned(call: Callable[..., Any], name: str) -> None:
    answer = call("plan", name)
    if name == "peers" and any(extra.missing() for extra in EXTRAS.values()):
        assert answer.code == 2
        assert "pip install 'hpbench[" in answer.err
        return
    assert answer.code == 0
    assert answer.out.startswith(f"Suite {name}, ")
    assert "Skipped." not in answer.out


def test_the_plan_as_json_adds_up(call: Callable[..., Any], suite_file: Path) -> None:
    plan = json.loads(call("plan", suite_file, "--json", "--workers", "3").out)
    assert (plan["suite"], plan["runs"], plan["trials"], plan["epochs"]) == ("tiny", 4, 6, 6)
    assert [cell["trials_per_run"] for cell in plan["cells"]] == [2, 1]
    assert plan["budget"] == {"trials": 2}
    assert sum(cell["runs"] for cell in plan["cells"]) == plan["runs"]
    assert plan["seconds"] == pytest.approx(sum(cell["seconds"] for cell in plan["cells"]))
    assert plan["wall_seconds"] == pytest.approx(plan["seconds"] / 3)
    (refused,) = plan["refused"]
    assert (refused["task"], refused["strategy"]) == ("iris-mlp", "skopt-gp")


def test_the_plan_says_what_is_skipped_and_why(call: Callable[..., Any], suite_file: Path) -> None:
    answer = call("plan", suite_file)
    assert "strategy 'skopt-gp' cannot search 'mlp' on 'iris': it lacks CONDITIONAL" in answer.out
    assert "4 runs, at most 6 trials, 6 epochs." in answer.out


def test_a_budget_in_seconds_has_no_number_of_trials(call: Callable[..., Any], suite_file: Path) -> None:
    text = suite_file.read_text(encoding="utf-8").replace("{ trials = 2 }", "{ seconds = 60 }")
    suite_file.write_text(text, encoding="utf-8")
    plan = json.loads(call("plan", suite_file, "--json", "--workers", "1").out)
    assert plan["wall_seconds"] == pytest.approx(120.0, abs=1.0)  # the default is trained once, in a moment
    assert "4 runs, trials until the seconds are spent." in call("plan", suite_file).out


def test_a_pattern_that_matches_nothing_is_2(call: Callable[..., Any]) -> None:
    answer = call("plan", "smoke", "--only", "nothing/*")
    assert answer.code == 2
    assert "matches no run" in answer.err


def test_the_plan_says_how_cohorts_are_trained_and_what_is_calibrated(
    call: Callable[..., Any], suite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "calibrates" not in call("plan", suite_file).out
    text = suite_file.read_text(encoding="utf-8")
    suite_file.write_text(f'trainer = "cohort"\n{text}', encoding="utf-8")
    monkeypatch.setattr("hpbench.compilation.REPAID_STEPS", 1)
    monkeypatch.setattr("hpbench.compilation.SHARED_STEPS", 1)
    monkeypatch.setattr("hpbench.plan.find_compiler", lambda: None)
    answer = call("plan", suite_file)
    assert "trainer cohort, clock modelled" in answer.out
    assert "iris-mlp: traced steps (no C compiler on this machine); calibrates 672 signatures" in answer.out
    task = json.loads(call("plan", suite_file, "--json").out)["tasks"]["iris-mlp"]
    assert (task["steps"], task["signatures"]) == ("traced", 672)
    suite_file.write_text(f'trainer = "cohort"\ncompile = "always"\n{text}', encoding="utf-8")
    answer = call("plan", suite_file)
    assert answer.code == 2
    assert "there is no C compiler" in answer.err


def test_the_plan_names_batches_that_hold_all_examples(call: Callable[..., Any], suite_file: Path) -> None:
    line = "iris-mlp: batches of 128 hold all of about 90 training examples."
    assert line in call("plan", suite_file).out
    task = json.loads(call("plan", suite_file, "--json").out)["tasks"]["iris-mlp"]
    assert (task["train_examples"], task["clipped_batches"]) == (90, [128])
    text = suite_file.read_text(encoding="utf-8")
    for sizes, code in (("[100, 200]", 2), ("[50, 200]", 0), ("200", 0)):
        changed = text.replace("[[strategies]]", f"[tasks.space]\nbatch_size = {sizes}\n[[strategies]]", 1)
        suite_file.write_text(changed, encoding="utf-8")
        assert call("plan", suite_file).code == code


def test_the_plan_says_what_validation_means_in_trainings(call: Callable[..., Any], suite_file: Path) -> None:
    held = "Validation: 20 % of the examples are held out, one training a trial."
    assert held in call("plan", suite_file).out
    text = suite_file.read_text(encoding="utf-8")
    suite_file.write_text(f'validation = {{ kind = "cv", folds = 4 }}\n{text}', encoding="utf-8")
    answer = call("plan", suite_file)
    assert "Validation: 4-fold cross-validation, 4 trainings a trial, at most 24 in all." in answer.out
    assert "4 runs, at most 6 trials, 24 epochs." in answer.out
    assert "Final:" not in answer.out
    plan = json.loads(call("plan", suite_file, "--json").out)
    assert (plan["validation"], plan["trainings_per_trial"]) == (
        {"kind": "cv", "folds": 4},
        {"iris-mlp": 4},
    )


def test_the_plan_says_what_final_means_in_trainings(call: Callable[..., Any], suite_file: Path) -> None:
    text = suite_file.read_text(encoding="utf-8")
    before = json.loads(call("plan", suite_file, "--json").out)["seconds"]
    suite_file.write_text(f"final = {{ retrain = 5 }}\n{text}", encoding="utf-8")
    expected = "Final: the incumbent of each run is retrained under 5 fresh seeds on training and validation part, 20"
    assert expected in call("plan", suite_file).out
    plan = json.loads(call("plan", suite_file, "--json").out)
    assert plan["final"] == {"retrain": 5}
    trials = 2 + 2 + 1 + 1
    assert plan["seconds"] == pytest.approx(before * (trials + 4 * 5) / trials)

"""Studies of functions alone, and of functions beside networks: page, importance, comparison, Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

import hpbench
from hpbench.analysis import load_frames
from hpbench.analysis.curves import task_curves
from hpbench.cli import run_program
from hpbench.errors import UsageError
from hpbench.store import Store

HEAD = """
schema = 1
name = "values"
root_seed = 11
repetitions = 3
budget = { trials = 6 }
objective = "loss"
trainer = "cohort"
strategies = [{ use = "random" }, { use = "sobol" }]
"""
BRANIN = '{ function = "branin" }'
NETWORK = '{ dataset = "iris", network = "logistic", epochs = 1, subset = 60 }'


def ran(folder: Path, *tasks: str) -> Path:
    """Return the results of a suite with these tasks."""
    suite = folder / f"suite-{len(tasks)}.toml"
    suite.write_text(f"{HEAD}tasks = [{', '.join(tasks)}]\n", encoding="utf-8")
    results = folder / f"results-{len(tasks)}"
    hpbench.run(suite, results=results, workers=1, progress=False)
    assert run_program(["report", str(results)]) == 0
    return results


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran(tmp_path_factory.mktemp("alone"), BRANIN)


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran(tmp_path_factory.mktemp("beside"), BRANIN, NETWORK)


def test_the_page_shows_the_values(alone: Path) -> None:
    page = (alone / "report.html").read_text(encoding="utf-8")
    assert "Final values" in page[page.index('id="scores"') :]
    assert "Share of the variance of the value over the whole space" in page
    assert "branin: the function branin, 1 epoch" in page


def test_importance_says_what_is_explained_of_each_kind_of_task(beside: Path) -> None:
    table = (beside / "tables" / "importance.md").read_text(encoding="utf-8")
    assert "variance of the value or validation cross-entropy over" in table
    rows = pd.read_csv(beside / "tables" / "importance.csv")
    assert {"x1", "x2"} <= set(rows[rows["task"] == "branin"]["name"])
    assert "iris with logistic, 1 epoch, 36 training, 12 validation and 12 test" in (
        beside / "tables" / "spaces.md"
    ).read_text(encoding="utf-8")


def test_from_python_a_function_has_values(alone: Path) -> None:
    study = hpbench.load(alone)
    curves, trials = study.curves, study.trials
    assert curves["val_error"].isna().all()
    best = trials.groupby(["task", "strategy", "repetition"], observed=True)["objective"].cummin()
    assert (curves["objective"].to_numpy() == best.to_numpy()).all()
    last = curves[curves["trials"] == 6].groupby("strategy", observed=True)["objective"].mean()
    values = study.table("values").set_index("strategy")["value"]
    assert dict(values) == pytest.approx(dict(last))
    assert any("values and no accuracy" in claim for claim in study.claims)
    assert isinstance(study.plot_best(), Figure)
    assert isinstance(study.plot_best(ax=Figure().add_subplot()), Figure)
    with pytest.raises(UsageError, match=r"unknown table 'final'.*values"):
        study.table()


def test_a_comparison_leaves_functions_out_and_says_so(
    alone: Path, beside: Path, tmp_path: Path, call: Callable[..., Any]
) -> None:
    answer = call("compare", beside, beside, "--out", tmp_path / "out")
    assert answer.code == 0
    shown = " ".join(answer.out.split())
    assert "Left out, for they have values and no accuracy: branin." in shown
    assert set(pd.read_csv(tmp_path / "out" / "tables" / "compare.csv")["task"]) == {"iris-logistic"}
    refused = call("compare", alone, beside)
    assert refused.code == 2
    assert "must share a task that counts correct examples" in refused.err
    assert "branin have values and no accuracy" in refused.err


def test_a_function_study_is_exported(alone: Path, tmp_path: Path) -> None:
    assert run_program(["export", str(alone), "--out", str(tmp_path / "out")]) == 0
    trials = pd.read_json(tmp_path / "out" / "trials.jsonl", lines=True)
    assert len(trials) == 2 * 3 * 6
    assert trials["val_loss"].min() > 0.397


def test_a_function_is_not_trained_again(call: Callable[..., Any], tmp_path: Path) -> None:
    suite, function = tmp_path / "again.toml", '[[tasks]]\nfunction = "branin"\n'
    start = (
        'schema = 1\nname = "again"\nroot_seed = 1\nrepetitions = 2\nobjective = "loss"\n'
        "budget = { trials = 3 }\nfinal = { retrain = 2 }\n"
    )
    network = '[[tasks]]\ndataset = "wine"\nnetwork = "logistic"\nepochs = 1\n'
    strategy = '[[strategies]]\nuse = "random"\n'
    suite.write_text(start + function + strategy, encoding="utf-8")
    answer = call("run", suite, "--results", tmp_path / "r")
    assert answer.code == 2
    assert "`final` must be left out where every task is a function" in answer.err
    suite.write_text(start + function + network + strategy, encoding="utf-8")
    assert "training and validation part; functions are not, 4 trainings in all." in call("plan", suite).out
    assert call("run", suite, "--results", tmp_path / "r", "--workers", "1").code == 0
    with Store.open(tmp_path / "r", read_only=True) as store:
        found = {str(row.run): len(list(store.retrainings(row.run))) for row in store.runs()}
    assert found == {
        "branin/random/0": 0,
        "branin/random/1": 0,
        "wine-logistic/random/0": 2,
        "wine-logistic/random/1": 2,
    }


def test_a_function_pays_its_epochs_once_whatever_folds_networks_have(
    call: Callable[..., Any], tmp_path: Path
) -> None:
    suite, results = tmp_path / "folds.toml", tmp_path / "r"
    text = HEAD.replace("{ trials = 6 }", "{ epochs = 4 }").replace("repetitions = 3", "repetitions = 1")
    text += 'validation = { kind = "cv", folds = 4 }\n'
    suite.write_text(f"{text}tasks = [{BRANIN}]\n", encoding="utf-8")
    shown = call("plan", suite).out
    assert "at most 8 trials, 8 epochs." in shown
    assert "Validation:" not in shown
    suite.write_text(f"{text}tasks = [{BRANIN}, {NETWORK}]\n", encoding="utf-8")
    shown = call("plan", suite).out
    assert "at most 10 trials, 16 epochs." in shown
    assert "Validation: 4-fold cross-validation, 4 trainings a trial, at most 8 in all." in shown
    assert call("run", suite, "--results", results, "--workers", "1").code == 0
    frames = load_frames(results)
    counts = frames.runs.set_index(["task", "strategy"])["trials"].to_dict()
    assert counts == {
        ("branin", "random"): 4,
        ("branin", "sobol"): 4,
        ("iris-logistic", "random"): 1,
        ("iris-logistic", "sobol"): 1,
    }
    assert task_curves(frames, "branin").full_epochs == 1
    assert task_curves(frames, "iris-logistic").full_epochs == 4

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import hpbench
from hpbench.analysis.blocks import recorded_blocks
from hpbench.analysis.details import CHAIN, learning_curve
from hpbench.analysis.frames import load_frames
from hpbench.errors import UsageError
from hpbench.store import Store
from hpbench.trial import Evaluation, Record, RunKey, Status

MakeStudy = Callable[..., Path]


def test_trials_hold_what_the_store_holds(make_study: MakeStudy) -> None:
    folder = make_study(repetitions=2, trials=3)
    study = hpbench.load(folder)
    with Store.open(folder, read_only=True) as store:
        records = {(r.run, r.number): r for r in store.records()}
    trials = study.trials
    assert len(trials) == len(records)
    for row in trials.to_dict("records"):
        record = records[RunKey(row["task"], row["strategy"], row["repetition"]), row["number"]]
        assert row["config.lr"] == record.config["lr"]
        assert row["status"] == record.evaluation.status
        assert row["train_seconds"] == record.evaluation.train_seconds
    assert "curve_from" not in trials


def test_data_frames_are_copies(make_study: MakeStudy) -> None:
    study = hpbench.load(make_study(repetitions=1, trials=2))
    for name in ("trials", "runs", "curves"):
        frame: pd.DataFrame = getattr(study, name)
        frame.loc[:, "repetition"] = 99
        assert (getattr(study, name)["repetition"] == 0).all()
    table = study.table()
    table.loc[:, "n"] = 99
    assert (study.table()["n"] == 1).all()


def test_curves_are_the_plain_loop_over_trials(make_study: MakeStudy) -> None:
    study = hpbench.load(make_study(repetitions=2, trials=8, failure_rate=0.3))
    curves, trials = study.curves, study.trials
    for key, run in trials.groupby(["task", "strategy", "repetition"], observed=True):
        mine = curves[
            (curves["task"] == key[0]) & (curves["strategy"] == key[1]) & (curves["repetition"] == key[2])
        ]
        best, spent = -1, 0.0
        for row, found in zip(run.to_dict("records"), mine.to_dict("records"), strict=True):
            errors = run["val_error"].to_numpy()
            if not np.isnan(row["val_error"]) and (best < 0 or row["val_error"] < errors[best]):
                best = row["number"]
            spent += sum(row[f"{part}_seconds"] for part in ("ask", "train", "evaluate", "tell"))
            assert found["trials"] == row["number"] + 1
            assert found["epochs"] == 10 * found["trials"]
            assert found["incumbent"] == best
            assert found["seconds"] == pytest.approx(spent)
            expected = run["test_error"].iloc[best] if best >= 0 else np.nan
            assert found["test_error"] == pytest.approx(expected, nan_ok=True)


def test_tables_are_those_of_the_report(make_study: MakeStudy) -> None:
    study = hpbench.load(make_study())
    assert set(study.table("ranks")["strategy"]) == set(study.strategies)
    shown = study.table("final", shown=True)
    assert list(shown.columns[:2]) == ["Task", "Strategy"]
    assert shown["Test accuracy (%)"].str.contains(r"^\d\d\.\d\d \[").all()
    assert any("beats" in claim for claim in study.claims)
    with pytest.raises(UsageError, match=r"unknown table 'finl'. Did you mean 'final'\? Known: "):
        study.table("finl")


@pytest.mark.parametrize("x", ["trials", "epochs", "seconds"])
def test_a_figure_of_its_own_has_a_panel_a_task(make_study: MakeStudy, x: str) -> None:
    study = hpbench.load(make_study(repetitions=2, trials=3))
    figure = study.plot_best(x=x)  # type: ignore[arg-type]  # a parameter of the test
    assert isinstance(figure, Figure)
    assert [panel.get_title() for panel in figure.axes] == list(study.tasks)
    assert figure.axes[0].get_xlabel().startswith(x)
    assert len(study.plot_best(task="wine-mlp", part="test", scale="error").axes) == 1


def test_epochs_count_epochs(make_study: MakeStudy) -> None:
    study = hpbench.load(make_study(repetitions=2, trials=3, strategies=("random", "grid")))
    panel = study.plot_best(x="epochs", task="wine-mlp").axes[0]
    longest = max(float(np.max(line.get_xdata())) for line in panel.lines)  # type: ignore[arg-type]
    assert longest == 30.0


def test_curves_go_into_somebodys_axes_and_leave_their_settings_alone(make_study: MakeStudy) -> None:
    study = hpbench.load(make_study(labels={"random": "a $\\frac{b}$"}, repetitions=2, trials=3))
    figure = Figure()
    one, other = figure.subplots(1, 2)
    before = dict(mpl.rcParams)
    assert study.plot_best(x="trials", task="wine-mlp", ax=one) is figure
    assert dict(mpl.rcParams) == before
    assert one.lines
    assert not other.lines
    legend = one.get_legend()
    assert legend is not None
    assert legend.get_texts()[0].get_text() == "a $\\frac{b}$"
    figure.savefig(Path(study.results) / "own.png")  # nothing is read as mathematics


def test_arguments_that_cannot_be_are_refused(make_study: MakeStudy) -> None:
    study = hpbench.load(make_study(repetitions=1, trials=2))
    with pytest.raises(UsageError, match="`x` must be one of 'trials', 'epochs', 'seconds', got 'days'"):
        study.plot_best(x="days")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unknown task 'wine'"):
        study.plot_best(task="wine")
    with pytest.raises(UsageError, match="`task` must name one task when `ax` is given"):
        study.plot_best(ax=Figure().subplots())


def test_the_report_is_written_beside_the_store(make_study: MakeStudy) -> None:
    folder = make_study(repetitions=1, trials=2, tasks=("wine-mlp",), strategies=("random",))
    study = hpbench.load(folder / "study.sqlite")
    assert study.report() == folder / "report.html"


def test_a_results_directory_may_be_called_like_a_store(make_study: MakeStudy) -> None:
    folder = make_study(repetitions=1, trials=2)
    there = folder.rename(folder.with_name("x.sqlite"))
    assert hpbench.load(there).results == there


def record(number: int, parent: int | None, first: int, curve: tuple[float, ...], **config: object) -> Record:
    evaluation = Evaluation(Status.OK, epochs_from=first, epochs=first + len(curve), curve=curve)
    return Record(RunKey("t", "s", 0), number, parent, config, evaluation, 0.0, 0.0)  # type: ignore[arg-type]


def test_a_learning_curve_goes_through_its_parents() -> None:
    records = [
        record(0, None, 0, (0.9, 0.8, 0.7), kind="a", rate=0.1),
        record(1, None, 0, (0.5,), kind="b", units=3),
        record(2, 0, 2, (0.6, 0.5), kind="a", rate=0.2, units=4),
        record(3, 2, 4, (0.4,), flag=True),
    ]
    (block,) = recorded_blocks(reversed(records)).values()
    columns = block.details()
    rows = np.stack(
        [columns["parent"], [0, 0, 2, 4], [3, 1, 4, 5], columns["curve_from"], columns["curve_to"]], axis=1
    )
    assert CHAIN == ("parent", "epochs_from", "epochs", "curve_from", "curve_to")
    assert learning_curve(rows, block.epoch_errors, 3).tolist() == [0.9, 0.8, 0.6, 0.5, 0.4]
    assert learning_curve(rows, block.epoch_errors, 1).tolist() == [0.5]
    assert columns["config.kind"].tolist()[:3] == ["a", "b", "a"]
    assert np.isnan(columns["config.rate"]).tolist() == [False, True, False, True]
    assert columns["config.flag"].categories.tolist() == [True]


def test_configurations_follow_their_trials_through_sorting(make_study: MakeStudy) -> None:
    frames = load_frames(make_study(repetitions=2, trials=4, failure_rate=0.0))
    for row in frames.trials.to_dict("records"):
        curve = frames.epoch_errors[row["curve_from"] : row["curve_to"]]
        assert curve[-1] == pytest.approx(row["val_error"])

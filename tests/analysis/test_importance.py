from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpbench.analysis.canvas import drawing
from hpbench.analysis.comparison import study_of
from hpbench.analysis.effects import effect_figures
from hpbench.analysis.frames import Frames, frames_of, load_frames
from hpbench.analysis.importance import importance_of, importance_table, parameter_of, space_table
from hpbench.description import describe_parameter
from hpbench.space import Categorical, Condition, Float, Integer
from hpbench.store import Store
from hpbench.study import RunRow, RunState, StudyInfo
from hpbench.trial import Config, Evaluation, Record, RunKey, Status

MakeStudy = Callable[..., Path]
SPACE = (
    Float("rate", 1e-4, 1e-1, log=True),
    Integer("units", 1, 4),
    Categorical("kind", ("a", "b", "c")),
    Categorical("batch", (16, 32), ordered=True),
    Float("push", 0.0, 1.0, when=Condition("kind", ("a",))),
)
N = 1000


def study(
    error: Callable[[Config], float],
    *,
    trials: int = 60,
    runs: int = 4,
    failed: int = 0,
    epochs: Callable[[int], int] = lambda _: 3,
) -> Frames:
    """Return a study of random configurations whose validation error is ``error`` of them."""
    suite: dict[str, Any] = {
        "name": "known",
        "root_seed": 1,
        "repetitions": runs,
        "budget": {"trials": trials},
        "tasks": [{"name": "t"}],
        "strategies": [{"name": "random"}],
    }
    task = {
        "epochs": 9,
        "n_val": N,
        "n_test": N,
        "dataset": "d",
        "network": "n",
        "space": [describe_parameter(parameter) for parameter in SPACE],
        "constants": {"momentum": 0.9},
        "default": {"push": 0.25, "rate": 0.01},
    }
    info = StudyInfo(suite, "", "", "cpu", tasks={"t": task}, strategies={"random": {"use": "random"}})
    rng = np.random.default_rng(5)
    records = []
    for repetition in range(runs):
        for number in range(trials):
            config: dict[str, Any] = {
                parameter.name: parameter.from_unit(rng.random()) for parameter in SPACE
            }
            if config["kind"] != "a":
                del config["push"]
            wrong = round(N * error(config))
            status = Status.DIVERGED if number < failed else Status.OK
            result = Evaluation(
                status,
                epochs=epochs(number),
                val_correct=N - wrong,
                val_total=N,
                val_loss=1.0,
                test_correct=N - wrong,
                test_total=N,
                test_loss=1.0,
                curve=tuple(np.linspace(0.9, wrong / N, epochs(number) + 1)[1:]),
            )
            records.append(Record(RunKey("t", "random", repetition), number, None, config, result, 0.0, 0.0))
    rows = [RunRow(RunKey("t", "random", repetition), RunState.COMPLETE) for repetition in range(runs)]
    return frames_of(records, rows, info)


def bowl(config: Config) -> float:
    """Depends on the rate most, on the kind a little, on nothing else; best at 0.01 and "b"."""
    return 0.05 + 0.1 * (np.log10(config["rate"]) + 2) ** 2 + 0.08 * (config["kind"] != "b")


def test_what_matters_is_found_and_where_it_is_good() -> None:
    found = importance_of(study(bowl, trials=200), "t")
    assert found is not None
    names = [found.parameters[place].name for place in found.fanova.order]
    assert names[:2] == ["rate", "kind"]
    main = dict(zip([p.name for p in found.parameters], found.fanova.main.mean(axis=0), strict=True))
    # a square of a uniform exponent against a step: variances 16/45 and 2/9 of the squares 0.1 and 0.08
    share = 0.01 * np.var((3 * (np.arange(9999) + 0.5) / 9999 - 2) ** 2)
    assert main["rate"] == pytest.approx(share / (share + 0.08**2 * 2 / 9), abs=0.08)
    assert max(main["units"], main["batch"], main["push"]) < 0.03
    assert found.fanova.fit > 0.9
    effects = {effect.parameter.name: effect for effect in map(found.effect, range(len(found.parameters)))}
    assert effects["kind"].best == "b"
    assert 0.004 < float(effects["rate"].best) < 0.025
    assert len(effects["units"].points) == 4
    assert np.all(effects["rate"].low <= effects["rate"].high)


def test_inactive_hyperparameters_failures_and_samples_are_told() -> None:
    frames = study(bowl, trials=900, failed=50)
    found = importance_of(frames, "t")
    assert found is not None
    assert found.imputed == ("push",)
    assert (found.used, found.succeeded, found.trials) == (2000, 3400, 3600)
    caption = importance_table(frames, {"t": found}).caption
    assert "t 2,000 (evenly chosen of 3,400)" in caption
    assert "200 failed trials left out" in caption
    assert "Where push did not exist, the default stood in." in caption


def test_a_fidelity_that_varies_is_an_input() -> None:
    frames = study(bowl, epochs=lambda number: 1 + number % 3)
    found = importance_of(frames, "t")
    assert found is not None
    assert found.parameters[-1].name == "epochs"
    assert importance_of(study(bowl), "t").parameters[-1].name == "push"  # type: ignore[union-attr]


@pytest.mark.parametrize("frames", [study(bowl, trials=7), study(lambda _: 0.5)])
def test_too_few_trials_or_no_difference_give_no_forest(frames: Frames) -> None:
    assert importance_of(frames, "t") is None
    assert "No forest for t" in importance_table(frames, {}).caption


def test_equal_studies_give_equal_numbers() -> None:
    one, other = (
        importance_table(f, {"t": importance_of(f, "t")}).values for f in (study(bowl), study(bowl))
    )  # type: ignore[dict-item]
    assert one.equals(other)
    assert one["importance"].is_monotonic_decreasing or (one["name"].str.contains(" with ")).any()


@pytest.mark.parametrize("parameter", SPACE)
def test_descriptions_are_read_back(parameter: Any) -> None:
    found = parameter_of(describe_parameter(parameter))
    for unit in (0.0, 0.3, 0.99):
        assert found.from_unit(unit) == parameter.from_unit(unit)


def test_the_space_is_shown() -> None:
    rows = space_table(study(bowl)).values.set_index("name")
    assert rows.loc["rate", "range"] == "0.0001 to 0.1"
    assert rows.loc["rate", "scale"] == "log"
    assert rows.loc["push", "when"] == "kind in a"
    assert rows.loc["momentum", "scale"] == "fixed"
    assert rows.loc["kind", "range"] == "a, b, c"


def test_every_figure_is_drawn() -> None:
    frames = study(bowl, epochs=lambda number: 1 + number % 3)
    found = study_of(frames)
    with drawing():
        drawn = {item.name: item for item in effect_figures(found, found.importance)}
    assert list(drawn) == ["importance", "effects", "parallel", "learning"]
    assert "120 of 240 successful trials" in drawn["parallel"].caption
    assert drawn["effects"].figure.axes[0].get_xlabel() == "rate"
    lines = drawn["learning"].readouts[0].lines["random"]
    assert lines.x.tolist() == [1.0, 2.0, 3.0]
    best = [
        run.sort_values(["val_error", "number"]).iloc[0]["val_error"]
        for _, run in frames.trials.groupby("repetition")
    ]
    assert lines.y[-1] == pytest.approx(100 * np.median(best))


def test_a_study_that_tells_no_space_has_neither_importance_nor_spaces(make_study: MakeStudy) -> None:
    folder = make_study(repetitions=1, trials=3)
    frames = load_frames(folder)
    assert study_of(frames).importance == {}
    assert space_table(frames).values.empty
    with drawing():
        names = [item.name for item in effect_figures(study_of(frames), {})]
    assert names == ["learning"]
    with Store.open(folder, read_only=True) as store:
        assert store.info.tasks["wine-mlp"]["space"] == []

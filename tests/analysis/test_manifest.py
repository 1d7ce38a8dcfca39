from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpbench.analysis import load_frames, write_report
from hpbench.analysis.comparison import study_of
from hpbench.analysis.manifest import analysis_of
from hpbench.analysis.page import page_text
from hpbench.analysis.rivals import reference_table
from hpbench.seeding import bootstrap_stream
from hpbench.store import Store

MakeStudy = Callable[..., Path]


def test_the_report_keeps_what_regret_and_targets_were_measured_from(make_study: MakeStudy) -> None:
    folder = make_study(repetitions=3, trials=4, tasks=("digits-mlp", "wine-mlp"))
    assert folder / "manifest.json" in write_report(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    analysis = manifest["analysis"]
    assert manifest["trials"] == analysis["trials"] == 96
    assert analysis["command"] == f"hpbench report {folder.name}"
    assert analysis["bootstrap"]["key"] == list(bootstrap_stream(7).key)
    assert analysis["options"]["baseline"] == "random"
    frames = load_frames(folder)
    trials = frames.trials.set_index(["task", "strategy", "repetition", "number"])["val_error"]
    table = reference_table(study_of(frames)).values.set_index("task")
    for task in frames.tasks:
        found = analysis["references"][task]
        strategy, repetition, number = found["best_val_trial"].split("/")
        assert found["best_val_error"] == trials[task, strategy, int(repetition), int(number)]
        assert found["best_val_error"] == trials[task].min()
        assert found["reference_test_error"] == table.loc[task, "reference_test_error"]
        shown = [float(text) for text in str(table.loc[task, "ecdf_targets"]).split()]
        assert found["runlength_targets"] == pytest.approx(shown, rel=1e-5)
        assert np.all(np.diff(found["runlength_targets"]) < 0)


def test_what_cannot_be_measured_is_null_and_a_study_without_trials_has_no_references(
    make_study: MakeStudy,
) -> None:
    failed = make_study(repetitions=1, trials=2, failure_rate=1.0)
    found = analysis_of(study_of(load_frames(failed)), failed)["references"]["wine-mlp"]
    assert set(map(str, found.values())) == {"None", "[]"}
    empty = make_study(repetitions=1, trials=0)
    analysis = analysis_of(study_of(load_frames(empty)), empty)
    assert analysis["references"] == {}
    assert json.dumps(analysis, allow_nan=False)


def test_the_page_shows_workers_and_analysis_and_packages_apart(make_study: MakeStudy) -> None:
    folder = make_study(repetitions=1, trials=2)
    with Store.open(folder) as store:
        store.add_event("worker", {"cpu_capability": "AVX9"})
    frames = load_frames(folder)
    packages: dict[str, Any] = {f"package-{number}": "1.0" for number in range(60)}
    frames.info.environment.update(cpu="a processor", packages=packages)
    text = page_text(study_of(frames), [], [], [], folder)
    manifest = json.loads(
        text.partition('aria-label="The manifest">')[2].partition("</pre>")[0].replace("&#34;", '"')
    )
    assert manifest["environment"] == {"cpu": "a processor"}
    assert manifest["workers"] == [{"cpu_capability": "AVX9"}]
    assert set(manifest["analysis"]["references"]) == set(frames.tasks)
    listed = text.partition('aria-label="Installed packages">')[2].partition("</pre>")[0]
    assert listed.startswith("package-0==1.0 package-1==1.0")
    assert max(map(len, listed.splitlines())) <= 100
    frames.info.environment.pop("packages")
    assert "Installed packages" not in page_text(study_of(frames), [], [], [], folder)

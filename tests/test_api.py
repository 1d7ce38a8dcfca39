from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hpbench
from hpbench import plugins
from hpbench.cli.display import PlainDisplay
from hpbench.errors import UsageError
from hpbench.store import Store
from hpbench.strategies import REGISTRY

SUITE = """
schema = 1
name = "tiny"
root_seed = 3
repetitions = 2
budget = { trials = 2 }
tasks = [{ dataset = "iris", network = "mlp", epochs = 1 }]
strategies = [{ use = "random" }, { use = "sobol" }]
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(SUITE, encoding="utf-8")
    return path


def test_a_suite_runs_and_is_continued(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    part = hpbench.run(suite, workers=1, only="*/random/0")
    assert "2/2 trials" in capsys.readouterr().out
    assert repr(part) == "<Study 'tiny': 2 trials, 1 of 4 runs>"
    whole = hpbench.run(str(suite), workers=1, progress=False)
    assert capsys.readouterr().out == ""
    assert len(whole.trials) == 8
    assert whole.results == Path("results") / "tiny"
    assert whole.trials.equals(hpbench.load("results/tiny").trials)
    first = part.trials.drop(columns=[name for name in part.trials if name.endswith("seconds")])
    again = whole.trials[first.columns].iloc[:2]
    assert again.astype(str).equals(first.astype(str))


def test_a_suite_may_name_what_a_plugin_registers(suite: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "own_draws.py"
    plugin.write_text(
        "from hpbench.strategies import REGISTRY\n"
        "from hpbench.strategies.random import RandomStrategy\n\n\n"
        "class OwnDraws(RandomStrategy):\n"
        '    """Draws."""\n\n\n'
        'REGISTRY.add("own-draws", OwnDraws)\n',
        encoding="utf-8",
    )
    suite.write_text(suite.read_text("utf-8").replace('"sobol"', '"own-draws"'), "utf-8")
    try:
        study = hpbench.run(suite, results=tmp_path / "out", workers=1, plugins=[str(plugin)], progress=False)
    finally:
        plugins.reset()
        REGISTRY.reset()
    assert study.trials.groupby("strategy", observed=True).size().to_dict() == {"random": 4, "own-draws": 4}


def write_table(path: Path, rows: int) -> None:
    lines = [f"{row % 7},{row % 5},{'pq'[row % 7 > 3]}" for row in range(rows)]
    path.write_text("\n".join(["a,b,y", *lines]), encoding="utf-8")


@pytest.fixture
def own_table(tmp_path: Path) -> tuple[Path, Path]:
    """A suite on a table of 60 rows, and the table."""
    suite, table = tmp_path / "own.toml", tmp_path / "own.csv"
    task = '{ dataset = "file:own.csv", target = "y", network = "mlp", epochs = 1 }'
    suite.write_text(SUITE.replace('{ dataset = "iris", network = "mlp", epochs = 1 }', task), "utf-8")
    write_table(table, 60)
    return suite, table


def test_every_study_of_a_process_describes_the_data_that_it_trains_on(
    own_table: tuple[Path, Path], tmp_path: Path
) -> None:
    suite, table = own_table
    for rows in (60, 200):
        write_table(table, rows)
        place = tmp_path / str(rows)
        hpbench.run(suite, results=place, workers=1, only="*/random/0", progress=False)
        with Store.open(place, read_only=True) as store:
            (described,) = store.info.tasks.values()
            trained = {record.evaluation.val_total for record in store.records()}
        assert trained == {described["n_val"]} == {rows // 5}
    with pytest.raises(UsageError, match="is not the one that these results were made with"):
        hpbench.run(suite, results=tmp_path / "60", workers=1, progress=False)


def test_a_worker_refuses_data_that_changed_after_the_study_began(
    own_table: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, table = own_table
    monkeypatch.setattr(PlainDisplay, "started", lambda *_: write_table(table, 61))
    study = hpbench.run(suite, results=tmp_path / "out", workers=1)
    assert study.trials.empty
    assert set(study.runs["state"]) == {"failed"}
    for message in study.runs["message"]:
        assert "data set 'file:own.csv' must be the one that the study began with" in message
        assert "--results DIR" in message
    write_table(table, 60)
    monkeypatch.undo()
    study = hpbench.run(suite, results=tmp_path / "out", workers=1, progress=False)
    assert set(study.runs["state"]) == {"complete"}


def test_a_worker_that_imports_an_unguarded_script_is_told_so(suite: Path, tmp_path: Path) -> None:
    code = f"""
import multiprocessing, hpbench
def call():
    hpbench.run({str(suite)!r}, results={str(tmp_path / "out")!r})
if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=call)
    process.start()
    process.join()
"""
    script = tmp_path / "unguarded.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert 'must stand under `if __name__ == "__main__":`' in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trainer": "best"}, "`trainer` must be 'reference' or 'cohort', got 'best'"),
        ({"workers": 0}, "`workers` must be at least 1, got 0"),
        ({"device": "tpu"}, "tpu"),
        ({"plugins": "own.py"}, "`plugins` must be a list of files, got 'own.py'"),
    ],
)
def test_impossible_arguments_are_refused(
    suite: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        hpbench.run(suite, results=tmp_path / "out", **options)


def test_what_it_imports_leaves_the_global_generator_of_python_alone() -> None:
    code = """
import random
before = random.getstate()
import hpbench
hpbench.load
import hpbench.cli.display, sklearn.ensemble
print(random.getstate() == before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_there_is_nothing_else_in_the_package() -> None:
    assert dir(hpbench) == ["Study", "__version__", "load", "run"]
    with pytest.raises(AttributeError, match="no attribute 'lood'"):
        _ = hpbench.lood


def test_what_is_no_study_is_refused(tmp_path: Path) -> None:
    call: Callable[..., object] = hpbench.load
    with pytest.raises(UsageError, match="no study"):
        call(tmp_path)

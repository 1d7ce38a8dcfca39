from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from hpbench.analysis import write_report

MakeStudy = Callable[..., Path]
FIGURES = [
    *(
        f"best-{part}-{axis}{scale}"
        for part in ("validation", "test")
        for axis in ("trials", "seconds")
        for scale in ("", "-error")
    ),
    "regret",
    "rank",
    "targets",
    "profile",
    "difference",
    "regret-by-task",
    "final-test",
    "learning",
    "overhead",
    "status",
    "time-by-part",
]
SINGLE = [name for name in FIGURES if name not in {"regret", "rank", "profile", "difference"}]
LABELS = {
    "random": '$\\alpha$_</script>%&#{}~^ | `x` [y](z) "quoted" and so on',
    "grid": "=1+1 漢字 _grid\x1b[31m",
    "skopt-gp": "_leading underscore, with a name as long as sixty characters",
    "genetic": "<img src=x onerror=alert(1)>",
}


def test_the_report_has_every_figure_in_three_formats_and_every_table(make_study: MakeStudy) -> None:
    folder = make_study(repetitions=2, trials=4, tasks=("digits-mlp",), failure_rate=0.0)
    written = write_report(folder)
    assert all(path.is_file() and path.stat().st_size > 0 for path in written)
    assert len(written) == len(set(written))
    for name in FIGURES:
        for kind in ("png", "svg", "pdf"):
            assert folder / "figures" / f"{name}.{kind}" in written
    assert {path.name for path in written if path.suffix == ".tex"} == {
        "across.tex",
        "final.tex",
        "pairs.tex",
        "references.tex",
        "targets.tex",
        "ranks.tex",
        "selection.tex",
        "time.tex",
        "status.tex",
    }
    index = (folder / "figures" / "README.md").read_text()
    assert all(f"({name}.png)" in index for name in FIGURES)
    assert index.count("n = 2 of each") == len(FIGURES)
    lines = (folder / "tables" / "curves.csv").read_text().splitlines()
    assert lines[0] == "axis,part,task,strategy,x,n,median_error,quartile_low,quartile_high"
    assert len([line for line in lines if line.startswith("trials,val,digits-mlp,random,")]) == 4


def test_everything_awkward_at_once_is_reported(
    make_study: MakeStudy, awkward_options: dict[str, Any]
) -> None:
    folder = make_study(**awkward_options)
    write_report(folder)
    index = (folder / "figures" / "README.md").read_text()
    assert index.count("Partial: 108 of 110 runs.") == len([*FIGURES, "critical-difference"])
    assert "A cross marks the first run that was exhausted" in index
    svg = (folder / "figures" / "best-test-trials.svg").read_text()
    assert 'id="line-best-test-trials-wine-mlp-skopt-gp' not in svg  # skipped there
    assert "filled-best-test-trials-digits-mlp-grid" in svg


@pytest.mark.parametrize(
    "options", [{"repetitions": 1, "strategies": ("random",)}, {"trials": 1}], ids=["single", "one-trial"]
)
def test_the_smallest_studies_are_reported(make_study: MakeStudy, options: dict[str, Any]) -> None:
    written = write_report(make_study(**{"trials": 3, "repetitions": 5, "tasks": ("wine-mlp",), **options}))
    assert len(written) > 3 * len(SINGLE)


def test_a_study_without_a_trial_draws_nothing_and_says_so(make_study: MakeStudy) -> None:
    folder = make_study(trials=0)
    write_report(folder)
    assert "No trial has finished yet" in (folder / "figures" / "README.md").read_text()
    assert "No trial has finished yet" in (folder / "tables" / "summary.md").read_text()


@pytest.fixture(scope="module")
def hostile(
    write_study: MakeStudy, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[Path, bytes]]:
    folder = tmp_path_factory.mktemp("hostile") / "study"
    write_study(folder, labels=LABELS, tasks=("digits-mlp",), repetitions=5, trials=3)
    return folder, {path: path.read_bytes() for path in write_report(folder)}


def test_hostile_names_go_through_every_writer_unharmed(hostile: tuple[Path, dict[Path, bytes]]) -> None:
    for path in hostile[1]:
        if path.suffix in {".md", ".svg", ".tex", ".csv"}:
            text = path.read_text(encoding="utf-8")
            assert "\x1b" not in text
        if path.suffix == ".md":
            assert "<script" not in text
            assert "</script" not in text
            assert "<img" not in text
        if path.suffix == ".svg":
            tree = ET.fromstring(text)  # noqa: S314 -- our own file
            assert "onerror" not in {name for element in tree.iter() for name in element.attrib}
            ids = [element.attrib["id"] for element in tree.iter() if "id" in element.attrib]
            assert len(ids) == len(set(ids))
            assert all(re.fullmatch(r"[A-Za-z_][\w.-]*", found) for found in ids)


def test_two_processes_write_the_same_bytes(hostile: tuple[Path, dict[Path, bytes]]) -> None:
    folder, first = hostile
    code = "import sys; from pathlib import Path; from hpbench.analysis import write_report; write_report(Path(sys.argv[1]))"
    environment = {"PYTHONHASHSEED": "77", "PATH": ""}
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env=environment)
    changed = [path.name for path, data in first.items() if path.read_bytes() != data]
    assert changed == []


def test_the_users_settings_are_neither_used_nor_changed(make_study: MakeStudy) -> None:
    import matplotlib as mpl  # noqa: PLC0415

    with mpl.rc_context({"font.size": 31, "lines.linewidth": 9}):
        before = dict(mpl.rcParams)
        folder = make_study(repetitions=1, trials=2, tasks=("digits-mlp",), strategies=("random",))
        write_report(folder)
        assert dict(mpl.rcParams) == before


def test_importing_the_analysis_loads_neither_matplotlib_nor_torch() -> None:
    code = (
        "import sys, hpbench.analysis; sys.exit(bool({'matplotlib', 'torch', 'seaborn'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

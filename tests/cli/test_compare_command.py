from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hpbench.study import RunState


@pytest.fixture
def studies(synthetic: ModuleType, tmp_path: Path) -> tuple[Path, Path]:
    plain: dict[str, Any] = {"tasks": ("wine-mlp",), "trials": 5, "labels": {"grid": "[red]Grid\x1b[31m"}}
    return (
        synthetic.write(tmp_path / "old", synthetic.Plan(**plain)),
        synthetic.write(tmp_path / "new", synthetic.Plan(**plain, worse={"grid": 0.08})),
    )


def test_a_table_is_shown(call: Any, studies: tuple[Path, Path]) -> None:
    answer = call("compare", *studies)
    assert answer.code == 0
    assert "A: old   B: new" in answer.out
    assert "[red]Grid" in answer.out
    assert "\x1b" not in answer.out
    assert "of 4 comparisons 0 better, 1 worse, 3 without" in " ".join(answer.out.split())


def test_no_number_is_cut_off_in_a_log_or_a_narrow_terminal(
    call: Any, synthetic: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = "Gaussian process (scikit-optimize)"
    plan = synthetic.Plan(tasks=("wine-mlp",), trials=5, labels={"grid": label})
    studies = [synthetic.write(tmp_path / name, plan) for name in ("old", "new")]
    monkeypatch.setenv("COLUMNS", "60")
    out = call("compare", *studies).out
    assert "\N{HORIZONTAL ELLIPSIS}" not in out
    header, (row,) = out.splitlines()[1], [line for line in out.splitlines() if label in line]
    assert header.split("  ")[-1] == "Verdict"
    assert re.search(r"  \d+\.\d\d  \d+\.\d\d  .*0\.00 \[.*\]  ", row)


@pytest.mark.parametrize(("margin", "code"), [("0.01", 3), ("0", 3), ("0.5", 0)])
def test_the_margin_decides_the_exit_code(
    call: Any, studies: tuple[Path, Path], margin: str, code: int
) -> None:
    answer = call("compare", *studies, "--fail-if-worse", margin)
    assert answer.code == code
    assert ("above margin" in answer.out) == (code == 3)


def test_the_other_way_round_nothing_is_worse(call: Any, studies: tuple[Path, Path]) -> None:
    assert call("compare", *reversed(studies), "--fail-if-worse", "0.01").code == 0


def test_a_gate_does_not_pass_because_a_cell_vanished(
    call: Any, studies: tuple[Path, Path], synthetic: ModuleType, tmp_path: Path
) -> None:
    states = {("wine-mlp", "grid", r): RunState.RUNNING for r in range(10)}
    partial = synthetic.write(tmp_path / "part", synthetic.Plan(tasks=("wine-mlp",), trials=5, states=states))
    answer = call("compare", studies[0], partial)
    assert answer.code == 0
    assert "Not compared: grid on wine-mlp, for no run has ended in part." in " ".join(answer.out.split())
    answer = call("compare", studies[0], partial, "--fail-if-worse", "0.5")
    assert answer.code == 2
    assert "grid on wine-mlp (no run has ended in part)" in " ".join(answer.err.split())


def test_json_for_other_programs(call: Any, studies: tuple[Path, Path]) -> None:
    answer = call("compare", *studies, "--json", "--fail-if-worse", "0.01")
    assert answer.code == 3
    found = json.loads(answer.out)
    assert found["broken"] is True
    assert found["margin"] == 0.01
    assert [row["strategy"] for row in found["changes"] if row["gate_broken"]] == ["grid"]
    assert {row["n_a"] for row in found["changes"]} == {10}


def test_files_are_written(call: Any, studies: tuple[Path, Path], tmp_path: Path) -> None:
    answer = call("compare", *studies, "--out", tmp_path / "out")
    assert answer.code == 0
    assert str(tmp_path / "out" / "compare.html") in answer.out
    assert (tmp_path / "out" / "tables" / "compare.csv").exists()
    assert (tmp_path / "out" / "figures" / "compare-seconds.pdf").exists()


def test_what_cannot_be_compared_is_refused(call: Any, studies: tuple[Path, Path], tmp_path: Path) -> None:
    answer = call("compare", studies[0], tmp_path)
    assert answer.code == 2
    assert "no study" in answer.err
    assert call("compare", *studies, "--fail-if-worse", "1.5").code == 2
    (tmp_path / "file").write_text("", encoding="utf-8")
    answer = call("compare", *studies, "--out", tmp_path / "file" / "sub")
    assert answer.code == 4

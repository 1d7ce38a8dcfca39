from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ASSETS = Path(__file__).parents[1] / "assets" / "malformed_suites.toml"
TABLE = tomllib.loads(ASSETS.read_text(encoding="utf-8"))
CASES = {case["id"]: case for case in TABLE["case"]}


def content_of(case: dict[str, Any]) -> bytes:
    """Return the malformed file, made as the table says."""
    text = (
        case["text"]
        if "text" in case
        else TABLE["base"].replace(case["old"], case["new"] * case.get("times", 1))
    )
    return str(text).encode(case.get("encoding", "utf-8"))


def test_there_are_at_least_thirty() -> None:
    assert len(CASES) >= 30


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_suite_is_one_message_and_leaves_nothing(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_bytes(content_of(CASES[name]))
    answer = call("run", "bad.toml")
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("hpbench: bad.toml: ")
    assert "Traceback" not in answer.err
    for expected in CASES[name]["expected"]:
        assert expected in answer.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.toml"]


def test_the_plan_refuses_the_same(call: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content_of(CASES["unknown key"]))
    assert call("plan", path).code == 2


@pytest.mark.parametrize("place", ["nowhere.toml", "smokey", "", "\0", "x" * 5000, "."])
def test_a_suite_that_is_not_there_is_2(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = call("run", place)
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert list(tmp_path.iterdir()) == []

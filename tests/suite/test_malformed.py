"""Every malformed suite of the table is refused with one clear message."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from hpbench.errors import ExitCode, UsageError
from hpbench.suite import load_suite

TABLE = tomllib.loads(
    (Path(__file__).parents[1] / "assets" / "malformed_suites.toml").read_text(encoding="utf-8")
)


def content(case: dict[str, Any]) -> bytes:
    """Return the bytes of a case, as the head of the table says."""
    base: str = TABLE["base"]
    text = case["text"] if "text" in case else base.replace(case["old"], case["new"] * case.get("times", 1))
    return str(text).encode(case.get("encoding", "utf-8"))


def test_the_base_is_a_legal_suite(tmp_path: Path) -> None:
    path = tmp_path / "quick.toml"
    path.write_text(TABLE["base"], encoding="utf-8")
    assert load_suite(path)[0].name == "quick"


def test_every_case_changes_the_base_in_one_place() -> None:
    assert len(TABLE["case"]) >= 30
    assert len({case["id"] for case in TABLE["case"]}) == len(TABLE["case"])
    for case in TABLE["case"]:
        assert "text" in case or TABLE["base"].count(case["old"]) == 1, case["id"]


@pytest.mark.parametrize("case", TABLE["case"], ids=lambda case: str(case["id"]))
def test_a_malformed_suite_is_refused(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "quick.toml"
    path.write_bytes(content(case))
    with pytest.raises(UsageError) as caught:
        load_suite(path)
    message = str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE
    assert all(line.startswith(f"{path}: ") for line in message.splitlines())
    for fragment in case["expected"]:
        assert fragment in message
    assert message.replace("\n", "").isprintable()
    assert len(message) < 2000

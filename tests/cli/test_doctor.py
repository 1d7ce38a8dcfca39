"""``hpbench doctor`` as people and programs see it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpbench.cli.doctor import facts_text
from hpbench.doctor import facts
from hpbench.environment import find_compiler
from hpbench.strategies import EXTRAS, LEFT_OUT, REGISTRY


def test_on_a_machine_that_works_everything_is_tried(call: Callable[..., Any]) -> None:
    answer = call("doctor", "--json")
    found = json.loads(answer.out)
    assert answer.code == 0, [check for check in found["checks"] if check["state"] == "failed"]
    assert found["healthy"] is True
    checks = {check["name"]: check for check in found["checks"]}
    for name in ("cache", "store", "torch", "reference"):
        assert checks[name]["state"] == "ok"
    assert checks["torch"]["found"]["torch"] == found["machine"]["libraries"]["torch"]
    if find_compiler() is None:
        assert checks["compiled"]["state"] == "skipped"
    else:
        assert 0.0 < checks["compiled"]["found"]["largest_difference"] < 1e-3
    for entry in found["strategies"]:
        assert entry["works"] is (entry["missing"] is None), entry
    assert {name.partition(":")[2] for name in checks if name.startswith("strategy:")} == {
        name for name in REGISTRY.names() if (extra := REGISTRY.extra_of(name)) is None or not extra.missing()
    }


def test_what_fails_is_said_and_the_exit_code_is_3(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    plugin = tmp_path / "own.py"
    plugin.write_text(
        "from hpbench.strategies import REGISTRY\n"
        "from hpbench.strategies.random import RandomStrategy\n"
        "class Broken(RandomStrategy):\n"
        "    def ask(self):\n"
        "        raise RuntimeError('out of \\x1b[2J ink')\n"
        "REGISTRY.add('own-broken', Broken)\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("COLUMNS", "60")
    try:
        answer = call("doctor", "--plugin", plugin)
        count = sum(
            extra is None or not extra.missing() for extra in map(REGISTRY.extra_of, REGISTRY.names())
        )
    finally:
        REGISTRY.reset()
    lines = answer.out.splitlines()
    assert answer.code == 3
    assert "C compiler          none: install gcc or clang, or set CC" in lines
    assert re.fullmatch(r"Self-test: \d+\.\d s of work, \d+\.\d s of importing\.", lines[-2])
    assert lines[-1] == "2 checks failed: cache, own-broken."
    assert any(line.startswith("  FAILED  cache folder") for line in lines)
    assert any(line.startswith("  FAILED  own-broken") for line in lines)
    assert any(line.startswith("  skipped compiled training") for line in lines)
    assert any(line.startswith("  ok      training") for line in lines)
    assert any(f"{count - 1} of {count} made a proposal" in line for line in lines)
    assert "out of \ufffd[2J ink" in answer.out
    assert all(len(line) <= 60 for line in lines if str(tmp_path) not in line)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_text_fits_the_terminal_and_names_everything(width: int) -> None:
    found = facts(workers=1)
    found["cache"] = "/cache"
    for entry in found["strategies"]:  # as without any extra
        extra = REGISTRY.extra_of(entry["name"])
        entry["missing"] = None if extra is None else extra.name
    found["missing"] = [
        {
            "extra": extra.name,
            "install": f"pip install 'hpbench[{extra.name}]'",
            "brings": [name for name in REGISTRY.builtin if REGISTRY.extra_of(name) is extra],
        }
        for extra in EXTRAS.values()
    ]
    text = "\n".join(facts_text(found, width))
    assert all(len(line) <= width for line in text.splitlines())
    words = text.replace(",", " ").split()
    assert set(REGISTRY.builtin) | set(LEFT_OUT) <= set(words)
    assert all(f"pip install 'hpbench[{extra.name}]'" in text for extra in EXTRAS.values())
    assert words.count("1") >= 1
    assert "1 worker of 1 thread" in " ".join(words)

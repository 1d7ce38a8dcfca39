"""A tiny study and the means to call the command line as a program does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hpbench.cli import run_program

SUITE = """
schema = 1
name = "tiny"
root_seed = 3
repetitions = 2
budget = { trials = 2 }

[[tasks]]
dataset = "iris"
network = "mlp"
epochs = 1

[[strategies]]
use = "random"

[[strategies]]
use = "default"
label = "Default"

[[strategies]]
use = "skopt-gp"
"""


@dataclass(frozen=True)
class Answer:
    """What a call of the program gave."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the command line in this process."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # put back what run_program sets

    def run(*arguments: object) -> Answer:
        code = run_program([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


@pytest.fixture
def suite_file(tmp_path: Path) -> Path:
    """A suite that trains in a moment."""
    path = tmp_path / "tiny.toml"
    path.write_text(SUITE, encoding="utf-8")
    return path

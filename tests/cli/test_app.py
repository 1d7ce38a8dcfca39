from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete

from hpbench import __version__
from hpbench.cli import cli
from hpbench.errors import (
    ExitCode,
    HpbenchError,
    LockedError,
    MissingExtraError,
    ReplayError,
    StoreError,
    UsageError,
)


def raising(error: BaseException) -> click.Command:
    """Return a command that raises ``error``."""

    @click.command("raise")
    def command() -> None:
        raise error

    return command


@pytest.fixture
def raise_in_command(
    monkeypatch: pytest.MonkeyPatch, call: Callable[..., Any]
) -> Callable[[BaseException], Any]:
    """Call a command that raises what it is given."""

    def run(error: BaseException) -> Any:
        monkeypatch.setitem(cli.commands, "raise", raising(error))
        return call("raise")

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("the message"), 2),
        (MissingExtraError("the message", "parquet"), 2),
        (ReplayError("the message"), 3),
        (StoreError("the message"), 4),
        (LockedError("the message"), 5),
        (HpbenchError("the message"), 1),
    ],
)
def test_an_error_of_ours_is_one_message_and_its_exit_code(
    raise_in_command: Callable[[BaseException], Any], error: HpbenchError, code: int
) -> None:
    answer = raise_in_command(error)
    assert answer.code == code
    assert answer.out == ""
    assert answer.err.startswith("hpbench: the message")
    assert "Traceback" not in answer.err
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort(), EOFError()])
def test_an_interruption_is_130(
    raise_in_command: Callable[[BaseException], Any], error: BaseException
) -> None:
    answer = raise_in_command(error)
    assert answer.code == ExitCode.INTERRUPTED == 130
    assert answer.err.strip() == "hpbench: interrupted."


def test_a_message_cannot_steer_the_terminal(raise_in_command: Callable[[BaseException], Any]) -> None:
    answer = raise_in_command(UsageError("bad \x1b[2J name\nsecond line"))
    assert answer.err == "hpbench: bad \ufffd[2J name\nsecond line\n"


def test_the_table_of_exit_codes() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "COMPLETE": 0,
        "INTERNAL": 1,
        "USAGE": 2,
        "FAILED_CELLS": 3,
        "STORE": 4,
        "LOCKED": 5,
        "INTERRUPTED": 130,
        "TERMINATED": 143,
    }


def test_what_is_unexpected_leaves_a_traceback_and_how_to_report_it(tmp_path: Path) -> None:
    plugin = tmp_path / "broken.py"  # it breaks hpbench itself, whose own fault looks the same
    plugin.write_text(
        "import hpbench.suite\nhpbench.suite.bundled_suites = lambda: 1 / 0\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "hpbench", "list", "suites", "--plugin", str(plugin)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.INTERNAL == 1
    assert "ZeroDivisionError" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("This is a fault of hpbench, not of your input.")
    assert __version__ in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["--nope"],
        ["list"],
        ["list", "nope"],
        ["run"],
        ["run", "a", "b"],
        ["run", "smoke", "--workers", "0"],
        ["run", "smoke", "--workers", "many"],
        ["run", "smoke", "--trainer", "nope"],
        ["report"],
        ["report", "/no/such/place"],
        ["export", "."],
        ["show", "nope"],
        ["show", "task", "digits"],
    ],
)
def test_wrong_arguments_are_2(call: Callable[..., Any], arguments: list[str]) -> None:
    answer = call(*arguments)
    assert answer.code == 2
    assert "Usage: hpbench" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize(
    "words", [[], *([name] for name in cli.commands), ["show", "task"], ["show", "strategy"]]
)
def test_every_command_explains_itself(call: Callable[..., Any], words: list[str], flag: str) -> None:
    answer = call(*words, flag)
    assert answer.code == 0
    assert answer.out.startswith(f"Usage: {' '.join(['hpbench', *words])}")


def test_the_version(call: Callable[..., Any]) -> None:
    assert call("--version").out == f"hpbench {__version__}\n"


def test_help_stays_as_scripts_and_people_know_it(golden: Callable[[str, Any], None]) -> None:
    golden("command_line.json", {" ".join(path): described(command) for path, command in commands(cli, ())})


def commands(group: click.Group, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], click.Command]]:
    """Return every command below ``group`` with the words that call it."""
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
        else:
            found.append(((*path, name), command))
    return found


def described(command: click.Command) -> dict[str, Any]:
    """Return what the help of a command says, whatever click's layout."""
    parameters = {}
    for parameter in command.params:
        meaning = parameter.help if isinstance(parameter, click.Option) else None
        parameters[" ".join(parameter.opts)] = [parameter.metavar, meaning, parameter.required]
    return {"help": inspect.cleandoc(command.help or "").splitlines(), "parameters": parameters}


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        ([], "re", ["report"]),
        (["run"], "sm", ["small", "smoke"]),
        (["plan"], "st", ["standard"]),
        (["list"], "net", ["networks"]),
        (["show", "task"], "dig", ["digits"]),
        (["show", "task", "digits"], "m", ["mlp"]),
        (["show", "strategy"], "skopt-g", ["skopt-gbrt", "skopt-gp", "skopt-gp-ei"]),
        (
            ["run", "smoke", "--only"],
            "iris",
            [f"iris-mlp/{name}/*" for name in ("default", "random", "grid", "sobol", "genetic", "skopt-gp")],
        ),
        (["run", "nowhere.toml", "--only"], "", []),
        (["run", "smoke", "--trainer"], "c", ["cohort"]),
    ],
)
def test_the_shell_completes_names(words: list[str], incomplete: str, expected: list[str]) -> None:
    completer = ShellComplete(cli, {}, "hpbench", "_HPBENCH_COMPLETE")
    found = [item.value for item in completer.get_completions(words, incomplete) if item.type == "plain"]
    assert found == expected


def test_options_come_from_the_environment_too(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPBENCH_PLAN_ONLY", "iris-mlp/random/1")
    assert "1 run, at most 4 trials" in call("plan", "smoke").out
    monkeypatch.setenv("HPBENCH_RUN_WORKERS", "none")
    assert call("run", "smoke").code == 2


@pytest.mark.parametrize(
    ("variable", "words", "told"),
    [
        ("HPBENCH_LIST_JSON=1", "list networks", '"name": "mlp"'),
        ("HPBENCH_LIST_PLUGIN=nowhere.py", "list networks", "--plugin must name a Python file"),
        ("HPBENCH_COMPARE_FAIL_IF_WORSE=7", "compare . .", "'--fail-if-worse': 7.0 is not in the range"),
        ("HPBENCH_SHOW_DATA_SUBSET=5", "show data iris", "`subset` must be at least 9"),
        ("HPBENCH_VERSION=1", "list networks", "vectors and images"),
    ],
)
def test_a_variable_is_named_as_its_option_is_written(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, variable: str, words: str, told: str
) -> None:
    monkeypatch.setenv(*variable.split("="))
    answer = call(*words.split())
    assert told in answer.out + answer.err


def test_a_reader_that_leaves_early_makes_no_noise() -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = f"{sys.executable} -m hpbench show strategy skopt-gp | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stderr == ""

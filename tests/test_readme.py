"""The README says what there is, and what it says is so."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from hpbench import __version__, plugins
from hpbench.canonical import KEYS
from hpbench.cli import cli, run_program
from hpbench.errors import ExitCode
from hpbench.export import FORMAT, FORMAT_VERSION
from hpbench.strategies import REGISTRY as STRATEGIES
from hpbench.suite import Suite, SuiteStrategy, SuiteTask, bundled_suites, parse_suite
from hpbench.suite.models import Limits
from hpbench.tasks.datasets import REGISTRY as DATASETS
from hpbench.tasks.families import REGISTRY as FUNCTIONS
from hpbench.tasks.networks import REGISTRY as NETWORKS
from hpbench.trial import Status

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SET_UP = (
    "pip install -c constraints.txt . && hpbench run suites/small.toml",
    "pip install -c constraints.txt nox && nox -s tests",
)


def first_cells() -> set[str]:
    """Return every name in backquotes that begins a row of a table."""
    rows = re.findall(r"^\| (`[^|]*) \|", README, flags=re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "names",
    [STRATEGIES.names(), NETWORKS.names(), DATASETS.names(), FUNCTIONS.names(), list(bundled_suites())],
)
def test_every_name_has_its_row(names: list[str]) -> None:
    assert set(names) <= first_cells()


def commands(group: click.Group, words: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{words} {name}")
        else:
            yield f"{words} {name}", command


def test_every_command_and_option_is_shown() -> None:
    (synopsis,) = [block for block in blocks("text") if block.startswith("hpbench run")]
    entries = dict.fromkeys(re.split(r"\n(?=hpbench)", synopsis.strip()))
    for words, command in commands(cli, "hpbench"):
        (entry,) = [entry for entry in entries if entry.startswith(f"{words} ")]
        options = {name for item in command.params if isinstance(item, click.Option) for name in item.opts}
        assert options == set(re.findall(r"--[a-z][a-z-]*", entry)), words


def test_every_key_of_a_suite_is_explained() -> None:
    def keys(model: type[BaseModel], prefix: str = "") -> set[str]:
        return {f"{prefix}{field.alias or name}" for name, field in model.model_fields.items()}

    nested = keys(Suite) - {"limits", "tasks", "strategies"}
    expected = (
        nested | keys(Limits, "limits.") | keys(SuiteTask, "tasks.") | keys(SuiteStrategy, "strategies.")
    )
    assert expected <= first_cells()


def test_the_suite_in_the_text_is_legal() -> None:
    (text,) = blocks("toml")
    suite = parse_suite(text)
    assert suite.name == "mine"
    assert suite.tasks[0].name == "digits-mlp"


def test_every_key_of_a_trial_is_explained_in_order() -> None:
    section = README[README.index("## The format of the trials") :]
    rows = re.findall(r"^\| (`[^|]*) \|", section[: section.index("\n## Your own")], flags=re.MULTILINE)
    assert tuple(name for row in rows for name in re.findall(r"`([^`]+)`", row)) == KEYS
    assert f"`{FORMAT}` with\n`format_version` {FORMAT_VERSION} " in section


def test_every_status_and_exit_code_is_explained() -> None:
    assert all(f"`{status}`" in README for status in Status)
    rows = re.findall(r"^\| ([\d, ]+) \|", README, flags=re.MULTILINE)
    assert [int(code) for row in rows for code in row.split(",")] == [int(code) for code in ExitCode]


def test_the_two_set_up_commands_are_what_continuous_integration_runs() -> None:
    shown = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("pip install")]
    assert tuple(shown) == SET_UP
    assert SET_UP[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert SET_UP[1] in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def test_the_plugin_in_the_text_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    plugin, suite = tmp_path / "readme_plugin.py", tmp_path / "own.toml"
    (text,) = [block for block in blocks("python") if 'REGISTRY.add("learning-rate-only"' in block]
    plugin.write_text(text, encoding="utf-8")
    suite.write_text(
        'schema = 1\nname = "own"\nroot_seed = 1\nrepetitions = 1\nbudget = { trials = 2 }\n'
        'tasks = [{ dataset = "iris", network = "mlp", epochs = 1 }]\n'
        'strategies = [{ use = "learning-rate-only", options = { spread = 0.5 } }]\n',
        encoding="utf-8",
    )
    words = ["run", suite, "--plugin", plugin, "--results", tmp_path / "out", "--workers", "1"]
    try:
        assert run_program([str(word) for word in words]) == 0
    finally:
        STRATEGIES.reset()
    assert "2/2 trials | iris-mlp/learning-rate-only" in capsys.readouterr().out


def own_network() -> tuple[str, str]:
    """Return the network of the text, and the test module that goes with it."""
    (network,) = [block for block in blocks("python") if "NetworkFamily(" in block]
    (kit,) = [block for block in blocks("python") if "NetworkConformance" in block]
    return network, kit


SMALL_STUDY = """
schema = 1
name = "own-network"
root_seed = 1
repetitions = 1
budget = { trials = 2 }
trainer = "cohort"
[[tasks]]
dataset = "iris"
network = "gated"
epochs = 1
space = { width = [8, 16], batch_size = 32, optimizer = "adam", dropout = 0.1, l1 = 1e-6 }
[[strategies]]
use = "random"
"""
TOLD = "family 'gated' cannot train in cohorts: trained by the reference trainer"


def test_the_network_in_the_text_is_short_and_works_as_a_plugin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    plugin, suite, out = tmp_path / "gated.py", tmp_path / "own.toml", tmp_path / "out"
    plugin.write_text(own_network()[0], encoding="utf-8")
    assert len(own_network()[0].splitlines()) < 25
    assert len([line for line in own_network()[0].splitlines() if line.strip()]) < 20
    suite.write_text(SMALL_STUDY, encoding="utf-8")
    try:
        for words in (
            ["plan", suite, "--plugin", plugin],
            ["show", "task", "digits", "gated", "--plugin", plugin],
            ["run", suite, "--plugin", plugin, "--results", out, "--workers", "1"],
        ):
            assert run_program([str(word) for word in words]) == 0
    finally:
        NETWORKS.reset()
        plugins.reset()
    told = capsys.readouterr().out
    assert f"iris-gated: plain steps ({TOLD})" in told
    assert "Network gated: 9 hyperparameters" in told
    assert "2/2 trials | iris-gated/random: best validation accuracy" in told
    assert TOLD in html.unescape((out / "report.html").read_text(encoding="utf-8"))


def test_the_network_in_the_text_works_as_an_installed_package(tmp_path: Path) -> None:
    about = tmp_path / "gated_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: gated-package\nVersion: 1.0\n", encoding="utf-8"
    )
    (about / "entry_points.txt").write_text("[hpbench.networks]\ngated = gated:GATED\n", encoding="utf-8")
    lines = own_network()[0].splitlines(keepends=True)
    assert lines[-1] == 'REGISTRY.add("gated", GATED)\n'
    (tmp_path / "gated.py").write_text("".join(lines[:-1]), encoding="utf-8")
    (tmp_path / "own.toml").write_text(
        SMALL_STUDY.replace("cohort", "reference") + 'label = "Random"\n', encoding="utf-8"
    )
    done = in_folder(tmp_path, "hpbench", "run", "own.toml", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "2/2 trials | iris-gated/random" in done.stdout


def test_the_network_in_the_text_passes_the_kit_as_the_text_says(tmp_path: Path) -> None:
    network, kit = own_network()
    (tmp_path / "gated.py").write_text(network, encoding="utf-8")
    (tmp_path / "test_gated.py").write_text(kit, encoding="utf-8")
    done = in_folder(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "test_gated.py")
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b9 passed, 2 skipped", done.stdout), done.stdout


OWN_TASK_STUDY = """
schema = 1
name = "own-task"
root_seed = 1
repetitions = 1
budget = { trials = 3 }
tasks = [{ function = "wine-svm", space = { C = [0.1, 100.0] } }]
strategies = [{ use = "random" }, { use = "sobol" }]
"""
OWN_TASK_KIT = """
from hpbench.tasks.base import TaskSpec
from hpbench.testing.task_kit import TaskConformance

import support_vectors


class TestSupportVectors(TaskConformance):
    task = support_vectors.SupportVectors
    options = {"spec": TaskSpec("wine-svm", "", "", 1, support_vectors.SPACE, function="wine-svm")}
    resumes = False
"""


def test_the_task_in_the_text_is_short_works_as_a_plugin_and_passes_the_kit(tmp_path: Path) -> None:
    (text,) = [block for block in blocks("python") if "TaskFamily(" in block]
    assert len([line for line in text.splitlines() if line.strip()]) < 20
    for name, content in (
        ("support_vectors.py", text),
        ("own.toml", OWN_TASK_STUDY),
        ("test_own.py", OWN_TASK_KIT),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
    plugin = ("--plugin", "support_vectors.py")
    listed = in_folder(tmp_path, "hpbench", "list", "functions", *plugin)
    assert re.search(r"wine-svm +2 hyperparameters$", listed.stdout, flags=re.MULTILINE), listed
    done = in_folder(tmp_path, "hpbench", "run", "own.toml", *plugin, "--workers", "1", "--results", "out")
    assert done.returncode == 0, done.stderr
    assert "6/6 trials" in done.stdout
    assert "best validation accuracy" in done.stdout
    kit = in_folder(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "test_own.py")
    assert kit.returncode == 0, kit.stdout


def in_folder(folder: Path, module: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Return what a module of Python says, run in a folder whose modules and packages it finds."""
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_script_in_the_text_runs_word_for_word(tmp_path: Path) -> None:
    script = tmp_path / "look.py"
    (text,) = [block for block in blocks("python") if "import hpbench\n" in block]
    script.write_text(text, encoding="utf-8")
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "trials" in done.stdout
    assert (tmp_path / "best.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "results" / "smoke" / "report.html").exists()


def test_links_lead_to_files() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_the_version_to_cite_is_this_one() -> None:
    assert f"version = {{{__version__}}}" in README


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.startswith("# Changelog\n")
    assert "## [Unreleased]" in text


def project() -> dict[str, list[str]]:
    """Return the requirements of pyproject.toml: the core, extras and groups."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = {"core": content["project"]["dependencies"]}
    extras = content["project"]["optional-dependencies"]
    peers = extras.pop("peers")
    assert peers == [f"hpbench[{','.join(sorted(set(extras) - {'parquet'}))}]"]
    return found | extras | content["dependency-groups"]


def test_constraints_pin_every_requirement_exactly_and_nothing_else_of_the_machine() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[0-9][0-9a-z.]*", pin) for pin in pins)
    names = [pin.partition("==")[0] for pin in pins]
    assert names == sorted(set(names))
    required = {re.split(r"[<>=~! \[]", item)[0].lower() for group in project().values() for item in group}
    assert required | {"nox"} <= set(names)
    assert "torch==2.13.0" in pins


def test_constraints_lie_within_the_ranges() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))

    def parts(version: str) -> list[int]:
        return [int(part) for part in version.split(".") if part.isdigit()]

    for items in project().values():
        for item in items:
            name, _, low = item.partition(">=")
            assert not low or parts(pins[name.partition("[")[0]]) >= parts(low), item

"""Suites are found as files or by name, and what is no suite file is said so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hpbench.errors import UsageError
from hpbench.strategies import EXTRAS
from hpbench.suite import Suite, bundled_suites, load_suite, parse_suite, space_of
from hpbench.tasks import networks

SUITE = """
name = "quick"
root_seed = 7
repetitions = 2
budget = { trials = 3 }
[[tasks]]
dataset = "iris"
network = "mlp"
epochs = 2
[[strategies]]
use = "random"
"""


EXTRAS_MISSING = any(extra.missing() for extra in EXTRAS.values())


def write(folder: Path, text: str = SUITE, name: str = "quick.toml") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def message(path: str | Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_suite(path)
    return str(caught.value)


# ---- the bundled suites


def test_the_bundled_suites() -> None:
    assert {"small", "smoke", "standard"} <= set(bundled_suites())


@pytest.mark.parametrize("name", sorted(bundled_suites()))
def test_a_bundled_suite_can_be_used(name: str) -> None:
    if name == "peers" and EXTRAS_MISSING:
        assert "pip install 'hpbench[" in message(name)
        return
    suite, text = load_suite(name)
    assert suite.name == name
    assert text == bundled_suites()[name].read_text(encoding="utf-8")
    assert suite.description
    assert Suite.of(suite.resolved()) == suite


@pytest.mark.parametrize("name", ["small", "smoke", "standard"])
def test_every_strategy_can_search_the_first_suites(name: str) -> None:
    for task in load_suite(name)[0].tasks:
        assert not space_of(task).conditional


@pytest.mark.parametrize("name", ["small", "smoke", "standard"])
def test_the_first_suites_explain_their_keys(name: str) -> None:
    lines = bundled_suites()[name].read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert sum("#" in line for line in lines) >= 15
    assert max(map(len, lines)) <= 110


def test_the_small_suite_is_the_main_job() -> None:
    suite, _ = load_suite("small")
    assert suite.budget.trials == 20
    assert suite.repetitions == 10
    assert {task.network for task in suite.tasks} == {"cnn", "mlp"}
    assert {entry.use for entry in suite.strategies} == {"genetic", "grid", "random", "skopt-gp"}


def test_the_standard_suite_is_large_enough_for_a_paper() -> None:
    suite, _ = load_suite("standard")
    assert suite.repetitions >= 20
    assert (suite.budget.trials or 0) >= 50
    assert len(suite.tasks) >= 6


def test_bundled_suites_are_found_inside_an_installed_package(tmp_path: Path) -> None:
    package = tmp_path / "site" / "hpbench"
    source = Path(str(sys.modules["hpbench"].__file__)).parent
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__", "suites"))
    (package / "suites").mkdir(exist_ok=True)
    write(package / "suites", name="mine.toml")
    code = "from hpbench.suite import bundled_suites; print(sorted(bundled_suites()))"
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=tmp_path,
    )
    assert done.stdout.strip() == "['mine']"


# ---- finding


def test_a_file_is_read(tmp_path: Path) -> None:
    suite, text = load_suite(write(tmp_path))
    assert suite.name == "quick"
    assert text == SUITE


def test_a_file_wins_over_a_bundled_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, name="small")
    assert load_suite("small")[0].name == "quick"


def test_a_bundled_name_wins_over_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    assert load_suite("small")[0].name == "small"


def test_a_missing_name_is_answered_with_the_nearest() -> None:
    assert message("smal") == (
        "smal: no such file, and no bundled suite of that name. Did you mean 'small'? "
        f"Bundled: {', '.join(bundled_suites())}."
    )


def test_a_missing_path_to_a_bundled_suite_is_answered_with_its_name(tmp_path: Path) -> None:
    assert "Did you mean the bundled suite 'small'?" in message(tmp_path / "suites" / "small.toml")


def test_a_missing_file_far_from_any_name_lists_them(tmp_path: Path) -> None:
    assert "Bundled: " in message(tmp_path / "qqqqqqqq.toml")


@pytest.mark.parametrize("name", ["", "\0", "a" * 5000, "no\x1b[31mthing", "../.."])
def test_hostile_names_are_answered(name: str) -> None:
    answer = message(name)
    assert answer.isprintable()
    assert len(answer) < 1000


def test_a_folder_is_no_suite(tmp_path: Path) -> None:
    assert message(tmp_path).endswith("a suite must be a TOML file, got a folder.")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert message(tmp_path / "pipe").endswith("a suite must be a TOML file, got a special file.")


def test_a_link_in_a_circle_is_answered(tmp_path: Path) -> None:
    (tmp_path / "loop.toml").symlink_to(tmp_path / "loop.toml")
    assert str(tmp_path / "loop.toml") in message(tmp_path / "loop.toml")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_answered(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.chmod(0)
    assert "the file cannot be read: Permission denied." in message(path)


def test_a_file_that_cannot_be_read_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert message(path) == f"{path}: the file cannot be read: Permission denied."


# ---- text


def test_the_mark_before_utf_8_is_ignored(tmp_path: Path) -> None:
    suite, text = load_suite(write(tmp_path, f"\ufeff{SUITE}"))
    assert suite.name == "quick"
    assert text == SUITE


def test_line_ends_of_other_systems_are_fine(tmp_path: Path) -> None:
    suite, text = load_suite(write(tmp_path, SUITE.replace("\n", "\r\n")))
    assert suite.name == "quick"
    assert text == SUITE


def test_text_without_a_file_is_parsed() -> None:
    assert parse_suite(SUITE).tasks[0].name == "iris-mlp"
    with pytest.raises(UsageError, match=r"^a suite must be valid TOML"):
        parse_suite("=")


@pytest.mark.parametrize("path", [Path("x/y.toml"), "x/y.toml"])
def test_a_file_is_named_as_it_was_given(path: str | Path) -> None:
    assert message(path).startswith(f"{path}: ")


# ---- what only building finds


def test_a_network_of_images_refuses_vectors(tmp_path: Path) -> None:
    path = write(tmp_path, SUITE.replace('"mlp"', '"cnn"'))
    assert message(path) == (
        f"{path}: network 'cnn' needs images of shape (channels, height, width), but data set 'iris' has inputs "
        "of shape (4,) (tasks[0].network)."
    )


def test_options_are_tried_on_the_tasks(tmp_path: Path) -> None:
    text = SUITE.replace('"random"', '"grid"\noptions = { levels = { channels = 3 } }')
    answer = message(write(tmp_path, text))
    assert "strategy 'grid' on task 'iris-mlp': unknown hyperparameter 'channels'" in answer
    assert answer.endswith("(strategies[0].options).")


def test_a_pairing_that_the_plan_refuses_is_left_to_the_plan(tmp_path: Path) -> None:
    assert networks.REGISTRY.get("mlp").space.conditional
    suite, _ = load_suite(write(tmp_path, SUITE.replace('"random"', '"skopt-gp"')))
    assert suite.strategies[0].use == "skopt-gp"

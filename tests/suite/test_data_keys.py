"""What a task says of its data: paths relative to the suite, target, shape, subset."""

from __future__ import annotations

import pickle
import tomllib
from pathlib import Path

import numpy as np
import pytest

from hpbench.suite import Suite, SuiteError, load_suite
from hpbench.tasks import datasets

SUITE = """
schema = 1
name = "own"
root_seed = 4
repetitions = 1
budget = { trials = 1 }
tasks = [{ dataset = "file:data/flowers.csv", target = "kind", network = "mlp", epochs = 1, subset = 30 }]
strategies = [{ use = "random" }]
"""
TABLE = "length,kind\n" + "".join(f"{row},{'rose' if row % 2 else 'lily'}\n" for row in range(60))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A suite in a folder, its data in a folder below."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "flowers.csv").write_text(TABLE, encoding="utf-8")
    path = tmp_path / "own.toml"
    path.write_text(SUITE, encoding="utf-8")
    return path


def with_keys(keys: str) -> str:
    return SUITE.replace('target = "kind"', keys)


def problems(text: str) -> str:
    with pytest.raises(SuiteError) as caught:
        Suite.of(tomllib.loads(text))
    return str(caught.value)


def test_a_path_begins_where_the_suite_lies(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, _ = load_suite(path)
    monkeypatch.chdir("/")
    spec = pickle.loads(pickle.dumps(suite.task_spec("flowers-mlp", device="cpu")))  # noqa: S301 - our own
    found = datasets.load(spec.data)
    assert spec.data == suite.data(suite.tasks[0])
    assert (found.name, len(found), found.class_names) == ("file:flowers.csv", 30, ("lily", "rose"))
    assert spec.folder == str(tmp_path.resolve())


def test_a_suite_given_by_a_relative_path_keeps_its_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    suite, _ = load_suite("own.toml")
    monkeypatch.chdir("/")
    assert len(datasets.load(suite.data(suite.tasks[0]))) == 30


def test_the_folder_is_no_part_of_the_suite(path: Path) -> None:
    suite, _ = load_suite(path)
    assert suite.digest() == Suite.of(suite.resolved()).digest()
    assert str(path.parent) not in str(suite.resolved())
    assert suite.resolved()["tasks"][0]["dataset"] == "file:data/flowers.csv"


def test_a_changed_suite_keeps_its_folder(path: Path) -> None:
    suite, _ = load_suite(path)
    other = suite.replace(trainer="cohort")
    assert other.data(other.tasks[0]) == suite.data(suite.tasks[0])


def test_keys_that_are_left_out_do_not_change_a_digest() -> None:
    suite = Suite.of(
        tomllib.loads(
            SUITE.replace("file:data/flowers.csv", "iris")
            .replace(", subset = 30", "")
            .replace('target = "kind", ', "")
        )
    )
    assert not {"target", "shape", "subset"} & set(suite.resolved()["tasks"][0])


def test_checking_data_can_be_left_out(path: Path) -> None:
    (path.parent / "data" / "flowers.csv").unlink()
    suite, _ = load_suite(path, check_data=False)
    assert suite.tasks[0].subset == 30
    with pytest.raises(SuiteError, match=r"No such file .* \(tasks\[0\]\)"):
        load_suite(path)


def test_a_shape_is_a_tuple_and_comes_back_as_it_was(path: Path) -> None:
    path.write_text(
        with_keys('target = "y", shape = [1, 2, 3]')
        .replace("flowers.csv", "x.npz")
        .replace(", subset = 30", "")
    )
    np.savez(path.parent / "data" / "x.npz", x=np.arange(120.0).reshape(20, 6), y=np.arange(20) % 2)
    suite, _ = load_suite(path)
    assert suite.tasks[0].shape == (1, 2, 3)
    assert Suite.of(suite.resolved()).tasks == suite.tasks
    assert datasets.load(suite.data(suite.tasks[0])).shape == (1, 2, 3)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            "shape = 28",
            "`shape` must be a list of whole numbers, such as [1, 28, 28], got 28 (tasks[0].shape)",
        ),
        ("shape = [28]", "`shape` must be a list of at least 2 items, got a list (tasks[0].shape)"),
        ("shape = [1, 2, 3, 4]", "`shape` must be at most 3 items"),
        ("shape = [1, 0]", "`tasks[0].shape[1]` must be at least 1, got 0"),
        ("shape = [1, 2.5]", "a whole number, got 2.5"),
        ('shape = ["a", "b"]', "a whole number"),
        ("target = 3", "`target` must be a text in quotes, got 3"),
        ('target = ""', "`target` must be at least 1 character"),
        ("taget = 'kind'", "unknown key 'taget'. Did you mean 'target'?"),
    ],
)
def test_keys_of_another_type_are_refused(keys: str, expected: str) -> None:
    assert expected in problems(with_keys(keys))


def test_a_subset_of_nothing_is_refused() -> None:
    assert "`subset` must be at least 1, got 0" in problems(SUITE.replace("subset = 30", "subset = 0"))


def test_a_target_for_data_that_know_theirs_is_refused(path: Path) -> None:
    path.write_text(SUITE.replace("file:data/flowers.csv", "iris"), encoding="utf-8")
    with pytest.raises(SuiteError, match=r"`target` must be left out for data set 'iris'.*\(tasks\[0\]\)"):
        load_suite(path)


def test_a_name_that_is_nearly_known_is_guessed() -> None:
    assert "unknown data set 'fil:x.csv'. Did you mean" in problems(
        SUITE.replace("file:data/flowers.csv", "fil:x.csv")
    )

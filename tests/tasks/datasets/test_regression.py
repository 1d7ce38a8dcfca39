"""Data whose target is a number: read, checked, split and standardised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpbench.errors import UsageError
from hpbench.space import Float, SearchSpace
from hpbench.tasks import datasets
from hpbench.tasks.datasets import Dataset, DataSpec
from hpbench.tasks.datasets.splits import split
from hpbench.tasks.datasets.subsets import subset
from hpbench.tasks.networks.checks import check_smoothing

TABLE = "area,town,price\n" + "".join(f"{10 + row},{'ab'[row % 2]},{row * 0.5}\n" for row in range(40))


def written(folder: Path, content: str) -> str:
    (folder / "data.csv").write_text(content, encoding="utf-8")
    return f"file:{folder / 'data.csv'}"


def load(name: str, target: str = "price", **keys: Any) -> Dataset:
    return datasets.load(DataSpec(name, target=target, target_kind="regression", **keys))


def numbered(targets: list[float], name: str = "numbered") -> Dataset:
    return Dataset.of_numbers(name, np.arange(len(targets), dtype=np.float32)[:, None], targets)


def test_numbers_are_kept_as_they_are_and_tell_data_sets_apart() -> None:
    one, other = numbered([0.1, 0.2, 3.0]), numbered([0.1, 0.2, 3.1])
    assert one.regression
    assert (one.n_classes, one.targets.dtype, one.targets.tolist()) == (1, np.float64, [0.1, 0.2, 3.0])
    assert one.checksum != other.checksum
    assert one.strata.tolist() == [0, 0, 0]
    assert not one.targets.flags.writeable


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([1.0, np.nan, 2.0], r"finite numbers below 3\.4e38, got .*nan.* for example 2"),
        ([1.0, 2.0, 1e39], "got .*1e.39.* for example 3"),
        ([4.0, 4.0, 4.0], "must differ from one another, all 3 are 4"),
    ],
)
def test_numbers_that_cannot_be_learnt_are_refused(targets: list[float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        numbered(targets)


def test_a_column_of_numbers_is_predicted_where_the_task_says_so(tmp_path: Path) -> None:
    name = written(tmp_path, TABLE)
    found = load(name)
    assert found.regression
    assert found.targets.tolist() == [row * 0.5 for row in range(40)]
    assert [column.name for column in found.columns] == ["area", "town"]
    assert found.origin["target"] == "price"
    with pytest.raises(UsageError, match=r"must hold classes .* set `target_kind` to 'regression'"):
        datasets.load(DataSpec(name, target="price"))


def test_a_column_of_whole_numbers_is_classes_unless_the_task_says_otherwise(tmp_path: Path) -> None:
    name = written(tmp_path, "x,y\n" + "".join(f"{row},{row % 3}\n" for row in range(30)))
    assert datasets.load(DataSpec(name, target="y")).n_classes == 3
    assert load(name, "y").targets.tolist() == [float(row % 3) for row in range(30)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TABLE.replace(",a,1.0", ",a,cheap"), r"target column 'price' must hold numbers .* got 'cheap'"),
        (TABLE.replace(",a,1.0", ",a,1_0"), "must hold numbers .* got '1_0'"),
        (TABLE.replace(",a,1.0", ",a,"), "target column 'price' must have a value in every row"),
        (TABLE.replace(",a,1.0", ",a,inf"), "finite numbers below"),
        ("x,price\n1,2\n2,2\n3,2\n", "must differ from one another"),
    ],
)
def test_a_column_that_holds_something_else_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(written(tmp_path, content))


@pytest.mark.parametrize("kind", ["numbers", "texts"])
def test_an_npz_file_holds_numbers(tmp_path: Path, kind: str) -> None:
    numbers = np.linspace(0.0, 1.0, 12)
    labels = numbers if kind == "numbers" else np.array([f"{value!r}" for value in numbers.tolist()])
    np.savez(tmp_path / "data.npz", x=np.arange(24.0).reshape(12, 2), price=labels)
    np.testing.assert_array_equal(load(f"file:{tmp_path / 'data.npz'}").targets, numbers)


def test_data_that_know_their_target_take_no_kind() -> None:
    with pytest.raises(UsageError, match="`target_kind` must be left out for data set 'diabetes'"):
        datasets.load(DataSpec("diabetes", target_kind="regression"))


def test_numbers_are_standardised_by_the_training_part() -> None:
    dataset = datasets.load("diabetes")
    parts = split(dataset, root_seed=3, repetition=0, validation_fraction=0.25, test_fraction=0.2)
    assert (len(parts.train_targets), len(parts.val_targets), len(parts.test_targets)) == (244, 110, 88)
    assert parts.train_targets.dtype == np.float32
    assert parts.train_targets.mean() == pytest.approx(0.0, abs=1e-6)
    assert parts.train_targets.std() == pytest.approx(1.0, abs=1e-6)
    assert abs(parts.val_targets.mean()) > 1e-3
    every = np.concatenate([parts.train_targets, parts.val_targets, parts.test_targets]).astype(np.float64)
    slope, offset = np.polyfit(np.sort(every), np.sort(dataset.targets), 1)
    np.testing.assert_allclose(np.sort(every) * slope + offset, np.sort(dataset.targets), rtol=1e-5)


def test_a_part_of_equal_numbers_has_no_error() -> None:
    dataset = numbered([0.0] * 50 + [1.0])
    with pytest.raises(
        UsageError, match=r"part of data set 'numbered' must hold different targets, all .* are 0"
    ):
        split(dataset, root_seed=0, repetition=0, validation_fraction=0.2, test_fraction=0.2)


def test_a_subset_of_numbers_is_drawn_by_the_seed() -> None:
    dataset = datasets.load("diabetes")
    part = subset(dataset, 60, root_seed=1)
    assert (len(part), part.regression) == (60, True)
    assert set(part.targets) <= set(dataset.targets)
    assert part.checksum != subset(dataset, 60, root_seed=2).checksum
    with pytest.raises(UsageError, match=r"at least 3 \(3 examples\) and at most the 442"):
        subset(dataset, 2, root_seed=1)


@pytest.mark.parametrize("name", ["diabetes", "iris"])
def test_labels_are_smoothed_only_where_there_are_any(name: str) -> None:
    dataset = datasets.load(name)
    searched = SearchSpace((Float("label_smoothing", 0.0, 0.2),))
    fixed = SearchSpace((Float("dropout", 0.0, 0.2),), constants={"label_smoothing": 0.1})
    off = SearchSpace((Float("dropout", 0.0, 0.2),), constants={"label_smoothing": 0.0})
    check_smoothing(dataset, off)
    for space in (searched, fixed):
        if dataset.regression:
            with pytest.raises(
                UsageError, match=r"`label_smoothing` must be left out .* 'diabetes' is a regression"
            ):
                check_smoothing(dataset, space)
        else:
            check_smoothing(dataset, space)

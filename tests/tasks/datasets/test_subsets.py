"""Subsets are stratified, seeded, nested, and leave every class what a split needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpbench.errors import UsageError
from hpbench.tasks import datasets
from hpbench.tasks.datasets import Dataset, DataSpec
from hpbench.tasks.datasets.base import Column
from hpbench.tasks.datasets.subsets import subset


def numbered(counts: Sequence[int], name: str = "numbered") -> Dataset:
    targets = np.repeat(np.arange(len(counts)), counts)
    return Dataset.of(name, np.arange(len(targets), dtype=np.float32)[:, None], targets)


def numbers(data: Dataset) -> list[int]:
    return data.inputs[:, 0].astype(int).tolist()


def test_every_class_keeps_its_share_and_the_order_stays() -> None:
    found = subset(numbered([300, 500, 200]), 100, root_seed=1)
    assert np.bincount(found.targets).tolist() == [30, 50, 20]
    assert numbers(found) == sorted(numbers(found))
    assert (found.name, found.n_classes) == ("numbered", 3)


@given(counts=st.lists(st.integers(1, 200), min_size=2, max_size=12), data=st.data())
def test_any_size_is_met_exactly_and_leaves_three_of_each_class(
    counts: list[int], data: st.DataObject
) -> None:
    least = np.minimum(counts, 3)
    size = data.draw(st.integers(int(least.sum()), sum(counts)))
    found = np.bincount(subset(numbered(counts), size, root_seed=0).targets, minlength=len(counts))
    assert found.sum() == size
    assert (found >= least).all()
    assert (found <= counts).all()


def test_a_class_that_is_rare_keeps_three() -> None:
    assert np.bincount(subset(numbered([1000, 5]), 50, root_seed=1).targets).tolist() == [47, 3]


def test_the_seed_and_the_name_decide() -> None:
    data = numbered([50, 50])
    chosen = numbers(subset(data, 20, root_seed=1))
    assert chosen == numbers(subset(data, 20, root_seed=1))
    assert chosen != numbers(subset(data, 20, root_seed=2))
    assert chosen != numbers(subset(numbered([50, 50], "other"), 20, root_seed=1))


def test_subsets_are_those_of_every_study() -> None:
    """The examples, so that a change of the algorithm cannot go unseen."""
    assert numbers(subset(numbered([10, 15]), 7, root_seed=1)) == [4, 7, 8, 12, 15, 16, 17]


def test_a_small_subset_lies_in_a_large_one() -> None:
    data = numbered([60, 40])
    small, large = subset(data, 20, root_seed=1), subset(data, 50, root_seed=1)
    assert set(numbers(small)) < set(numbers(large))


def test_all_examples_are_a_subset_too() -> None:
    data = numbered([20, 30])
    assert subset(data, 50, root_seed=1).checksum == data.checksum


@pytest.mark.parametrize("size", [0, 5, 51])
def test_a_size_that_cannot_be_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match=rf"at least 6 .* at most the 50 examples .* got {size}\."):
        subset(numbered([20, 30]), size, root_seed=1)


def test_columns_names_and_origin_go_along() -> None:
    data = Dataset.of("t", [[0.0], [np.nan]] * 10, [0, 1] * 10, columns=[Column("colour", ("blue", "red"))])
    found = subset(data, 8, root_seed=1)
    assert found.columns == data.columns
    assert found.shape == (2,)


def test_a_task_asks_for_one_by_its_data() -> None:
    found = datasets.load(DataSpec("digits", subset=300, root_seed=5))
    assert len(found) == 300
    assert found is datasets.load(DataSpec("digits", subset=300, root_seed=5, folder="/elsewhere"))
    assert found.checksum != datasets.load(DataSpec("digits", subset=300, root_seed=6)).checksum
    assert datasets.load(DataSpec("digits", root_seed=5)) is datasets.load("digits")

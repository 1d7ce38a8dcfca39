"""Folds are disjoint, complete, stratified, and leave the test part of a holdout alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpbench.errors import UsageError
from hpbench.tasks import datasets
from hpbench.tasks.datasets import Dataset
from hpbench.tasks.datasets.splits import Split, cross_validation, split, splits


def coded(counts: list[int], name: str = "coded") -> Dataset:
    """Return a data set whose only feature is the example's own number, ``counts[c]`` of each class."""
    targets = np.repeat(np.arange(len(counts)), counts)
    return Dataset.of(name, np.arange(len(targets), dtype=np.float32)[:, None], targets)


def places(dataset: Dataset, folds: tuple[Split, ...]) -> list[tuple[list[int], list[int], list[int]]]:
    """Return the places of the examples of each fold's parts, standardisation undone."""
    found = []
    for fold in folds:
        sizes = [len(fold.train_targets), len(fold.val_targets), len(fold.test_targets)]
        every = np.concatenate([fold.train_inputs, fold.val_inputs, fold.test_inputs])[:, 0].astype(
            np.float64
        )
        spread = (every.max() - every.min()) / (len(dataset) - 1)
        order = np.rint((every - every.min()) / spread).astype(int)
        train, val, test = np.split(order, np.cumsum(sizes)[:-1])
        found.append((train.tolist(), val.tolist(), test.tolist()))
    return found


@given(
    st.lists(st.integers(9, 40), min_size=2, max_size=5),
    st.integers(2, 6),
    st.sampled_from([0.1, 0.2, 0.3]),
    st.integers(0, 3),
)
def test_every_example_is_tested_or_validated_once(
    counts: list[int], folds: int, test_fraction: float, repetition: int
) -> None:
    dataset = coded(counts)
    made = cross_validation(
        dataset, root_seed=1, repetition=repetition, folds=folds, test_fraction=test_fraction
    )
    found = places(dataset, made)
    tested = found[0][2]
    assert all(test == tested for _, _, test in found)
    validated = [place for _, val, _ in found for place in val]
    assert sorted([*validated, *tested]) == list(range(len(dataset)))
    for train, val, _ in found:
        assert sorted([*train, *val, *tested]) == list(range(len(dataset)))
    sizes = [len(val) for _, val, _ in found]
    assert max(sizes) - min(sizes) <= 1
    classes = np.array([np.bincount(fold.val_targets, minlength=len(counts)) for fold in made])
    assert (classes.max(axis=0) - classes.min(axis=0)).max() <= 1
    assert classes.min() >= 1
    for fraction in (0.1, 0.4):
        held = split(
            dataset,
            root_seed=1,
            repetition=repetition,
            validation_fraction=fraction,
            test_fraction=test_fraction,
        )
        assert places(dataset, (held,))[0][2] == tested


def test_each_fold_is_standardised_by_its_own_training_part() -> None:
    for name in ("wine", "diabetes"):
        dataset = datasets.load(name)
        for fold in cross_validation(dataset, root_seed=0, repetition=0, folds=5, test_fraction=0.2):
            np.testing.assert_allclose(fold.train_inputs.mean(axis=0), 0.0, atol=1e-5)
            np.testing.assert_allclose(fold.train_inputs.std(axis=0), 1.0, atol=1e-4)
            if dataset.regression:
                assert fold.train_targets.mean() == pytest.approx(0.0, abs=1e-6)
                assert abs(fold.val_targets.mean()) > 1e-6


def test_repetitions_and_seeds_deal_otherwise() -> None:
    dataset = coded([30, 40])
    keys = [(0, 0), (0, 1), (1, 0)]
    dealt = [
        str(places(dataset, cross_validation(dataset, root_seed=s, repetition=r, folds=3, test_fraction=0.2)))
        for s, r in keys
    ]
    assert len(set(dealt)) == 3


def test_a_holdout_is_one_split() -> None:
    dataset = datasets.load("iris")
    keys = {"root_seed": 0, "repetition": 0, "validation_fraction": 0.25, "test_fraction": 0.2}
    (found,) = splits(dataset, folds=None, **keys)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.val_inputs, split(dataset, **keys).val_inputs)  # type: ignore[arg-type]
    assert len(splits(dataset, folds=4, **keys)) == 4  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("counts", "folds", "test", "message"),
    [
        (
            [5, 60],
            5,
            0.2,
            r"at least 5 examples besides the test part, .* class 0 of data set 'coded' has 4; use fewer",
        ),
        ([2, 60], 2, 0.2, "every class must have at least 3 examples"),
        ([30, 30], 1, 0.2, "folds must be at least 2, got 1"),
        ([30, 30], 3, 1.0, r"test fraction|validation fraction"),
    ],
)
def test_folds_that_cannot_be_are_refused(counts: list[int], folds: int, test: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cross_validation(coded(counts), root_seed=0, repetition=0, folds=folds, test_fraction=test)

"""Splits are stratified, disjoint, standardised without leaking, and keyed by name."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpbench.errors import UsageError
from hpbench.tasks import datasets
from hpbench.tasks.datasets import Dataset
from hpbench.tasks.datasets.splits import Split, split


def numbered(counts: Sequence[int], name: str = "numbered") -> Dataset:
    """Return a data set whose only feature is the example's own number, ``counts[c]`` of each class."""
    targets = np.repeat(np.arange(len(counts)), counts)
    return Dataset.of(name, np.arange(len(targets), dtype=np.float32)[:, None], targets)


def parts(
    dataset: Dataset,
    *,
    root_seed: int = 1,
    repetition: int = 0,
    validation: float = 0.2,
    test: float = 0.2,
) -> Split:
    return split(
        dataset,
        root_seed=root_seed,
        repetition=repetition,
        validation_fraction=validation,
        test_fraction=test,
    )


def numbers(dataset: Dataset, result: Split) -> tuple[list[int], list[int], list[int]]:
    """Return the numbers of the examples in each part, standardisation undone."""
    n = len(dataset)
    every = np.concatenate([result.train_inputs, result.val_inputs, result.test_inputs])[:, 0]
    step = (every.max() - every.min()) / (n - 1)
    order = np.rint((every - every.min()) / step).astype(int)
    cuts = [len(result.train_targets), len(result.train_targets) + len(result.val_targets)]
    train, val, test = np.split(order, cuts)
    return train.tolist(), val.tolist(), test.tolist()


def test_parts_are_disjoint_and_complete_and_carry_their_targets() -> None:
    dataset = numbered([30, 50, 20])
    result = parts(dataset)
    train, val, test = numbers(dataset, result)
    assert sorted([*train, *val, *test]) == list(range(100))
    np.testing.assert_array_equal(result.train_targets, dataset.targets[train])
    np.testing.assert_array_equal(result.val_targets, dataset.targets[val])
    np.testing.assert_array_equal(result.test_targets, dataset.targets[test])


def test_every_class_has_its_share() -> None:
    result = parts(numbered([30, 50, 20]))
    assert np.bincount(result.test_targets).tolist() == [6, 10, 4]
    assert np.bincount(result.val_targets).tolist() == [6, 10, 4]
    assert np.bincount(result.train_targets).tolist() == [18, 30, 12]


def test_rounding_does_not_shrink_a_part() -> None:
    result = parts(numbered([7] * 50))  # a fifth of 7 is 1.4, a fifth of 350 is 70
    assert len(result.test_targets) == 70
    assert len(result.val_targets) == 70


def test_a_class_of_three_is_in_every_part() -> None:
    result = parts(numbered([3, 200]), validation=0.4, test=0.5)
    for targets in (result.train_targets, result.val_targets, result.test_targets):
        assert np.bincount(targets)[0] == 1


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(3, 40), min_size=2, max_size=8),
    validation=st.floats(0.01, 0.49),
    test=st.floats(0.01, 0.49),
    repetition=st.integers(0, 100),
)
def test_any_possible_split_holds_every_class_in_every_part(
    counts: list[int], validation: float, test: float, repetition: int
) -> None:
    dataset = numbered(counts)
    result = parts(dataset, validation=validation, test=test, repetition=repetition)
    total = np.zeros(len(counts), dtype=int)
    for targets in (result.train_targets, result.val_targets, result.test_targets):
        present = np.bincount(targets, minlength=len(counts))
        assert present.min() >= 1
        total += present
    assert total.tolist() == counts
    assert abs(len(result.test_targets) - test * sum(counts)) <= len(counts)


def test_types_and_layout() -> None:
    for name in ("digits", "wine"):
        result = parts(datasets.load(name))
        for inputs in (result.train_inputs, result.val_inputs, result.test_inputs):
            assert inputs.dtype == np.float32
            assert inputs.flags.c_contiguous
            assert inputs.flags.writeable
            assert inputs.shape[1:] == datasets.load(name).shape
        for targets in (result.train_targets, result.val_targets, result.test_targets):
            assert targets.dtype == np.int64
            assert targets.flags.writeable


def test_vectors_are_standardised_by_the_training_part_alone() -> None:
    dataset = datasets.load("wine")
    result = parts(dataset)
    np.testing.assert_allclose(result.train_inputs.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(result.train_inputs.std(axis=0), 1.0, atol=1e-5)
    assert np.abs(result.test_inputs.mean(axis=0)).max() > 0.01


def test_images_are_standardised_by_channel() -> None:
    rng = np.random.default_rng(3)
    images = rng.normal([[[[5.0]], [[-2.0]]]], [[[[2.0]], [[0.1]]]], size=(90, 2, 4, 4))
    result = parts(Dataset.of("two-channels", images, np.arange(90) % 3))
    np.testing.assert_allclose(result.train_inputs.mean(axis=(0, 2, 3)), 0.0, atol=1e-5)
    np.testing.assert_allclose(result.train_inputs.std(axis=(0, 2, 3)), 1.0, atol=1e-5)
    assert result.train_inputs.mean(axis=0).std() > 0.01, "pixels keep their differences"


def test_test_examples_do_not_change_what_training_sees() -> None:
    clean = numbered([50, 50], "leak")
    result = parts(clean)
    _, _, test = numbers(clean, result)
    spoiled = clean.inputs.copy()
    spoiled[test] = 1e6
    again = parts(Dataset.of("leak", spoiled, clean.targets))
    np.testing.assert_array_equal(again.train_inputs, result.train_inputs)
    np.testing.assert_array_equal(again.val_inputs, result.val_inputs)


def test_a_constant_feature_becomes_zero_and_stays_finite() -> None:
    inputs = np.column_stack([np.full(60, 0.1), np.arange(60.0)])
    result = parts(Dataset.of("constant", inputs, np.arange(60) % 2))
    np.testing.assert_allclose(result.train_inputs[:, 0], 0.0, atol=1e-6)
    assert np.isfinite(result.test_inputs).all()


def test_a_feature_that_varies_outside_training_alone_stays_finite() -> None:
    inputs = np.zeros((60, 1))
    targets = np.arange(60) % 2
    held_out = numbers_of_test(targets)
    inputs[held_out] = 5.0
    result = parts(Dataset.of("numbered", inputs, targets))
    assert result.train_inputs.tolist() == [[0.0]] * len(result.train_targets)
    assert set(result.test_inputs[:, 0].tolist()) == {5.0}


def numbers_of_test(targets: np.ndarray) -> list[int]:
    """Return which examples are tested, for a data set called ``numbered`` with these targets."""
    dataset = Dataset.of("numbered", np.arange(len(targets), dtype=np.float32)[:, None], targets)
    return numbers(dataset, parts(dataset))[2]


def test_the_same_key_gives_the_same_split() -> None:
    first, second = parts(datasets.load("iris")), parts(datasets.load("iris"))
    for name in Split.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("change", [{"root_seed": 2}, {"repetition": 1}])
def test_another_seed_or_repetition_is_another_split(change: dict[str, int]) -> None:
    dataset = numbered([50, 50])
    assert numbers(dataset, parts(dataset)) != numbers(dataset, parts(dataset, **change))


def test_another_name_is_another_split() -> None:
    one, other = numbered([50, 50], "one"), numbered([50, 50], "other")
    assert numbers(one, parts(one)) != numbers(other, parts(other))


def test_the_test_part_does_not_depend_on_the_validation_fraction() -> None:
    dataset = numbered([50, 70])
    small, large = parts(dataset, validation=0.1), parts(dataset, validation=0.5)
    assert numbers(dataset, small)[2] == numbers(dataset, large)[2]


def test_every_example_is_tested_in_some_repetition() -> None:
    dataset = numbered([25, 25])
    tested = {number for r in range(60) for number in numbers(dataset, parts(dataset, repetition=r))[2]}
    assert tested == set(range(50))


def test_splits_are_those_of_every_study() -> None:
    """The tested examples, so that a change of the algorithm cannot go unseen."""
    dataset = numbered([10, 15])
    assert numbers(dataset, parts(dataset))[2] == [2, 9, 12, 20, 22]


def test_the_global_generators_stay_where_they_are() -> None:
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - the very thing that must not move
    parts(numbered([20, 20]))
    assert random.getstate() == before[0]
    np.testing.assert_equal(np.random.get_state(), before[1])  # noqa: NPY002


def test_a_class_with_too_few_examples_is_named() -> None:
    with pytest.raises(UsageError, match=r"class 1 of data set 'numbered' has 2\."):
        parts(numbered([40, 2, 30]))


def test_a_class_without_examples_is_named() -> None:
    dataset = Dataset.of("gap", np.zeros((20, 1)), np.arange(20) % 2 * 2, n_classes=3)
    with pytest.raises(UsageError, match=r"class 1 of data set 'gap' has 0\."):
        parts(dataset)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_outside_the_unit_interval_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match="validation fraction must lie between 0 and 1"):
        parts(numbered([20, 20]), validation=fraction)
    with pytest.raises(UsageError, match="test fraction must lie between 0 and 1"):
        parts(numbered([20, 20]), test=fraction)


def test_fractions_that_leave_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match=r"something to train on, got fractions 0\.5 \+ 0\.5"):
        parts(numbered([20, 20]), validation=0.5, test=0.5)

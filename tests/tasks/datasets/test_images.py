"""When inputs are images, and in which order their numbers lie."""

from __future__ import annotations

import numpy as np
import pytest

from hpbench.errors import UsageError
from hpbench.tasks import datasets
from hpbench.tasks.datasets import Dataset, DataSpec
from hpbench.tasks.datasets.base import Column
from hpbench.tasks.datasets.images import as_images, channels_first, shape_hint


def vectors(length: int) -> Dataset:
    return Dataset.of("vectors", np.arange(4.0 * length).reshape(4, length), [0, 1, 0, 1])


def test_numbers_are_taken_channel_by_channel_row_by_row() -> None:
    found = as_images(vectors(12), (3, 2, 2))
    assert found.inputs[0].tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]], [[8, 9], [10, 11]]]
    assert found.shape == (3, 2, 2)
    assert not found.inputs.flags.writeable


def test_two_sides_mean_one_channel() -> None:
    assert as_images(vectors(12), (3, 4)).shape == (1, 3, 4)


def test_images_of_that_shape_stay() -> None:
    digits = datasets.load("digits")
    assert as_images(digits, (1, 8, 8)) is digits
    assert datasets.load(DataSpec("digits", shape=(8, 8))).checksum == digits.checksum


@pytest.mark.parametrize("shape", [(5, 5), (1, 2, 8), (2, 8, 4)])
def test_another_size_or_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"`shape` must fit the inputs of data set 'digits'"):
        as_images(datasets.load("digits"), shape)


def test_a_table_with_categories_is_no_image() -> None:
    data = Dataset.of("t", [[0.0, 1.0]] * 4, [0, 1, 0, 1], columns=[Column("a", ("b", "c")), Column("d")])
    with pytest.raises(UsageError, match="its rows are no images"):
        as_images(data, (1, 2))


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((784,), "`shape = [1, 28, 28]`"),
        ((3072,), "`shape = [3, 32, 32]`"),
        ((64,), "`shape = [1, 8, 8]`"),
        ((4,), ""),
        ((30,), ""),
        ((1, 8, 8), ""),
    ],
)
def test_a_likely_shape_is_hinted_at(shape: tuple[int, ...], hint: str) -> None:
    assert hint in shape_hint(shape)
    assert bool(hint) == bool(shape_hint(shape))


@pytest.mark.parametrize(
    ("stored", "given", "expected"),
    [
        ((5, 6, 7), None, (1, 6, 7)),
        ((5, 3, 6, 7), None, (3, 6, 7)),
        ((5, 6, 7, 3), None, (3, 6, 7)),
        ((5, 6, 7, 1), None, (1, 6, 7)),
        ((5, 3, 7, 3), None, (3, 7, 3)),
        ((5, 12, 6, 7), None, (12, 6, 7)),
        ((5, 6, 7, 12), (12, 6, 7), (12, 6, 7)),
        ((5, 3, 7, 3), (3, 3, 7), (3, 3, 7)),
        ((5, 3, 7, 3), (3, 7, 3), (3, 7, 3)),
        ((5, 4), None, (4,)),
    ],
)
def test_channels_come_first(
    stored: tuple[int, ...], given: tuple[int, ...] | None, expected: tuple[int, ...]
) -> None:
    assert channels_first(np.zeros(stored), given).shape == (5, *expected)


def test_the_last_axis_is_moved_not_reread() -> None:
    images = np.arange(2 * 6 * 5 * 3).reshape(2, 6, 5, 3)
    np.testing.assert_array_equal(channels_first(images, None)[1, 2], images[1, :, :, 2])

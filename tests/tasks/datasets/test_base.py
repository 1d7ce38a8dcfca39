"""A data set is checked when it is made and cannot change afterwards."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from hpbench.errors import UsageError
from hpbench.tasks.datasets import Dataset


def test_values_are_converted_and_counted() -> None:
    dataset = Dataset.of("mine", [[1, 2], [3, 4], [5, 6]], [0, 2, 1])
    assert dataset.inputs.dtype == np.float32
    assert dataset.targets.dtype == np.int64
    assert dataset.inputs.flags.c_contiguous
    assert (len(dataset), dataset.shape, dataset.n_classes) == (3, (2,), 3)


def test_images_have_channels_first() -> None:
    dataset = Dataset.of("mine", np.zeros((4, 3, 5, 6)), [0, 1, 0, 1])
    assert dataset.shape == (3, 5, 6)


def test_transposed_inputs_become_contiguous() -> None:
    inputs = np.arange(6, dtype=np.float32).reshape(2, 3).T
    dataset = Dataset.of("mine", inputs, [0, 1, 0])
    assert dataset.inputs.flags.c_contiguous
    np.testing.assert_array_equal(dataset.inputs, inputs)


def test_a_class_may_be_declared_without_examples() -> None:
    assert Dataset.of("mine", [[1.0], [2.0]], [0, 1], n_classes=5).n_classes == 5


def test_arrays_are_read_only_copies() -> None:
    inputs = np.zeros((2, 2), dtype=np.float32)
    dataset = Dataset.of("mine", inputs, [0, 1])
    inputs[0, 0] = 7.0
    assert dataset.inputs[0, 0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        dataset.inputs[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        dataset.targets[0] = 1


def test_the_checksum_is_that_of_the_bytes() -> None:
    inputs, targets = np.array([[0.5], [1.5]], dtype="<f4"), np.array([1, 0], dtype="<i8")
    dataset = Dataset.of("mine", inputs, targets)
    assert dataset.checksum == hashlib.sha256(inputs.tobytes() + targets.tobytes()).hexdigest()


def test_the_checksum_notices_a_changed_input_and_a_changed_target() -> None:
    base = Dataset.of("mine", [[0.5], [1.5]], [0, 1])
    assert base.checksum == Dataset.of("other", [[0.5], [1.5]], [0, 1]).checksum
    assert base.checksum != Dataset.of("mine", [[0.5], [1.25]], [0, 1]).checksum
    assert base.checksum != Dataset.of("mine", [[0.5], [1.5]], [1, 0]).checksum


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (np.zeros(3), [0, 1, 0], "must have the shape"),
        (np.zeros((3, 2, 2)), [0, 1, 0], "must have the shape"),
        (np.zeros((3, 0)), [0, 1, 0], "none of them 0"),
        (np.zeros((0, 2)), [], "none of them 0"),
        (np.zeros((3, 2)), [0, 1], r"targets .* must have the shape \(3,\)"),
        (np.zeros((3, 2)), [[0], [1], [0]], r"got \(3, 1\)"),
        (np.array([[0.0], [np.nan]]), [0, 1], "must be finite"),
        (np.array([[0.0], [np.inf]]), [0, 1], "must be finite"),
        (np.zeros((2, 1)), [0.0, 1.0], "must be whole numbers, got float64"),
        (np.zeros((2, 1)), [-1, 1], "got -1 to 1"),
        (np.zeros((2, 1)), [0, 0], "at least two classes"),
    ],
)
def test_what_cannot_be_used_is_refused(inputs: np.ndarray, targets: list[int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Dataset.of("mine", inputs, targets)


def test_a_target_beyond_the_declared_classes_is_refused() -> None:
    with pytest.raises(UsageError, match="n_classes = 2"):
        Dataset.of("mine", [[1.0], [2.0], [3.0]], [0, 1, 2], n_classes=2)

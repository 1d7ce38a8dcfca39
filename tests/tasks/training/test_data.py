"""A split as tensors on a device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hpbench.tasks import datasets
from hpbench.tasks.datasets.splits import Split, split
from hpbench.tasks.training.data import DeviceSplit


@pytest.fixture(scope="module", params=["iris", "digits"])
def parts(request: pytest.FixtureRequest) -> Split:
    """The split of a small data set."""
    dataset = datasets.load(request.param)
    return split(dataset, root_seed=0, repetition=0, validation_fraction=0.2, test_fraction=0.2)


def test_every_part_arrives_with_values_and_types_kept(parts: Split) -> None:
    found = DeviceSplit.of(parts, torch.device("cpu"))
    for name, array in vars(parts).items():
        tensor = getattr(found, name)
        np.testing.assert_array_equal(tensor.numpy(), array)
        assert tensor.dtype == (torch.float32 if name.endswith("inputs") else torch.int64)


def test_the_training_examples_are_counted(parts: Split) -> None:
    assert DeviceSplit.of(parts, torch.device("cpu")).n_train == len(parts.train_targets)


def test_no_part_is_left_behind_on_the_way_to_a_device(parts: Split) -> None:
    found = DeviceSplit.of(parts, torch.device("meta"))
    assert {tensor.device.type for tensor in vars(found).values()} == {"meta"}

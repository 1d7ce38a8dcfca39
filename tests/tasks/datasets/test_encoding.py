"""Tables are filled in, standardised and encoded by what the training part says, and by nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from hpbench.tasks.datasets import Dataset
from hpbench.tasks.datasets.base import Column
from hpbench.tasks.datasets.encoding import encoder
from hpbench.tasks.datasets.splits import Split, split

COLOURS = Column("colour", ("blue", "green", "red"))
NAN = np.nan


def table(values: list[list[float]], *columns: Column) -> Dataset:
    return Dataset.of("table", values, np.arange(len(values)) % 2, columns=columns)


def test_a_missing_number_is_the_median_of_the_training_part() -> None:
    data = table([[1.0], [2.0], [9.0], [NAN]], Column("a"))
    encode = encoder(data, data.inputs[:4])
    filled = np.array([1.0, 2.0, 9.0, 2.0])
    expected = (filled - filled.mean()) / filled.std()
    np.testing.assert_allclose(encode(data.inputs)[:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(encode(np.array([[NAN]], dtype=np.float32)), [[expected[1]]], rtol=1e-6)


def test_categories_become_columns_of_zero_and_one() -> None:
    data = table([[0.0, 5.0], [2.0, 6.0], [2.0, 7.0], [1.0, 8.0]], COLOURS, Column("a"))
    made = encoder(data, data.inputs)(data.inputs)
    assert data.shape == (4,)
    assert made[:, :3].tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 1, 0]]
    np.testing.assert_allclose(made[:, 3].mean(), 0.0, atol=1e-6)
    assert made.dtype == np.float32
    assert made.flags.c_contiguous


def test_a_missing_category_is_the_most_frequent_of_the_training_part() -> None:
    data = table([[0.0], [2.0], [2.0], [NAN]], COLOURS)
    made = encoder(data, data.inputs[:3])(data.inputs[3:])
    assert made.tolist() == [[0, 0, 1]]


def test_of_equally_frequent_categories_the_first_fills_in() -> None:
    data = table([[2.0], [1.0], [NAN], [NAN]], COLOURS)
    assert encoder(data, data.inputs)(data.inputs[2:3]).tolist() == [[0, 1, 0]]


def test_a_category_that_training_lacks_is_zero_everywhere() -> None:
    data = table([[0.0], [2.0], [1.0], [0.0]], COLOURS)
    made = encoder(data, data.inputs[:2])(data.inputs)
    assert made.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0]]


def test_a_column_without_a_value_in_training_is_zero_everywhere() -> None:
    data = table([[NAN, NAN], [NAN, NAN], [1e6, 2.0]], Column("a"), COLOURS)
    assert encoder(data, data.inputs[:2])(data.inputs).tolist() == [[0.0] * 4] * 3


def test_a_constant_number_stays_finite() -> None:
    data = table([[3.0], [NAN], [3.0], [4.0]], Column("a"))
    assert encoder(data, data.inputs[:3])(data.inputs)[:, 0].tolist() == [0.0, 0.0, 0.0, 1.0]


def test_a_table_of_numbers_without_gaps_is_encoded_as_vectors_are() -> None:
    values = np.random.default_rng(1).normal(size=(30, 3)).astype(np.float32)
    plain = Dataset.of("x", values, np.arange(30) % 2)
    named = Dataset.of("x", values, np.arange(30) % 2, columns=[Column(name) for name in "abc"])
    np.testing.assert_array_equal(encoder(plain, plain.inputs)(values), encoder(named, named.inputs)(values))


def test_validation_and_test_examples_do_not_change_what_training_sees() -> None:
    rng = np.random.default_rng(2)
    values = np.column_stack([rng.normal(size=60), rng.integers(0, 3, size=60), np.arange(60)]).astype(float)
    values[::7, :2] = NAN
    columns = (Column("a"), COLOURS, Column("number"))
    data = table(values.tolist(), *columns)
    fractions = {"root_seed": 1, "repetition": 0, "validation_fraction": 0.2, "test_fraction": 0.2}
    clean = split(data, **fractions)
    trained = {row.tobytes() for row in clean.train_inputs}
    encode = encoder(data, data.inputs[_training_rows(data, clean)])
    others = [place for place, row in enumerate(encode(data.inputs)) if row.tobytes() not in trained]
    assert len(others) == 24
    values[others, 0], values[others, 1] = 1e6, 2.0
    again = split(table(values.tolist(), *columns), **fractions)
    np.testing.assert_array_equal(again.train_inputs, clean.train_inputs)
    assert not np.array_equal(again.test_inputs, clean.test_inputs)


def _training_rows(data: Dataset, parts: Split) -> list[int]:
    """Return which examples are trained on; the last column tells their order, whatever its scale is."""
    last = np.concatenate([parts.train_inputs, parts.val_inputs, parts.test_inputs])[:, -1]
    order = np.argsort(np.argsort(last))
    assert len(order) == len(data)
    return order[: len(parts.train_targets)].tolist()


@pytest.mark.parametrize(
    "offset", [1_700_000_000.0, 2_460_000.25, 1e12], ids=["seconds", "julian days", "ids"]
)
@pytest.mark.parametrize("named", [(), (Column("when"),)], ids=["vectors", "table"])
def test_a_large_offset_leaves_what_a_column_says(offset: float, named: tuple[Column, ...]) -> None:
    steps = np.arange(12.0)
    data = table((offset + steps / 4)[:, None].tolist(), *named)
    made = encoder(data, data.inputs)(data.inputs)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made[:, 0], (steps - steps.mean()) / steps.std(), atol=1e-6)
    parts = split(data, root_seed=0, repetition=0, validation_fraction=0.25, test_fraction=0.25)
    found = np.concatenate([parts.train_inputs, parts.val_inputs, parts.test_inputs])
    assert len(np.unique(found)) == len(steps)
    assert data.take(np.arange(6)).checksum != data.take(np.arange(1, 7)).checksum
    assert data.n_bytes == len(data) * 4


def test_rounding_that_moves_nothing_stays_float32() -> None:
    plain = [
        [0.1, 2019.0, -122.23, 5.0, NAN],
        [0.7, 2020.0, -114.5, 5.0, NAN],
        [0.3, 2023.0, -124.1, 5.0, 1e9],
    ]
    assert table(plain, *(Column(name) for name in "abcde")).inputs.dtype == np.float32
    assert Dataset.of("ids", [[1e9 + 1], [1e9 + 2]], [0, 1]).inputs.dtype == np.float64
    assert Dataset.of("image", np.full((2, 1, 1, 2), [1e9 + 1, 1e9 + 2]), [0, 1]).inputs.dtype == np.float32

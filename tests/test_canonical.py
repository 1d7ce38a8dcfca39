"""Tests of the plain form of a record."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpbench.canonical import KEYS, TIME_KEYS, config_text, from_line, plain_float, text_of, to_line
from hpbench.trial import Evaluation, Record, RunKey, Status

PUBLIC_ORDER = """
task strategy repetition number parent config epochs_from epochs status val_correct val_total val_loss
test_correct test_total test_loss curve ask_seconds train_seconds evaluate_seconds tell_seconds message
""".split()  # noqa: SIM905 - it reads better

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
finite = st.floats(allow_nan=False, allow_infinity=False)
seconds = st.floats(min_value=0.0, max_value=1e6)
counts = st.none() | st.integers(0, 2**40)
values = finite | st.integers(-(2**62), 2**62) | st.booleans() | names


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Draw any record whose numbers are finite."""
    evaluation = Evaluation(
        status=draw(st.sampled_from(Status)),
        epochs_from=draw(st.integers(0, 100)),
        epochs=draw(st.integers(0, 100)),
        val_correct=draw(counts),
        val_total=draw(counts),
        val_loss=draw(st.none() | finite),
        test_correct=draw(counts),
        test_total=draw(counts),
        test_loss=draw(st.none() | finite),
        curve=tuple(draw(st.lists(finite, max_size=5))),
        train_seconds=draw(seconds),
        evaluate_seconds=draw(seconds),
        message=draw(names | st.just("")),
    )
    return Record(
        run=RunKey(draw(names), draw(names), draw(st.integers(0, 99))),
        number=draw(st.integers(0, 999)),
        parent=draw(st.none() | st.integers(0, 999)),
        config=draw(st.dictionaries(names, values, max_size=5)),
        evaluation=evaluation,
        ask_seconds=draw(seconds),
        tell_seconds=draw(seconds),
    )


def test_the_keys_stand_in_the_published_order() -> None:
    assert list(KEYS) == PUBLIC_ORDER


def test_the_time_keys_are_keys() -> None:
    assert set(TIME_KEYS) < set(KEYS)
    assert all(key.endswith("_seconds") for key in TIME_KEYS)


@given(records())
def test_a_record_survives_the_way_through_a_line(record: Record) -> None:
    line = json.loads(text_of(to_line(record)))
    assert from_line(line) == record


@given(records())
def test_a_line_is_one_ascii_line_with_all_keys_in_order(record: Record) -> None:
    text = text_of(to_line(record))
    assert text.isascii()
    assert "\n" not in text
    assert tuple(json.loads(text)) == KEYS


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_becomes_null(value: float) -> None:
    evaluation = Evaluation(
        Status.OK, val_loss=value, test_loss=value, curve=(0.5, value), train_seconds=value
    )
    line = to_line(Record(RunKey("t", "s", 0), 0, None, {}, evaluation, value, value))
    assert line["val_loss"] is line["test_loss"] is None
    assert line["curve"] == [0.5, None]
    assert line["train_seconds"] == line["ask_seconds"] == line["tell_seconds"] == 0.0
    back = from_line(line)
    assert back.evaluation.val_loss is None
    assert math.isnan(back.evaluation.curve[1])


def test_numpy_numbers_become_plain_ones() -> None:
    evaluation = Evaluation(
        Status.OK, val_correct=np.int64(3), val_loss=np.float64(0.5), curve=(np.float64(0.1),)
    )
    line = to_line(Record(RunKey("t", "s", np.int64(1)), np.int64(2), None, {}, evaluation, 0.0, 0.0))
    assert [type(line[key]) for key in ("val_correct", "val_loss", "repetition", "number")] == [
        int,
        float,
        int,
        int,
    ]
    assert type(line["curve"][0]) is float


def test_minus_zero_is_zero() -> None:
    assert math.copysign(1.0, plain_float(-0.0) or 0.0) == 1.0


def test_the_names_of_a_configuration_are_sorted() -> None:
    assert config_text({"b": 1, "a": 2.0}) == '{"a":2.0,"b":1}'


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), ("1", 1), (0.1, 0.1 + 1e-17 + 2e-17)])
def test_configurations_differ_in_text_when_a_type_or_the_last_bit_differs(
    one: object, other: object
) -> None:
    same = type(one) is type(other) and one == other
    assert (config_text({"x": one}) == config_text({"x": other})) is same


def test_a_bare_nan_is_never_written() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        text_of([math.nan])


def test_a_line_with_an_unknown_status_is_refused() -> None:
    line = to_line(Record(RunKey("t", "s", 0), 0, None, {}, Evaluation(Status.OK), 0.0, 0.0))
    with pytest.raises(ValueError, match="excellent"):
        from_line({**line, "status": "excellent"})


@pytest.mark.parametrize("key", PUBLIC_ORDER)
def test_a_line_without_one_of_its_keys_is_refused(key: str) -> None:
    line = to_line(Record(RunKey("t", "s", 0), 0, None, {}, Evaluation(Status.OK), 0.0, 0.0))
    del line[key]
    with pytest.raises(KeyError, match=key):
        from_line(line)

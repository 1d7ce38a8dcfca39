from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from hpbench.seeding import (
    Stream,
    bootstrap_stream,
    retraining_stream,
    split_stream,
    strategy_stream,
    training_stream,
)

KEYS = st.lists(st.one_of(st.text(max_size=6), st.integers(-(2**70), 2**70), st.none()), max_size=4).map(
    tuple
)


def test_seed_integers_stay_what_they_are(golden: Callable[[str, Any], None]) -> None:
    streams = {
        "split": split_stream(20261120, "digits", 3),
        "training": training_stream(20261120, "digits-mlp", 3),
        "training per trial": training_stream(20261120, "digits-mlp", 3, 7),
        "strategy": strategy_stream(20261120, "digits-mlp", 3),
        "bootstrap": bootstrap_stream(20261120),
        "retraining": retraining_stream(20261120, "digits-mlp", 3, 4),
        "child": split_stream(0, "é", 0).child("order", 5, None),
    }
    golden(
        "seeds.json",
        {
            name: {
                "integer": stream.integer(),
                "integer64": stream.integer64(),
                "draws": stream.generator().integers(2**31, size=3).tolist(),
            }
            for name, stream in streams.items()
        },
    )


@given(one=KEYS, other=KEYS)
def test_different_keys_are_different_streams(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assume(one != other)
    assert Stream(one).sequence().entropy != Stream(other).sequence().entropy


@given(key=KEYS)
def test_integers_lie_in_the_range_that_libraries_accept(key: tuple[Any, ...]) -> None:
    assert 0 <= Stream(key).integer() < 2**31
    assert 0 <= Stream(key).integer64() < 2**63


def test_parts_that_a_separator_would_confuse_are_kept_apart() -> None:
    assert Stream(("a_b", "c")).integer64() != Stream(("a", "b_c")).integer64()
    assert Stream(("1",)).integer64() != Stream((1,)).integer64()
    assert Stream((None,)).integer64() != Stream(("null",)).integer64()
    assert Stream(("a", "b")).integer64() != Stream(("a,b",)).integer64()


def test_purposes_never_share_a_stream() -> None:
    streams = [
        split_stream(1, "digits", 0),
        training_stream(1, "digits", 0),
        training_stream(1, "digits", 0, 0),
        strategy_stream(1, "digits", 0),
        bootstrap_stream(1),
        retraining_stream(1, "digits", 0, 0),
        retraining_stream(1, "digits", 0, 1),
    ]
    assert len({stream.integer64() for stream in streams}) == len(streams)


def test_a_generator_starts_at_the_beginning_each_time() -> None:
    stream = strategy_stream(1, "t", 0)
    assert stream.generator().random(5).tolist() == stream.generator().random(5).tolist()


def test_a_child_extends_the_key() -> None:
    assert Stream(("a",)).child("b", 1) == Stream(("a", "b", 1))


def test_making_streams_leaves_the_global_generator_alone() -> None:
    before = repr(np.random.get_state())  # noqa: NPY002 - the global state is what is looked at
    training_stream(1, "t", 0).generator().random()
    assert repr(np.random.get_state()) == before  # noqa: NPY002

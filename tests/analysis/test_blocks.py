from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hpbench.analysis import blocks, load_frames
from hpbench.analysis.children import Children
from hpbench.analysis.details import column_of, joined_values, values_of
from hpbench.analysis.frames import frames_of
from hpbench.errors import StoreError
from hpbench.store import Store
from hpbench.trial import Value

MakeStudy = Callable[..., Path]
KINDS = (
    st.integers(-(2**40), 2**40),
    st.floats(-9, 9),
    st.sampled_from(["relu", "tanh", "", "漢"]),
    st.booleans(),
    st.none(),
)
VALUES = st.sets(st.sampled_from(KINDS), min_size=1).flatmap(
    lambda kinds: st.lists(st.lists(st.one_of(*kinds), max_size=6), min_size=1, max_size=5)
)
SPACE = (
    {"name": "lr", "kind": "float", "low": 1e-4, "high": 0.1, "log": True},
    {"name": "width", "kind": "integer", "low": 8, "high": 64, "log": False},
    {"name": "optimizer", "kind": "categorical", "choices": ["sgd", "adam"], "ordered": False},
)


@given(VALUES)
@example([[], [34, 115]])
def test_a_column_of_parts_is_that_of_the_whole(parts: list[list[Value | None]]) -> None:
    whole = [value for part in parts for value in part]
    found = column_of(joined_values([values_of(part) for part in parts]))
    kinds = {type(value) for value in whole}
    if kinds == {int}:
        assert found.dtype == np.int64
        assert found.tolist() == whole
    elif kinds <= {int, float, type(None)}:
        np.testing.assert_array_equal(found, np.array(whole, dtype=np.float64))
    else:
        assert [None if pd.isna(value) else value for value in found] == whole
        assert len(found.categories) == len(set(whole) - {None})


def test_portions_read_by_children_are_what_was_stored(
    make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_study(tasks=("b", "a"), repetitions=4, trials=9, failure_rate=0.2, space=SPACE)
    with Store.open(folder, read_only=True) as store:
        records = list(store.records())
        wanted = frames_of(reversed(records), store.runs(), store.info)
    monkeypatch.setattr(blocks, "_PORTION", 20)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1}, raising=False)
    with Children("hpbench.analysis.blocks") as children:
        for found in (load_frames(folder, children), load_frames(folder)):
            pd.testing.assert_frame_equal(found.trials, wanted.trials)
            pd.testing.assert_frame_equal(found.runs, wanted.runs)
            np.testing.assert_array_equal(found.epoch_errors, wanted.epoch_errors)
    assert len(wanted.trials) == len(records) == 2 * 4 * 4 * 9
    configs = {(str(record.run), record.number): record.config for record in records}
    for row in wanted.trials.to_dict("records"):
        config = configs[f"{row['task']}/{row['strategy']}/{row['repetition']}", row["number"]]
        assert {name: row[f"config.{name}"] for name in config} == config


def test_a_damaged_row_is_the_stores_error_whoever_reads_it(
    make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_study(tasks=("a",), repetitions=2, trials=5)
    with sqlite3.connect(folder / "study.sqlite") as connection:
        connection.execute("DROP TRIGGER trial_never_changes")
        connection.execute("UPDATE trial SET epochs = 11 WHERE number = 3 AND run_id = 1")
    connection.close()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1}, raising=False)
    with Children("hpbench.analysis.blocks") as children, Store.open(folder, read_only=True) as store:
        run = min(store.counts(), key=lambda run: (run.strategy != "random", run.repetition))
        answer = children.call(blocks.read_block, store.path, (run,))
        with pytest.raises(StoreError, match="trial 3 of a/random/0 does not match its checksum"):
            answer.result()
    with pytest.raises(StoreError, match="trial 3"):
        load_frames(folder)

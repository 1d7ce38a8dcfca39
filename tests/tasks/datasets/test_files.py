"""Own files: what CSV, Parquet and NPZ become; what cannot be used is tested with the command line."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from hpbench.errors import MissingExtraError, UsageError
from hpbench.tasks import datasets
from hpbench.tasks.datasets import Dataset, DataSpec
from hpbench.tasks.datasets.base import Column

TABLE = """\
age, job ,pay,income
23, clerk ,1e3,low
?,"cook, chief",2.5,high

40,,-1,low
NA,clerk,0,high
"""


def load(path: Path, target: str = "income", **keys: Any) -> Dataset:
    return datasets.load(DataSpec(f"file:{path}", target=target, **keys))


def written(folder: Path, content: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def test_a_csv_file_is_what_it_says(tmp_path: Path) -> None:
    path = written(tmp_path, TABLE)
    found = load(path)
    assert found.columns == (Column("age"), Column("job", ("clerk", "cook, chief")), Column("pay"))
    assert found.class_names == ("high", "low")
    assert found.targets.tolist() == [1, 0, 1, 0]
    expected = [[23, 0, 1000], [np.nan, 1, 2.5], [40, np.nan, -1], [np.nan, 0, 0]]
    np.testing.assert_array_equal(found.inputs, np.array(expected, dtype=np.float32))
    assert found.shape == (4,)
    assert dict(found.origin) == {
        "source": "file",
        "file": "data.csv",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "target": "income",
    }


def test_windows_lines_and_a_mark_before_utf_8_change_nothing(tmp_path: Path) -> None:
    plain = load(written(tmp_path, TABLE))
    other = tmp_path / "windows.csv"
    other.write_bytes(b"\xef\xbb\xbf" + TABLE.replace("\n", "\r\n").encode())
    assert load(other).checksum == plain.checksum


def test_where_a_file_lies_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    here, there = written(tmp_path, TABLE), written(folder, TABLE)
    relative = datasets.load(DataSpec("file:deep/data.csv", target="income", folder=str(tmp_path)))
    assert load(here).name == load(there).name == relative.name == "file:data.csv"
    assert load(here).checksum == load(there).checksum == relative.checksum


def test_a_file_is_found_relative_to_the_working_directory_without_a_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, TABLE, "near.csv")
    assert len(load(Path("near.csv"))) == 4


def test_numbers_without_gaps_are_plain_vectors(tmp_path: Path) -> None:
    found = load(written(tmp_path, "a,b,y\n1,2,0\n3,4,1\n5,6,0\n"), "y")
    assert found.columns == ()
    assert found.inputs.tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("labels", "names", "targets"),
    [
        (["10", "9", "10"], ("9", "10"), [1, 0, 1]),
        (["1.0", "1", "2"], ("1", "2"), [0, 0, 1]),
        (["-1", "1", "-1"], ("-1", "1"), [0, 1, 0]),
        (["b", "1", "b"], ("1", "b"), [1, 0, 1]),
        (["1_10", "11_0", "2_1"], ("11_0", "1_10", "2_1"), [1, 0, 2]),
        (["no", "yes", "maybe"], ("maybe", "no", "yes"), [1, 2, 0]),
    ],
)
def test_classes_have_an_order(
    tmp_path: Path, labels: list[str], names: tuple[str, ...], targets: list[int]
) -> None:
    rows = "".join(f"{number},{label}\n" for number, label in enumerate(labels))
    found = load(written(tmp_path, f"a,y\n{rows}"), "y")
    assert found.class_names == names
    assert found.targets.tolist() == targets


def test_the_order_of_rows_does_not_decide_the_categories(tmp_path: Path) -> None:
    rows = ["red,1\n", "blue,0\n", "green,1\n"]
    one = load(written(tmp_path, "c,y\n" + "".join(rows), "one.csv"), "y")
    other = load(written(tmp_path, "c,y\n" + "".join(rows[::-1]), "other.csv"), "y")
    assert one.columns == other.columns
    assert one.inputs[::-1].tolist() == other.inputs.tolist()


def test_parquet_and_csv_agree(tmp_path: Path) -> None:
    columns = {
        "age": pa.array([23, None, 40, None], pa.int32()),
        "job": pa.array(["clerk", "cook, chief", None, "clerk"]).dictionary_encode(),
        "pay": pa.array([1e3, 2.5, -1.0, 0.0]),
        "income": ["low", "high", "low", "high"],
    }
    path = tmp_path / "data.parquet"
    parquet.write_table(pa.table(columns), path, row_group_size=2)
    assert load(path).checksum == load(written(tmp_path, TABLE)).checksum
    assert load(path).class_names == ("high", "low")


def test_truth_values_and_text_of_digits_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    columns = {"flag": [True, False, None, True], "code": ["7", "10", "7", "7"], "y": [0, 1, 0, 1]}
    parquet.write_table(pa.table(columns), path)
    found = load(path, "y")
    assert found.columns == (Column("flag"), Column("code", ("10", "7")))
    np.testing.assert_array_equal(found.inputs[:, 0], [1.0, 0.0, np.nan, 1.0])


def test_parquet_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "extra.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"a Parquet file needs the extra 'parquet': pip install"):
        load(path)


def test_vectors_in_npz_may_have_gaps(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(
        path, x=np.array([[1.0, 2.0], [np.nan, 4.0], [5.0, 6.0]]), y=np.array(["a", "b", "a"])
    )
    found = load(path, "y")
    assert [column.name for column in found.columns] == ["x[0]", "x[1]"]
    assert found.class_names == ("a", "b")
    assert np.isnan(found.inputs[1, 0])


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_a_column_without_any_value_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"data.{kind}"
    known, labels = [1.0, 2.0, 3.0], ["a", "b", "a"]
    if kind == "csv":
        written(tmp_path, "x,gap,y\n" + "".join(f"{x},,{y}\n" for x, y in zip(known, labels, strict=True)))
    elif kind == "parquet":
        parquet.write_table(pa.table({"x": known, "gap": [float("nan")] * 3, "y": labels}), path)
    else:
        np.savez(path, x=np.array([known, [np.nan] * 3]).T, y=np.array(labels))
    with pytest.raises(
        UsageError, match=r"column '(gap|x\[1\])' .*must hold a value somewhere, all 3 are missing"
    ):
        load(path, "y")


@pytest.mark.parametrize(
    ("stored", "given", "expected"),
    [
        ((6, 4, 5), None, (1, 4, 5)),
        ((6, 8, 5, 3), None, (3, 8, 5)),
        ((6, 3, 4, 5), (3, 4, 5), (3, 4, 5)),
        ((6, 40), (2, 4, 5), (2, 4, 5)),
    ],
)
def test_images_in_npz(
    tmp_path: Path, stored: tuple[int, ...], given: tuple[int, ...] | None, expected: tuple[int, ...]
) -> None:
    path = tmp_path / "images.npz"
    np.savez(path, images=np.zeros(stored, dtype=np.uint8), labels=np.array([[0], [1]] * 3, dtype=np.uint8))
    found = load(path, "labels", shape=given)
    assert found.shape == expected
    assert found.targets.tolist() == [0, 1] * 3


def test_the_message_names_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "a,y\n1,5\n2,5\n")
    with pytest.raises(UsageError) as caught:
        load(path, "y")
    assert str(caught.value).startswith(
        f"data set 'file:{path}': target column 'y' must have at least two classes"
    )


def test_data_that_know_their_target_refuse_another() -> None:
    with pytest.raises(UsageError, match="`target` must be left out for data set 'iris'"):
        datasets.load(DataSpec("iris", target="species"))

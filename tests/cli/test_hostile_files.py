"""Files that cannot be learnt from: one clear message each, exit code 2, nothing trained, nothing left behind."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

GOOD = "a,b,y\n" + "".join(f"{number},{number % 7},{'no' if number % 2 else 'yes'}\n" for number in range(40))
X, Y = np.arange(80.0).reshape(40, 2), np.arange(40) % 2

SUITE = """
schema = 1
name = "hostile"
root_seed = 1
repetitions = 1
budget = { trials = 1 }

[[tasks]]
dataset = DATASET
network = "mlp"
epochs = 1
KEYS

[[strategies]]
use = "random"
"""


@dataclass(frozen=True)
class Case:
    """A file to be made, how the suite names it, and what the message must say."""

    make: Callable[[], object]
    expected: tuple[str, ...]
    path: str = "data.csv"
    keys: dict[str, Any] = field(default_factory=lambda: {"target": "y"})
    from_suite: bool = True


def text(content: str | bytes, path: str = "data.csv") -> Callable[[], object]:
    """Return what writes a file."""
    return lambda: Path(path).write_bytes(content if isinstance(content, bytes) else content.encode())


def npz(path: str = "data.npz", **arrays: Any) -> Callable[[], object]:
    """Return what writes arrays."""
    return lambda: np.savez(path, **arrays)


def table(path: str = "data.parquet", *, cut: float = 1.0, **columns: Any) -> Callable[[], object]:
    """Return what writes a Parquet file, or only its first part."""

    def write() -> None:
        stream = io.BytesIO()
        parquet.write_table(pa.table(columns), stream)
        content = stream.getvalue()
        Path(path).write_bytes(content[: int(len(content) * cut)])

    return write


def bomb() -> None:
    """Write a tiny file whose header promises 8 TB."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)}
    )
    with zipfile.ZipFile("data.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue())
        archive.writestr("y.npy", header.getvalue())


class Trap:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("unpickled",)


def loop() -> None:
    """Make a symbolic link to itself."""
    os.symlink("data.csv", "data.csv")  # noqa: PTH211 - a path that cannot be resolved


LINES = GOOD.splitlines(keepends=True)
NUMBERS = list(range(40))
CASES = {
    "empty": Case(text(""), ("it is empty",)),
    "only spaces": Case(text("\n\n"), ("must begin with a line of column names",)),
    "header only": Case(text("a,b,y\n"), ("must hold rows below its header",)),
    "one row": Case(text("a,b,y\n1,2,yes\n"), ("at least two classes", "'yes'")),
    "semicolons": Case(text(GOOD.replace(",", ";")), ("separated by commas, got semicolons",)),
    "tabs": Case(text(GOOD.replace(",", "\t")), ("separated by commas, got tabs",)),
    "mixed types": Case(
        text(GOOD.replace("\n7,", "\nseven,")), ("column 'a' holds numbers before line 9 and 'seven' there",)
    ),
    "numbers after text": Case(
        text(GOOD.replace("\n0,", "\nzero,")), ("column 'a' holds text before line 3 and '1' there",)
    ),
    "a column of NaN": Case(
        text("a,b,y\n" + "NaN,1,yes\nNaN,2,no\n" * 20), ("column 'a'", "all 40 are missing")
    ),
    "10,000 classes": Case(
        text("a,y\n" + "".join(f"{number},{number}\n" for number in range(10_000))),
        ("at most 1000 classes, got 10000",),
    ),
    "10,000 classes of text": Case(
        text("a,y\n" + "".join(f"{number},class{number}\n" for number in range(10_000))),
        ("at most 1000 classes, got 10000",),
    ),
    "UTF-16": Case(text(GOOD.encode("utf-16")), ("must be UTF-8 text, got UTF-16",)),
    "Latin-1": Case(text(GOOD.replace("\n5,", "\nf\xfcnf,").encode("latin-1")), ("line 7 is not; save",)),
    "duplicate columns": Case(text("a,a,y\n1,2,yes\n"), ("2 are called 'a'",)),
    "a column without a name": Case(text("," + GOOD), ("column 1 has none",)),
    "no column but the target": Case(text("y\n1\n2\n"), ("a column besides the target 'y'",)),
    "a directory": Case(lambda: Path("data.csv").mkdir(), ("it is a folder",)),
    "a symbolic link loop": Case(loop, ("cannot be read", "symbolic links")),
    "a dangling link": Case(lambda: Path("data.csv").symlink_to("nowhere.csv"), ("No such file",)),
    "no file": Case(lambda: None, ("No such file", "check the path")),
    "no path": Case(lambda: None, ("must be followed by a path",), path=""),
    "a NUL in the path": Case(lambda: None, ("null",), path="da\0ta.csv"),
    "a path that is too long": Case(lambda: None, ("name too long",), path="x" * 400 + ".csv"),
    "a pipe": Case(lambda: os.mkfifo("data.csv"), ("a pipe",)),
    "a device": Case(lambda: Path("data.csv").symlink_to("/dev/zero"), ("a device",)),
    "an unreadable file": Case(lambda: Path("data.csv").symlink_to("/proc/self/mem"), ("cannot be read",)),
    "another ending": Case(text(GOOD, "data.xlsx"), ("got the ending '.xlsx'",), path="data.xlsx"),
    "binary junk": Case(text(bytes(range(1, 256)) * 40), ("must be UTF-8 text, line 2 is not",)),
    "NUL bytes": Case(text(GOOD.replace("\n3,", "\n\0,")), ("line 5 holds a NUL byte",)),
    "a huge field": Case(text(GOOD + "1,2," + "x" * 200_000 + "\n"), ("line 42", "field larger")),
    "an open quote": Case(text(GOOD + '1,2,"yes\n'), ("is no CSV",)),
    "a short line": Case(text(GOOD + "1,2\n"), ("must have 3 values", "line 42 has 2")),
    "a long line": Case(text(GOOD + "1,2,3,4\n"), ("must have 3 values", "line 42 has 4")),
    "infinite values": Case(text(GOOD + "inf,2,yes\n"), ("column 'a'", "got inf in row 41")),
    "values beyond float32": Case(text(GOOD + "1e300,2,yes\n"), ("got 1e+300 in row 41",)),
    "no such target": Case(
        text(GOOD), ("got 'yy'. Did you mean 'y'? Columns: 'a', 'b', 'y'",), keys={"target": "yy"}
    ),
    "no target named": Case(text(GOOD), ("`target` must name the column", "'a', 'b', 'y'"), keys={}),
    "a constant target": Case(text("a,y\n" + "1,5\n2,5\n" * 9), ("at least two classes", "(18) say '5'")),
    "a target of numbers": Case(
        text("a,y\n" + "1,5\n2,5.25\n" * 9), ("text or whole numbers), got the number 5.25",)
    ),
    "an infinite target": Case(text("a,y\n" + "1,5\n2,inf\n" * 9), ("got the number inf",)),
    "a missing target": Case(text(GOOD + "1,2,\n"), ("missing in 1 of 41, first in row 41",)),
    "free text": Case(
        text("a,y\n" + "".join(f"line {number},{number % 2}\n" for number in range(40))),
        ("column 'a'", "40 different texts in 40 rows", "free text"),
    ),
    "too many categories": Case(
        text("a,y\n" + "".join(f"c{number % 300},{number % 2}\n" for number in range(1200))),
        ("at most 256 categories", "300 different texts"),
    ),
    "a class of two": Case(
        text(GOOD + "1,2,perhaps\n1,3,perhaps\n"), ("at least 3 examples", "'perhaps'"), from_suite=False
    ),
    "a truncated Parquet file": Case(
        table(cut=0.5, a=NUMBERS, y=NUMBERS), ("a whole Parquet file",), path="data.parquet"
    ),
    "CSV called Parquet": Case(text(GOOD, "data.parquet"), ("a whole Parquet file",), path="data.parquet"),
    "Parquet without rows": Case(table(a=[], y=[]), ("must hold rows",), path="data.parquet"),
    "Parquet with lists": Case(
        table(a=[[1]] * 40, y=NUMBERS), ("column 'a' holds 'list",), path="data.parquet"
    ),
    "Parquet with dates": Case(
        table(a=np.arange(40).astype("datetime64[s]"), y=NUMBERS),
        ("column 'a' holds 'timestamp",),
        path="data.parquet",
    ),
    "Parquet with text that is none": Case(
        table(a=pa.array([b"\xff\xfe"] * 40).view(pa.string()), y=NUMBERS),
        ("column 'a' must hold UTF-8 text",),
        path="data.parquet",
    ),
    "objects in NPZ": Case(
        npz(x=np.array([Trap()] * 40, dtype=object), y=Y), ("'x'", "never unpickled"), path="data.npz"
    ),
    "objects as targets in NPZ": Case(
        npz(x=X, y=np.array([Trap()] * 40, dtype=object)), ("'y'", "never unpickled"), path="data.npz"
    ),
    "NPZ with axes of other lengths": Case(
        npz(x=X, y=Y[:30]), ("same first axis", "(40, 2) and (30,)"), path="data.npz"
    ),
    "NPZ with five axes": Case(
        npz(x=X.reshape(40, 1, 1, 1, 2), y=Y), ("must have the shape",), path="data.npz"
    ),
    "NPZ with a scalar": Case(npz(x=np.float64(3.0), y=Y), ("must have the shape",), path="data.npz"),
    "NPZ with text as inputs": Case(npz(x=X.astype(str), y=Y), ("must be numbers",), path="data.npz"),
    "NPZ with targets as a table": Case(npz(x=X, y=X), ("of shape (n,)",), path="data.npz"),
    "NPZ with three arrays": Case(npz(x=X, y=Y, z=X), ("two arrays", "got 3"), path="data.npz"),
    "NPZ with infinity": Case(npz(x=np.full((40, 2), np.inf), y=Y), ("finite",), path="data.npz"),
    "NPZ that is none": Case(text(GOOD, "data.npz"), ("a whole NPZ file",), path="data.npz"),
    "NPZ that is a bomb": Case(bomb, ("must take at most", "(1000000, 1000000)"), path="data.npz"),
    "a subset of too many": Case(
        text(GOOD),
        ("`subset` must be at least 6", "the 40 examples", "got 41"),
        keys={"target": "y", "subset": 41},
    ),
    "a subset of too few": Case(
        text(GOOD), ("`subset` must be at least 6", "got 5"), keys={"target": "y", "subset": 5}
    ),
    "a shape that does not fit": Case(
        text(GOOD), ("`shape` must fit", "3 x 5 x 5 is 75"), keys={"target": "y", "shape": [3, 5, 5]}
    ),
}


def test_there_are_at_least_twenty() -> None:
    assert len(CASES) >= 20


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_one_message_and_leaves_nothing(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    case = CASES[name]
    monkeypatch.chdir(tmp_path)
    case.make()
    keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in case.keys.items())
    dataset = json.dumps(f"file:{case.path}")
    Path("hostile.toml").write_text(SUITE.replace("DATASET", dataset).replace("KEYS", keys), encoding="utf-8")
    before = sorted(path.name for path in tmp_path.iterdir())
    answer = call("run", "hostile.toml", "--workers", "1")
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("hpbench: hostile.toml: " if case.from_suite else "hpbench: ")
    assert "Traceback" not in answer.err
    assert len(answer.err) < 600
    assert all(ord(character) >= 32 or character == "\n" for character in answer.err)
    for expected in case.expected:
        assert expected in answer.err
    assert sorted(path.name for path in tmp_path.iterdir()) == before

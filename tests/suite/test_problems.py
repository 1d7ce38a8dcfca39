"""What is wrong is said with key paths and values that people and terminals can read."""

from __future__ import annotations

import pytest

from hpbench.errors import UsageError
from hpbench.suite.plain import check_plain
from hpbench.suite.problems import Problem, SuiteError, join_path, shown


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ((), ""),
        (("tasks", 0, "space", "learning_rate"), "tasks[0].space.learning_rate"),
        (("a b",), '"a b"'),
        (("a", "x\n"), 'a."x\\n"'),
        (("a", 1, 2), "a[1][2]"),
    ],
)
def test_paths_read_as_people_write_them(parts: tuple[str | int, ...], path: str) -> None:
    assert join_path(*parts) == path


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (3, "3"),
        (0.1, "0.1"),
        ("a\x1b", '"a\\u001b"'),
        ({}, "a table"),
        ([], "an empty list"),
        ([1], "a list"),
    ],
)
def test_values_read_as_toml_writes_them(value: object, text: str) -> None:
    assert shown(value) == text


def test_long_values_are_cut_in_the_middle() -> None:
    assert len(shown("x" * 10_000)) < 70


def test_a_problem_ends_with_its_path() -> None:
    assert str(Problem("this must hold.", "a.b")) == "this must hold (a.b)."
    assert str(Problem("`a` must hold", "a")) == "`a` must hold."
    assert str(Problem("all of it")) == "all of it."


def test_an_error_has_a_line_for_each_problem() -> None:
    error = SuiteError([Problem("one", "a"), Problem("two", "b")], "x.toml")
    assert str(error) == "x.toml: one (a).\nx.toml: two (b)."
    assert isinstance(error, UsageError)


def test_an_error_without_a_file_names_none() -> None:
    assert str(SuiteError([Problem("one", "a")])) == "one (a)."


def test_many_problems_are_counted() -> None:
    error = SuiteError([Problem("wrong", f"k{index}") for index in range(25)], "x.toml")
    lines = str(error).splitlines()
    assert len(lines) == 11
    assert lines[-1] == "x.toml: and 15 more problems."
    assert len(error.problems) == 25


def test_plain_values_pass() -> None:
    check_plain({"a": [1, 2.5, "x", True, {"b": []}], "c": {}, "d": -(2**63) + 1, "e": 2**63 - 1})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "a number must be finite, got nan (a.b[0])."),
        (float("-inf"), "a number must be finite, got -inf (a.b[0])."),
        (2**64, "must fit into 64 bits, got one of 65 bits (a.b[0])."),
        pytest.param(
            16**5000, "must fit into 64 bits, got one of 20001 bits (a.b[0]).", id="thousands of digits"
        ),
        (None, "got a NoneType (a.b[0])."),
        (b"x", "got a bytes (a.b[0])."),
    ],
)
def test_other_values_do_not(value: object, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        check_plain({"a": {"b": [value]}})
    assert message in str(caught.value)


def test_depth_is_measured_without_recursion() -> None:
    content: dict[str, object] = {}
    inner = content
    for _ in range(50_000):
        child: dict[str, object] = {}
        inner["a"] = child
        inner = child
    with pytest.raises(SuiteError, match=r"deeper than 16 levels \(a\.a\.a\.a\)"):
        check_plain(content)


def test_the_first_problem_in_the_file_is_found_first() -> None:
    with pytest.raises(SuiteError, match=r"\(first\)"):
        check_plain({"first": float("nan"), "second": float("nan")})

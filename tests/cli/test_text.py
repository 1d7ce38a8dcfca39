from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpbench.cli.text import clean, duration, number, table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", "plain text"),
        ("Matérn 5/2, 精度", "Matérn 5/2, 精度"),
        ("\x1b[2J\x1b[31mred", "\ufffd[2J\ufffd[31mred"),
        ("over\rwritten", "over\ufffdwritten"),
        ("two\nlines", "two\ufffdlines"),
        ("\x9b31m", "\ufffd31m"),
        ("abc\u202edef", "abc\ufffddef"),
        ("a\u2028b", "a\ufffdb"),
        ("bell\a tab\t null\0", "bell\ufffd tab\ufffd null\ufffd"),
        ("\ud800", "\ufffd"),
    ],
)
def test_what_could_steer_a_terminal_is_replaced(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_lines_stay_where_they_are_wanted() -> None:
    assert clean("one\ntwo\r\n", keep_lines=True) == "one\ntwo\ufffd\n"


@given(st.text())
def test_cleaned_text_holds_no_control_character_and_keeps_its_length(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) == len(text)
    assert not any(unicodedata.category(character).startswith("C") for character in cleaned)
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200.0, "3 min 20 s"),
        (3599.6, "1 h 00 min"),
        (7500.0, "2 h 05 min"),
        (86400.0, "1 d 00 h"),
        (200000.0, "2 d 07 h"),
    ],
)
def test_a_duration_has_the_two_units_that_matter(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.001, "0.001"),
        (1e-7, "1e-07"),
        (128, "128"),
        (0.5, "0.5"),
        (0.1234567891, "0.1234567891"),
        (100.0, "100"),
    ],
)
def test_a_number_is_short_and_exact(value: float, expected: str) -> None:
    assert number(value) == expected
    assert float(number(value)) == value


def test_a_table_aligns_its_columns_and_cleans_its_cells() -> None:
    text = table(["NAME", "N"], [["a", "5"], ["long\x1bname", "12"]], right=(1,))
    assert text.splitlines() == ["NAME        N", "a           5", "long\ufffdname  12"]


def test_a_table_without_rows_is_its_header() -> None:
    assert table(["NAME", "N"], []) == "NAME  N"

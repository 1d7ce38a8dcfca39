"""Names are safe as folders and in globs on every system; labels are safe to show."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpbench.suite.names import check_label, check_name, legal_name


@pytest.mark.parametrize(
    "name", ["a", "7", "digits-mlp", "skopt_gp.2", "a" * 64, "console", "com10", "x.con"]
)
def test_legal_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "-a", ".a", "_a", "A", "a b", "a/b", "a\\b", "a*", "a?", "é", "a\n", "a\0", "a" * 65, "٣"],
)
def test_illegal_characters_and_lengths(name: str) -> None:
    with pytest.raises(ValueError, match="must be 1 to 64"):
        check_name(name)


@pytest.mark.parametrize("name", ["a..b", "a.", "1..."])
def test_dots_that_mean_something(name: str) -> None:
    with pytest.raises(ValueError, match=r"neither hold '\.\.' nor end with"):
        check_name(name)


@pytest.mark.parametrize("name", ["con", "nul", "aux.txt", "prn", "com1", "lpt9.tar.gz"])
def test_windows_devices(name: str) -> None:
    with pytest.raises(ValueError, match="Windows device"):
        check_name(name)


@pytest.mark.parametrize(
    "label", ["GP (scikit-optimize)", "Sobol\u2019", "網格", "a" * 80, "<b>&amp;</b>", "👩‍🔬"]
)
def test_legal_labels(label: str) -> None:
    assert check_label(label) == label


@pytest.mark.parametrize("label", ["", "   ", "a" * 81])
def test_labels_of_illegal_length(label: str) -> None:
    with pytest.raises(ValueError, match="must be 1 to 80"):
        check_label(label)


@pytest.mark.parametrize("label", ["a\nb", "a\tb", "\x1b[31m", "a\u2028b", "a\x7f", "a\x85"])
def test_labels_with_control_characters(label: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        check_label(label)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("digits-mlp", "digits-mlp"),
        ("openml:mnist_784-mlp", "openml-mnist_784-mlp"),
        ("file:../My Data.csv-cnn", "file-.-my-data.csv-cnn"),
        ("__x", "x"),
        ("A..B", "a.b"),
    ],
)
def test_a_default_name_is_near_what_it_stands_for(text: str, name: str) -> None:
    assert legal_name(text) == name


@given(st.text(), st.sampled_from(string.ascii_lowercase + string.digits))
def test_a_default_name_is_legal_wherever_something_is(text: str, start: str) -> None:
    name = legal_name(f"{start}{text}-mlp")
    if "-" in name and not name.startswith("con.") and len(name) < 64:
        assert check_name(name) == name


@given(st.text(max_size=100))
def test_a_legal_name_is_its_own_default(text: str) -> None:
    try:
        name = check_name(text)
    except ValueError:
        return
    assert legal_name(name) == name

from __future__ import annotations

import csv
import io
import math

import pandas as pd
import pytest

from hpbench.analysis.captions import p_text, percent, points, repetitions_text, seconds
from hpbench.analysis.writers import (
    Column,
    Mark,
    Table,
    clean,
    column,
    escape_latex,
    escape_markdown,
    to_csv,
    to_latex,
    to_markdown,
)
from hpbench.wording import counted

HOSTILE = '=cmd|a\x1b[31m</script>&<img src=x>\\input{/etc/passwd}$x_1$%#~^`*b*[l](u)"\u202e\n| next'


def table(text: str = HOSTILE) -> Table:
    values = pd.DataFrame({"name": [text], "x": [0.1], "best": [True], "none": [math.nan]})
    columns = (
        column("Name", "name", numeric=False),
        Column("x (%)", lambda row: Mark(f"{row['x']:.2f}", bold=row["best"])),
        Column("y", lambda row: Mark(f"{row['x']:.1f}", underlined=True)),
    )
    return Table("final", "A & B", "Caption with 95 %.", values, columns)


def test_markdown_keeps_its_shape_and_shows_the_name_as_it_is() -> None:
    text = to_markdown(table())
    row = text.splitlines()[4]
    assert len([p for p in row.replace("\\|", "").split("|") if p.strip()]) == 3
    assert "<" not in row
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\*b\\*\\[l\\](u)" in row
    assert "**0.10**" in row
    assert "*0.1*" in row
    assert text.splitlines()[3] == "| --- | ---: | ---: |"


def test_latex_carries_out_nothing_of_a_name() -> None:
    text = to_latex(table())
    assert r"\input" not in text
    assert r"\textbackslash{}input\{/etc/passwd\}\$x\_1\$\%\#" in text
    assert r"\textbf{0.10} & \underline{0.1} \\" in text
    for rule in ("toprule", "midrule", "bottomrule"):
        assert f"\\{rule}" in text
    assert r"\caption{A \& B. Caption with 95 \%.}" in text


@pytest.mark.parametrize("char", list("\\{}$&#_%~^"))
def test_every_special_character_of_latex_is_escaped(char: str) -> None:
    assert escape_latex(char) != char
    assert escape_latex(char).startswith("\\")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\u221e (0/10)", r"$\infty$ (0/10)"),
        ("R\u00b2", "R$^2$"),
        ("\u00d7 1.5 \u00b1 0.2", r"$\times$ 1.5 $\pm$ 0.2"),
        (
            "\u2212\u03c4 \u2264 \u03bb \u2265 \u00b5 \u2248 \u03bc\u2026",
            r"$-$$\tau$ $\leq$ $\lambda$ $\geq$ $\mu$ $\approx$ $\mu$\ldots{}",
        ),
        (
            "L\u00e9vy\u2019s \u2013 \u2014 na\u00efve",
            "L\u00e9vy\u2019s \u2013 \u2014 na\u00efve",
        ),  # pdflatex knows these
    ],
)
def test_signs_that_pdflatex_lacks_become_mathematics(text: str, expected: str) -> None:
    assert escape_latex(text) == expected


def test_csv_reads_back_and_holds_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(table().values))))
    assert rows[0]["name"].startswith("'=cmd|a[31m</script>")
    assert float(rows[0]["x"]) == 0.1
    assert rows[0]["best"] == "true"
    assert rows[0]["none"] == ""


@pytest.mark.parametrize("value", [1 / 3, 1e-300, -2.5, 123456789.123456789])
def test_csv_keeps_every_bit_of_a_float(value: float) -> None:
    assert float(to_csv(pd.DataFrame({"x": [value]})).splitlines()[1]) == value


def test_csv_of_integers_and_nothing() -> None:
    assert to_csv(pd.DataFrame({"a": [1], "b": [None]})) == "a,b\n1,\n"


def test_clean_leaves_one_line_of_printable_text() -> None:
    assert clean("a\nb\tc\x00\x1b\u200b é 漢") == "a b c é 漢"


def test_escape_markdown_of_plain_text_is_the_text() -> None:
    assert escape_markdown("GP (scikit-optimize), 97.1 %") == "GP (scikit-optimize), 97.1 %"


def test_numbers_as_readers_see_them() -> None:
    assert percent(0.0288) == "97.12"
    assert percent(math.nan) == percent(math.inf) == "-"
    assert points(0.012, 0.003, 0.021) == "+1.20 [0.30, 2.10]"
    assert points(-0.012, math.nan, math.nan) == "-1.20"
    assert points(-0.00001, -0.01, 0.01) == "0.00 [-1.00, 1.00]"
    assert points(math.nan, math.nan, math.nan) == "-"
    assert p_text(0.0312, enough=True) == ".031"
    assert p_text(0.00001, enough=True) == "< .001"
    assert p_text(0.03, enough=False) == "too few"
    assert p_text(math.nan, enough=True) == "-"
    assert seconds(0.012345) == "0.0123"
    assert seconds(math.nan) == "-"
    assert counted(1, "run") == "1 run"
    assert counted(2, "strategy", "strategies") == "2 strategies"
    assert repetitions_text(3, 10) == "n = 3 to 10"
    assert repetitions_text(10, 10) == "n = 10"

"""Tables as Markdown, CSV and LaTeX: one table of values, three texts, each with its own escaping.

Names come from other people's files, so every writer escapes every cell: what is a formula to a
spreadsheet, a command to LaTeX or a tag to a browser is a text here.
"""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

__all__ = [
    "NAMES",
    "Column",
    "Mark",
    "Table",
    "clean",
    "column",
    "escape_latex",
    "escape_markdown",
    "to_csv",
    "to_latex",
    "to_markdown",
]

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",
    "]": "{]}",
    "\N{INFINITY}": r"$\infty$",
    "\N{MINUS SIGN}": "$-$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{ALMOST EQUAL TO}": r"$\approx$",
    "\N{SUPERSCRIPT TWO}": "$^2$",
    "\N{SUPERSCRIPT THREE}": "$^3$",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
}
_GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega"
_LATEX |= {
    unicodedata.lookup(f"GREEK SMALL LETTER {name.replace('lambda', 'lamda')}"): f"$\\{name}$"
    for name in _GREEK.split()
}
_LATEX["\N{MICRO SIGN}"] = r"$\mu$"
_MARKDOWN = re.compile(r"([\\`*_\[\]#|~$])")
_FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True)
class Mark:
    """A cell with emphasis: the best value bold, one that is not shown to differ from it underlined."""

    text: str
    bold: bool = False
    underlined: bool = False


@dataclass(frozen=True)
class Column:
    """What readers see in one column.

    Attributes:
        header: the heading, with the unit.
        cell: from a row of values to its text.
        numeric: aligned to the right.
    """

    header: str
    cell: Callable[[Mapping[str, Any]], str | Mark]
    numeric: bool = True


def column(header: str, key: str, form: Callable[[Any], str] = str, *, numeric: bool = True) -> Column:
    """Return the column that shows the value under ``key``."""
    return Column(header, lambda row: form(row[key]), numeric)


NAMES = (
    column("Task", "task", numeric=False),
    column("Strategy", "label", numeric=False),
)


@dataclass(frozen=True)
class Table:
    """Values, and how readers see them.

    Attributes:
        name: the files' name.
        title: one line.
        caption: n, failures, intervals and tests, in whole sentences.
        values: tidy and unrounded, what the CSV holds.
        columns: what Markdown and LaTeX show.
    """

    name: str
    title: str
    caption: str
    values: pd.DataFrame
    columns: tuple[Column, ...]

    def cells(self) -> list[list[Mark]]:
        """Return the shown cells, row by row."""
        rows = self.values.to_dict("records")
        return [[_marked(column.cell(row)) for column in self.columns] for row in rows]  # type: ignore[arg-type]


def _marked(cell: str | Mark) -> Mark:
    """Return ``cell`` with its emphasis, none if it is a plain text."""
    return cell if isinstance(cell, Mark) else Mark(cell)


def clean(text: str) -> str:
    """Return ``text`` on one line, without control and formatting characters."""
    kept = (" " if char in "\t\r\n" else char for char in text)
    return "".join(char for char in kept if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn"})


def escape_markdown(text: str) -> str:
    """Return ``text`` so that Markdown and the HTML inside it show it as it is."""
    escaped = _MARKDOWN.sub(r"\\\1", clean(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_latex(text: str) -> str:
    """Return ``text`` so that LaTeX sets it as it is; no command in it is carried out.

    Signs that stock pdflatex has in mathematics alone, such as infinity, become mathematics.
    """
    return "".join(_LATEX.get(char, char) for char in clean(text))


def to_markdown(table: Table) -> str:
    """Return the table with its title and caption as GitHub-flavoured Markdown."""
    header = [escape_markdown(column.header) for column in table.columns]
    rule = ["---:" if column.numeric else "---" for column in table.columns]
    body = [[_markdown_cell(cell) for cell in row] for row in table.cells()]
    lines = [f"| {' | '.join(row)} |" for row in [header, rule, *body]]
    return (
        f"### {escape_markdown(table.title)}\n\n"
        + "\n".join(lines)
        + f"\n\n{escape_markdown(table.caption)}\n"
    )


def _markdown_cell(cell: Mark) -> str:
    """Return one cell; Markdown has no underline, so "not different from the best" is set in italics."""
    text = escape_markdown(cell.text)
    if cell.bold and text:
        return f"**{text}**"
    return f"*{text}*" if cell.underlined and text else text


def to_latex(table: Table) -> str:
    """Return the table as a LaTeX ``table`` with the rules of the package booktabs."""
    alignment = "".join("r" if column.numeric else "l" for column in table.columns)
    header = " & ".join(escape_latex(column.header) for column in table.columns)
    body = [" & ".join(_latex_cell(cell) for cell in row) + r" \\" for row in table.cells()]
    lines = [
        "% needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}",
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{escape_latex(table.title)}. {escape_latex(table.caption)}}}",
        f"  \\label{{tab:{table.name}}}",
        f"  \\begin{{tabular}}{{{alignment}}}",
        r"    \toprule",
        f"    {header} \\\\",
        r"    \midrule",
        *(f"    {row}" for row in body),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_cell(cell: Mark) -> str:
    """Return one cell."""
    text = escape_latex(cell.text)
    if cell.bold and text:
        return f"\\textbf{{{text}}}"
    return f"\\underline{{{text}}}" if cell.underlined and text else text


def to_csv(values: pd.DataFrame) -> str:
    """Return tidy values as CSV, floats by ``repr``, what is missing left empty.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(values.columns)
    writer.writerows([_csv_cell(value) for value in row] for row in values.itertuples(index=False, name=None))
    return stream.getvalue()


def _csv_cell(value: object) -> str:
    """Return one value as text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, int):
        return str(value)
    return _csv_text(str(value))


@lru_cache(1000)
def _csv_text(text: str) -> str:
    """Return a text as a cell; a long table has the same few again and again."""
    found = clean(text)
    return f"'{found}" if found.startswith(_FORMULA) else found

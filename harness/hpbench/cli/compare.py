"""``hpbench compare``: two studies side by side."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpbench.cli import options
from hpbench.errors import ExitCode

if TYPE_CHECKING:
    from hpbench.analysis.two_report import TwoReport

__all__ = ["compare"]


@click.command("compare")
@click.argument("first", metavar="RESULTS_A", type=options.EXISTING_DIRECTORY)
@click.argument("second", metavar="RESULTS_B", type=options.EXISTING_DIRECTORY)
@click.option(
    "--fail-if-worse",
    "margin",
    type=click.FloatRange(min=0.0, max=1.0, max_open=True),
    metavar="MARGIN",
    help="Exit with 3 if a final test error rose significantly by more than this, such as 0.01.",
)
@click.option(
    "--out", type=options.NEW_DIRECTORY, metavar="DIR", help="Write compare.html, tables/ and figures/."
)
@options.as_json
def compare(first: Path, second: Path, *, margin: float | None, out: Path | None, as_json: bool) -> int:
    """Compare two studies: another version, device or machine.

    RESULTS_A and RESULTS_B are results directories. What both have, tasks and strategies of one name, is
    compared; repetitions are paired where both trained on the same data under the same seeds. p-values are
    adjusted by Holm over everything that is compared.
    """
    from hpbench.analysis.two_report import compare_results, write_comparison
    from hpbench.errors import StoreError

    report = compare_results(first, second, margin=margin)
    paths: list[Path] = []
    if out is not None:
        try:
            paths = write_comparison(report, out)
        except OSError as error:
            raise StoreError(f"{out} cannot be written: {error.strerror or error}.") from error
    if as_json:
        click.echo(json.dumps(_plain(report), indent=2, ensure_ascii=True, allow_nan=False))
    else:
        _show(report, out, paths)
    broken = report.gate is not None and report.gate.broken
    return int(ExitCode.FAILED_CELLS if broken else ExitCode.COMPLETE)


def _show(report: TwoReport, out: Path | None, paths: list[Path]) -> None:
    """Print the table, whole even where it is wider than the terminal or a log, and what it says."""
    from rich.console import Console
    from rich.text import Text

    from hpbench.cli.summary import files_of
    from hpbench.cli.text import clean, table

    found = report.changes
    rows: list[Sequence[str]] = []
    styles = ["bold"]
    task = ""
    for row in found.values.to_dict("records"):
        if row["task"] != task:
            task = str(row["task"])
            rows.append([task, "", "", "", "", ""])
            styles.append("bold")
        rows.append(_cells(row))
        styles.append(_style(row))
    header = ["Strategy", "A (%)", "B (%)", "Change (points)", "p (Holm)", "Verdict"]
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(Text(clean(f"A: {report.between.names[0]}   B: {report.between.names[1]}")))
    for line, style in zip(table(header, rows, right=(1, 2, 3, 4)).splitlines(), styles, strict=True):
        console.print(Text(line, style=style), soft_wrap=True)
    console.print()
    for text in (*report.statements, found.caption):
        console.print(Text(clean(text)))
    if out is not None:
        click.echo("\n" + files_of(paths, out))


def _cells(row: Mapping[Any, Any]) -> tuple[str, ...]:
    """Return what a line of the terminal shows of a change."""
    from hpbench.analysis.captions import p_text, percent, points

    verdict = {"not shown": "", "too few": "too few to tell"}.get(row["verdict"], row["verdict"])
    return (
        f"  {row['label']}",
        percent(row["a_error"]),
        percent(row["b_error"]),
        points(row["gain"], row["gain_low"], row["gain_high"]),
        p_text(row["p"], enough=row["enough"]),
        "above margin" if row["gate_broken"] else verdict,
    )


def _style(row: Mapping[Any, Any]) -> str:
    """Return the colour of a line."""
    if row["gate_broken"]:
        return "bold red"
    return {"better": "green", "worse": "red"}.get(row["verdict"], "")


def _plain(report: TwoReport) -> dict[str, Any]:
    """Return the comparison as JSON values; what is missing or not finite is null."""
    between = report.between
    rows = [
        {str(key): _json_value(value) for key, value in row.items()}
        for row in report.changes.values.to_dict("records")
    ]
    return {
        "first": between.names[0],
        "second": between.names[1],
        "headline": report.headline,
        "notes": list(between.notes),
        "unpaired": between.unpaired,
        "margin": None if report.gate is None else report.gate.margin,
        "broken": bool(report.gate is not None and report.gate.broken),
        "changes": rows,
    }


def _json_value(value: Any) -> Any:
    """Return a value of a data frame as JSON has it."""
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value

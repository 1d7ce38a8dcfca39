"""``hpbench export``: the results as open, citable files."""

from __future__ import annotations

from pathlib import Path

import click

from hpbench.cli import options

__all__ = ["export"]


@click.command("export")
@options.results_directory
@click.option("--out", required=True, metavar="DIR2", type=options.NEW_DIRECTORY, help="Where the files go.")
def export(results: Path, *, out: Path) -> None:
    """Write results as JSON lines, CSV and Parquet.

    trials.jsonl, trials.csv, curves.csv, manifest.json and, with the extra parquet, trials.parquet go
    to DIR2. The format of trials.jsonl is described in the README; equal studies give equal files, times aside.
    """
    from hpbench.cli.text import clean
    from hpbench.export import export_study

    for path in export_study(results, out):
        click.echo(clean(str(path)))

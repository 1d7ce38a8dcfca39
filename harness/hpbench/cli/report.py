"""``hpbench report``: rebuild tables and figures from the store."""

from __future__ import annotations

from pathlib import Path

import click

from hpbench.cli import options

__all__ = ["report"]


@click.command("report")
@options.results_directory
def report(results: Path) -> None:
    """Rebuild the tables and figures of a study.

    DIR is a results directory. It works while the study is running, too, and says what is missing.
    """
    from hpbench.cli.summary import files_text, final_text, rebuild

    study, paths = rebuild(results)
    click.echo(final_text(study))
    click.echo("\n" + files_text(results, paths))

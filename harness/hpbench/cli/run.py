"""``hpbench run``: run a suite, or continue it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpbench.cli import options

if TYPE_CHECKING:
    from hpbench.runner import ProgressSink, RunSummary
    from hpbench.suite import Suite

__all__ = ["run"]


@click.command("run")
@options.suite
@click.option(
    "--results",
    type=options.NEW_DIRECTORY,
    metavar="DIR",
    help="Where the results go; by default results/NAME, by the name in the suite.",
)
@options.workers
@options.device
@click.option(
    "--trainer",
    type=click.Choice(["reference", "cohort"]),
    help="Train with this trainer instead of the suite's.",
)
@options.only
@options.plugins
@click.pass_context
def run(
    context: click.Context,
    suite: str,
    *,
    results: Path | None,
    workers: int | None,
    device: str,
    trainer: str | None,
    only: str | None,
    plugins: tuple[Path, ...],
) -> int:
    """Run a suite, or continue where it stopped.

    SUITE is a TOML file, or the name of a bundled suite such as "small". Finished trials are on disk
    at once: stop it with Ctrl-C whenever you like, and the same command continues. At the end the
    tables and figures are written beside the results.
    """
    from hpbench.runner import run_study
    from hpbench.suite import load_suite

    found, text = load_suite(suite)
    if trainer is not None:
        found = found.replace(trainer=trainer)
    place = results or Path("results") / found.name
    summary = run_study(
        found,
        text,
        results=place,
        workers=options.resolve_workers(workers, threads=found.threads),
        device=device,
        only=only,
        progress=display_for(found, place),
        plugins=plugins,
    )
    if summary.interrupted is not None:
        _say_how_to_continue(context, place)
    else:
        _conclude(summary)
    return summary.exit_code


def display_for(suite: Suite, results: Path) -> ProgressSink:
    """Return the live table on a terminal, plain lines elsewhere."""
    from hpbench.cli.display import LiveDisplay, PlainDisplay

    kind = LiveDisplay if sys.stdout.isatty() else PlainDisplay
    return kind(results, budget_seconds=suite.budget.seconds)


def _say_how_to_continue(context: click.Context, results: Path) -> None:
    """Print the command that continues, which is the one that was given."""
    from hpbench.cli.text import clean

    words = context.find_root().obj or ["run", "SUITE"]
    click.echo(f"Stopped; finished trials are kept in {clean(str(results))}. This continues:", err=True)
    click.echo(f"  hpbench {clean(shlex.join(words))}", err=True)
    click.echo(f"This shows what is there: hpbench report {clean(shlex.quote(str(results)))}", err=True)


def _conclude(summary: RunSummary) -> None:
    """Write tables and figures, and print what matters of them."""
    from hpbench.cli.summary import failures_text, files_text, final_text, rebuild

    click.echo("Writing tables and figures.")
    study, paths = rebuild(summary.results)
    click.echo("\n" + final_text(study))
    click.echo("\n" + files_text(summary.results, paths))
    if summary.failed:
        click.echo("\n" + failures_text(summary.failed), err=True)

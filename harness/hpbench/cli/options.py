"""Arguments and options that several commands share, and what the shell completes for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

__all__ = [
    "as_json",
    "complete_datasets",
    "complete_networks",
    "complete_strategies",
    "data",
    "device",
    "only",
    "plugins",
    "resolve_workers",
    "results_directory",
    "suite",
    "workers",
]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class _Directory(click.Path):
    """A directory; an empty name, as of a variable that is not set, does not stand for the current one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail(
                "a directory must be named, got an empty text. Write . for the current one.", param, ctx
            )
        return super().convert(value, param, ctx)


EXISTING_DIRECTORY = _Directory(exists=True, file_okay=False, path_type=Path)
NEW_DIRECTORY = _Directory(file_okay=False, path_type=Path)

_DIGITS = re.compile("[0-9]{1,5}")
_LARGEST_SIDE = 65536


def _starting_with(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Return the names that begin as the user began."""
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_strategies(
    _context: click.Context, _option: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a strategy."""
    from hpbench.strategies import REGISTRY

    return _starting_with(REGISTRY.names(), incomplete)


def complete_networks(
    _context: click.Context, _option: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a network family."""
    from hpbench.tasks.networks import REGISTRY

    return _starting_with(REGISTRY.names(), incomplete)


def complete_datasets(
    _context: click.Context, _option: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a data set."""
    from hpbench.tasks.datasets import REGISTRY, SOURCES

    return _starting_with([*REGISTRY.names(), *(f"{name}:" for name in SOURCES.names())], incomplete)


def complete_suites(
    _context: click.Context, _option: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a bundled suite, or a file."""
    from hpbench.suite import bundled_suites

    return [*_starting_with(bundled_suites(), incomplete), CompletionItem(incomplete, type="file")]


def complete_cells(context: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete ``TASK/STRATEGY/*`` from the suite that was given before."""
    from hpbench.errors import HpbenchError
    from hpbench.suite import load_suite

    # while the option lacks its value, click leaves the words before it unparsed
    given = context.params.get("suite") or next(iter(context.args), "")
    try:
        found, _ = load_suite(given, check_data=False)
    except HpbenchError:  # nothing to complete from; the command itself will say what is wrong
        return []
    cells = dict.fromkeys(f"{key.task}/{key.strategy}/*" for key in found.run_keys())
    return _starting_with(cells, incomplete)


suite: Decorator = click.argument("suite", metavar="SUITE", shell_complete=complete_suites)

results_directory: Decorator = click.argument("results", metavar="DIR", type=EXISTING_DIRECTORY)

as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")

only: Decorator = click.option(
    "--only",
    metavar="GLOB",
    shell_complete=complete_cells,
    help="Only the runs whose TASK/STRATEGY/REPETITION matches, such as 'digits-mlp/*/0'.",
)

workers: Decorator = click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Training processes at once; by default as many as there are cores for the suite's threads.",
)

device: Decorator = click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="cpu|cuda|cuda:N|auto",
    help="Where the networks train; auto takes CUDA if it is there.",
)


def data(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say of a data set what a suite's task may say: its target, shape and subset."""
    for option in (
        click.option("--subset", type=click.IntRange(min=1), metavar="N", help="Take N examples only."),
        click.option(
            "--shape",
            callback=_shape,
            metavar="C,H,W",
            help="Read the inputs as images: channels, height, width; or height and width.",
        ),
        click.option(
            "--target-kind",
            type=click.Choice(["classification", "regression"]),
            help="Whether that column holds classes or numbers.  [default: classification]",
        ),
        click.option("--target", metavar="COLUMN", help="The column to predict."),
    ):
        function = option(function)
    return function


def _shape(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """Return the numbers of ``--shape``."""
    if text is None:
        return None
    parts = text.split(",")
    sides = [int(part) if _DIGITS.fullmatch(part) else 0 for part in parts]
    if len(parts) not in {2, 3} or not all(0 < side <= _LARGEST_SIDE for side in sides):
        from hpbench.suite.problems import shown

        raise click.BadParameter(
            f"must be two or three whole numbers from 1 to {_LARGEST_SIDE} such as 1,28,28, got {shown(text)}."
        )
    return tuple(sides)


def resolve_workers(given: int | None, *, threads: int) -> int:
    """Return the number of training processes: what was asked for, or what the cores allow.

    Args:
        given: the option, or None.
        threads: threads of each process.
    """
    if given is not None:
        return given
    from hpbench.environment import usable_cpus

    return max(1, usable_cpus() // threads)


def plugins(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--plugin FILE``, which may be repeated and runs the files before the command."""
    return click.option(
        "--plugin",
        "plugins",
        multiple=True,
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_load,
        is_eager=True,
        help="Run this Python file first; it registers strategies, networks or data sets. May be repeated.",
    )(function)


def _load(context: click.Context, _option: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """Run the plug-ins, unless the shell merely wants to complete a word."""
    if paths and not context.resilient_parsing:
        from hpbench.plugins import load_plugins

        load_plugins(paths)
    return paths

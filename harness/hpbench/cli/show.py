"""``hpbench show``: the search space of a task, what a data set holds, the options of a strategy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpbench.cli import options

if TYPE_CHECKING:
    from hpbench.space import Parameter, SearchSpace
    from hpbench.strategies import Strategy
    from hpbench.tasks.datasets import Dataset
    from hpbench.tasks.networks import NetworkFamily

__all__ = ["show"]

_ENTRY = re.compile(r" {4}(\w+): (.*)")


@click.group("show")
def show() -> None:
    """Show what a task, a data set or a strategy offers."""


@show.command("task")
@click.argument("dataset", shell_complete=options.complete_datasets)
@click.argument("network", shell_complete=options.complete_networks)
@options.data
@options.as_json
@options.plugins
def show_task(
    dataset: str,
    network: str,
    *,
    target: str | None,
    shape: tuple[int, ...] | None,
    subset: int | None,
    as_json: bool,
    plugins: tuple[Path, ...],
) -> None:
    """Show what can be tuned when NETWORK learns DATASET."""
    import json

    from hpbench.cli.text import clean
    from hpbench.errors import UsageError
    from hpbench.tasks.datasets import DataSpec, load
    from hpbench.tasks.datasets.images import shape_hint
    from hpbench.tasks.networks import REGISTRY

    del plugins  # they are loaded already
    family = REGISTRY.get(network)
    data = load(DataSpec(dataset, target, shape, subset))
    if family.inputs == "image" and len(data.shape) == 1:
        raise UsageError(
            f"network {network!r} takes images of shape (channels, height, width), but the inputs of data set "
            f"{dataset!r} have the shape {data.shape}. Choose an image data set, or the network 'mlp'."
            f"{shape_hint(data.shape)}"
        )
    if as_json:
        click.echo(json.dumps(task_content(family, data), indent=2))
        return
    click.echo(
        f"Data set {clean(dataset)}: {len(data)} examples of shape {data.shape}, {data.n_classes} classes\n"
        f"Network {clean(network)}: {len(family.space.parameters)} hyperparameters\n"
    )
    click.echo(space_table(family.space))
    constants = ", ".join(f"{name} = {_toml(value)}" for name, value in family.space.constants.items())
    if constants:
        click.echo(f"\nFixed unless a suite gives them a range: {clean(constants)}")
    if family.citation:
        click.echo(
            "\n" + click.wrap_text(f"Where the defaults come from: {clean(family.citation)}", width=100)
        )


def task_content(family: NetworkFamily, data: Dataset) -> dict[str, Any]:
    """Return a task as JSON values: its data in short, and its search space as the manifest has it."""
    from hpbench.description import describe_parameter

    return {
        "dataset": {
            "name": data.name,
            "examples": len(data),
            "shape": list(data.shape),
            "n_classes": data.n_classes,
        },
        "network": family.name,
        "space": [describe_parameter(parameter) for parameter in family.space.parameters],
        "constants": dict(family.space.constants),
        "default": family.space.default_config(),
        "citation": family.citation,
    }


@show.command("data")
@click.argument("dataset", shell_complete=options.complete_datasets)
@options.data
@options.as_json
@options.plugins
def show_data(
    dataset: str,
    *,
    target: str | None,
    shape: tuple[int, ...] | None,
    subset: int | None,
    as_json: bool,
    plugins: tuple[Path, ...],
) -> None:
    """Show what DATASET holds: rows, columns, classes, and the sizes of its parts.

    The parts are those of a suite that says nothing else of validation and test. A data set of OpenML
    is fetched, unless it is kept already.
    """
    import json

    from hpbench.cli.data import content_of, text_of
    from hpbench.tasks.datasets import DataSpec, load

    del plugins  # they are loaded already
    content = content_of(load(DataSpec(dataset, target, shape, subset)))
    click.echo(json.dumps(content, indent=2) if as_json else text_of(content))


def space_table(space: SearchSpace) -> str:
    """Return the hyperparameters of a space, one a line: range, scale, default, condition."""
    from hpbench.cli.text import table

    defaults = space.default_values()
    rows = [
        [
            item.name,
            values(item),
            "log" if getattr(item, "log", False) else "",
            _toml(defaults[item.name]),
            f"{item.when.parent} in {list(item.when.values)}" if item.when else "",
        ]
        for item in space.parameters
    ]
    return table(["HYPERPARAMETER", "VALUES", "SCALE", "DEFAULT", "ONLY WHERE"], rows)


def values(item: Parameter) -> str:
    """Return the range or the choices of a hyperparameter as text."""
    from hpbench.cli.text import number
    from hpbench.space import Categorical

    if isinstance(item, Categorical):
        return ", ".join(_toml(choice) for choice in item.choices)
    return f"{number(item.low)} to {number(item.high)}"


def _toml(value: object) -> str:
    """Return a value as a suite file would have it, text without quotes."""
    from hpbench.cli.text import number

    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, (int, float)) else str(value)


@show.command("strategy")
@click.argument("name", shell_complete=options.complete_strategies)
@options.plugins
def show_strategy(name: str, *, plugins: tuple[Path, ...]) -> None:
    """Show how the strategy NAME works, its options and their defaults."""
    import inspect

    from hpbench.cli.text import clean
    from hpbench.environment import library_version
    from hpbench.strategies import REGISTRY
    from hpbench.strategies.factory import describe_options

    del plugins  # they are loaded already
    found = REGISTRY.get(name)
    about, meanings = documentation(found)
    click.echo(clean(about, keep_lines=True))
    library = "none, the code is hpbench's own"
    if found.library is not None:
        library = f"{found.library} {library_version(found.library) or '(not installed)'}"
    click.echo(f"\nLibrary: {clean(library)}")
    click.echo(f"Capabilities: {', '.join(sorted(found.capabilities)) or 'none'}")
    for item in describe_options(name):
        required = item.default is inspect.Parameter.empty
        default = "required" if required else f"default {item.default!r}"
        click.echo(f"\n{clean(item.name)}: {clean(item.type)}, {clean(default)}")
        if item.name in meanings:
            click.echo(click.wrap_text(clean(meanings[item.name]), 100, "    ", "    "))
    if not describe_options(name):
        click.echo("\nIt has no options.")


def documentation(strategy: type[Strategy]) -> tuple[str, dict[str, str]]:
    """Return what a strategy and the classes that it extends say of themselves, and of each argument."""
    import inspect

    from hpbench.strategies import Strategy

    about: list[str] = []
    meanings: dict[str, str] = {}
    for kind in strategy.__mro__[: strategy.__mro__.index(Strategy)]:
        text, arguments = parts_of(inspect.cleandoc(kind.__doc__ or ""))
        about += [text] if text else []
        meanings = {**arguments, **meanings}
    return "\n\n".join(about) or "no description", meanings


def parts_of(docstring: str) -> tuple[str, dict[str, str]]:
    """Return what a Google docstring says before ``Args:``, and the meaning of each argument."""
    about, _, rest = docstring.replace("``", "").partition("\nArgs:\n")
    meanings: dict[str, str] = {}
    name = ""
    for line in rest.splitlines():
        if line and not line.startswith(" "):
            break
        entry = _ENTRY.match(line)
        if entry:
            name = entry[1]
            meanings[name] = entry[2]
        elif name and line.strip():
            meanings[name] += " " + line.strip()
    return about.strip(), meanings

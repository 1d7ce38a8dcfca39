"""``hpbench list``: the names that a suite may use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hpbench.cli import options

__all__ = ["list_"]

Entry = dict[str, Any]


@click.command("list")
@click.argument("kind", type=click.Choice(["strategies", "datasets", "networks", "functions", "suites"]))
@options.as_json
@options.plugins
def list_(kind: str, *, as_json: bool, plugins: tuple[Path, ...]) -> None:
    """List the names a suite may use."""
    import json

    from hpbench.cli.text import table

    del plugins  # they are loaded already
    readers: dict[str, Callable[[], list[Entry]]] = {
        "strategies": strategies,
        "datasets": datasets,
        "networks": networks,
        "functions": functions,
        "suites": suites,
    }
    entries = readers[kind]()
    if as_json:
        click.echo(json.dumps(entries, indent=2))
        return
    rows = [[str(entry["name"]), str(entry["summary"])] for entry in entries]
    click.echo(table(["NAME", "WHAT IT IS"], rows))


def strategies() -> list[Entry]:
    """Return every strategy: name, summary, the library behind it, its capabilities, a missing extra.

    A strategy whose library is missing is listed with what would install it.
    """
    from hpbench.errors import MissingExtraError, UsageError
    from hpbench.strategies import REGISTRY

    entries: list[Entry] = []
    for name in REGISTRY.names():
        try:
            found = REGISTRY.get(name)
        except UsageError as error:
            missing = error.extra if isinstance(error, MissingExtraError) else None
            entry = {"name": name, "summary": str(error), "library": None, "capabilities": None}
            entries.append({**entry, "missing_extra": missing})
            continue
        entries.append(
            {
                "name": name,
                "summary": first_sentence(found.__doc__),
                "library": found.library,
                "capabilities": sorted(str(item) for item in found.capabilities),
                "missing_extra": None,
            }
        )
    return entries


def datasets() -> list[Entry]:
    """Return every data set and every prefix: name and what its loader says of itself."""
    from hpbench.tasks.datasets import REGISTRY, SOURCES

    named = {name: REGISTRY.get(name).__doc__ for name in REGISTRY.names()}
    sources = {f"{name}:...": SOURCES.get(name).__doc__ for name in SOURCES.names()}
    return [
        {"name": name, "summary": first_sentence(text)} for name, text in [*named.items(), *sources.items()]
    ]


def networks() -> list[Entry]:
    """Return every network family: name, number of hyperparameters, the inputs it takes."""
    from hpbench.tasks.networks import REGISTRY

    entries: list[Entry] = []
    for name in REGISTRY.names():
        family = REGISTRY.get(name)
        taken = "images" if family.inputs == "image" else "vectors and images"
        summary = f"{len(family.space.parameters)} hyperparameters; takes {taken}"
        entries.append({"name": name, "summary": summary, "hyperparameters": list(family.space.names)})
    return entries


def functions() -> list[Entry]:
    """Return every function and task of others: name, number of hyperparameters, known minimum."""
    from hpbench.tasks.families import REGISTRY

    entries: list[Entry] = []
    for name in REGISTRY.names():
        family = REGISTRY.get(name)
        least = "" if family.minimum is None else f", minimum {family.minimum:.6g}"
        source = f"; {family.citation}" if family.citation else ""
        summary = f"{len(family.space.parameters)} hyperparameters{least}{source}"
        entries.append({"name": name, "summary": summary, "hyperparameters": list(family.space.names)})
    return entries


def suites() -> list[Entry]:
    """Return every bundled suite: name, description, path.

    A suite whose strategies need an extra that is missing is listed with what would install it.
    """
    from hpbench.errors import UsageError
    from hpbench.suite import bundled_suites, load_suite

    entries: list[Entry] = []
    for name, path in sorted(bundled_suites().items()):
        try:
            summary = load_suite(path)[0].description
        except UsageError as error:
            summary = str(error).splitlines()[0]
        entries.append({"name": name, "summary": summary, "path": str(path)})
    return entries


def first_sentence(docstring: str | None) -> str:
    """Return the first line of a docstring as a heading: no full stop, no mark-up, no "Return"."""
    lines = (docstring or "no description").strip().splitlines() or ["no description"]
    text = lines[0].strip().removesuffix(".").replace("``", "").removeprefix("Return ")
    return text[:1].upper() + text[1:]

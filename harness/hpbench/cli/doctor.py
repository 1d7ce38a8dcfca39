"""``hpbench doctor``: what works here, what is missing, what installs it, and a self-test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpbench.cli import options
from hpbench.wording import counted

if TYPE_CHECKING:
    from hpbench.doctor import Check

__all__ = ["doctor"]

_TITLES = {
    "cache": "cache folder",
    "store": "results file",
    "torch": "torch",
    "reference": "training",
    "compiled": "compiled training",
    "cuda": "training on CUDA",
    "strategies": "strategies",
}
_LABEL = 20
_WIDEST = 100


@click.command("doctor")
@options.as_json
@options.plugins
def doctor(*, as_json: bool, plugins: tuple[Path, ...]) -> int:
    """Show what works on this machine.

    It prints libraries, devices and settings, which strategies are installed, what is missing and the
    command that installs it, and ends with a self-test: a trial is stored, a few are trained in every
    way that this machine allows, the results are compared, and every installed strategy is asked for
    a proposal. The exit code is 3 if any of it fails. The first time, the self-test compiles the library
    for training into the cache folder.
    """
    import json
    from dataclasses import asdict

    from hpbench.doctor import facts, self_test
    from hpbench.doctor.checks import plan_checks
    from hpbench.errors import ExitCode

    found = facts(workers=options.resolve_workers(None, threads=1))
    there = [entry["name"] for entry in found["strategies"] if entry["missing"] is None]
    answers = self_test(plan_checks(there), plugins=plugins)
    checks = list(answers if as_json else _shown(found, answers))
    failed = [check.name for check in checks if check.state == "failed"]
    if as_json:
        works = {check.name: check.state == "ok" for check in checks}
        for entry in found["strategies"]:
            entry["works"] = works.get(f"strategy:{entry['name']}", False)
        content = {**found, "checks": [asdict(check) for check in checks], "healthy": not failed}
        click.echo(json.dumps(content, indent=2))
    else:
        working = sum(check.seconds for check in checks)
        importing = sum(check.importing_seconds for check in checks)
        click.echo(f"\nSelf-test: {working:.1f} s of work, {importing:.1f} s of importing.")
        click.echo(_conclusion(failed))
    return int(ExitCode.FAILED_CELLS if failed else ExitCode.COMPLETE)


def _shown(found: dict[str, Any], answers: Iterator[Check]) -> Iterator[Check]:
    """Print what is known, then every answer as it comes; pass the answers on."""
    width = _width()
    click.echo("\n".join(facts_text(found, width)))
    click.echo("\nSelf-test")
    strategies: list[Check] = []
    for check in answers:
        if check.name.startswith("strategy:"):
            strategies.append(check)
        else:
            click.echo(_line(check.state, _TITLES[check.name], check.note, width))
        yield check
    for check in strategies:
        if check.state != "ok":
            click.echo(_line(check.state, check.name.partition(":")[2], check.note, width))
    fine = sum(check.state == "ok" for check in strategies)
    state = "ok" if fine else "failed"
    click.echo(_line(state, _TITLES["strategies"], f"{fine} of {len(strategies)} made a proposal", width))


def facts_text(found: dict[str, Any], width: int) -> list[str]:
    """Return everything but the self-test as lines of at most ``width`` characters, where words allow."""
    machine = found["machine"]
    libraries = ", ".join(f"{name} {version or 'MISSING'}" for name, version in machine["libraries"].items())
    variables = ", ".join(f"{name}={value}" for name, value in found["variables"].items())
    workers = f"{counted(machine['workers'], 'worker')} of 1 thread"
    rows = [
        ("hpbench", f"{found['hpbench']} on Python {machine['python']}, {machine['system']}"),
        ("Processor", f"{machine['cpu'] or machine['machine']}, {machine['cpus']} to be used"),
        ("Threads", f"{workers}, unless --workers and the suite's `threads` say otherwise"),
        ("Environment", variables or "no variable sets threads or a compiler"),
        ("Libraries", libraries),
        ("SQLite", found["sqlite"]),
        ("C compiler", found["compiler"] or "none: install gcc or clang, or set CC"),
        ("Cache folder", found["cache"]),
    ]
    lines = [_paragraph(name, text, width) for name, text in rows]
    lines += ["", "Strategies installed"]
    lines += [_paragraph(f"  {library}", names, width) for library, names in _by_library(found["strategies"])]
    if found["missing"]:
        lines += ["", "Not installed; everything else works without"]
        for item in found["missing"]:
            lines += [_paragraph(f"  {item['extra']}", ", ".join(item["brings"]), width)]
            lines += [_paragraph("", item["install"], width)]
    lines += ["", "Left out on purpose"]
    return [*lines, *(_stacked(name, reason, width) for name, reason in found["left_out"].items())]


def _by_library(strategies: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return library and version with the names of its strategies; our own first."""
    groups: dict[tuple[bool, str], list[str]] = {}
    for entry in strategies:
        if entry["missing"] is None:
            library = entry["library"]
            title = "hpbench" if library is None else f"{library} {entry['version'] or 'MISSING'}"
            groups.setdefault((library is not None, title), []).append(entry["name"])
    return [(title, ", ".join(names)) for (_, title), names in sorted(groups.items())]


def _line(state: str, title: str, note: str, width: int) -> str:
    """Return the line of one check; failures are in capitals, so that they are seen without colour."""
    mark = state.upper() if state == "failed" else state
    return _paragraph(f"  {mark:<8}{title}", note, width, label=_LABEL + 9)


def _conclusion(failed: Sequence[str]) -> str:
    """Return the last line."""
    if not failed:
        return "Everything that is installed works."
    return f"{counted(len(failed), 'check')} failed: {', '.join(name.removeprefix('strategy:') for name in failed)}."


def _paragraph(name: str, text: str, width: int, *, label: int = _LABEL) -> str:
    """Return a name and, in a column of its own, a text; a name that is too long has a line of its own."""
    from hpbench.cli.text import clean

    name, text, indent = clean(name), clean(text), " " * label
    if len(name) >= label:
        return name + "\n" + _wrapped(text, indent, indent, width)
    return _wrapped(text, name.ljust(label), indent, width)


def _stacked(name: str, text: str, width: int) -> str:
    """Return a name and below it, indented, a text."""
    from hpbench.cli.text import clean

    return f"  {clean(name)}\n" + _wrapped(clean(text), "    ", "    ", width)


def _wrapped(text: str, first: str, rest: str, width: int) -> str:
    """Return the text in lines; words, such as paths, are never broken."""
    import textwrap

    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _width() -> int:
    """Return the width of the terminal; 80 characters where there is none."""
    import shutil

    return min(_WIDEST, shutil.get_terminal_size().columns)

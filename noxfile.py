"""Everything that continuous integration runs, one session each, such as ``nox -s tests``."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_missing_interpreters = True

PYPROJECT = nox.project.load_toml("pyproject.toml")
CONSTRAINTS = "constraints.txt"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Results are promised for equal thread numbers, and two workers are to fit on two cores."""


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group of pyproject.toml."""
    return nox.project.dependency_groups(PYPROJECT, name)


def constrained(package: str) -> str:
    """Return ``package==version`` as constraints.txt has it."""
    for line in Path(CONSTRAINTS).read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{package}=="):
            return line
    raise LookupError(f"{CONSTRAINTS} must pin {package}; add the line '{package}==…'.")


def lowest(requirement: str) -> str:
    """Return ``name==version`` for the lowest version that ``name>=version`` allows."""
    match = re.fullmatch(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9.]+)", requirement)
    if match is None:
        raise ValueError(f"a direct dependency must read 'name>=version', got {requirement!r}.")
    return f"{match[1]}=={match[2]}"


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install("-c", CONSTRAINTS, *group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the package, strictly."""
    # nothing of what is installed is imported
    session.install("--no-compile", "-c", CONSTRAINTS, ".", *group("types"))
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests against the installed wheel, on all cores; a file of tests stays on one."""
    session.install("-c", CONSTRAINTS, ".", *group("tests"))
    session.run("pytest", "-n", "auto", "--dist", "loadfile", *session.posargs, env=ONE_THREAD)


@nox.session
def peers(session: nox.Session) -> None:
    """Run the tests of the strategies with every library that has an adapter, installed as the extra ``peers``."""
    session.install("-c", CONSTRAINTS, ".[peers]", *group("tests"))
    session.run("pytest", "tests/strategies", *session.posargs, env=ONE_THREAD)


@nox.session
def browser(session: nox.Session) -> None:
    """Open the pages in Debian's Chromium; where it is missing and we may, it is installed first."""
    if not any(map(shutil.which, ("chromium", "chromium-browser"))):
        if not shutil.which("apt-get") or os.geteuid() != 0:
            session.error("needs Chromium; install it as root: apt-get install chromium")
        session.run("apt-get", "update", "-qq", external=True)
        packages = ("chromium", "fonts-dejavu-core")
        session.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages, external=True)
    session.install("-c", CONSTRAINTS, ".", *group("browser"))
    session.run("pytest", "tests/browser", *session.posargs, env=ONE_THREAD)


@nox.session(python="3.11")
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest version of every direct dependency, on the oldest Python.

    torch stays at the version of constraints.txt: of the older releases the package index has no
    builds for the CPU alone, and their CUDA builds take gigabytes to say little about hpbench. What
    old releases deprecate in each other is not an error here.
    """
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]["parquet"]
    direct = [item for item in [*project["dependencies"], *extras] if not item.startswith("torch>=")]
    session.install(".", *map(lowest, direct), constrained("torch"), *group("tests"))
    quiet = ("-W", "default::DeprecationWarning", "-W", "default::FutureWarning")
    session.run("pytest", *quiet, *session.posargs, env=ONE_THREAD)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed, and strategies with a model against random search: ``nox -s bench -- --benchmark-json=bench.json`` keeps the figures."""
    session.install("-c", CONSTRAINTS, ".[peers]", *group("tests"))
    options = "addopts=--strict-markers --strict-config --import-mode=importlib"
    session.run("pytest", "-o", options, "--benchmark-only", *session.posargs, env=ONE_THREAD)


@nox.session(venv_backend="none")
def gpu(session: nox.Session) -> None:
    """Check and time a CUDA device with this machine's own Python and torch (2.6 or newer), installing nothing."""
    environment = {**ONE_THREAD, "PYTHONPATH": "harness", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    session.run("python", "tests/gpu/check_device.py", *session.posargs, env=environment)


@nox.session
def figures(session: nox.Session) -> None:
    """Run a suite and rebuild its tables and figures from the store: ``nox -s figures -- suites/small.toml``."""
    session.install("-c", CONSTRAINTS, ".")
    suite = session.posargs[0] if session.posargs else "suites/small.toml"
    results = f"results/{Path(suite).stem}"
    session.run("hpbench", "run", suite, "--results", results, env=ONE_THREAD)
    session.run("hpbench", "report", results, env=ONE_THREAD)

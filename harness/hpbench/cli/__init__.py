"""The command line: parse, call, print.

Every command has a module of its own, which imports no more than click when it is loaded: what a
command needs is imported when the command runs, so that ``hpbench --help`` answers at once.
"""

from __future__ import annotations

from hpbench.cli.app import cli, run_program

__all__ = ["cli", "run_program"]

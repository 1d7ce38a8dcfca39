"""``python -m hpbench``, and what the console script ``hpbench`` calls."""

from __future__ import annotations

import sys

from hpbench.cli import run_program

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run_program(sys.argv[1:]))


if __name__ == "__main__":
    main()

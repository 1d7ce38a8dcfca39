"""The group of all commands, and how errors become messages and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

import click

from hpbench import __version__
from hpbench.cli.compare import compare
from hpbench.cli.doctor import doctor
from hpbench.cli.export import export
from hpbench.cli.list import list_
from hpbench.cli.plan import plan
from hpbench.cli.report import report
from hpbench.cli.run import run
from hpbench.cli.show import show
from hpbench.cli.text import clean
from hpbench.errors import ExitCode, HpbenchError

__all__ = ["cli", "run_program"]

REPORT_HINT = (
    "This is a fault of hpbench, not of your input. Finished trials are kept. Please report it with the "
    f"command that you ran and the text above (hpbench {__version__})."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="hpbench", message="%(prog)s %(version)s")
def cli() -> None:
    """Compare hyperparameter search strategies on real neural-network training.

    Options can also be set by environment variables: HPBENCH_RUN_WORKERS=4 stands for
    `hpbench run --workers 4`.
    """


def _name_variables(command: click.Command, words: str) -> None:
    """Let a variable named as an option is written set it: HPBENCH_COMPARE_FAIL_IF_WORSE is --fail-if-worse."""
    for item in command.params:
        if isinstance(item, click.Option):
            item.envvar = f"{words}{item.opts[0][1:]}".upper().replace("-", "_")
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            _name_variables(inner, f"{words}_{name}")


for command in (run, plan, report, compare, export, list_, show, doctor):
    cli.add_command(command)
    _name_variables(command, f"HPBENCH_{command.name}")


def run_program(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; messages go to standard error.

    Faults of the user are one message without a traceback. Anything unexpected leaves this function
    as it is and is shown with its traceback and a line how to report it.
    """
    words = list(arguments)
    sys.excepthook = _show_fault
    try:
        result = cli.main(args=words, prog_name="hpbench", standalone_mode=False, obj=list(words))
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return _interrupted()
    except KeyboardInterrupt:
        return _interrupted()
    except HpbenchError as error:
        click.echo(f"hpbench: {clean(str(error), keep_lines=True)}", err=True)
        return int(error.exit_code)
    return int(result or ExitCode.COMPLETE)


def _interrupted() -> int:
    """Say that the user stopped the program, and return the exit code for it."""
    click.echo("hpbench: interrupted.", err=True)
    return int(ExitCode.INTERRUPTED)


def _show_fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of an unexpected exception, and how to report it; Python then exits with 1."""
    sys.__excepthook__(kind, error, trace)
    click.echo(REPORT_HINT, err=True)

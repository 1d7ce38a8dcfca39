"""What ``hpbench run`` shows while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpbench.cli.progress import Board, Cell
from hpbench.cli.text import clean, duration
from hpbench.plan import Plan
from hpbench.store import Store
from hpbench.study import FINISHED, RunState
from hpbench.trial import Record, RunKey
from hpbench.wording import counted

__all__ = ["LiveDisplay", "PlainDisplay", "board_of"]

_LINES = 20
"""Plain output gives about so many lines a study, whatever it takes."""

_LINE_EVERY = 25
"""Trials between two plain lines where the number of trials is not known."""

_TITLES = ("Task", "Strategy", "Trials", "Best val.\naccuracy", "Failures", "Left")
_NAMES = 2
"""The first columns are names, the others numbers."""

_BAR_WIDTH, _LEAST_NAME = 12, 8
_BESIDE_ROWS = 7
"""Lines of the terminal that no row can have: titles, what is below the table, and a line for notes."""


def board_of(plan: Plan, done: Mapping[RunKey, int], results: Path, *, budget_seconds: float | None) -> Board:
    """Return the bookkeeping for a plan, with what earlier sessions have left in ``results``.

    Args:
        plan: what is to be run.
        done: finished trials of each run.
        results: the results directory, read only if there are any.
        budget_seconds: the budget of a run, if it is one in seconds.
    """
    totals = {run: plan.trials_of(run) for run in plan.runs}
    board = Board(totals, done, budget_seconds=budget_seconds)
    if not any(done.values()):
        return board
    with Store.open(results, read_only=True) as store:
        for record in store.records():
            if record.run in totals:
                board.earlier(record)
        for row in store.runs():
            if row.run in totals and row.state in FINISHED:
                board.run_ended(row.run, row.state)
    return board


class PlainDisplay:
    """Lines for pipes and log files, limited by the number of trials, not by time."""

    def __init__(
        self,
        results: Path,
        *,
        budget_seconds: float | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._results = results
        self._budget_seconds = budget_seconds
        self._clock = clock
        self._board = Board({}, {})
        self._begin = clock()
        self._every = 1
        self._seen = 0

    def started(self, plan: Plan, done: Mapping[RunKey, int]) -> None:
        """Say what is going to happen."""
        self._board = board_of(plan, done, self._results, budget_seconds=self._budget_seconds)
        self._begin = self._clock()
        total, before = self._board.total, self._board.done
        self._every = _LINE_EVERY if total is None else max(1, (total - before) // _LINES)
        trials = "trials until the seconds are spent" if total is None else f"{total} trials"
        resumed = f", {before} of them finished earlier" if before else ""
        for refusal in plan.refused:
            click.echo(clean(str(refusal)))
        click.echo(f"{counted(len(plan.runs), 'run')}, {trials}{resumed}")

    def finished(self, record: Record) -> None:
        """Print a line now and then."""
        if not self._seen:
            self._begin = self._clock() - record.seconds  # starting the workers says nothing about speed
        cell = self._board.finished(record)
        self._seen += 1
        if self._seen % self._every == 0 or self._board.done == self._board.total:
            click.echo(progress_line(self._board, cell, self._clock() - self._begin))

    def run_ended(self, run: RunKey, state: RunState, message: str) -> None:
        """Say so if a run has failed."""
        self._board.run_ended(run, state)
        if state is RunState.FAILED:
            click.echo(failure_line(run, message))

    def note(self, text: str) -> None:
        """Pass on what the user ought to know."""
        click.echo(clean(text, keep_lines=True))

    def stopped(self) -> None:
        """Leave the lines as they are."""


def progress_line(board: Board, cell: Cell, elapsed: float) -> str:
    """Return the plain line after a trial of ``cell``, ``elapsed`` seconds after the start."""
    total = "?" if board.total is None else str(board.total)
    best = "no successful trial yet" if cell.best is None else f"best validation accuracy {cell.best:.4f}"
    if cell.value is not None:
        best = f"smallest value {cell.value:.4g}"
    left = board.seconds_left(elapsed)
    parts = [
        f"{board.done:>{len(total)}}/{total} trials",
        f"{clean(cell.task)}/{clean(cell.strategy)}: {best}",
        f"failures {board.failures}",
    ]
    if left is not None and board.done != board.total:
        parts.append(f"about {duration(left)} left")
    return " | ".join(parts)


def failure_line(run: RunKey, message: str) -> str:
    """Return the line for a run that has failed: the first line of its message."""
    reason = message.strip().splitlines()[0] if message.strip() else "no reason was given"
    return f"run {clean(str(run))} failed: {clean(reason)}"


class LiveDisplay:
    """A table that is redrawn in place, one line a task and strategy."""

    def __init__(
        self,
        results: Path,
        *,
        budget_seconds: float | None = None,
        console: Console | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._results = results
        self._budget_seconds = budget_seconds
        self._clock = clock
        self._console = console or Console(highlight=False, markup=False)
        self._board = Board({}, {})
        self._begin = clock()
        self._working_since: float | None = None
        self._live = Live(
            get_renderable=self.render, console=self._console, refresh_per_second=4, transient=False
        )

    def started(self, plan: Plan, done: Mapping[RunKey, int]) -> None:
        """Fill the table."""
        self._board = board_of(plan, done, self._results, budget_seconds=self._budget_seconds)
        self._begin = self._clock()
        for refusal in plan.refused:
            self.note(str(refusal))
        self._live.start()

    def finished(self, record: Record) -> None:
        """Count the trial; the table is redrawn a few times a second."""
        if self._working_since is None:
            self._working_since = (
                self._clock() - record.seconds
            )  # starting the workers says nothing about speed
        self._board.finished(record)

    def run_ended(self, run: RunKey, state: RunState, message: str) -> None:
        """Count the run, and print why if it has failed."""
        self._board.run_ended(run, state)
        if state is RunState.FAILED:
            self.note(failure_line(run, message))

    def note(self, text: str) -> None:
        """Print a line above the table."""
        self._console.print(clean(text, keep_lines=True))

    def stopped(self) -> None:
        """Draw the table a last time and leave it there."""
        self._live.stop()

    def render(self) -> Group:
        """Return the table and the line below it, as high as the terminal allows."""
        now = self._clock()
        elapsed = 0.0 if self._working_since is None else now - self._working_since
        cells = list(self._board.cells.values())
        shown = _most_telling(cells, max(1, self._console.height - _BESIDE_ROWS))
        rows = [self._row(cell, elapsed) for cell in shown]
        widths = _widths(rows)
        bar = self._console.width >= sum(widths) + 2 * len(widths) + _BAR_WIDTH
        columns = _columns(widths, self._console.width)
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2 if bar else 1, 0, 0))
        for column in columns[:_NAMES]:
            table.add_column(_TITLES[column], vertical="bottom")  # what is too wide is taken from the names
        if bar:
            table.add_column("", width=_BAR_WIDTH)
        for column in columns[_NAMES:]:
            table.add_column(_TITLES[column], vertical="bottom", justify="right", no_wrap=True)
        for cell, row in zip(shown, rows, strict=True):
            drawn = [ProgressBar(total=cell.total, completed=cell.done, width=_BAR_WIDTH)] if bar else []
            table.add_row(*row[:_NAMES], *drawn, *(row[column] for column in columns[_NAMES:]))
        parts: list[Table | Text] = [table]
        if len(shown) < len(cells):
            parts.append(Text(f"… and {len(cells) - len(shown)} more", style="dim"))
        return Group(*parts, Text(self._summary(now - self._begin, elapsed)))

    def _row(self, cell: Cell, elapsed: float) -> tuple[Text, ...]:
        """Return the line of one cell, a text for each title."""
        total = cell.total
        left = self._board.seconds_left(elapsed, cells=[cell])
        if cell.ended:
            last = (
                Text("failed", style="red")
                if cell.failed_runs == len(cell.runs)
                else Text("done", style="green")
            )
        else:
            last = Text("" if left is None else duration(left))
        return (
            Text(clean(cell.task), no_wrap=True, overflow="ellipsis"),
            Text(clean(cell.strategy), no_wrap=True, overflow="ellipsis"),
            Text(f"{cell.done}/{'?' if total is None else total}"),
            Text(_best(cell)),
            Text(str(cell.failures), style="yellow" if cell.failures else ""),
            last,
        )

    def _summary(self, gone: float, elapsed: float) -> str:
        """Return the line below the table: seconds since the start, and since the workers work."""
        board = self._board
        total = "?" if board.total is None else str(board.total)
        left = board.seconds_left(elapsed)
        parts = [f"{board.done}/{total} trials", f"{duration(gone)} gone"]
        if left:
            parts.append(f"about {duration(left)} left")
        return " | ".join(parts)


def _widths(rows: Sequence[Sequence[Text]]) -> list[int]:
    """Return the width of each column in which nothing is cut off."""
    titles = [max(map(len, title.splitlines())) for title in _TITLES]
    return [
        max([title, *(text.cell_len for text in texts)]) for title, *texts in zip(titles, *rows, strict=True)
    ]


def _columns(widths: Sequence[int], width: int) -> list[int]:
    """Return which columns a terminal of ``width`` shows: the last ones go first, to leave room for names."""
    shown = list(range(len(widths)))
    while (
        len(shown) > _NAMES + 1 and sum(widths[c] + 1 for c in shown[_NAMES:]) > width - _NAMES * _LEAST_NAME
    ):
        shown.pop()
    return shown


def _best(cell: Cell) -> str:
    """Return the best accuracy of a cell, or the smallest value of a task that has no accuracy."""
    if cell.value is not None:
        return f"value {cell.value:.4g}"
    return "" if cell.best is None else f"{cell.best:.4f}"


def _most_telling(cells: list[Cell], lines: int) -> list[Cell]:
    """Return at most ``lines`` cells in their order: those in progress first, then waiting, then ended."""
    if len(cells) <= lines:
        return cells
    by_interest = sorted(cells, key=lambda cell: (cell.ended, cell.done == 0))
    kept = {id(cell) for cell in by_interest[:lines]}
    return [cell for cell in cells if id(cell) in kept]

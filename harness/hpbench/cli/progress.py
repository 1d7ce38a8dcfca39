"""How far a study has come, as numbers: what the progress displays show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hpbench.study import RunState
from hpbench.trial import Record, RunKey, Status

__all__ = ["Board", "Cell"]


@dataclass
class _Run:
    """One run: its trials so far, and how many there will be (None: only seconds are limited)."""

    total: int | None
    done: int = 0
    spent_seconds: float = 0.0
    ended: bool = False


@dataclass
class Cell:
    """All repetitions of one strategy on one task.

    Attributes:
        task: the task's name.
        strategy: the strategy's name.
        best: the best validation accuracy so far, in [0, 1].
        value: the smallest loss so far of a task that counts no examples.
        failures: trials that did not end with ok.
        failed_runs: runs that ended as failed.
        session: trials that were finished in this session.
        session_seconds: what those cost on the study's clock.
    """

    task: str
    strategy: str
    best: float | None = None
    value: float | None = None
    failures: int = 0
    failed_runs: int = 0
    session: int = 0
    session_seconds: float = 0.0
    runs: dict[int, _Run] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Finished trials, those of earlier sessions included."""
        return sum(run.done for run in self.runs.values())

    @property
    def total(self) -> int | None:
        """Trials that there will be; None where only seconds are limited and a run is not finished."""
        total = 0
        for run in self.runs.values():
            if run.ended:
                total += run.done
            elif run.total is None:
                return None
            else:
                total += max(run.total, run.done)
        return total

    @property
    def ended(self) -> bool:
        """Whether every run has come to its end."""
        return all(run.ended for run in self.runs.values())

    @property
    def mean_seconds(self) -> float | None:
        """What a trial costs on the study's clock; None before the first."""
        return self.session_seconds / self.session if self.session else None


class Board:
    """The bookkeeping of one call of ``hpbench run``; times are handed in, so it is plain arithmetic.

    Args:
        totals: trials of every run that is to be finished; None where only seconds are limited.
        done: trials that an earlier session has finished.
        budget_seconds: the budget of a run, if it is one in seconds.
    """

    def __init__(
        self,
        totals: Mapping[RunKey, int | None],
        done: Mapping[RunKey, int],
        *,
        budget_seconds: float | None = None,
    ) -> None:
        self._budget_seconds = budget_seconds
        self.cells: dict[tuple[str, str], Cell] = {}
        for run, total in totals.items():
            cell = self.cells.setdefault((run.task, run.strategy), Cell(run.task, run.strategy))
            cell.runs[run.repetition] = _Run(total, done.get(run, 0))

    def finished(self, record: Record) -> Cell:
        """Count one trial that was finished just now and return its cell."""
        cell = self.earlier(record)
        cell.runs[record.run.repetition].done += 1
        cell.session += 1
        cell.session_seconds += record.seconds
        return cell

    def earlier(self, record: Record) -> Cell:
        """Take note of a trial that ``done`` has counted already and return its cell."""
        cell = self._cell(record.run)
        result = record.evaluation
        cell.runs[record.run.repetition].spent_seconds += record.seconds
        if result.status is not Status.OK:
            cell.failures += 1
        elif result.val_correct is not None and result.val_total:
            accuracy = result.val_correct / result.val_total
            cell.best = accuracy if cell.best is None else max(cell.best, accuracy)
        elif result.val_loss is not None:
            cell.value = result.val_loss if cell.value is None else min(cell.value, result.val_loss)
        return cell

    def run_ended(self, run: RunKey, state: RunState) -> Cell:
        """Note that a run has come to its end and return its cell."""
        cell = self._cell(run)
        cell.runs[run.repetition].ended = True
        cell.failed_runs += state is RunState.FAILED
        return cell

    def _cell(self, run: RunKey) -> Cell:
        """Return the cell of a run; a run that nobody announced gets one without a total."""
        cell = self.cells.setdefault((run.task, run.strategy), Cell(run.task, run.strategy))
        cell.runs.setdefault(run.repetition, _Run(None))
        return cell

    @property
    def done(self) -> int:
        """Finished trials of the study."""
        return sum(cell.done for cell in self.cells.values())

    @property
    def total(self) -> int | None:
        """Trials of the study; None while a run is limited by seconds alone."""
        totals = [cell.total for cell in self.cells.values()]
        known = [total for total in totals if total is not None]
        return sum(known) if len(known) == len(totals) else None

    @property
    def failures(self) -> int:
        """Failed trials of the study."""
        return sum(cell.failures for cell in self.cells.values())

    def seconds_left(self, elapsed: float, *, cells: Iterable[Cell] | None = None) -> float | None:
        """Return an estimate of the wall time until these cells are finished; None before the first trial.

        What is left to do is measured on the study's clock and divided by the speed so far: seconds of
        that clock per second of wall time, which counts the workers in. A cell without a trial of its
        own is taken to be like the others of its task, or like the mean of all.

        Args:
            elapsed: seconds since the start of this session.
            cells: those of interest; all by default. Each is estimated as if all workers were on it.
        """
        everything = list(self.cells.values())
        worked = sum(cell.session_seconds for cell in everything)
        if worked <= 0.0 or elapsed <= 0.0:
            return None
        wanted = everything if cells is None else cells
        return sum(self._work_left(cell) for cell in wanted) * elapsed / worked

    def _work_left(self, cell: Cell) -> float:
        """Return what a cell still costs, in seconds of the study's clock."""
        left = 0.0
        for run in cell.runs.values():
            if run.ended:
                continue
            if run.total is None:
                left += max(0.0, (self._budget_seconds or 0.0) - run.spent_seconds)
            else:
                left += max(0, run.total - run.done) * self._expected_seconds(cell)
        return left

    def _expected_seconds(self, cell: Cell) -> float:
        """Return what a trial of ``cell`` probably costs, from the nearest cells that have any."""
        everything = self.cells.values()
        for company in ([cell], [other for other in everything if other.task == cell.task], everything):
            known = [other.mean_seconds for other in company if other.mean_seconds is not None]
            if known:
                return sum(known) / len(known)
        return 0.0

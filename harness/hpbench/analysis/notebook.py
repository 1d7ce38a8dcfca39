"""A study as people use it from Python: tidy data frames, tables and curves, in a notebook or a script."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from hpbench.analysis import comparison
from hpbench.analysis.claims import claims
from hpbench.analysis.curves import Part, TaskCurves
from hpbench.analysis.frames import Frames, load_frames
from hpbench.analysis.report import all_tables, write_report
from hpbench.analysis.statistics import incumbent_of
from hpbench.analysis.writers import Table
from hpbench.errors import UsageError, unknown_name
from hpbench.store import store_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Study", "load"]


def load(results: str | Path) -> Study:
    """Return the study in a results directory, finished or not.

    Args:
        results: the directory that ``hpbench run`` wrote, or the store's file.

    Raises:
        UsageError: there is no study.
        StoreError: it is damaged.
    """
    return Study(load_frames(results), Path(results))


class Study:
    """The results of a study; made by :func:`hpbench.load` and :func:`hpbench.run`.

    Everything is read once, when the study is loaded; what is computed from it is computed when it is
    first asked for. Data frames may be changed freely, each call returns a new one.

    Attributes:
        results: the directory that it was read from.
    """

    def __init__(self, frames: Frames, results: Path) -> None:
        self.results = store_path(results).parent
        self._frames = frames

    def __repr__(self) -> str:
        done, wanted = self._frames.progress
        trials = len(self._frames.trials)
        return f"<Study {self.name!r}: {trials} trials, {done} of {wanted} runs>"

    @property
    def name(self) -> str:
        """The suite's name."""
        return str(self._frames.info.suite["name"])

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, in suite order."""
        return self._frames.tasks

    @property
    def strategies(self) -> tuple[str, ...]:
        """Names of the strategies, in suite order."""
        return self._frames.strategies

    @property
    def trials(self) -> pd.DataFrame:
        """One row a trial.

        Columns: ``task``, ``strategy``, ``repetition``, ``number``, ``parent`` (-1 without one),
        ``status``, ``objective`` (what was minimised), ``val_error``, ``val_loss``, ``test_error``,
        ``test_loss`` (errors in [0, 1]; missing for a failed trial), ``epochs_from``, ``epochs``,
        ``ask_seconds``, ``train_seconds``, ``evaluate_seconds``, ``tell_seconds``, and
        ``config.NAME`` for every hyperparameter, missing where the trial did not have it.
        """
        return self._frames.trials.drop(columns=["curve_from", "curve_to"])

    @property
    def runs(self) -> pd.DataFrame:
        """One row a run, also one that has not begun: ``state``, ``message``, ``trials``, ``failures``."""
        return self._frames.runs.copy()

    @property
    def curves(self) -> pd.DataFrame:
        """One row a trial, with what the search had reached when it ended.

        Columns: ``task``, ``strategy``, ``repetition``, ``trials`` (from 1), ``epochs`` and
        ``seconds`` (spent until then), ``incumbent`` (number of the best trial so far by validation,
        -1 before the first success), ``objective`` (the incumbent's, which was minimised),
        ``val_error`` and ``test_error`` (the incumbent's, in [0, 1]; missing where a task has a value
        and no accuracy).
        """
        pieces = [_steps(curves) for curves in self._study.curves.values()]
        frame = pd.concat(pieces, ignore_index=True)
        for key, names in (("task", self.tasks), ("strategy", self.strategies)):
            frame[key] = pd.Categorical(frame[key], categories=list(names), ordered=True)
        return frame

    @property
    def claims(self) -> list[str]:
        """What the study shows, in plain words, and what it does not show."""
        return claims(self._study)

    def table(self, name: str = "final", *, shown: bool = False) -> pd.DataFrame:
        """Return one of the report's tables.

        Args:
            name: as the files in ``tables/`` are called; ``"final"`` holds final errors against the
                baseline, ``"values"`` those of tasks that have a value and no accuracy.
            shown: the texts that readers see, rounded, in place of the tidy values.

        Raises:
            UsageError: the study has no such table.
        """
        if name not in self._tables:
            raise unknown_name("table", name, self._tables)
        table = self._tables[name]
        if not shown:
            return table.values.copy()  # noqa: PD011 -- of our own class
        rows = [[mark.text for mark in row] for row in table.cells()]
        return pd.DataFrame(rows, columns=[column.header for column in table.columns])

    def plot_best(
        self,
        x: Literal["trials", "epochs", "seconds"] = "trials",
        *,
        task: str | None = None,
        part: Part = "val",
        scale: Literal["accuracy", "error"] = "accuracy",
        ax: Axes | None = None,
    ) -> Figure:
        """Draw the best so far against trials, epochs or seconds: median and middle half of the repetitions.

        Args:
            x: what was spent.
            task: one task alone; by default every task that has an accuracy in a panel of its own. A task
                that has a value and no accuracy shows the smallest value so far, as all do where none has one.
            part: whose score is shown, ``"val"`` or ``"test"``; the best is always chosen by validation.
            scale: accuracy, or error on a logarithmic axis, in per cent.
            ax: draw into these axes instead of a new figure; then ``task`` is needed unless there is
                only one.

        Returns:
            the figure drawn into.

        Raises:
            UsageError: an argument has another value than these, or ``ax`` comes without ``task``.
        """
        _check("x", x, ("trials", "epochs", "seconds"))
        _check("part", part, ("val", "test"))
        _check("scale", scale, ("accuracy", "error"))
        if task is not None and task not in self.tasks:
            raise unknown_name("task", task, self.tasks)
        if ax is None:
            return self._new_figure(x, part, scale, task)
        if task is None and len(self.tasks) > 1:
            raise UsageError(f"`task` must name one task when `ax` is given. Known: {', '.join(self.tasks)}.")
        return self._draw_into(ax, x, part, scale, task or self.tasks[0])

    def report(self) -> Path:
        """Write page, tables and figures beside the store, and return the path of ``report.html``."""
        return write_report(self.results)[0]

    @cached_property
    def _study(self) -> comparison.Study:
        """Curves and comparisons."""
        return comparison.study_of(self._frames)

    @cached_property
    def _tables(self) -> dict[str, Table]:
        """The report's tables by name."""
        return {table.name: table for table in all_tables(self._study)}

    def _new_figure(self, x: Any, part: Part, scale: Any, task: str | None) -> Figure:
        """Return a figure of its own, in the style of the report."""
        from hpbench.analysis import canvas, figures, value_curves  # noqa: PLC0415 -- matplotlib is loaded only where drawing happens

        with canvas.drawing():
            tasks = None if task is None else (task,)
            if not (self._frames.counted(task) if task else self._frames.counted_tasks):
                return value_curves.value_figure(self._study, x, tasks=tasks).figure
            bands = figures.bands_of(self._study, x, part)
            return figures.best_figure(self._study, bands, x, part, scale, tasks=tasks).figure

    def _draw_into(self, ax: Axes, x: Any, part: Part, scale: Any, task: str) -> Figure:
        """Draw into somebody's axes, in their style."""
        from matplotlib import rc_context  # noqa: PLC0415

        from hpbench.analysis import figures, value_curves  # noqa: PLC0415
        from hpbench.analysis.style import drawable  # noqa: PLC0415

        with rc_context({"text.parse_math": False}):
            if self._frames.counted(task):
                bands = figures.bands_of(self._study, x, part)
                entries = figures.draw_best(ax, self._study, bands, task, axis=x, part=part, scale=scale)
            else:
                entries = value_curves.draw_value(ax, self._study, task, x)
            ax.legend([handle for handle, _ in entries], [drawable(label) for _, label in entries])
        figure = ax.get_figure(root=True)
        assert figure is not None  # noqa: S101 -- axes belong to a figure
        return figure


def _check(name: str, value: object, known: tuple[str, ...]) -> None:
    """Raise unless ``value`` is one of ``known``."""
    if value not in known:
        choices = ", ".join(map(repr, known))
        raise UsageError(f"`{name}` must be one of {choices}, got {value!r}.")


def _steps(curves: TaskCurves) -> pd.DataFrame:
    """Return one row for every finished trial of a task."""
    inside = np.arange(curves.n_trials) < curves.length[..., None]
    strategy, repetition, number = np.nonzero(inside)
    return pd.DataFrame(
        {
            "task": curves.task,
            "strategy": np.array(curves.strategies, dtype=object)[strategy],
            "repetition": repetition,
            "trials": number + 1,
            "epochs": np.rint(curves.trainings[inside] * curves.full_epochs).astype(np.int64),
            "seconds": curves.elapsed[inside],
            "incumbent": curves.index[inside],
            "objective": np.where(curves.filled, incumbent_of(curves.objective, curves.index), np.nan)[
                inside
            ],
            "val_error": curves.incumbent_error("val")[inside],
            "test_error": curves.incumbent_error("test")[inside],
        }
    )

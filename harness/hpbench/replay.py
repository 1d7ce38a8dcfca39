"""The check that a strategy, asked again, proposes what it proposed when its trials were stored."""

from __future__ import annotations

from hpbench.canonical import config_text
from hpbench.errors import ReplayError
from hpbench.jobs import RunJob
from hpbench.tasks.base import TaskSpec
from hpbench.trial import Config, Proposal, Record, Status

__all__ = ["check_replay"]


def check_replay(job: RunJob, spec: TaskSpec, number: int, record: Record, proposal: Proposal | None) -> None:
    """Raise unless ``proposal`` is what the store says was proposed.

    How many epochs were proposed is known, and compared, of a network that was trained to the end: a
    failed trial, early stopping and a function may end before.

    Args:
        job: the run that is replayed.
        spec: its task.
        number: of the trial that is due.
        record: the next stored trial.
        proposal: what the strategy proposes now; None: nothing.

    Raises:
        ReplayError: a trial is missing, or the proposal is another one.
    """
    if record.number != number:
        raise ReplayError(
            f"run {job.run}: trial {number} is missing in the store, trial {record.number} is there."
        )
    result = record.evaluation
    whole = result.status is Status.OK and spec.patience is None and spec.function is None
    stored = _text(record.config, record.parent, result.epochs if whole else None)
    now = "nothing"
    if proposal is not None:
        epochs = spec.epochs if proposal.epochs is None else proposal.epochs
        now = _text(proposal.config, proposal.parent, epochs if whole else None)
    if now != stored:
        raise ReplayError(
            f"strategy {job.run.strategy!r} diverged at trial {number} of {job.run}: stored {stored} "
            f"({job.stored_with}), proposed now {now} ({job.running_with}). Install the version it was stored "
            f"with, or use another results directory."
        )


def _text(config: Config, parent: int | None, epochs: int | None) -> str:
    """Return what is compared of a proposal; equal texts mean equal proposals."""
    parts = [config_text(config)]
    if parent is not None:
        parts.append(f"continuing trial {parent}")
    if epochs is not None:
        parts.append(f"until epoch {epochs}")
    return " ".join(parts)

"""The check that a strategy, asked again, proposes what it proposed when its trials were stored."""

from __future__ import annotations

from hpbench.canonical import config_text
from hpbench.errors import ReplayError
from hpbench.jobs import RunJob
from hpbench.trial import Proposal, Record

__all__ = ["check_replay"]


def check_replay(job: RunJob, number: int, record: Record, proposal: Proposal | None) -> None:
    """Raise unless ``proposal`` is what the store says was proposed.

    Args:
        job: the run that is replayed.
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
    if (
        proposal is not None
        and config_text(proposal.config) == config_text(record.config)
        and proposal.parent == record.parent
    ):
        return
    now = "nothing" if proposal is None else config_text(proposal.config)
    raise ReplayError(
        f"strategy {job.run.strategy!r} diverged at trial {number} of {job.run}: stored "
        f"{config_text(record.config)} ({job.stored_with}), proposed now {now} "
        f"({job.running_with}). Install the version it was stored with, or use another results directory."
    )

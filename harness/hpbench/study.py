"""What a study is and how far its runs have come: the nouns that the store keeps beside the trials."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hpbench.trial import RunKey

__all__ = ["ENDED", "FINISHED", "Event", "RunRow", "RunState", "StudyInfo"]


class RunState(StrEnum):
    """How far a run has come.

    EXHAUSTED: the strategy had nothing more to propose (a grid that is finished).
    FAILED: the strategy raised, diverged on replay, too many trials failed in a row, or all of them.
    SKIPPED: the pairing was refused before anything trained.
    """

    PENDING = "pending"
    RUNNING = "running"
    COMPLETE = "complete"
    EXHAUSTED = "exhausted"
    FAILED = "failed"
    SKIPPED = "skipped"


FINISHED = frozenset({RunState.COMPLETE, RunState.EXHAUSTED})
"""States of runs that are over and not taken up again; a failed one is tried again."""

ENDED = FINISHED | {RunState.FAILED}
"""States of runs that have no trial to come, as far as results go."""


@dataclass(frozen=True)
class RunRow:
    """A run and how far it has come.

    ``message`` says why it failed or was skipped; of a finished run, how its trials failed most often.
    """

    run: RunKey
    state: RunState
    message: str = ""


@dataclass(frozen=True)
class Event:
    """Something that happened to the study: created, resumed, a worker died, a signal came."""

    at: str
    kind: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class StudyInfo:
    """What a study is: everything that explains its results and never changes.

    Attributes:
        suite: the suite after defaults.
        suite_text: the TOML file, word for word.
        suite_digest: SHA-256 of the suite after defaults.
        device: where the trials train, such as ``"cpu"``.
        environment: the whitelisted description of program, libraries and machine.
        tasks: name → dataset, network, epochs, shape, target_kind, n_classes (1 for a regression), n_train (of one
            network), n_val (of all folds), n_test, checksum,
            origin (version and file checksum of data that do not come with hpbench), space,
            constants, default, steps (plain, traced or compiled, as decided when the study was
            created), steps_reason; of a function: function, counts, minimum in place of the data's.
        strategies: name → use, label, options, library, version, capabilities.
        skipped: refused pairings, each with task, strategy and reason.
        hpbench_version: the version that created the study.
        created_at: ISO 8601, UTC.
    """

    suite: dict[str, Any]
    suite_text: str
    suite_digest: str
    device: str
    environment: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    strategies: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    hpbench_version: str = ""
    created_at: str = ""

"""Driving a strategy in a fresh process with another PYTHONHASHSEED."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from hpbench.space import SearchSpace
from hpbench.trial import Config, Proposal

if TYPE_CHECKING:
    from hpbench.testing.strategy_kit import StrategyUnderTest

__all__ = ["as_json", "proposals", "same_after_json"]


def as_json(proposal: Proposal) -> dict[str, Any]:
    """Return ``proposal`` as plain JSON types."""
    return {"config": dict(proposal.config), "epochs": proposal.epochs, "parent": proposal.parent}


def same_after_json(config: Config) -> bool:
    """Return whether ``config`` comes back from JSON with equal values, types and order."""
    back: dict[str, Any] = json.loads(json.dumps(dict(config), allow_nan=False))
    typed = [(name, type(value), value) for name, value in config.items()]
    return typed == [(name, type(value), value) for name, value in back.items()]


def proposals(
    case: StrategyUnderTest, space: SearchSpace, trials: int, *, hash_seed: str
) -> list[dict[str, Any]]:
    """Return the proposals of a run with seed 1 in a fresh Python process.

    Raises:
        subprocess.CalledProcessError: the process failed; its traceback was printed.
    """
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    process = subprocess.run(
        [sys.executable, "-c", "from hpbench.testing import spawned; spawned._answer()"],
        input=pickle.dumps((case, space, trials)),
        stdout=subprocess.PIPE,
        env=environment,
        check=True,
    )
    answer: list[dict[str, Any]] = json.loads(process.stdout)
    return answer


def _answer() -> None:
    """Read a case from standard input, drive it, print the proposals."""
    from hpbench.testing.driving import drive, sometimes  # noqa: PLC0415 - the process does nothing else
    from hpbench.testing.strategy_kit import FULL_EPOCHS  # noqa: PLC0415 - imports this module

    case, space, trials = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by our own parent
    driven = drive(case.build(space, 1), space, FULL_EPOCHS, trials, sometimes)
    sys.stdout.write(json.dumps([as_json(proposal) for proposal in driven]))

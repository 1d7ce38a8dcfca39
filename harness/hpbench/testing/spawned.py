"""Driving a strategy or a task in a fresh process with another PYTHONHASHSEED."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hpbench.space import SearchSpace
from hpbench.trial import Config, Evaluation, Proposal, Request

if TYPE_CHECKING:
    from hpbench.testing.evaluating import TaskUnderTest
    from hpbench.testing.strategy_kit import StrategyUnderTest

__all__ = ["as_json", "evaluations", "proposals", "same_after_json"]


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
    answer: list[dict[str, Any]] = _in_a_fresh_process(_driven, (case, space, trials), hash_seed)
    return answer


def evaluations(case: TaskUnderTest, requests: Sequence[Request], *, hash_seed: str) -> list[Evaluation]:
    """Return what the task answers to ``requests`` in a fresh Python process, times aside.

    Raises:
        subprocess.CalledProcessError: the process failed; its traceback was printed.
    """
    answers: list[Evaluation] = _in_a_fresh_process(_evaluated, (case, list(requests)), hash_seed)
    return answers


def _in_a_fresh_process(function: Callable[..., Any], arguments: tuple[Any, ...], hash_seed: str) -> Any:
    """Return what a function of this module returns there."""
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    process = subprocess.run(
        [sys.executable, "-c", "from hpbench.testing import spawned; spawned._answer()"],
        input=pickle.dumps((function, arguments)),
        stdout=subprocess.PIPE,
        env=environment,
        check=True,
    )
    return pickle.loads(process.stdout)  # noqa: S301 - written by our own child


def _answer() -> None:
    """Read a function and its arguments from standard input, call it, write what it returns."""
    function, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by our own parent
    sys.stdout.buffer.write(pickle.dumps(function(*arguments)))


def _driven(case: StrategyUnderTest, space: SearchSpace, trials: int) -> list[dict[str, Any]]:
    """Return the proposals of a run with seed 1."""
    from hpbench.testing.driving import drive, sometimes  # noqa: PLC0415 - the process does nothing else
    from hpbench.testing.strategy_kit import FULL_EPOCHS  # noqa: PLC0415 - imports this module

    driven = drive(case.build(space, 1), space, FULL_EPOCHS, trials, sometimes)
    return [as_json(proposal) for proposal in driven]


def _evaluated(case: TaskUnderTest, requests: Sequence[Request]) -> list[Evaluation]:
    """Return the answers of a new task."""
    return case.answer(case.build(), requests)

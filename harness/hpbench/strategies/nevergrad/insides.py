"""What Nevergrad's optimisers consist of: optimisers inside, and threads in which foreign loops run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["settle", "unrepeatable"]

_REPEATABLE = frozenset({"BFGS", "COBYLA", "L-BFGS-B", "LBFGSB", "Nelder-Mead", "Powell", "RBFGS", "SLSQP"})
"""Loops of scipy that some optimisers run in a thread; others seed themselves by the clock."""

_PATIENCE_SECONDS = 0.05
"""How often it is looked whether a thread has ended without a word."""


def unrepeatable(optimizer: Any) -> Iterator[str]:
    """Yield the names of the optimisers inside that run a foreign loop with random numbers of its own."""
    if optimizer.recast and getattr(optimizer, "method", None) not in _REPEATABLE:
        yield optimizer.name
    # a meta-optimiser chooses when its choice is looked at
    for inner in (*_inner(optimizer), *([optimizer.optim] if hasattr(optimizer, "optim") else [])):
        yield from unrepeatable(inner)


def _inner(optimizer: Any) -> Iterator[Any]:
    """Yield the optimisers that ``optimizer`` consists of, as far as they exist."""
    from nevergrad.optimization.base import Optimizer  # noqa: PLC0415 - slow, and listing does without

    for value in vars(optimizer).values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, Optimizer):
                yield inner


def settle(optimizer: Any) -> None:
    """Return once no optimiser inside computes in its thread any more: each waits for an answer or has ended.

    Otherwise it would go on while others hold the process-wide generators and warning filters.
    """
    thread = getattr(optimizer, "_messaging_thread", None)
    answered = optimizer.num_tell - optimizer.num_tell_not_asked
    if thread is not None and answered == optimizer.num_ask:
        question = thread.messages_ask
        with question.not_empty:
            while not question.queue and thread.is_alive():
                question.not_empty.wait(_PATIENCE_SECONDS)
    for inner in _inner(optimizer):
        settle(inner)

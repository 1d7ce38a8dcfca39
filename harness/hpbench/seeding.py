"""Random streams that have names.

Every stream is keyed by what it is *for*, never by the order in which streams were made: the key is
written as JSON, hashed with SHA-256 and fed to ``numpy.random.SeedSequence``. Adding a strategy,
reordering a suite or using more workers therefore changes no other stream. JSON keeps parts apart
that joining with a separator would confuse (``["a_b", "c"]`` and ``["a", "b_c"]``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, SeedSequence

__all__ = [
    "KeyPart",
    "Stream",
    "bootstrap_stream",
    "retraining_stream",
    "split_stream",
    "strategy_stream",
    "training_stream",
]

KeyPart = str | int | None


@dataclass(frozen=True)
class Stream:
    """A named source of randomness; equal keys give equal numbers on every machine."""

    key: tuple[KeyPart, ...]

    def child(self, *parts: KeyPart) -> Stream:
        """Return the stream for a part of this stream's purpose, such as ``("order", epoch)``."""
        return Stream((*self.key, *parts))

    def sequence(self) -> SeedSequence:
        """Return the seed sequence, 256 bits of entropy taken from the hashed key."""
        text = json.dumps(self.key, ensure_ascii=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode("ascii")).digest()
        return SeedSequence(int.from_bytes(digest, "big"))

    def integer(self) -> int:
        """Return a seed in [0, 2**31), the range that every library accepts."""
        return int(self.sequence().generate_state(1, np.uint32)[0] >> np.uint32(1))

    def integer64(self) -> int:
        """Return a seed in [0, 2**63), for generators that take 64 bits."""
        return int(self.sequence().generate_state(1, np.uint64)[0] >> np.uint64(1))

    def generator(self) -> Generator:
        """Return a fresh numpy generator at the beginning of this stream."""
        return np.random.default_rng(self.sequence())


def split_stream(root_seed: int, dataset: str, repetition: int) -> Stream:
    """Return the stream of the train/validation/test split: equal for every network and strategy."""
    return Stream((root_seed, dataset, repetition, "split"))


def training_stream(root_seed: int, task: str, repetition: int, trial: int | None = None) -> Stream:
    """Return the stream of initial weights, batch orders and dropout.

    Args:
        root_seed: the suite's seed.
        task: the task's name in the suite.
        repetition: the repetition, from 0.
        trial: the trial's number with ``training_seeds = "per_trial"``; None (the default) lets all
            strategies of a repetition search the very same function.
    """
    key: tuple[KeyPart, ...] = (root_seed, task, repetition, "training")
    return Stream(key if trial is None else (*key, trial))


def retraining_stream(root_seed: int, task: str, repetition: int, number: int) -> Stream:
    """Return the stream of one retraining of an incumbent: fresh, and equal for every strategy.

    Args:
        root_seed: the suite's seed.
        task: the task's name in the suite.
        repetition: the repetition, from 0.
        number: of the retraining, from 0.
    """
    return Stream((root_seed, task, repetition, "retraining", number))


def strategy_stream(root_seed: int, task: str, repetition: int) -> Stream:
    """Return the stream of the search itself: the same integer for every strategy."""
    return Stream((root_seed, task, repetition, "strategy"))


def bootstrap_stream(root_seed: int) -> Stream:
    """Return the stream of the analysis's resampling."""
    return Stream((root_seed, "bootstrap"))

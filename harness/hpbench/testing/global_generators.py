"""The global generators of Python, numpy and torch: what no strategy may read or change."""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

__all__ = ["fingerprint", "preserved", "seed_all"]

# NPY002 wants Generators; here the legacy global state itself is what is looked at.


def seed_all(seed: int) -> None:
    """Seed every global generator; torch's only if torch is imported."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def fingerprint() -> str:
    """Return a digest of the states of all global generators."""
    return hashlib.sha256(repr(_states()).encode()).hexdigest()


@contextmanager
def preserved() -> Iterator[None]:
    """Put the global generators back afterwards."""
    of_python = random.getstate()
    of_numpy = np.random.get_state()  # noqa: NPY002
    torch = sys.modules.get("torch")
    of_torch = torch.get_rng_state() if torch is not None else None
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002
        if torch is not None:
            torch.set_rng_state(of_torch)


def _states() -> tuple[object, ...]:
    """Return what the generators would draw from, in plain types."""
    kind, words, *rest = np.random.get_state()  # noqa: NPY002
    torch = sys.modules.get("torch")
    of_torch = torch.get_rng_state().numpy().tobytes() if torch is not None else b""
    return random.getstate(), kind, np.asarray(words).tobytes(), tuple(rest), of_torch

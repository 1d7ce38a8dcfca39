"""Quasi-random search: a scrambled Sobol sequence through the unit cube of the space.

References:
    Sobol (1967), USSR Computational Mathematics and Mathematical Physics 7, 86-112.
    Owen (1998), Journal of Complexity 14, 466-489 (the scrambling).
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from hpbench.space import SearchSpace
from hpbench.strategies.base import Capability, Strategy
from hpbench.trial import Proposal, Trial

__all__ = ["SobolStrategy"]

_BLOCK = 64
"""Points drawn at a time. A power of two, as scipy wants it for the first draw; the sequence itself
does not depend on how it is cut."""


class SobolStrategy(Strategy):
    """Visits the points of one scrambled Sobol sequence in their order.

    Coordinates of inactive hyperparameters are dropped, so what remains is the projection of the
    sequence, which is evenly spread too.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.CONDITIONAL, Capability.PARALLEL, Capability.NON_ADAPTIVE}
    )
    library: ClassVar[str | None] = "scipy"

    def __init__(self, space: SearchSpace, *, full_epochs: int, seed: int, budget_trials: int | None) -> None:
        super().__init__(space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials)
        self._sequence = _scrambled(len(space.parameters), seed)
        self._ahead: deque[Sequence[float]] = deque()

    def ask(self) -> Proposal:
        """Return the configuration at the next point."""
        if not self._ahead:
            self._ahead.extend(self._sequence.random(_BLOCK).tolist())
        return Proposal(self.space.from_unit(self._ahead.popleft()))

    def tell(self, trial: Trial) -> None:
        """Learn nothing."""


def _scrambled(dimensions: int, seed: int) -> Any:
    """Return scipy's sequence in ``dimensions`` dimensions; its keyword was ``seed`` before scipy 1.15."""
    from scipy.stats import qmc  # noqa: PLC0415 - slow to import, and listing strategies does without

    keyword = "rng" if "rng" in inspect.signature(qmc.Sobol).parameters else "seed"
    return qmc.Sobol(dimensions, scramble=True, **{keyword: np.random.default_rng(seed)})

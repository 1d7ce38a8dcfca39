"""Random search (Bergstra & Bengio 2012, JMLR 13, 281-305)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hpbench.space import SearchSpace
from hpbench.strategies.base import Capability, Strategy
from hpbench.trial import Proposal, Trial

__all__ = ["RandomStrategy"]


class RandomStrategy(Strategy):
    """Draws every configuration independently, uniformly or log-uniformly as the space says.

    Nothing keeps a configuration from coming twice; that is part of the method.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.CONDITIONAL, Capability.PARALLEL, Capability.NON_ADAPTIVE}
    )

    def __init__(self, space: SearchSpace, *, full_epochs: int, seed: int, budget_trials: int | None) -> None:
        super().__init__(space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials)
        self._rng = np.random.default_rng(seed)

    def ask(self) -> Proposal:
        """Return the next draw."""
        return Proposal(self.space.sample(self._rng))

    def tell(self, trial: Trial) -> None:
        """Learn nothing."""

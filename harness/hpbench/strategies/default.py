"""The published default configuration: what a search has to improve on."""

from __future__ import annotations

from typing import ClassVar

from hpbench.space import SearchSpace
from hpbench.strategies.base import Capability, Strategy
from hpbench.trial import Proposal, Trial

__all__ = ["DefaultStrategy"]


class DefaultStrategy(Strategy):
    """Proposes the network family's default configuration once, then has nothing left."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.CONDITIONAL, Capability.PARALLEL, Capability.NON_ADAPTIVE}
    )
    n_proposals = 1

    def __init__(self, space: SearchSpace, *, full_epochs: int, seed: int, budget_trials: int | None) -> None:
        super().__init__(space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials)
        self._proposed = False

    def ask(self) -> Proposal | None:
        """Return the default configuration the first time, None afterwards."""
        if self._proposed:
            return None
        self._proposed = True
        return Proposal(self.space.default_config())

    def tell(self, trial: Trial) -> None:
        """Learn nothing."""

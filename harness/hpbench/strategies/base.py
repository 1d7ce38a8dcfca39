"""The interface of a search strategy: it is asked, it is told, it never sees the task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import ClassVar, TypedDict

from hpbench.space import SearchSpace
from hpbench.trial import Proposal, Trial

__all__ = ["Capability", "Given", "Strategy"]


class Capability(StrEnum):
    """What a strategy can do; the suite check refuses pairings that need more.

    CONDITIONAL: searches spaces in which a parameter exists only under a condition.
    PARALLEL: may be asked again before it was told the previous result.
    RESUMES: proposes with a ``parent``, so the states of its trials are to be kept.
    NON_ADAPTIVE: its proposals do not depend on what it is told, so it may be asked far ahead.
    """

    CONDITIONAL = "conditional"
    PARALLEL = "parallel"
    RESUMES = "resumes"
    NON_ADAPTIVE = "non_adaptive"


class Given(TypedDict):
    """What the runner gives every strategy; ``Strategy`` says what it is.

    A constructor that only hands it on takes ``**given: Unpack[Given]`` beside its options.
    """

    full_epochs: int
    seed: int
    budget_trials: int | None


class Strategy(ABC):
    """A search algorithm under a budget, driven by ask and tell.

    The same arguments and the same answers give the same proposals, also in another process: a
    strategy draws every random number from ``seed`` and neither reads nor changes the global
    generators. That is what resuming by replay relies on.

    Args:
        space: what is searched; its constants are none of the strategy's business.
        full_epochs: the fidelity that a proposal with ``epochs=None`` is trained to.
        seed: in [0, 2**31).
        budget_trials: how many full trainings the budget allows; None if only seconds are limited.
        options: the strategy's own, keyword-only, with the wrapped library's defaults.

    Raises:
        UsageError: an option is unknown or impossible.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    library: ClassVar[str | None] = None
    """The distribution whose version decides the proposals; None if the code is our own."""

    typical_ask_seconds: ClassVar[float] = 0.0
    """What one ask and its tell take: the mean of 50 trials on one core, for the estimates of a plan.

    Rough: fitting a model takes longer the more trials and hyperparameters there are.
    """

    n_proposals: int | None = None
    """After how many proposals there is nothing left, where that is known beforehand (a grid); for plans."""

    def __init__(self, space: SearchSpace, *, full_epochs: int, seed: int, budget_trials: int | None) -> None:
        self.space = space
        self.full_epochs = full_epochs
        self.seed = seed
        self.budget_trials = budget_trials

    @abstractmethod
    def ask(self) -> Proposal | None:
        """Return what to train next; None when there is nothing left (a grid that is finished)."""

    @abstractmethod
    def tell(self, trial: Trial) -> None:
        """Take the result of one trial, failed ones included, in the order of finishing."""

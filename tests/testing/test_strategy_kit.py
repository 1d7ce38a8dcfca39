"""The kit must catch what it promises to catch, so here are strategies that break one promise each."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from hpbench.errors import UsageError
from hpbench.space import SearchSpace
from hpbench.strategies.base import Capability, Strategy
from hpbench.strategies.random import RandomStrategy
from hpbench.testing import global_generators
from hpbench.testing.driving import drive, sometimes, told
from hpbench.testing.strategy_kit import SPACES, StrategyConformance
from hpbench.trial import Proposal, Trial


class Base(Strategy):
    """Random search that claims nothing."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset()

    def __init__(self, space: SearchSpace, *, full_epochs: int, seed: int, budget_trials: int | None) -> None:
        super().__init__(space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials)
        self.rng = np.random.default_rng(seed)
        self.asked = 0

    def ask(self) -> Proposal | None:
        self.asked += 1
        return Proposal(self.space.sample(self.rng))

    def tell(self, trial: Trial) -> None:
        pass


class NumpyTypes(Base):
    def ask(self) -> Proposal:
        config: dict[str, Any] = self.space.sample(self.rng)
        name = next(name for name, value in config.items() if isinstance(value, float))
        return Proposal({**config, name: np.float64(config[name])})


class Unseeded(Base):
    def __init__(self, space: SearchSpace, **rest: Any) -> None:
        super().__init__(space, **rest)
        self.rng = np.random.default_rng()


class SeedIgnored(Base):
    def __init__(self, space: SearchSpace, **rest: Any) -> None:
        super().__init__(space, **rest)
        self.rng = np.random.default_rng(0)


class GlobalChanged(Base):
    def tell(self, trial: Trial) -> None:
        super().tell(trial)
        random.random()  # noqa: S311 - the fault


class GlobalRead(Base):
    def __init__(self, space: SearchSpace, **rest: Any) -> None:
        super().__init__(space, **rest)
        self.rng = np.random.default_rng(hash(random.getstate()) % 2**32)


class FailuresHurt(Base):
    def tell(self, trial: Trial) -> None:
        assert trial.objective is not None, "no objective"


class TooManyEpochs(Base):
    def ask(self) -> Proposal:
        return Proposal(self.space.sample(self.rng), epochs=self.full_epochs + 1)


class ParentWithoutClaim(Base):
    def ask(self) -> Proposal:
        self.asked += 1
        return Proposal(self.space.sample(self.rng), parent=0 if self.asked > 1 else None)


class OtherTypes(Base):
    """Says epochs in another type than a plain int."""

    epochs: ClassVar[Any]

    def ask(self) -> Proposal:
        return Proposal(self.space.sample(self.rng), epochs=self.epochs)


class NumpyEpochs(OtherTypes):
    epochs = np.int64(3)


class TrueEpochs(OtherTypes):
    epochs = True


class Continues(Base):
    """Continues every second trial by so many epochs, even if it failed before its first one."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.RESUMES})
    more: ClassVar[int] = 1
    left: ClassVar[int] = 0
    last: Trial | None = None

    def ask(self) -> Proposal:
        last, config = self.last, self.space.sample(self.rng)
        if last is None or last.parent is not None or last.epochs < self.left:
            return Proposal(config, epochs=3)
        return Proposal(config, epochs=last.epochs + self.more, parent=self.parent_of(last))

    def parent_of(self, last: Trial) -> Any:
        return last.number

    def tell(self, trial: Trial) -> None:
        self.last = trial


class ContinuesWithoutMore(Continues):
    more = 0
    left = 1


class ContinuesWhatIsLeft(Continues):
    left = 1


class NumpyParents(ContinuesWhatIsLeft):
    def parent_of(self, last: Trial) -> Any:
        return np.int64(last.number)


class Reuses(Base):
    """Gives out one dictionary again and again."""

    config: dict[str, Any]

    def ask(self) -> Proposal:
        self.config = getattr(self, "config", {})
        self.config.update(self.space.sample(self.rng))
        return Proposal(self.config)


class Adapts(Base):
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.NON_ADAPTIVE})

    def tell(self, trial: Trial) -> None:
        super().tell(trial)
        self.rng.random()


class OneAtATime(Base):
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.PARALLEL})
    waiting = False

    def ask(self) -> Proposal | None:
        assert not self.waiting, "told nothing yet"
        self.waiting = True
        return super().ask()

    def tell(self, trial: Trial) -> None:
        super().tell(trial)
        self.waiting = False


class Wakes(Base):
    def ask(self) -> Proposal | None:
        proposal = super().ask()
        return None if self.asked == 4 else proposal


class ProposesConstants(Base):
    def ask(self) -> Proposal:
        return Proposal(self.space.complete(self.space.sample(self.rng)))


class NotReplayable(Base):
    built: ClassVar[int] = 0

    def __init__(self, space: SearchSpace, **rest: Any) -> None:
        super().__init__(space, **rest)
        NotReplayable.built += 1
        self.rng = np.random.default_rng(NotReplayable.built)


FAULTS: list[tuple[type[Strategy], Callable[[StrategyConformance], None]]] = [
    (NumpyTypes, StrategyConformance.test_proposals_are_legal_and_of_built_in_types),
    (NumpyTypes, StrategyConformance.test_proposals_survive_json),
    (Unseeded, StrategyConformance.test_the_same_seed_gives_the_same_proposals),
    (SeedIgnored, StrategyConformance.test_another_seed_gives_other_proposals),
    (GlobalChanged, StrategyConformance.test_global_generators_are_neither_read_nor_changed),
    (GlobalRead, StrategyConformance.test_global_generators_are_neither_read_nor_changed),
    (FailuresHurt, StrategyConformance.test_failed_trials_are_survived),
    (FailuresHurt, StrategyConformance.test_a_run_of_failures_at_the_beginning_is_survived),
    (TooManyEpochs, StrategyConformance.test_fidelity_and_parent_are_legal),
    (ParentWithoutClaim, StrategyConformance.test_fidelity_and_parent_are_legal),
    (NumpyEpochs, StrategyConformance.test_fidelity_and_parent_are_legal),
    (TrueEpochs, StrategyConformance.test_fidelity_and_parent_are_legal),
    (NumpyParents, StrategyConformance.test_fidelity_and_parent_are_legal),
    (Continues, StrategyConformance.test_fidelity_and_parent_are_legal),
    (ContinuesWithoutMore, StrategyConformance.test_fidelity_and_parent_are_legal),
    (Reuses, StrategyConformance.test_a_proposal_does_not_change_afterwards),
    (Adapts, StrategyConformance.test_asking_ahead_changes_nothing_if_non_adaptive),
    (OneAtATime, StrategyConformance.test_several_trials_at_once_if_parallel),
    (Wakes, StrategyConformance.test_an_exhausted_strategy_stays_exhausted),
    (ProposesConstants, StrategyConformance.test_constants_are_left_out),
    (NotReplayable, StrategyConformance.test_replay_gives_the_same_next_proposal),
]


def conformance(kind: type[Strategy]) -> StrategyConformance:
    kit = StrategyConformance()
    kit.strategy = kind
    return kit


@pytest.mark.parametrize(("kind", "check"), FAULTS)
def test_a_broken_promise_is_caught(
    kind: type[Strategy], check: Callable[[StrategyConformance], None]
) -> None:
    with pytest.raises((AssertionError, UsageError)):
        check(conformance(kind))


@pytest.mark.parametrize("check", sorted({check for _, check in FAULTS}, key=lambda check: check.__name__))
def test_an_honest_strategy_passes(check: Callable[[StrategyConformance], None]) -> None:
    check(conformance(RandomStrategy))
    check(conformance(Base))


def test_a_strategy_may_continue_what_has_a_state() -> None:
    conformance(ContinuesWhatIsLeft).test_fidelity_and_parent_are_legal()


def test_a_seeded_strategy_cannot_hide_as_unseeded() -> None:
    kit = conformance(RandomStrategy)
    kit.seeded = False
    with pytest.raises(AssertionError, match="although `seeded = False`"):
        kit.test_another_seed_gives_other_proposals()


def test_the_global_generators_are_put_back() -> None:
    before = global_generators.fingerprint()
    with global_generators.preserved():
        global_generators.seed_all(3)
        assert global_generators.fingerprint() != before
    assert global_generators.fingerprint() == before


def test_a_continued_trial_adds_only_the_missing_epochs() -> None:
    space = SPACES["mixed"]
    config = space.default_config()
    proposals = [Proposal(config, epochs=3), Proposal(config, parent=0)]
    trial = told(space, 9, 1, proposals, lambda _: False)
    assert (trial.epochs_from, trial.epochs, trial.parent, len(trial.curve)) == (3, 9, 0, 6)


def test_a_continued_trial_begins_where_its_parent_ended_even_if_that_failed() -> None:
    space = SPACES["mixed"]
    config = space.default_config()
    proposals = [Proposal(config, epochs=3), Proposal(config, epochs=6, parent=0), Proposal(config, parent=1)]
    trial = told(space, 9, 2, proposals, lambda number: number == 1)
    assert (trial.epochs_from, trial.epochs, len(trial.curve)) == (3, 9, 6)


def test_driving_lets_every_third_trial_fail() -> None:
    class Noting(Base):
        def tell(self, trial: Trial) -> None:
            noted.append(trial.objective is None)

    noted: list[bool] = []
    strategy = Noting(SPACES["mixed"], full_epochs=3, seed=0, budget_trials=None)
    drive(strategy, SPACES["mixed"], 3, 6, sometimes)
    assert noted == [False, False, True, False, False, True]

"""Conformance tests of a search strategy, for the authors of strategies.

Subclass :class:`StrategyConformance` in a test module and say which strategy it is::

    class TestMine(StrategyConformance):
        strategy = MyStrategy
        options = {"warm_up": 3}

Every ``test_…`` method is one promise. The kit needs no pytest of its own; the strategy must live in
an importable module, because one promise is checked in a fresh process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from hpbench.space import Categorical, Condition, Float, Integer, SearchSpace
from hpbench.strategies.base import Capability, Strategy
from hpbench.testing import global_generators, spawned
from hpbench.testing.driving import Failing, always, drive, drive_ahead, never, sometimes, told
from hpbench.trial import Proposal

__all__ = ["SPACES", "StrategyConformance", "StrategyUnderTest"]

FULL_EPOCHS = 9

SPACES: Mapping[str, SearchSpace] = {
    "mixed": SearchSpace(
        (
            Float("learning_rate", 1e-4, 1e-1, log=True),
            Float("dropout", 0.0, 0.5),
            Integer("layers", 1, 3),
            Integer("width", 8, 512, log=True),
            Categorical("batch_size", (16, 32, 64, 128), ordered=True),
            Categorical("activation", ("relu", "tanh", "gelu")),
            Categorical("nesterov", (False, True)),
        ),
        defaults={"learning_rate": 1e-3, "batch_size": 32, "activation": "tanh"},
    ),
    "awkward": SearchSpace(
        (
            Float("single_float", 0.1, 0.1, log=True),
            Integer("single_int", 7, 7),
            Categorical("single_choice", ("only",)),
            Categorical("mixture", (1, 1.0, True, "1")),
            Integer("negative", -3, 3),
            Float("whole_ends", 0, 1),
        ),
        constants={"momentum": 0.9},
    ),
    "conditional": SearchSpace(
        (
            Categorical("optimizer", ("sgd", "adam")),
            Float("learning_rate", 1e-4, 1e-1, log=True),
            Float("momentum", 0.0, 0.99, when=Condition("optimizer", ("sgd",))),
            Categorical("nesterov", (False, True), when=Condition("optimizer", ("sgd",))),
            Integer("warm_up", 1, 5, when=Condition("nesterov", (True,))),
        ),
        defaults={"optimizer": "adam", "learning_rate": 1e-3},
    ),
}
"""What every strategy is tried on; ``"conditional"`` only where CONDITIONAL is claimed."""


@dataclass(frozen=True)
class StrategyUnderTest:
    """How to build the strategy in question; picklable, so that another process can build it too.

    Attributes:
        kind: the class.
        options: its options.
        budget_trials: the budget that it is told.
    """

    kind: type[Strategy]
    options: Mapping[str, Any] = field(default_factory=dict)
    budget_trials: int | None = 12

    def build(self, space: SearchSpace, seed: int) -> Strategy:
        """Return a new strategy."""
        return self.kind(
            space, full_epochs=FULL_EPOCHS, seed=seed, budget_trials=self.budget_trials, **self.options
        )


class StrategyConformance:
    """What hpbench relies on; a strategy that breaks one of these gives results nobody can repeat.

    Attributes:
        strategy: the class under test.
        options: options that keep the test quick, such as few initial points.
        seeded: False for a strategy that proposes the same whatever the seed.
        budget_trials: the budget that the strategy is told.
        trials: how many trials are driven; beyond a strategy's initial phase.
    """

    strategy: type[Strategy]
    options: Mapping[str, Any] = MappingProxyType({})
    seeded: bool = True
    budget_trials: int | None = 12
    trials: int = 12

    def test_proposals_are_legal_and_of_built_in_types(self) -> None:
        """Every active name is there, legal, and a plain int, float, str or bool."""
        for space in self._spaces().values():
            for proposal in self._drive(space):
                space.check(proposal.config)

    def test_proposals_survive_json(self) -> None:
        """Configurations are stored as JSON and come back equal, types included."""
        for space in self._spaces().values():
            for proposal in self._drive(space):
                assert spawned.same_after_json(proposal.config), f"{proposal.config!r} changes in JSON"

    def test_fidelity_and_parent_are_legal(self) -> None:
        """Whole epochs within the full fidelity; parents are earlier trials that left a state, and get more epochs."""
        for space in self._spaces().values():
            proposals = self._drive(space)
            for number, proposal in enumerate(proposals):
                epochs = FULL_EPOCHS if proposal.epochs is None else proposal.epochs
                assert type(epochs) is int, f"`epochs` must be an int or None, got {epochs!r}"
                assert 1 <= epochs <= FULL_EPOCHS, f"{epochs} epochs of {FULL_EPOCHS} were proposed"
                if proposal.parent is not None:
                    self._check_parent(space, number, epochs, proposals)

    def test_a_proposal_does_not_change_afterwards(self) -> None:
        """What was given out is the runner's; nobody writes into it later."""
        space = SPACES["mixed"]
        strategy = self._build(space)
        given: list[tuple[Proposal, dict[str, Any]]] = []
        for number in range(self.trials):
            proposal = strategy.ask()
            if proposal is None:
                break
            given.append((proposal, dict(proposal.config)))
            strategy.tell(told(space, FULL_EPOCHS, number, [item for item, _ in given], sometimes))
        for proposal, copy in given:
            assert dict(proposal.config) == copy, "a proposal was changed after it had been given out"

    def test_the_same_seed_gives_the_same_proposals(self) -> None:
        """A strategy is a function of its seed and of what it is told."""
        for space in self._spaces().values():
            assert self._drive(space) == self._drive(space), "the same seed gave other proposals"

    def test_another_seed_gives_other_proposals(self) -> None:
        """Repetitions differ, unless the strategy has nothing random."""
        space = SPACES["mixed"]
        first, second = self._drive(space, seed=1), self._drive(space, seed=2)
        if self.seeded:
            assert first != second, "two seeds gave the same proposals; set `seeded = False` if that is meant"
        else:
            assert first == second, "two seeds gave different proposals although `seeded = False`"

    def test_global_generators_are_neither_read_nor_changed(self) -> None:
        """Neither Python's, nor numpy's, nor torch's (if it is imported)."""
        space = SPACES["mixed"]
        proposals: list[list[Proposal]] = []
        with global_generators.preserved():
            for seed in (1, 2):
                global_generators.seed_all(seed)
                before = global_generators.fingerprint()
                proposals.append(self._drive(space))
                assert global_generators.fingerprint() == before, "a global generator was changed"
        assert proposals[0] == proposals[1], "proposals depend on a global generator"

    def test_failed_trials_are_survived(self) -> None:
        """Some trials fail, or all of them."""
        for space in self._spaces().values():
            for failing in (sometimes, always):
                for proposal in self._drive(space, failing=failing):
                    space.check(proposal.config)

    def test_a_run_of_failures_at_the_beginning_is_survived(self) -> None:
        """Nothing has succeeded yet when the model is first needed."""
        space = SPACES["mixed"]
        for proposal in self._drive(space, failing=lambda number: number < self.trials // 2):
            space.check(proposal.config)

    def test_a_fresh_process_gives_the_same_proposals(self) -> None:
        """Not even the order of hashed strings may matter."""
        space = SPACES["conditional" if self._conditional else "mixed"]
        expected = [spawned.as_json(proposal) for proposal in self._drive(space)]
        fresh = spawned.proposals(self._case(), space, self.trials, hash_seed="4242")
        assert fresh == expected, "a process with another PYTHONHASHSEED got other proposals"

    def test_replay_gives_the_same_next_proposal(self) -> None:
        """Resuming rebuilds a strategy from its seed and tells it what is stored."""
        space = SPACES["conditional" if self._conditional else "mixed"]
        undisturbed = self._drive(space)
        stops = {0, 1, len(undisturbed) // 2, len(undisturbed) - 1}
        for done in sorted(stop for stop in stops if 0 <= stop < len(undisturbed)):
            strategy = self._build(space)
            again = drive(strategy, space, FULL_EPOCHS, done, sometimes)
            assert again == undisturbed[:done], "the replay itself got other proposals"
            assert strategy.ask() == undisturbed[done], (
                f"after the replay of {done} trials another proposal came"
            )

    def test_asking_ahead_changes_nothing_if_non_adaptive(self) -> None:
        """Only with NON_ADAPTIVE: results make no difference to the proposals."""
        if Capability.NON_ADAPTIVE not in self.strategy.capabilities:
            return
        for space in self._spaces().values():
            ahead = drive_ahead(self._build(space), self.trials)
            assert ahead == self._drive(space), "NON_ADAPTIVE is claimed, yet results change the proposals"

    def test_several_trials_at_once_if_parallel(self) -> None:
        """Four trials under way, told in another order than asked."""
        if Capability.PARALLEL not in self.strategy.capabilities:
            return
        for space in self._spaces().values():
            first = self._drive_in_parallel(space)
            for proposal in first:
                space.check(proposal.config)
            assert first == self._drive_in_parallel(space), "the same seed gave other proposals"

    def test_an_exhausted_strategy_stays_exhausted(self) -> None:
        """After the first None there is nothing but None."""
        for space in self._spaces().values():
            strategy = self._build(space)
            if len(drive(strategy, space, FULL_EPOCHS, self.trials, never)) < self.trials:
                more = [strategy.ask() for _ in range(3)]
                assert more == [None, None, None], f"after None came {more!r}"

    def test_constants_are_left_out(self) -> None:
        """What the suite has fixed is none of the strategy's business."""
        for proposal in self._drive(SPACES["awkward"]):
            assert "momentum" not in proposal.config, "a constant of the space was proposed"

    @property
    def _conditional(self) -> bool:
        """Whether the strategy claims conditional spaces."""
        return Capability.CONDITIONAL in self.strategy.capabilities

    def _spaces(self) -> dict[str, SearchSpace]:
        """Return the spaces that the strategy claims to search."""
        return {name: space for name, space in SPACES.items() if self._conditional or not space.conditional}

    def _check_parent(
        self, space: SearchSpace, number: int, epochs: int, proposals: Sequence[Proposal]
    ) -> None:
        """Raise unless trial ``number``, which is trained until ``epochs``, may continue its parent."""
        parent = proposals[number].parent
        assert Capability.RESUMES in self.strategy.capabilities, (
            "a parent was proposed without the capability RESUMES"
        )
        assert type(parent) is int, f"`parent` must be an int or None, got {parent!r}"
        assert 0 <= parent < number, f"trial {number} continues {parent}"
        reached = told(space, FULL_EPOCHS, parent, proposals, sometimes).epochs
        assert reached >= 1, f"trial {number} continues {parent}, which failed before its first epoch"
        assert epochs > reached, f"trial {number} continues {parent} from epoch {reached} until {epochs}"

    def _case(self) -> StrategyUnderTest:
        """Return how to build the strategy."""
        return StrategyUnderTest(self.strategy, dict(self.options), self.budget_trials)

    def _build(self, space: SearchSpace, seed: int = 1) -> Strategy:
        """Return a new strategy."""
        return self._case().build(space, seed)

    def _drive(self, space: SearchSpace, *, seed: int = 1, failing: Failing = sometimes) -> list[Proposal]:
        """Return the proposals of a whole run."""
        return drive(self._build(space, seed), space, FULL_EPOCHS, self.trials, failing)

    def _drive_in_parallel(self, space: SearchSpace) -> list[Proposal]:
        """Return the proposals of a run that keeps four trials under way and tells the newest first."""
        strategy = self._build(space)
        given: list[Proposal] = []
        waiting: list[int] = []
        while len(given) < self.trials:
            proposal = strategy.ask()
            if proposal is None:
                break
            waiting.append(len(given))
            given.append(proposal)
            if len(waiting) == 4:  # noqa: PLR2004 - four at a time
                strategy.tell(told(space, FULL_EPOCHS, waiting.pop(), given, sometimes))
        return given

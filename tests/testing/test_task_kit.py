"""The kit must catch what it promises to catch, so here are tasks that break one promise each."""

from __future__ import annotations

import importlib
import inspect
import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

from hpbench.errors import UsageError
from hpbench.seeding import Stream
from hpbench.space import Categorical, Condition, Float, SearchSpace
from hpbench.tasks.base import Task
from hpbench.testing import spawned
from hpbench.testing.evaluating import TaskUnderTest, refused, requests
from hpbench.testing.task_kit import TaskConformance, without_times
from hpbench.trial import Evaluation, Request, RunKey, Status

SPACE = SearchSpace(
    (
        Categorical("optimizer", ("sgd", "adam")),
        Float("learning_rate", 1e-4, 1e-1, log=True),
        Float("momentum", 0.0, 0.99, when=Condition("optimizer", ("sgd",))),
    ),
    defaults={"optimizer": "sgd", "learning_rate": 1e-3, "momentum": 0.9},
)
HOPELESS = {"optimizer": "adam", "learning_rate": 1e9}
N_VAL, N_TEST = 1000, 500


class Honest(Task):
    """Learning curves made of hashes: a training state is nothing but the errors so far."""

    name = "honest"
    space = SPACE
    full_epochs = 4

    def __init__(self) -> None:
        self.kept: dict[tuple[RunKey, int | None], tuple[int, ...]] = {}

    def evaluate(self, requests: Sequence[Request]) -> list[Evaluation]:
        return [self.one(request) for request in requests]

    def one(self, request: Request) -> Evaluation:
        """Answer one request."""
        wrong: tuple[int, ...] = ()
        if request.parent is not None:
            if (request.run, request.parent) not in self.kept:
                raise UsageError(f"the state of trial {request.parent} is not kept.")
            wrong = self.kept[request.run, request.parent]
        begun = len(wrong)
        if request.config["learning_rate"] == 1e9:
            return Evaluation(Status.DIVERGED, begun, begun + 1, curve=(1.0,), message="too fast")
        wrong = (*wrong, *(self.wrong(request, epoch) for epoch in range(begun, request.epochs)))
        if request.keep:
            self.kept[request.run, request.number] = wrong
        return self.scored(begun, wrong)

    def wrong(self, request: Request, epoch: int) -> int:
        """Return how many validation examples are misclassified after an epoch."""
        text = json.dumps([sorted(request.config.items()), request.run.repetition, epoch])
        return Stream((text,)).integer() % (N_VAL // (epoch + 1))

    def scored(self, begun: int, wrong: tuple[int, ...]) -> Evaluation:
        """Return what a state is worth."""
        return Evaluation(
            Status.OK,
            begun,
            len(wrong),
            val_correct=N_VAL - wrong[-1],
            val_total=N_VAL,
            val_loss=wrong[-1] / 100,
            test_correct=N_TEST - wrong[-1] // 2,
            test_total=N_TEST,
            test_loss=wrong[-1] / 90,
            curve=tuple(count / N_VAL for count in wrong[begun:]),
            train_seconds=random.SystemRandom().random(),
            evaluate_seconds=0.5,
        )

    def forget(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self.kept.pop((request.run, request.number), None)


class Changing(Honest):
    """Changes an honest answer."""

    changes: ClassVar[dict[str, Any]] = {}

    def one(self, request: Request) -> Evaluation:
        return replace(super().one(request), **self.changes)


class Nameless(Honest):
    name = None  # type: ignore[assignment]


class NoEpochs(Honest):
    full_epochs = 0


class Sorted(Honest):
    def evaluate(self, requests: Sequence[Request]) -> list[Evaluation]:
        return sorted(super().evaluate(requests), key=lambda answer: answer.val_loss or 0.0)


class Drops(Honest):
    def evaluate(self, requests: Sequence[Request]) -> list[Evaluation]:
        return super().evaluate(requests)[:-1] or super().evaluate(requests)


class HatesNothing(Honest):
    def evaluate(self, requests: Sequence[Request]) -> list[Evaluation]:
        return super().evaluate(requests) or [Evaluation(Status.OK)]


class Ages(Honest):
    """Answers differently every time."""

    age = 0

    def wrong(self, request: Request, epoch: int) -> int:
        self.age += 1
        return super().wrong(request, epoch) + self.age


class Remembers(Honest):
    """What it trained before leaves a trace within one call."""

    def evaluate(self, requests: Sequence[Request]) -> list[Evaluation]:
        answers = super().evaluate(requests)
        return [
            replace(answer, test_correct=(answer.test_correct or 0) - place)
            for place, answer in enumerate(answers)
        ]


class Partial(Honest):
    """Strategies have favourites."""

    def wrong(self, request: Request, epoch: int) -> int:
        return super().wrong(request, epoch) + len(request.run.strategy)


class Counts(Honest):
    """The trial's number seeds its training."""

    def wrong(self, request: Request, epoch: int) -> int:
        return super().wrong(request, epoch) + request.number // 10


class Constant(Honest):
    """Every repetition is the same."""

    def wrong(self, request: Request, epoch: int) -> int:
        return super().wrong(replace(request, run=replace(request.run, repetition=0)), epoch)


class SaltedByProcess(Honest):
    """Hashes of strings differ from process to process."""

    def wrong(self, request: Request, epoch: int) -> int:
        return super().wrong(request, epoch) + abs(hash("salt")) % 1000


class ChangesGlobal(Honest):
    def wrong(self, request: Request, epoch: int) -> int:
        np.random.rand()  # noqa: NPY002 - the fault
        return super().wrong(request, epoch)


class ReadsGlobal(Honest):
    def wrong(self, request: Request, epoch: int) -> int:
        return super().wrong(request, epoch) + hash(random.getstate()) % 50


class NumpyCounts(Changing):
    changes: ClassVar[dict[str, Any]] = {"val_correct": np.int64(999)}


class NumpyCurve(Honest):
    def one(self, request: Request) -> Evaluation:
        answer = super().one(request)
        return replace(answer, curve=tuple(np.float64(error) for error in answer.curve))


class NanLoss(Changing):
    changes: ClassVar[dict[str, Any]] = {"test_loss": float("nan")}


class CurveTooLong(Honest):
    def one(self, request: Request) -> Evaluation:
        answer = super().one(request)
        return replace(answer, curve=(1.0, *answer.curve))


class Accuracies(Honest):
    """The curve rises above one: percent."""

    def one(self, request: Request) -> Evaluation:
        answer = super().one(request)
        return replace(answer, curve=tuple(100.0 * error + 2.0 for error in answer.curve))


class AnotherResult(Changing):
    changes: ClassVar[dict[str, Any]] = {"val_correct": 1, "val_total": 3}


class TooManyCorrect(Changing):
    changes: ClassVar[dict[str, Any]] = {"test_correct": N_TEST + 1}


class FloatCounts(Changing):
    changes: ClassVar[dict[str, Any]] = {"val_total": 1000.0}


class NoExamples(Changing):
    changes: ClassVar[dict[str, Any]] = {"test_total": 0, "test_correct": 0}


class AnotherTotal(Honest):
    def one(self, request: Request) -> Evaluation:
        return replace(super().one(request), test_total=N_TEST + len(request.config))


class AlwaysFails(Honest):
    def one(self, request: Request) -> Evaluation:
        return Evaluation(Status.ERROR, 0, request.epochs, curve=(1.0,) * request.epochs, message="no")


class NegativeSeconds(Changing):
    changes: ClassVar[dict[str, Any]] = {"evaluate_seconds": -1.0}


class EndlessSeconds(Changing):
    changes: ClassVar[dict[str, Any]] = {"train_seconds": float("inf")}


class SilentFailure(Changing):
    changes: ClassVar[dict[str, Any]] = {"message": ""}


class FailsWithFigures(Changing):
    changes: ClassVar[dict[str, Any]] = {"test_correct": 5}


class StringStatus(Changing):
    changes: ClassVar[dict[str, Any]] = {"status": "ok"}


class FailureSpreads(Honest):
    """After a failure everything that follows in the call fails too."""

    def evaluate(self, requests: Sequence[Request]) -> list[Evaluation]:
        answers = super().evaluate(requests)
        failed = [answer for answer in answers if answer.status is not Status.OK]
        return [failed[0] if failed else answer for answer in answers]


class CannotFail(Honest):
    def one(self, request: Request) -> Evaluation:
        return super().one(replace(request, config={**request.config, "learning_rate": 0.01}))


class IgnoresEpochs(Honest):
    def one(self, request: Request) -> Evaluation:
        return super().one(replace(request, epochs=self.full_epochs))


class AnotherBeginning(Honest):
    """The schedule runs over what is asked, not over the full fidelity."""

    def wrong(self, request: Request, epoch: int) -> int:
        return super().wrong(request, epoch) + request.epochs


class StartsAgain(Honest):
    def one(self, request: Request) -> Evaluation:
        return super().one(replace(request, parent=None))


class ForgetsTheBeginning(Honest):
    """Continues from the right epoch, but not with what was learned."""

    def one(self, request: Request) -> Evaluation:
        answer = super().one(request)
        if request.parent is None or not answer.curve:
            return answer
        return replace(answer, test_correct=(answer.test_correct or 0) - 1)


class WearsOut(Honest):
    """Continuing a parent changes the parent."""

    def one(self, request: Request) -> Evaluation:
        answer = super().one(request)
        if request.parent is not None:
            state = self.kept[request.run, request.parent]
            self.kept[request.run, request.parent] = (*state, 7)
        return answer


class KeepingCosts(Honest):
    def wrong(self, request: Request, epoch: int) -> int:
        return super().wrong(request, epoch) + 3 * request.keep


class NeverForgets(Honest):
    def forget(self, requests: Sequence[Request]) -> None:
        pass


class RawKeyError(Honest):
    def one(self, request: Request) -> Evaluation:
        if request.parent is not None:
            self.kept[request.run, request.parent]
        return super().one(request)


class ForgetsOnce(Honest):
    def forget(self, requests: Sequence[Request]) -> None:
        for request in requests:
            del self.kept[request.run, request.number]


class WritesIntoRequests(Honest):
    def one(self, request: Request) -> Evaluation:
        answer = super().one(request)
        request.config.setdefault("momentum", 0.5)  # type: ignore[attr-defined]
        return answer


class ClosesOnce(Honest):
    closed = False

    def close(self) -> None:
        assert not self.closed, "closed already"
        self.closed = True


Kit = TaskConformance
FAULTS: list[tuple[type[Task], Callable[[TaskConformance], None], str]] = [
    (Nameless, Kit.test_the_task_describes_itself, "`name` must be a str"),
    (NoEpochs, Kit.test_the_task_describes_itself, "`full_epochs` must be at least 1"),
    (Sorted, Kit.test_every_request_is_answered_in_its_place, "not those of the requests"),
    (Drops, Kit.test_every_request_is_answered_in_its_place, "3 requests got 2 answers"),
    (HatesNothing, Kit.test_no_request_gets_no_answer, "no request was answered"),
    (Ages, Kit.test_the_same_request_gets_the_same_answer, "the second time"),
    (Remembers, Kit.test_the_same_request_gets_the_same_answer, "equal requests got different"),
    (Remembers, Kit.test_order_and_company_do_not_matter, "in another order"),
    (Sorted, Kit.test_order_and_company_do_not_matter, "in another order"),
    (Partial, Kit.test_the_strategy_does_not_matter, "another strategy"),
    (Counts, Kit.test_the_number_matters_only_if_it_is_said_to, "number changed the result"),
    (Constant, Kit.test_repetitions_differ, "two repetitions are equal"),
    (ChangesGlobal, Kit.test_global_generators_are_neither_read_nor_changed, "was changed"),
    (ReadsGlobal, Kit.test_global_generators_are_neither_read_nor_changed, "depend on a global"),
    (NumpyCounts, Kit.test_answers_are_plain_and_survive_json, "`val_correct` holds"),
    (NumpyCurve, Kit.test_answers_are_plain_and_survive_json, "`curve` holds"),
    (NanLoss, Kit.test_answers_are_plain_and_survive_json, "not JSON compliant"),
    (CurveTooLong, Kit.test_the_curve_has_one_error_for_each_epoch_added, "the curve has 5"),
    (Accuracies, Kit.test_the_curve_has_one_error_for_each_epoch_added, r"leaves \[0, 1\]"),
    (AnotherResult, Kit.test_the_curve_has_one_error_for_each_epoch_added, "none of the curve's"),
    (TooManyCorrect, Kit.test_counts_lie_within_totals, "cannot be correct"),
    (FloatCounts, Kit.test_counts_lie_within_totals, "counts must be integers"),
    (NoExamples, Kit.test_counts_lie_within_totals, "no example at all"),
    (AnotherTotal, Kit.test_counts_lie_within_totals, "different totals"),
    (AlwaysFails, Kit.test_counts_lie_within_totals, "not one configuration could be trained"),
    (NegativeSeconds, Kit.test_losses_and_seconds_are_finite, "must not be negative"),
    (EndlessSeconds, Kit.test_losses_and_seconds_are_finite, "must be finite"),
    (NanLoss, Kit.test_losses_and_seconds_are_finite, "status ok with losses"),
    (SilentFailure, Kit.test_a_failed_trial_says_so, "must say what happened"),
    (FailsWithFigures, Kit.test_a_failed_trial_says_so, "must have no figures"),
    (StringStatus, Kit.test_a_failed_trial_says_so, "must be a Status"),
    (FailureSpreads, Kit.test_a_failed_trial_says_so, "changed the results of its company"),
    (CannotFail, Kit.test_a_failed_trial_says_so, "was said to fail and did not"),
    (IgnoresEpochs, Kit.test_epochs_are_honoured, "1 epochs were asked for, 4 trained"),
    (AnotherBeginning, Kit.test_epochs_are_honoured, "another beginning"),
    (StartsAgain, Kit.test_a_parent_is_continued, "must be the epochs of the parent"),
    (CurveTooLong, Kit.test_a_parent_is_continued, "must hold the added epochs"),
    (ForgetsTheBeginning, Kit.test_a_parent_is_continued, "two steps gave another result"),
    (WearsOut, Kit.test_a_parent_is_continued, "changed the parent"),
    (KeepingCosts, Kit.test_keeping_changes_nothing, "keeping the state changed"),
    (NeverForgets, Kit.test_a_state_that_is_not_there_is_a_clear_error, "must be an HpbenchError"),
    (RawKeyError, Kit.test_a_state_that_is_not_there_is_a_clear_error, "RunKey"),
    (ForgetsOnce, Kit.test_a_state_that_is_not_there_is_a_clear_error, "RunKey"),
    (WritesIntoRequests, Kit.test_requests_are_left_as_they_are, "was changed"),
    (ClosesOnce, Kit.test_closing_twice_is_harmless, "closed already"),
]
CHECKS = [
    check
    for name, check in inspect.getmembers(TaskConformance, inspect.isfunction)
    if name.startswith("test_") and "fresh_process" not in name
]


def conformance(kind: type[Task], **attributes: Any) -> TaskConformance:
    """Return the kit for a task, with a configuration that is known to fail."""
    kit = TaskConformance()
    kit.task, kit.failing = kind, HOPELESS
    for name, value in attributes.items():
        setattr(kit, name, value)
    return kit


@pytest.mark.parametrize(("kind", "check", "message"), FAULTS)
def test_a_broken_promise_is_caught(
    kind: type[Task], check: Callable[[TaskConformance], None], message: str
) -> None:
    with pytest.raises((AssertionError, ValueError, KeyError), match=message):
        check(conformance(kind))


@pytest.mark.parametrize("check", CHECKS)
def test_an_honest_task_passes(check: Callable[[TaskConformance], None]) -> None:
    check(conformance(Honest))


def test_every_promise_is_broken_by_somebody() -> None:
    assert set(CHECKS) == {check for _, check, _ in FAULTS}


# a fresh process has to import the task, and this module is no package's


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """This very module, importable under a name of its own."""
    (tmp_path / "tasks_of_this_test.py").write_text(
        Path(__file__).read_text(encoding="utf-8"), encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("tasks_of_this_test")
    del sys.modules["tasks_of_this_test"]


def test_a_process_of_its_own_shows_what_depends_on_hashes(importable: ModuleType) -> None:
    conformance(importable.Honest).test_a_fresh_process_gives_the_same_answers()
    with pytest.raises(AssertionError, match="another process got other results"):
        conformance(importable.SaltedByProcess).test_a_fresh_process_gives_the_same_answers()


def test_what_a_task_says_of_itself_is_held_against_it() -> None:
    with pytest.raises(AssertionError, match="although `repetitions_differ = False`"):
        conformance(Honest, repetitions_differ=False).test_repetitions_differ()
    with pytest.raises(AssertionError, match="the number changed nothing"):
        conformance(Honest, numbers_matter=True).test_the_number_matters_only_if_it_is_said_to()


def test_what_a_task_owns_up_to_is_no_fault() -> None:
    conformance(Constant, repetitions_differ=False).test_repetitions_differ()
    counts = conformance(Counts, numbers_matter=True)
    counts.test_the_number_matters_only_if_it_is_said_to()
    counts.test_a_parent_is_continued()
    conformance(StartsAgain, resumes=False).test_a_parent_is_continued()
    conformance(NeverForgets, resumes=False).test_a_state_that_is_not_there_is_a_clear_error()
    conformance(CannotFail, failing=None).test_a_failed_trial_says_so()


def test_stopping_early_has_to_be_claimed() -> None:
    class Impatient(Honest):
        def one(self, request: Request) -> Evaluation:
            return super().one(replace(request, epochs=min(request.epochs, 3)))

    conformance(Impatient, stops_early=True).test_epochs_are_honoured()
    with pytest.raises(AssertionError, match="4 epochs were asked for, 3 trained"):
        conformance(Impatient).test_epochs_are_honoured()


# asking


def test_requests_are_legal_always_the_same_and_begin_with_the_default() -> None:
    task = Honest()
    asked = requests(task, 5, strategy="grid", repetition=2, first=7, epochs=3, keep=True)
    assert [item.number for item in asked] == [7, 8, 9, 10, 11]
    assert {(item.run, item.epochs, item.keep) for item in asked} == {(RunKey("honest", "grid", 2), 3, True)}
    assert asked[0].config == SPACE.default_config()
    for item in asked:
        SPACE.check(item.config)
    assert [item.config for item in requests(task, 5)] == [item.config for item in asked]
    assert {item.epochs for item in requests(task, 2)} == {4}


def test_times_are_set_aside_and_nothing_else() -> None:
    timed = Evaluation(Status.OK, val_loss=0.5, train_seconds=3.0, evaluate_seconds=1.0, message="m")
    assert without_times(timed) == Evaluation(Status.OK, val_loss=0.5, message="m")


def test_a_refusal_is_an_error_made_for_people() -> None:
    task = Honest()
    (request,) = requests(task, 1)
    assert not refused(task, request)
    assert refused(task, replace(request, parent=3))
    with pytest.raises(KeyError):
        refused(RawKeyError(), replace(request, parent=3))


def test_another_process_sees_another_hash_seed() -> None:
    found = {spawned._in_a_fresh_process(hash, ("salt",), seed) for seed in ("1", "2")}
    assert len(found) == 2


def test_a_task_under_test_is_built_with_its_options() -> None:
    class Sized(Honest):
        def __init__(self, full_epochs: int) -> None:
            super().__init__()
            self.full_epochs = full_epochs

    assert TaskUnderTest(Sized, {"full_epochs": 9}).build().full_epochs == 9

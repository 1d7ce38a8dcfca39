"""Conformance tests of a task, for the authors of tasks.

Subclass :class:`TaskConformance` in a test module and say how the task is built::

    class TestMine(TaskConformance):
        task = MyTask
        options = {"name": "mine", "full_epochs": 3}

Every ``test_…`` method is one promise. The kit needs no pytest of its own; the task must live in an
importable module, because one promise is checked in a fresh process. Choose a small data set and few
epochs: every promise trains several trials.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

from hpbench.space import SearchSpace
from hpbench.tasks.base import Task
from hpbench.testing import global_generators, spawned
from hpbench.testing.evaluating import TaskUnderTest, refused, requests, without_times
from hpbench.trial import Config, Evaluation, Request, Status

__all__ = ["TaskConformance", "TaskUnderTest", "without_times"]


class TaskConformance:
    """What hpbench relies on; a task that breaks one of these makes strategies incomparable.

    Attributes:
        task: the class under test, called with ``options``.
        options: arguments that keep the test quick, such as few epochs.
        resumes: False for a task that cannot continue a parent's training state.
        repetitions_differ: False for a task that computes the same in every repetition.
        numbers_matter: True if the trial's number seeds its training (``training_seeds = "per_trial"``).
        stops_early: True if a training may end before the epochs that were asked for.
        regression: True for a task that predicts a number: nothing is counted, and the error is 1 - R².
        counts: False for a task that counts no examples; its loss is what is minimised, and it has no curve.
        failing: a configuration whose training is sure to fail, if the author knows one.
        trials: how many configurations are tried: the default one and random ones.
    """

    task: type[Task]
    options: Mapping[str, Any] = MappingProxyType({})
    resumes: bool = True
    repetitions_differ: bool = True
    numbers_matter: bool = False
    stops_early: bool = False
    regression: bool = False
    counts: bool = True
    failing: Config | None = None
    trials: int = 3

    def test_the_task_describes_itself(self) -> None:
        """A name, a search space and a full fidelity of at least one epoch."""
        task = self._build()
        assert isinstance(task.name, str), f"`name` must be a str, got {task.name!r}"
        assert isinstance(task.space, SearchSpace), f"`space` must be a SearchSpace, got {task.space!r}"
        assert type(task.full_epochs) is int, f"`full_epochs` must be an int, got {task.full_epochs!r}"
        assert task.full_epochs >= 1, f"`full_epochs` must be at least 1, got {task.full_epochs}"

    def test_every_request_is_answered_in_its_place(self) -> None:
        """As many answers as requests, each the one that its request gets alone."""
        task = self._build()
        asked = self._requests(task)
        alone = [self._answer(self._build(), [request])[0] for request in asked]
        assert self._answer(task, asked) == alone, "the answers are not those of the requests, in order"

    def test_no_request_gets_no_answer(self) -> None:
        """An empty round is no error."""
        answers = self._build().evaluate([])
        assert answers == [], f"no request was answered with {answers!r}"

    def test_the_same_request_gets_the_same_answer(self) -> None:
        """From the same task, in one call or two, and from a new one, times aside."""
        task = self._build()
        asked = self._requests(task)
        first = self._answer(task, asked)
        assert self._answer(task, asked) == first, "the second time the answers were different"
        assert self._answer(self._build(), asked) == first, "a new task answered differently"
        twice = self._answer(task, [*asked, *asked])
        assert twice == [*first, *first], "in one call, equal requests got different answers"

    def test_order_and_company_do_not_matter(self) -> None:
        """A trial's result is the same first or last, among many or few."""
        task = self._build()
        asked = self._requests(task)
        expected = self._answer(task, asked)
        assert self._answer(task, asked[::-1])[::-1] == expected, "in another order results differ"
        assert self._answer(task, asked[1:]) == expected[1:], "in other company results differ"

    def test_the_strategy_does_not_matter(self) -> None:
        """All strategies of a repetition search the very same function."""
        task = self._build()
        one, other = (self._requests(task, strategy=name) for name in ("one", "other"))
        assert self._answer(task, other) == self._answer(task, one), "another strategy got other results"

    def test_the_number_matters_only_if_it_is_said_to(self) -> None:
        """The trial's number names a state; it seeds nothing unless ``numbers_matter``."""
        task = self._build()
        answers = [self._answer(task, self._requests(task, first=first)) for first in (0, 100)]
        if self.numbers_matter:
            assert answers[0] != answers[1], "`numbers_matter` is claimed, yet the number changed nothing"
        else:
            assert answers[0] == answers[1], "the trial's number changed the result"

    def test_repetitions_differ(self) -> None:
        """Another repetition is another sample, unless the task has nothing random."""
        task = self._build()
        zero, one = (self._answer(task, self._requests(task, repetition=place)) for place in (0, 1))
        if self.repetitions_differ:
            assert zero != one, "two repetitions are equal; set `repetitions_differ = False` if that is meant"
        else:
            assert zero == one, "two repetitions differ although `repetitions_differ = False`"

    def test_a_fresh_process_gives_the_same_answers(self) -> None:
        """Whichever worker trains, and in whatever order strings hash there."""
        task = self._build()
        asked = self._requests(task)
        fresh = spawned.evaluations(self._case(), asked, hash_seed="4242")
        assert fresh == self._answer(task, asked), "another process got other results"

    def test_global_generators_are_neither_read_nor_changed(self) -> None:
        """Neither Python's, nor numpy's, nor torch's (if it is imported)."""
        self._answer(self._build(), [])  # what is imported late is imported now
        answers: list[list[Evaluation]] = []
        with global_generators.preserved():
            for seed in (1, 2):
                global_generators.seed_all(seed)
                before = global_generators.fingerprint()
                task = self._build()
                answers.append(self._answer(task, self._requests(task)))
                assert global_generators.fingerprint() == before, "a global generator was changed"
        assert answers[0] == answers[1], "results depend on a global generator"

    def test_answers_are_plain_and_survive_json(self) -> None:
        """Built-in types alone, and no NaN or infinity: they are stored.

        The last error of a regression that diverged is NaN, and stored as ``null``.
        """
        for answer in self._all_answers():
            if self.regression and answer.status is Status.DIVERGED:
                assert not any(map(math.isnan, answer.curve[:-1])), f"{answer.curve} goes on after NaN"
                continue
            plain = asdict(answer)
            for name, value in plain.items():
                items = value if isinstance(value, tuple) else (value,)
                kinds = {type(item) for item in items} - {type(None), int, float, str, Status}
                assert not kinds, f"`{name}` holds {kinds}, not built-in types"
            back = json.loads(json.dumps(plain, allow_nan=False))
            same = {**back, "status": Status(back["status"]), "curve": tuple(back["curve"])}
            assert Evaluation(**same) == answer, f"{answer!r} changes in JSON"

    def test_the_curve_has_one_error_for_each_epoch_added(self) -> None:
        """Validation errors from 0, to 1 where examples are counted; the result is that of one of the epochs."""
        most = math.inf if self.regression else 1.0
        for answer in self._all_answers():
            if not self.counts:
                assert answer.curve == (), f"`counts = False`, yet there is a curve of errors: {answer.curve}"
                continue
            added = answer.epochs - answer.epochs_from
            assert len(answer.curve) == added, f"{added} epochs were added, the curve has {len(answer.curve)}"
            known = [error for error in answer.curve if not (self.regression and math.isnan(error))]
            assert all(0.0 <= error <= most for error in known), f"{answer.curve} leaves [0, {most:g}]"
            if self.regression and answer.status is Status.OK:
                assert answer.val_loss in answer.curve, f"the error {answer.val_loss} is none of the curve's"
            if answer.status is Status.OK and answer.val_correct is not None and answer.val_total:
                error = (answer.val_total - answer.val_correct) / answer.val_total
                near = any(math.isclose(error, item, abs_tol=1e-9) for item in answer.curve)
                assert near, f"the error {error} is none of the curve's {answer.curve}"

    def test_counts_lie_within_totals(self) -> None:
        """On validation and on test, and the totals are those of the repetition, not of the trial."""
        fine = [answer for answer in self._all_answers() if answer.status is Status.OK]
        assert fine, "not one configuration could be trained; widen or change the task's space"
        if self.regression or not self.counts:
            for answer in fine:
                counted = (answer.val_correct, answer.val_total, answer.test_correct, answer.test_total)
                assert counted == (None,) * 4, f"nothing is to be counted, yet examples were: {counted}"
                assert type(answer.val_loss) is float, f"`val_loss` must be a float, got {answer.val_loss!r}"
            return
        for answer in fine:
            for correct, total in (
                (answer.val_correct, answer.val_total),
                (answer.test_correct, answer.test_total),
            ):
                assert type(correct) is int, f"counts must be integers, got {correct!r}"
                assert type(total) is int, f"counts must be integers, got {total!r}"
                assert 0 <= correct <= total, f"{correct} of {total} examples cannot be correct"
                assert total > 0, "a trial was measured on no example at all"
        totals = {(answer.val_total, answer.test_total) for answer in fine}
        assert len(totals) == 1, f"trials of one repetition were measured on different totals: {totals}"

    def test_losses_and_seconds_are_finite(self) -> None:
        """Times are never negative; a loss that is not finite is a diverged trial."""
        task = self._build()
        for answer in task.evaluate(self._requests(task)):
            for seconds in (answer.train_seconds, answer.evaluate_seconds):
                assert math.isfinite(seconds), f"seconds must be finite, got {seconds}"
                assert seconds >= 0.0, f"seconds must not be negative, got {seconds}"
            if answer.status is Status.OK:
                losses = [loss for loss in (answer.val_loss, answer.test_loss) if loss is not None]
                assert all(map(math.isfinite, losses)), f"status ok with losses {losses}"

    def test_a_failed_trial_says_so(self) -> None:
        """A status, a message and no figures; its company is none the worse."""
        task = self._build()
        asked = self._requests(task)
        expected = self._answer(task, asked)
        if self.failing is not None:
            bad = replace(asked[0], number=len(asked), config=self.failing)
            answers = self._answer(task, [bad, *asked])
            assert answers[0].status is not Status.OK, f"{self.failing!r} was said to fail and did not"
            assert answers[1:] == expected, "a failed trial changed the results of its company"
            expected = answers
        for answer in expected:
            assert isinstance(answer.status, Status), f"`status` must be a Status, got {answer.status!r}"
            if answer.status is not Status.OK:
                assert answer.message, f"a trial with status {answer.status} must say what happened"
                figures = (answer.val_correct, answer.val_loss, answer.test_correct, answer.test_loss)
                assert figures == (None,) * 4, f"a failed trial must have no figures, got {figures}"

    def test_epochs_are_honoured(self) -> None:
        """A shorter training is the beginning of the longer one."""
        task = self._build()
        full = self._answer(task, self._requests(task))
        for epochs in sorted({1, (task.full_epochs + 1) // 2}):
            short = self._answer(task, self._requests(task, epochs=epochs))
            for less, more in zip(short, full, strict=True):
                assert less.epochs_from == 0, "a trial from scratch must have inherited no epoch"
                self._check_reached(less, epochs)
                self._check_reached(more, task.full_epochs)
                assert more.curve[: less.epochs] == less.curve, "fewer epochs gave another beginning"

    def test_a_parent_is_continued(self) -> None:
        """In two steps as at once, and as often as one likes; only with ``resumes``."""
        task = self._build()
        if not self.resumes or task.full_epochs == 1:
            return
        at_once = self._answer(task, self._requests(task, strategy="undisturbed"))
        parents = self._requests(task, epochs=1, keep=True)
        begun = self._answer(task, parents)
        children = [
            replace(item, number=100 + item.number, epochs=task.full_epochs, parent=item.number)
            for item in parents
        ]
        continued = self._answer(task, children)
        assert self._answer(task, children) == continued, "continuing a parent changed the parent"
        for one, child, parent in zip(at_once, continued, begun, strict=True):
            assert child.epochs_from == parent.epochs, "`epochs_from` must be the epochs of the parent"
            assert len(child.curve) == child.epochs - child.epochs_from, (
                "the curve must hold the added epochs"
            )
            if not self.numbers_matter:
                whole = replace(child, epochs_from=0, curve=parent.curve + child.curve)
                assert whole == one, "two steps gave another result than one"

    def test_keeping_changes_nothing(self) -> None:
        """Whether a state is kept is no matter of the result."""
        task = self._build()
        kept, dropped = (self._answer(task, self._requests(task, keep=keep)) for keep in (True, False))
        assert kept == dropped, "keeping the state changed the result"

    def test_a_state_that_is_not_there_is_a_clear_error(self) -> None:
        """After ``forget``, or if it was never kept; only with ``resumes``."""
        task = self._build()
        if not self.resumes or task.full_epochs == 1:
            return
        parent = self._requests(task, epochs=1, keep=True)[0]
        child = replace(parent, number=1, epochs=task.full_epochs, parent=0, keep=False)
        self._answer(task, [parent])
        task.forget([parent])
        task.forget([parent])
        for lacking in (child, replace(child, parent=50)):
            assert refused(task, lacking), "a parent whose state is gone must be an HpbenchError"

    def test_requests_are_left_as_they_are(self) -> None:
        """Configurations belong to the runner."""
        task = self._build()
        asked = self._requests(task)
        before = [dict(request.config) for request in asked]
        self._answer(task, asked)
        assert [dict(request.config) for request in asked] == before, "a configuration was changed"

    def test_closing_twice_is_harmless(self) -> None:
        """What is released is released."""
        task = self._build()
        self._answer(task, self._requests(task, epochs=1)[:1])
        task.close()
        task.close()

    def _check_reached(self, answer: Evaluation, epochs: int) -> None:
        """Raise unless ``answer`` reached ``epochs``, or had a reason to stop before."""
        may_stop = self.stops_early or answer.status is not Status.OK
        enough = answer.epochs <= epochs if may_stop else answer.epochs == epochs
        assert enough, f"{epochs} epochs were asked for, {answer.epochs} trained (status {answer.status})"

    def _case(self) -> TaskUnderTest:
        """Return how to build the task."""
        return TaskUnderTest(self.task, dict(self.options))

    def _build(self) -> Task:
        """Return a new task."""
        return self._case().build()

    def _requests(self, task: Task, **changes: Any) -> list[Request]:
        """Return a request for each of the configurations that are tried."""
        return requests(task, self.trials, **changes)

    def _answer(self, task: Task, asked: Sequence[Request]) -> list[Evaluation]:
        """Return what ``task`` answers, times aside."""
        return self._case().answer(task, asked)

    def _all_answers(self) -> list[Evaluation]:
        """Return the answers to all configurations, the failing one included."""
        task = self._build()
        asked = self._requests(task)
        if self.failing is not None:
            asked.append(replace(asked[0], number=len(asked), config=self.failing))
        return self._answer(task, asked)

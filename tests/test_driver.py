"""Tests of one run in progress: budgets, replay, and strategies that fail."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpbench.driver import RunDriver
from hpbench.errors import UsageError
from hpbench.jobs import Allowance, ShardJob
from hpbench.study import RunState
from hpbench.trial import Evaluation, Proposal, Record, Status

OK = Evaluation(Status.OK, epochs=2, val_correct=9, val_total=10, val_loss=0.3, train_seconds=1.0)


def driver_of(shard: ShardJob, **changes: Any) -> RunDriver:
    """Return a started driver of the first run of ``shard``."""
    driver = RunDriver(replace(shard.runs[0], **changes), shard)
    driver.start()
    return driver


def finish(driver: RunDriver, *answers: Evaluation, ahead: int = 1) -> list[Record]:
    """Drive a run with these answers, the last one again and again, and return its records."""
    records: list[Record] = []
    while driver.active:
        asked = driver.ask(ahead)
        for item in asked:
            record = driver.tell(item, answers[min(len(records), len(answers) - 1)])
            records += [] if record is None else [record]
        driver.finish_round()
    return records


@pytest.mark.parametrize("ahead", [1, 4, 100])
@pytest.mark.parametrize("strategy", ["fake-adaptive", "fake-ahead"])
def test_a_budget_in_trials_is_kept_exactly(fake: ModuleType, strategy: str, ahead: int) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of(strategy, budget={"trials": 7})))
    records = finish(driver, OK, ahead=ahead)
    assert [record.number for record in records] == list(range(7))
    assert driver.state is RunState.COMPLETE


def test_only_a_strategy_that_does_not_adapt_is_asked_ahead(fake: ModuleType) -> None:
    sizes = {}
    for strategy in ("fake-adaptive", "fake-ahead"):
        sizes[strategy] = len(driver_of(fake.shard_of(fake.suite_of(strategy))).ask(4))
    assert sizes == {"fake-adaptive": 1, "fake-ahead": 4}


def test_asking_ahead_changes_no_proposal(fake: ModuleType) -> None:
    found = []
    for ahead in (1, 3, 64):
        driver = driver_of(fake.shard_of(fake.suite_of("fake-ahead", budget={"trials": 9})))
        found.append([record.config for record in finish(driver, OK, ahead=ahead)])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("ahead", [1, 5])
@pytest.mark.parametrize("strategy", ["fake-adaptive", "fake-ahead"])
@pytest.mark.parametrize(("epochs", "expected"), [(2, 1), (7, 3), (8, 4)])
def test_a_budget_in_epochs_ends_when_no_other_trial_can_be_paid(
    fake: ModuleType, strategy: str, ahead: int, epochs: int, expected: int
) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of(strategy, budget={"epochs": epochs})))
    assert len(finish(driver, OK, ahead=ahead)) == expected
    assert driver.state is RunState.COMPLETE


@settings(max_examples=60, deadline=None)
@given(
    epochs=st.lists(st.integers(0, 10), min_size=60, max_size=60),
    budget=st.integers(10, 150),
    ahead=st.integers(2, 64),
    data=st.data(),
)
def test_trials_that_cost_less_than_planned_leave_room_for_the_same_others_however_far_ahead_and_after_a_kill(
    fake: ModuleType, epochs: list[int], budget: int, ahead: int, data: st.DataObject
) -> None:
    shard = fake.shard_of(fake.suite_of("fake-ahead", epochs=10, budget={"epochs": budget}))
    shard = replace(shard, spec=replace(shard.spec, patience=3))
    answers = [
        replace(OK, epochs=reached) if reached else Evaluation(Status.OUT_OF_MEMORY) for reached in epochs
    ]

    def drive(ahead: int, history: list[Record]) -> tuple[RunDriver, list[Record]]:
        driver = driver_of(shard, history=tuple(history))
        found = finish(driver, *answers[len(history) :], ahead=ahead)
        records = [replace(record, ask_seconds=0.0, tell_seconds=0.0) for record in [*history, *found]]
        return driver, records

    alone, expected = drive(1, [])
    killed_at = data.draw(st.integers(0, len(expected)), "killed_at")
    for history in ([], expected[:killed_at]):
        driver, found = drive(ahead, history)
        assert found == expected
        assert (driver.state, driver.message) == (alone.state, alone.message)


@pytest.mark.parametrize("ahead", [1, 64])
def test_a_run_ends_only_when_the_next_trial_does_not_fit_with_nothing_on_its_way(
    fake: ModuleType, ahead: int
) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of("fake-ahead", epochs=10, budget={"epochs": 200})))
    good, bad = replace(OK, epochs=10), Evaluation(Status.DIVERGED, epochs=1)
    records = finish(driver, *[bad, good, good] * 10, ahead=ahead)
    assert len(records) == 29
    assert all(record.ask_seconds > 0 for record in records)


@pytest.mark.parametrize(("epochs", "expected"), [(6, 1), (17, 2), (18, 3)])
def test_a_budget_in_epochs_pays_for_every_fold(fake: ModuleType, epochs: int, expected: int) -> None:
    content = fake.suite_of("fake-adaptive", budget={"epochs": epochs}, validation={"kind": "cv", "folds": 3})
    assert len(finish(driver_of(fake.shard_of(content)), OK)) == expected


def test_epochs_that_a_diverged_trial_did_not_train_are_not_paid(fake: ModuleType) -> None:
    bad = Evaluation(Status.DIVERGED, epochs=1)
    driver = driver_of(fake.shard_of(fake.suite_of("fake-adaptive", budget={"epochs": 8})))
    assert len(finish(driver, bad, bad, OK)) == 5


def test_a_trial_that_failed_at_once_pays_for_one_epoch(fake: ModuleType) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of("fake-adaptive", budget={"epochs": 8})))
    records = finish(driver, Evaluation(Status.ERROR), Evaluation(Status.ERROR), OK)
    assert len(records) == 5


def test_an_inherited_epoch_is_not_paid_again(fake: ModuleType) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of("fake-resumes", budget={"epochs": 6}, epochs=3)))
    answers = [replace(OK, epochs_from=begin, epochs=begin + 1) for begin in (0, 1, 2, 0, 1, 2)]
    records = finish(driver, *answers)
    assert [(record.parent, record.evaluation.epochs) for record in records] == [
        (None, 1), (0, 2), (1, 3), (None, 1), (3, 2), (4, 3)
    ]  # fmt: skip


def test_a_budget_in_seconds_ends_after_the_trial_that_crosses_it(fake: ModuleType) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of("fake-ahead", budget={"seconds": 2.5})))
    assert len(finish(driver, OK, ahead=64)) == 3


@pytest.mark.parametrize("seconds", [float("nan"), float("-inf"), -1.0])
def test_seconds_that_are_none_end_a_run_with_a_budget_in_seconds(fake: ModuleType, seconds: float) -> None:
    content = fake.suite_of("fake-ahead", budget={"seconds": 2.5}, limits={"max_failures": 4})
    driver = driver_of(fake.shard_of(content))
    assert len(finish(driver, OK, replace(OK, train_seconds=seconds))) == 5
    assert driver.state is RunState.FAILED
    assert f"`train_seconds` must be finite and at least 0, got {seconds}" in driver.message


def test_a_strategy_with_nothing_left_is_exhausted(fake: ModuleType) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of("fake-short", budget={"trials": 50})))
    assert len(finish(driver, OK)) == 5
    assert driver.state is RunState.EXHAUSTED


@pytest.mark.parametrize("ahead", [1, 3, 64])
def test_too_many_failures_in_a_row_end_the_run_at_the_same_trial_however_far_it_is_asked_ahead(
    fake: ModuleType, ahead: int
) -> None:
    content = fake.suite_of("fake-ahead", budget={"trials": 50}, limits={"max_failures": 4})
    bad = Evaluation(Status.ERROR, message="ValueError: no")
    driver = driver_of(fake.shard_of(content))
    records = finish(driver, bad, bad, OK, bad, bad, bad, bad, bad, ahead=ahead)
    assert len(records) == 7
    assert driver.state is RunState.FAILED
    assert driver.message == "4 trials in a row failed, the last one with status error: ValueError: no"


BAD = Evaluation(Status.ERROR, message="ValueError: no")


@pytest.mark.parametrize("killed_at", range(4, 9))
def test_a_run_that_failed_is_tried_again_with_its_failures_in_a_row_counted_anew(
    fake: ModuleType, killed_at: int
) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive", budget={"trials": 50}, limits={"max_failures": 4}))
    first = driver_of(shard)
    records = finish(first, BAD)
    again = driver_of(shard, history=tuple(records), failed_at=4)
    assert again.state is RunState.RUNNING
    records += finish(again, BAD)
    assert (len(records), again.state) == (8, RunState.FAILED)
    killed = driver_of(shard, history=tuple(records[:killed_at]), failed_at=4)
    assert len(finish(killed, BAD)) == 8 - killed_at
    assert killed.message == again.message == first.message


def test_a_run_that_was_killed_before_its_failure_was_stored_fails_after_its_replay(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive", budget={"trials": 50}, limits={"max_failures": 4}))
    history = tuple(finish(driver_of(shard), BAD))
    assert driver_of(shard, history=history).state is RunState.FAILED


def test_a_run_that_was_tried_again_and_killed_needs_no_mark_to_go_on(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive", budget={"trials": 50}, limits={"max_failures": 4}))
    records = finish(driver_of(shard), BAD)
    records += finish(driver_of(shard, history=tuple(records), failed_at=4), BAD, BAD, OK, BAD)
    assert len(records) == 11
    assert len(finish(driver_of(shard, history=tuple(records[:6])), OK)) == 44


@pytest.mark.parametrize(
    ("strategy", "budget", "good_end"),
    [
        ("fake-adaptive", {"trials": 3}, RunState.COMPLETE),
        ("fake-ahead", {"epochs": 7}, RunState.COMPLETE),
        ("fake-short", {"trials": 50}, RunState.EXHAUSTED),
    ],
)
def test_a_run_in_which_no_trial_succeeds_fails_with_the_most_frequent_reason_however_it_ends(
    fake: ModuleType, strategy: str, budget: dict[str, int], good_end: RunState
) -> None:
    shard = fake.shard_of(fake.suite_of(strategy, budget=budget))
    nan = Evaluation(Status.DIVERGED, epochs=2, message="the loss is nan")
    full = replace(BAD, epochs=2)
    failed = driver_of(shard)
    records = finish(failed, nan, full, full)
    assert failed.state is RunState.FAILED
    assert failed.message == f"no trial succeeded, {len(records)} failed: error: ValueError: no"
    again = driver_of(shard, history=tuple(records), failed_at=len(records))
    finish(again, OK)
    assert (again.state, again.message) == (failed.state, failed.message)
    usable = driver_of(shard)
    finish(usable, OK, nan, OK)
    assert (usable.state, usable.message) == (good_end, "diverged: the loss is nan")


def test_ask_and_tell_are_timed_and_the_strategy_is_told_validation_only(fake: ModuleType) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of("fake-adaptive")))
    (asked,) = driver.ask(1)
    record = driver.tell(asked, replace(OK, test_correct=7, test_total=8))
    assert record is not None
    assert record.ask_seconds > 0
    assert record.tell_seconds > 0
    told = driver._strategy.told[0]  # type: ignore[union-attr]
    assert told.objective == pytest.approx(0.1)
    assert not any("test" in name for name in vars(told))


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
@pytest.mark.parametrize("objective", ["error", "loss"])
def test_a_validation_loss_that_is_not_finite_means_diverged(
    fake: ModuleType, loss: float, objective: str
) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive"), objective=objective)
    driver = driver_of(shard)
    (asked,) = driver.ask(1)
    record = driver.tell(asked, replace(OK, val_loss=loss))
    assert record is not None
    assert record.evaluation.status is Status.DIVERGED
    assert record.evaluation.val_loss is None
    assert str(loss) in record.evaluation.message
    assert driver._strategy.told[0].objective is None  # type: ignore[union-attr]


def test_a_test_loss_that_is_not_finite_leaves_the_trial_as_it_is(fake: ModuleType) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of("fake-adaptive")))
    (asked,) = driver.ask(1)
    record = driver.tell(asked, replace(OK, test_loss=float("nan")))
    assert record is not None
    assert (record.evaluation.status, record.evaluation.test_loss) == (Status.OK, None)


# -- strategies that fail --------------------------------------------------------------------------


def test_a_strategy_that_raises_when_asked_fails_its_run_with_the_place(fake: ModuleType) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of("fake-raising-ask")))
    assert len(finish(driver, OK)) == 3
    assert driver.state is RunState.FAILED
    assert driver.message.startswith("asking for trial 3 failed: RuntimeError: nothing comes to mind")
    assert "fake_study.py:" in driver.message


def test_a_strategy_that_raises_when_told_fails_its_run_but_keeps_the_trial(fake: ModuleType) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of("fake-raising-tell")))
    assert len(finish(driver, OK)) == 4
    assert "telling trial 3 failed: RuntimeError: cannot hear it" in driver.message


def test_a_proposal_outside_the_space_fails_the_run(fake: ModuleType) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of("fake-outside")))
    assert finish(driver, OK) == []
    assert "the proposal for trial 0 cannot be used" in driver.message
    assert "1000" in driver.message


@pytest.mark.parametrize(
    ("epochs", "parent", "expected"),
    [(0, None, "more than 0"), (3, None, "at most 2"), (2, 0, "RESUMES"), (2, -1, "RESUMES")],
)
def test_impossible_fidelities_and_parents_are_refused(
    fake: ModuleType, epochs: int, parent: int | None, expected: str
) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of("fake-adaptive")))
    (asked,) = driver.ask(1)
    with pytest.raises(UsageError, match=expected):
        driver._request(replace(asked.proposal, epochs=epochs, parent=parent))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"units": 1}, "`ask` must return a hpbench.trial.Proposal or None, got {'units': 1}"),
        (Proposal, "`ask` must return a hpbench.trial.Proposal or None, got <class"),
        (Proposal([("units", 1)]), "`config` must map names to values, got [('units', 1)]"),  # type: ignore[arg-type]
        (Proposal({}, epochs=1.0), "`epochs` must be an int or None, got 1.0"),  # type: ignore[arg-type]
        (Proposal({}, epochs=True), "`epochs` must be an int or None, got True"),
        (Proposal({}, parent=np.int64(0)), "`parent` must be an int or None, got np.int64(0)"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_proposal_fails_the_run_with_what_was_expected(
    fake: ModuleType, monkeypatch: pytest.MonkeyPatch, answer: object, message: str
) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of("fake-adaptive")))
    monkeypatch.setattr(driver._strategy, "ask", lambda: answer)
    assert finish(driver, OK) == []
    assert driver.message.startswith(f"the proposal for trial 0 cannot be used: {message}")


@pytest.mark.parametrize("parent", [0, 5])
def test_a_parent_must_be_finished(fake: ModuleType, parent: int) -> None:
    driver = driver_of(fake.shard_of(fake.suite_of("fake-resumes")))
    (asked,) = driver.ask(1)
    with pytest.raises(UsageError, match="finished trial"):
        driver._request(replace(asked.proposal, epochs=2, parent=parent))


def test_a_parent_that_failed_before_its_first_epoch_is_refused_live_and_after_a_replay(
    fake: ModuleType,
) -> None:
    shard = fake.shard_of(fake.suite_of("fake-resumes"))
    live = driver_of(shard)
    (asked,) = live.ask(1)
    record = live.tell(asked, Evaluation(Status.OUT_OF_MEMORY))
    assert record is not None
    for driver in (live, driver_of(shard, history=(record,))):
        with pytest.raises(UsageError, match="trial 0 has none, its status is out_of_memory"):
            driver._request(replace(asked.proposal, epochs=2, parent=0))


# -- replay ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "strategy", ["fake-adaptive", "fake-ahead", "fake-short", "fake-resumes", "genetic", "random"]
)
@pytest.mark.parametrize("cut", range(5))
def test_a_run_that_is_replayed_from_any_trial_goes_on_as_if_nothing_had_been(
    fake: ModuleType, strategy: str, cut: int
) -> None:
    shard = fake.shard_of(fake.suite_of(strategy, budget={"trials": 5}, epochs=3))
    task = fake.FakeTask(shard.spec)

    def drive(driver: RunDriver) -> list[Record]:
        records = list(driver.job.history)
        while driver.active:
            for item in driver.ask(1):
                task.states |= {(str(driver.run), number) for number in range(item.request.number)}
                record = driver.tell(item, task.evaluate([item.request])[0])
                records += [] if record is None else [record]
        return [replace(record, ask_seconds=0.0, tell_seconds=0.0) for record in records]

    whole = drive(driver_of(shard))
    assert len(whole) == 5
    assert drive(driver_of(shard, history=tuple(whole[:cut]))) == whole


def test_a_strategy_that_changes_its_mind_is_refused_with_trial_and_versions(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive"))
    history = finish(driver_of(shard), OK)
    history[2] = replace(history[2], config={**history[2].config, "units": 63})
    driver = driver_of(shard, history=tuple(history), stored_with="optuna 4.8", running_with="optuna 5.0")
    assert driver.state is RunState.FAILED
    assert "strategy 'fake-adaptive' diverged at trial 2 of task0/fake-adaptive/0: stored " in driver.message
    assert '"units":63' in driver.message
    assert "(optuna 4.8)" in driver.message
    assert "(optuna 5.0)" in driver.message


@pytest.mark.parametrize("change", [{"rate": 1}, {"kind": "zzz"}])
def test_replay_sees_a_changed_type_too(fake: ModuleType, change: dict) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive"))
    history = finish(driver_of(shard), OK)
    history[0] = replace(history[0], config={**history[0].config, **change})
    assert "diverged at trial 0" in driver_of(shard, history=tuple(history)).message


def test_replay_sees_another_parent(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-resumes", epochs=3))
    history = finish(driver_of(shard), replace(OK, epochs=1), replace(OK, epochs=2), replace(OK, epochs=3))
    history[1] = replace(history[1], parent=None)
    assert "diverged at trial 1" in driver_of(shard, history=tuple(history)).message


@pytest.mark.parametrize(
    ("status", "patience", "seen"),
    [(Status.OK, None, True), (Status.OK, 3, False), (Status.DIVERGED, None, False)],
)
def test_replay_sees_other_epochs_of_a_trial_that_was_trained_to_the_end(
    fake: ModuleType, status: Status, patience: int | None, *, seen: bool
) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive"))
    shard = replace(shard, spec=replace(shard.spec, patience=patience))
    history = finish(driver_of(shard), OK)
    history[3] = replace(history[3], evaluation=replace(OK, status=status, epochs=1))
    message = driver_of(shard, history=tuple(history)).message
    assert ("diverged at trial 3" in message) is seen
    assert ("until epoch 1" in message and "until epoch 2" in message) is seen


def test_replay_sees_a_strategy_that_ends_earlier(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive"))
    history = finish(driver_of(shard), OK)
    driver = driver_of(shard, use="fake-short", history=tuple(history))
    assert "diverged at trial 5" in driver.message
    assert "proposed now nothing" in driver.message


def test_a_missing_trial_in_the_history_is_named(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive"))
    history = finish(driver_of(shard), OK)
    driver = driver_of(shard, history=(history[0], history[2]))
    assert "trial 1 is missing in the store, trial 2 is there" in driver.message


def test_a_run_whose_budget_is_spent_is_complete_after_its_replay(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive"))
    history = finish(driver_of(shard), OK)
    assert driver_of(shard, history=tuple(history)).state is RunState.COMPLETE


def test_seconds_of_the_history_count(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive", budget={"seconds": 3.5}))
    history = finish(driver_of(shard), OK)
    assert len(history) == 4
    assert len(finish(driver_of(shard, history=tuple(history[:2])), OK)) == 2
    assert shard.allowance == Allowance(seconds=3.5)

"""Tests of the loop: all ask, one call trains, all are told, and foreign faults stay where they are."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from hpbench.jobs import Announced, Done, Ended, Finished, Message, ShardJob, Working
from hpbench.lockstep import run_shard
from hpbench.study import RunState
from hpbench.trial import Record, RunKey, Status


def run(fake: ModuleType, shard: ShardJob, *, rounds: int = 10**6) -> tuple[list[Message], Any]:
    """Run a shard for some rounds in this process and return the messages and the task."""
    task = fake.FakeTask(shard.spec)
    messages: list[Message] = []
    left = iter(range(rounds))
    run_shard(shard, task, messages.append, lambda: next(left, None) is None)
    return messages, task


def records_of(messages: list[Message]) -> list[Record]:
    """Return the finished trials, sorted, without times."""
    found = [record for message in messages if isinstance(message, Finished) for record in message.records]
    found = [replace(record, ask_seconds=0.0, tell_seconds=0.0) for record in found]
    return sorted(found, key=lambda record: (record.run, record.number))


def test_every_round_is_announced_trained_in_one_call_and_reported(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive", "fake-ahead", budget={"trials": 3}))
    messages, task = run(fake, shard)
    assert task.sizes == [4, 4, 4]
    kinds = [type(message) for message in messages]
    assert kinds == [Announced, Finished] * 3 + [Ended] * 4 + [Done]
    announced, finished = messages[0], messages[1]
    assert isinstance(announced, Announced)
    assert isinstance(finished, Finished)
    pairs = [(item.run, item.number, dict(item.config)) for item in announced.trials]
    assert pairs == [(record.run, record.number, dict(record.config)) for record in finished.records]


def test_asking_ahead_fills_the_call(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive", "fake-ahead", repetitions=1), ask_ahead=4)
    _, task = run(fake, shard)
    assert task.sizes == [5, 3, 1, 1, 1, 1]


def test_with_a_time_limit_each_trial_is_announced_and_trained_by_itself(fake: ModuleType) -> None:
    content = fake.suite_of("fake-adaptive", "fake-ahead", budget={"trials": 3})
    shard = fake.shard_of(content)
    messages, task = run(fake, replace(shard, one_by_one=True))
    assert task.sizes == [1] * 12
    assert [len(item.trials) for item in messages if isinstance(item, Announced)] == [1] * 12
    assert records_of(messages) == records_of(run(fake, shard)[0])
    messages, task = run(fake, replace(shard, one_by_one=True), rounds=4)
    assert len(task.sizes) == 3  # it is asked whether to stop before each trial and each round


@pytest.mark.parametrize("ahead", [1, 3, 64])
def test_company_changes_no_record(fake: ModuleType, ahead: int) -> None:
    content = fake.suite_of("fake-adaptive", "fake-ahead", "fake-short", "random")
    together = records_of(run(fake, fake.shard_of(content, ask_ahead=ahead))[0])
    shard = fake.shard_of(content)
    alone = [
        record for item in shard.runs for record in records_of(run(fake, replace(shard, runs=(item,)))[0])
    ]
    assert together == sorted(alone, key=lambda record: (record.run, record.number))


def test_the_order_of_the_runs_changes_no_record(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive", "fake-ahead", "genetic"))
    turned = replace(shard, runs=shard.runs[::-1])
    assert records_of(run(fake, shard)[0]) == records_of(run(fake, turned)[0])


@pytest.mark.parametrize("rounds", range(7))
def test_a_shard_that_was_stopped_goes_on_from_what_it_reported(fake: ModuleType, rounds: int) -> None:
    shard = fake.shard_of(fake.suite_of("fake-adaptive", "fake-ahead", "fake-resumes", epochs=3))
    whole = records_of(run(fake, shard)[0])
    begun = records_of(run(fake, shard, rounds=rounds)[0])
    runs = tuple(
        replace(item, history=tuple(record for record in begun if record.run == item.run))
        for item in shard.runs
    )
    rest = records_of(run(fake, replace(shard, runs=runs))[0])
    assert len(begun) == 6 * rounds
    assert sorted([*begun, *rest], key=lambda record: (record.run, record.number)) == whole


def test_lost_training_states_are_trained_again_from_the_root(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-resumes", epochs=3, repetitions=1, budget={"trials": 3}))
    whole = records_of(run(fake, shard)[0])
    rest = replace(shard, runs=(replace(shard.runs[0], history=tuple(whole[:2])),))
    messages, task = run(fake, rest)
    assert records_of(messages) == whole[2:]
    assert task.sizes == [1, 1, 1]
    announced = [message for message in messages if isinstance(message, Announced)]
    assert announced == [announced[0]] * 3  # so that the time limit begins anew for each


def test_states_are_dropped_when_their_run_ends(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-resumes", epochs=3, repetitions=1, budget={"trials": 3}))
    _, task = run(fake, shard)
    assert task.forgotten == [(str(shard.runs[0].run), number) for number in range(3)]


def test_a_task_that_raises_costs_only_the_trial_that_raised(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-ahead", behaviour="raise"), ask_ahead=64)
    records = records_of(run(fake, shard)[0])
    bad = [record for record in records if record.evaluation.status is Status.ERROR]
    assert len(records) == 12
    assert [record.number for record in bad] == [fake.GUILTY, fake.GUILTY]
    assert bad[0].evaluation.message.startswith(f"ValueError: wrong with {bad[0].config['kind']}\n")
    assert "fake_study.py" in bad[0].evaluation.message


def test_a_task_that_raises_says_the_same_in_any_company(fake: ModuleType) -> None:
    content = fake.suite_of("fake-ahead", behaviour="raise")
    found = []
    for ahead in (1, 2, 64):
        records = records_of(run(fake, fake.shard_of(content, ask_ahead=ahead))[0])
        found.append([record.evaluation.message for record in records])
    assert found[0] == found[1] == found[2]


def test_a_task_in_which_everything_raises_ends_its_runs_as_failed(fake: ModuleType) -> None:
    content = fake.suite_of("fake-ahead", behaviour="raise-all", limits={"max_failures": 4})
    messages, _ = run(fake, fake.shard_of(content, ask_ahead=64))
    ends = [message for message in messages if isinstance(message, Ended)]
    assert {end.state for end in ends} == {RunState.FAILED}
    assert all("4 trials in a row failed" in end.message for end in ends)
    assert len(records_of(messages)) == 8


def test_a_task_that_answers_too_little_is_an_error_that_says_so(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-ahead", behaviour="short-answer"), ask_ahead=3)
    record = records_of(run(fake, shard)[0])[0]
    assert record.evaluation.message == "the task answered 1 requests with 0 evaluations."


@pytest.mark.parametrize("ahead", [1, 64])
@pytest.mark.parametrize(
    ("strategy", "behaviour"), [("fake-reuses", "plain"), ("fake-ahead", "change-config")]
)
def test_what_was_proposed_is_kept_whoever_writes_into_it(
    fake: ModuleType, strategy: str, behaviour: str, ahead: int
) -> None:
    shard = fake.shard_of(fake.suite_of("fake-ahead"), ask_ahead=ahead)
    expected = [(item.config, item.evaluation) for item in records_of(run(fake, shard)[0])]
    shard = fake.shard_of(fake.suite_of(strategy, behaviour=behaviour), ask_ahead=ahead)
    found = [(item.config, item.evaluation) for item in records_of(run(fake, shard)[0])]
    assert found == expected


def test_a_failing_strategy_leaves_the_others_alone(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-raising-ask", "fake-adaptive", "fake-raising-tell"))
    messages, _ = run(fake, shard)
    states = {message.run.strategy: message.state for message in messages if isinstance(message, Ended)}
    assert states == {
        "fake-raising-ask": RunState.FAILED,
        "fake-raising-tell": RunState.FAILED,
        "fake-adaptive": RunState.COMPLETE,
    }
    kept = [record for record in records_of(messages) if record.run.strategy == "fake-adaptive"]
    assert kept == records_of(run(fake, fake.shard_of(fake.suite_of("fake-adaptive")))[0])


def test_isolated_runs_come_first_one_trial_at_a_time_and_join_the_others_after(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-ahead", budget={"trials": 8}), ask_ahead=3)
    whole = records_of(run(fake, shard)[0])
    runs = (shard.runs[0], replace(shard.runs[1], alone_until=1))
    messages, task = run(fake, replace(shard, runs=runs))
    assert task.sizes == [1, 1, 6, 6, 2]
    assert [message.run for message in messages if isinstance(message, Working)] == [shard.runs[1].run, None]
    assert records_of(messages) == whole


def test_the_end_of_a_run_is_told_once(fake: ModuleType) -> None:
    shard = fake.shard_of(fake.suite_of("fake-short", "fake-adaptive", budget={"trials": 9}))
    ends = [message.run for message in run(fake, shard)[0] if isinstance(message, Ended)]
    assert sorted(ends) == sorted(item.run for item in shard.runs)
    assert isinstance(ends[0], RunKey)

"""Tests of the decision what a worker's death means, and of the protocol with workers."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest

from hpbench.errors import UsageError
from hpbench.executors import worker
from hpbench.executors.local import LocalExecutor
from hpbench.executors.recovery import (
    ClockProgress,
    Death,
    Event,
    Incident,
    ShardProgress,
    blame,
    how_it_ended,
)
from hpbench.executors.worker import _environment, load_factory, serve_clock
from hpbench.jobs import (
    Announcement,
    Calibrated,
    CalibrationJob,
    Checked,
    CheckJob,
    Done,
    Ended,
    Finished,
    Message,
    Uncalibrated,
    Unchecked,
)
from hpbench.study import RunState
from hpbench.tasks.base import Task
from hpbench.tasks.training.costs import StepCost
from hpbench.trial import Evaluation, Record, Request, RunKey, Status

A, B = RunKey("task0", "fake-adaptive", 0), RunKey("task0", "fake-adaptive", 1)


@pytest.fixture
def shard(fake: ModuleType) -> ShardProgress:
    """A shard of two runs of which nothing has come back."""
    return ShardProgress(fake.shard_of(fake.suite_of("fake-adaptive")))


def death(
    *announced: tuple[RunKey, int], working: RunKey | None = None, outlived: float | None = None
) -> Death:
    """Return a death by signal 9 while these trials trained."""
    trials = tuple(Announcement(run, number, {"units": number}, None, 0.5) for run, number in announced)
    return Death("killed by signal 9 (SIGKILL)", trials, working, 7.0, outlived)


def record(run: RunKey, number: int) -> Record:
    """Return a finished trial."""
    return Record(run, number, None, {}, Evaluation(Status.OK), 0.0, 0.0)


def kinds(events: list[Event]) -> list[type]:
    """Return the types of events."""
    return [type(event) for event in events]


def alone(shard: ShardProgress) -> dict[RunKey, int]:
    """Return up to which trial each remaining run is isolated."""
    return {item.run: item.alone_until for item in shard.job.runs}


def test_the_first_death_in_training_isolates_and_blames_nobody(shard: ShardProgress) -> None:
    assert kinds(blame(shard, death((A, 0), (B, 0), (B, 1)))) == [Incident]
    assert alone(shard) == {A: 0, B: 1}


def test_the_second_death_alone_is_recorded_as_killed(shard: ShardProgress) -> None:
    blame(shard, death((A, 0), (B, 0)))
    _, finished = blame(shard, death((A, 0), working=A))
    assert isinstance(finished, Finished)
    (found,) = finished.records
    assert (found.run, found.number, found.config, found.ask_seconds) == (A, 0, {"units": 0}, 0.5)
    assert found.evaluation.status is Status.KILLED
    assert found.evaluation.train_seconds == 7.0
    assert shard.job.runs[0].history == (found,)
    assert alone(shard) == {A: 0, B: 0}


def test_a_death_alone_that_nobody_suspected_is_tried_again_first(shard: ShardProgress) -> None:
    assert kinds(blame(shard, death((A, 4)))) == [Incident]
    assert alone(shard) == {A: 4, B: -1}


def test_a_trial_alone_beyond_its_limit_is_recorded_at_once(shard: ShardProgress) -> None:
    _, finished = blame(shard, death((A, 0), outlived=1.5))
    assert isinstance(finished, Finished)
    result = finished.records[0].evaluation
    assert (result.status, result.train_seconds) == (Status.TIMEOUT, 1.5)


def test_many_trials_beyond_their_limit_are_isolated(shard: ShardProgress) -> None:
    assert kinds(blame(shard, death((A, 0), (B, 0), outlived=1.5))) == [Incident]
    assert alone(shard) == {A: 0, B: 0}


def test_a_death_outside_training_isolates_then_fails_the_run_that_was_at_work(shard: ShardProgress) -> None:
    shard.note([record(A, 0), record(A, 1)])
    assert kinds(blame(shard, death())) == [Incident]
    assert alone(shard) == {A: 2, B: 0}
    _, ended = blame(shard, death(working=A))
    assert isinstance(ended, Ended)
    assert (ended.run, ended.state) == (A, RunState.FAILED)
    assert alone(shard) == {B: 0}


def test_two_deaths_before_anything_was_asked_fail_the_shard(shard: ShardProgress) -> None:
    blame(shard, death())
    events = blame(shard, death())
    assert kinds(events) == [Incident, Ended, Ended]
    assert shard.job.runs == ()


def test_progress_between_two_deaths_is_another_chance(shard: ShardProgress) -> None:
    blame(shard, death())
    shard.note([record(A, 0)])
    assert kinds(blame(shard, death())) == [Incident]
    assert len(shard.job.runs) == 2


def test_runs_that_have_ended_are_not_started_again(shard: ShardProgress) -> None:
    shard.ended.add(A)
    blame(shard, death((B, 0)))
    assert alone(shard) == {B: 0}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "killed by signal 9 (SIGKILL)"),
        (-11, "killed by signal 11 (SIGSEGV)"),
        (1, "ended with exit status 1"),
        (None, "ended with exit status None"),
    ],
)
def test_exit_codes_in_words(code: int | None, words: str) -> None:
    assert how_it_ended(code) == words


def test_an_executor_without_work_is_not_busy_and_starts_nothing() -> None:
    executor = LocalExecutor([], workers=4, threads=1, factory="x:y")
    assert not executor.busy
    executor.close()


def test_an_executor_that_was_stopped_gives_out_nothing(fake: ModuleType) -> None:
    executor = LocalExecutor([fake.shard_of(fake.suite_of())], workers=1, threads=1, factory="x:y")
    assert executor.busy
    executor.stop(within_seconds=1.0)
    assert not executor.busy
    executor.close()


def clock_job(fake: ModuleType, *signatures: str, behaviour: str = "plain") -> CalibrationJob:
    """Return a calibration of a fake task."""
    return CalibrationJob(fake.shard_of(fake.suite_of(behaviour=behaviour)).spec, signatures)


def served(fake: ModuleType, job: CalibrationJob | CheckJob, *, rounds: int = 10**6) -> list[Message]:
    """Return what a worker sends of a job, stopped after some rounds."""
    messages: list[Message] = []
    left = iter(range(rounds))
    serve_clock(job, fake.FakeTask(job.spec), messages.append, lambda: next(left, None) is None)
    return messages


def test_calibrations_are_sent_some_at_a_time(fake: ModuleType) -> None:
    names = [f"s{number}" for number in range(70)]
    *sent, done = served(fake, clock_job(fake, *names))
    assert done == Done()
    assert [len(item.costs) for item in sent if isinstance(item, Calibrated)] == [32, 32, 6]
    assert [name for item in sent if isinstance(item, Calibrated) for name in item.costs] == names


def test_a_calibration_that_is_stopped_keeps_what_it_has(fake: ModuleType) -> None:
    sent, done = served(fake, clock_job(fake, *"abcdef"), rounds=2)
    assert isinstance(sent, Calibrated)
    assert (list(sent.costs), done) == (list("abc"), Done())


def test_a_calibration_that_fails_says_where_and_why(fake: ModuleType) -> None:
    failed, done = served(fake, clock_job(fake, "a", "b", behaviour="uncalibratable"))
    assert isinstance(failed, Uncalibrated)
    assert failed.reason.startswith("a cannot be calibrated: RuntimeError: no clock here")
    assert done == Done()


@pytest.mark.parametrize(("rounds", "expected"), [(99, [0, 1, 2]), (1, [0])])
def test_a_check_measures_one_trial_after_the_other(
    fake: ModuleType, rounds: int, expected: list[int]
) -> None:
    spec = clock_job(fake).spec
    requests = tuple(Request(A, number, {}, 2) for number in range(3))
    *sent, done = served(fake, CheckJob(spec, requests), rounds=rounds)
    assert [item.request.number for item in sent if isinstance(item, Checked)] == expected
    assert done == Done()


def test_a_task_knows_no_modelled_clock_unless_it_says_so(fake: ModuleType) -> None:
    class Plain(fake.FakeTask):  # type: ignore[misc, name-defined]
        calibrate, measure = Task.calibrate, Task.measure

    task = Plain(clock_job(fake).spec)
    with pytest.raises(UsageError, match="'task0' cannot be calibrated for x; set clock = \"measured\""):
        task.calibrate("x")
    with pytest.raises(UsageError, match="'task0' cannot measure trial 4"):
        task.measure(Request(A, 4, {}, 2))


def test_a_calibration_that_kills_is_tried_once_more_with_what_is_left(fake: ModuleType) -> None:
    progress = ClockProgress(clock_job(fake, "a", "b", "c"))
    progress.note(Calibrated("task0", {"a": StepCost(1.0, 1.0, 1.0)}))
    events, again = progress.died("killed by signal 9 (SIGKILL)")
    assert (kinds(events), again) == ([Incident], True)
    assert progress.job.signatures == ("b", "c")
    progress.note(Calibrated("task0", {"b": StepCost(1.0, 1.0, 1.0)}))
    assert progress.died("killed")[1]
    (_, failed), again = progress.died("killed")
    assert isinstance(failed, Uncalibrated)
    assert not again
    assert "two processes were killed while task 'task0' was calibrated, at c" in failed.reason


def test_a_check_that_kills_is_given_up(fake: ModuleType) -> None:
    progress = ClockProgress(CheckJob(clock_job(fake).spec, (Request(A, 0, {}, 2),)))
    assert progress.died("killed") == ([Unchecked("task0", "a worker was killed")], False)


def test_a_factory_is_found_by_name() -> None:
    assert load_factory("hpbench.executors.worker:load_factory") is load_factory


@pytest.mark.parametrize("name", ["no_such_module:x", "hpbench.errors:no_such_function"])
def test_a_factory_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(UsageError, match=f"must be 'module:function', got '{name}'"):
        load_factory(name)


def test_a_worker_that_compiles_says_with_what(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = fake.shard_of(fake.suite_of()).spec
    monkeypatch.setattr(worker, "compiler_version", lambda: "gcc 12")
    for torch, compiled, said in [
        ({"torch": "2"}, True, True),
        ({"torch": "2"}, False, False),
        ({}, True, False),
    ]:
        monkeypatch.setattr(worker, "describe_torch", lambda torch=torch: torch)
        wanted = {**torch, "compiler": "gcc 12"} if said else torch
        assert _environment(replace(spec, trainer="cohort", compiled=compiled)) == wanted

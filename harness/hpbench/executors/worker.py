"""A process that trains: takes shards from a pipe, sends finished trials back, and dies with its parent."""

from __future__ import annotations

import importlib
import math
import os
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hpbench.answers import attempt
from hpbench.environment import compiler_version, describe_torch
from hpbench.errors import ExitCode, UsageError
from hpbench.jobs import (
    Calibrated,
    CalibrationJob,
    Checked,
    CheckJob,
    ClockJob,
    Done,
    Ended,
    Hello,
    Job,
    Message,
    Ready,
    Retrained,
    RetrainingBegun,
    RetrainJob,
    ShardJob,
    Uncalibrated,
    Unchecked,
)
from hpbench.lockstep import Send, Stopped, run_shard
from hpbench.plugins import load_plugins
from hpbench.study import RunState
from hpbench.tasks.base import Task, TaskSpec
from hpbench.tasks.training.costs import StepCost
from hpbench.trial import Evaluation, Request, Retraining, Status

__all__ = ["TaskFactory", "load_factory", "main", "serve_clock", "serve_retraining"]

TaskFactory = Callable[[TaskSpec], Task]

_TOGETHER = 32
"""Calibrations in one message, so that writing them disturbs few of the next ones."""


def main(
    pipe: Connection[Message, Job | None],
    lifeline: Connection[None, None],
    factory: str,
    plugins: Sequence[Path],
) -> None:
    """Serve jobs until told to stop (``None``) or the parent is gone.

    Interrupts from the keyboard are the parent's business, which coordinates the end. A thread waits
    on ``lifeline``, on which nothing is ever sent: when it closes, the parent is dead, and this
    process ends too, even in the midst of a training.

    Args:
        pipe: jobs in, messages out.
        lifeline: held open by the parent alone.
        factory: ``"module:function"`` that builds tasks.
        plugins: files to run first.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_watch, args=(lifeline,), daemon=True).start()
    load_plugins(plugins)
    build = load_factory(factory)
    tasks: dict[str, Task] = {}
    try:
        pipe.send(Hello())
        while (job := pipe.recv()) is not None:
            _serve(job, tasks, build, pipe)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    finally:
        for task in tasks.values():
            task.close()


def load_factory(name: str) -> TaskFactory:
    """Return the function called ``"module:function"``.

    Raises:
        UsageError: there is no such function.
    """
    module, _, attribute = name.partition(":")
    try:
        found: TaskFactory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the task factory must be 'module:function', got {name!r}: {error}.") from error
    return found


def _serve(
    job: Job, tasks: dict[str, Task], build: TaskFactory, pipe: Connection[Message, Job | None]
) -> None:
    """Do one job; the task is built once in this process, so jobs share its data."""
    name = job.spec.name
    if name not in tasks:
        outcome = attempt(lambda: build(job.spec))
        if outcome.value is None:
            for message in _unbuilt(job, f"task {name!r} cannot be built: {outcome.failure}"):
                pipe.send(message)
            pipe.send(Done())
            return
        tasks[name] = outcome.value
        pipe.send(Ready(_environment(job.spec)))
    if isinstance(job, ShardJob):
        run_shard(job, tasks[name], pipe.send, pipe.poll)
    elif isinstance(job, RetrainJob):
        serve_retraining(job, tasks[name], pipe.send, pipe.poll)
    else:
        serve_clock(job, tasks[name], pipe.send, pipe.poll)


def _environment(spec: TaskSpec) -> dict[str, Any]:
    """Return what the bits of this process depend on, once the task is built; empty where torch is not loaded."""
    found = describe_torch()
    return {**found, "compiler": compiler_version()} if found and spec.compiled else found


def _unbuilt(job: Job, reason: str) -> list[Message]:
    """Return what the parent is told of a job whose task cannot be built."""
    if isinstance(job, ShardJob):
        return [Ended(item.run, RunState.FAILED, reason) for item in job.runs]
    if isinstance(job, RetrainJob):
        failed = Evaluation(Status.ERROR, message=reason)
        return [Retrained(_items(job.requests, job.trials, [failed] * len(job.requests)))]
    return [_unclocked(job, reason)]


def _unclocked(job: ClockJob, reason: str) -> Message:
    """Return what the parent is told of a calibration or a check that failed."""
    kind = Uncalibrated if isinstance(job, CalibrationJob) else Unchecked
    return kind(job.spec.name, reason)


def serve_clock(job: ClockJob, task: Task, send: Send, stopped: Stopped) -> None:
    """Calibrate or check until all is done, something fails, or ``stopped()``; the last message is ``Done``."""
    if isinstance(job, CalibrationJob):
        failure = _calibrate(job, task, send, stopped)
    else:
        failure = _check(job, task, send, stopped)
    if failure is not None:
        send(_unclocked(job, failure))
    send(Done())


def _calibrate(job: CalibrationJob, task: Task, send: Send, stopped: Stopped) -> str | None:
    """Measure the signatures and send what they cost, some at a time; return what failed, if anything did."""
    costs: dict[str, StepCost] = {}
    failure: str | None = None
    for signature in job.signatures:
        outcome = attempt(partial(task.calibrate, signature))
        if outcome.value is None:
            failure = f"{signature} cannot be calibrated: {outcome.failure}"
            break
        costs[signature] = outcome.value
        if len(costs) == _TOGETHER:
            send(Calibrated(job.spec.name, costs))
            costs = {}
        if stopped():
            break
    if costs:
        send(Calibrated(job.spec.name, costs))
    return failure


def _check(job: CheckJob, task: Task, send: Send, stopped: Stopped) -> str | None:
    """Train the trials again and send what they took; return what failed, if anything did."""
    for request in job.requests:
        if stopped():
            return None
        outcome = attempt(partial(task.measure, request))
        if outcome.value is None:
            return f"trial {request.number} of {request.run} cannot be measured: {outcome.failure}"
        send(Checked(request, outcome.value))
    return None


def serve_retraining(job: RetrainJob, task: Task, send: Send, stopped: Stopped) -> None:
    """Train incumbents again until all is done or ``stopped()``; the last message is ``Done``."""
    for begin in range(0, len(job.requests), job.at_once):
        if stopped():
            break
        requests = job.requests[begin : begin + job.at_once]
        trials = job.trials[begin : begin + job.at_once]
        send(RetrainingBegun())
        send(Retrained(_items(requests, trials, _retrained(task, requests))))
    send(Done())


def _retrained(task: Task, requests: Sequence[Request]) -> list[Evaluation]:
    """Return the task's answers; where it raises, those that raise alone become errors."""
    outcome = attempt(partial(task.retrain, requests))
    if outcome.value is not None and len(outcome.value) == len(requests):
        return outcome.value
    if len(requests) > 1:
        return [answer for request in requests for answer in _retrained(task, [request])]
    failure = outcome.failure or f"the task answered one request with {len(outcome.value or [])} evaluations."
    return [Evaluation(Status.ERROR, message=failure)]


def _items(
    requests: Sequence[Request], trials: Sequence[int], answers: Sequence[Evaluation]
) -> tuple[Retraining, ...]:
    """Return retrainings as they are stored; a test loss that is not finite means that one diverged."""
    return tuple(
        _item(request, trial, answer)
        for request, trial, answer in zip(requests, trials, answers, strict=True)
    )


def _item(request: Request, trial: int, answer: Evaluation) -> Retraining:
    ok = answer.status is Status.OK
    lost = ok and answer.test_loss is not None and not math.isfinite(answer.test_loss)
    return Retraining(
        run=request.run,
        number=request.number,
        trial=trial,
        epochs=request.epochs,
        status=Status.DIVERGED if lost else answer.status,
        test_correct=answer.test_correct if ok and not lost else None,
        test_total=answer.test_total if ok and not lost else None,
        test_loss=answer.test_loss if ok and not lost else None,
        message=f"the test loss is {answer.test_loss}" if lost else answer.message,
    )


def _watch(lifeline: Connection[None, None]) -> None:
    """Wait for the parent's death and end the process."""
    try:
        lifeline.recv()
    except (EOFError, OSError):
        os._exit(ExitCode.INTERNAL)

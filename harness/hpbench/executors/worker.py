"""A process that trains: takes shards from a pipe, sends finished trials back, and dies with its parent."""

from __future__ import annotations

import importlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from hpbench.driver import attempt
from hpbench.environment import describe_torch
from hpbench.errors import ExitCode, UsageError
from hpbench.jobs import Done, Ended, Hello, Message, Ready, ShardJob
from hpbench.lockstep import run_shard
from hpbench.plugins import load_plugins
from hpbench.study import RunState
from hpbench.tasks.base import Task, TaskSpec

__all__ = ["TaskFactory", "load_factory", "main"]

TaskFactory = Callable[[TaskSpec], Task]


def main(
    pipe: Connection[Message, ShardJob | None],
    lifeline: Connection[None, None],
    factory: str,
    plugins: Sequence[Path],
) -> None:
    """Serve shards until told to stop (``None``) or the parent is gone.

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
    job: ShardJob, tasks: dict[str, Task], build: TaskFactory, pipe: Connection[Message, ShardJob | None]
) -> None:
    """Run one shard; the task is built once in this process, so shards share its data."""
    name = job.spec.name
    if name not in tasks:
        outcome = attempt(lambda: build(job.spec))
        if outcome.value is None:
            for item in job.runs:
                message = f"task {name!r} cannot be built: {outcome.failure}"
                pipe.send(Ended(item.run, RunState.FAILED, message))
            pipe.send(Done())
            return
        tasks[name] = outcome.value
        pipe.send(Ready(describe_torch()))
    run_shard(job, tasks[name], pipe.send, pipe.poll)


def _watch(lifeline: Connection[None, None]) -> None:
    """Wait for the parent's death and end the process."""
    try:
        lifeline.recv()
    except (EOFError, OSError):
        os._exit(ExitCode.INTERNAL)

"""What the tests of tasks share: one torch thread, small tasks and requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from hpbench.space import SearchSpace
from hpbench.tasks import networks
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.network_task import NetworkTask
from hpbench.trial import Request, RunKey, Value


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Train with one thread, as the defaults do; put back what the process had."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def spec() -> Callable[..., TaskSpec]:
    """A maker of specs: an mlp on iris with three epochs unless told otherwise."""

    def make(dataset: str = "iris", network: str = "mlp", epochs: int = 3, **changes: Any) -> TaskSpec:
        name = changes.pop("name", f"{dataset}-{network}")
        space: SearchSpace = changes.pop("space", networks.REGISTRY.get(network).space)
        return TaskSpec(name=name, dataset=dataset, network=network, epochs=epochs, space=space, **changes)

    return make


@pytest.fixture(scope="session")
def build(spec: Callable[..., TaskSpec]) -> Callable[..., NetworkTask]:
    """A maker of tasks, from what ``spec`` takes."""

    def make(*names: str, **changes: Any) -> NetworkTask:
        return NetworkTask(spec(*names, **changes))

    return make


@pytest.fixture(scope="session")
def ask() -> Callable[..., Request]:
    """A maker of requests: the default configuration with changes, to the full fidelity."""

    def make(
        task: NetworkTask,
        number: int = 0,
        *,
        strategy: str = "random",
        repetition: int = 0,
        epochs: int | None = None,
        parent: int | None = None,
        keep: bool = False,
        **values: Value,
    ) -> Request:
        chosen = {**task.space.default_values(), **values}
        run = RunKey(task.name, strategy, repetition)
        until = task.full_epochs if epochs is None else epochs
        return Request(run, number, task.space.active(chosen), until, parent, keep)

    return make

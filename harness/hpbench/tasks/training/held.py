"""The splits that a process holds while it trains: as many repetitions as fit, whatever it has trained before."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

import torch

from hpbench.tasks.datasets import Dataset
from hpbench.tasks.datasets.splits import SPLIT_BYTES, Split, split_bytes, splits, whole
from hpbench.tasks.training.data import DeviceSplit
from hpbench.trial import Request

if TYPE_CHECKING:
    from hpbench.tasks.base import TaskSpec

__all__ = ["HELD", "HeldSplits", "TaskSplits"]


class HeldSplits:
    """The splits that were used last, as many as fit; those of one shard all do, so that each is made once.

    Args:
        limit_bytes: what they may take together; the one used last is held even if it takes more.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._held: dict[Hashable, tuple[DeviceSplit, ...]] = {}

    @property
    def n_bytes(self) -> int:
        """What they take together."""
        return sum(part.n_bytes for parts in self._held.values() for part in parts)

    def get(self, key: Hashable, make: Callable[[], tuple[DeviceSplit, ...]]) -> tuple[DeviceSplit, ...]:
        """Return the splits called ``key``, made now unless they are held; those unused longest make room."""
        known = key in self._held
        found = self._held.pop(key) if known else make()
        self._held[key] = found
        while not known and len(self._held) > 1 and self.n_bytes > self.limit_bytes:
            del self._held[next(iter(self._held))]
        return found

    def clear(self) -> None:
        """Drop all."""
        self._held.clear()


HELD = HeldSplits(SPLIT_BYTES)
"""The splits of this process; its tasks share the room, and tasks on the same data their splits."""


class TaskSplits:
    """The splits of one task, by repetition.

    Args:
        dataset: what is split.
        spec: of the task.
        device: where the splits are wanted.
    """

    def __init__(self, dataset: Dataset, spec: TaskSpec, device: torch.device) -> None:
        self._dataset = dataset
        self._spec = spec
        self._device = device

    def folds(self, repetition: int) -> tuple[DeviceSplit, ...]:
        """Return the split of each network that a trial of this repetition trains."""
        spec = self._spec
        return self._held(
            ("folds", repetition, spec.validation_fraction, spec.folds),
            lambda: splits(
                self._dataset,
                root_seed=spec.root_seed,
                repetition=repetition,
                validation_fraction=spec.validation_fraction,
                test_fraction=spec.test_fraction,
                folds=spec.folds,
            ),
        )

    def whole(self, repetition: int) -> DeviceSplit:
        """Return training and validation part together, and the test part."""
        spec = self._spec
        made = self._held(
            ("whole", repetition),
            lambda: (
                whole(
                    self._dataset,
                    root_seed=spec.root_seed,
                    repetition=repetition,
                    test_fraction=spec.test_fraction,
                ),
            ),
        )
        return made[0]

    def fitting(self, requests: Sequence[Request]) -> list[list[Request]]:
        """Return ``requests`` in order, in groups whose repetitions fit into the room that there is."""
        most = max(1, HELD.limit_bytes // split_bytes(self._dataset, compiled=self._spec.compiled))
        groups: list[list[Request]] = []
        seen: set[int] = set()
        for request in requests:
            if not groups or len(seen | {request.run.repetition}) > most:
                groups.append([])
                seen = set()
            seen.add(request.run.repetition)
            groups[-1].append(request)
        return groups

    def _held(self, kind: tuple[object, ...], make: Callable[[], Sequence[Split]]) -> tuple[DeviceSplit, ...]:
        """Return splits of a kind, made now unless they are held; a data set stands for itself."""
        key = (self._dataset, self._spec.root_seed, self._spec.test_fraction, self._device, *kind)
        return HELD.get(key, lambda: tuple(DeviceSplit.of(part, self._device) for part in make()))

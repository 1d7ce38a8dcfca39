"""Trials of whole runs as columns: read from the store by several processes, joined by this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpbench.analysis.children import Children
from hpbench.analysis.details import PREFIX, Values, column_of, joined_values, values_of
from hpbench.analysis.memory import rarely_collected
from hpbench.analysis.statistics import Array
from hpbench.canonical import KEYS, to_line
from hpbench.store import Store
from hpbench.trial import Record, RunKey, Status

__all__ = ["Block", "block_of", "joined", "read_block", "read_blocks", "recorded_blocks"]

_WHOLE = ("number", "epochs_from", "epochs")
_NUMBERS = (
    "val_correct",
    "val_total",
    "val_loss",
    "test_correct",
    "test_total",
    "test_loss",
    "ask_seconds",
    "train_seconds",
    "evaluate_seconds",
    "tell_seconds",
)
_STATUSES = {str(status): place for place, status in enumerate(Status)}

_PORTION = 20_000
"""Trials that are read at a time."""

_OBJECTS = 10_000_000
"""New objects after which garbage is looked for while trials are read; none of them is any."""


@dataclass(frozen=True)
class Block:
    """The trials of some runs, one run after another, each by number.

    Attributes:
        runs: whose they are.
        counts: trials of each run, shape ``(n_runs,)``.
        columns: ``number``, ``parent`` (-1 without one), ``epochs_from``, ``epochs``, ``status`` (place in
            :class:`Status`), the counts, losses and seconds of :class:`Record` (NaN for none); shape
            ``(n_trials,)`` each.
        configs: the values of each hyperparameter.
        epoch_errors: validation errors after each epoch, one trial's after another's, shape ``(n_epochs,)``.
        lengths: how many of these each trial has, shape ``(n_trials,)``.
    """

    runs: tuple[RunKey, ...]
    counts: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]]
    configs: Mapping[str, Values]
    epoch_errors: Array
    lengths: NDArray[np.int64]

    def details(self) -> dict[str, Any]:
        """Return the columns that :func:`hpbench.analysis.details.learning_curve` and importance need.

        Returns:
            ``parent``, ``curve_from`` and ``curve_to`` (places in ``epoch_errors``), and one column a
            hyperparameter, its name after :data:`PREFIX`; a trial without it has a missing value there.
        """
        ends = np.cumsum(self.lengths)
        found = {"parent": self.columns["parent"], "curve_from": ends - self.lengths, "curve_to": ends}
        return found | {PREFIX + name: column_of(values) for name, values in self.configs.items()}


def read_blocks(path: Path, counts: Mapping[RunKey, int], children: Children | None) -> list[Block]:
    """Return the trials of these runs in their order.

    Args:
        path: of the store, which was just opened and checked.
        counts: trials of each run.
        children: who read, and this process with them; None: this process alone.

    Raises:
        StoreError: a row does not match its checksum.
        ChildError: a child died.
    """
    portions = list(_portions(counts))
    if children is None or len(portions) == 1:
        return [read_block(path, portion) for portion in portions]
    answers = [children.call(read_block, path, portion) for portion in portions]
    children.help()
    return [answer.result() for answer in answers]


def _portions(counts: Mapping[RunKey, int]) -> Iterator[tuple[RunKey, ...]]:
    """Yield the runs in portions of about :data:`_PORTION` trials."""
    portion: list[RunKey] = []
    size = 0
    for run, count in counts.items():
        portion.append(run)
        size += count
        if size >= _PORTION:
            yield tuple(portion)
            portion, size = [], 0
    if portion:
        yield tuple(portion)


def read_block(path: Path, runs: Sequence[RunKey]) -> Block:
    """Return the trials of ``runs`` in the store at ``path``, which was checked as a whole.

    Raises:
        StoreError: a row does not match its checksum.
    """
    with rarely_collected(_OBJECTS), Store.open(path, read_only=True, checked=True) as store:
        return joined([block_of(run, store.columns(run)) for run in runs])


def recorded_blocks(records: Iterable[Record]) -> dict[RunKey, Block]:
    """Return records, which may come in any order, as one block a run."""
    lines: dict[RunKey, list[dict[str, Any]]] = {}
    for record in sorted(records, key=lambda record: record.number):
        lines.setdefault(record.run, []).append(to_line(record))
    return {
        run: block_of(run, {name: [line[name] for line in found] for name in found[0]})
        for run, found in lines.items()
    }


def block_of(run: RunKey, plain: Mapping[str, Sequence[Any]]) -> Block:
    """Return the trials of one run.

    Args:
        run: whose they are.
        plain: what :meth:`hpbench.store.Store.columns` returns.
    """
    count = len(plain["number"])
    columns: dict[str, NDArray[Any]] = {name: np.array(plain[name], dtype=np.int64) for name in _WHOLE}
    columns |= {name: np.array(plain[name], dtype=np.float64) for name in _NUMBERS}
    columns["status"] = np.array([_STATUSES[status] for status in plain["status"]], dtype=np.int8)
    columns["parent"] = np.array([-1 if p is None else p for p in plain["parent"]], dtype=np.int64)
    configs, curves = plain["config"], plain["curve"]
    names = dict.fromkeys(chain.from_iterable(configs))
    return Block(
        runs=(run,),
        counts=np.array([count], dtype=np.int64),
        columns=columns,
        configs={name: values_of([config.get(name) for config in configs]) for name in names},
        epoch_errors=np.array(list(chain.from_iterable(curves)), dtype=np.float64),
        lengths=np.array(list(map(len, curves)), dtype=np.int64),
    )


def joined(blocks: Sequence[Block]) -> Block:
    """Return blocks as one, in their order."""
    if len(blocks) == 1:
        return blocks[0]
    blocks = blocks or [_EMPTY]
    names = dict.fromkeys(chain.from_iterable(block.configs for block in blocks))
    return Block(
        runs=tuple(chain.from_iterable(block.runs for block in blocks)),
        counts=np.concatenate([block.counts for block in blocks]),
        columns={name: np.concatenate([block.columns[name] for block in blocks]) for name in _EMPTY.columns},
        configs={name: joined_values([_values(block, name) for block in blocks]) for name in names},
        epoch_errors=np.concatenate([block.epoch_errors for block in blocks]),
        lengths=np.concatenate([block.lengths for block in blocks]),
    )


def _values(block: Block, name: str) -> Values:
    """Return the values of a hyperparameter, None for every trial of a block that does not know it."""
    return block.configs.get(name) or values_of([None] * len(block.lengths))


_EMPTY = replace(
    block_of(RunKey("", "", 0), dict.fromkeys(KEYS, ())), runs=(), counts=np.zeros(0, dtype=np.int64)
)

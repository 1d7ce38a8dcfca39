"""How one trial is trained: the hyperparameters that every family shares, read from a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpbench.trial import Config

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """The training half of a complete configuration; the other half built the module.

    Attributes:
        learning_rate: the schedule's highest learning rate.
        batch_size: examples a step; at most the training examples.
        dropout: probability of dropping a unit.
        l1: multiplies the sum of absolute weights (tensors of two and more dimensions).
        weight_decay: the L2 penalty; coupled but for adamw.
        optimizer: ``sgd``, ``adam``, ``adamw`` or ``rmsprop``.
        momentum: of sgd; no other optimiser reads it.
        nesterov: whether sgd looks ahead.
        schedule: ``constant`` or ``cosine``.
        label_smoothing: share of the target that is spread over all classes.
    """

    learning_rate: float
    batch_size: int
    dropout: float
    l1: float
    weight_decay: float
    optimizer: str
    momentum: float
    nesterov: bool
    schedule: str
    label_smoothing: float

    @staticmethod
    def of(config: Config, n_train: int) -> Recipe:
        """Return the recipe in ``config``, constants included; absent regularisers are off."""
        values: Mapping[str, object] = {**_ABSENT, **config}
        return Recipe(
            learning_rate=float(str(values["learning_rate"])),
            batch_size=min(int(str(values["batch_size"])), n_train),
            dropout=float(str(values["dropout"])),
            l1=float(str(values["l1"])),
            weight_decay=float(str(values["weight_decay"])),
            optimizer=str(values["optimizer"]),
            momentum=float(str(values["momentum"])),
            nesterov=bool(values["nesterov"]) and float(str(values["momentum"])) > 0,
            schedule=str(values["schedule"]),
            label_smoothing=float(str(values["label_smoothing"])),
        )


_ABSENT: Mapping[str, object] = {
    "learning_rate": 1e-3,
    "batch_size": 32,
    "dropout": 0.0,
    "l1": 0.0,
    "weight_decay": 0.0,
    "optimizer": "adam",
    "momentum": 0.0,
    "nesterov": False,
    "schedule": "constant",
    "label_smoothing": 0.0,
}

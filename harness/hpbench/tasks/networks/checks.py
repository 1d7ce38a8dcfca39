"""Whether a search space fits what is to be learnt, and whether its sizes fit one another."""

from __future__ import annotations

from hpbench.errors import UsageError
from hpbench.space import Categorical, SearchSpace
from hpbench.tasks.datasets.base import Dataset

__all__ = ["check_divides", "check_smoothing"]

_NAME = "label_smoothing"


def check_smoothing(dataset: Dataset, space: SearchSpace) -> None:
    """Raise if ``space`` smooths labels where ``dataset`` has none, so that it would search without any effect.

    Raises:
        UsageError: it does.
    """
    if dataset.regression and (_NAME in space.names or space.constants.get(_NAME, 0.0)):
        raise UsageError(
            f"`{_NAME}` must be left out where a number is predicted, because there are no labels; data set "
            f"{dataset.name!r} is a regression."
        )


def check_divides(space: SearchSpace, size: str, *, unit: int, times: str | None = None) -> None:
    """Raise unless each value of the hyperparameter ``size`` can be cut into equal parts.

    Args:
        space: in which the hyperparameters are constants or choices.
        size: a whole number, such as ``"width"``.
        unit: features of which a part must hold a multiple.
        times: the hyperparameter that says how many parts there are, such as ``"heads"``; None: any number.

    Raises:
        UsageError: a value of ``size`` leaves a remainder; the message says which values would do.
    """
    for count in [1] if times is None else _whole(space, times):
        multiple = unit * count
        for value in _whole(space, size):
            if value % multiple:
                below = value // multiple * multiple
                near = " or ".join(str(found) for found in (below, below + multiple) if found)
                why = "" if times is None else f" where `{times}` is {count}, {unit} features for each"
                raise UsageError(f"`{size}` must be a multiple of {multiple}{why}, got {value}; use {near}.")


def _whole(space: SearchSpace, name: str) -> list[int]:
    """Return the whole numbers that a constant or choice may be."""
    if name in space.constants:
        return [int(space.constants[name])]
    parameter = space[name]
    if isinstance(parameter, Categorical):
        return [int(choice) for choice in parameter.choices]
    return list(range(int(parameter.low), int(parameter.high) + 1))

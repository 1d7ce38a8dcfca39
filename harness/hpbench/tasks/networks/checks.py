"""Whether a search space fits what is to be learnt."""

from __future__ import annotations

from hpbench.errors import UsageError
from hpbench.space import SearchSpace
from hpbench.tasks.datasets.base import Dataset

__all__ = ["check_smoothing"]

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

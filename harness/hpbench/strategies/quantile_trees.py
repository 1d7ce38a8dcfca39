"""The surrogate of ``skopt-gbrt``: boosted trees that predict three quantiles.

scikit-optimize 0.10.2 has this regressor, but current scikit-learn no longer takes it for one (its
bases stand in an order that hides what it is), and it calls ``numpy.in1d``, which current numpy no
longer has. This subclass mends both and changes nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingRegressor
from skopt.learning import GradientBoostingQuantileRegressor

__all__ = ["QuantileTrees", "quantile_trees"]

Array = NDArray[np.float64]


class QuantileTrees(GradientBoostingQuantileRegressor):  # type: ignore[misc]
    """Boosted trees for the quantiles 0.16, 0.5 and 0.84: a median and half the spread around it."""

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's description of an estimator, which says: a regressor."""
        from sklearn.utils import RegressorTags  # noqa: PLC0415 - older scikit-learn neither has nor asks

        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor"
        tags.regressor_tags = RegressorTags()
        return tags

    def predict(
        self,
        X: Array,  # noqa: N803 - scikit-learn's name
        return_std: bool = False,  # noqa: FBT001, FBT002 - scikit-optimize's signature
        return_quantiles: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        """Return the median, shape ``(n_points,)``, or what the flags ask for.

        Args:
            X: points, shape ``(n_points, n_features)``.
            return_std: return ``(median, deviation)``, both of shape ``(n_points,)``.
            return_quantiles: return all three quantiles, shape ``(n_points, 3)``.
        """
        low, median, high = (regressor.predict(X) for regressor in self.regressors_)
        if return_quantiles:
            return np.column_stack([low, median, high])
        return (median, (high - low) / 2.0) if return_std else median


def quantile_trees(seed: int, n_jobs: int) -> QuantileTrees:
    """Return the regressor with the settings of scikit-optimize's own ``"GBRT"``: 30 trees a quantile."""
    trees = GradientBoostingRegressor(n_estimators=30, loss="quantile")
    return QuantileTrees(base_estimator=trees, random_state=seed, n_jobs=n_jobs)

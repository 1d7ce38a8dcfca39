"""Search spaces: named hyperparameters with ranges, conditions and constants."""

from __future__ import annotations

from hpbench.space.parameters import Categorical, Condition, Float, Integer, Parameter
from hpbench.space.space import SearchSpace

__all__ = ["Categorical", "Condition", "Float", "Integer", "Parameter", "SearchSpace"]

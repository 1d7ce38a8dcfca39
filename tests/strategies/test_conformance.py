"""Every built-in strategy keeps the promises that the kit checks."""

from __future__ import annotations

from typing import Any

import pytest

from hpbench.strategies import REGISTRY
from hpbench.testing.strategy_kit import StrategyConformance

QUICK_SKOPT: dict[str, Any] = {"n_initial_points": 3, "acq_optimizer_kwargs": {"n_points": 50}}


class TestEveryBuiltIn(StrategyConformance):
    @pytest.fixture(autouse=True, params=sorted(REGISTRY.builtin))
    def strategy_under_test(self, request: pytest.FixtureRequest) -> None:
        name: str = request.param
        self.strategy = REGISTRY.get(name)
        self.seeded = name != "default"
        if name.startswith("skopt-"):
            self.options = QUICK_SKOPT
            self.trials = 5
        if name == "genetic":
            self.options = {"population_size": 4}

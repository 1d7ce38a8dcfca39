"""Every strategy that needs no extra keeps the promises that the kit checks."""

from __future__ import annotations

from typing import Any

import pytest

from hpbench.strategies import REGISTRY
from hpbench.testing.strategy_kit import StrategyConformance

QUICK_SKOPT: dict[str, Any] = {"n_initial_points": 3, "acq_optimizer_kwargs": {"n_points": 50}}
CORE = sorted(name for name in REGISTRY.builtin if REGISTRY.extra_of(name) is None)
"""The others have test modules of their own, one a library, that are skipped without it."""


class TestEveryBuiltIn(StrategyConformance):
    @pytest.fixture(autouse=True, params=CORE)
    def strategy_under_test(self, request: pytest.FixtureRequest) -> None:
        name: str = request.param
        self.strategy = REGISTRY.get(name)
        self.seeded = name != "default"
        if name.startswith("skopt-"):
            self.options = QUICK_SKOPT
            self.trials = 5
        if name == "genetic":
            self.options = {"population_size": 4}

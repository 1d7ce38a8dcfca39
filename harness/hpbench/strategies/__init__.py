"""Search strategies by name; each lives in a module of its own that is imported when it is used."""

from __future__ import annotations

from hpbench.registry import Registry
from hpbench.strategies.base import Capability, Strategy

__all__ = ["REGISTRY", "Capability", "Strategy"]

REGISTRY: Registry[type[Strategy]] = Registry(
    kind="strategy",
    group="hpbench.strategies",
    builtin={
        "default": "hpbench.strategies.default:DefaultStrategy",
        "genetic": "hpbench.strategies.genetic:GeneticStrategy",
        "grid": "hpbench.strategies.grid:GridStrategy",
        "random": "hpbench.strategies.random:RandomStrategy",
        "skopt-forest": "hpbench.strategies.skopt:ForestStrategy",
        "skopt-gbrt": "hpbench.strategies.skopt:BoostedTreesStrategy",
        "skopt-gp": "hpbench.strategies.skopt:GaussianProcessStrategy",
        "sobol": "hpbench.strategies.sobol:SobolStrategy",
    },
)

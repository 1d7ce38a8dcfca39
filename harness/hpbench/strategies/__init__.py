"""Search strategies by name; each lives in a module of its own that is imported when it is used."""

from __future__ import annotations

from hpbench.registry import Extra, Registry
from hpbench.strategies.base import Capability, Strategy

__all__ = ["EXTRAS", "LEFT_OUT", "REGISTRY", "Capability", "Strategy"]

EXTRAS: dict[str, Extra] = {
    "hpbench.strategies.hyperopt": Extra("hyperopt", ("hyperopt",)),
    "hpbench.strategies.nevergrad": Extra("nevergrad", ("nevergrad",)),
    "hpbench.strategies.optuna": Extra("optuna", ("optuna", "cmaes")),
}
"""Adapter module → the extra that brings its library."""

LEFT_OUT: dict[str, str] = {}
"""Name → why there is no strategy of that name: it cannot be had, or not be repeated."""

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
    extras=EXTRAS,
    left_out=LEFT_OUT,
)

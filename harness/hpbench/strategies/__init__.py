"""Search strategies by name; each lives in a module of its own that is imported when it is used."""

from __future__ import annotations

from hpbench.registry import Extra, Registry
from hpbench.strategies.base import Capability, Strategy

__all__ = ["EXTRAS", "LEFT_OUT", "REGISTRY", "Capability", "Strategy"]

EXTRAS: dict[str, Extra] = {
    "hpbench.strategies.hyperopt": Extra("hyperopt", ("hyperopt", "lightgbm")),
    "hpbench.strategies.nevergrad": Extra("nevergrad", ("nevergrad",)),
    "hpbench.strategies.optuna": Extra("optuna", ("optuna", "cmaes", "greenlet")),
}
"""Adapter module → the extra that brings its library."""

LEFT_OUT: dict[str, str] = {
    "skopt-extra-trees": "it is there as skopt-forest, whose trees are extremely randomised",
    "optuna-tpe-multivariate": (
        "it would be optuna-tpe again, because Optuna is multivariate by default since version 5; "
        "its other form is optuna-tpe-independent"
    ),
}
"""Name → why there is no strategy of that name: it cannot be had, or not be repeated."""

REGISTRY: Registry[type[Strategy]] = Registry(
    kind="strategy",
    group="hpbench.strategies",
    builtin={
        "default": "hpbench.strategies.default:DefaultStrategy",
        "genetic": "hpbench.strategies.genetic:GeneticStrategy",
        "grid": "hpbench.strategies.grid:GridStrategy",
        "hyperopt-anneal": "hpbench.strategies.hyperopt:AnnealingStrategy",
        "hyperopt-atpe": "hpbench.strategies.hyperopt:AdaptiveParzenStrategy",
        "hyperopt-random": "hpbench.strategies.hyperopt:RandomDrawsStrategy",
        "hyperopt-tpe": "hpbench.strategies.hyperopt:ParzenStrategy",
        "nevergrad-1plus1": "hpbench.strategies.nevergrad:OnePlusOneStrategy",
        "nevergrad-de": "hpbench.strategies.nevergrad:DifferentialEvolutionStrategy",
        "nevergrad-ngioh": "hpbench.strategies.nevergrad:TunedMetaStrategy",
        "nevergrad-ngopt": "hpbench.strategies.nevergrad:MetaStrategy",
        "nevergrad-pso": "hpbench.strategies.nevergrad:ParticleSwarmStrategy",
        "optuna-cmaes": "hpbench.strategies.optuna:CmaEsStrategy",
        "optuna-gp": "hpbench.strategies.optuna:GaussianProcessStrategy",
        "optuna-nsga2": "hpbench.strategies.optuna:NondominatedSortingStrategy",
        "optuna-qmc": "hpbench.strategies.optuna:QuasiMonteCarloStrategy",
        "optuna-random": "hpbench.strategies.optuna:RandomDrawsStrategy",
        "optuna-tpe": "hpbench.strategies.optuna:ParzenStrategy",
        "optuna-tpe-independent": "hpbench.strategies.optuna:IndependentParzenStrategy",
        "random": "hpbench.strategies.random:RandomStrategy",
        "skopt-forest": "hpbench.strategies.skopt:ForestStrategy",
        "skopt-gbrt": "hpbench.strategies.skopt:BoostedTreesStrategy",
        "skopt-gp": "hpbench.strategies.skopt:GaussianProcessStrategy",
        "skopt-gp-ei": "hpbench.strategies.skopt:ExpectedImprovementStrategy",
        "skopt-random-forest": "hpbench.strategies.skopt:RandomForestStrategy",
        "sobol": "hpbench.strategies.sobol:SobolStrategy",
    },
    extras=EXTRAS,
    left_out=LEFT_OUT,
)

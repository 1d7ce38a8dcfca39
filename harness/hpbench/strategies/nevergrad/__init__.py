"""Adapters to Nevergrad: its optimisers behind ``ask`` and ``tell``, one worker, each under its own defaults.

References:
    Bennet, Doerr, Moreau, Rapin, Teytaud & Teytaud (2021), SIGEVOlution 14(1), 8-15 (the library).
    Meunier, Rakotoarison, Wong, Roziere, Rapin, Teytaud, Moreau & Doerr (2022), IEEE Transactions on
    Evolutionary Computation 26, 490-500 (the meta-optimiser NGOpt).
    Storn & Price (1997), Journal of Global Optimization 11, 341-359 (differential evolution).
    Zambrano-Bigiarini, Clerc & Rojas (2013), IEEE CEC (particle swarms, SPSO2011).
    Schumer & Steiglitz (1968), IEEE Transactions on Automatic Control 13, 270-276 (step sizes of (1+1)).
"""

from __future__ import annotations

from hpbench.strategies.nevergrad.adapter import NevergradStrategy
from hpbench.strategies.nevergrad.optimizers import (
    DifferentialEvolutionStrategy,
    MetaStrategy,
    OnePlusOneStrategy,
    ParticleSwarmStrategy,
    TunedMetaStrategy,
)

__all__ = [
    "DifferentialEvolutionStrategy",
    "MetaStrategy",
    "NevergradStrategy",
    "OnePlusOneStrategy",
    "ParticleSwarmStrategy",
    "TunedMetaStrategy",
]

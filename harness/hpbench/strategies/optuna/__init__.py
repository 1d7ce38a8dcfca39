"""Adapters to Optuna: its samplers behind ``Study.ask`` and ``Study.tell``, each under its own defaults.

References:
    Akiba, Sano, Yanase, Ohta & Koyama (2019), KDD (the library).
    Bergstra, Bardenet, Bengio & Kégl (2011), NeurIPS 24 (tree-structured Parzen estimators).
    Falkner, Klein & Hutter (2018), ICML (their multivariate form).
    Watanabe (2023), arXiv:2304.11127 (what the parts of the library's estimator do).
    Ament, Daulton, Eriksson, Balandat & Bakshy (2023), NeurIPS 36 (logarithmic expected improvement).
    Hansen (2016), arXiv:1604.00772 (CMA-ES).
    Deb, Pratap, Agarwal & Meyarivan (2002), IEEE Transactions on Evolutionary Computation 6, 182-197 (NSGA-II).
    Bergstra & Bengio (2012), JMLR 13, 281-305 (random and quasi-random search).
"""

from __future__ import annotations

from hpbench.strategies.optuna.samplers import (
    CmaEsStrategy,
    GaussianProcessStrategy,
    IndependentParzenStrategy,
    NondominatedSortingStrategy,
    ParzenStrategy,
    QuasiMonteCarloStrategy,
    RandomDrawsStrategy,
)
from hpbench.strategies.optuna.study import OptunaStrategy

__all__ = [
    "CmaEsStrategy",
    "GaussianProcessStrategy",
    "IndependentParzenStrategy",
    "NondominatedSortingStrategy",
    "OptunaStrategy",
    "ParzenStrategy",
    "QuasiMonteCarloStrategy",
    "RandomDrawsStrategy",
]

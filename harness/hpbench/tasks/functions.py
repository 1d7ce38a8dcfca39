"""Closed-form functions with a known minimum: to see in seconds whether a strategy searches at all.

References:
    Branin (1972), IBM Journal of Research and Development 16, 504-522.
    Dixon & Szegö (1978), Towards Global Optimisation 2, 1-15 (the usual constants of both).
    Picheny, Wagner & Ginsbourger (2013), Structural and Multidisciplinary Optimization 48, 607-626.
"""

from __future__ import annotations

import math
from functools import partial

from hpbench.space import Categorical, Condition, Float, Integer, SearchSpace
from hpbench.tasks.families import TaskFamily
from hpbench.tasks.function_task import FunctionTask
from hpbench.trial import Config

__all__ = [
    "BRANIN",
    "CONDITIONAL",
    "HARTMANN6",
    "MIXED",
    "branin",
    "conditional",
    "hartmann6",
    "mixed",
]

_ALPHA = (1.0, 1.2, 3.0, 3.2)
_A = (
    (10.0, 3.0, 17.0, 3.5, 1.7, 8.0),
    (0.05, 10.0, 17.0, 0.1, 8.0, 14.0),
    (3.0, 3.5, 1.7, 10.0, 17.0, 8.0),
    (17.0, 8.0, 0.05, 10.0, 0.1, 14.0),
)
_P = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)
_CENTRES = {"low": (-1.5, 0.4), "middle": (0.5, 0.2), "high": (1.0, 0.0)}
"""Of the function ``mixed``: choice → (where x is best, what the choice costs)."""


def branin(config: Config) -> float:
    """Return Branin's function of ``x1`` in [-5, 10] and ``x2`` in [0, 15].

    f = (x2 - 5.1 x1² / (4 π²) + 5 x1 / π - 6)² + 10 (1 - 1 / (8 π)) cos(x1) + 10. Its minimum, 0.397887, is
    reached at (-π, 12.275), (π, 2.275) and (3 π, 2.475).
    """
    x1, x2 = float(config["x1"]), float(config["x2"])
    bowl = x2 - 5.1 * x1**2 / (4.0 * math.pi**2) + 5.0 * x1 / math.pi - 6.0
    return bowl**2 + 10.0 * (1.0 - 1.0 / (8.0 * math.pi)) * math.cos(x1) + 10.0


def hartmann6(config: Config) -> float:
    """Return Hartmann's function of ``x1`` to ``x6`` in [0, 1].

    f = -Σᵢ αᵢ exp(-Σⱼ Aᵢⱼ (xⱼ - Pᵢⱼ)²) over four peaks. Its minimum, -3.322368, is reached at
    (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573).
    """
    x = [float(config[f"x{place}"]) for place in range(1, 7)]
    peaks = [
        alpha * math.exp(-sum(a * (value - p) ** 2 for a, value, p in zip(row, x, at, strict=True)))
        for alpha, row, at in zip(_ALPHA, _A, _P, strict=True)
    ]
    return -sum(peaks)


def mixed(config: Config) -> float:
    """Return a bowl over a float, a logarithmic float, a logarithmic integer and a choice.

    f = p + (x - c)² + (log10(rate) + 2 + (x - c) / 2)² + (log2(units) - 3)² / 4, where the choice ``kind``
    sets the centre c and the penalty p: low (-1.5, 0.4), middle (0.5, 0.2), high (1, 0). Its minimum, 0, is
    reached at kind = high, x = 1, rate = 0.01, units = 8.
    """
    centre, penalty = _CENTRES[str(config["kind"])]
    distance = float(config["x"]) - centre
    rate = math.log10(float(config["rate"])) + 2.0 + distance / 2.0
    units = math.log2(float(config["units"])) - 3.0
    return penalty + distance**2 + rate**2 + units**2 / 4.0


def conditional(config: Config) -> float:
    """Return one of two functions that share ``rate`` and nothing else; ``branch`` says which.

    bowl: f = s + ((x - 1)² + (y + 2)²) / 10; wave: f = s + 0.1 + (1 - cos(2 π (phase - 0.3))) / 2 + |count - 4| / 8,
    with s = (log10(rate) + 3)² / 4. Its minimum, 0, is reached at branch = bowl, x = 1, y = -2, rate = 0.001.
    """
    shared = (math.log10(float(config["rate"])) + 3.0) ** 2 / 4.0
    if config["branch"] == "bowl":
        return shared + ((float(config["x"]) - 1.0) ** 2 + (float(config["y"]) + 2.0) ** 2) / 10.0
    wave = (1.0 - math.cos(2.0 * math.pi * (float(config["phase"]) - 0.3))) / 2.0
    return shared + 0.1 + wave + abs(int(config["count"]) - 4) / 8.0


BRANIN = TaskFamily(
    "branin",
    SearchSpace((Float("x1", -5.0, 10.0), Float("x2", 0.0, 15.0))),
    partial(FunctionTask, value=branin),
    "Branin (1972), IBM Journal of Research and Development 16, 504-522; constants of Dixon & Szegö (1978)",
    minimum=0.39788735772973816,
)

HARTMANN6 = TaskFamily(
    "hartmann6",
    SearchSpace(tuple(Float(f"x{place}", 0.0, 1.0) for place in range(1, 7))),
    partial(FunctionTask, value=hartmann6),
    "Hartmann (1973); constants of Dixon & Szegö (1978), Towards Global Optimisation 2, 1-15",
    minimum=-3.322368011415515,
)

MIXED = TaskFamily(
    "mixed",
    SearchSpace(
        (
            Float("x", -3.0, 3.0),
            Float("rate", 1e-4, 1.0, log=True),
            Integer("units", 1, 64, log=True),
            Categorical("kind", tuple(_CENTRES)),
        )
    ),
    partial(FunctionTask, value=mixed),
    "defined by hpbench",
    minimum=0.0,
)

CONDITIONAL = TaskFamily(
    "conditional",
    SearchSpace(
        (
            Categorical("branch", ("bowl", "wave")),
            Float("rate", 1e-5, 1.0, log=True),
            Float("x", -5.0, 5.0, when=Condition("branch", ("bowl",))),
            Float("y", -5.0, 5.0, when=Condition("branch", ("bowl",))),
            Float("phase", 0.0, 1.0, when=Condition("branch", ("wave",))),
            Integer("count", 1, 8, when=Condition("branch", ("wave",))),
        )
    ),
    partial(FunctionTask, value=conditional),
    "defined by hpbench",
    minimum=0.0,
)

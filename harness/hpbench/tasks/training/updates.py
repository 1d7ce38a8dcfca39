"""One update rule for every optimiser, with coefficients that each lane has for itself.

With gradient g, moments m and v, and parameters p, one step is

    g ← g + coupled·p + l1·sign(p)
    m ← keep_m·m + add_m·g            v ← keep_v·v + add_v·g²
    p ← (1 - rate·decoupled)·p - rate·bias_m·(use_m·m + use_g·g) / d
    d = √(bias_v·v) + ε for adaptive lanes, 1 for the others

SGD: m ← μ·m + g, moved by m (Nesterov: g + μ·m), d = 1 (Sutskever et al. 2013 in torch's form);
without momentum moved by g, and m rests, as in torch.
RMSprop: v ← 0.99·v + 0.01·g², moved by g (Tieleman & Hinton 2012). Adam: Kingma & Ba (2015),
algorithm 1, with its bias corrections; AdamW decouples the decay (Loshchilov & Hutter 2019).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hpbench.tasks.training.randomness import learning_rate_factors
from hpbench.tasks.training.recipe import Recipe

__all__ = ["N_COEFFICIENTS", "apply_update", "dropout_rate", "step_coefficients"]

_NAMES: Final = (
    "decay", "rate", "coupled", "l1", "keep_m", "add_m", "keep_v", "add_v", "use_m", "use_g", "bias_v",
    "adaptive", "plain", "dropout",
)  # fmt: skip
_PLACE: Final = {name: place for place, name in enumerate(_NAMES)}
N_COEFFICIENTS: Final = len(_NAMES)
"""Columns of a lane's row of coefficients."""

_EPSILON: Final = 1e-8
_ADAM: Final = (0.9, 0.999)
_RMSPROP: Final = 0.99


def step_coefficients(
    recipe: Recipe, *, first: int, count: int, total: int, moments: int
) -> NDArray[np.float64]:
    """Return a lane's coefficients of ``count`` steps, shape ``(count, N_COEFFICIENTS)``.

    Args:
        recipe: the lane's hyperparameters.
        first: the lane's place on its schedule, in steps of its present batch size.
        count: steps to come.
        total: steps of the full fidelity, over which the schedule runs.
        moments: steps since the optimiser's moments were zero, for Adam's bias corrections.
    """
    rows = np.zeros((count, N_COEFFICIENTS))
    rate = recipe.learning_rate * np.asarray(learning_rate_factors(recipe.schedule, first, count, total))
    constant: dict[str, float] = {"keep_m": 1.0, "l1": recipe.l1, "plain": 1.0, "dropout": recipe.dropout}
    constant["decoupled" if recipe.optimizer == "adamw" else "coupled"] = recipe.weight_decay
    bias_m, bias_v = np.ones(count), np.ones(count)
    if recipe.optimizer == "sgd" and recipe.momentum == 0.0:
        constant["use_g"] = 1.0
    elif recipe.optimizer == "sgd":
        look_ahead = recipe.nesterov
        constant |= {"keep_m": recipe.momentum, "add_m": 1.0}
        constant |= {"use_m": recipe.momentum if look_ahead else 1.0, "use_g": float(look_ahead)}
    elif recipe.optimizer == "rmsprop":
        constant |= {"keep_v": _RMSPROP, "add_v": 1 - _RMSPROP, "use_g": 1.0, "adaptive": 1.0, "plain": 0.0}
    else:
        steps = np.arange(moments + 1, moments + count + 1, dtype=np.float64)
        constant |= {"keep_m": _ADAM[0], "add_m": 1 - _ADAM[0], "keep_v": _ADAM[1], "add_v": 1 - _ADAM[1]}
        constant |= {"use_m": 1.0, "adaptive": 1.0, "plain": 0.0}
        bias_m, bias_v = 1 / (1 - _ADAM[0] ** steps), 1 / (1 - _ADAM[1] ** steps)
    decoupled = constant.pop("decoupled", 0.0)
    for name, value in constant.items():
        rows[:, _PLACE[name]] = value
    with np.errstate(invalid="ignore"):  # an infinite rate is let diverge
        rows[:, _PLACE["decay"]] = 1.0 - rate * decoupled
    rows[:, _PLACE["rate"]] = rate * bias_m
    rows[:, _PLACE["bias_v"]] = bias_v
    return rows


def dropout_rate(coefficients: Tensor) -> Tensor:
    """Return each lane's dropout rate, shape ``(lanes,)``, from coefficients ``(lanes, N_COEFFICIENTS)``."""
    return coefficients[:, _PLACE["dropout"]]


def apply_update(p: Tensor, m: Tensor, v: Tensor, g: Tensor, coefficients: Tensor, penalised: Tensor) -> None:
    """Change parameters and moments in place by one step; the gradient is used up.

    Args:
        p: parameters, shape ``(lanes, n_parameters)``.
        m: first moments, the same shape.
        v: second moments, the same shape.
        g: gradients of the loss, the same shape.
        coefficients: shape ``(lanes, N_COEFFICIENTS)``.
        penalised: 1 where a parameter is a weight, which L1 shrinks; shape ``(n_parameters,)``.
    """
    c = {name: column.unsqueeze(1) for name, column in zip(_NAMES, coefficients.unbind(1), strict=True)}
    g = g + c["coupled"] * p + (c["l1"] * penalised) * p.sign()
    m.mul_(c["keep_m"]).add_(g * c["add_m"])
    v.mul_(c["keep_v"]).add_(g * g * c["add_v"])
    direction = (m * c["use_m"] + g * c["use_g"]) * c["rate"]
    divisor = ((v * c["bias_v"]).sqrt() + _EPSILON) * c["adaptive"] + c["plain"]
    p.mul_(c["decay"]).sub_(direction / divisor)

"""Functional analysis of variance (fANOVA) of a random forest: which inputs explain how much of the output.

A regression tree is constant on boxes that divide the unit cube. Its mean over all inputs but one (or
two) is therefore a sum over the leaves of value times the volume of the rest of the box, with no
sampling: the marginals here are exact for the forest, whatever the number of inputs.

References:
    Hutter, Hoos & Leyton-Brown (2014), An efficient approach for assessing hyperparameter importance,
    ICML; Hooker (2007), Generalized functional ANOVA diagnostics.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpbench.analysis.statistics.intervals import Array
from hpbench.errors import UsageError

__all__ = ["Boxes", "Fanova", "boxes_of", "fanova", "marginal"]

_TREES = 48
_LEAF = 3


@dataclass(frozen=True)
class Boxes:
    """A function that is constant on boxes that divide the unit cube; L boxes, d inputs.

    Attributes:
        low: lower corners, shape ``(L, d)``.
        high: upper corners, shape ``(L, d)``.
        values: of the function, shape ``(L,)``.
    """

    low: Array
    high: Array
    values: Array

    @property
    def volumes(self) -> Array:
        """Volume of each box, shape ``(L,)``; they add up to 1."""
        return np.asarray(np.prod(self.high - self.low, axis=1), dtype=np.float64)

    @property
    def mean(self) -> float:
        """Mean over the unit cube."""
        return float(self.values @ self.volumes)

    @property
    def variance(self) -> float:
        """Variance over the unit cube."""
        return float((self.values - self.mean) ** 2 @ self.volumes)


@dataclass(frozen=True)
class Fanova:
    """What a forest says about its inputs; d inputs, B trees.

    Attributes:
        main: share of each tree's variance that each input explains alone, shape ``(B, d)``.
        pairs: (i, j) → share that the two explain together beyond what each explains alone, ``(B,)``.
        trees: the trees as boxes.
        fit: share of the variance of unseen outputs that the forest explains (out-of-bag R²); what
            it does not explain it cannot attribute.
        n: outputs that it was fitted to.
    """

    main: Array
    pairs: dict[tuple[int, int], Array]
    trees: tuple[Boxes, ...]
    fit: float
    n: int

    @property
    def order(self) -> list[int]:
        """Inputs by mean importance, the largest first."""
        return [int(place) for place in np.argsort(-self.main.mean(axis=0), kind="stable")]


def fanova(inputs: Array, outputs: Array, *, seed: int, n_pairs_of: int = 4) -> Fanova | None:
    """Return the importance of each input, and of the pairs of the most important ones.

    Args:
        inputs: in the unit cube, shape ``(n, d)``.
        outputs: finite, shape ``(n,)``.
        seed: of the forest.
        n_pairs_of: inputs whose pairs are looked at, the most important first.

    Returns:
        None if the outputs do not vary, or no tree found anything to split.

    Raises:
        UsageError: shapes differ, an input lies outside the unit cube or an output is not finite.
    """
    from sklearn.ensemble import RandomForestRegressor  # noqa: PLC0415 -- takes a second to load

    if inputs.ndim != 2 or outputs.shape != inputs.shape[:1] or not np.all(np.isfinite(outputs)):  # noqa: PLR2004 -- a matrix
        raise UsageError(
            f"`inputs` must be (n, d) and `outputs` (n,) and finite, got {inputs.shape} and {outputs.shape}."
        )
    if not np.all((inputs >= 0.0) & (inputs <= 1.0)):
        raise UsageError("every input must lie in [0, 1]; scale it by its range.")
    if np.ptp(outputs) == 0.0:
        return None
    forest = RandomForestRegressor(
        _TREES, min_samples_leaf=_LEAF, oob_score=True, random_state=seed, n_jobs=1
    )
    forest.fit(inputs, outputs)
    trees = [boxes_of(tree.tree_, inputs.shape[1]) for tree in forest.estimators_]
    trees = [tree for tree in trees if tree.variance > 0.0]
    if not trees:
        return None
    main = np.array([[_main(tree, place) for place in range(inputs.shape[1])] for tree in trees])
    found = Fanova(main, {}, tuple(trees), float(forest.oob_score_), len(outputs))
    for i, j in itertools.combinations(sorted(found.order[:n_pairs_of]), 2):
        found.pairs[i, j] = np.array([_pair(tree, i, j) for tree in trees]) - main[:, i] - main[:, j]
    return found


def boxes_of(tree: Any, n_inputs: int) -> Boxes:
    """Return the leaves of a fitted tree of scikit-learn as boxes of the unit cube."""
    low, high = np.zeros((tree.node_count, n_inputs)), np.ones((tree.node_count, n_inputs))
    children = zip(tree.children_left, tree.children_right, tree.feature, tree.threshold, strict=True)
    for node, (left, right, place, threshold) in enumerate(children):  # parents come before their children
        if left < 0:
            continue
        low[[left, right]], high[[left, right]] = low[node], high[node]
        high[left, place] = low[right, place] = threshold
    leaves = np.flatnonzero(tree.children_left < 0)
    return Boxes(low[leaves], high[leaves], tree.value[leaves, 0, 0].astype(np.float64))


def marginal(tree: Boxes, place: int, points: Array) -> Array:
    """Return the mean over all other inputs where input ``place`` has the values ``points``.

    Args:
        tree: the function.
        place: of the input.
        points: shape ``(n,)``, in [0, 1].
    """
    low, high = tree.low[:, place], tree.high[:, place]
    inside = (points >= low[:, None]) & ((points < high[:, None]) | (high[:, None] == 1.0))
    return np.asarray((tree.values * tree.volumes / (high - low)) @ inside, dtype=np.float64)


def _pieces(tree: Boxes, place: int) -> tuple[Array, NDArray[np.bool_]]:
    """Return the lengths of the pieces into which boxes cut an input, and which box covers which, ``(L, P)``."""
    edges = np.unique(np.concatenate([tree.low[:, place], tree.high[:, place]]))
    middles = (edges[1:] + edges[:-1]) / 2
    covers = (tree.low[:, place, None] < middles) & (middles < tree.high[:, place, None])
    return np.diff(edges), covers


def _main(tree: Boxes, place: int) -> float:
    """Return the share of a tree's variance that one input explains alone."""
    lengths, covers = _pieces(tree, place)
    means = (tree.values * tree.volumes / (tree.high - tree.low)[:, place]) @ covers
    return float((means - tree.mean) ** 2 @ lengths) / tree.variance


def _pair(tree: Boxes, i: int, j: int) -> float:
    """Return the share of a tree's variance that two inputs explain together."""
    (first, covers_i), (second, covers_j) = _pieces(tree, i), _pieces(tree, j)
    sides = tree.high - tree.low
    weights = tree.values * tree.volumes / (sides[:, i] * sides[:, j])
    means = (covers_i * weights[:, None]).T @ covers_j.astype(np.float64)
    return float(first @ (means - tree.mean) ** 2 @ second) / tree.variance

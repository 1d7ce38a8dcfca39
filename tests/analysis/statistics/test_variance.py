from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from hpbench.analysis.statistics.variance import boxes_of, fanova, marginal
from hpbench.errors import UsageError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_importance_equals_summing_predictions_over_every_cell() -> None:
    inputs = rng().random((120, 3))
    outputs = np.sin(6 * inputs[:, 0]) + 2 * inputs[:, 1] * inputs[:, 2] + 0.05 * rng(1).normal(size=120)
    found = fanova(inputs, outputs, seed=3, n_pairs_of=3)
    assert found is not None
    forest = RandomForestRegressor(48, min_samples_leaf=3, oob_score=True, random_state=3).fit(
        inputs, outputs
    )
    assert found.fit == pytest.approx(forest.oob_score_)
    for number, tree in enumerate(forest.estimators_[:6]):
        cuts = [np.unique(tree.tree_.threshold[tree.tree_.feature == place]) for place in range(3)]
        edges = [np.concatenate([[0.0], cut, [1.0]]) for cut in cuts]
        middles = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
        weights = np.einsum("i,j,k->ijk", *(np.diff(edge) for edge in edges))
        cube = tree.predict(np.array(list(itertools.product(*middles)))).reshape(weights.shape)
        mean = np.sum(cube * weights)
        total = np.sum((cube - mean) ** 2 * weights)
        lone = {}
        for place in range(3):
            others = tuple(axis for axis in range(3) if axis != place)
            lengths = weights.sum(axis=others)
            means = (cube * weights).sum(axis=others) / lengths
            lone[place] = np.sum((means - mean) ** 2 * lengths) / total
            assert found.main[number, place] == pytest.approx(lone[place])
            assert marginal(found.trees[number], place, middles[place]) == pytest.approx(means)
        for i, j in itertools.combinations(range(3), 2):
            (rest,) = {0, 1, 2} - {i, j}
            area = weights.sum(axis=rest)
            means = (cube * weights).sum(axis=rest) / area
            joint = np.sum((means - mean) ** 2 * area) / total
            assert found.pairs[i, j][number] == pytest.approx(joint - lone[i] - lone[j])


def test_boxes_divide_the_cube_and_are_the_tree() -> None:
    inputs, outputs = rng().random((200, 4)), rng(1).normal(size=200)
    tree = RandomForestRegressor(1, random_state=0).fit(inputs, outputs).estimators_[0]
    boxes = boxes_of(tree.tree_, 4)
    assert boxes.volumes.sum() == pytest.approx(1.0)
    points = rng(2).random((100, 4))
    inside = np.all((points[:, None] > boxes.low) & (points[:, None] <= boxes.high), axis=2)
    assert np.all(inside.sum(axis=1) == 1)
    assert inside @ boxes.values == pytest.approx(tree.predict(points))


def test_an_additive_function_gives_its_known_shares() -> None:
    # variance of a x over [0, 1] is a^2 / 12: shares 16 : 4 : 1 : 0, no interaction
    inputs = rng().random((3000, 4))
    found = fanova(inputs, inputs @ np.array([4.0, 2.0, 1.0, 0.0]), seed=0)
    assert found is not None
    assert found.order[:3] == [0, 1, 2]
    assert found.main.mean(axis=0) == pytest.approx(np.array([16, 4, 1, 0]) / 21, abs=0.04)
    assert max(float(share.mean()) for share in found.pairs.values()) < 0.02
    assert found.fit > 0.95


def test_a_pure_interaction_is_seen_in_pairs_alone() -> None:
    inputs = rng().random((3000, 3))
    found = fanova(inputs, np.sign((inputs[:, 0] - 0.5) * (inputs[:, 1] - 0.5)), seed=0, n_pairs_of=3)
    assert found is not None
    assert found.pairs[0, 1].mean() > 0.8
    assert found.main.mean(axis=0).max() < 0.1


def test_noise_is_not_explained() -> None:
    found = fanova(rng().random((200, 3)), rng(1).normal(size=200), seed=0)
    assert found is not None
    assert found.fit < 0.1


def test_nothing_that_varies_gives_nothing() -> None:
    assert fanova(rng().random((20, 2)), np.ones(20), seed=0) is None
    assert fanova(np.full((20, 2), 0.5), rng().normal(size=20), seed=0) is None


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (np.zeros((3, 2)), np.zeros(4), r"\(3, 2\) and \(4,\)"),
        (np.zeros((3, 2)), np.array([0.0, np.nan, 1.0]), "finite"),
        (np.full((3, 2), 1.5), np.arange(3.0), r"must lie in \[0, 1\]"),
    ],
)
def test_impossible_values_are_refused(inputs: np.ndarray, outputs: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fanova(inputs, outputs, seed=0)


def test_shares_do_not_depend_on_the_order_of_the_inputs() -> None:
    inputs = rng().random((1500, 3))
    outputs = 3 * inputs[:, 0] + inputs[:, 1]
    one, other = fanova(inputs, outputs, seed=0), fanova(inputs[:, ::-1], outputs, seed=0)
    assert one is not None
    assert other is not None
    assert one.main.mean(axis=0) == pytest.approx(other.main.mean(axis=0)[::-1], abs=0.03)

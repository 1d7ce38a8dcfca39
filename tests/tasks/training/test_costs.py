"""Tests of the clock's signatures: what is in one, and that a space's list holds all of them and no more."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpbench.overrides import apply_overrides
from hpbench.space import Categorical, Condition, Float, Integer, SearchSpace
from hpbench.tasks.networks import REGISTRY, NetworkFamily
from hpbench.tasks.training.costs import signature_of, signatures_of

MLP, CNN = REGISTRY.get("mlp"), REGISTRY.get("cnn")


def space_with(family: NetworkFamily = MLP, **overrides: Any) -> SearchSpace:
    batch = overrides.get("batch_size")
    if not isinstance(batch, dict):
        return apply_overrides(family.space, overrides, limits=family.limits, where="space")
    space = family.space.changed(Integer("batch_size", batch["low"], batch["high"]))
    rest = {name: value for name, value in overrides.items() if name != "batch_size"}
    return apply_overrides(space, rest, limits=family.limits, where="space")


def signature(config: Mapping[str, Any], *, n_train: int = 1000, **overrides: Any) -> dict[str, Any]:
    space = space_with(**overrides)
    found: dict[str, Any] = json.loads(
        signature_of(MLP, space, {**space.default_config(), **config}, n_train)
    )
    return found


def test_a_signature_holds_what_decides_the_time_of_a_step_and_nothing_else() -> None:
    assert signature({"layers": 2, "width": 40, "batch_size": 64, "dropout": 0.2, "optimizer": "adamw"}) == {
        "layers": 2,
        "width": 48,
        "batch_size": 64,
        "dropout": True,
        "l1": True,
        "optimizer": "adamw",
    }
    same = {"learning_rate": 0.05, "activation": "gelu", "weight_decay": 0.1, "schedule": "cosine"}
    assert signature(same) == signature({})


@pytest.mark.parametrize(("width", "size"), [(16, 16), (17, 24), (65, 96), (128, 128)])
def test_sizes_are_rounded_up_to_the_familys_buckets(width: int, size: int) -> None:
    assert signature({"width": width})["width"] == size


def test_a_regulariser_at_zero_is_off() -> None:
    assert signature({"dropout": 0.0})["dropout"] is False
    assert signature({}, l1=0.0)["l1"] is False
    assert signature({}, dropout=0.3)["dropout"] is True


def test_a_batch_is_at_most_the_training_examples() -> None:
    assert signature({"batch_size": 128}, n_train=90)["batch_size"] == 90
    assert signature({"batch_size": 64}, n_train=90)["batch_size"] == 64


def test_wide_ranges_without_buckets_are_rounded_and_lists_are_not() -> None:
    wide = {"low": 8, "high": 600}
    assert signature({"batch_size": 100}, batch_size=wide)["batch_size"] == 128
    assert signature({"batch_size": 150}, batch_size=wide)["batch_size"] == 192
    assert signature({"batch_size": 100}, batch_size=[50, 100])["batch_size"] == 100
    assert signature({"batch_size": 11}, batch_size={"low": 8, "high": 12})["batch_size"] == 11
    assert signature({"width": 300}, width={"low": 16, "high": 512})["width"] == 384
    assert signature({}, width=300)["width"] == 300


def test_the_signatures_of_the_declared_spaces() -> None:
    found = signatures_of(MLP, space_with(momentum=0.9), 1078)
    assert len(found) == 3 * 7 * 4 * 4 * 2  # layers, widths, batch sizes, optimisers, dropout or not
    assert len(set(found)) == len(found)
    assert found == signatures_of(MLP, space_with(momentum=0.9), 1078)
    assert set(found) == set(signatures_of(MLP, MLP.space, 1078))
    assert len(signatures_of(CNN, CNN.space, 1078)) == 3 * 5 * 4 * 4 * 2
    assert len(signatures_of(MLP, MLP.space, 90)) == 3 * 7 * 4 * 4 * 2
    assert len(signatures_of(MLP, MLP.space, 40)) == 3 * 7 * 3 * 4 * 2


def test_a_space_in_which_everything_is_fixed_has_one_signature() -> None:
    space = space_with(layers=1, width=20, batch_size=32, optimizer="adam", dropout=0.0, l1=0.0)
    (found,) = signatures_of(MLP, space, 1000)
    assert json.loads(found) == {
        "layers": 1,
        "width": 24,
        "batch_size": 32,
        "optimizer": "adam",
        "dropout": False,
        "l1": False,
    }


def test_the_widest_space_still_has_a_sane_number_of_signatures() -> None:
    space = space_with(
        layers=1, width={"low": 1, "high": 4096}, batch_size={"low": 1, "high": 65536}, optimizer="adam"
    )
    assert len(signatures_of(MLP, space, 100_000)) < 1500


CONDITIONAL = SearchSpace(
    (
        Categorical("kind", ("plain", "deep", "other")),
        Integer("layers", 1, 40, when=Condition("kind", ("deep",))),
        Integer("switch", 0, 3),
        Float("dropout", 0.0, 0.5, when=Condition("switch", (2,))),
        Float("l1", 0.0, 1.0, when=Condition("kind", ("deep", "other"))),
        Float("learning_rate", 1e-3, 1e-1),
    ),
    constants={"batch_size": 32},
)
FAMILY = NetworkFamily("x", CONDITIONAL, MLP.build, citation="none", shaping=("layers",))


@pytest.mark.parametrize(
    ("family", "space"),
    [
        (MLP, MLP.space),
        (CNN, CNN.space),
        (MLP, space_with(batch_size={"low": 8, "high": 500}, layers=[1, 5], width={"low": 100, "high": 300})),
        (FAMILY, CONDITIONAL),
    ],
)
def test_every_configuration_has_a_signature_of_the_list(family: NetworkFamily, space: SearchSpace) -> None:
    found = set(signatures_of(family, space, 700))
    rng = np.random.default_rng(0)
    inner = rng.random((20_000, len(space.names)))
    points = np.where(rng.random(inner.shape) < 0.3, np.round(inner), inner)  # the ends, too
    configs = [space.from_unit(point.tolist()) for point in points]
    seen = {signature_of(family, space, config, 700) for config in [*configs, space.default_config()]}
    assert seen <= found
    assert len(seen) > 0.9 * len(found)


@given(st.integers(1, 4096), st.integers(1, 65536), st.integers(1, 100_000))
def test_a_signature_covers_the_configuration(width: int, batch: int, n_train: int) -> None:
    space = space_with(width={"low": 1, "high": 4096}, batch_size={"low": 1, "high": 65536})
    config = {**space.default_config(), "width": width, "batch_size": batch}
    found = json.loads(signature_of(MLP, space, config, n_train))
    assert width <= found["width"] <= max(16, 2 * width)
    assert min(batch, n_train) <= found["batch_size"] <= min(n_train, 2 * batch)


def test_signatures_need_no_torch() -> None:
    code = "import sys, hpbench.tasks.training.costs, hpbench.clock, hpbench.session; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

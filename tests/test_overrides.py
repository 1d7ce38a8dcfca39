"""A suite may fix, list or range a hyperparameter, within the family's limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpbench.errors import UsageError
from hpbench.overrides import apply_overrides, read_override
from hpbench.space import Categorical, Condition, Float, Integer, SearchSpace
from hpbench.tasks import networks

SPACE = SearchSpace(
    parameters=(
        Integer("layers", 1, 3),
        Float("rate", 1e-4, 1e-1, log=True),
        Float("dropout", 0.0, 0.5),
        Categorical("batch", (16, 32, 64), ordered=True),
        Categorical("optimizer", ("sgd", "adam", "adamw")),
        Float("momentum", 0.0, 0.99, when=Condition("optimizer", ("sgd",))),
        Categorical("bias", (False, True)),
    ),
    constants={"smoothing": 0.0, "nesterov": False, "repeats": 1, "mode": "plain"},
    defaults={"rate": 1e-3, "batch": 32},
)
LIMITS = {
    "layers": (1, 12),
    "rate": (1e-12, 1e3),
    "dropout": (0.0, 0.99),
    "batch": (1, 4096),
    "smoothing": (0.0, 0.9),
    "repeats": (1, 5),
}


def apply(**overrides: Any) -> SearchSpace:
    return apply_overrides(SPACE, overrides, limits=LIMITS, where="tasks[0].space")


def message(**overrides: Any) -> str:
    with pytest.raises(UsageError) as caught:
        apply(**overrides)
    return str(caught.value)


def test_nothing_changes_without_overrides() -> None:
    assert apply() == SPACE


# ---- fixing


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("layers", 2, 2),
        ("layers", 12, 12),
        ("rate", 0.01, 0.01),
        ("rate", 1, 1.0),
        ("rate", 100.0, 100.0),
        ("dropout", 0, 0.0),
        ("batch", 32, 32),
        ("batch", 100, 100),
        ("optimizer", "adam", "adam"),
        ("bias", True, True),
        ("smoothing", 0.1, 0.1),
        ("nesterov", True, True),
        ("repeats", 3, 3),
        ("mode", "plain", "plain"),
    ],
)
def test_a_value_fixes(name: str, raw: Any, value: Any) -> None:
    space = apply(**{name: raw})
    assert name not in space.names
    assert space.constants[name] == value
    assert type(space.constants[name]) is type(value)


def test_a_list_of_one_value_fixes() -> None:
    assert apply(batch=[32]) == apply(batch=32)


def test_a_range_of_one_value_fixes() -> None:
    assert apply(layers={"low": 2, "high": 2}) == apply(layers=2)


def test_fixing_a_parent_settles_what_hangs_on_it() -> None:
    assert apply(optimizer="sgd")["momentum"].when is None
    assert "momentum" not in apply(optimizer="adam").names


def test_fixing_the_dependent_makes_the_space_unconditional() -> None:
    space = apply(momentum=0.9)
    assert not space.conditional
    assert space.constants["momentum"] == 0.9


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"layers": 0}, "`layers` must lie in [1, 12], got 0 (tasks[0].space.layers)."),
        ({"layers": 13}, "`layers` must lie in [1, 12], got 13"),
        ({"layers": 2.0}, "`layers` must be a whole number, got 2.0"),
        ({"layers": True}, "`layers` must be a whole number, got True"),
        ({"layers": "two"}, "`layers` must be a whole number, got 'two'"),
        ({"rate": 0.0}, "`rate` must lie in [1e-12, 1000.0], got 0.0"),
        ({"rate": -1.0}, "got -1.0"),
        ({"rate": "high"}, "`rate` must be a number, got 'high'"),
        ({"rate": False}, "`rate` must be a number, got False"),
        ({"momentum": 1.5}, "`momentum` must lie in [0.0, 0.99], got 1.5"),
        ({"batch": 0}, "`batch` must lie in [1, 4096], got 0"),
        ({"batch": 16.0}, "`batch` must be a whole number, got 16.0"),
        ({"optimizer": "adma"}, "got 'adma'. Did you mean 'adam'? (tasks[0].space.optimizer)."),
        ({"optimizer": 1}, "`optimizer` must be one of ['sgd', 'adam', 'adamw'], got 1"),
        ({"bias": 1}, "`bias` must be one of [False, True], got 1"),
        ({"nesterov": 0}, "`nesterov` must be one of [False, True], got 0"),
        ({"smoothing": 0.95}, "`smoothing` must lie in [0.0, 0.9], got 0.95"),
        ({"mode": "fancy"}, "`mode` must be one of ['plain'], got 'fancy'"),
        ({"rat": 0.1}, "unknown hyperparameter 'rat'. Did you mean 'rate'?"),
        ({"zzz": 0.1}, "unknown hyperparameter 'zzz'. Known: batch, bias, dropout"),
    ],
)
def test_an_illegal_value_is_refused(overrides: dict[str, Any], expected: str) -> None:
    assert expected in message(**overrides)


# ---- listing


def test_a_list_narrows_a_choice() -> None:
    assert apply(optimizer=["adamw", "sgd"])["optimizer"] == Categorical("optimizer", ("adamw", "sgd"))


def test_a_list_of_numbers_is_put_in_order() -> None:
    assert apply(batch=[256, 8])["batch"] == Categorical("batch", (8, 256), ordered=True)


def test_a_list_makes_a_number_a_choice() -> None:
    assert apply(rate=[0.1, 1])["rate"] == Categorical("rate", (0.1, 1.0), ordered=True)
    assert apply(layers=[4, 1])["layers"] == Categorical("layers", (1, 4), ordered=True)


def test_a_list_keeps_the_condition() -> None:
    assert apply(momentum=[0.5, 0.9])["momentum"] == Categorical(
        "momentum", (0.5, 0.9), ordered=True, when=Condition("optimizer", ("sgd",))
    )


def test_a_list_makes_a_constant_searched() -> None:
    space = apply(nesterov=[False, True], smoothing=[0.0, 0.1])
    assert space["nesterov"] == Categorical("nesterov", (False, True))
    assert space["smoothing"] == Categorical("smoothing", (0.0, 0.1), ordered=True)
    assert set(space.constants) == {"repeats", "mode"}


WAITING = replace(SPACE, conditions={"nesterov": Condition("optimizer", ("sgd",))})


@pytest.mark.parametrize(
    ("overrides", "when"),
    [
        ({"nesterov": [False, True]}, Condition("optimizer", ("sgd",))),
        ({"nesterov": [False, True], "optimizer": ["sgd", "adam"]}, Condition("optimizer", ("sgd",))),
        ({"nesterov": [False, True], "optimizer": "sgd"}, None),
        ({"nesterov": [False, True], "smoothing": [0.0, 0.1], "optimizer": "sgd"}, None),
    ],
)
def test_a_constant_that_waits_is_searched_only_where_it_matters(
    overrides: dict[str, Any], when: Condition | None
) -> None:
    space = apply_overrides(WAITING, overrides, limits=LIMITS)
    assert space["nesterov"].when == when
    for seed in range(20):
        config = space.sample(np.random.default_rng(seed))
        assert ("nesterov" in config) == (config.get("optimizer", "sgd") == "sgd")
        assert space.complete(config).keys() >= set(space.constants)


@pytest.mark.parametrize("optimizer", ["adam", ["adam", "adamw"]])
@pytest.mark.parametrize("nesterov", [True, [False, True]])
def test_a_constant_that_can_never_matter_is_refused(optimizer: object, nesterov: object) -> None:
    overrides = {"nesterov": nesterov, "optimizer": optimizer}
    with pytest.raises(UsageError, match=r"`nesterov` exists only where `optimizer` is one of \['sgd'\]"):
        apply_overrides(WAITING, overrides, limits=LIMITS)
    assert apply_overrides(WAITING, {"nesterov": True}, limits=LIMITS).constants["nesterov"] is True


@pytest.mark.parametrize("name", networks.REGISTRY.names())
def test_nesterov_waits_for_sgd_in_every_family(name: str) -> None:
    family = networks.REGISTRY.get(name)
    searched = apply_overrides(family.space, {"nesterov": [False, True]}, limits=family.limits)
    assert searched["nesterov"].when == Condition("optimizer", ("sgd",))


def test_narrowing_a_parent_narrows_the_condition() -> None:
    assert "momentum" not in apply(optimizer=["adam", "adamw"]).names
    assert apply(optimizer=["sgd", "adam"])["momentum"].when == Condition("optimizer", ("sgd",))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"batch": []}, "the values of `batch` must be at least one, got an empty list"),
        ({"batch": [16, 16]}, "must be different, got [16, 16]"),
        ({"rate": [1, 1.0]}, "must be different, got [1, 1.0]"),
        ({"batch": [16, "32"]}, "every value of `batch` must be a whole number, got '32'"),
        ({"batch": [16, [32]]}, "every value of `batch` must be a whole number, got [32]"),
        ({"rate": [0.1, 0.0]}, "every value of `rate` must lie in [1e-12, 1000.0], got 0.0"),
        ({"optimizer": ["sgd", {"low": 1}]}, "every value of `optimizer` must be one of"),
    ],
)
def test_an_illegal_list_is_refused(overrides: dict[str, Any], expected: str) -> None:
    assert expected in message(**overrides)


# ---- ranging


def test_a_range_replaces_both_ends_and_the_scale() -> None:
    assert apply(dropout={"low": 0.1, "high": 0.9, "log": True})["dropout"] == Float(
        "dropout", 0.1, 0.9, log=True
    )


def test_a_range_keeps_what_it_leaves_out() -> None:
    assert apply(rate={"low": 1e-3})["rate"] == Float("rate", 1e-3, 1e-1, log=True)
    assert apply(layers={"high": 5})["layers"] == Integer("layers", 1, 5)


def test_whole_ends_of_a_real_range_become_floats() -> None:
    changed = apply(rate={"low": 1, "high": 10})["rate"]
    assert changed == Float("rate", 1.0, 10.0, log=True)
    assert isinstance(changed, Float)
    assert type(changed.low) is float


def test_a_range_keeps_the_condition_and_the_place() -> None:
    space = apply(momentum={"low": 0.5})
    assert space["momentum"] == Float("momentum", 0.5, 0.99, when=Condition("optimizer", ("sgd",)))
    assert space.names == SPACE.names


def test_a_range_makes_a_constant_searched() -> None:
    assert apply(smoothing={"high": 0.2})["smoothing"] == Float("smoothing", 0.0, 0.2)
    assert apply(repeats={"low": 1, "high": 3})["repeats"] == Integer("repeats", 1, 3)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            {"rate": {"low": 0.0, "high": 0.1, "log": True}},
            "`low > 0` must hold when `log = true`, got low = 0.0 (tasks[0].space.rate).",
        ),
        (
            {"rate": {"low": -1.0}},
            "got low = -1.0; `rate` is logarithmic unless the suite sets `log = false`",
        ),
        ({"dropout": {"log": True, "high": 0.4}}, "`low > 0` must hold when `log = true`, got low = 0.0"),
        (
            {"rate": {"low": 0.1, "high": 0.01}},
            "`low <= high` must hold, got low = 0.1, high = 0.01 (tasks[0].space.rate).",
        ),
        ({"rate": {"low": 0.5}}, "`low <= high` must hold, got low = 0.5, high = 0.1"),
        (
            {"rate": {"low": 1e-4, "high": 1e9}},
            "`high` of `rate` must lie in [1e-12, 1000.0], got 1000000000.0",
        ),
        ({"layers": {"low": 1.5}}, "`low` of `layers` must be a whole number, got 1.5"),
        ({"layers": {"high": "3"}}, "`high` of `layers` must be a whole number, got '3'"),
        ({"layers": {"low": 1, "log": "yes"}}, "`log` must be true or false, got 'yes'"),
        ({"layers": {"low": 1, "log": 1}}, "`log` must be true or false, got 1"),
        ({"layers": {"lower": 1}}, "unknown key of a range 'lower'. Did you mean 'low'?"),
        ({"layers": {"log": True}}, "must set `low`, `high` or both"),
        ({"layers": {}}, "must set `low`, `high` or both"),
        ({"batch": {"low": 1, "high": 8}}, "`batch` is a choice among [16, 32, 64]; give a list of values"),
    ],
)
def test_an_illegal_range_is_refused(overrides: dict[str, Any], expected: str) -> None:
    assert expected in message(**overrides)


# ---- together


def test_the_order_of_overrides_does_not_matter() -> None:
    one = apply(momentum={"low": 0.5}, optimizer=["sgd", "adam"], layers=2)
    other = apply(layers=2, optimizer=["sgd", "adam"], momentum={"low": 0.5})
    assert one == other


def test_an_override_that_can_have_no_effect_is_refused() -> None:
    expected = "`momentum` exists only where `optimizer` is one of ['sgd'], which this suite leaves out"
    assert expected in message(momentum=0.9, optimizer="adam")
    assert expected in message(momentum={"low": 0.1}, optimizer=["adam", "adamw"])


def test_something_must_be_left_to_search() -> None:
    overrides = {"layers": 1, "rate": 0.1, "dropout": 0.1, "batch": 16, "optimizer": "adam", "bias": True}
    assert "every hyperparameter is fixed; leave at least one to search (tasks[0].space)." in message(
        **overrides
    )


def test_a_constant_without_limits_can_only_be_repeated() -> None:
    space = SearchSpace((Integer("layers", 1, 3),), constants={"scale": 2.0})
    assert apply_overrides(space, {"scale": 2.0}, limits={}).constants["scale"] == 2.0
    with pytest.raises(UsageError, match=r"`scale` must lie in \[2\.0, 2\.0\], got 3\.0"):
        apply_overrides(space, {"scale": 3.0}, limits={})


def test_reading_one_override_gives_a_value_or_a_parameter() -> None:
    assert read_override(SPACE, "layers", 2, limits=LIMITS) == 2
    assert read_override(SPACE, "layers", [1, 2], limits=LIMITS) == Categorical(
        "layers", (1, 2), ordered=True
    )


@settings(max_examples=100, deadline=None)
@given(
    first=st.floats(1e-6, 10.0),
    second=st.floats(1e-6, 10.0),
    log=st.booleans(),
    layers=st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True),
    seed=st.integers(0, 1000),
)
def test_whatever_is_accepted_can_be_sampled_and_trained(
    *, first: float, second: float, log: bool, layers: list[int], seed: int
) -> None:
    family = networks.REGISTRY.get("mlp")
    low, high = sorted((first, second))
    overrides = {"learning_rate": {"low": low, "high": high, "log": log}, "layers": layers}
    space = apply_overrides(family.space, overrides, limits=family.limits)
    config = space.complete(space.sample(np.random.default_rng(seed)))
    assert set(config) >= set(family.space.complete(family.space.default_config())) - {"momentum"}
    assert low <= float(config["learning_rate"]) <= high
    assert config["layers"] in layers
    space.check(space.default_config())

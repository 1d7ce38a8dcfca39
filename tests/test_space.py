from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpbench.errors import UsageError
from hpbench.space import Categorical, Condition, Float, Integer, Parameter, SearchSpace
from hpbench.testing.strategy_kit import SPACES

UNITS = st.floats(0.0, 1.0)
NESTED = SPACES["conditional"]


@st.composite
def reals(draw: st.DrawFn, name: str = "x") -> Float:
    log = draw(st.booleans())
    ends = st.floats(1e-9, 1e9) if log else st.floats(-1e9, 1e9)
    low, high = sorted((draw(ends), draw(ends)))
    return Float(name, low, high, log=log)


@st.composite
def wholes(draw: st.DrawFn, name: str = "n") -> Integer:
    log = draw(st.booleans())
    ends = st.integers(1 if log else -(10**6), 10**6)
    low, high = sorted((draw(ends), draw(ends)))
    return Integer(name, low, high, log=log)


@st.composite
def choices(draw: st.DrawFn, name: str = "c") -> Categorical:
    values = st.one_of(st.integers(-5, 5), st.text(max_size=2), st.booleans(), st.floats(-2, 2))
    unique = st.lists(values, min_size=1, max_size=6, unique_by=lambda value: (type(value), value))
    return Categorical(name, tuple(draw(unique)), ordered=draw(st.booleans()))


PARAMETERS = st.one_of(reals(), wholes(), choices())


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Return a space in which parameters may wait for earlier choices."""
    made: list[Parameter] = []
    for place in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from((reals, wholes, choices)))
        parameter: Parameter = draw(kind(name=f"p{place}"))
        parents = [item for item in made if isinstance(item, Categorical)]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            values = draw(st.lists(st.sampled_from(parent.choices), min_size=1, max_size=2))
            fields = {**vars(parameter), "when": Condition(parent.name, tuple(values))}
            parameter = type(parameter)(**fields)
        made.append(parameter)
    return SearchSpace(tuple(made))


class TestParameters:
    @given(parameter=PARAMETERS, unit=UNITS)
    def test_every_unit_is_a_legal_value(self, parameter: Parameter, unit: float) -> None:
        assert parameter.contains(parameter.from_unit(unit))

    @given(parameter=st.one_of(wholes(), choices()), unit=UNITS)
    def test_discrete_values_survive_the_unit_interval(self, parameter: Parameter, unit: float) -> None:
        value = parameter.from_unit(unit)
        place = parameter.to_unit(value)
        assert 0.0 < place < 1.0
        assert parameter.from_unit(place) == value
        assert type(parameter.from_unit(place)) is type(value)

    @given(parameter=reals(), unit=UNITS)
    def test_real_values_survive_the_unit_interval(self, parameter: Float, unit: float) -> None:
        value = parameter.from_unit(unit)
        place = parameter.to_unit(value)
        assert 0.0 <= place <= 1.0
        tolerance = 1e-9 * max(abs(parameter.low), abs(parameter.high))
        assert parameter.from_unit(place) == pytest.approx(value, rel=1e-9, abs=tolerance)

    @given(parameter=st.one_of(reals(), wholes()), one=UNITS, other=UNITS)
    def test_the_order_is_kept(self, parameter: Float | Integer, one: float, other: float) -> None:
        low, high = sorted((one, other))
        assert parameter.from_unit(low) <= parameter.from_unit(high)

    @given(parameter=PARAMETERS, count=st.integers(1, 9))
    def test_levels_are_legal_different_and_at_most_as_many(self, parameter: Parameter, count: int) -> None:
        levels = parameter.levels(count)
        assert 1 <= len(levels) <= count
        assert len({(type(level), level) for level in levels}) == len(levels)
        assert all(parameter.contains(level) for level in levels)

    @given(parameter=st.one_of(reals(), wholes()), count=st.integers(2, 9))
    def test_levels_contain_the_ends(self, parameter: Float | Integer, count: int) -> None:
        if parameter.low < parameter.high:
            levels = parameter.levels(count)
            assert (levels[0], levels[-1]) == (parameter.low, parameter.high)

    def test_the_ends_of_a_real_range_are_exact(self) -> None:
        parameter = Float("x", 1e-4, 0.1, log=True)
        assert (parameter.from_unit(0.0), parameter.from_unit(1.0)) == (1e-4, 0.1)

    def test_every_whole_number_owns_its_share(self) -> None:
        units = (np.arange(1000) + 0.5) / 1000
        values = [Integer("n", 1, 4).from_unit(unit) for unit in units]
        assert [values.count(value) for value in (1, 2, 3, 4)] == [250] * 4
        decades = [Integer("n", 1, 100, log=True).from_unit(unit) for unit in units]
        assert decades.count(1) > 10 * decades.count(50)

    def test_numpy_types_are_not_legal(self) -> None:
        assert not Float("x", 0.0, 1.0).contains(np.float64(0.5))
        assert not Integer("n", 0, 9).contains(np.int64(5))
        assert not Integer("n", 0, 9).contains(np.True_)
        assert not Categorical("c", ("a",)).contains(np.str_("a"))

    def test_types_are_told_apart(self) -> None:
        assert not Integer("n", 0, 1).contains(True)  # noqa: FBT003
        assert not Float("x", 0.0, 1.0).contains(1)
        mixture = Categorical("c", (1, 1.0, True))
        assert [mixture.index(value) for value in (1, 1.0, True)] == [0, 1, 2]
        assert not Categorical("c", (1, 2)).contains(True)  # noqa: FBT003

    def test_a_range_so_narrow_that_its_logarithms_agree_still_works(self) -> None:
        low = 1e10
        parameter = Float("x", low, math.nextafter(low, math.inf), log=True)
        assert parameter.to_unit(low) == 0.5

    def test_a_range_of_many_magnitudes_still_works(self) -> None:
        parameter = Float("x", 1e-200, 1e200, log=True)
        assert parameter.to_unit(1.0) == pytest.approx(0.5)

    def test_n_values(self) -> None:
        assert Float("x", 0.0, 1.0).n_values == math.inf
        assert Integer("n", -2, 2).n_values == 5
        assert Categorical("c", ("a", "b")).n_values == 2

    def test_ordered_choices_give_even_levels(self) -> None:
        sizes = Categorical("b", (16, 32, 64, 128, 256), ordered=True)
        assert sizes.levels(3) == (16, 64, 256)
        assert Categorical("a", ("x", "y", "z")).levels(2) == ("x", "y")

    @pytest.mark.parametrize(
        ("build", "message"),
        [
            (lambda: Float("x", 1.0, 0.0), "low <= high"),
            (lambda: Float("x", 0.0, 1.0, log=True), "low > 0"),
            (lambda: Float("x", math.nan, 1.0), "must be finite"),
            (lambda: Float("x", 0.0, math.inf), "must be finite"),
            (lambda: Float("x", -1e308, 1e308), "`high - low` of 'x' must be finite"),
            (lambda: Integer("n", 5, 4), "low <= high"),
            (lambda: Integer("n", 0, 4, log=True), "low > 0"),
            (lambda: Integer("n", 1.5, 4), "must be whole"),  # type: ignore[arg-type]
            (lambda: Integer("n", False, 4), "must be whole"),  # noqa: FBT003
            (lambda: Integer("n", 0, 10**400), "2\\*\\*52"),
            (lambda: Categorical("c", ()), "at least one value"),
            (lambda: Categorical("c", ("a", "a")), "must be different"),
            (lambda: Categorical("c", (1.0, math.nan)), "must be finite"),
            (lambda: Categorical("c", ("a",)).index("b"), "must be one of"),
        ],
    )
    def test_impossible_parameters_are_refused(self, build: Any, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            build()


class TestSpace:
    @given(space=spaces(), seed=st.integers(0, 2**31 - 1))
    def test_samples_are_legal(self, space: SearchSpace, seed: int) -> None:
        space.check(space.sample(np.random.default_rng(seed)))

    @given(space=spaces(), seed=st.integers(0, 2**31 - 1))
    def test_discrete_parts_of_a_sample_survive_the_unit_cube(self, space: SearchSpace, seed: int) -> None:
        config = space.sample(np.random.default_rng(seed))
        back = space.from_unit(space.to_unit(config))
        assert list(back) == list(config)
        for name, value in config.items():
            if not isinstance(space[name], Float):
                assert back[name] == value

    @given(space=spaces())
    def test_the_default_configuration_is_legal(self, space: SearchSpace) -> None:
        space.check(space.default_config())
        assert set(space.default_values()) == set(space.names)

    @given(space=spaces(), seed=st.integers(0, 2**31 - 1), data=st.data())
    def test_fixing_a_name_gives_configurations_of_the_old_space(
        self, space: SearchSpace, seed: int, data: st.DataObject
    ) -> None:
        name = data.draw(st.sampled_from(space.names))
        value = space[name].from_unit(data.draw(UNITS))
        fixed = space.fixed(name, value)
        config = fixed.sample(np.random.default_rng(seed))
        fixed.check(config)
        space.check(space.active({**space.default_values(), **fixed.complete(config)}))
        assert set(config) == set(space.active({**space.default_values(), **fixed.complete(config)})) - {name}

    @given(space=spaces(), seed=st.integers(0, 2**31 - 1), data=st.data())
    def test_narrowing_choices_gives_configurations_of_the_old_space(
        self, space: SearchSpace, seed: int, data: st.DataObject
    ) -> None:
        name = data.draw(st.sampled_from(space.names))
        parameter = space[name]
        if isinstance(parameter, Categorical):
            kept = data.draw(st.lists(st.sampled_from(parameter.choices), min_size=1, unique_by=repr))
            narrowed = space.changed(Categorical(name, tuple(kept), when=parameter.when))
        else:
            narrowed = space.changed(type(parameter)(name, parameter.low, parameter.low, when=parameter.when))
        config = narrowed.sample(np.random.default_rng(seed))
        narrowed.check(config)
        space.check(config)

    def test_a_child_of_a_child_is_inactive_with_its_grandparent(self) -> None:
        values = {"optimizer": "adam", "learning_rate": 0.01, "momentum": 0.5, "nesterov": True, "warm_up": 2}
        assert NESTED.active(values) == {"optimizer": "adam", "learning_rate": 0.01}
        assert NESTED.active({**values, "optimizer": "sgd"}) == {**values, "optimizer": "sgd"}

    def test_fixing_a_parent_settles_what_hangs_on_it(self) -> None:
        sgd = NESTED.fixed("optimizer", "sgd")
        assert sgd.names == ("learning_rate", "momentum", "nesterov", "warm_up")
        assert sgd["momentum"].when is None
        assert sgd["warm_up"].when == Condition("nesterov", (True,))
        assert NESTED.fixed("optimizer", "adam").names == ("learning_rate",)

    def test_a_settled_child_still_waits_for_its_grandparent(self) -> None:
        assert NESTED.fixed("nesterov", True)["warm_up"].when == Condition("optimizer", ("sgd",))  # noqa: FBT003

    def test_narrowing_to_the_activating_choice_keeps_the_grandparent(self) -> None:
        narrowed = NESTED.changed(Categorical("nesterov", (True,), when=Condition("optimizer", ("sgd",))))
        assert narrowed["warm_up"].when == Condition("optimizer", ("sgd",))

    def test_narrowing_away_the_activating_choice_drops_the_family(self) -> None:
        assert NESTED.changed(Categorical("optimizer", ("adam",))).names == ("optimizer", "learning_rate")

    def test_fixing_a_constant_again_replaces_it(self) -> None:
        space = SearchSpace((Float("x", 0.0, 1.0),), constants={"k": 1})
        assert space.fixed("k", 2).complete({"x": 0.5}) == {"k": 2, "x": 0.5}

    def test_fixing_an_unknown_name_is_refused(self) -> None:
        with pytest.raises(
            UsageError, match=r"unknown hyperparameter 'optimiser'\. Did you mean 'optimizer'"
        ):
            NESTED.fixed("optimiser", "sgd")

    def test_a_constant_is_said_to_be_fixed_where_a_searched_one_is_asked_for(self) -> None:
        space = SearchSpace((Float("x", 0.0, 1.0),), constants={"k": 1})
        with pytest.raises(UsageError, match="hyperparameter 'k' is fixed at 1 and not searched"):
            _ = space["k"]

    def test_a_constant_can_become_searched(self) -> None:
        space = SearchSpace((Float("x", 0.0, 1.0),), constants={"k": 1}).changed(Integer("k", 1, 3))
        assert space.names == ("x", "k")
        assert space.constants == {}

    def test_changing_an_unknown_name_is_refused(self) -> None:
        with pytest.raises(UsageError, match="unknown hyperparameter 'z'"):
            NESTED.changed(Float("z", 0.0, 1.0))

    @pytest.mark.parametrize(
        ("parameter", "default", "expected"),
        [
            (Float("p", 0.0, 1.0), 5.0, 1.0),
            (Float("p", 0.0, 1.0), 1, 1.0),
            (Float("p", 0.0, 1.0), "adam", 0.5),
            (Integer("p", 3, 9), 1, 3),
            (Integer("p", 3, 9), 4.6, 5),
            (Integer("p", 3, 9), None, 6),
            (Categorical("p", (16, 64), ordered=True), 32, 16),
            (Categorical("p", (16, 64), ordered=True), 50, 64),
            (Categorical("p", ("low", "high"), ordered=True), 3, "low"),
            (Categorical("p", ("a", "b")), "z", "a"),
        ],
    )
    def test_a_default_outside_the_range_moves_to_the_nearest_value(
        self, parameter: Parameter, default: Any, expected: Any
    ) -> None:
        defaults = {} if default is None else {"p": default}
        assert SearchSpace((parameter,), defaults=defaults).default_config() == {"p": expected}

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"optimizer": "adam"}, "lacks 'learning_rate'"),
            ({"optimizer": "adam", "learning_rate": 0.01, "momentum": 0.5}, "exists only where 'optimizer'"),
            ({"optimizer": "adam", "learning_rate": 1.0}, "cannot have the value 1.0"),
            ({"optimizer": "adam", "learning_rat": 0.01}, "Did you mean 'learning_rate'"),
            ({"optimizer": np.str_("adam"), "learning_rate": 0.01}, r"\(str_\)"),
        ],
    )
    def test_illegal_configurations_are_refused(self, config: Any, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            NESTED.check(config)

    @pytest.mark.parametrize(
        ("parameters", "constants", "message"),
        [
            ((Float("x", 0.0, 1.0), Float("x", 0.0, 1.0)), {}, "declared twice"),
            ((Float("x", 0.0, 1.0),), {"x": 1.0}, "declared twice"),
            ((Float("x", 0.0, 1.0, when=Condition("y", (1,))), Integer("y", 0, 1)), {}, "declared before"),
            ((Integer("y", 0, 1), Float("x", 0.0, 1.0, when=Condition("y", (2,)))), {}, "which it cannot be"),
        ],
    )
    def test_impossible_spaces_are_refused(self, parameters: Any, constants: Any, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            SearchSpace(parameters, constants)

    def test_a_condition_tells_true_from_one(self) -> None:
        space = SearchSpace((Categorical("c", (1, True)), Float("x", 0.0, 1.0, when=Condition("c", (True,)))))
        assert space.active({"c": 1, "x": 0.5}) == {"c": 1}
        assert space.active({"c": True, "x": 0.5}) == {"c": True, "x": 0.5}

    def test_size_and_conditional(self) -> None:
        assert NESTED.conditional
        assert not SPACES["mixed"].conditional
        assert SearchSpace((Integer("n", 1, 4), Categorical("c", ("a", "b")))).size == 8
        assert NESTED.size == math.inf

    def test_spaces_travel_between_processes(self) -> None:
        assert pickle.loads(pickle.dumps(NESTED)) == NESTED  # noqa: S301 - our own bytes

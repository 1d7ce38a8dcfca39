from __future__ import annotations

import math

import numpy as np
import pytest

from hpbench.errors import UsageError
from hpbench.space import Categorical, Float, Integer, SearchSpace
from hpbench.strategies.adapting import (
    WorstSoFar,
    check_known,
    check_least,
    check_searchable,
    completed,
    plain,
    searched,
)
from hpbench.strategies.default import DefaultStrategy
from hpbench.strategies.skopt import ForestStrategy
from hpbench.testing.strategy_kit import SPACES


def test_only_what_has_two_values_is_searched() -> None:
    assert [item.name for item in searched(SPACES["awkward"])] == ["mixture", "negative", "whole_ends"]


def test_numbers_of_a_library_become_plain_values() -> None:
    low = Float("x", 1e-4, 1e-1, log=True)
    assert plain(low, np.float64(math.exp(math.log(1e-4)) * 0.999999)) == 1e-4
    assert type(plain(low, np.float64(0.01))) is float
    assert type(plain(Integer("n", 1, 9), np.int64(3))) is int
    assert plain(Categorical("c", (1, 1.0, True)), np.int64(2)) is True


def test_a_configuration_is_completed_and_what_is_inactive_left_out() -> None:
    conditional = SPACES["conditional"]
    given = {"warm_up": 3, "nesterov": True, "momentum": 0.5, "learning_rate": 0.01, "optimizer": "adam"}
    assert completed(conditional, given) == {"optimizer": "adam", "learning_rate": 0.01}
    whole = completed(conditional, {**given, "optimizer": "sgd"})
    assert list(whole) == ["optimizer", "learning_rate", "momentum", "nesterov", "warm_up"]
    awkward = completed(SPACES["awkward"], {"mixture": "1", "negative": 0, "whole_ends": 0.5})
    SPACES["awkward"].check(awkward)


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'mine' cannot search .* CONDITIONAL"):
        check_searchable("mine", ForestStrategy, SPACES["conditional"])
    check_searchable("mine", DefaultStrategy, SPACES["conditional"])
    with pytest.raises(UsageError, match="'mine' needs a hyperparameter with two or more values"):
        check_searchable("mine", DefaultStrategy, SearchSpace((Integer("n", 3, 3),)))


@pytest.mark.parametrize("value", [2, 2.0, None, "standard", True])
def test_an_option_may_be_no_less_than_its_library_takes(value: object) -> None:
    check_least("mine", {"size": 1}, {"size": value, "other": -1})
    with pytest.raises(UsageError, match=r"`size >= 1` must hold for strategy 'mine', got size = 0\."):
        check_least("mine", {"size": 1}, {"size": 0})


def test_an_option_that_the_installed_library_lacks_is_named() -> None:
    def theirs(*, one: int = 1) -> int:
        return one

    check_known("mine", "scipy", theirs, {"one": 2})
    with pytest.raises(
        UsageError, match="option 'two' of strategy 'mine' must be known to scipy, and version"
    ):
        check_known("mine", "scipy", theirs, {"two": 2})


def test_a_failed_trial_counts_as_the_worst_so_far() -> None:
    worst = WorstSoFar()
    assert [worst.counted(value) for value in (None, 0.4, None, 2.5, 0.1, None)] == [
        1.0,
        0.4,
        0.4,
        2.5,
        0.1,
        2.5,
    ]

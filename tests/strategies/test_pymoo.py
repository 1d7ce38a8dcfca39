"""pymoo's genetic algorithm through hpbench proposes what pymoo itself would, and keeps the kit's promises."""

from __future__ import annotations

import inspect
import math
from types import MappingProxyType
from typing import Any

import pytest

from hpbench.errors import UsageError
from hpbench.space import Categorical, Integer, SearchSpace
from hpbench.strategies.factory import describe_options
from hpbench.strategies.pymoo import MixedGeneticStrategy
from hpbench.testing.driving import drive, never, smooth_error, sometimes
from hpbench.testing.strategy_kit import SPACES, StrategyConformance
from hpbench.trial import Config

pymoo = pytest.importorskip("pymoo", reason="needs the extra 'pymoo'")

SIZE, TRIALS = 5, 25
MIXED = SPACES["mixed"]


class TestMixedGenetic(StrategyConformance):
    strategy = MixedGeneticStrategy
    options = MappingProxyType({"pop_size": 4})


def build(space: SearchSpace = MIXED, seed: int = 3, **options: Any) -> MixedGeneticStrategy:
    return MixedGeneticStrategy(
        space, full_epochs=3, seed=seed, budget_trials=None, **{"pop_size": SIZE, **options}
    )


def read(chosen: dict[str, Any]) -> Config:
    """Return what pymoo evaluates as the configuration that a user would train."""
    return {
        "learning_rate": MIXED["learning_rate"].from_unit(float(chosen["learning_rate"])),
        "dropout": float(chosen["dropout"]),
        "layers": int(chosen["layers"]),
        "width": MIXED["width"].from_unit(float(chosen["width"])),
        "batch_size": (16, 32, 64, 128)[chosen["batch_size"]],
        "activation": ("relu", "tanh", "gelu")[chosen["activation"]],
        "nesterov": bool(chosen["nesterov"]),
    }


def test_it_proposes_what_pymoo_itself_would() -> None:
    from pymoo.core.mixed import MixedVariableGA
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.core.variable import Binary, Choice, Real
    from pymoo.core.variable import Integer as Whole
    from pymoo.optimize import minimize

    theirs: list[Config] = []

    class Smooth(ElementwiseProblem):  # type: ignore[misc]
        def _evaluate(self, x: dict[str, Any], out: dict[str, Any], *_: Any, **__: Any) -> None:
            theirs.append(read(x))
            out["F"] = smooth_error(MIXED, theirs[-1])

    variables = {
        "learning_rate": Real(bounds=(0.0, 1.0)),
        "dropout": Real(bounds=(0.0, 0.5)),
        "layers": Whole(bounds=(1, 3)),
        "width": Real(bounds=(0.0, 1.0)),
        "batch_size": Whole(bounds=(0, 3)),
        "activation": Choice(options=[0, 1, 2]),
        "nesterov": Binary(),
    }
    minimize(Smooth(vars=variables, n_obj=1), MixedVariableGA(pop_size=SIZE), ("n_eval", TRIALS), seed=3)
    ours = drive(build(), MIXED, 3, TRIALS, never)
    assert [proposal.config for proposal in ours] == theirs


def test_defaults_are_those_of_the_library() -> None:
    from pymoo.core.mixed import MixedVariableGA

    theirs = inspect.signature(MixedVariableGA).parameters
    for option in describe_options(MixedGeneticStrategy.name):
        assert option.default == theirs[option.name].default, option.name


def test_a_failed_trial_survives_only_where_there_are_no_others() -> None:
    strategy = build()
    drive(strategy, MIXED, 3, 4 * SIZE, sometimes)
    costs = [float(item.F[0]) for item in strategy._algorithm.pop]
    assert len(costs) == SIZE
    assert not any(map(math.isinf, costs))
    drive(strategy := build(), MIXED, 3, SIZE, lambda number: number > 0)
    assert sorted(float(item.F[0]) for item in strategy._algorithm.pop)[1:] == [math.inf] * (SIZE - 1)


def test_a_finished_space_is_exhausted() -> None:
    space = SearchSpace((Categorical("c", ("a", "b")), Integer("n", 1, 2)))
    strategy = build(space, pop_size=2)
    found = [tuple(item.config.values()) for item in drive(strategy, space, 3, 9, never)]
    assert len(found) == len(set(found)) <= 4
    assert strategy.ask() is None
    assert strategy.ask() is None


def test_impossible_options_and_spaces_are_refused() -> None:
    with pytest.raises(UsageError, match="pop_size >= 1"):
        build(pop_size=0)
    with pytest.raises(UsageError, match="CONDITIONAL"):
        build(SPACES["conditional"])
    with pytest.raises(UsageError, match="two or more values"):
        build(SearchSpace((Integer("n", 3, 3),)))

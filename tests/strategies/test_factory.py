from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Unpack

import pytest

from hpbench.errors import UsageError
from hpbench.space import SearchSpace
from hpbench.strategies import REGISTRY
from hpbench.strategies.base import Given, Strategy
from hpbench.strategies.factory import Option, create, describe_options, resolved_options
from hpbench.strategies.genetic import GeneticStrategy
from hpbench.testing.strategy_kit import SPACES
from hpbench.trial import Proposal, Trial


def usable() -> list[str]:
    """Return the built-in names whose extra is installed or not needed."""
    extras = {name: REGISTRY.extra_of(name) for name in REGISTRY.builtin}
    return sorted(name for name, extra in extras.items() if extra is None or not extra.missing())


class OpenEnded(Strategy):
    """A plug-in that takes any option, and one that must be given."""

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        needed: float,
        **more: Any,
    ) -> None:
        super().__init__(space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials)
        self.given = {"needed": needed, **more}

    def ask(self) -> Proposal | None:
        return None

    def tell(self, trial: Trial) -> None:
        pass


class HandsOn(OpenEnded):
    """One that takes what the runner gives without naming it."""

    def __init__(self, space: SearchSpace, *, spread: float = 1.0, **given: Unpack[Given]) -> None:
        super().__init__(space, needed=spread, **given)


class Unresolvable(OpenEnded):
    def __init__(self, space: SearchSpace, *, option: Nowhere, **more: Any) -> None:  # noqa: F821
        super().__init__(space, needed=option, **more)


class Refusing(OpenEnded):
    def __init__(self, space: SearchSpace, **given: Unpack[Given]) -> None:
        super().__init__(space, needed=1.0, **given)
        raise ValueError("this space is too hard")


@pytest.fixture
def plugins() -> Iterator[None]:
    REGISTRY.add("open-ended", OpenEnded)
    REGISTRY.add("refusing", Refusing)
    REGISTRY.add("hands-on", HandsOn)
    REGISTRY.add("unresolvable", Unresolvable)
    yield
    REGISTRY.reset()


def build(name: str, **options: Any) -> Strategy:
    return create(name, SPACES["mixed"], full_epochs=3, seed=1, budget_trials=12, options=options)


def test_all_but_our_own_state_what_asking_them_takes() -> None:
    stated = set()
    for name, path in REGISTRY.builtin.items():
        module, _, attribute = path.partition(":")
        kind = getattr(import_module(module), attribute)  # to be looked at, an adapter needs no library
        if vars(kind).get("typical_ask_seconds", 0.0) > 0.0:
            stated.add(name)
    assert set(REGISTRY.builtin) - stated == {"default", "genetic", "grid", "random", "sobol"}


@pytest.mark.parametrize("name", usable())
def test_every_built_in_strategy_is_built_by_name(name: str) -> None:
    proposal = build(name).ask()
    assert proposal is not None
    SPACES["mixed"].check(proposal.config)


@pytest.mark.parametrize("name", usable())
def test_resolved_options_can_be_stored_and_given_back(name: str) -> None:
    options = resolved_options(name, {})
    assert json.loads(json.dumps(options)) == options
    assert build(name, **options).ask() == build(name).ask()


def test_options_are_described_in_the_order_of_the_signature() -> None:
    described = describe_options("genetic")
    assert described[:2] == [Option("population_size", None, "int | None"), Option("elites", 1, "int")]
    assert describe_options("random") == []


def test_given_options_replace_the_defaults() -> None:
    resolved = resolved_options("genetic", {"elites": 2})
    assert resolved["elites"] == 2
    assert resolved["tournament_size"] == 2


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("genetik", {}, "unknown strategy 'genetik'. Did you mean 'genetic'"),
        ("genetic", {"elite": 1}, "Did you mean 'elites'"),
        ("random", {"anything": 1}, "Known: none"),
        ("genetic", {"elites": "one"}, "option 'elites' of strategy 'genetic' must be int, got 'one'"),
        ("genetic", {"elites": True}, "must be int, got True"),
        ("genetic", {"elites": 1.5}, "must be int, got 1.5"),
        ("genetic", {"population_size": [4]}, r"must be int \| None"),
        ("genetic", {"mutation_scale": float("nan")}, "writable as JSON"),
        ("genetic", {"elites": object()}, "writable as JSON"),
        ("grid", {"levels": {"layers": "two"}}, "option 'levels'"),
        ("grid", {"seed": 3}, "option of strategy 'grid': 'seed'"),
        ("skopt-gp", {"acq_optimizer": "guess"}, "option 'acq_optimizer'"),
        ("skopt-gp", {"base_estimator": "RF"}, "option of strategy 'skopt-gp': 'base_estimator'"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(name, **options)


def test_a_whole_number_will_do_where_a_real_one_is_expected() -> None:
    assert isinstance(build("genetic", crossover_rate=1), GeneticStrategy)


@pytest.mark.usefixtures("plugins")
def test_a_plugin_may_take_any_option() -> None:
    strategy = build("open-ended", needed=0.5, other=[1, 2])
    assert isinstance(strategy, OpenEnded)
    assert strategy.given == {"needed": 0.5, "other": [1, 2]}
    assert resolved_options("open-ended", {"needed": 2.0}) == {"needed": 2.0}


@pytest.mark.usefixtures("plugins")
def test_what_the_runner_gives_is_no_option_however_it_is_taken() -> None:
    assert [option.name for option in describe_options("hands-on")] == ["spread"]
    strategy = build("hands-on", spread=0.5)
    assert isinstance(strategy, OpenEnded)
    assert strategy.given == {"needed": 0.5}
    assert (strategy.full_epochs, strategy.seed, strategy.budget_trials) == (3, 1, 12)
    with pytest.raises(
        UsageError, match="unknown option of strategy 'hands-on': 'spred'\\. Did you mean 'spread'"
    ):
        build("hands-on", spred=0.5)
    with pytest.raises(UsageError, match="unknown option of strategy 'hands-on': 'seed'"):
        build("hands-on", seed=2)


@pytest.mark.usefixtures("plugins")
def test_a_missing_option_is_named() -> None:
    with pytest.raises(UsageError, match="'open-ended' needs the option 'needed'"):
        build("open-ended")


@pytest.mark.usefixtures("plugins")
def test_what_the_constructor_of_a_plugin_raises_is_its_own_fault_with_file_and_line() -> None:
    with pytest.raises(
        UsageError,
        match=r"'refusing' cannot be built: ValueError: this space is too hard \(test_factory.py, line \d+\)",
    ):
        build("refusing")


@pytest.mark.usefixtures("plugins")
def test_annotations_that_cannot_be_resolved_are_reported() -> None:
    with pytest.raises(UsageError, match="TYPE_CHECKING"):
        build("unresolvable", option=1.0)


def test_describing_and_checking_imports_no_heavy_library() -> None:
    code = (
        "import sys; from hpbench.strategies.factory import describe_options, resolved_options; "
        "from hpbench.strategies import REGISTRY; "
        f"[resolved_options(name, {{}}) for name in {usable()}]; "
        "heavy = {'torch', 'sklearn', 'skopt', 'matplotlib', 'scipy', 'optuna', 'hyperopt', 'nevergrad'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Ray Tune's generator through hpbench proposes what Ray Tune itself would, and keeps the kit's promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpbench.errors import UsageError
from hpbench.space import Integer, SearchSpace
from hpbench.strategies import REGISTRY
from hpbench.strategies.ray import VariantGeneratorStrategy
from hpbench.testing.driving import drive, never
from hpbench.testing.strategy_kit import SPACES, StrategyConformance

ray = pytest.importorskip("ray", reason="needs the extra 'ray'")

TRIALS = 12


class TestVariantGenerator(StrategyConformance):
    strategy = VariantGeneratorStrategy


def build(space: SearchSpace, seed: int = 3) -> VariantGeneratorStrategy:
    return VariantGeneratorStrategy(space, full_epochs=3, seed=seed, budget_trials=None)


def test_it_proposes_what_ray_tune_itself_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray import tune
    from ray.tune.search.basic_variant import BasicVariantGenerator

    monkeypatch.setenv("HOME", str(tmp_path))  # an experiment makes its folder there
    domains = {
        "learning_rate": tune.loguniform(1e-4, 1e-1),
        "dropout": tune.uniform(0.0, 0.5),
        "layers": tune.randint(1, 4),
        "width": tune.lograndint(8, 513),
        "batch_size": tune.choice([16, 32, 64, 128]),
        "activation": tune.choice(["relu", "tanh", "gelu"]),
        "nesterov": tune.choice([False, True]),
    }

    def train(config: dict[str, Any]) -> None:
        raise AssertionError(f"nothing is trained, not even {config}")

    generator = BasicVariantGenerator(random_state=3)
    generator.add_configurations({"fidelity": {"run": train, "config": domains, "num_samples": TRIALS}})
    theirs = [trial.config for trial in iter(generator.next_trial, None)]
    ours = drive(build(SPACES["mixed"]), SPACES["mixed"], 3, TRIALS, never)
    assert [dict(proposal.config) for proposal in ours] == theirs
    assert not ray.is_initialized()


def test_no_cluster_is_started() -> None:
    drive(build(SPACES["conditional"]), SPACES["conditional"], 3, TRIALS, never)
    assert not ray.is_initialized()


def test_a_space_with_nothing_to_search_is_refused() -> None:
    with pytest.raises(UsageError, match="two or more values"):
        build(SearchSpace((Integer("n", 3, 3),)))


@pytest.mark.parametrize("name", ["ray-ax", "ray-bayesopt", "ray-bohb", "ray-hebo", "ray-zoopt"])
def test_wrapped_searchers_say_why_they_are_left_out(name: str) -> None:
    with pytest.raises(UsageError, match="was left out: it"):
        REGISTRY.get(name)

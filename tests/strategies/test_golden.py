"""What our own strategies propose must not drift unseen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpbench.strategies.factory import create
from hpbench.testing.driving import drive, sometimes
from hpbench.testing.spawned import as_json
from hpbench.testing.strategy_kit import FULL_EPOCHS, SPACES

OURS = ("default", "genetic", "grid", "random", "sobol")


def proposed(name: str, space: str, seed: int) -> list[dict[str, Any]]:
    strategy = create(name, SPACES[space], full_epochs=FULL_EPOCHS, seed=seed, budget_trials=16, options={})
    return [as_json(proposal) for proposal in drive(strategy, SPACES[space], FULL_EPOCHS, 16, sometimes)]


def test_proposals_of_our_own_strategies(golden: Callable[[str, Any], None]) -> None:
    golden(
        "strategies.json",
        {
            f"{name}/{space}/{seed}": proposed(name, space, seed)
            for name in OURS
            for space in ("mixed", "conditional")
            for seed in (0, 20261120)
        },
    )

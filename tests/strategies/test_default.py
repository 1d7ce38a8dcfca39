from __future__ import annotations

from hpbench.strategies.default import DefaultStrategy
from hpbench.testing.strategy_kit import SPACES


def test_the_default_comes_once() -> None:
    strategy = DefaultStrategy(SPACES["conditional"], full_epochs=3, seed=0, budget_trials=5)
    first = strategy.ask()
    assert first is not None
    assert first.config == {"optimizer": "adam", "learning_rate": 1e-3}
    assert first.epochs is None
    assert [strategy.ask(), strategy.ask()] == [None, None]
    assert strategy.n_proposals == 1

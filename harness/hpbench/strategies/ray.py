"""Adapter to Ray Tune's own variant generator.

Ray Tune searches with it where no other algorithm is chosen. What else it offers wraps libraries that
have adapters of their own here, or that cannot be used; see ``hpbench.strategies.LEFT_OUT``.

References:
    Liaw et al. (2018), ICML AutoML workshop, arXiv:1807.05118 (Tune).
"""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np

from hpbench.space import Categorical, Float, Parameter, SearchSpace
from hpbench.strategies.adapting import check_searchable, completed, plain, searched
from hpbench.strategies.base import Capability, Strategy
from hpbench.strategies.isolation import PrivateGenerators
from hpbench.trial import Proposal, Trial

__all__ = ["VariantGeneratorStrategy"]


@final
class VariantGeneratorStrategy(Strategy):
    """Independent draws from Ray Tune's search space, its random search.

    Hyperparameters become Tune's own domains: ``uniform``, ``loguniform``, ``randint``, ``lograndint`` and
    ``choice``. Tune draws every one of them; those whose condition does not hold are left out of the
    proposal afterwards, which changes no distribution, because draws are independent. No Ray cluster
    is started.

    Failed trials are not told, and neither is anything else: the generator takes no results.

    Args:
        space: what is searched.
        full_epochs: the full fidelity.
        seed: ``random_state`` of the library.
        budget_trials: not used.

    Raises:
        UsageError: the space has nothing to search.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.CONDITIONAL, Capability.PARALLEL, Capability.NON_ADAPTIVE}
    )
    library: ClassVar[str | None] = "ray"
    name: ClassVar[str] = "ray-variant-generator"
    typical_ask_seconds: ClassVar[float] = 0.0004

    def __init__(self, space: SearchSpace, *, full_epochs: int, seed: int, budget_trials: int | None) -> None:
        super().__init__(space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials)
        check_searchable(self.name, type(self), space)
        with PrivateGenerators(0):  # importing it draws random numbers
            import ray.tune  # noqa: F401, PLC0415 - slow, and listing does without
        self._rng = np.random.default_rng(seed)
        self._domains = {item.name: _domain(item) for item in searched(space)}

    def ask(self) -> Proposal:
        """Return the next draw, in built-in types."""
        from ray.tune.search.variant_generator import generate_variants  # noqa: PLC0415 - slow to import

        ((_, drawn),) = generate_variants({"config": self._domains}, random_state=self._rng)
        values = {item.name: plain(item, drawn["config"][item.name]) for item in searched(self.space)}
        return Proposal(completed(self.space, values))

    def tell(self, trial: Trial) -> None:
        """Learn nothing."""


def _domain(parameter: Parameter) -> Any:
    """Return Tune's domain for ``parameter``; choices by their place, upper ends of integers excluded."""
    from ray import tune  # noqa: PLC0415 - slow to import

    if isinstance(parameter, Categorical):
        return tune.choice(list(range(len(parameter.choices))))
    if isinstance(parameter, Float):
        return (tune.loguniform if parameter.log else tune.uniform)(parameter.low, parameter.high)
    return (tune.lograndint if parameter.log else tune.randint)(parameter.low, parameter.high + 1)

"""Adapter to pymoo: its genetic algorithm for mixed variables.

References:
    Blank & Deb (2020), IEEE Access 8, 89497-89509 (pymoo).
    Deb, Sindhya & Okabe (2007), GECCO, 1187-1194 (simulated binary crossover, polynomial mutation).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Unpack, final

import numpy as np

from hpbench.space import Categorical, Float, Parameter, SearchSpace
from hpbench.strategies.adapting import check_least, check_searchable, completed, plain, searched
from hpbench.strategies.base import Given, Strategy
from hpbench.trial import Proposal, Trial, Value

__all__ = ["MixedGeneticStrategy"]


@final
class MixedGeneticStrategy(Strategy):
    """pymoo's ``MixedVariableGA``: random mating, an operator for each type, survival of the fittest.

    Floats become ``Real``, integers and ordered choices ``Integer``, switches ``Binary``, other choices
    ``Choice``. pymoo knows no logarithmic scale: a logarithmic hyperparameter becomes a ``Real``, its
    place on that scale in [0, 1], and an integer among them is rounded to the value that owns the place.
    A hyperparameter with a single value is left out and filled in.

    The population is proposed one by one and told as a whole. With the library's default of 50, a run
    of 50 trials is nothing but its random beginning; suites of small budgets should lower ``pop_size``.

    A failed trial is told as infinitely bad, so it survives only where there are no others.

    Args:
        space: what is searched; without conditions.
        full_epochs: the full fidelity.
        seed: of the library.
        budget_trials: not used.
        pop_size: individuals of the population.
        n_offsprings: children of a generation; None: as many as ``pop_size``.

    Raises:
        UsageError: the space has conditions or nothing to search, or a size is impossible.
    """

    library: ClassVar[str | None] = "pymoo"
    name: ClassVar[str] = "pymoo-ga"
    typical_ask_seconds: ClassVar[float] = 0.0001

    def __init__(
        self,
        space: SearchSpace,
        *,
        pop_size: int = 50,
        n_offsprings: int | None = None,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        check_searchable(self.name, type(self), space)
        sizes = {"pop_size": pop_size, "n_offsprings": n_offsprings}
        check_least(self.name, dict.fromkeys(sizes, 1), sizes)
        self._algorithm = self._built(pop_size, n_offsprings)
        self._generation: Any = None
        self._costs: dict[int, float] = {}
        self._first = 0
        self._asked = 0

    def ask(self) -> Proposal | None:
        """Return the next individual, in built-in types; None if mating finds nothing new."""
        if self._generation is None:
            self._generation = self._algorithm.ask()
            self._first = self._asked
        if self._generation is None or not len(self._generation):
            self._generation = None
            return None
        chosen = self._generation[self._asked - self._first].X
        self._asked += 1
        values = {item.name: _value(item, chosen[item.name]) for item in searched(self.space)}
        return Proposal(completed(self.space, values))

    def tell(self, trial: Trial) -> None:
        """Keep the result, and tell the library once the generation is complete."""
        from pymoo.core.evaluator import Evaluator  # noqa: PLC0415 - slow to import
        from pymoo.problems.static import StaticProblem  # noqa: PLC0415

        self._costs[trial.number] = math.inf if trial.objective is None else trial.objective
        if len(self._costs) < len(self._generation):
            return
        costs = np.array([[self._costs[number]] for number in sorted(self._costs)])
        Evaluator().eval(StaticProblem(self._algorithm.problem, F=costs), self._generation)
        self._algorithm.tell(infills=self._generation)
        self._generation, self._costs = None, {}

    def _built(self, pop_size: int, n_offsprings: int | None) -> Any:
        """Return the library's algorithm."""
        from pymoo.config import Config  # noqa: PLC0415 - slow to import, and listing options does without
        from pymoo.core.mixed import MixedVariableGA  # noqa: PLC0415
        from pymoo.core.problem import Problem  # noqa: PLC0415
        from pymoo.core.termination import NoTermination  # noqa: PLC0415

        Config.show_compile_hint = False
        problem = Problem(vars={item.name: _variable(item) for item in searched(self.space)}, n_obj=1)
        algorithm = MixedVariableGA(pop_size=pop_size, n_offsprings=n_offsprings)
        return algorithm.setup(problem, seed=self.seed, termination=NoTermination(), verbose=False)


def _variable(parameter: Parameter) -> Any:
    """Return the library's variable for ``parameter``."""
    from pymoo.core.variable import Binary, Choice, Integer, Real  # noqa: PLC0415 - slow to import

    if isinstance(parameter, Categorical):
        last = len(parameter.choices) - 1
        if parameter.ordered:
            return Integer(bounds=(0, last))
        return Binary() if _switch(parameter) else Choice(options=list(range(last + 1)))
    if parameter.log:
        return Real(bounds=(0.0, 1.0))
    return (Real if isinstance(parameter, Float) else Integer)(bounds=(parameter.low, parameter.high))


def _value(parameter: Parameter, chosen: Any) -> Value:
    """Return what the library chose as a plain value of the space."""
    if isinstance(parameter, Categorical):
        return bool(chosen) if _switch(parameter) else plain(parameter, chosen)
    return parameter.from_unit(float(chosen)) if parameter.log else plain(parameter, chosen)


def _switch(parameter: Categorical) -> bool:
    """Return whether ``parameter`` is unordered and on or off."""
    return not parameter.ordered and sorted(map(repr, parameter.choices)) == ["False", "True"]

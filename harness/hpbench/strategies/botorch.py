"""Adapter to BoTorch: the loop of its getting-started page, for mixed spaces.

References:
    Balandat et al. (2020), NeurIPS 33 (BoTorch).
    Ament et al. (2023), NeurIPS 36 (LogEI).
    Ru et al. (2020), ICML, 8276-8285 (the kernel for mixed spaces, alternating optimisation).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, final

from hpbench.space import Categorical, Float, Parameter, SearchSpace
from hpbench.strategies.adapting import check_least, check_searchable, completed, searched
from hpbench.strategies.base import Strategy
from hpbench.strategies.isolation import PrivateGenerators
from hpbench.trial import Proposal, Trial, Value

__all__ = ["LogExpectedImprovementStrategy"]

_MANY_VALUES = 1000
"""Integers of more values are not listed one by one."""


@final
class LogExpectedImprovementStrategy(Strategy):
    """Bayesian optimisation with BoTorch's Gaussian process and the logarithm of expected improvement.

    BoTorch has parts and no optimiser of its own; this is the loop of its documentation: a scrambled Sobol
    design, then ``SingleTaskGP`` (``MixedSingleTaskGP`` where there are unordered choices), fitted by
    ``fit_gpytorch_mll``, and ``LogExpectedImprovement``, maximised by ``optimize_acqf``, or by
    ``optimize_acqf_mixed_alternating`` where not everything is a float.

    Floats, integers and ordered choices are searched by their place in [0, 1] on their scale, as BoTorch
    asks for; integers and ordered choices as discrete, other choices as categorical dimensions. Integers
    of more than 1,000 values are searched like floats and rounded. A hyperparameter with a single value is
    left out and filled in.

    A failed trial counts as the worst result that any trial of the run has reached at the time of fitting.
    The Sobol design goes on until ``n_initial_points`` trials were told and one has succeeded.

    Args:
        space: what is searched; without conditions.
        full_epochs: the full fidelity.
        seed: of the Sobol design and of every draw of the library.
        budget_trials: not used.
        n_initial_points: Sobol points before the model is used; None: 2 (d + 1) for d hyperparameters, as in
            the library's tutorials.
        num_restarts: starting points of the maximisation of the acquisition function.
        raw_samples: points among which these are chosen.

    Raises:
        UsageError: the space has conditions or nothing to search, or an option is less than 1.
    """

    library: ClassVar[str | None] = "botorch"
    name: ClassVar[str] = "botorch-logei"
    typical_ask_seconds: ClassVar[float] = 5.0

    def __init__(
        self,
        space: SearchSpace,
        *,
        full_epochs: int,
        seed: int,
        budget_trials: int | None,
        n_initial_points: int | None = None,
        num_restarts: int = 20,
        raw_samples: int = 1024,
    ) -> None:
        super().__init__(space, full_epochs=full_epochs, seed=seed, budget_trials=budget_trials)
        check_searchable(self.name, type(self), space)
        options = {
            "n_initial_points": n_initial_points,
            "num_restarts": num_restarts,
            "raw_samples": raw_samples,
        }
        check_least(self.name, dict.fromkeys(options, 1), options)
        _load()
        import torch  # noqa: PLC0415 - slow to import, and listing options does without

        self._free = searched(space)
        self._n_initial = 2 * (len(self._free) + 1) if n_initial_points is None else n_initial_points
        self._search: dict[str, Any] = {"num_restarts": num_restarts, "raw_samples": raw_samples}
        self._generators = PrivateGenerators(seed)
        engine: Any = torch.quasirandom.SobolEngine  # torch gives it no types
        self._sobol = engine(len(self._free), scramble=True, seed=seed)
        self._points: list[Any] = []
        self._results: list[float | None] = []

    def ask(self) -> Proposal:
        """Return the next point of the design, or the one that promises most."""
        known = [result for result in self._results if result is not None]
        if len(self._results) < self._n_initial or not known:
            point = [
                _start(item, float(place)) for item, place in zip(self._free, self._drawn(), strict=True)
            ]
        else:
            point = self._promising(max(known))
        self._points.append(point)
        values = {item.name: _value(item, place) for item, place in zip(self._free, point, strict=True)}
        return Proposal(completed(self.space, values))

    def tell(self, trial: Trial) -> None:
        """Keep the result."""
        assert trial.number == len(self._results), "trials are told in the order of asking"  # noqa: S101
        self._results.append(trial.objective)

    def _drawn(self) -> list[float]:
        """Return the next point of the Sobol design, shape ``(d,)``."""
        drawn: list[float] = self._sobol.draw(1)[0].tolist()
        return drawn

    def _promising(self, worst: float) -> list[float]:
        """Return the maximum of the acquisition function, shape ``(d,)``."""
        with self._generators, warnings.catch_warnings():
            _expect_warnings()
            return self._maximum(self._acquisition(worst))

    def _acquisition(self, worst: float) -> Any:
        """Return the acquisition function of a model of all trials; failed ones count ``worst``."""
        import torch  # noqa: PLC0415 - slow to import
        from botorch.acquisition.analytic import LogExpectedImprovement  # noqa: PLC0415
        from botorch.fit import fit_gpytorch_mll  # noqa: PLC0415
        from botorch.models.gp_regression import SingleTaskGP  # noqa: PLC0415
        from botorch.models.gp_regression_mixed import MixedSingleTaskGP  # noqa: PLC0415
        from gpytorch.mlls import ExactMarginalLogLikelihood  # noqa: PLC0415

        points = torch.tensor(self._points[: len(self._results)], dtype=torch.double)
        gains = torch.tensor(
            [[-(worst if result is None else result)] for result in self._results], dtype=torch.double
        )
        categories = [place for place, item in enumerate(self._free) if _nominal(item)]
        model = MixedSingleTaskGP(points, gains, categories) if categories else SingleTaskGP(points, gains)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        return LogExpectedImprovement(model, best_f=gains.max())

    def _maximum(self, acquisition: Any) -> list[float]:
        """Return where ``acquisition`` is largest, shape ``(d,)``."""
        import torch  # noqa: PLC0415 - slow to import
        from botorch.optim.optimize import optimize_acqf  # noqa: PLC0415
        from botorch.optim.optimize_mixed import optimize_acqf_mixed_alternating  # noqa: PLC0415

        upper = [_coordinates(item)[-1] if _nominal(item) else 1.0 for item in self._free]
        bounds = torch.tensor([[0.0] * len(upper), upper], dtype=torch.double)
        discrete = {place: _coordinates(item) for place, item in enumerate(self._free) if _discrete(item)}
        categories = {place: _coordinates(item) for place, item in enumerate(self._free) if _nominal(item)}
        if discrete or categories:
            found, _ = optimize_acqf_mixed_alternating(
                acquisition, bounds, discrete_dims=discrete, cat_dims=categories, q=1, **self._search
            )
        else:
            found, _ = optimize_acqf(acquisition, bounds, q=1, **self._search)
        maximum: list[float] = found[0].tolist()
        return maximum


def _load() -> None:
    """Import the library, before generators are made private: what importing draws is none of theirs."""
    with warnings.catch_warnings():
        # linear_operator compiles with torch.jit.script, which torch calls deprecated
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        import botorch  # noqa: F401, PLC0415 - slow to import, and listing options does without


def _expect_warnings() -> None:
    """Let pass what the library says when a fit or a search needs another attempt, which it then makes."""
    from botorch.exceptions.warnings import BotorchWarning  # noqa: PLC0415 - slow to import
    from linear_operator.utils.warnings import NumericalWarning  # noqa: PLC0415

    warnings.simplefilter("ignore", BotorchWarning)
    warnings.simplefilter("ignore", NumericalWarning)
    warnings.filterwarnings("ignore", "Optimization failed", RuntimeWarning)


def _nominal(parameter: Parameter) -> bool:
    """Return whether ``parameter`` is a choice without an order."""
    return isinstance(parameter, Categorical) and not parameter.ordered


def _discrete(parameter: Parameter) -> bool:
    """Return whether ``parameter`` is one of few values in order."""
    return not isinstance(parameter, Float) and not _nominal(parameter) and parameter.n_values <= _MANY_VALUES


def _values(parameter: Parameter) -> Sequence[Value]:
    """Return the values of a nominal or discrete ``parameter``, in their order."""
    assert not isinstance(parameter, Float), "floats have no list of values"  # noqa: S101 - our own invariant
    if isinstance(parameter, Categorical):
        return parameter.choices
    return range(parameter.low, parameter.high + 1)


def _coordinates(parameter: Parameter) -> list[float]:
    """Return where the values of a nominal or discrete ``parameter`` lie, in their order; 0 is the first.

    Those of a nominal one are their places in the list; those of a discrete one span [0, 1], evenly
    on its scale.
    """
    if _nominal(parameter):
        return [float(place) for place in range(int(parameter.n_values))]
    units = [parameter.to_unit(value) for value in _values(parameter)]
    return [(unit - units[0]) / (units[-1] - units[0]) for unit in units]


def _start(parameter: Parameter, unit: float) -> float:
    """Return the coordinate of the value that owns ``unit`` in [0, 1]."""
    if not (_nominal(parameter) or _discrete(parameter)):
        return unit
    value = parameter.from_unit(unit)
    place = parameter.index(value) if isinstance(parameter, Categorical) else _values(parameter).index(value)
    return _coordinates(parameter)[place]


def _value(parameter: Parameter, coordinate: float) -> Value:
    """Return the plain value of the space at ``coordinate``, the nearest one that there is."""
    if not (_nominal(parameter) or _discrete(parameter)):
        return parameter.from_unit(coordinate)
    distances = [abs(place - coordinate) for place in _coordinates(parameter)]
    return _values(parameter)[distances.index(min(distances))]

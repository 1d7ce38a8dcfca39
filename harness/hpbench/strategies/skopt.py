"""Adapters to scikit-optimize: Bayesian optimisation with four surrogates.

References:
    Jones, Schonlau & Welch (1998), Journal of Global Optimization 13, 455-492 (expected improvement).
    Snoek, Larochelle & Adams (2012), NeurIPS 25 (Gaussian processes for hyperparameters).
    Hutter, Hoos & Leyton-Brown (2011), LION 5, 507-523 (forests as surrogates).
    Hoffman, Brochu & de Freitas (2011), UAI (the ``gp_hedge`` portfolio of acquisitions).
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Unpack, final

from hpbench.errors import UsageError, unknown_name
from hpbench.space import Categorical, Float, Parameter, SearchSpace
from hpbench.strategies.adapting import check_least, check_searchable, completed, plain, searched
from hpbench.strategies.base import Given, Strategy
from hpbench.strategies.isolation import PrivateGenerators
from hpbench.trial import Proposal, Trial, Value

__all__ = [
    "BoostedTreesStrategy",
    "ExpectedImprovementStrategy",
    "ForestStrategy",
    "GaussianProcessStrategy",
    "RandomForestStrategy",
    "SkoptStrategy",
]

_UNTIL_KNOWN = 1.0
"""What a failed trial counts before any trial succeeded: the largest validation error there is."""

_REFUSED = {
    "MES": "it reads numpy's global generator, so a run could not be repeated",
    "EIps": "it needs the seconds of every trial, which strategies are not told",
    "PIps": "it needs the seconds of every trial, which strategies are not told",
}
_KWARGS = {
    "acq_func_kwargs": ("eta", "kappa", "n_thompson", "xi"),
    "acq_optimizer_kwargs": ("n_jobs", "n_points", "n_restarts_optimizer"),
}


class SkoptStrategy(Strategy):
    """``skopt.Optimizer``, asked and told one trial at a time, with its own defaults.

    Hyperparameters become scikit-optimize's own dimensions: reals and integers with the prior
    ``log-uniform`` where the space is logarithmic, ordered choices as their place in the list,
    unordered ones as categories. A hyperparameter with a single value is left out and filled in.

    A failed trial is told as the worst objective that any trial of the run has reached so far, and is
    raised again when a later one turns out worse; until one has succeeded it counts 1.

    Acquisitions that cannot work here are refused with the reason: ``"MES"``, the ones per second, and
    ``"PVRS"`` without a Gaussian process.

    Args:
        space: what is searched; without conditions.
        full_epochs: the full fidelity.
        seed: ``random_state`` of the library.
        budget_trials: not used.
        n_initial_points: trials before the surrogate is used, at least 1.
        initial_point_generator: how those are drawn.
        n_jobs: threads of the surrogate, where it has any.
        acq_func: the acquisition function.
        acq_optimizer: how it is optimised.
        acq_func_kwargs: ``xi``, ``kappa``, ``eta``, ``n_thompson``.
        acq_optimizer_kwargs: ``n_points``, ``n_restarts_optimizer``, ``n_jobs``.
        model_queue_size: how many fitted surrogates are kept; None for all.
        avoid_duplicates: propose a random point instead of one that was evaluated before.

    Raises:
        UsageError: the space has conditions or nothing to search, or the library refuses an option.
    """

    library: ClassVar[str | None] = "scikit-optimize"
    name: ClassVar[str]
    _refused: ClassVar[Mapping[str, str]] = _REFUSED | {"PVRS": "it needs a Gaussian process"}

    def __init__(
        self,
        space: SearchSpace,
        *,
        n_initial_points: int = 10,
        initial_point_generator: Literal["random", "sobol", "halton", "hammersly", "lhs", "grid"] = "random",
        n_jobs: int = 1,
        acq_func: str = "gp_hedge",
        acq_optimizer: Literal["auto", "sampling", "lbfgs"] = "auto",
        acq_func_kwargs: dict[str, float] | None = None,
        acq_optimizer_kwargs: dict[str, int] | None = None,
        model_queue_size: int | None = None,
        avoid_duplicates: bool = True,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        self._free = searched(space)
        options = {
            "n_initial_points": n_initial_points,
            "initial_point_generator": initial_point_generator,
            "n_jobs": n_jobs,
            "acq_func": acq_func,
            "acq_optimizer": acq_optimizer,
            "acq_func_kwargs": acq_func_kwargs,
            "acq_optimizer_kwargs": acq_optimizer_kwargs,
            "model_queue_size": model_queue_size,
            "avoid_duplicates": avoid_duplicates,
        }
        self._check(options)
        with PrivateGenerators(0):  # importing it draws random numbers
            import skopt  # noqa: F401, PLC0415 - slow, and listing options does without
        self._optimizer = self._built(options)
        self._points: list[list[Any]] = []
        self._failed: list[int] = []
        self._worst: float | None = None

    def ask(self) -> Proposal:
        """Return the point that the library suggests, in built-in types."""
        with warnings.catch_warnings():
            # with avoid_duplicates the library says so each time; there is nothing to do about it
            warnings.filterwarnings("ignore", "The objective has been evaluated at", UserWarning)
            point = self._optimizer.ask()
        self._points.append(point)
        pairs = zip(self._free, point, strict=True)
        return Proposal(completed(self.space, {item.name: _value(item, value) for item, value in pairs}))

    def tell(self, trial: Trial) -> None:
        """Tell the library; a failed trial as the worst objective so far."""
        if trial.objective is None:
            self._failed.append(len(self._optimizer.yi))
            told = _UNTIL_KNOWN if self._worst is None else self._worst
        else:
            told = float(trial.objective)
            self._worst = told if self._worst is None else max(self._worst, told)
            for place in self._failed:
                self._optimizer.yi[place] = self._worst
        self._optimizer.tell(self._points[trial.number], told)

    @abstractmethod
    def _surrogate(self, n_jobs: int) -> Any:
        """Return what the library takes as ``base_estimator``."""

    def _check(self, options: dict[str, Any]) -> None:
        """Raise where the library would fail late or ignore an option without a word."""
        check_searchable(self.name, type(self), self.space)
        check_least(self.name, {"n_initial_points": 1, "model_queue_size": 1}, options)
        reason = self._refused.get(options["acq_func"])
        if reason is not None:
            raise UsageError(
                f"strategy {self.name!r} cannot use acq_func = {options['acq_func']!r}: {reason}."
            )
        for key, known in _KWARGS.items():
            for name in options[key] or {}:
                if name not in known:
                    raise unknown_name(f"key of {key} of strategy {self.name!r}:", name, known)

    def _built(self, options: dict[str, Any]) -> Any:
        """Return the library's optimiser."""
        from skopt import Optimizer  # noqa: PLC0415 - as above

        dimensions = [_dimension(parameter) for parameter in self._free]
        try:
            return Optimizer(
                dimensions,
                base_estimator=self._surrogate(options["n_jobs"]),
                random_state=self.seed,
                **options,
            )
        except ValueError as error:
            raise UsageError(
                f"strategy {self.name!r}: scikit-optimize refuses its options: {error}"
            ) from error


@final
class GaussianProcessStrategy(SkoptStrategy):
    """Bayesian optimisation with a Gaussian process, Matérn 5/2 kernel and estimated noise."""

    name: ClassVar[str] = "skopt-gp"
    typical_ask_seconds: ClassVar[float] = 0.4
    _refused: ClassVar[Mapping[str, str]] = _REFUSED

    def _surrogate(self, n_jobs: int) -> Any:  # noqa: ARG002 - the library passes it on itself
        return "GP"


@final
class ExpectedImprovementStrategy(SkoptStrategy):
    """Bayesian optimisation with the Gaussian process of ``skopt-gp`` and expected improvement.

    It differs from ``skopt-gp`` by ``acq_func="EI"`` alone, which is therefore no option.
    """

    name: ClassVar[str] = "skopt-gp-ei"
    typical_ask_seconds: ClassVar[float] = 0.2

    def __init__(
        self,
        space: SearchSpace,
        *,
        n_initial_points: int = 10,
        initial_point_generator: Literal["random", "sobol", "halton", "hammersly", "lhs", "grid"] = "random",
        n_jobs: int = 1,
        acq_optimizer: Literal["auto", "sampling", "lbfgs"] = "auto",
        acq_func_kwargs: dict[str, float] | None = None,
        acq_optimizer_kwargs: dict[str, int] | None = None,
        model_queue_size: int | None = None,
        avoid_duplicates: bool = True,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(
            space,
            n_initial_points=n_initial_points,
            initial_point_generator=initial_point_generator,
            n_jobs=n_jobs,
            acq_func="EI",
            acq_optimizer=acq_optimizer,
            acq_func_kwargs=acq_func_kwargs,
            acq_optimizer_kwargs=acq_optimizer_kwargs,
            model_queue_size=model_queue_size,
            avoid_duplicates=avoid_duplicates,
            **given,
        )

    def _surrogate(self, n_jobs: int) -> Any:  # noqa: ARG002 - the library passes it on itself
        return "GP"


@final
class ForestStrategy(SkoptStrategy):
    """Bayesian optimisation with extremely randomised trees, the library's default forest."""

    name: ClassVar[str] = "skopt-forest"
    typical_ask_seconds: ClassVar[float] = 0.5

    def _surrogate(self, n_jobs: int) -> Any:  # noqa: ARG002 - the library passes it on itself
        return "ET"


@final
class RandomForestStrategy(SkoptStrategy):
    """Bayesian optimisation with a random forest: trees of resampled trials."""

    name: ClassVar[str] = "skopt-random-forest"
    typical_ask_seconds: ClassVar[float] = 0.4

    def _surrogate(self, n_jobs: int) -> Any:  # noqa: ARG002 - the library passes it on itself
        return "RF"


@final
class BoostedTreesStrategy(SkoptStrategy):
    """Bayesian optimisation with boosted trees for three quantiles (see ``quantile_trees``)."""

    name: ClassVar[str] = "skopt-gbrt"
    typical_ask_seconds: ClassVar[float] = 0.2

    def _surrogate(self, n_jobs: int) -> Any:
        from hpbench.strategies.quantile_trees import quantile_trees  # noqa: PLC0415 - imports skopt

        return quantile_trees(self.seed, n_jobs)


def _dimension(parameter: Parameter) -> Any:
    """Return the library's dimension for ``parameter``."""
    from skopt import space  # noqa: PLC0415 - as above

    if isinstance(parameter, Categorical):
        if parameter.ordered:
            return space.Integer(0, len(parameter.choices) - 1, name=parameter.name)
        # as text, because numpy would turn a mixture of types into one type
        return space.Categorical([repr(choice) for choice in parameter.choices], name=parameter.name)
    kind = space.Real if isinstance(parameter, Float) else space.Integer
    prior = "log-uniform" if parameter.log else "uniform"
    return kind(parameter.low, parameter.high, prior=prior, name=parameter.name)


def _value(parameter: Parameter, suggested: Any) -> Value:
    """Return what the library suggests (``np.int64``, ``np.str_``, …) as a plain value of the space."""
    if isinstance(parameter, Categorical) and not parameter.ordered:
        return {repr(choice): choice for choice in parameter.choices}[str(suggested)]
    return plain(parameter, suggested)

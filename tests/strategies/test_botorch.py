"""BoTorch through hpbench proposes what the loop of its documentation would, and keeps the kit's promises."""

from __future__ import annotations

import inspect
import warnings
from types import MappingProxyType
from typing import Any

import pytest

from hpbench.errors import UsageError
from hpbench.space import Float, Integer, SearchSpace
from hpbench.strategies.botorch import LogExpectedImprovementStrategy
from hpbench.strategies.factory import describe_options
from hpbench.testing.driving import always, drive, never, smooth_error
from hpbench.testing.strategy_kit import SPACES, StrategyConformance
from hpbench.trial import Config, Status, Trial

botorch = pytest.importorskip("botorch", reason="needs the extra 'botorch'")

QUICK: dict[str, Any] = {"n_initial_points": 2, "num_restarts": 2, "raw_samples": 16}
FLOATS = SearchSpace((Float("x", 0.0, 1.0), Float("rate", 1e-4, 1e-1, log=True)))
MIXED = SPACES["mixed"]
BATCH_SIZES = [
    (MIXED["batch_size"].to_unit(value) - 0.125) / 0.75 for value in (16, 32, 64, 128)
]  # evenly in [0, 1]


class TestBoTorch(StrategyConformance):
    strategy = LogExpectedImprovementStrategy
    options = MappingProxyType(QUICK)
    trials = 4


def build(space: SearchSpace, seed: int = 3, **options: Any) -> LogExpectedImprovementStrategy:
    chosen = {**QUICK, **options}
    return LogExpectedImprovementStrategy(space, full_epochs=3, seed=seed, budget_trials=None, **chosen)


def documented(
    dimensions: int, upper: list[float], *, trials: int, read: Any, start: Any, make: Any, maximise: Any
) -> list[Config]:
    """Return what the loop of BoTorch's documentation evaluates: Sobol, fit, maximise, again."""
    import torch
    from botorch.acquisition import LogExpectedImprovement
    from botorch.fit import fit_gpytorch_mll
    from gpytorch.mlls import ExactMarginalLogLikelihood

    bounds = torch.tensor([[0.0] * dimensions, upper], dtype=torch.double)
    design = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=3).draw(2)
    points = torch.stack([torch.tensor(start(row.tolist()), dtype=torch.double) for row in design])
    seen = [read(row.tolist()) for row in points]
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(3)
        while len(seen) < trials:
            space = FLOATS if dimensions == 2 else MIXED
            gains = torch.tensor([[-smooth_error(space, config)] for config in seen], dtype=torch.double)
            model = make(points, gains)
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            found, _ = maximise(LogExpectedImprovement(model, best_f=gains.max()), bounds)
            points = torch.cat([points, found])
            seen.append(read(found[0].tolist()))
    return seen


def test_it_proposes_what_the_documented_loop_would_on_floats() -> None:
    from botorch.models import SingleTaskGP
    from botorch.optim import optimize_acqf

    theirs = documented(
        2,
        [1.0, 1.0],
        trials=6,
        read=FLOATS.from_unit,
        start=lambda row: row,
        make=SingleTaskGP,
        maximise=lambda function, bounds: optimize_acqf(
            function, bounds=bounds, q=1, num_restarts=2, raw_samples=16
        ),
    )
    assert [item.config for item in drive(build(FLOATS), FLOATS, 3, 6, never)] == theirs


def test_it_proposes_what_the_documented_loop_would_on_a_mixed_space() -> None:
    from botorch.models import MixedSingleTaskGP
    from botorch.optim.optimize_mixed import optimize_acqf_mixed_alternating

    width = MIXED["width"]
    units = [width.to_unit(value) for value in range(8, 513)]
    widths = [(unit - units[0]) / (units[-1] - units[0]) for unit in units]
    layers = [(value - 1) / 2 for value in (1, 2, 3)]
    discrete = {2: layers, 3: widths, 4: BATCH_SIZES}
    categories = {5: [0.0, 1.0, 2.0], 6: [0.0, 1.0]}

    def read(point: list[float]) -> Config:
        return {
            "learning_rate": MIXED["learning_rate"].from_unit(point[0]),
            "dropout": MIXED["dropout"].from_unit(point[1]),
            "layers": layers.index(point[2]) + 1,
            "width": widths.index(point[3]) + 8,
            "batch_size": (16, 32, 64, 128)[BATCH_SIZES.index(point[4])],
            "activation": ("relu", "tanh", "gelu")[int(point[5])],
            "nesterov": bool(point[6]),
        }

    def start(row: list[float]) -> list[float]:
        config = MIXED.from_unit(row)
        return [
            *row[:2],
            layers[config["layers"] - 1],
            widths[config["width"] - 8],
            BATCH_SIZES[(16, 32, 64, 128).index(config["batch_size"])],
            float(("relu", "tanh", "gelu").index(config["activation"])),
            float(config["nesterov"]),
        ]

    theirs = documented(
        7,
        [1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 1.0],
        trials=4,
        read=read,
        start=start,
        make=lambda points, gains: MixedSingleTaskGP(points, gains, [5, 6]),
        maximise=lambda function, bounds: optimize_acqf_mixed_alternating(
            function, bounds, discrete_dims=discrete, cat_dims=categories, q=1, num_restarts=2, raw_samples=16
        ),
    )
    assert [item.config for item in drive(build(MIXED), MIXED, 3, 4, never)] == theirs


def test_defaults_are_those_of_the_library() -> None:
    from botorch.optim.optimize_mixed import optimize_acqf_mixed_alternating

    theirs = inspect.signature(optimize_acqf_mixed_alternating).parameters
    defaults = {option.name: option.default for option in describe_options("botorch-logei")}
    assert defaults.pop("n_initial_points") is None
    assert defaults == {name: theirs[name].default for name in ("num_restarts", "raw_samples")}


def test_a_failed_trial_counts_as_the_worst_when_the_model_is_fitted() -> None:
    strategy = build(FLOATS)
    for number, objective in enumerate([None, 0.4, 0.9]):
        config = strategy.ask().config
        status = Status.DIVERGED if objective is None else Status.OK
        strategy.tell(Trial(number, config, status, objective, 0, 3))
    model = strategy._acquisition(0.9).model
    (told,) = model.outcome_transform.untransform(model.train_targets.unsqueeze(-1))[0].T.tolist()
    assert told == pytest.approx([-0.9, -0.4, -0.9])


def test_the_design_goes_on_until_something_succeeds() -> None:
    strategy = build(FLOATS)
    assert len(drive(strategy, FLOATS, 3, 8, always)) == 8


def test_the_design_is_as_large_as_in_the_tutorials() -> None:
    assert build(FLOATS, n_initial_points=None)._n_initial == 6


def test_impossible_options_and_spaces_are_refused() -> None:
    with pytest.raises(UsageError, match="num_restarts >= 1"):
        build(FLOATS, num_restarts=0)
    with pytest.raises(UsageError, match="CONDITIONAL"):
        build(SPACES["conditional"])
    with pytest.raises(UsageError, match="two or more values"):
        build(SearchSpace((Integer("n", 3, 3),)))

"""What a family of one's own gets by saying nothing, and what it is refused for."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from hpbench.errors import UsageError
from hpbench.space import Categorical, Float, Integer
from hpbench.tasks.networks import NetworkFamily, training_space
from hpbench.tasks.networks.base import TRAINING_CONSTANTS, TRAINING_LIMITS, training_parameters
from hpbench.trial import Config


def plain(config: Config, input_shape: tuple[int, ...], n_classes: int) -> Any:
    """Return a network of torch's own layers."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(math.prod(input_shape), n_classes), *config.get("layers", ())
    )


def test_a_family_that_says_nothing_is_trained_one_trial_at_a_time() -> None:
    space = training_space(Integer("width", 4, 8), Categorical("kind", ("a", "b")), Float("scale", 0.0, 1.0))
    family = NetworkFamily("plain", space, plain)
    assert (family.cohort, family.compiled) == (False, False)
    assert family.shaping == ("width", "kind", "batch_size")
    assert family.limits == TRAINING_LIMITS
    assert NetworkFamily("fixed", space.fixed("width", 4), plain).shaping == ("kind", "width", "batch_size")
    assert NetworkFamily("told", space, plain, shaping=("scale",)).shaping == ("scale",)


def test_a_space_is_its_own_hyperparameters_and_those_of_training() -> None:
    space = training_space(Integer("width", 4, 8), width=5, learning_rate=0.01)
    assert space.names == ("width", *(parameter.name for parameter in training_parameters()))
    assert space.constants == TRAINING_CONSTANTS
    assert (space.default_config()["width"], space.default_config()["learning_rate"]) == (5, 0.01)
    less = training_space(without=["dropout", "nesterov"])
    assert "dropout" not in {*less.names, *less.defaults}
    assert less.constants == {"label_smoothing": 0.0}
    assert training_space(label_smoothing=0.1).constants["label_smoothing"] == 0.1


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"without": ["dorpout"]},
            "unknown hyperparameter of the training 'dorpout'. Did you mean 'dropout'?",
        ),
        ({"widht": 9}, "unknown hyperparameter 'widht'. Did you mean 'width'?"),
        ({"without": ["dropout"], "dropout": 0.1}, "unknown hyperparameter 'dropout'."),
    ],
)
def test_a_space_knows_every_name_that_it_is_given(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        training_space(Integer("width", 4, 8), **keys)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Dropout(0.1),
        nn.Dropout2d(0.1),
        nn.AlphaDropout(0.1),
        nn.RReLU(),
        nn.GRU(3, 3, num_layers=2, dropout=0.1),
        nn.MultiheadAttention(4, 2, dropout=0.1),
        nn.TransformerEncoderLayer(4, 2, 8),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_that_draws_from_a_global_generator_is_refused(layer: nn.Module) -> None:
    family = NetworkFamily("plain", training_space(), plain)
    with pytest.raises(UsageError, match=r"network 'plain' must draw nothing from a global generator .*'2"):
        family.build({"layers": (layer,)}, (4,), 3)


@pytest.mark.parametrize("layer", [nn.Dropout(0.0), nn.LSTM(3, 3), nn.TransformerEncoderLayer(4, 2, 8, 0.0)])
def test_a_layer_that_could_draw_and_does_not_is_fine(layer: nn.Module) -> None:
    family = replace(NetworkFamily("plain", training_space(), plain), name="other")
    assert layer in list(family.build({"layers": (layer,)}, (4,), 3))


def test_what_is_no_module_is_refused() -> None:
    family = NetworkFamily("odd", training_space(), lambda *_: "a network")  # type: ignore[arg-type,return-value]
    with pytest.raises(
        UsageError, match=r"`build` of network 'odd' must return a torch.nn.Module, got str\."
    ):
        family.build({}, (4,), 3)

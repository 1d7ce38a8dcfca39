"""The reference trainer against loops written out by hand."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hpbench.errors import UsageError
from hpbench.seeding import training_stream
from hpbench.tasks import datasets
from hpbench.tasks.datasets.splits import split
from hpbench.tasks.networks import REGISTRY
from hpbench.tasks.networks.layers import Dropout
from hpbench.tasks.training import reference
from hpbench.tasks.training.data import DeviceSplit
from hpbench.tasks.training.outcome import Scores, unexplained
from hpbench.tasks.training.randomness import batch_order, dropout_key, step_seeds
from hpbench.tasks.training.recipe import Recipe
from hpbench.tasks.training.reference import ReferenceState, ReferenceTrainer, make_optimizer, score

CPU = torch.device("cpu")
FAMILY = REGISTRY.get("mlp")
STREAM = training_stream(0, "reference", 0)
PLAIN = {
    "layers": 1,
    "width": 16,
    "activation": "relu",
    "learning_rate": 0.01,
    "batch_size": 30,
    "dropout": 0.0,
    "l1": 0.0,
    "weight_decay": 0.0,
    "optimizer": "sgd",
    "momentum": 0.0,
    "schedule": "constant",
}
"""One hidden layer and the plainest training there is."""


@pytest.fixture(scope="module")
def data() -> DeviceSplit:
    """Iris: 90 examples to train on."""
    parts = split(
        datasets.load("iris"), root_seed=0, repetition=0, validation_fraction=0.2, test_fraction=0.2
    )
    return DeviceSplit.of(parts, CPU)


def trainer(full_epochs: int = 4, patience: int | None = None) -> ReferenceTrainer:
    """Return a trainer of mlps."""
    return ReferenceTrainer(FAMILY, n_classes=3, full_epochs=full_epochs, device=CPU, patience=patience)


def trained(
    data: DeviceSplit, epochs: int = 1, full_epochs: int = 4, patience: int | None = None, **values: Any
) -> ReferenceState:
    """Return the state after ``epochs`` under the plain configuration with changes."""
    own = trainer(full_epochs, patience)
    state = own.start({**PLAIN, **values}, data, STREAM)
    own.advance(state, data, STREAM, epochs)
    return state


def values_of(module: nn.Module) -> list[Tensor]:
    """Return copies of all parameters."""
    return [parameter.detach().clone() for parameter in module.parameters()]


def recipe(**values: Any) -> Recipe:
    """Return a recipe."""
    return Recipe.of({**PLAIN, **values}, 90)


# optimisers


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("rmsprop", torch.optim.RMSprop)],
)
def test_an_optimiser_has_torchs_defaults_where_the_recipe_says_nothing(name: str, kind: Any) -> None:
    module = nn.Linear(2, 2)
    optimizer = make_optimizer(
        module, recipe(optimizer=name, learning_rate=0.5, weight_decay=0.25, momentum=0.9)
    )
    assert type(optimizer) is kind
    assert optimizer.defaults == {**kind(module.parameters()).defaults, "lr": 0.5, "weight_decay": 0.25}


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True), (0.0, True)])
def test_sgd_has_momentum_and_looks_ahead_if_there_is_any(
    momentum: float,
    nesterov: bool,  # noqa: FBT001 - parametrised
) -> None:
    module = nn.Linear(2, 2)
    optimizer = make_optimizer(module, recipe(momentum=momentum, nesterov=nesterov, weight_decay=0.1))
    assert type(optimizer) is torch.optim.SGD
    expected = {"lr": 0.01, "momentum": momentum, "nesterov": nesterov and momentum > 0, "weight_decay": 0.1}
    assert optimizer.defaults == {**torch.optim.SGD(module.parameters()).defaults, **expected}


def test_every_parameter_is_trained() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    (group,) = make_optimizer(module, recipe(optimizer="adam")).param_groups
    assert [id(item) for item in group["params"]] == [id(item) for item in module.parameters()]


# the loop


def by_hand(data: DeviceSplit, epochs: int, full_epochs: int, values: dict[str, Any]) -> nn.Module:
    """Train as the contract says, without the trainer: the loop written out once more."""
    config = {**PLAIN, **values}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(STREAM.child("weights").integer64())
        module = nn.Sequential(nn.Linear(4, config["width"]), nn.ReLU(), nn.Linear(config["width"], 3))
    kinds = {
        "sgd": lambda weights: torch.optim.SGD(
            weights, lr=1.0, momentum=config["momentum"], weight_decay=config["weight_decay"]
        ),
        "adam": lambda weights: torch.optim.Adam(weights, weight_decay=config["weight_decay"]),
        "adamw": lambda weights: torch.optim.AdamW(weights, weight_decay=config["weight_decay"]),
        "rmsprop": lambda weights: torch.optim.RMSprop(weights, weight_decay=config["weight_decay"]),
    }
    optimizer = kinds[config["optimizer"]](module.parameters())
    steps, done = 90 // config["batch_size"], 0
    for epoch in range(epochs):
        generator = torch.Generator().manual_seed(STREAM.child("order", epoch).integer64())
        order = torch.randperm(90, generator=generator)
        for step in range(steps):
            chosen = order[step * config["batch_size"] : (step + 1) * config["batch_size"]]
            cosine = 0.5 * (1 + math.cos(math.pi * done / (full_epochs * steps)))
            factor = cosine if config["schedule"] == "cosine" else 1.0
            optimizer.param_groups[0]["lr"] = config["learning_rate"] * factor
            optimizer.zero_grad()
            smoothing = config.get("label_smoothing", 0.0)
            logits = module(data.train_inputs[chosen])
            loss = functional.cross_entropy(logits, data.train_targets[chosen], label_smoothing=smoothing)
            weights = sum(item.weight.abs().sum() for item in module if isinstance(item, nn.Linear))
            (loss + config["l1"] * weights).backward()
            optimizer.step()
            done += 1
    return module


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"momentum": 0.9, "weight_decay": 0.01, "batch_size": 16},
        {"optimizer": "adam", "weight_decay": 0.01, "schedule": "cosine", "batch_size": 16},
        {"optimizer": "adamw", "weight_decay": 0.1, "label_smoothing": 0.1},
        {"optimizer": "rmsprop", "weight_decay": 0.01, "l1": 1e-3, "schedule": "cosine"},
        {"batch_size": 90, "l1": 1e-2},
    ],
)
def test_training_equals_a_loop_written_by_hand(data: DeviceSplit, values: dict[str, Any]) -> None:
    found = trained(data, epochs=3, **values).module
    expected = by_hand(data, epochs=3, full_epochs=4, values=values)
    for one, other in zip(values_of(found), values_of(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_the_curve_and_the_counts_are_those_of_the_module(data: DeviceSplit) -> None:
    state = trained(data, epochs=3)
    module = by_hand(data, epochs=3, full_epochs=4, values={})
    with torch.no_grad():
        correct = int((module(data.val_inputs).argmax(dim=1) == data.val_targets).sum())
        loss = functional.cross_entropy(module(data.val_inputs), data.val_targets)
    assert state.outcome.last is not None
    assert (state.outcome.last.correct, state.outcome.last.total) == (correct, 30)
    assert state.outcome.last.loss == pytest.approx(loss.item(), rel=1e-5)
    assert (state.epochs, state.steps, len(state.outcome.curve)) == (3, 9, 3)


def test_the_schedule_ends_near_zero(data: DeviceSplit) -> None:
    state = trained(data, epochs=4, schedule="cosine")
    (group,) = state.optimizer.param_groups
    assert 0.0 < group["lr"] < 0.01 * 0.02
    assert trained(data, epochs=4).optimizer.param_groups[0]["lr"] == 0.01


def test_the_schedule_runs_over_the_full_fidelity_not_over_what_is_asked(data: DeviceSplit) -> None:
    (group,) = trained(data, epochs=2, full_epochs=4, schedule="cosine").optimizer.param_groups
    assert group["lr"] == pytest.approx(0.01 * 0.5 * (1 + math.cos(math.pi * 5 / 12)))


# regularisers


def one_step(data: DeviceSplit, **values: Any) -> list[Tensor]:
    """Return the parameters after a single step over all training examples."""
    return values_of(trained(data, full_epochs=1, batch_size=90, **values).module)


def start_values(data: DeviceSplit) -> list[Tensor]:
    """Return the initial parameters."""
    return values_of(trainer().start(PLAIN, data, STREAM).module)


def test_l1_pulls_weights_towards_zero_and_leaves_biases_alone(data: DeviceSplit) -> None:
    start, without, with_l1 = start_values(data), one_step(data), one_step(data, l1=0.1)
    for first, plain, pulled in zip(start, without, with_l1, strict=True):
        expected = plain - 0.01 * 0.1 * first.sign() if first.ndim > 1 else plain
        torch.testing.assert_close(pulled, expected, rtol=1e-5, atol=1e-7)


def test_a_coupled_penalty_is_added_to_the_gradient(data: DeviceSplit) -> None:
    start, without = start_values(data), one_step(data)
    for first, plain, decayed in zip(start, without, one_step(data, weight_decay=0.5), strict=True):
        torch.testing.assert_close(decayed, plain - 0.01 * 0.5 * first, rtol=1e-5, atol=1e-7)


def test_a_decoupled_penalty_shrinks_the_weights_themselves(data: DeviceSplit) -> None:
    start, without = start_values(data), one_step(data, optimizer="adam")
    for first, plain, decayed in zip(
        start, without, one_step(data, optimizer="adamw", weight_decay=0.5), strict=True
    ):
        torch.testing.assert_close(decayed, plain - 0.01 * 0.5 * first, rtol=1e-5, atol=1e-6)


def test_adams_penalty_is_coupled_and_adamws_is_not(data: DeviceSplit) -> None:
    # Adam's first step has the length of the learning rate whatever is added to the gradient.
    coupled = one_step(data, optimizer="adam", weight_decay=0.5)
    for first, after in zip(start_values(data), coupled, strict=True):
        assert (after - first).abs().max().item() <= 0.01 * 1.001
    decoupled = one_step(data, optimizer="adamw", weight_decay=0.5)
    assert not all(torch.equal(one, other) for one, other in zip(coupled, decoupled, strict=True))


def test_without_a_penalty_adam_and_adamw_are_one(data: DeviceSplit) -> None:
    adam, adamw = (values_of(trained(data, 2, optimizer=name).module) for name in ("adam", "adamw"))
    for one, other in zip(adam, adamw, strict=True):
        torch.testing.assert_close(one, other)


def test_label_smoothing_spreads_the_targets(data: DeviceSplit) -> None:
    module = trainer().start(PLAIN, data, STREAM).module
    order = batch_order(STREAM, 0, 90, 90)[0]
    targets = functional.one_hot(data.train_targets[order], 3) * 0.8 + 0.2 / 3
    logits = module(data.train_inputs[order])
    loss = -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()
    gradients = torch.autograd.grad(loss, list(module.parameters()))
    smoothed = one_step(data, label_smoothing=0.2)
    for first, gradient, after in zip(values_of(module), gradients, smoothed, strict=True):
        torch.testing.assert_close(after, first - 0.01 * gradient, rtol=1e-5, atol=1e-7)


def test_penalties_and_smoothing_are_not_in_the_reported_loss(data: DeviceSplit) -> None:
    state = trained(data, l1=0.1, weight_decay=0.1, label_smoothing=0.3)
    plain = score(state.module, data.val_inputs, data.val_targets)
    assert state.outcome.last == plain


# dropout


def test_every_step_has_a_seed_for_every_dropout_layer(
    data: DeviceSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    forward = Dropout.forward

    def noting(self: Dropout, inputs: Tensor) -> Tensor:
        if self.training:
            seen.append(int(self.seed))
        return forward(self, inputs)

    monkeypatch.setattr(Dropout, "forward", noting)
    trained(data, epochs=2, dropout=0.3, layers=2)
    expected = step_seeds(dropout_key(STREAM), torch.arange(6, dtype=torch.int32), 2)
    assert seen == expected.flatten().tolist()


def test_dropout_changes_training_and_not_evaluation(data: DeviceSplit) -> None:
    state = trained(data, dropout=0.5)
    assert not all(
        torch.equal(one, other)
        for one, other in zip(values_of(state.module), values_of(trained(data).module), strict=True)
    )
    scores = [score(state.module, data.val_inputs, data.val_targets) for _ in range(2)]
    assert scores[0] == scores[1]


# scores


class Given(nn.Module):
    """Returns the logits that it was made with."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, inputs: Tensor) -> Tensor:  # noqa: ARG002 - a module takes inputs
        assert not torch.is_grad_enabled()
        assert not self.training
        return self.logits


def test_a_score_counts_and_averages() -> None:
    found = score(Given([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), torch.zeros(3, 1), torch.tensor([0, 0, 0]))
    losses = [math.log(2), math.log(1 + math.e), math.log(1 + math.exp(-3))]
    assert (found.correct, found.total) == (2, 3)
    assert found.loss == pytest.approx(sum(losses) / 3)
    assert (type(found.correct), type(found.loss)) == (int, float)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_none(bad: float) -> None:
    assert score(Given([[bad, 0.0]]), torch.zeros(1, 1), torch.tensor([1])).loss is None


class Noting(nn.Module):
    """A linear network that notes how many examples it got at once."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.inner = nn.Linear(48, outputs)
        self.sizes: list[int] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.sizes.append(len(inputs))
        found: Tensor = self.inner(inputs.flatten(1))
        return found


@pytest.mark.parametrize("regression", [False, True], ids=["classes", "numbers"])
def test_a_large_part_is_scored_in_blocks_and_a_small_one_at_once(*, regression: bool) -> None:
    generator = torch.Generator().manual_seed(4)
    inputs = torch.randn(9001, 3, 4, 4, generator=generator)
    targets = torch.randn(9001, generator=generator) if regression else torch.arange(9001) % 3
    module = Noting(1 if regression else 3)
    for count, sizes in ((9001, [4096, 4096, 809]), (4096, [4096]), (7, [7])):
        module.sizes.clear()
        found = score(module, inputs[:count], targets[:count])
        assert module.sizes == sizes
        with torch.no_grad():
            outputs, goals = module(inputs[:count]), targets[:count]
        if regression:
            squares = float((outputs[:, 0].double() - goals.double()).square().sum())
            expected = Scores(None, None, unexplained(squares, goals))
        else:
            loss = float(functional.cross_entropy(outputs, goals))
            expected = Scores(int((outputs.argmax(dim=1) == goals).sum()), count, loss)
        assert (found.correct, found.total) == (expected.correct, expected.total)
        assert found.loss == (pytest.approx(expected.loss, rel=1e-6) if len(sizes) > 1 else expected.loss)


@pytest.mark.parametrize(("shape", "largest"), [((3, 32, 32), 341), ((3, 224, 224), 128)])
def test_blocks_of_large_images_are_small(shape: tuple[int, ...], largest: int) -> None:
    class Mean(Noting):
        def forward(self, inputs: Tensor) -> Tensor:
            self.sizes.append(len(inputs))
            return inputs.mean(dim=(2, 3))

    module = Mean(3)
    score(module, torch.zeros(1).expand(400, *shape), torch.zeros(400, dtype=torch.int64))
    assert max(module.sizes) == largest


# divergence and early stopping


@pytest.mark.parametrize(
    "values", [{"learning_rate": math.inf}, {"learning_rate": 1e3, "layers": 3, "momentum": 0.99}]
)
def test_a_diverged_training_stops(data: DeviceSplit, values: dict[str, Any]) -> None:
    state = trained(data, epochs=4, **values)
    assert state.outcome.diverged
    assert state.outcome.best_test is None
    assert state.epochs == len(state.outcome.curve)
    assert state.epochs < 4


def test_the_test_part_is_scored_once_without_patience_and_at_improvements_with_it(
    data: DeviceSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[int] = []

    def noting(module: nn.Module, inputs: Tensor, targets: Tensor) -> Scores:
        if inputs is data.test_inputs:
            scored.append(1)
        return score(module, inputs, targets)

    monkeypatch.setattr(reference, "score", noting)
    trained(data, epochs=4)
    assert len(scored) == 1
    scored.clear()
    curve = trained(data, epochs=4, patience=10).outcome.curve
    assert len(scored) == sum(error < min(curve[:place], default=2.0) for place, error in enumerate(curve))


def test_training_that_is_over_is_not_resumed(data: DeviceSplit) -> None:
    own = trainer()
    state = own.start(PLAIN, data, STREAM)
    assert own.advance(state, data, STREAM, 2)[0] > 0.0
    before = values_of(state.module)
    train_seconds, evaluate_seconds = own.advance(state, data, STREAM, 2)
    assert train_seconds == 0.0
    assert evaluate_seconds > 0.0
    assert all(torch.equal(one, other) for one, other in zip(before, values_of(state.module), strict=True))


# continuing


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_a_changed_configuration_keeps_weights_and_moments(data: DeviceSplit, optimizer: str) -> None:
    own = trainer()
    parent = trained(data, epochs=2, optimizer=optimizer, momentum=0.9)
    changed = {
        "learning_rate": 0.5,
        "weight_decay": 0.3,
        "momentum": 0.5,
        "dropout": 0.4,
        "activation": "tanh",
    }
    child = own.continued(parent, {**PLAIN, "optimizer": optimizer, **changed}, data, STREAM)
    assert all(
        torch.equal(one, other)
        for one, other in zip(values_of(parent.module), values_of(child.module), strict=True)
    )
    moments, inherited = (state.optimizer.state_dict()["state"] for state in (parent, child))
    assert moments
    assert moments.keys() == inherited.keys()
    for place, buffers in moments.items():
        for name, value in buffers.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(inherited[place][name])), name
    (group,) = child.optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.3)
    assert group.get("momentum") == {"sgd": 0.5, "rmsprop": 0}.get(optimizer)
    assert (child.epochs, child.steps, child.outcome.curve) == (2, 6, parent.outcome.curve)
    assert [layer.rate.item() for layer in child.module.modules() if isinstance(layer, Dropout)] == [
        pytest.approx(0.4)
    ]


def test_another_optimiser_starts_without_moments(data: DeviceSplit) -> None:
    parent = trained(data, epochs=2, optimizer="adam")
    child = trainer().continued(parent, {**PLAIN, "optimizer": "rmsprop"}, data, STREAM)
    assert child.optimizer.state_dict()["state"] == {}


def test_momentum_can_be_taken_up_and_given_up(data: DeviceSplit) -> None:
    own = trainer()
    for before, after in ((0.0, 0.9), (0.9, 0.0)):
        child = own.continued(trained(data, momentum=before), {**PLAIN, "momentum": after}, data, STREAM)
        own.advance(child, data, STREAM, 2)
        assert child.outcome.last is not None
        assert child.outcome.last.loss is not None


def test_continuing_leaves_the_parent_as_it_was(data: DeviceSplit) -> None:
    own = trainer()
    parent = trained(data, epochs=1, optimizer="adam")
    weights, moments = values_of(parent.module), copy.deepcopy(parent.optimizer.state_dict())
    outcome = copy.deepcopy(parent.outcome)
    child = own.continued(parent, {**PLAIN, "optimizer": "adam"}, data, STREAM)
    own.advance(child, data, STREAM, 4)
    assert all(torch.equal(one, other) for one, other in zip(weights, values_of(parent.module), strict=True))
    for place, buffers in moments["state"].items():
        for name, value in buffers.items():
            assert torch.equal(value, parent.optimizer.state_dict()["state"][place][name])
    assert parent.outcome == outcome
    assert (parent.epochs, parent.steps) == (1, 3)


def test_a_changed_batch_size_does_not_move_the_schedule(data: DeviceSplit) -> None:
    own = trainer(full_epochs=4)
    parent = trained(data, epochs=2, full_epochs=4, schedule="cosine", batch_size=10)
    child = own.continued(parent, {**PLAIN, "schedule": "cosine", "batch_size": 45}, data, STREAM)
    own.advance(child, data, STREAM, 3)
    (group,) = child.optimizer.param_groups
    assert group["lr"] == pytest.approx(0.01 * 0.5 * (1 + math.cos(math.pi * 5 / 8)))
    assert child.steps == 18 + 2


@pytest.mark.parametrize("change", [{"width": 17}, {"layers": 2}])
def test_another_shape_cannot_continue(data: DeviceSplit, change: dict[str, Any]) -> None:
    parent = trained(data)
    with pytest.raises(UsageError, match="continue a parent whose network has the same shape"):
        trainer().continued(parent, {**PLAIN, **change}, data, STREAM)


def test_two_steps_are_one(data: DeviceSplit) -> None:
    config = {**PLAIN, "optimizer": "adam", "schedule": "cosine", "dropout": 0.3, "layers": 2}
    own = trainer()
    whole = own.start(config, data, STREAM)
    own.advance(whole, data, STREAM, 4)
    parent = own.start(config, data, STREAM)
    own.advance(parent, data, STREAM, 1)
    child = own.continued(parent, config, data, STREAM)
    own.advance(child, data, STREAM, 4)
    assert all(
        torch.equal(one, other)
        for one, other in zip(values_of(whole.module), values_of(child.module), strict=True)
    )
    assert whole.outcome == child.outcome
    assert whole.recipe == child.recipe

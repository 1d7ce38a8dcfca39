"""Conformance tests of a network family, for the authors of networks.

Subclass :class:`NetworkConformance` in a test module and say what suites call the family::

    import my_plugin  # it adds "mine" to hpbench.tasks.networks.REGISTRY


    class TestMine(NetworkConformance):
        network = "mine"

Every ``test_…`` method is one promise; lanes are compared with the reference trainer where the family
declares ``cohort`` or ``compiled``. The kit needs no pytest of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hpbench.environment import find_compiler
from hpbench.seeding import Stream, training_stream
from hpbench.tasks import datasets, networks
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.network_task import NetworkTask
from hpbench.tasks.networks import NetworkFamily
from hpbench.tasks.networks.base import Shape
from hpbench.tasks.networks.layers import Dropout
from hpbench.tasks.training.randomness import initial_module
from hpbench.testing import global_generators
from hpbench.testing.evaluating import requests, without_times
from hpbench.trial import Config, Evaluation, Status

__all__ = ["NetworkConformance"]

_BATCH = 6
_N_CLASSES = 3
_EXAMPLES = 200
_EPOCHS = 2
_VECTOR: Shape = (5,)
_RATE = 1e-3
"""A learning rate at which rounding hardly grows."""


class NetworkConformance:
    """What hpbench relies on; a family that breaks one of these makes trials incomparable.

    Attributes:
        network: the family's name in ``hpbench.tasks.networks.REGISTRY``.
        dataset: what it is trained on; by default images of one channel and 8 by 8 pixels.
        configs: how many random configurations are tried beside the default one and both ends.
        tolerance: relative difference of losses between lanes and the reference trainer.
    """

    network: str
    dataset: str = "digits"
    configs: int = 3
    tolerance: float = 1e-3

    def test_the_family_describes_itself(self) -> None:
        """Its default configuration is legal, and everything that is declared names a hyperparameter."""
        family, space = self._family(), self._family().space
        space.check(space.default_config())
        names = {*space.names, *space.constants}
        unknown = {*family.shaping, *family.buckets} - names - {"batch_size"}
        assert not unknown, f"`shaping` and `buckets` must name hyperparameters, {sorted(unknown)} are none"
        strangers = set(space.defaults) - names
        assert not strangers, f"there are defaults of {sorted(strangers)}, which the space does not have"

    def test_it_maps_inputs_to_logits(self) -> None:
        """Finite float32 of shape ``(batch, n_classes)``, for every shape that ``inputs`` promises."""
        for config in self._configs():
            for shape in self._shapes():
                logits = self._module(config, shape)(_inputs(shape))
                found = tuple(logits.shape)
                wanted = (_BATCH, _N_CLASSES)
                assert found == wanted, f"inputs {shape} gave logits {found}, not {wanted}, under {config}"
                assert logits.dtype == torch.float32, f"logits must be float32, got {logits.dtype}"
                assert bool(logits.isfinite().all()), f"logits are not finite under {config}"

    def test_every_parameter_gets_a_finite_gradient(self) -> None:
        """One that gets none takes no part in the logits."""
        for config in self._configs():
            module = self._module(config)
            self._loss(module).backward()  # type: ignore[no-untyped-call]
            for name, parameter in module.named_parameters():
                assert parameter.grad is not None, f"{name} takes no part in the logits under {config}"
                assert bool(parameter.grad.isfinite().all()), (
                    f"the gradient of {name} is not finite under {config}"
                )

    def test_the_seed_alone_decides_the_weights(self) -> None:
        """The same stream gives the same weights whatever the global generators hold; another one others."""
        for config in self._configs():
            weights = []
            with global_generators.preserved():
                for seed in (1, 2):
                    global_generators.seed_all(seed)
                    before = global_generators.fingerprint()
                    weights.append(_weights(self._module(config)))
                    assert global_generators.fingerprint() == before, "building changed a global generator"
            same = [torch.equal(one, other) for one, other in zip(*weights, strict=True)]
            assert all(same), f"weights depend on more than torch's seeded generator under {config}"
            others = _weights(self._module(config, stream=_stream(1)))
            differ = [not torch.equal(one, other) for one, other in zip(weights[0], others, strict=True)]
            assert any(differ), "another seed gave the same weights: they must be drawn at random"

    def test_training_draws_from_no_global_generator(self) -> None:
        """Randomness in training comes from ``hpbench.tasks.networks.layers.Dropout`` alone."""
        for config in self._configs():
            losses = []
            with global_generators.preserved():
                for seed in (1, 2):
                    module = self._module(config)
                    global_generators.seed_all(seed)
                    before = global_generators.fingerprint()
                    losses.append(float(self._loss(module).detach()))
                    assert global_generators.fingerprint() == before, (
                        "the network draws from a global generator in training; use "
                        "hpbench.tasks.networks.layers.Dropout for dropout"
                    )
            assert losses[0] == losses[1], "the network reads a global generator in training"

    def test_dropout_is_there_if_it_is_searched(self) -> None:
        """A hyperparameter that changes nothing wastes every strategy's trials."""
        family = self._family()
        if "dropout" not in {*family.space.names, *family.space.constants}:
            return
        layers = self._module({**self._complete(), "dropout": 0.25}).modules()
        rates = [float(layer.rate) for layer in layers if isinstance(layer, Dropout)]
        assert rates, (
            "`dropout` is a hyperparameter, but the network has no hpbench.tasks.networks.layers.Dropout; "
            'leave it out: training_space(..., without=["dropout"])'
        )
        assert any(math.isclose(rate, 0.25) for rate in rates), (
            f"no Dropout has the configuration's rate of 0.25: {rates}"
        )

    def test_an_example_is_scored_for_itself(self) -> None:
        """Without gradient, an example's logits do not depend on the examples beside it."""
        shape = self._input_shape()
        inputs = _inputs(shape)
        for config in self._configs():
            module = self._module(config).eval()
            with torch.no_grad():
                together = module(inputs)
                alone = torch.cat([module(row[None]) for row in inputs])
            assert torch.allclose(together, alone, rtol=1e-4, atol=1e-5), (
                f"an example is scored differently in other company under {config}"
            )

    def test_what_shapes_the_network_is_declared(self) -> None:
        """Two configurations that agree in ``shaping`` have parameters of equal shapes."""
        family, complete = self._family(), self._complete()
        for parameter in family.space.parameters:
            if parameter.name in family.shaping:
                continue
            shapes = {
                tuple(map(tuple, (weight.shape for weight in _weights(self._module(config)))))
                for config in ({**complete, parameter.name: parameter.from_unit(end)} for end in (0.0, 1.0))
            }
            assert len(shapes) == 1, f"{parameter.name} shapes the network; name it in `shaping`"

    def test_the_same_trials_give_the_same_results(self) -> None:
        """The reference trainer trains every configuration twice alike."""
        answers = self._trained()
        assert self._trained() == answers, "training the same configurations again gave other results"
        assert any(answer.status is Status.OK for answer in answers), "not one configuration could be trained"

    def test_compiled_lanes_are_those_of_the_reference_trainer(self) -> None:
        """Results but for rounding, and the same in any company; only with ``compiled``."""
        if not self._family().compiled:
            raise SkipTest("the family does not declare `compiled`")
        if find_compiler() is None:
            raise SkipTest("compiled training needs a C compiler: install gcc or set CC")
        self._check_lanes(compiled=True)

    def test_stacked_lanes_are_those_of_the_reference_trainer(self) -> None:
        """Results but for rounding, and the same in any company; only with ``cohort``."""
        if not self._family().cohort:
            raise SkipTest("the family does not declare `cohort`")
        self._check_lanes(compiled=False)

    def _check_lanes(self, *, compiled: bool) -> None:
        """Compare lanes with the reference trainer, and with themselves in company."""
        expected = self._trained()
        together = self._trained(trainer="cohort", compiled=compiled)
        for one, other in zip(together, expected, strict=True):
            assert one.status is other.status, f"a lane ended {one.status}, not {other.status}: {one.message}"
            for mine, its in ((one.val_loss, other.val_loss), (one.test_loss, other.test_loss)):
                close = (mine is None and its is None) or (
                    mine is not None and its is not None and math.isclose(mine, its, rel_tol=self.tolerance)
                )
                assert close, f"a lane's loss is {mine}, the reference trainer's {its}"
        alone = self._trained(trainer="cohort", compiled=compiled, together=False)
        assert alone == together, "a lane's result depends on its company"

    def _family(self) -> NetworkFamily:
        """Return the family under test."""
        return networks.REGISTRY.get(self.network)

    def _input_shape(self) -> Shape:
        """Return the shape of an example of the data set."""
        return datasets.load(self.dataset).shape

    def _shapes(self) -> list[Shape]:
        """Return the shapes of inputs that the family promises to take."""
        shape = self._input_shape()
        return [shape] if self._family().inputs == "image" or shape == _VECTOR else [shape, _VECTOR]

    def _complete(self, config: Config | None = None) -> Config:
        """Return a configuration with constants, and with the defaults of what it leaves out."""
        space = self._family().space
        return space.complete({**space.default_values(), **(config or {})})

    def _configs(self) -> Iterator[Config]:
        """Yield complete configurations: the default one, both ends of every range, random ones."""
        space, rng = self._family().space, np.random.default_rng(0)
        count = len(space.parameters)
        yield self._complete(space.default_config())
        for end in (0.0, 1.0):
            yield self._complete(space.from_unit([end] * count))
        for _ in range(self.configs):
            yield self._complete(space.sample(rng))

    def _module(
        self, config: Config, shape: Shape | None = None, *, stream: Stream | None = None
    ) -> nn.Module:
        """Return a module in training, with the initial weights of a stream."""
        shape = self._input_shape() if shape is None else shape
        return initial_module(self._family(), config, shape, _N_CLASSES, stream or _stream(0)).train()

    def _loss(self, module: nn.Module) -> Tensor:
        """Return the loss on one batch."""
        targets = torch.arange(_BATCH) % _N_CLASSES
        return functional.cross_entropy(module(_inputs(self._input_shape())), targets)

    def _trained(
        self, *, trainer: str = "reference", compiled: bool = False, together: bool = True
    ) -> Sequence[Evaluation]:
        """Return the results of the default configuration and random ones, times aside."""
        spec = TaskSpec(
            f"conformance-{self.network}", self.dataset, self.network, _EPOCHS, self._family().space,
            compiled=compiled, subset=min(_EXAMPLES, len(datasets.load(self.dataset))),
        )  # fmt: skip
        task = NetworkTask(replace(spec, trainer="cohort") if trainer == "cohort" else spec)
        asked = requests(task, self.configs + 1)
        if "learning_rate" in self._family().space.names:
            asked = [replace(item, config={**item.config, "learning_rate": _RATE}) for item in asked]
        groups = [asked] if together else [[item] for item in asked]
        try:
            return [without_times(answer) for group in groups for answer in task.evaluate(group)]
        finally:
            task.close()


def _inputs(shape: Shape) -> Tensor:
    """Return a batch of standardised inputs, always the same."""
    drawn = np.random.default_rng(0).standard_normal((_BATCH, *shape))
    return torch.from_numpy(drawn.astype(np.float32))


def _stream(repetition: int) -> Stream:
    """Return the training stream of a repetition."""
    return training_stream(0, "conformance", repetition)


def _weights(module: nn.Module) -> list[Tensor]:
    """Return the parameters."""
    return [parameter.detach() for parameter in module.parameters()]

"""The task that hpbench exists for: train a network of a family on a data set, many trials at a time."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any, TypeVar

import torch

from hpbench.errors import UsageError
from hpbench.seeding import Stream, training_stream
from hpbench.tasks import datasets, networks
from hpbench.tasks.base import Task, TaskSpec
from hpbench.tasks.datasets.images import shape_hint
from hpbench.tasks.datasets.splits import split
from hpbench.tasks.training.calibration import Calibrator, retrain
from hpbench.tasks.training.cohort import CohortTrainer
from hpbench.tasks.training.compiled import CompiledTrainer
from hpbench.tasks.training.costs import StepCost
from hpbench.tasks.training.data import DeviceSplit
from hpbench.tasks.training.lanes import Advance, Lane
from hpbench.tasks.training.reference import ReferenceState, ReferenceTrainer
from hpbench.tasks.training.stacked import StackedTrainer
from hpbench.trial import Evaluation, Request, RunKey, Status

__all__ = ["NetworkTask"]


State = TypeVar("State", ReferenceState, Lane)


class NetworkTask(Task):
    """Networks of one family on one data set.

    Args:
        spec: everything that decides what is computed.

    Raises:
        UsageError: the family cannot take the data set's inputs, or the device is not there.
    """

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.space = spec.space
        self.full_epochs = spec.epochs
        self.dataset = datasets.load(spec.data)
        self.family = networks.REGISTRY.get(spec.network)
        check_inputs(self.family, self.dataset)
        self.device = usable_device(spec.device)
        torch.set_num_threads(spec.threads)
        if self.device.type == "cuda":
            make_repeatable()
        self._splits: dict[int, DeviceSplit] = {}
        self._kept: dict[tuple[RunKey, int], ReferenceState | Lane] = {}
        self._calibrator: Calibrator | None = None
        self._trainer = ReferenceTrainer(
            self.family,
            n_classes=self.dataset.n_classes,
            full_epochs=spec.epochs,
            device=self.device,
            patience=spec.patience,
        )
        together = spec.trainer == "cohort" and (spec.compiled or self.family.cohort)
        self._cohorts = self._cohort_trainer() if together else None

    def _cohort_trainer(self) -> CohortTrainer[Any]:
        """Return what trains this task's trials together."""
        common: dict[str, Any] = {
            "input_shape": self.dataset.shape,
            "n_classes": self.dataset.n_classes,
            "full_epochs": self.spec.epochs,
            "patience": self.spec.patience,
        }
        if self.spec.compiled:
            return CompiledTrainer(self.family, threads=self.spec.threads, **common)
        return StackedTrainer(self.family, device=self.device, **common)

    def evaluate(self, requests: Sequence[Request]) -> list[Evaluation]:
        """Train and evaluate every request; see ``Task.evaluate``."""
        if self._cohorts is None:
            return [self._alone(request) for request in requests]
        try:
            return self._together(self._cohorts, requests)
        except torch.OutOfMemoryError as error:
            message = str(error)
        self._recover_memory()
        if len(requests) == 1:
            return [Evaluation(Status.OUT_OF_MEMORY, message=message)]
        # Company changes no bits, so smaller cohorts give what the large one would have given.
        half = len(requests) // 2
        return [*self.evaluate(requests[:half]), *self.evaluate(requests[half:])]

    def forget(self, requests: Sequence[Request]) -> None:
        """Drop the kept states of these trials."""
        for request in requests:
            self._kept.pop((request.run, request.number), None)

    def calibrate(self, signature: str) -> StepCost:
        """Return what one signature costs the reference trainer; see ``Task.calibrate``."""
        return self._calibration().cost(signature)

    def measure(self, request: Request) -> float:
        """Return the seconds of one trial alone with the reference trainer; see ``Task.measure``."""
        self._calibration()  # which warms the process up
        data, stream = self.data(request.run.repetition), self.stream(request)
        return retrain(self._trainer, self.space.complete(request.config), data, stream, request.epochs)

    def _calibration(self) -> Calibrator:
        """Return what calibrates this task, made when it is first needed."""
        if self._calibrator is None:
            self._calibrator = Calibrator(self._trainer, self.space, self.data(0))
        return self._calibrator

    def close(self) -> None:
        """Drop every split and state."""
        self._kept.clear()
        self._splits.clear()
        self._calibrator = None

    def data(self, repetition: int) -> DeviceSplit:
        """Return the split of a repetition, on the device."""
        if repetition not in self._splits:
            parts = split(
                self.dataset,
                root_seed=self.spec.root_seed,
                repetition=repetition,
                validation_fraction=self.spec.validation_fraction,
                test_fraction=self.spec.test_fraction,
            )
            self._splits[repetition] = DeviceSplit.of(parts, self.device)
        return self._splits[repetition]

    def stream(self, request: Request) -> Stream:
        """Return the training stream of a request."""
        number = request.number if self.spec.training_seeds == "per_trial" else None
        return training_stream(self.spec.root_seed, self.name, request.run.repetition, number)

    def _together(self, trainer: CohortTrainer[Any], requests: Sequence[Request]) -> list[Evaluation]:
        """Return what the cohort trainer makes of all requests."""
        work = []
        for request in requests:
            data, stream = self.data(request.run.repetition), self.stream(request)
            config = self.space.complete(request.config)
            if request.parent is None:
                lane = trainer.start(config, data, stream)
            else:
                lane = trainer.continued(self._parent(request, Lane), config, data, stream)
            work.append(Advance(lane, data, stream, request.epochs))
        begun = [item.lane.epochs for item in work]
        trainer.advance(work)
        for request, item in zip(requests, work, strict=True):
            if request.keep:
                self._kept[request.run, request.number] = item.lane
        return [
            item.lane.outcome.evaluation(
                epochs_from=epochs_from, train_seconds=0.0, evaluate_seconds=0.0, patience=self.spec.patience
            )
            for item, epochs_from in zip(work, begun, strict=True)
        ]

    def _recover_memory(self) -> None:
        """Give memory back to the device, outside the except block whose traceback held the tensors."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _alone(self, request: Request) -> Evaluation:
        """Return what the reference trainer makes of one request."""
        begun = perf_counter()
        try:
            return self._train(request)
        except torch.OutOfMemoryError as error:
            message = str(error)
        self._recover_memory()
        return Evaluation(Status.OUT_OF_MEMORY, train_seconds=perf_counter() - begun, message=message)

    def _parent(self, request: Request, kind: type[State]) -> State:
        """Return the kept state that ``request`` continues.

        Raises:
            UsageError: it is not there.
        """
        kept = self._kept.get((request.run, request.parent)) if request.parent is not None else None
        if not isinstance(kept, kind):
            raise UsageError(
                f"trial {request.number} of {request.run} continues trial {request.parent}, whose training state "
                "is not kept: it failed before it was trained, was asked for without `keep`, or was forgotten. "
                "Continue a finished trial that was asked for with `keep = True`."
            )
        return kept

    def _train(self, request: Request) -> Evaluation:
        data, stream = self.data(request.run.repetition), self.stream(request)
        config = self.space.complete(request.config)
        if request.parent is None:
            state = self._trainer.start(config, data, stream)
        else:
            state = self._trainer.continued(self._parent(request, ReferenceState), config, data, stream)
        epochs_from = state.epochs
        train_seconds, evaluate_seconds = self._trainer.advance(state, data, stream, request.epochs)
        if request.keep:
            self._kept[request.run, request.number] = state
        return state.outcome.evaluation(
            epochs_from=epochs_from,
            train_seconds=train_seconds,
            evaluate_seconds=evaluate_seconds,
            patience=self.spec.patience,
        )


def check_inputs(family: networks.NetworkFamily, dataset: datasets.Dataset) -> None:
    """Raise unless ``family`` can take the inputs of ``dataset``.

    Raises:
        UsageError: the family needs images and the data set holds vectors.
    """
    if family.inputs == "image" and len(dataset.shape) != 3:  # noqa: PLR2004 - channels, height, width
        raise UsageError(
            f"network {family.name!r} needs images of shape (channels, height, width), but data set "
            f"{dataset.name!r} holds inputs of shape {dataset.shape}; use 'mlp' or an image data set."
            f"{shape_hint(dataset.shape)}"
        )


def usable_device(name: str) -> torch.device:
    """Return the torch device called ``name``.

    Raises:
        UsageError: it is no device that torch knows, or it is not on this machine.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device {name!r} must be 'cpu', 'cuda' or 'cuda:<number>'.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {name!r} is not on this machine: torch {torch.__version__} sees "
            f"{torch.cuda.device_count()} CUDA devices. Use --device cpu or --device auto."
        )
    return device


def make_repeatable() -> None:
    """Let this process compute alike every time on a CUDA device.

    Full float32 products instead of TF32, and kernels whose sums have one order. cuBLAS needs
    ``CUBLAS_WORKSPACE_CONFIG`` besides, which a worker's environment has.
    """
    torch.use_deterministic_algorithms(mode=True)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False

"""The task that hpbench exists for: train a network of a family on a data set, many trials at a time."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any, Final, TypeVar

import torch

from hpbench.errors import UsageError
from hpbench.seeding import Stream, retraining_stream, training_stream
from hpbench.tasks import datasets, networks
from hpbench.tasks.base import Task, TaskSpec
from hpbench.tasks.datasets.images import shape_hint
from hpbench.tasks.networks.checks import check_smoothing
from hpbench.tasks.training.calibration import Calibrator, retrain, typical_seconds
from hpbench.tasks.training.cohort import CohortTrainer
from hpbench.tasks.training.compiled import CompiledTrainer
from hpbench.tasks.training.costs import StepCost
from hpbench.tasks.training.data import DeviceSplit
from hpbench.tasks.training.folds import evaluation_of, fold_streams
from hpbench.tasks.training.held import HELD, TaskSplits
from hpbench.tasks.training.lanes import Advance, Lane
from hpbench.tasks.training.reference import ReferenceState, ReferenceTrainer
from hpbench.tasks.training.retraining import Retrainer
from hpbench.tasks.training.stacked import StackedTrainer
from hpbench.trial import Evaluation, Request, RunKey, Status

__all__ = ["NetworkTask"]


State = TypeVar("State", ReferenceState, Lane)
Kept = tuple[ReferenceState, ...] | tuple[Lane, ...]
"""The training states of one trial, one for each of its networks."""

_ENOUGH_SECONDS: Final = 2.0
"""Of training a trial again; one that is shorter can lie in a disturbance from its beginning to its end."""


class NetworkTask(Task):
    """Networks of one family on one data set: one for a trial, or one for each fold of a cross-validation.

    Args:
        spec: everything that decides what is computed.

    Raises:
        UsageError: the data have another checksum than ``spec`` says, the family cannot take their
            inputs, or the device is not there.
    """

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.space = spec.space
        self.full_epochs = spec.epochs
        self.dataset = datasets.load(spec.data)
        check_same_data(self.dataset, spec.checksum)
        self.family = networks.REGISTRY.get(spec.network)
        check_inputs(self.family, self.dataset)
        check_smoothing(self.dataset, self.space)
        self.device = usable_device(spec.device)
        torch.set_num_threads(spec.threads)
        if self.device.type == "cuda":
            make_repeatable(self.device)
        self._splits = TaskSplits(self.dataset, spec, self.device)
        self._kept: dict[tuple[RunKey, int], Kept] = {}
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
            return [self._apart(self._cohorts, requests[0], message)]
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
        config = self.space.complete(request.config)

        def seconds() -> float:
            return sum(
                retrain(self._trainer, config, data, stream, request.epochs)
                for data, stream in self._networks(request)
            )

        return typical_seconds(seconds, enough=_ENOUGH_SECONDS)

    def _calibration(self) -> Calibrator:
        """Return what calibrates this task, made when it is first needed."""
        if self._calibrator is None:
            self._calibrator = Calibrator(self._trainer, self.space, self.data(0))
        return self._calibrator

    def retrain(self, requests: Sequence[Request]) -> list[Evaluation]:
        """Train on everything but the test part, from scratch, and test; see ``Task.retrain``."""
        retrainer = Retrainer(
            self._trainer, self._cohorts, space=self.space, data=self._splits.whole, stream=self._fresh
        )
        return [answer for group in self._splits.fitting(requests) for answer in retrainer.results(group)]

    def _fresh(self, request: Request) -> Stream:
        """Return the stream of a retraining."""
        return retraining_stream(self.spec.root_seed, self.name, request.run.repetition, request.number)

    def close(self) -> None:
        """Drop every state, and every split of this process."""
        self._kept.clear()
        HELD.clear()
        self._calibrator = None

    def data(self, repetition: int) -> DeviceSplit:
        """Return the split of a repetition, on the device; of a cross-validation that of the first fold."""
        return self.folds(repetition)[0]

    def folds(self, repetition: int) -> tuple[DeviceSplit, ...]:
        """Return the split of each network that a trial of this repetition trains, on the device."""
        return self._splits.folds(repetition)

    def _networks(self, request: Request) -> list[tuple[DeviceSplit, Stream]]:
        """Return the split and the training stream of each network that a request trains."""
        streams = fold_streams(self.stream(request), self.spec.trainings)
        return list(zip(self.folds(request.run.repetition), streams, strict=True))

    def stream(self, request: Request) -> Stream:
        """Return the training stream of a request."""
        number = request.number if self.spec.training_seeds == "per_trial" else None
        return training_stream(self.spec.root_seed, self.name, request.run.repetition, number)

    def _together(
        self, trainer: CohortTrainer[Any], requests: Sequence[Request], *, at_once: bool = True
    ) -> list[Evaluation]:
        """Return what the cohort trainer makes of all requests, their lanes together or one by one."""
        work = [self._lanes(trainer, request) for request in requests]
        begun = [max(item.lane.epochs for item in items) for items in work]
        lanes = [item for items in work for item in items]
        for company in [lanes] if at_once else [[item] for item in lanes]:
            trainer.advance(company)
        for request, items in zip(requests, work, strict=True):
            if request.keep:
                self._kept[request.run, request.number] = tuple(item.lane for item in items)
        return [
            evaluation_of(
                [item.lane.outcome for item in items],
                epochs_from=epochs_from,
                train_seconds=0.0,
                evaluate_seconds=0.0,
                patience=self.spec.patience,
            )
            for items, epochs_from in zip(work, begun, strict=True)
        ]

    def _lanes(self, trainer: CohortTrainer[Any], request: Request) -> list[Advance[Any]]:
        """Return the work of one request: a lane for each of its networks."""
        config = self.space.complete(request.config)
        pairs = self._networks(request)
        if request.parent is None:
            lanes = [trainer.start(config, data, stream) for data, stream in pairs]
        else:
            parents = self._parent(request, Lane)
            lanes = [
                trainer.continued(parent, config, data, stream)
                for parent, (data, stream) in zip(parents, pairs, strict=True)
            ]
        return [
            Advance(lane, data, stream, request.epochs)
            for lane, (data, stream) in zip(lanes, pairs, strict=True)
        ]

    def _apart(self, trainer: CohortTrainer[Any], request: Request, message: str) -> Evaluation:
        """Return what becomes of a request that ran out of memory: its folds one by one, if it has several."""
        if self.spec.trainings > 1:
            try:
                return self._together(trainer, [request], at_once=False)[0]
            except torch.OutOfMemoryError as error:
                message = str(error)
            self._recover_memory()
        return Evaluation(Status.OUT_OF_MEMORY, message=message)

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

    def _parent(self, request: Request, kind: type[State]) -> tuple[State, ...]:
        """Return the kept states that ``request`` continues, one for each network.

        Raises:
            UsageError: it is not there.
        """
        kept = self._kept.get((request.run, request.parent)) if request.parent is not None else None
        states = tuple(state for state in kept or () if isinstance(state, kind))
        if not states:
            raise UsageError(
                f"trial {request.number} of {request.run} continues trial {request.parent}, whose training state "
                "is not kept: it failed before it was trained, was asked for without `keep`, or was forgotten. "
                "Continue a finished trial that was asked for with `keep = True`."
            )
        return states

    def _train(self, request: Request) -> Evaluation:
        """Return what the reference trainer makes of one request, its folds one after another."""
        config = self.space.complete(request.config)
        pairs = self._networks(request)
        parents = () if request.parent is None else self._parent(request, ReferenceState)
        states: list[ReferenceState] = []
        seconds: list[tuple[float, float]] = []
        for fold, (data, stream) in enumerate(pairs):
            if parents:
                states.append(self._trainer.continued(parents[fold], config, data, stream))
            else:
                states.append(self._trainer.start(config, data, stream))
        epochs_from = max(state.epochs for state in states)
        for state, (data, stream) in zip(states, pairs, strict=True):
            seconds.append(self._trainer.advance(state, data, stream, request.epochs))
        if request.keep:
            self._kept[request.run, request.number] = tuple(states)
        return evaluation_of(
            [state.outcome for state in states],
            epochs_from=epochs_from,
            train_seconds=sum(train for train, _ in seconds),
            evaluate_seconds=sum(evaluate for _, evaluate in seconds),
            patience=self.spec.patience,
        )


def check_same_data(dataset: datasets.Dataset, checksum: str | None) -> None:
    """Raise unless ``dataset`` is the one that the study began with; a process may start long after it.

    Raises:
        UsageError: its checksum is not ``checksum``.
    """
    if checksum is not None and dataset.checksum != checksum:
        raise UsageError(
            f"data set {dataset.name!r} must be the one that the study began with, whose checksum begins with "
            f"{checksum[:12]}; what was loaded now has {dataset.checksum[:12]}. Restore the data (a loader must "
            "always give the same) and continue, or start a new study with --results DIR."
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


def make_repeatable(device: torch.device) -> None:
    """Let this process compute on a CUDA device, and alike every time.

    It becomes the current device, because a graph is captured on a stream of that one, wherever its tensors
    are. Full float32 products instead of TF32, and kernels whose sums have one order. cuBLAS needs
    ``CUBLAS_WORKSPACE_CONFIG`` besides, which a worker's environment has.
    """
    torch.use_deterministic_algorithms(mode=True)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)

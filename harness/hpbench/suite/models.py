"""The tables of a suite file, each with its keys, types and ranges; frozen once read."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from hpbench.suite.names import check_label, check_name, legal_name
from hpbench.tasks.datasets.base import TargetKind

__all__ = ["Budget", "Final", "Limits", "Name", "SuiteStrategy", "SuiteTask", "Table", "Validation"]

_LARGEST = 1_000_000

Name = Annotated[str, AfterValidator(check_name)]
Label = Annotated[str, AfterValidator(check_label)]
Count = Annotated[int, Field(ge=1, le=_LARGEST)]
Reference = Annotated[str, Field(min_length=1, max_length=4096)]
Part = Annotated[str, Field(max_length=4096)]
Side = Annotated[int, Field(strict=True, ge=1, le=65536)]
Shape = Annotated[tuple[Side, ...], Field(min_length=2, max_length=3, strict=False)]
Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]


_LEARNING_KEYS = ("patience", "target", "target_kind", "shape", "subset")
_FRACTION = {"fraction": 0.2}
_FOLDS = {"folds": 5}


class Table(BaseModel):
    """What all tables share: no unknown keys, no conversions, no changes, no NaN."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Budget(Table):
    """The allowance of one run, in exactly one unit.

    Attributes:
        trials: asked and trained configurations.
        epochs: epochs of training, summed over the run's trials and the folds of each.
        seconds: seconds on the study's clock, the strategy's own thinking included.
    """

    trials: Count | None = None
    epochs: Count | None = None
    seconds: Annotated[float, Field(gt=0.0)] | None = None

    @model_validator(mode="after")
    def _check_one_unit(self) -> Budget:
        given = [unit for unit in ("trials", "epochs", "seconds") if getattr(self, unit) is not None]
        if len(given) != 1:
            arrived = ", ".join(given) or "none of them"
            raise ValueError(f"must set exactly one of trials, epochs and seconds; it sets {arrived}")
        return self


class Validation(Table):
    """How a configuration is validated; the test part is split off before, and alike for both kinds.

    Attributes:
        kind: ``"holdout"``, one part that is kept aside, or ``"cv"``, cross-validation: every example
            that is not in the test part is validated once, by a network that was trained on the other
            folds.
        fraction: of a holdout: its share of all examples, 0.2 by default.
        folds: of a cross-validation, 5 by default.
    """

    kind: Literal["holdout", "cv"] = "holdout"
    fraction: Fraction | None = None
    folds: Annotated[int, Field(ge=2, le=100)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        return {**(_FOLDS if raw.get("kind") == "cv" else _FRACTION), **raw}

    @model_validator(mode="after")
    def _check_kind(self) -> Validation:
        other = "fraction" if self.kind == "cv" else "folds"
        if getattr(self, other) is not None:
            raise ValueError(f"must not set {other} where its kind is {self.kind!r}")
        return self

    @property
    def trainings(self) -> int:
        """Networks that one trial trains."""
        return self.folds or 1

    def share(self, test_fraction: float) -> float:
        """Return the share of all examples that one network of a trial is validated on."""
        return (1.0 - test_fraction) / self.folds if self.folds else self.fraction or 0.0


class Final(Table):
    """What is done with the incumbent of a finished run.

    Attributes:
        retrain: train its configuration again so many times, under fresh seeds, on training and
            validation part together, and test it.
    """

    retrain: Annotated[int, Field(ge=1, le=1000)]


class Limits(Table):
    """When a trial or a run is given up.

    Attributes:
        trial_seconds: kill a trial that trains longer than this; trials then train one at a time. None: never.
        max_failures: give a run up after so many failed trials in a row.
    """

    trial_seconds: Annotated[float, Field(gt=0.0)] | None = None
    max_failures: Count = 10


class SuiteTask(Table):
    """What is optimised: a network family on a data set, or a function.

    Attributes:
        dataset: a data set's name: ``"digits"``, ``"openml:adult"``, ``"file:adult.csv"``; empty for a function.
        network: a network family's name; empty for a function.
        function: a function's name, or that of a task of one's own; instead of data set and network.
        name: what tables and keys call the task; by default made of data set and network, or the function.
        epochs: the full fidelity of one trial; 1 for a function that does not say.
        patience: stop a trial after so many epochs without a better validation error; None: never. Like the
            next four never of a function.
        target: the column to predict, for data that do not say it themselves.
        target_kind: whether that column holds classes (``"classification"``, the default) or numbers to
            be predicted (``"regression"``), for data that do not say it themselves.
        shape: read every input as an image: ``[channels, height, width]`` or ``[height, width]``.
        subset: take so many examples only, every class with its share.
        space: hyperparameter → value, list of values, or range; see ``hpbench.overrides``.
    """

    dataset: Part
    network: Part
    function: Reference | None = None
    name: Name = ""
    epochs: Count
    patience: Count | None = None
    target: Reference | None = None
    target_kind: TargetKind | None = None
    shape: Shape | None = None
    subset: Count | None = None
    space: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _name_it(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        parts = [raw.get("dataset"), raw.get("network")]
        if "function" in raw:
            parts = [raw["function"]]
            raw = {"dataset": "", "network": "", "epochs": 1, **raw}
        if "name" not in raw and all(isinstance(part, str) for part in parts):
            first, *rest = map(str, parts)
            if rest and first.startswith("file:"):
                first = PurePath(first.removeprefix("file:")).stem
            return {**raw, "name": legal_name("-".join([first, *rest]))}
        return raw

    @model_validator(mode="after")
    def _check_one_kind(self) -> SuiteTask:
        if self.function is not None and (self.dataset or self.network):
            raise ValueError("must name either `function`, or `dataset` and `network`; it names both kinds")
        given = [f"`{key}`" for key in _LEARNING_KEYS if getattr(self, key) is not None]
        if self.function is not None and given:
            raise ValueError(
                f"must leave out {' and '.join(given)}: a function has neither data nor a network that learns"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_empty(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        empty = {"dataset", "network"} if self.function is not None else set()
        return {key: value for key, value in written.items() if key not in empty}

    @property
    def subject(self) -> str:
        """What is searched, for messages, such as ``"'mlp' on 'digits'"``."""
        return f"{self.network!r} on {self.dataset!r}" if self.function is None else repr(self.function)


class SuiteStrategy(Table):
    """A search strategy and its options.

    Attributes:
        use: the strategy's name in ``hpbench list strategies``.
        name: what tables and keys call this entry; by default ``use``.
        label: what figures call it, free text; by default the name.
        options: the strategy's own options; what is left out has the strategy's default.
    """

    use: Reference
    name: Name = ""
    label: Label = ""
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _name_it(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(raw.get("use"), str):
            return raw
        name = raw.get("name", legal_name(raw["use"]))
        return {"label": name, **raw, "name": name}

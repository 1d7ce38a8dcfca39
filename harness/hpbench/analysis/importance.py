"""Which hyperparameters mattered on a task, and what values were good, from all its successful trials.

The trials of all strategies and repetitions together are the sample; a random forest learns the
objective from them, and functional analysis of variance divides the forest's variance among the
hyperparameters. The forest and its exact marginals are scikit-learn's and ours: the packages that
offer this (Optuna, DeepCAVE, fanova) bring a database, a server or a compiler.

References:
    Hutter, Hoos & Leyton-Brown (2014), An efficient approach for assessing hyperparameter importance, ICML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hpbench.analysis.captions import basis, goal
from hpbench.analysis.details import PREFIX
from hpbench.analysis.frames import Frames
from hpbench.analysis.statistics import Array
from hpbench.analysis.statistics.variance import Fanova, fanova, marginal
from hpbench.analysis.writers import Column, Table, column
from hpbench.seeding import Stream
from hpbench.space import Categorical, Float, Integer, Parameter
from hpbench.trial import Status
from hpbench.wording import counted

__all__ = [
    "EPOCHS",
    "Effect",
    "TaskImportance",
    "importance_of",
    "importance_table",
    "importance_text",
    "space_table",
]

EPOCHS = "epochs"
"""The name of the fidelity, which is one more input where trials differ in it."""

_FEWEST = 30
_MOST = 2000
_GRID = 33


@dataclass(frozen=True)
class Effect:
    """What the forest expects of the objective where one hyperparameter has a value, all others averaged.

    Attributes:
        parameter: the hyperparameter.
        points: in [0, 1], shape ``(n,)``.
        centre: mean over the trees, shape ``(n,)``.
        low: lower quartile over the trees.
        high: upper quartile.
    """

    parameter: Parameter
    points: Array
    centre: Array
    low: Array
    high: Array

    @property
    def best(self) -> str:
        """The value at which the forest expects least, as text."""
        return shown_value(self.parameter.from_unit(float(self.points[int(np.argmin(self.centre))])))


@dataclass(frozen=True)
class TaskImportance:
    """The importance of every hyperparameter of a task.

    Attributes:
        task: its name.
        parameters: in the order of the space, the fidelity last.
        fanova: shares and trees, inputs in the same order.
        used: trials that the forest learned from.
        succeeded: trials that it could have learned from.
        trials: all trials.
        imputed: names of hyperparameters that were not active in every trial; their default stood in.
    """

    task: str
    parameters: tuple[Parameter, ...]
    fanova: Fanova
    used: int
    succeeded: int
    trials: int
    imputed: tuple[str, ...]

    def effect(self, place: int) -> Effect:
        """Return the effect of the hyperparameter at ``place``."""
        parameter = self.parameters[place]
        if isinstance(parameter, Categorical):
            points = (np.arange(len(parameter.choices)) + 0.5) / len(parameter.choices)
        elif isinstance(parameter, Integer) and parameter.n_values <= _GRID:
            points = np.array(
                [parameter.to_unit(value) for value in range(parameter.low, parameter.high + 1)]
            )
        else:
            points = (np.arange(_GRID) + 0.5) / _GRID
        curves = np.array([marginal(tree, place, points) for tree in self.fanova.trees])
        low, high = np.quantile(curves, [0.25, 0.75], axis=0)
        return Effect(parameter, points, curves.mean(axis=0), low, high)


def importance_of(frames: Frames, task: str) -> TaskImportance | None:
    """Return the importance of the hyperparameters of ``task``.

    Returns:
        None if fewer than 30 trials have succeeded, the space is unknown or empty, or nothing differs.
    """
    described = frames.info.tasks.get(task, {})
    trials = frames.trials[frames.trials["task"] == task]
    good = trials[(trials["status"] == Status.OK).to_numpy() & trials["objective"].notna().to_numpy()]
    parameters = [
        parameter
        for parameter in map(parameter_of, described.get("space", []))
        if PREFIX + parameter.name in good and parameter.n_values > 1
    ]
    if len(good) < _FEWEST or not parameters:
        return None
    chosen = good.iloc[np.unique(np.linspace(0, len(good) - 1, min(len(good), _MOST)).astype(int))]
    inputs = [_units(parameter, chosen[PREFIX + parameter.name], described) for parameter in parameters]
    imputed = [p.name for p in parameters if chosen[PREFIX + p.name].isna().any()]
    if chosen[EPOCHS].min() < chosen[EPOCHS].max():
        fidelity = Integer(EPOCHS, int(chosen[EPOCHS].min()), int(chosen[EPOCHS].max()))
        parameters.append(fidelity)
        inputs.append(_units(fidelity, chosen[EPOCHS], described))
    seed = Stream((int(frames.info.suite["root_seed"]), "importance", task)).integer()
    found = fanova(np.stack(inputs, axis=1), chosen["objective"].to_numpy(), seed=seed)
    if found is None:
        return None
    return TaskImportance(task, tuple(parameters), found, len(chosen), len(good), len(trials), tuple(imputed))


def parameter_of(described: Mapping[str, Any]) -> Parameter:
    """Return the hyperparameter that the study's description tells of, its condition left out."""
    name = str(described["name"])
    if described["kind"] == "categorical":
        return Categorical(name, tuple(described["choices"]), ordered=bool(described["ordered"]))
    kind = Integer if described["kind"] == "integer" else Float
    return kind(name, described["low"], described["high"], log=bool(described["log"]))


def _units(parameter: Parameter, values: pd.Series, described: Mapping[str, Any]) -> Array:
    """Return places in [0, 1]; where a hyperparameter is not active, its default stands in."""
    default = described.get("default", {}).get(parameter.name)
    default = parameter.from_unit(0.5) if default is None else default
    places: dict[Any, float] = {}
    for value in values.dropna().unique():
        plain = value.item() if hasattr(value, "item") else value
        exact = int(plain) if _whole(parameter) and not isinstance(plain, (bool, str)) else plain
        places[value] = min(max(parameter.to_unit(exact), 0.0), 1.0)
    stand_in = parameter.to_unit(default)
    return np.array([stand_in if pd.isna(value) else places[value] for value in values], dtype=np.float64)


def _whole(parameter: Parameter) -> bool:
    """Return whether numbers of a hyperparameter are whole (a column with gaps holds them as floats)."""
    if isinstance(parameter, Categorical):
        return all(type(choice) is int for choice in parameter.choices)
    return isinstance(parameter, Integer)


def shown_value(value: object) -> str:
    """Return a hyperparameter's value for readers, floats with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def importance_table(frames: Frames, found: Mapping[str, TaskImportance]) -> Table:
    """Return how much of the variance each hyperparameter, and each pair of the leading ones, explains."""
    rows = [row for importance in found.values() for row in _rows(importance)]
    columns = (
        column("Task", "task", numeric=False),
        column("Hyperparameter", "name", numeric=False),
        Column("Importance (%)", _share),
        column("Lowest where", "best", numeric=False),
        Column("Forest's R²", lambda row: f"{row['fit']:.2f}"),
        column("Trials", "n"),
    )
    return Table(
        "importance",
        "Importance of the hyperparameters",
        f"{importance_text(frames, found)} {basis(frames)}",
        pd.DataFrame(rows),
        columns,
    )


def _rows(importance: TaskImportance) -> list[dict[str, Any]]:
    """Return one row a hyperparameter, the most important first, then one a pair."""
    names = [parameter.name for parameter in importance.parameters]
    shares = [
        (names[place], importance.fanova.main[:, place], importance.effect(place).best)
        for place in importance.fanova.order
    ]
    pairs = sorted(importance.fanova.pairs.items(), key=lambda item: -item[1].mean())
    shares += [(f"{names[i]} with {names[j]}", values, "") for (i, j), values in pairs]
    return [
        {
            "task": importance.task,
            "name": name,
            "importance": float(values.mean()),
            "importance_low": float(np.quantile(values, 0.25)),
            "importance_high": float(np.quantile(values, 0.75)),
            "best": best,
            "fit": importance.fanova.fit,
            "n": importance.used,
        }
        for name, values, best in shares
    ]


def _share(row: Mapping[str, Any]) -> str:
    """Return an importance with its quartiles over the trees."""
    values = [100 * row[f"importance{end}"] for end in ("", "_low", "_high")]
    return f"{values[0]:.1f} [{values[1]:.1f}, {values[2]:.1f}]"


def importance_text(frames: Frames, found: Mapping[str, TaskImportance]) -> str:
    """Return what importance means, of how many trials, and what to beware of."""
    counts = [
        f"{item.task} {item.used:,}"
        + (f" (evenly chosen of {item.succeeded:,})" if item.used < item.succeeded else "")
        for item in found.values()
    ]
    failed = sum(item.trials - item.succeeded for item in found.values())
    missing = [task for task in frames.tasks if task not in found]
    imputed = sorted({name for item in found.values() for name in item.imputed})
    about = (
        f"Share of the variance of the {goal(frames, *found)} over the whole space that a hyperparameter explains alone, or a pair beyond "
        "what each explains (fANOVA, Hutter et al. 2014), mean [quartiles] over the trees of a random forest. It learned "
        f"from the successful trials of all strategies and repetitions: {'; '.join(counts)}. "
        f"{counted(failed, 'failed trial')} left out. R² is of trials that a tree has not seen; where it is low, the "
        "forest knows little and the shares mean little. Strategies that adapt try good regions more often."
    )
    parts = [about]
    if imputed:
        parts.append(f"Where {', '.join(imputed)} did not exist, the default stood in.")
    if missing:
        parts.append(
            f"No forest for {', '.join(missing)}: fewer than {_FEWEST} successful trials, or no difference."
        )
    return " ".join(parts)


def space_table(frames: Frames) -> Table:
    """Return T6: the search space of every task, with what a suite has fixed."""
    rows = []
    for task in frames.tasks:
        described = frames.info.tasks.get(task, {})
        default = described.get("default", {})
        for item in described.get("space", []):
            place = item.get("when")
            rows.append(
                {
                    "task": task,
                    "name": item["name"],
                    "range": _range(item),
                    "scale": "log" if item.get("log") else "ordered" if item.get("ordered") else "",
                    "default": shown_value(default.get(item["name"], "")),
                    "when": ""
                    if not place
                    else f"{place['parent']} in {', '.join(map(str, place['values']))}",
                }
            )
        rows += [
            {
                "task": task,
                "name": name,
                "range": shown_value(value),
                "scale": "fixed",
                "default": "",
                "when": "",
            }
            for name, value in described.get("constants", {}).items()
        ]
    names = (("Task", "task"), ("Hyperparameter", "name"), ("Range", "range"), ("Scale", "scale"))
    columns = tuple(
        column(header, key, numeric=False)
        for header, key in (*names, ("Default", "default"), ("Only where", "when"))
    )
    sizes = "; ".join(f"{task}: {_size(info)}" for task, info in frames.info.tasks.items())
    caption = f"What every strategy searched, and what the suite fixed. {sizes}. {basis(frames)}"
    return Table("spaces", "Tasks and search spaces", caption, pd.DataFrame(rows), columns)


def _size(info: Mapping[str, Any]) -> str:
    """Return what a task is, with the sizes of its parts."""
    if "function" in info:
        return f"the function {info['function']}, {counted(info['epochs'], 'epoch')}"
    return (
        f"{info.get('dataset', '?')} with {info.get('network', '?')}, {counted(info['epochs'], 'epoch')}, "
        f"{info.get('n_train', '?')} training, {info.get('n_val', '?')} validation and {info.get('n_test', '?')} test examples"
    )


def _range(item: Mapping[str, Any]) -> str:
    """Return a range as text."""
    if item["kind"] == "categorical":
        return ", ".join(map(shown_value, item["choices"]))
    return f"{shown_value(item['low'])} to {shown_value(item['high'])}"

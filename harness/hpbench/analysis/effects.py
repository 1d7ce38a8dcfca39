"""The figures of hyperparameters: importance, one-dimensional effects, parallel coordinates, learning curves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpbench.analysis.canvas import (
    Drawn,
    Entry,
    Line,
    Readout,
    legend_below,
    log_ticks,
    no_results,
    panels,
    whole_ticks,
)
from hpbench.analysis.captions import about_accuracy, basis, goal
from hpbench.analysis.comparison import Study
from hpbench.analysis.curves import Band
from hpbench.analysis.details import CHAIN, PREFIX, learning_curve
from hpbench.analysis.frames import Frames
from hpbench.analysis.importance import Effect, TaskImportance, importance_text, parameter_of, shown_value
from hpbench.analysis.statistics import Array, quantile_worst
from hpbench.analysis.statistics.intervals import MIN_INTERVAL
from hpbench.analysis.strokes import draw_bands
from hpbench.analysis.style import DOUBLE, drawable, looks, wrapped
from hpbench.space import Categorical, Integer, Parameter
from hpbench.trial import Status
from hpbench.wording import counted

__all__ = ["effect_figures"]

_BAR = "#0072B2"
_PAIR = "#E69F00"
_SHOWN = 3
"""Effects drawn for each task."""

_BARS = 10
_LINES = 120
"""Trials drawn in a panel of parallel coordinates."""

_SHADES = LinearSegmentedColormap.from_list("ranks", ["#D55E00", "#E69F00", "#A8A8A8"], N=20)
"""From the best to the worst twentieth; seen on light and dark ground, and by colour-blind readers."""

_HALF = 0.5


def effect_figures(study: Study, found: Mapping[str, TaskImportance]) -> Iterator[Drawn]:
    """Yield the figures about hyperparameters that the study allows."""
    if found:
        yield importance_figure(study.frames, found)
        yield effects_figure(study.frames, found)
    spaces = [task for task in study.frames.tasks if study.frames.info.tasks[task].get("space")]
    if spaces:
        yield parallel_figure(study.frames, spaces)
    if len(study.frames.epoch_errors) and study.frames.counted_tasks:
        yield learning_figure(study)


def importance_figure(frames: Frames, found: Mapping[str, TaskImportance]) -> Drawn:
    """Return F15: importance of the hyperparameters and of the leading pairs, a panel a task."""
    tallest = max(len(_bars(item)) for item in found.values())
    figure, axes = panels(len(found), height=0.85 + 0.21 * tallest)
    for panel, item in zip(axes, found.values(), strict=True):
        for row, (_, values, colour) in enumerate(_bars(item)):
            low, high = np.quantile(values, [0.25, 0.75])
            panel.barh(row, 100 * values.mean(), 0.66, color=colour, alpha=0.8)
            panel.plot([100 * low, 100 * high], [row, row], color="#333333", linewidth=0.9)
        panel.set_yticks(range(len(_bars(item))))
        panel.set_yticklabels([wrapped(name, 15, 2) for name, _, _ in _bars(item)], fontsize=6)
        panel.set_ylim(tallest - _HALF, -_HALF)
        panel.set_title(f"{wrapped(item.task, 24, 2)}\nR² {item.fanova.fit:.2f}")
        panel.set_xlabel("variance explained (%)")
        panel.grid(visible=False, axis="y")
    legend_below(
        figure,
        [
            (Patch(color=_BAR, alpha=0.8), "alone"),
            (Patch(color=_PAIR, alpha=0.8), "pair, beyond both alone"),
            (Line2D([], [], color="#333333", linewidth=0.9), "middle half of the trees"),
        ],
    )
    caption = f"{importance_text(frames, found)} At most {_BARS} bars a task. {basis(frames)}"
    return Drawn("importance", "Importance of the hyperparameters", caption, figure)


def _bars(item: TaskImportance) -> list[tuple[str, Array, str]]:
    """Return name, shares and colour of what is shown, the largest first."""
    names = [parameter.name for parameter in item.parameters]
    bars = [(names[place], item.fanova.main[:, place], _BAR) for place in item.fanova.order]
    bars += [(f"{names[i]}, {names[j]}", values, _PAIR) for (i, j), values in item.fanova.pairs.items()]
    return sorted(bars, key=lambda bar: -float(bar[1].mean()))[:_BARS]


def effects_figure(frames: Frames, found: Mapping[str, TaskImportance]) -> Drawn:
    """Return F16: what the forest expects for each value of the leading hyperparameters, a row a task."""
    figure, axes = panels(_SHOWN * len(found), height=1.55)
    for row, item in enumerate(found.values()):
        places = item.fanova.order[:_SHOWN]
        for slot in range(_SHOWN):
            panel = axes[_SHOWN * row + slot]
            if slot >= len(places):
                panel.set_axis_off()
                continue
            _draw_effect(panel, item.effect(places[slot]), percent=frames.objective == "error")
            if slot == 0:
                panel.set_ylabel(
                    "error (%)"
                    if frames.objective == "error"
                    else goal(frames, item.task).removeprefix("validation ")
                )
            panel.set_title(wrapped(item.task, 34))
    caption = (
        f"What the forest expects of the {goal(frames, *found)} where "
        f"a hyperparameter has a value, averaged over the whole range of all others; the {_SHOWN} most important ones of "
        "each task. Line or point: mean over the trees; band or bar: their middle half. The average includes regions "
        f"that no good configuration lies in, so levels are worse than what strategies reach. {basis(frames)}"
    )
    return Drawn("effects", "Effects of the leading hyperparameters", caption, figure)


def _draw_effect(panel: Axes, effect: Effect, *, percent: bool) -> None:
    """Draw one effect: points for choices and few whole numbers, else a line."""
    factor = 100.0 if percent else 1.0
    centre, low, high = (factor * values for values in (effect.centre, effect.low, effect.high))
    parameter = effect.parameter
    panel.set_xlabel(wrapped(parameter.name, 30, 1))
    if isinstance(parameter, Categorical) or (isinstance(parameter, Integer) and len(centre) <= 6):  # noqa: PLR2004 -- ticks that fit
        values = [shown_value(parameter.from_unit(float(point))) for point in effect.points]
        panel.vlines(range(len(centre)), low, high, color=_BAR, alpha=0.5, linewidth=3)
        panel.plot(range(len(centre)), centre, "o", color=_BAR)
        panel.set_xticks(range(len(centre)))
        panel.set_xticklabels([wrapped(value, 9, 1) for value in values])
        panel.set_xlim(-_HALF, len(centre) - _HALF)
        return
    x = np.array([float(parameter.from_unit(float(point))) for point in effect.points])
    panel.fill_between(x, low, high, color=_BAR, alpha=0.25, linewidth=0)
    panel.plot(x, centre, color=_BAR)
    panel.set_xlim(x[0], x[-1])
    if parameter.log:
        log_ticks(panel, "x")


def parallel_figure(frames: Frames, tasks: Sequence[str]) -> Drawn:
    """Return F17: configurations as lines over the hyperparameters, coloured by rank, a panel a task."""
    figure = Figure(figsize=(DOUBLE, 0.35 + 1.75 * len(tasks)), layout="constrained")
    FigureCanvasAgg(figure)
    drawn = []
    for place, task in enumerate(tasks):
        panel = figure.add_subplot(len(tasks), 1, place + 1)
        panel.set_title(wrapped(task, 60))
        parameters = [parameter_of(item) for item in frames.info.tasks[task]["space"]]
        drawn.append(_draw_parallel(panel, frames, task, parameters))
    figure.colorbar(
        mpl.cm.ScalarMappable(Normalize(0, 100), _SHADES),
        ax=figure.axes,
        location="bottom",
        fraction=0.04,
        aspect=50,
        label="rank among the task's successful trials (%; 0 is the best)",
    )
    caption = (
        f"Configurations of {', '.join(f'{count:,} of {total:,}' for count, total in drawn)} successful trials "
        f"({', '.join(tasks)}): the best twentieth, at most half of the lines, and others evenly chosen by rank. Orange "
        "is better and lies on top. A line has a gap where a hyperparameter did not exist. Values are on the scale on which "
        f"they are searched, written at the ends. {basis(frames)}"
    )
    return Drawn("parallel", "Configurations as parallel coordinates", caption, figure)


def _draw_parallel(
    panel: Axes, frames: Frames, task: str, parameters: Sequence[Parameter]
) -> tuple[int, int]:
    """Draw one task; return the number of lines and of successful trials."""
    trials = frames.trials[frames.trials["task"] == task]
    good = trials[(trials["status"] == Status.OK).to_numpy()].sort_values("objective", kind="stable")
    panel.grid(visible=False, axis="y")
    panel.set_yticks([])
    panel.set_ylim(-0.16, 1.14)
    panel.set_xlim(-0.35, len(parameters) - 0.65)
    panel.set_xticks(range(len(parameters)))
    panel.set_xticklabels([wrapped(parameter.name.replace("_", " "), 11, 2) for parameter in parameters])
    for place, parameter in enumerate(parameters):
        ends = _ends(parameter)
        panel.text(place, -0.04, drawable(ends[0]), ha="center", va="top", fontsize=5.5)
        panel.text(place, 1.03, drawable(ends[1]), ha="center", va="bottom", fontsize=5.5)
    if not len(good):
        return 0, 0
    best = min(-(-len(good) // 20), _LINES // 2)
    rest = np.linspace(best, len(good) - 1, max(0, min(_LINES, len(good)) - best)).astype(int)
    places = np.unique(np.concatenate([np.arange(best), rest]))[::-1]
    chosen = good.iloc[places]
    heights = np.stack([_heights(parameter, chosen) for parameter in parameters], axis=1)
    lines = [np.column_stack([np.arange(len(parameters)), row]) for row in heights]
    shades = _SHADES(places / max(len(good) - 1, 1))
    panel.add_collection(
        LineCollection(lines, colors=shades, linewidths=np.where(places < best, 1.0, 0.45), alpha=0.8)
    )
    return len(places), len(good)


def _heights(parameter: Parameter, rows: pd.DataFrame) -> Array:
    """Return places in [0, 1]; NaN where the hyperparameter did not exist."""
    name = PREFIX + parameter.name
    if name not in rows:
        return np.full(len(rows), math.nan)
    heights = np.full(len(rows), math.nan)
    for place, value in enumerate(rows[name]):
        if not pd.isna(value):
            plain = value.item() if hasattr(value, "item") else value
            if isinstance(parameter, Categorical) and isinstance(plain, float):
                plain = next(choice for choice in parameter.choices if choice == plain)
            heights[place] = parameter.to_unit(plain)
    return heights


def _ends(parameter: Parameter) -> tuple[str, str]:
    """Return what stands at the lower and at the upper end."""
    if isinstance(parameter, Categorical):
        return shown_value(parameter.choices[0]), shown_value(parameter.choices[-1])
    return shown_value(parameter.low), shown_value(parameter.high)


def learning_figure(study: Study) -> Drawn:
    """Return F18: validation error after each epoch of the best trial of every run, a panel a task."""
    frames = study.frames
    tasks = frames.counted_tasks
    figure, axes = panels(len(tasks))
    styles = looks(frames.strategies)
    readouts, seen, runs = [], set(), 0
    for place, (panel, task) in enumerate(zip(axes, tasks, strict=True)):
        bands = _learning_bands(study, task)
        runs += sum(band.n for band in bands.values())
        seen |= set(bands)
        panel.set_title(wrapped(task, 34))
        size = frames.size_of(task, "val")
        floor = 0.5 / size if size else 1e-4

        def view(error: Array, floor: float = floor) -> Array:
            return 100 * np.maximum(np.where(np.isfinite(error), error, math.nan), floor)

        draw_bands(panel, bands, styles, view, ("learning", task))
        if bands:
            log_ticks(panel, "y")
            whole_ticks(panel.xaxis, most=6)
        else:
            no_results(panel)
        panel.set_xlabel("epochs")
        if place % 3 == 0:
            panel.set_ylabel("validation error (%)")
        lines = {name: Line(b.x, view(b.centre), view(b.low), view(b.high)) for name, b in bands.items()}
        readouts.append(Readout("epochs", "%", ("learning", task), lines))
    entries: list[Entry] = [
        (Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.dash), frames.label(name))
        for name, look in styles.items()
        if name in seen
    ]
    legend_below(figure, entries)
    caption = (
        f"Validation error after each epoch of the best trial of a run (by validation, {counted(runs, 'run')}): median "
        f"over repetitions, band: the middle half, from {MIN_INTERVAL} repetitions on; below, single repetitions. A trial "
        "that stopped earlier keeps its last value; one that was continued from others shows their epochs, too. An error "
        f"of 0 is drawn at half an example. {about_accuracy(frames)}{basis(frames)}"
    )
    return Drawn("learning", "Learning curves of the best trials", caption, figure, tuple(readouts))


def _learning_bands(study: Study, task: str) -> dict[str, Band]:
    """Return the centre and spread of the learning curves of the final incumbents, by strategy."""
    frames, curves = study.frames, study.curves[task]
    trials = frames.trials[frames.trials["task"] == task]
    rows = trials[list(CHAIN)].to_numpy(dtype=np.int64)  # sorted by strategy, repetition and number
    ends = np.cumsum(curves.length).reshape(curves.length.shape)
    bands = {}
    for place, strategy in enumerate(curves.strategies):
        found = []
        for repetition in range(curves.state.shape[1]):
            number = int(curves.index[place, repetition, -1]) if curves.n_trials else -1
            if number < 0 or not curves.ended[place, repetition]:
                continue
            end = int(ends[place, repetition])
            run = rows[end - int(curves.length[place, repetition]) : end]
            curve = learning_curve(run, frames.epoch_errors, number)
            if len(curve):
                found.append(curve)
        if found:
            bands[strategy] = _learning_band(found)
    return bands


def _learning_band(found: Sequence[Array]) -> Band:
    """Return the median and quartiles of curves, the shorter ones carried on."""
    longest = max(map(len, found))
    runs = np.stack([np.pad(curve, (0, longest - len(curve)), mode="edge") for curve in found])
    centre, low, high = (quantile_worst(runs, q) for q in (0.5, 0.25, 0.75))
    return Band(np.arange(1.0, longest + 1.0), centre, low, high, runs)

"""The figures over all tasks: normalised regret, mean rank, targets reached, performance profile."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpbench.analysis.across import (
    FRACTIONS,
    Across,
    Progress,
    across_tasks,
    left_text,
    mean_over_tasks,
    mean_text,
    rank_progress,
    regret_progress,
)
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
from hpbench.analysis.captions import about_values, basis
from hpbench.analysis.comparison import Study
from hpbench.analysis.curve_keys import twice_entry
from hpbench.analysis.curves import Part
from hpbench.analysis.frames import Frames
from hpbench.analysis.statistics import Array
from hpbench.analysis.statistics.intervals import Method
from hpbench.analysis.strokes import changes
from hpbench.analysis.style import REFERENCE, Look, crowd_text, gid, looks
from hpbench.analysis.targets import race_of, random_name
from hpbench.seeding import bootstrap_stream
from hpbench.wording import counted

__all__ = [
    "Line",
    "profile_figure",
    "race_figure",
    "rank_figure",
    "regret_figure",
    "standing_figures",
]

_PARTS: tuple[tuple[Part, str], ...] = (("val", "validation"), ("test", "test"))
_FLOOR = 1e-3


def standing_figures(study: Study) -> Iterator[Drawn]:
    """Yield the figures over all tasks that the study allows."""
    found = across_tasks(study)
    if found.possible:
        yield regret_figure(study, found)
        yield rank_figure(study, found)
    yield race_figure(study)
    if found.possible:
        yield profile_figure(study, found)


def regret_figure(study: Study, found: Across) -> Drawn:
    """Return F4: mean normalised regret against the share of the budget, on validation and on test."""
    frames = study.frames
    figure, axes = panels(2, height=2.3)
    progresses = {part: regret_progress(frames, found, part) for part, _ in _PARTS}
    readouts: list[Readout] = []
    for panel, (part, word) in zip(axes, _PARTS, strict=True):
        progress = progresses[part]
        lines = _lines(frames, found, progress, (_FLOOR, math.inf))
        readouts.append(Readout("% of the budget", "", ("regret", part), lines))
        _draw(panel, lines, looks(frames.strategies), ("regret", part))
        _draw_single(panel, frames, progress, lines, ("regret", part))
        panel.set_title(word)
        panel.set_ylabel("mean normalised regret" if part == "val" else "")
        panel.set_xlabel("share of the budget (%)")
        if progress:
            log_ticks(panel, "y")
    caption = (
        "Mean normalised regret of the incumbent: 0 the lowest error of any incumbent of the study, 1 the baseline's "
        "median after its first trial; a run without a result (yet) has the worst regret of its task. "
        f"{mean_text(found, {f'{word} data': progresses[part] for part, word in _PARTS})}{_START}"
        f"{_uncertainty(progresses.values())}Validation flatters: it is what was chosen by. "
        f"Values below {_FLOOR:g} are drawn there. {left_text(frames, found)}{about_values(frames)}{crowd_text(frames.strategies)}{basis(frames)}"
    )
    legend_below(figure, _entries(frames, found, progresses["val"]))
    return Drawn("regret", "Normalised regret over all tasks", caption, figure, tuple(readouts))


_START = "Curves begin where every run has ended a trial. "
_SINGLE = "; dots at the end: the single repetitions, each the mean over tasks"
_BANDS: dict[Method, str] = {
    "none": "No bands below 5 repetitions",
    "t": "Bands: 95 % by Student's t with Welch's degrees of freedom, from 5 to 9 repetitions",
    "bootstrap": (
        "Bands: 95 % stratified percentile bootstrap, repetitions resampled in pairs within each task, from 10 repetitions on"
    ),
}


def _uncertainty(progresses: Iterable[Progress | None], *, single: str = _SINGLE) -> str:
    """Return what the bands are, and where the single repetitions are, if there are too few for a bootstrap."""
    texts = {
        _BANDS[p.mean.method] + ("" if p.mean.method == "bootstrap" else single) for p in progresses if p
    }
    return "".join(f"{text}. " for text in sorted(texts))


def rank_figure(study: Study, found: Across) -> Drawn:
    """Return F5: mean rank against the share of the budget, 1 on top."""
    frames = study.frames
    figure, axes = panels(2, height=2.3)
    finals: dict[str, float] = {}
    readouts: list[Readout] = []
    progresses = {part: rank_progress(frames, found, part) for part, _ in _PARTS}
    for panel, (part, word) in zip(axes, _PARTS, strict=True):
        progress = progresses[part]
        lines = _lines(frames, found, progress, (1.0, len(found.strategies)))
        finals = {name: float(line.y[-1]) for name, line in lines.items()}
        readouts.append(Readout("% of the budget", "", ("rank", part), lines))
        _draw(panel, lines, looks(frames.strategies), ("rank", part))
        _draw_single(panel, frames, progress, lines, ("rank", part))
        panel.set_title(word)
        panel.set_ylabel("mean rank" if part == "val" else "")
        panel.set_xlabel("share of the budget (%)")
        panel.set_ylim(len(found.strategies) + 0.1, 0.9)
        whole_ticks(panel.yaxis, most=9)
    caption = (
        "Mean rank by the incumbent's error, 1 is best: ranked within each task and repetition, ties averaged, a "
        f"run without a result (yet) last. {mean_text(found, {f'{word} data': progresses[part] for part, word in _PARTS})}{_START}{_uncertainty(progresses.values())}"
        f"In the legend: final mean rank by test error. {left_text(frames, found)}{about_values(frames)}{crowd_text(frames.strategies)}{basis(frames)}"
    )
    legend_below(figure, _entries(frames, found, progresses["val"], finals))
    return Drawn("rank", "Mean rank over all tasks", caption, figure, tuple(readouts))


def race_figure(study: Study) -> Drawn:
    """Return F6: the share of run-length-based targets reached against trials, logarithmic."""
    frames = study.frames
    race = race_of(study)
    figure, (panel,) = panels(1, height=2.4)
    styles = looks(frames.strategies)
    unknown = np.full(len(race.trials), math.nan)
    lines = {name: Line(race.trials, share, unknown, unknown) for name, share in race.reached.items()}
    _draw(panel, lines, styles, ("race", "val"))
    entries: list[Entry] = [(_handle(styles[name]), frames.label(name)) for name in race.reached]
    if race.twice is not None:
        panel.step(
            race.trials[: len(race.twice)],
            race.twice,
            where="post",
            color=REFERENCE,
            linestyle="--",
            zorder=2.1,
        )
        entries.append(twice_entry())
    panel.set_ylim(-0.02, 1.02)
    panel.set_xlabel("trials")
    panel.set_ylabel("share of targets reached")
    if not lines:
        no_results(panel)
    elif len(race.trials) > 1:
        log_ticks(panel, "x")
    legend_below(figure, entries)
    absent = ", ".join(frames.label(name) for name in frames.strategies if name not in race.reached)
    left = f"Left out, for on some task no run of theirs has ended: {absent}. " if absent else ""
    setter = "random search" if random_name(frames) else frames.label(frames.strategies[0])
    twice = (
        "Violet, dashed: random search with two trials for each trial of the others, which ends at half of its trials, "
        "where all of them are used. "
        if race.twice is not None
        else ""
    )
    caption = (
        f"Share of (run, target) pairs reached, mean over {counted(race.n_tasks, 'task')}. The {race.n_targets} targets "
        f"are nobody's choice: for each task the medians that {setter} reached after 1, 2, 4, … trials, in what the "
        f"strategies minimise on validation data. {twice}No band. {left}{crowd_text(frames.strategies)}{basis(frames)}"
    )
    return Drawn(
        "targets",
        "Targets reached against trials",
        caption,
        figure,
        (Readout("trials", "", ("race", "val"), lines),),
    )


def profile_figure(study: Study, found: Across) -> Drawn:
    """Return F10: the share of runs whose final test score lies above each threshold."""
    frames = study.frames
    figure, (panel,) = panels(1, height=2.4)
    thresholds = np.arange(0, 101) / 100
    scored = {task: 1.0 - values[:, :, -1:] for task, values in found.scaled("test").items()}
    above = {task: (values > thresholds).astype(np.float64) for task, values in scored.items()}
    stream = bootstrap_stream(int(frames.info.suite["root_seed"])).child("across", "profile", "test")
    progress = mean_over_tasks(above, stream.generator())
    lines = _lines(frames, found, progress, (0.0, 1.0), x=thresholds)
    _draw(panel, lines, looks(frames.strategies), ("profile", "test"))
    panel.set_xlabel("normalised test score τ")
    panel.set_ylabel("share of runs above τ")
    panel.set_ylim(-0.02, 1.02)
    legend_below(figure, _entries(frames, found, progress))
    caption = (
        "Performance profile: the share of runs whose final test score, 1 less the normalised regret, lies above τ; "
        "1 is the best incumbent of the study, 0 the baseline's median after its first trial. "
        f"{mean_text(found, {'test data': progress})}{_uncertainty([progress], single='; every run is a step')}"
        f"{left_text(frames, found)}{about_values(frames)}{crowd_text(frames.strategies)}{basis(frames)}"
    )
    return Drawn(
        "profile", "Performance profile", caption, figure, (Readout("τ", "", ("profile", "test"), lines),)
    )


def _lines(
    frames: Frames,
    found: Across,
    progress: Progress | None,
    limits: tuple[float, float],
    *,
    x: Array | None = None,
) -> dict[str, Line]:
    """Return the curves by strategy, bands cut where no value can be; nothing without a task."""
    if progress is None:
        return {}
    places = 100.0 * FRACTIONS if x is None else x
    mean = progress.mean
    values = [np.clip(value, *limits) for value in (mean.centre, mean.low, mean.high)]
    start = found.start if x is None else 0
    return {
        frames.strategies[index]: Line(places[start:], *(value[row, start:] for value in values))
        for row, index in enumerate(found.strategies)
    }


def _draw(panel: Axes, lines: Mapping[str, Line], styles: Mapping[str, Look], names: tuple[str, str]) -> None:
    """Draw the curves as steps, with their bands."""
    for place, (strategy, line) in enumerate(lines.items()):
        look = styles[strategy]
        kept = changes(np.stack([line.y, line.low, line.high]))
        x, y, low, high = (values[kept] for values in (line.x, line.y, line.low, line.high))
        panel.step(
            x,
            y,
            where="post",
            color=look.colour,
            linestyle=look.dash,
            marker=look.marker,
            markevery=_marks(place, len(x)),
            zorder=look.order,
            gid=gid("line", *names, strategy),
        )
        if look.banded and np.isfinite(low).all():
            panel.fill_between(
                x,
                low,
                high,
                step="post",
                color=look.colour,
                alpha=0.12,
                linewidth=0,
                gid=gid("band", *names, strategy),
            )


def _draw_single(
    panel: Axes, frames: Frames, progress: Progress | None, lines: Mapping[str, Line], names: tuple[str, str]
) -> None:
    """Draw the single repetitions at the end of the budget where there are too few for a bootstrap."""
    if progress is None or progress.mean.method == "bootstrap":
        return
    styles = looks(frames.strategies)
    for strategy, single in zip(lines, progress.single, strict=True):
        y = np.maximum(single, _FLOOR)
        panel.plot(
            np.full(len(y), 101.5),
            y,
            ".",
            color=styles[strategy].colour,
            markersize=5,
            markeredgewidth=0,
            gid=gid("runs", *names, strategy),
        )


def _marks(place: int, count: int) -> tuple[int, int]:
    """Return the first of a curve's markers and their distance, shifted from strategy to strategy."""
    gap = max(1, count // 5)
    return (place * max(1, gap // 4) % gap, gap)


def _handle(look: Look) -> Line2D:
    """Return a legend's handle."""
    return Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.dash)


def _entries(
    frames: Frames, found: Across, progress: Progress | None, finals: Mapping[str, float] | None = None
) -> list[Entry]:
    """Return the legend, with a number for each strategy if there is one."""
    styles = looks(frames.strategies)
    names = [frames.strategies[index] for index in found.strategies]
    texts = [frames.label(name) + (f" ({finals[name]:.2f})" if finals else "") for name in names]
    entries: list[Entry] = [(_handle(styles[name]), text) for name, text in zip(names, texts, strict=True)]
    if progress is None or progress.mean.method == "none":
        return entries
    name = "bootstrap" if progress.mean.method == "bootstrap" else "Student's t"
    return [*entries, (Patch(color="#777777", alpha=0.3, linewidth=0), f"band: 95 % {name}")]

"""The figures of ``report.html``: those of the files with real text, and single views of every task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hpbench.analysis.canvas import Drawn, settle
from hpbench.analysis.comparison import Study
from hpbench.analysis.curves import Part
from hpbench.analysis.figures import Axis, Bands, Scale, axes_of, bands_of, best_figure, measured
from hpbench.analysis.html import Picture, Swatch
from hpbench.analysis.inline import Inline
from hpbench.analysis.printing import Sheet
from hpbench.analysis.style import looks
from hpbench.analysis.value_curves import value_figure

__all__ = ["filled", "sheet_of", "swatches", "views"]

_SHORT: dict[Axis, str] = {"trials": "n", "trainings": "e", "seconds": "s"}
_SCALES: dict[Scale, str] = {"accuracy": "accuracy, linear", "error": "error, logarithmic"}
_WORDS = {
    "val": "validation",
    "test": "test",
    "trials": "trials",
    "trainings": "full trainings",
    "seconds": "seconds",
}


def sheet_of(drawn: Drawn, place: int) -> Sheet:
    """Return a figure of the files; the page has it too, but the curves, which it has task by task.

    Args:
        drawn: the figure.
        place: another number for every figure.
    """
    if drawn.name.startswith("best-"):
        return Sheet(drawn)
    return Sheet(drawn, Picture(f"fig-{drawn.name}", drawn.title, drawn.caption), f"f{place}")


def filled(picture: Picture, found: Inline) -> Picture:
    """Return ``picture`` with its SVG and what its panels can be asked for."""
    panels = found.panels
    if picture.view.get("scale") == _SCALES["error"]:  # the same numbers, told once
        linear = f"{picture.name.removesuffix('-error')}-accuracy"
        panels = [{**panel, "lines": None, "of": linear} for panel in panels]
    return replace(picture, svg=found.svg, panels=panels)


def views(study: Study) -> Iterator[Sheet]:
    """Yield the curves of every task: each axis, on validation and on test, linear and logarithmic; values once."""
    parts: tuple[Part, ...] = ("val", "test")
    for axis in axes_of(study):
        for part in parts:
            bands = bands_of(study, axis, part)
            for place, task in enumerate(study.frames.tasks):
                if study.frames.counted(task):
                    yield from _scales(study, bands, (axis, part), place)
        for place, task in enumerate(study.frames.tasks):
            if not study.frames.counted(task):
                yield _value(study, axis, place)


def _value(study: Study, axis: Axis, place: int) -> Sheet:
    """Return the view of the task at ``place``, which has a value and no accuracy."""
    task = study.frames.tasks[place]
    drawn = value_figure(study, axis, tasks=(task,))
    _simplify(drawn)
    title = f"Smallest value so far against {_WORDS[axis]}"
    picture = Picture(f"view-{axis}-value-{place}", title, drawn.caption, task=task, view={"x": _WORDS[axis]})
    return Sheet(drawn, picture, f"{_SHORT[axis]}v{place}v", filed=False)


def _scales(study: Study, bands: Bands, what: tuple[Axis, Part], place: int) -> Iterator[Sheet]:
    """Yield both scales of one view of the task at ``place``."""
    axis, part = what
    task = study.frames.tasks[place]
    for scale, shown in _SCALES.items():
        drawn = best_figure(study, bands, axis, part, scale, tasks=(task,))
        _simplify(drawn)
        view = {"x": _WORDS[axis], "part": _WORDS[part], "scale": shown}
        title = f"{_WORDS[part].capitalize()} {measured(study.frames, (task,), scale)} of the incumbent against {_WORDS[axis]}"
        name = f"view-{axis}-{part}-{place}-{scale}"
        picture = Picture(name, title, drawn.caption, task=task, view=view)
        yield Sheet(drawn, picture, f"{_SHORT[axis]}{part[0]}{place}{scale[0]}", filed=False)


def _simplify(drawn: Drawn) -> None:
    """Take away what the page says elsewhere, legend and title, and place the panel without a search."""
    figure = drawn.figure
    for legend in list(figure.legends):
        legend.remove()
    figure.set_layout_engine(None)  # one that was only switched off would forbid the next line
    figure.set_size_inches(4.6, 2.6)
    figure.subplots_adjust(left=0.125, right=0.985, bottom=0.155, top=0.97)
    for panel in figure.axes:
        panel.set_title("")
    settle(figure)


def swatches(study: Study) -> list[Swatch]:
    """Return the legend of the page, in suite order."""
    frames = study.frames
    return [
        Swatch(
            frames.label(name), look.colour, " ".join(f"{3 * length:g}" for length in look.dash[1]) or "none"
        )
        for name, look in looks(frames.strategies).items()
    ]

"""What legends and captions say of curves, whatever the curves show."""

from __future__ import annotations

from typing import Literal

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpbench.analysis.canvas import Entry
from hpbench.analysis.captions import repetitions_text
from hpbench.analysis.curves import Band
from hpbench.analysis.frames import Frames
from hpbench.analysis.statistics.intervals import MIN_INTERVAL
from hpbench.analysis.style import REFERENCE, crowd_text, looks

__all__ = ["Axis", "Bands", "about_curves", "legend_entries", "twice_entry"]

Axis = Literal["trials", "trainings", "epochs", "seconds"]

Bands = dict[str, dict[str, Band]]
"""Task → strategy → band; strategies without a result are absent."""

_TRAININGS = "The x axis counts epochs in full trainings, so that trials that stop early cost what they took"


def legend_entries(frames: Frames, bands: Bands, *, twice: bool) -> list[Entry]:
    """Return the legend: the strategies, what the band is, what a cross means."""
    drawn = [band for by_strategy in bands.values() for band in by_strategy.values()]
    present = {name for by_strategy in bands.values() for name in by_strategy}
    entries: list[Entry] = [
        (Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.dash), frames.label(name))
        for name, look in looks(frames.strategies).items()
        if name in present
    ]
    if any(band.n >= MIN_INTERVAL for band in drawn):
        entries.append((Patch(color="#777777", alpha=0.3, linewidth=0), "band: middle half (IQR)"))
    if any(1 < band.n < MIN_INTERVAL for band in drawn):
        entries.append((Line2D([], [], color="#777777", linewidth=0.5), "thin: single repetitions"))
    if any(band.exhausted_at is not None for band in drawn):
        carried = any(band.carried_on for band in drawn)
        handle = Line2D([], [], color="#777777", marker="x", linestyle=":" if carried else "")
        entries.append((handle, "exhausted, carried on" if carried else "exhausted"))
    if twice:
        entries.append(twice_entry())
    return entries


def twice_entry() -> Entry:
    """Return the legend's entry of random search with two trials for every one."""
    return Line2D([], [], color=REFERENCE, linestyle="--"), "random, 2 trials for each"


def about_curves(frames: Frames, bands: Bands, axis: Axis, *, twice: bool) -> list[str]:
    """Return what captions say of curves, whatever they show."""
    drawn = [band for by_strategy in bands.values() for band in by_strategy.values()]
    counts = [band.n for band in drawn]
    key = (
        "Lines: median over repetitions; bands: the middle half of them (IQR), from 5 repetitions on; "
        "below, thin lines show the single repetitions."
    )
    lines = [
        f"{key} {crowd_text(frames.strategies)}".strip(),
        f"Runs of a curve: {repetitions_text(min(counts), max(counts))}." if counts else "",
        "A run without a result (yet), or after a crash, counts as worse than every other.",
        "Curves of a grid show the order of enumeration, shuffled with the seed.",
    ]
    if axis != "trials":
        spent = "Wall time is ask + train + evaluate + tell" if axis == "seconds" else _TRAININGS
        lines.append(
            f"{spent}; a curve starts when each of its runs has a result and ends with the run that ended first."
        )
    if twice:
        lines.append(
            "Violet, dashed: random search with two trials for each trial of the others, the unbiased expected best "
            "of 2 t of its T trials, median over repetitions; it ends at t = T / 2, for further it would take runs of "
            "more trials than the budget allows."
        )
    if any(band.exhausted_at is not None for band in drawn):
        carried = "; its last result is carried on" if any(band.carried_on for band in drawn) else ""
        lines.append(f"A cross marks the first run that was exhausted{carried}.")
    return [line for line in lines if line]

"""What a report was made with and measured from: the part of the manifest that is the analysis's own."""

from __future__ import annotations

import math
import platform
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from hpbench import __version__
from hpbench.analysis.across import incumbent_scores, regret_scale
from hpbench.analysis.comparison import Study
from hpbench.analysis.curves import Part, TaskCurves
from hpbench.analysis.evidence import ROPE
from hpbench.analysis.frames import Frames
from hpbench.analysis.html import line
from hpbench.analysis.statistics.intervals import MIN_BOOTSTRAP, MIN_INTERVAL, N_RESAMPLES
from hpbench.analysis.targets import SHARES, levels_of, targets_of
from hpbench.analysis.versus import ALPHA
from hpbench.environment import library_version
from hpbench.seeding import bootstrap_stream

__all__ = ["analysis_of", "references_of", "report_command"]

_LIBRARIES = ("matplotlib", "numpy", "pandas", "scikit-learn", "scipy")


def report_command(folder: Path) -> str:
    """Return the command that makes the report again; the last part of the folder alone is named."""
    return f"hpbench report {shlex.quote(line(folder.resolve().name))}"


def analysis_of(study: Study, folder: Path) -> dict[str, Any]:
    """Return the analysis as JSON values: by what, with which options and seeds, measured from what.

    The best known values and the targets are written down because they move when a study grows:
    a regret is to be read beside the ones that it was measured from.

    Args:
        study: everything.
        folder: the results directory.
    """
    frames = study.frames
    stream = bootstrap_stream(int(frames.info.suite["root_seed"]))
    return {
        "command": report_command(folder),
        "trials": len(frames.trials),
        "hpbench_version": __version__,
        "python": platform.python_version(),
        "libraries": {name: library_version(name) for name in _LIBRARIES},
        "bootstrap": {
            "key": list(stream.key),
            "derivation": "SHA-256 of the JSON key with what is estimated added, as entropy of numpy's SeedSequence",
            "resamples": N_RESAMPLES,
        },
        "options": {
            "baseline": frames.baseline,
            "level": 1 - ALPHA,
            "rope": ROPE,
            "fewest_for_interval": MIN_INTERVAL,
            "fewest_for_bootstrap": MIN_BOOTSTRAP,
            "shares_of_running_time_targets": list(SHARES),
        },
        "references": {
            task: references_of(frames, curves) for task, curves in study.curves.items() if curves.n_trials
        },
    }


def references_of(frames: Frames, curves: TaskCurves) -> dict[str, Any]:
    """Return what regret and targets are measured from on one task; None for a number that there is not.

    ``best_*_error`` is regret 0 and ``reference_*_error`` regret 1 (see
    :func:`~hpbench.analysis.across.regret_scale`), ``best_*_trial`` the trial whose error it is.
    """
    found: dict[str, Any] = {}
    parts: tuple[Part, ...] = ("val", "test")
    for part in parts:
        best, reference = regret_scale(frames, curves, part)
        found[f"best_{part}_error"] = _known(best)
        found[f"best_{part}_trial"] = _best_trial(frames, curves, part)
        found[f"reference_{part}_error"] = _known(reference)
    found["running_time_targets"] = _listed(levels_of(frames, curves))
    found["runlength_targets"] = _listed(targets_of(frames, curves))
    return found


def _best_trial(frames: Frames, curves: TaskCurves, part: Part) -> str | None:
    """Return ``strategy/repetition/number`` of the first trial that reached the lowest error of an incumbent."""
    scores = incumbent_scores(frames, curves, part)
    if not np.isfinite(scores).any():
        return None
    strategy, repetition, after = np.unravel_index(int(np.nanargmin(scores)), scores.shape)
    number = int(curves.index[strategy, repetition, after])
    return f"{frames.strategies[int(strategy)]}/{int(repetition)}/{number}"


def _known(value: float) -> float | None:
    """Return a number that JSON can hold."""
    return value if math.isfinite(value) else None


def _listed(values: Iterable[float]) -> list[float]:
    """Return plain numbers."""
    return [float(value) for value in values]

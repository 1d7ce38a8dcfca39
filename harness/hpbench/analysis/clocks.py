"""The clock of a study in words, and how well modelled seconds agree with measured ones."""

from __future__ import annotations

import numpy as np

from hpbench.analysis.frames import Frames
from hpbench.wording import counted

__all__ = ["BAND", "agreement_text", "clock_text", "ratios", "steps_text"]

BAND = (0.9, 1.1)
"""The ratio of modelled to measured seconds that is wanted, and drawn as a band."""


def ratios(frames: Frames) -> np.ndarray:
    """Return modelled over measured seconds of every trial that was trained again, shape ``(n,)``."""
    if frames.checks.empty:
        return np.zeros(0)
    return (frames.checks["modelled"] / frames.checks["measured"]).to_numpy()


def clock_text(frames: Frames) -> str:
    """Return which clock the seconds are from, and how well a modelled one agrees with a measured one."""
    if frames.clock == "measured":
        return "Clock: measured; a trial's seconds are what the clock showed while it trained alone."
    text = (
        "Clock: modelled; a trial costs its steps times the seconds of a step of the reference trainer, calibrated "
        "once on this machine, plus its evaluations."
    )
    return f"{text} {agreement_text(frames)}"


def agreement_text(frames: Frames) -> str:
    """Return the median ratio of the checked trials, or that none were checked."""
    found = ratios(frames)
    if not len(found):
        return "It has not been checked against measured seconds (yet)."
    inside = int(((found >= BAND[0]) & (found <= BAND[1])).sum())
    return (
        f"Of {counted(len(found), 'random trial')} trained again alone, the median of modelled over measured seconds "
        f"is {np.median(found):.2f} (from {found.min():.2f} to {found.max():.2f}, {inside} within "
        f"{BAND[0]:g} to {BAND[1]:g})."
    )


def steps_text(frames: Frames) -> str:
    """Return how the trials of each task were trained; empty where all were trained one at a time on purpose."""
    if frames.info.suite.get("trainer", "reference") == "reference":
        return ""
    parts = []
    for name in frames.tasks:
        task = frames.info.tasks.get(name, {})
        if "steps" in task:
            parts.append(f"{name}: {task['steps']} steps ({task.get('steps_reason', '')})")
    return f"Trainer: cohort. {'; '.join(parts)}." if parts else ""

"""Tests of what the report says of the clock and of the steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hpbench.analysis import write_report
from hpbench.analysis.clocks import agreement_text, clock_text, ratios, steps_text
from hpbench.analysis.frames import Frames, load_frames

MakeStudy = Callable[..., Path]
CHECKS = [("digits-mlp", 1.0, 1.0), ("digits-mlp", 0.21, 0.2), ("wine-mlp", 3.0, 2.0)]
SMALL = {"repetitions": 1, "trials": 2, "strategies": ("random",), "tasks": ("digits-mlp", "wine-mlp")}


def frames_with(folder: Path, **suite: object) -> Frames:
    frames = load_frames(folder)
    return replace(frames, info=replace(frames.info, suite={**frames.info.suite, **suite}))


def test_a_measured_clock_is_named_and_draws_no_figure(make_study: MakeStudy) -> None:
    folder = make_study(**SMALL)
    written = write_report(folder)
    assert clock_text(load_frames(folder)).startswith("Clock: measured;")
    assert "Clock: measured;" in (folder / "tables" / "summary.md").read_text(encoding="utf-8")
    assert not [path for path in written if path.stem == "clock"]


def test_a_modelled_clock_is_shown_against_measured_seconds(make_study: MakeStudy) -> None:
    folder = make_study(**SMALL, checks=CHECKS)
    written = write_report(folder)
    assert {path.suffix for path in written if path.stem == "clock"} == {".png", ".svg", ".pdf"}
    assert ratios(load_frames(folder)) == pytest.approx([1.0, 1.05, 1.5])
    said = "3 random trials trained again alone, the median of modelled over measured seconds is 1.05 (from 1.00 to 1.50, 2 within"
    assert said in (folder / "figures" / "README.md").read_text(encoding="utf-8")
    assert said in (folder / "tables" / "summary.md").read_text(encoding="utf-8")
    svg = (folder / "figures" / "clock.svg").read_text(encoding="utf-8")
    assert svg.count('id="checks-') == 2


def test_one_check_is_drawn_too(make_study: MakeStudy) -> None:
    written = write_report(make_study(**SMALL, checks=CHECKS[:1]))
    assert [path for path in written if path.stem == "clock"]


def test_a_modelled_clock_without_a_check_says_so(make_study: MakeStudy) -> None:
    frames = frames_with(make_study(**SMALL), clock="modelled")
    assert clock_text(frames).startswith("Clock: modelled;")
    assert "has not been checked" in agreement_text(frames)


def test_how_the_steps_were_taken_is_said_for_cohorts_alone(make_study: MakeStudy) -> None:
    folder = make_study(**SMALL)
    assert steps_text(load_frames(folder)) == ""
    assert steps_text(frames_with(folder, trainer="cohort")) == ""
    frames = frames_with(folder, trainer="cohort")
    tasks = {
        "digits-mlp": {"steps": "compiled", "steps_reason": "compile = 'always'"},
        "wine-mlp": {"steps": "plain", "steps_reason": "family 'x' cannot train in cohorts"},
    }
    told = steps_text(replace(frames, info=replace(frames.info, tasks=tasks)))
    assert "digits-mlp: compiled steps (compile = 'always')" in told
    assert "wine-mlp: plain steps (family 'x' cannot train in cohorts)" in told

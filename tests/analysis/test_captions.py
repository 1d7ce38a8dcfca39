"""Tests of the warning that trials of one study were made on unlike machines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpbench.analysis import load_frames, write_report
from hpbench.analysis.captions import machines_text
from hpbench.store import Store

MakeStudy = Callable[..., Path]
SMALL = {"repetitions": 1, "trials": 2, "strategies": ("random",), "tasks": ("wine-mlp",)}
HERE = {"torch": "2.13.0+cpu", "cpu_capability": "AVX512", "torch_threads": 1}


@pytest.fixture
def study_with(make_study: MakeStudy) -> Callable[..., Path]:
    """A maker of studies whose workers said this of themselves."""

    def make(*workers: dict[str, Any]) -> Path:
        folder = make_study(**SMALL)
        with Store.open(folder) as store:
            for worker in workers:
                store.add_event("worker", worker)
        return folder

    return make


def test_the_page_and_the_summary_warn_of_unlike_machines(study_with: Callable[..., Path]) -> None:
    folder = study_with(HERE, {**HERE, "cpu_capability": "AVX2"}, HERE)
    write_report(folder)
    said = (
        "Warning, mixed machines: some trials were made with processor capability AVX512, "
        "others with processor capability AVX2."
    )
    for path in ("report.html", "tables/summary.md"):
        assert (folder / path).read_text(encoding="utf-8").count(said) == 1


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        ([], ""),
        ([HERE, HERE], ""),
        ([HERE, {**HERE, "cuda": "13.0", "cuda_device": "H200"}], ""),  # CUDA before and after its first use
        ([HERE, {**HERE, "compiler": "gcc 12"}], ""),  # a task of plain and one of compiled steps
        (
            [{**HERE, "compiler": "gcc 12"}, {**HERE, "compiler": "gcc 13"}],
            "C compiler gcc 12, others with C compiler gcc 13.",
        ),
        ([HERE, {**HERE, "torch": "2.12.0"}], "torch 2.13.0+cpu, others with torch 2.12.0."),
        (
            [{**HERE, "torch_threads": 4, "cpu_capability": "AVX2"}, HERE],
            "processor capability AVX2, threads 4, others with processor capability AVX512, threads 1.",
        ),
        (
            [HERE, {**HERE, "cuda_device": "H200"}, {**HERE, "cuda_device": "A100"}],
            "CUDA device H200, others with CUDA device A100.",
        ),
    ],
)
def test_what_differs_is_named(
    study_with: Callable[..., Path], workers: list[dict[str, Any]], said: str
) -> None:
    found = machines_text(load_frames(study_with(*workers)))
    assert bool(found) == bool(said)
    assert f"some trials were made with {said}" in found or not said

"""Data sets are found by name, are what they say, and are equal in every study."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from hpbench.errors import UsageError
from hpbench.tasks import datasets
from hpbench.tasks.datasets import Dataset

# name: shape of one input, examples, classes
EXPECTED = {
    "breast-cancer": ((30,), 569, 2),
    "digits": ((1, 8, 8), 1797, 10),
    "iris": ((4,), 150, 3),
    "moons": ((2,), 1000, 2),
    "sparse": ((200,), 1000, 3),
    "spirals": ((2,), 1200, 3),
    "wine": ((13,), 178, 3),
}

FIRST_INPUTS = {"moons": [-1.1203, 0.3845], "sparse": [-0.633, 0.1108], "spirals": [-0.1071, -0.5081]}

GENERATED = tuple(FIRST_INPUTS)


@pytest.fixture
def clean() -> Iterator[None]:
    """Forget what a test registered."""
    yield
    datasets.REGISTRY.reset()
    datasets.SOURCES.reset()
    datasets.load.cache_clear()


def test_the_table_of_this_test_is_complete() -> None:
    assert set(EXPECTED) == set(datasets.REGISTRY.builtin)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_data_set_is_what_it_says(name: str) -> None:
    dataset = datasets.load(name)
    shape, size, classes = EXPECTED[name]
    assert (dataset.name, dataset.shape, len(dataset), dataset.n_classes) == (name, shape, size, classes)
    assert dataset.inputs.dtype == np.float32
    assert dataset.targets.dtype == np.int64
    assert np.bincount(dataset.targets).min() >= 3


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_loading_again_gives_the_same_bytes(name: str) -> None:
    assert datasets.REGISTRY.get(name)().checksum == datasets.load(name).checksum


def test_a_process_loads_a_data_set_once() -> None:
    assert datasets.load("iris") is datasets.load("iris")


def test_loading_leaves_the_global_generators_alone() -> None:
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - the very thing that must not move
    for name in EXPECTED:
        datasets.REGISTRY.get(name)()
    after = random.getstate(), np.random.get_state()  # noqa: NPY002
    assert before[0] == after[0]
    np.testing.assert_equal(before[1], after[1])


@pytest.mark.parametrize("name", GENERATED)
def test_generated_data_do_not_depend_on_the_global_seed(name: str) -> None:
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(1)  # noqa: NPY002
        first = datasets.REGISTRY.get(name)().checksum
        np.random.seed(2)  # noqa: NPY002
        second = datasets.REGISTRY.get(name)().checksum
    finally:
        np.random.set_state(state)  # noqa: NPY002
    assert first == second


def test_generated_data_are_those_of_every_study() -> None:
    """The first inputs, so that a change of the generator cannot go unseen."""
    found = {name: [round(float(x), 4) for x in datasets.load(name).inputs[0, :2]] for name in GENERATED}
    assert found == FIRST_INPUTS


def test_moons_cannot_be_told_apart_by_a_line_but_by_the_half_circles() -> None:
    dataset = datasets.load("moons")
    centre = np.where(dataset.targets[:, None] == 0, [[0.0, 0.0]], [[1.0, 0.5]])
    radius = np.linalg.norm(dataset.inputs - centre, axis=1)
    assert abs(radius.mean() - 1.0) < 0.05
    assert 0.6 < _linear_accuracy(dataset) < 0.92


def test_spirals_defeat_a_line_and_keep_their_arms_apart() -> None:
    dataset = datasets.load("spirals")
    assert _linear_accuracy(dataset) < 0.6
    assert _nearest_neighbour_accuracy(dataset) > 0.95


def test_sparse_is_told_by_few_features() -> None:
    dataset = datasets.load("sparse")
    one_hot = np.eye(3)[dataset.targets]
    correlation = np.abs(np.corrcoef(dataset.inputs.T, one_hot.T)[:200, 200:]).max(axis=1)
    telling = int((correlation > 0.13).sum())
    assert 5 <= telling <= 12


def test_digits_are_upright_images() -> None:
    dataset = datasets.load("digits")
    assert (dataset.inputs.min(), dataset.inputs.max()) == (0.0, 16.0)
    zeros = dataset.inputs[dataset.targets == 0, 0].mean(axis=0)
    assert zeros[3:5, 3:5].mean() < zeros[3:5, [2, 5]].mean(), "a nought is hollow"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown data set 'digts'\. Did you mean 'digits'\?"):
        datasets.load("digts")


def test_an_unknown_source_is_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="unknown data set 'nowhere:mnist'"):
        datasets.load("nowhere:mnist")


@pytest.mark.usefixtures("clean")
def test_own_data_come_in_by_name() -> None:
    datasets.REGISTRY.add("mine", lambda: Dataset.of("mine", [[0.0], [1.0]], [0, 1]))
    assert datasets.is_known("mine")
    assert len(datasets.load("mine")) == 2


@pytest.mark.usefixtures("clean")
def test_a_source_gets_what_follows_its_prefix() -> None:
    asked: list[str] = []

    def source(wanted: datasets.DataSpec) -> Dataset:
        asked.append(wanted.rest)
        return Dataset.of(wanted.name, [[0.0], [1.0]], [0, 1])

    datasets.SOURCES.add("table", source)
    assert datasets.is_known("table:a:b")
    assert datasets.load("table:a:b").name == "table:a:b"
    assert asked == ["a:b"]


@pytest.mark.parametrize(
    ("name", "known"), [("digits", True), ("digit", False), ("x:y", False), ("digits:", False)]
)
def test_knowing_a_name_loads_nothing(*, name: str, known: bool) -> None:
    assert datasets.is_known(name) is known


def test_naming_data_sets_imports_no_heavy_library() -> None:
    code = (
        "import sys; from hpbench.tasks import datasets; datasets.REGISTRY.names(); "
        "datasets.is_known('digits'); import hpbench.tasks.datasets.splits; "
        "print([name for name in ('sklearn', 'scipy', 'torch', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _linear_accuracy(dataset: Dataset) -> float:
    """Return the share of examples that least squares on one-hot targets gets right."""
    design = np.column_stack([dataset.inputs, np.ones(len(dataset))])
    weights, *_ = np.linalg.lstsq(design, np.eye(dataset.n_classes)[dataset.targets], rcond=None)
    return float(((design @ weights).argmax(axis=1) == dataset.targets).mean())


def _nearest_neighbour_accuracy(dataset: Dataset) -> float:
    """Return the share of examples whose nearest other example has the same class."""
    distance = np.linalg.norm(dataset.inputs[:, None] - dataset.inputs[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    return float((dataset.targets[distance.argmin(axis=1)] == dataset.targets).mean())

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from hpbench import registry as module
from hpbench.errors import UsageError
from hpbench.registry import Registry


@pytest.fixture
def thing() -> Registry[object]:
    return Registry("thing", "hpbench.things", {"pi": "math:pi", "sqrt": "math:sqrt"})


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("tau", "math:tau", "hpbench.things"),
        EntryPoint("broken", "no_such_module_at_all:x", "hpbench.things"),
        EntryPoint("pi", "math:e", "hpbench.things"),
    ]

    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        return [point for point in points if point.group == group and name in (None, point.name)]

    monkeypatch.setattr(module, "entry_points", entry_points)


def test_a_built_in_name_is_loaded_when_asked_for(thing: Registry[object]) -> None:
    assert thing.get("pi") == pytest.approx(3.14159, abs=1e-4)


def test_names_are_sorted(thing: Registry[object]) -> None:
    thing.add("alpha", 1)
    assert thing.names() == ["alpha", "pi", "sqrt"]


def test_an_unknown_name_gets_the_nearest_and_all_known(thing: Registry[object]) -> None:
    with pytest.raises(UsageError, match=r"unknown thing 'sqr'. Did you mean 'sqrt'\? Known: pi, sqrt"):
        thing.get("sqr")


def test_what_was_added_is_found_and_forgotten(thing: Registry[object]) -> None:
    thing.add("mine", 42)
    assert thing.get("mine") == 42
    thing.reset()
    with pytest.raises(UsageError, match="unknown thing 'mine'"):
        thing.get("mine")


def test_a_taken_name_is_refused(thing: Registry[object]) -> None:
    with pytest.raises(UsageError, match="exists already"):
        thing.add("pi", 3)


@pytest.mark.usefixtures("_installed")
def test_what_is_something_else_is_refused() -> None:
    words = Registry[object](
        "word", "hpbench.things", {}, wanted="a str", fits=lambda item: isinstance(item, str)
    )
    words.add("yes", "yes")
    for bad in (lambda: words.add("no", 1.5), lambda: words.get("tau")):
        with pytest.raises(UsageError, match=r"word '(no|tau)' must be a str, got [\d.]+\.$"):
            bad()
    assert "no" not in words.names()


@pytest.mark.usefixtures("_installed")
def test_installed_entry_points_are_found(thing: Registry[object]) -> None:
    assert "tau" in thing.names()
    assert thing.get("tau") == pytest.approx(6.28318, abs=1e-4)


@pytest.mark.usefixtures("_installed")
def test_an_entry_point_does_not_replace_what_we_ship(thing: Registry[object]) -> None:
    assert thing.get("pi") == pytest.approx(3.14159, abs=1e-4)


@pytest.mark.usefixtures("_installed")
def test_an_entry_point_that_cannot_be_imported_says_so(thing: Registry[object]) -> None:
    with pytest.raises(UsageError, match="'no_such_module_at_all:x', but importing it failed"):
        thing.get("broken")

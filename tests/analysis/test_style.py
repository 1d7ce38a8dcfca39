from __future__ import annotations

import itertools
import re

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpbench.analysis.canvas import Drawn, Entry, drawing, legend_below, log_ticks, no_results, panels, settle
from hpbench.analysis.contrasts import SHADES
from hpbench.analysis.inline import inline
from hpbench.analysis.style import REFERENCE, STATUS_COLOURS, crowd_text, drawable, gid, looks, wrapped


def test_no_two_strategies_look_alike_and_adding_one_changes_no_other() -> None:
    names = [f"s{i}" for i in range(24)]
    found = looks(names)
    assert len({(look.colour, look.marker, look.dash) for look in found.values()}) == 24
    assert len({look.colour for look in list(found.values())[:8]}) == 8
    assert looks(names[:5]) == {name: found[name] for name in names[:5]}


def test_a_ninth_strategy_is_grey_without_a_band_under_the_coloured_ones() -> None:
    names = [f"s{i}" for i in range(9)]
    *coloured, grey = looks(names).values()
    assert all(look.banded and look.order > grey.order for look in coloured)
    assert not grey.banded
    assert "first 8 strategies have colours, and bands" in crowd_text(names)
    assert crowd_text(names[:8]) == ""


def test_a_reference_has_a_colour_that_no_strategy_has() -> None:
    assert REFERENCE not in {look.colour for look in looks([f"s{i}" for i in range(68)]).values()}


def test_text_keeps_what_the_font_can_draw() -> None:
    assert drawable("é µ $x$ </script>") == "é µ $x$ </script>"
    assert drawable("漢\x1b字\n.") == "□□ ."


def test_long_labels_are_broken_and_cut() -> None:
    text = wrapped("x" * 200)
    assert len(text.splitlines()) == 3
    assert all(len(line) <= 26 for line in text.splitlines())
    assert text.endswith("…")
    assert wrapped("") == ""
    assert wrapped("short label") == "short label"
    assert wrapped("GP (scikit-optimize)", 18) == "GP\n(scikit-optimize)"
    assert wrapped("optuna-tpe-independent", 18) == "optuna-tpe-\nindependent"


@pytest.mark.parametrize(
    "parts",
    [("line", "a", "b"), ("line", "a b", '"><svg onload=x>'), ("line", "é", "b"), ("line", "a-b", "c")],
)
def test_ids_are_safe(parts: tuple[str, ...]) -> None:
    assert re.fullmatch(r"[a-zA-Z][\w.-]*", gid(*parts), flags=re.ASCII)


def test_different_parts_have_different_ids() -> None:
    assert gid("line", "a-b", "c") != gid("line", "a", "b-c")
    assert gid("line", "a b", "c") != gid("line", "ab", "c")


@pytest.mark.parametrize(
    ("limits", "expected"),
    [((1, 3), {1.0, 2.0, 3.0}), ((0.1, 40), {0.1, 1.0, 10.0}), ((1e-3, 1e4), {1e-3, 1.0, 1e4})],
)
def test_logarithmic_ticks_are_plain_numbers(limits: tuple[float, float], expected: set[float]) -> None:
    with drawing():
        figure, (axes,) = panels(1)
        axes.set_xlim(*limits)
        log_ticks(axes, "x")
        figure.draw_without_rendering()
        ticks = {float(f"{tick:g}") for tick in axes.get_xticks()}
        assert expected <= ticks
        assert all("$" not in label.get_text() for label in axes.get_xticklabels())


def test_panels_stand_three_in_a_row() -> None:
    with drawing():
        figure, axes = panels(7)
        assert len(axes) == 7
        assert figure.get_figwidth() == 6.75
        assert panels(1)[0].get_figwidth() == 3.25


@pytest.mark.parametrize(
    "colours", [list(STATUS_COLOURS.values()), [to_hex(shade) for shade in SHADES(range(SHADES.N))]]
)
def test_a_dark_page_keeps_the_colours_of_statuses_and_regret(colours: list[str]) -> None:
    with drawing():
        figure, _ = panels(1)
        legend_below(figure, [(Patch(facecolor=colour), colour) for colour in colours])
        svg = inline(Drawn("status", "Status", "", figure), "f", ()).svg.lower()
    assert all(f"fill:{colour.lower()}" in svg for colour in colours)


@pytest.mark.parametrize(("count", "names"), [(1, 30), (1, 4), (2, 30)])
def test_a_legend_lies_inside_its_figure_under_panels_as_high_as_without(count: int, names: int) -> None:
    entries: list[Entry] = [(Line2D([], []), f"library-strategy-of-many-{place}") for place in range(names)]
    heights = []
    for shown in (entries, []):
        with drawing():
            figure, axes = panels(count)
            for panel in axes:
                panel.set_xlabel("trials")
            legend_below(figure, shown)
            settle(figure)
            heights.append(axes[0].get_position().height * figure.get_figheight())
            for legend in figure.legends:
                box = legend.get_window_extent(FigureCanvasAgg(figure).get_renderer())
                assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
                assert 0 <= box.y0 < box.y1 <= axes[0].get_position().y0 * figure.bbox.y1
    assert heights[0] == pytest.approx(heights[1], abs=0.1)


def test_a_legend_of_nothing_is_none_and_an_empty_panel_says_so() -> None:
    with drawing():
        figure, (axes,) = panels(1)
        legend_below(figure, [])
        no_results(axes)
        assert not figure.legends
        assert axes.texts[0].get_text() == "no results"


@pytest.mark.parametrize("low", [0.0001, 0.00013, 0.0007])
@pytest.mark.parametrize("ratio", [3.0, 10.0, 28.0, 51.0])
def test_long_texts_of_ticks_do_not_touch(low: float, ratio: float) -> None:
    with drawing():
        figure, (panel, *_) = panels(3)
        panel.set_xlim(low, low * ratio)
        log_ticks(panel, "x")
        settle(figure)
        renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
        ticks = [tick for tick in panel.xaxis.get_major_ticks() if low <= tick.get_loc() <= low * ratio]
        boxes = [tick.label1.get_window_extent(renderer) for tick in ticks]
        assert len(boxes) > 1
        assert all(left.x1 + 4 < right.x0 for left, right in itertools.pairwise(boxes))

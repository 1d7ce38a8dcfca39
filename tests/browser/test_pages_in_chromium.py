"""The pages in a real browser: what no parser of HTML can tell.

``nox -s browser`` runs these with Debian's Chromium; elsewhere they are skipped where the browser or the
library that drives it is missing.
"""

from __future__ import annotations

import csv
import io
import math
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hpbench.analysis import write_report
from hpbench.analysis.comparison import study_of
from hpbench.analysis.frames import load_frames
from hpbench.analysis.report import all_tables
from hpbench.analysis.two_report import compare_results, write_comparison

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: nox -s browser")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe is not installed: nox -s browser"
)
pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed: nox -s browser")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")

HOSTILE = "</script><img src=x onerror=\"window.__xss=1;alert(1)\"> & 'q' {{ 7*7 }}"
SPACE = (
    {"name": "layers", "kind": "integer", "low": 1, "high": 3, "log": False},
    {"name": "<b>rate</b>", "kind": "float", "low": 1e-4, "high": 1e-1, "log": True},
    {"name": "kind", "kind": "categorical", "choices": ["a", "</pre>"], "ordered": False},
)
TASKS = ("digits-mlp", "<i>wine</i>")
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass
class Visit:
    """An open page and what happened on it."""

    page: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def folder(synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with names that would like to be code, and its report."""
    path = tmp_path_factory.mktemp("pages") / "study"
    plan = synthetic.Plan(
        tasks=TASKS,
        labels={"grid": HOSTILE},
        repetitions=6,
        trials=12,
        space=SPACE,
        name=HOSTILE,
        checks=[("digits-mlp", 0.5, 0.4)],
    )
    synthetic.write(path, plan)
    write_report(path)
    return path


@pytest.fixture(scope="module")
def comparison(folder: Path, synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two studies."""
    path = tmp_path_factory.mktemp("pages") / "slower"
    plan = synthetic.Plan(
        tasks=TASKS, labels={"grid": HOSTILE}, repetitions=6, trials=12, space=SPACE, slower=3.0
    )
    synthetic.write(path, plan)
    return write_comparison(compare_results(folder, path), path / "out")[0]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Open]:
    """Open a file in a browser that can reach nothing else."""
    contexts = []

    def open_page(path: Path, **options: Any) -> Visit:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        found = Visit(context.new_page())
        address = path.as_uri()

        def route(handler: Any) -> None:
            found.requests.append(handler.request.url)
            if handler.request.url.partition("#")[0] == address:
                handler.continue_()
            else:
                handler.abort()

        def answer(dialog: Any) -> None:
            found.dialogs.append(dialog.message)
            dialog.dismiss()

        context.route("**/*", route)
        found.page.on(
            "console",
            lambda message: (
                found.errors.append(message.text) if message.type in {"error", "warning"} else None
            ),
        )
        found.page.on("pageerror", lambda error: found.errors.append(str(error)))
        found.page.on("dialog", answer)
        found.page.goto(address)
        return found

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def report(visit: Open, folder: Path) -> Visit:
    return visit(folder / "report.html")


def test_pages_load_nothing_but_themselves_and_complain_of_nothing(
    visit: Open, folder: Path, comparison: Path
) -> None:
    for path in (folder / "report.html", comparison):
        found = visit(path)
        found.page.mouse.move(400, 400)
        assert found.requests == [path.as_uri()]
        assert found.errors == []


def test_hostile_names_are_texts(visit: Open, folder: Path, comparison: Path) -> None:
    for path in (folder / "report.html", comparison):
        found = visit(path)
        assert found.page.evaluate("typeof window.__xss") == "undefined"
        assert found.dialogs == []
        assert found.page.locator("img, i:not(#tip i), b:not(#tip b)").count() == 0
        assert HOSTILE in found.page.locator("td").all_inner_texts()
    page = visit(folder / "report.html").page
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator("#legend span").all_inner_texts()[1] == HOSTILE
    assert TASKS[1] in page.locator("#curves h3").all_inner_texts()
    assert any("<b>rate</b>" in text for text in page.locator("td").all_inner_texts())


def test_switching_a_strategy_off_hides_its_marks_and_no_others(report: Visit) -> None:
    page = report.page
    page.locator("#legend input").nth(2).uncheck()
    hidden = "[...document.querySelectorAll('[data-s]')].map(e => [e.dataset.s, getComputedStyle(e).display])"
    shown = page.evaluate(hidden)
    assert {place for place, _ in shown} == {"0", "1", "2", "3"}
    assert all((display == "none") == (place == "2") for place, display in shown)
    assert page.evaluate("document.querySelectorAll('.hid:not([data-s=\"2\"])').length") == 0
    page.locator("#legend input").nth(2).check()
    assert all(display != "none" for _, display in page.evaluate(hidden))


def test_one_view_at_a_time_is_chosen(report: Visit) -> None:
    page = report.page
    seen = page.locator("figure.view:visible")
    assert seen.count() == len(TASKS)
    page.get_by_role("radio", name="test", exact=True).check()
    page.get_by_role("radio", name="error, logarithmic").check()
    page.get_by_role("radio", name="seconds").check()
    kinds = {
        tuple(seen.nth(at).get_attribute(f"data-{key}") for key in ("x", "part", "scale"))
        for at in range(seen.count())
    }
    assert kinds == {("seconds", "test", "error, logarithmic")}


@pytest.mark.parametrize("scale", ["accuracy", "error"])
@pytest.mark.parametrize("trial", [1, 5, 12])
def test_what_is_read_under_the_pointer_is_what_was_plotted(
    report: Visit, folder: Path, scale: str, trial: int
) -> None:
    page = report.page
    if scale == "error":
        page.get_by_role("radio", name="error, logarithmic").check()
    svg = page.locator(f"#view-trials-val-0-{scale} svg").first
    svg.scroll_into_view_if_needed()
    box = page.evaluate(
        """([id, trial]) => {
          const data = JSON.parse(document.getElementById('data').textContent);
          const panel = data.figures[id][0];
          const svg = document.querySelector(`#${id} svg`);
          const frame = svg.getBoundingClientRect();
          const scale = frame.width / svg.viewBox.baseVal.width;
          const share = (trial - panel.lim[0]) / (panel.lim[1] - panel.lim[0]);
          const x = panel.box[0] + share * (panel.box[2] - panel.box[0]);
          return [frame.x + x * scale, frame.y + (panel.box[1] + panel.box[3]) / 2 * scale];
        }""",
        [f"view-trials-val-0-{scale}", trial],
    )
    page.mouse.move(*box)
    lines = page.locator("#tip").inner_text().splitlines()
    assert lines[0] == f"trials: {trial}"
    text = (folder / "tables" / "curves.csv").read_text(encoding="utf-8")
    rows = [
        row
        for row in csv.DictReader(io.StringIO(text))
        if (row["axis"], row["part"], row["task"], float(row["x"])) == ("trials", "val", TASKS[0], trial)
    ]
    for line, row in zip(lines[1:], rows, strict=True):
        error = 100 * float(row["median_error"])
        value = float(line.rpartition(": ")[2].partition("%")[0])
        assert value == pytest.approx(error if scale == "error" else 100 - error, abs=0.006)
        ends = [float(end) for end in line.rpartition("[")[2].rstrip("]").split(",")]
        expected = sorted(100 * float(row[key]) for key in ("quartile_low", "quartile_high"))
        assert ends == pytest.approx(
            expected if scale == "error" else [100 - end for end in expected[::-1]], abs=0.006
        )


def test_the_order_of_a_sorted_column_is_pythons(report: Visit, folder: Path) -> None:
    page = report.page
    tables = {table.name: table for table in all_tables(study_of(load_frames(folder)))}
    head = page.locator("#table-final th", has_text="Test accuracy")
    place = next(at for at, column in enumerate(tables["final"].columns) if "Test accuracy" in column.header)
    cells = page.locator(f"#table-final tbody td:nth-child({place + 1})")
    errors = tables["final"].values["test_error"]
    shown = [row[place].text for row in tables["final"].cells()]
    for ascending in (True, False):
        head.locator("button").click()
        order = sorted(range(len(shown)), key=lambda at: round(-errors[at], 4), reverse=not ascending)
        assert cells.all_inner_texts() == [shown[at] for at in order]
        assert head.get_attribute("aria-sort") == ("ascending" if ascending else "descending")


def _first_number(text: str) -> float:
    """Return the number that a cell begins with, whatever stands before it; NaN without one."""
    if text.startswith("∞"):
        return math.inf
    for word in text.replace(",", "").split():
        try:
            return float(word.strip(f"{TIMES};[]()%").partition("/")[0])
        except ValueError:
            continue
    return math.nan


def test_every_column_of_numbers_is_sorted_by_its_numbers(
    visit: Open, folder: Path, comparison: Path
) -> None:
    for path in (folder / "report.html", comparison):
        page = visit(path).page
        columns = page.evaluate(
            """() => [...document.querySelectorAll('.table')].flatMap((block) =>
              [...block.querySelectorAll('th')].flatMap((head, place) => {
                if (!head.classList.contains('num')) return [];
                head.querySelector('button').click();
                const cells = [...block.querySelectorAll('tbody tr')].map((row) => row.cells[place].innerText.trim());
                return [[`${block.dataset.name}: ${head.innerText}`, cells]];
              }))"""
        )
        assert len(columns) > 5
        for name, cells in columns:
            numbers = [math.inf if math.isnan(found) else found for found in map(_first_number, cells)]
            assert numbers == sorted(numbers), name


def test_what_stands_around_a_number_does_not_change_its_order(report: Visit) -> None:
    expected = [
        "-1.2 [-2, 1]",
        "< .001",
        ".001",
        "2.5e-03",
        f"{TIMES} 1.2",
        "1,234 of 2,000",
        "∞ (0/6)",
        "too few",
    ]
    page = report.page
    order = page.evaluate(
        """(texts) => {
          const block = document.getElementById('table-final');
          const head = block.querySelector('th.num');
          const place = [...block.querySelectorAll('th')].indexOf(head);
          const cells = () => [...block.querySelectorAll('tbody tr')].map((row) => row.cells[place]);
          cells().forEach((cell, at) => { cell.textContent = texts[at]; });
          head.querySelector('button').click();
          return cells().map((cell) => cell.textContent);
        }""",
        [expected[at] for at in (5, 0, 7, 3, 6, 2, 4, 1)],
    )
    assert order == expected


def test_rows_are_filtered_and_tables_copied(visit: Open, folder: Path) -> None:
    page = visit(folder / "report.html", permissions=["clipboard-read", "clipboard-write"]).page
    rows = page.locator("#table-final tbody tr:visible")
    everything = rows.count()
    page.locator("#table-final input").fill("GENETIC")
    assert 0 < rows.count() < everything
    assert all("genetic" in text for text in rows.all_inner_texts())
    for button, name in (("Copy as CSV", "final.csv"), ("Copy as LaTeX", "final.tex")):
        page.locator("#table-final").get_by_text(button).click()
        page.locator("#table-final").get_by_text("Copied").wait_for()
        expected = (folder / "tables" / name).read_text(encoding="utf-8")
        assert page.evaluate("navigator.clipboard.readText()") == expected
        page.locator("#table-final").get_by_text(button).wait_for()


@pytest.mark.parametrize("width", [320, 768])
def test_narrow_screens_have_no_sideways_scroll(
    visit: Open, folder: Path, comparison: Path, width: int
) -> None:
    for path in (folder / "report.html", comparison):
        for javascript in (True, False):
            page = visit(path, viewport={"width": width, "height": 640}, java_script_enabled=javascript).page
            if javascript:
                wide = "document.documentElement.scrollWidth"
                assert page.evaluate(wide) <= width
            box = page.locator("body").bounding_box()
            assert box["width"] <= width


def _plain(text: str) -> str:
    """Return a text without white space and ligatures."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def test_print_holds_every_figure_and_table(visit: Open, folder: Path, comparison: Path) -> None:
    for path in (folder / "report.html", comparison):
        page = visit(path).page
        titles = [
            page.locator("figcaption").nth(at).text_content()
            for at in range(page.locator("figcaption").count())
        ]
        tables = page.locator(".table h3").all_text_contents()
        pages = pypdf.PdfReader(io.BytesIO(page.pdf(format="A4"))).pages
        text = _plain("".join(sheet.extract_text() for sheet in pages))
        for title in [*titles, *tables]:
            assert _plain(title) in text, title
        for title in set(titles):
            assert text.count(_plain(title)) >= titles.count(title)
        page.emulate_media(media="print")
        boxes = [
            page.locator("figure .fig > svg").nth(at).bounding_box()
            for at in range(page.locator("figure .fig > svg").count())
        ]
        assert len(boxes) == len(titles)
        assert all(box is not None and box["height"] > 50 for box in boxes)


def test_no_table_is_cut_where_the_printed_sheet_ends(
    visit: Open, synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = ("random", *(f"library-strategy-{place}" for place in range(21)))
    folder = tmp_path_factory.mktemp("pages") / "many"
    synthetic.write(folder, synthetic.Plan(tasks=TASKS[:1], strategies=names, repetitions=6, trials=3))
    write_report(folder)
    page = visit(folder / "report.html", viewport={"width": 718, "height": 1000}).page
    page.emulate_media(media="print")
    widths = page.evaluate("[...document.querySelectorAll('table')].map(table => table.scrollWidth)")
    assert len(widths) > 5
    assert max(widths) <= 718
    cell = page.locator("#table-pairs tbody tr").nth(0).locator("td").nth(4)
    before = cell.evaluate("cell => getComputedStyle(cell, '::before').content")
    assert names[2] in before  # after task and strategy, a column a strategy
    assert page.locator("#table-pairs thead").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Open, folder: Path, comparison: Path, scheme: str) -> None:
    for path in (folder / "report.html", comparison):
        page = visit(path, color_scheme=scheme).page
        found = axe.Axe().run(page).response["violations"]
        serious = [
            (item["id"], item["impact"], [node["html"][:150] for node in item["nodes"]][:3])
            for item in found
            if item["impact"] in {"serious", "critical"}
        ]
        assert serious == []


def test_without_javascript_every_figure_and_table_is_there(
    visit: Open, folder: Path, comparison: Path
) -> None:
    for path in (folder / "report.html", comparison):
        page = visit(path, java_script_enabled=False).page
        for selector in (".fig > svg", "table", ".caption", "pre"):
            found = page.locator(selector)
            assert found.count() > 0
            assert all(found.nth(at).is_visible() for at in range(found.count())), selector


def test_the_tip_follows_the_pointer_and_leaves_with_it(report: Visit) -> None:
    page = report.page
    figure = page.locator("#fig-learning svg").first
    figure.scroll_into_view_if_needed()
    frame = figure.bounding_box()
    page.mouse.move(frame["x"] + frame["width"] * 0.25, frame["y"] + frame["height"] * 0.4)
    tip = page.locator("#tip")
    assert tip.inner_text().startswith("epochs: ")
    box = tip.bounding_box()
    assert (
        math.hypot(
            box["x"] - frame["x"] - frame["width"] * 0.25, box["y"] - frame["y"] - frame["height"] * 0.4
        )
        < 60
    )
    page.mouse.move(2, 2)
    assert tip.is_hidden()

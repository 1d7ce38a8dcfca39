from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpbench.analysis import load_frames, write_report
from hpbench.analysis.canvas import Drawn, Line, Readout, drawing, panels
from hpbench.analysis.comparison import study_of
from hpbench.analysis.inline import inline
from hpbench.analysis.page import page_text
from hpbench.analysis.pictures import filled, views
from hpbench.analysis.printing import print_sheet
from hpbench.analysis.report import all_tables

MakeStudy = Callable[..., Path]
HOSTILE = "</script><img src=x onerror=alert(1)> & \"q\" 'a' {{ 7*7 }}"
VOID = {"meta", "input", "br", "img", "link"}


class Reader(HTMLParser):
    """Collects elements, texts and ids, and checks that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append((self.elements[-1][1], data))
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page(write_study: MakeStudy, tmp_path_factory: pytest.TempPathFactory) -> str:
    names = {name: HOSTILE + name for name in ("random", "grid")}
    folder = tmp_path_factory.mktemp("page") / "study"
    options: dict[str, Any] = {"tasks": ("wine-mlp",), "repetitions": 5, "trials": 4, "name": HOSTILE}
    write_study(folder, labels=names, strategies=("random", "grid"), **options)
    assert folder / "report.html" in write_report(folder)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_page_is_whole_and_stands_alone(page: str) -> None:
    reader = read(page)
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in reader.elements:
        assert tag not in {"link", "iframe", "object", "embed", "form", "base", "img"}
        for key, value in attributes.items():
            assert not key.startswith("on"), key
            assert key not in {"src", "srcset", "action"}
            if key == "href":
                assert value is not None
                assert value.startswith(("#", "data:image/png;base64,"))
                assert not value.startswith("#") or value[1:] in ids
            for target in re.findall(r"url\(#?([^)]*)\)", value or ""):
                assert target in ids
    styles = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    assert len(styles) == 1
    assert "url(" not in styles[0]
    assert "@import" not in styles[0]
    assert not re.search(r"https?:", page)
    assert len(page) < 400_000


def test_the_policy_lets_the_one_script_run_and_nothing_else(page: str) -> None:
    reader = read(page)
    ((_, policy),) = [item for item in reader.elements if item[1].get("http-equiv")]
    content = policy["content"] or ""
    assert content.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    runs = [text for attributes, text in reader.scripts if attributes.get("type") != "application/json"]
    (script,) = runs
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in content
    for word in ("innerHTML", "eval(", "document.write", "fetch(", "XMLHttpRequest", "insertAdjacentHTML"):
        assert word not in script


def test_hostile_names_are_text_and_nothing_but_text(page: str) -> None:
    reader = read(page)
    assert any(HOSTILE in text for text in reader.texts)
    assert "49" not in (text.strip() for text in reader.texts)
    (block,) = [text for attributes, text in reader.scripts if attributes.get("type") == "application/json"]
    assert not re.search(r"[<>&]", block)
    assert json.loads(block)["strategies"][0]["label"] == HOSTILE + "random"


def test_everything_is_there_without_a_script(page: str) -> None:
    reader = read(page)
    figures = [attributes for tag, attributes in reader.elements if tag == "figure"]
    seen = {(a["data-x"], a["data-part"], a["data-scale"]) for a in figures if a.get("data-x")}
    assert len(seen) == 8
    assert sum(tag == "svg" and "aria-label" in a for tag, a in reader.elements) == len(figures)
    assert sum(tag == "table" for tag, _ in reader.elements) >= 8
    for heading in ("What this study shows", "Curves by task", "Over all tasks", "Failures", "The manifest"):
        assert heading in reader.texts
    assert "hpbench report" in page


def test_what_hovering_says_is_what_the_curves_file_says(make_study: MakeStudy) -> None:
    study = study_of(load_frames(make_study(repetitions=5, trials=6, tasks=("wine-mlp",), failure_rate=0.0)))
    found = {}
    with drawing():
        for sheet in views(study):
            shown = print_sheet(sheet, study.frames.strategies).inline
            assert sheet.picture is not None
            assert shown is not None
            found[sheet.picture.name] = filled(sheet.picture, shown)
    (panel,) = found["view-trials-test-0-accuracy"].panels
    curves = study.curves["wine-mlp"]
    for place in range(4):
        line = panel["lines"][str(place)]
        runs = curves.incumbent_error("test")[place]
        for trial in range(6):
            at = max(index for index, x in enumerate(line["x"]) if x <= trial + 1)
            values = sorted(runs[:, trial])
            assert line["y"][at] == pytest.approx(100 * (1 - values[2]), abs=1e-2)
    (error,) = found["view-trials-test-0-error"].panels
    assert error["of"] == "view-trials-test-0-accuracy"


def test_curves_can_be_told_apart_by_their_strategy(page: str) -> None:
    marked = [attributes["data-s"] for _, attributes in read(page).elements if "data-s" in attributes]
    assert set(marked) == {"0", "1"}
    assert marked.count("0") >= 8 * 2


def test_a_study_without_a_trial_has_a_page_that_says_so(make_study: MakeStudy) -> None:
    folder = make_study(trials=0, repetitions=1)
    write_report(folder)
    reader = read((folder / "report.html").read_text())
    assert "No trial has finished yet." in reader.texts
    assert not [tag for tag, _ in reader.elements if tag == "figure"]


def test_a_partial_study_says_so_first(make_study: MakeStudy, awkward_options: dict[str, Any]) -> None:
    folder = make_study(**awkward_options)
    study = study_of(load_frames(folder))
    text = page_text(study, all_tables(study), [], [], folder)
    assert "<strong>Partial: 108 of 110 runs</strong>" in text
    assert "lacks CONDITIONAL" in text


def test_early_stopping_gives_the_curves_a_third_axis(make_study: MakeStudy) -> None:
    study = study_of(
        load_frames(make_study(repetitions=2, trials=3, tasks=("wine-mlp",), strategies=("random",)))
    )
    study.curves["wine-mlp"].trainings[...] *= 0.5
    with drawing():
        found = {sheet.picture.view["x"] for sheet in views(study) if sheet.picture}
    assert found == {"trials", "full trainings", "seconds"}


def test_a_figure_is_cleaned_but_not_changed() -> None:
    with drawing():
        figure, (panel,) = panels(1)
        panel.plot([0, 1], [0, 1], gid="line-a")
        panel.set_xlabel("5 < 6 & more")
        found = inline(Drawn("n", "t", "c", figure), "p", ())
    assert "5 &lt; 6 &amp; more" in found.svg
    assert "xmlns" not in found.svg
    assert "DejaVu" not in found.svg
    assert found.panels == []
    assert found.svg.startswith("<svg ")
    assert 'class="g"' in found.svg
    for marker in re.findall(r"<defs>(.*?)</defs>", found.svg):  # a tick says itself how it looks
        assert "class" not in marker
        assert 'style="stroke:' in marker or "<rect" in marker


def test_a_path_of_the_page_leads_where_that_of_the_file_does() -> None:
    x = np.array([0, 1, 2, 2, 3, 5, 5, 4, 9], dtype=float)
    y = np.array([3, 3, 3, 8, 8, 1, 0.5, 0.25, 7], dtype=float)
    with drawing():
        figure, (panel,) = panels(1)
        (line,) = panel.plot(x, y, gid="line-a", solid_capstyle="butt")
        readout = Readout("trials", "%", (), {"a": Line(x, y, y, y)})
        found = inline(Drawn("n", "t", "c", figure, (readout,)), "p", ("a",))
        corners = line.get_transform().transform(np.column_stack([x, y]))
        height = figure.get_figheight() * 72
    path = re.search(r'data-s="0"[^>]*><path d="([^"]+)"|data-s="0" d="([^"]+)"', found.svg)
    assert path
    at, seen = [0.0, 0.0], []
    for command, text in re.findall(r"([Mlhv])([^Mlhv]+)", path[1] or path[2]):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", text)]
        if command == "M":
            at = numbers
        elif command == "l":
            at = [at[0] + numbers[0], at[1] + numbers[1]]
        else:
            at["hv".index(command)] += numbers[0]
        seen.append(tuple(at))
    wanted = corners * 72 / figure.dpi * [1, -1] + [0, height]
    kept = np.delete(wanted, 1, axis=0)  # lies between its neighbours
    np.testing.assert_allclose(seen, kept, atol=0.06)


def test_the_template_is_package_data() -> None:
    folder = resources.files("hpbench.analysis") / "template"
    assert {item.name for item in folder.iterdir()} >= {"report.html.j2", "report.css", "report.js"}

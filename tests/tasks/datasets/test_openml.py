"""Data sets of OpenML are fetched once, checked, pinned and kept; every fault of the network is one message."""

from __future__ import annotations

import random
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpbench.cli import run_program
from hpbench.description import check_continues, describe_study
from hpbench.errors import UsageError
from hpbench.plan import make_plan
from hpbench.suite import load_suite
from hpbench.tasks import datasets
from hpbench.tasks.datasets import Dataset, DataSpec, openml
from hpbench.tasks.datasets.base import Column


def load(name: str, **keys: Any) -> Dataset:
    """Load a data set as a new process would."""
    datasets.load.cache_clear()
    return datasets.load(DataSpec(name, **keys))


def kept(tmp_path: Path) -> list[str]:
    """Return what lies in the cache."""
    folder = tmp_path / "cache" / "openml"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def refusal(name: str, **keys: Any) -> str:
    with pytest.raises(UsageError) as caught:
        load(name, **keys)
    assert str(caught.value).startswith(f"data set {name!r}: ")
    return str(caught.value)


def cut(body: bytes) -> tuple[int, bytes, int]:
    """Send the first half and close, although all was promised."""
    return 200, body[: len(body) // 2], len(body)


@pytest.mark.parametrize("gzipped", [False, True])
def test_a_table_arrives_with_columns_classes_and_version(server: Any, *, gzipped: bool) -> None:
    server.gzipped = gzipped
    found = load("openml:adult")
    assert (found.name, len(found), found.shape) == ("openml:adult@2", 40, (3,))
    assert found.columns == (Column("age"), Column("job", ("clerk", "cook")))
    assert found.class_names == ("<=50K", ">50K")
    assert np.isnan(found.inputs).sum(axis=0).tolist() == [5, 13]
    np.testing.assert_array_equal(found.inputs[1:5, 1], [1.0, np.nan, 0.0, 1.0])
    np.testing.assert_array_equal(found.targets, (np.arange(40) % 4 > 0).astype(int))
    assert {key: found.origin[key] for key in ("id", "version", "target")} == {
        "id": 1590,
        "version": 2,
        "target": "class",
    }
    assert len(found.origin["md5"]) == 32
    assert len(server.paths) == 5


@pytest.mark.usefixtures("server")
def test_name_version_and_number_are_the_same_data() -> None:
    by_name, by_version, by_number = load("openml:Adult"), load("openml:adult@2"), load("openml:1590")
    assert by_name.name == by_version.name == by_number.name
    assert by_name.checksum == by_version.checksum == by_number.checksum
    assert load("openml:adult@1").origin["id"] == 179


@pytest.mark.usefixtures("server")
def test_images_by_shape() -> None:
    assert load("openml:pixels").shape == (64,)
    for shape in ((1, 8, 8), (8, 8)):
        found = load("openml:pixels", shape=shape)
        assert found.shape == (1, 8, 8)
        np.testing.assert_array_equal(found.inputs[:, 0, 0, 0], np.arange(30))
        assert found.class_names == ("0", "1", "2")
        assert found.origin["version"] == 1


def test_the_second_use_needs_no_server(server: Any, tmp_path: Path) -> None:
    first = load("openml:adult")
    asked = len(server.paths)
    again = load("openml:adult")
    server.stop()
    offline = load("openml:adult")
    assert first.checksum == again.checksum == offline.checksum
    assert first.origin == offline.origin
    assert len(server.paths) == asked
    assert kept(tmp_path) == ["set-adult"]


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(server: Any, tmp_path: Path) -> None:
    server.checksums["adult.arff"] = "0" * 32
    assert "does not have the MD5 checksum that OpenML states" in refusal("openml:adult")
    assert kept(tmp_path) == []
    server.checksums.clear()
    assert len(load("openml:adult")) == 40


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("what", ["download", "features", "/data/1590$", "data_name", "qualities"])
def test_a_download_that_breaks_off_is_refused_and_nothing_is_kept(
    server: Any, tmp_path: Path, what: str, *, gzipped: bool
) -> None:
    server.gzipped = gzipped
    server.faults[what] = cut
    message = refusal("openml:adult")
    assert "try again" in message
    assert kept(tmp_path) == []
    server.faults.clear()
    assert len(load("openml:adult")) == 40


@pytest.mark.parametrize("name", ["openml:adlut", "openml:adult@9", "openml:424242"])
def test_a_set_that_is_not_there_is_said_to_be_missing(server: Any, tmp_path: Path, name: str) -> None:
    message = refusal(name)
    assert "OpenML has no such data set" in message
    assert "check name, version or number" in message
    assert kept(tmp_path) == []
    assert server.paths


def test_without_network_the_message_says_so(server: Any, tmp_path: Path) -> None:
    server.stop()
    message = refusal("openml:adult")
    assert "cannot be reached (" in message
    assert "check the network, or HPBENCH_OPENML_URL" in message
    assert kept(tmp_path) == []


@pytest.mark.parametrize("status", [404, 500, 503])
def test_an_error_of_the_server_is_told_after_three_attempts(server: Any, status: int) -> None:
    server.faults["/data/1590$"] = lambda body: (status, body, len(body))
    assert f"OpenML answered {status} " in refusal("openml:adult")
    assert sum(path.endswith("/data/1590") for path in server.paths) == 3


def test_a_server_that_recovers_is_asked_again(server: Any) -> None:
    answers = iter([503, 503])
    server.faults["download"] = lambda body: (next(answers, 200), body, len(body))
    assert len(load("openml:adult")) == 40


@pytest.mark.parametrize("body", [b"<html>hotel wifi, please log in</html>", b"[]", b"{}", b"", b"\xff\xfe"])
@pytest.mark.parametrize("what", ["/data/1590$", "features", "data_name"])
def test_an_answer_that_is_not_openmls_is_refused(
    server: Any, tmp_path: Path, what: str, body: bytes
) -> None:
    server.faults[what] = lambda _: (200, body, len(body))
    assert "OpenML's answer cannot be used" in refusal("openml:adult")
    assert kept(tmp_path) == []


def test_a_damaged_cache_is_fetched_anew(server: Any, tmp_path: Path) -> None:
    first = load("openml:adult")
    (file,) = (tmp_path / "cache").rglob("adult.arff.gz")
    file.write_bytes(file.read_bytes()[:40])
    asked = len(server.paths)
    assert load("openml:adult").checksum == first.checksum
    assert len(server.paths) > asked
    assert kept(tmp_path) == ["set-adult"]
    asked = len(server.paths)
    assert load("openml:adult").checksum == first.checksum
    assert len(server.paths) == asked


@pytest.mark.parametrize("way", ["unplugged", "changed"])
def test_what_is_kept_stays_where_nothing_can_replace_it(server: Any, tmp_path: Path, way: str) -> None:
    first = load("openml:adult")
    (file,) = (tmp_path / "cache").rglob("adult.arff.gz")
    content = file.read_bytes()
    file.write_bytes(b"")
    if way == "unplugged":
        server.stop()
    else:
        server.checksums["adult.arff"] = "0" * 32
    message = refusal("openml:adult")
    assert ("cannot be reached" if way == "unplugged" else "MD5 checksum") in message
    assert f"What is kept in {tmp_path / 'cache' / 'openml' / 'set-adult'} cannot be read (" in message
    assert kept(tmp_path) == ["set-adult"]
    file.write_bytes(content)
    assert load("openml:adult").checksum == first.checksum


@pytest.mark.parametrize("rest", ["", "a/b", "../x", "adult@", "adult@x", "a b", "@2", "x" * 200, "é"])
def test_what_is_no_reference_asks_nobody(server: Any, rest: str) -> None:
    assert "must be followed by a name, NAME@VERSION or a number" in refusal(f"openml:{rest}")
    assert server.paths == []


@pytest.mark.parametrize("name", ["..", "."])
def test_a_name_of_dots_stays_in_the_cache(server: Any, tmp_path: Path, name: str) -> None:
    load("openml:adult")
    refusal(f"openml:{name}")
    assert kept(tmp_path) == ["set-adult"]
    assert server.paths


@pytest.mark.usefixtures("server")
def test_another_column_can_be_the_target() -> None:
    found = load("openml:pixels", target="pixel0", subset=None)
    assert found.origin["target"] == "pixel0"
    assert found.n_classes == 30
    assert found.shape == (66,), "63 pixels and the three classes of the usual target"


def test_an_unknown_target_is_told_and_the_data_stay(server: Any, tmp_path: Path) -> None:
    assert "got 'clas'. Did you mean 'class'?" in refusal("openml:adult", target="clas")
    assert kept(tmp_path) == ["set-adult"]
    asked = len(server.paths)
    assert "missing in 13 of 40" in refusal("openml:adult", target="job")
    assert len(server.paths) == asked


def test_a_file_that_is_not_on_the_web_is_not_opened(server: Any, tmp_path: Path) -> None:
    server.place = f"file://{tmp_path}/{{}}"
    assert "which is no web address" in refusal("openml:adult")


@pytest.mark.usefixtures("server")
def test_a_mirror_must_be_a_web_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(openml.URL_VARIABLE, "ftp://mirror")
    assert "HPBENCH_OPENML_URL must begin with http:// or https://, got 'ftp://mirror'" in refusal(
        "openml:adult"
    )


@pytest.mark.usefixtures("server")
def test_what_the_process_had_is_put_back() -> None:
    mine = urllib.request.build_opener()
    urllib.request.install_opener(mine)
    state = random.getstate()
    try:
        load("openml:adult")
        refusal("openml:adlut")
        assert urllib.request._opener is mine  # type: ignore[attr-defined]
    finally:
        urllib.request.install_opener(None)  # type: ignore[arg-type]
    assert random.getstate() == state


SUITE = """
schema = 1
name = "census"
root_seed = 1
repetitions = 1
budget = { trials = 1 }
tasks = [{ dataset = "openml:adult", network = "mlp", epochs = 1 }]
strategies = [{ use = "default" }]
"""


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Call the command line as a new process would."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    datasets.load.cache_clear()
    return run_program([str(word) for word in words])


def test_a_study_pins_the_version(server: Any, tmp_path: Path) -> None:
    path = tmp_path / "census.toml"
    path.write_text(SUITE, encoding="utf-8")
    suite, text = load_suite(path)
    info = describe_study(suite, text, make_plan(suite), device="cpu", workers=1)
    task = info.tasks["openml-adult-mlp"]
    assert task["origin"] == dict(load("openml:adult").origin)
    assert task["origin"]["version"] == 2
    assert (task["shape"], task["n_train"], task["n_test"]) == ([3], 24, 8)
    server.stop()
    datasets.load.cache_clear()  # as a new process
    again = describe_study(load_suite(path)[0], text, make_plan(suite), device="cpu", workers=1)
    check_continues(info, again)
    assert again.tasks == info.tasks


def test_a_study_whose_data_cannot_be_fetched_trains_nothing(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    suite, results = tmp_path / "census.toml", tmp_path / "out"
    suite.write_text(SUITE, encoding="utf-8")
    server.checksums["adult.arff"] = "0" * 32
    assert call(monkeypatch, "run", suite, "--results", results, "--workers", 1) == 2
    assert f"hpbench: {suite}: data set 'openml:adult': the file that arrived" in capsys.readouterr().err
    assert not results.exists()


def test_the_command_line_shows_it(
    server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "show", "data", "openml:adult") == 0
    out = capsys.readouterr().out
    assert "Data set openml:adult@2\nRows: 40\n" in out
    assert "Columns: 2, 1 of numbers, 1 of categories" in out
    assert "Origin: source openml, id 1590, name adult, version 2, md5 " in out
    assert server.paths

"""Tests of files that are whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpbench.files import atomic_path, atomic_write


def test_text_is_utf8_with_unix_line_ends_and_bytes_are_as_given(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", "ä\nb")
    atomic_write(tmp_path / "b", b"\xff\r\n")
    assert (tmp_path / "a").read_bytes() == "ä\nb".encode()
    assert (tmp_path / "b").read_bytes() == b"\xff\r\n"


def test_missing_folders_are_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    atomic_write(tmp_path / "x" / "y" / "file", "1")
    assert [path.name for path in (tmp_path / "x" / "y").iterdir()] == ["file"]


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    atomic_write(tmp_path / "file", "a long first text")
    atomic_write(tmp_path / "file", "short")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "short"


def test_an_error_on_the_way_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    atomic_write(tmp_path / "file", "old")

    def write_half() -> None:
        with atomic_path(tmp_path / "file") as draft:
            draft.write_text("ne", encoding="utf-8")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert (tmp_path / "file").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_others_may_read_what_the_mask_allows(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x", encoding="utf-8")
    atomic_write(tmp_path / "file", "x")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode

"""A folder of results appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from ir_shared.console import UserError
from ir_shared.folders import new_folder


def test_the_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "index"
    with new_folder(target) as temporary:
        (temporary / "a").write_text("x")
        assert not target.exists()
    assert (target / "a").read_text() == "x"
    assert [path.name for path in target.parent.iterdir()] == ["index"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def fill() -> None:
        with new_folder(tmp_path / "index") as temporary:
            (temporary / "a").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_taken_and_a_full_one_refused(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    with new_folder(tmp_path / "index") as temporary:
        (temporary / "a").write_text("x")
    with pytest.raises(UserError, match="holds something already"), new_folder(tmp_path / "index"):
        pass
    assert (tmp_path / "index" / "a").read_text() == "x"


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="holds something already"), new_folder(tmp_path / "file"):
        pass
    with pytest.raises(UserError, match="cannot be made"), new_folder(tmp_path / "file" / "index"):
        pass


def test_the_folder_is_as_readable_as_others(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with new_folder(tmp_path / "index"):
        pass
    assert (tmp_path / "index").stat().st_mode == (tmp_path / "plain").stat().st_mode

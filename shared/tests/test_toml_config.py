from __future__ import annotations

import pytest
from ir_shared.console import UserError
from ir_shared.toml_config import TomlFile


def _write(folder, text):
    (folder / "some.toml").write_text(text)
    return folder / "some.toml"


def test_lines_are_found_in_arrays_of_tables_and_dotted_keys(tmp_path):
    file = TomlFile.read(_write(tmp_path, '[[c]]\nname = "x"\n\n[[c]]\nname = "y"\na.b = 1\n[t.u]\nv = { w = 1 }\n'))
    lines = {("c", 0, "name"): 2, ("c", 1, "name"): 5, ("c", 1, "a", "b"): 6, ("t", "u", "v", "w"): 8, ("c", 1): 4}
    for where, line in lines.items():
        assert str(file.error(where, "wrong")) == f"{file.path}:{line}: wrong"


def _read(path):
    file = TomlFile.read(path)
    file.check_keys(file.document, ("b", "a"))
    return file.table(file.document, "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", r"some\.toml: not TOML \("),
        ("b = 1\nx = 2", r"some\.toml:2: unknown key 'x'; known are a, b"),
        ("a = 1", r"some\.toml:1: a: expected a table, \[a\]"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, message):
    path = _write(tmp_path, text)
    with pytest.raises(UserError, match=message):
        _read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.toml: no such file"):
        TomlFile.read(tmp_path / "none.toml")

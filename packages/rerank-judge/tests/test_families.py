"""Files of families, and the lines that errors in TOML files name."""

from __future__ import annotations

from pathlib import Path

import pytest
from ir_shared.console import DataWarning, UserError
from rerank_judge.families import Families

GOOD = """\
baselines = ["bm25"]

[families]
monoT5 = ["monot5-base", "monot5-large"]  # a comment
Rank1 = [
    "rank1-7b",
]

[own]
rank1-7b = "bm25-rank1"
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "families.toml"
    file.write_text(text)
    return file


def test_a_file_of_families_is_read(tmp_path: Path) -> None:
    families = Families.read(write(tmp_path, GOOD))
    systems = ("bm25", "bm25-rank1", "monot5-base", "odd")
    assert families.of("monot5-large") == "monoT5"
    assert families.of("bm25") is None
    assert families.own_system("rank1-7b", systems) == 1
    assert families.own_system("monot5-base", systems) == 2
    assert families.own_system("monot5-large", systems) is None
    assert families.groups(systems) == {"monoT5": [2], "baseline": [0, 1, 3]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[own]", "[owns]"), r"families.toml:9: unknown key 'owns'; known are baselines, families, own"),
        (('["monot5-base", "monot5-large"]', '"monot5-base"'), r"families.toml:4: monoT5: expected a list of names"),
        (('baselines = ["bm25"]', "baselines = [1]"), r"families.toml:1: baselines: expected a list of names"),
        (('"bm25-rank1"', "3"), r"families.toml:10: rank1-7b: expected the name"),
        (('"monot5-large"]', '"rank1-7b"]'), r"families.toml:3: 'rank1-7b' is in monoT5 and in Rank1"),
        (("[families]", "[families"), r"not TOML"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Families.read(write(tmp_path, GOOD.replace(*change)))


def test_names_without_a_counterpart_are_mentioned(tmp_path: Path) -> None:
    families = Families.read(write(tmp_path, GOOD))
    with pytest.warns(DataWarning) as caught:
        families.warn_unknown(["rank1-7b"], ["bm25", "odd"])
    texts = [str(one.message) for one in caught]
    absent = "monot5-base, monot5-large, bm25-rank1"
    assert f"families: neither judge nor system is called {absent}; check the spelling" in texts
    assert "families: odd: in no family, counted as baseline" in texts

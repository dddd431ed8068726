"""Tables come out whole, whatever the names in them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rerank_judge.report import Table, escape_latex, to_latex, to_markdown

NASTY = [r"a_b & 50% #1 $x$ {y} ~z^2 \end{document}", "[x] *y*", "κ τ – − é ß 漢字 \n", "<b>|</b>"]
TABLE = Table("Names_&_more", ["name", "κ", "95 % interval"], [[name, 0.5, None] for name in NASTY], "a note: 100 %")


def test_special_characters_are_escaped() -> None:
    assert escape_latex("rank1_7b & 50%") == r"rank1\_7b \& 50\%"
    assert escape_latex("κ→τ") == r"$\kappa$$\to$$\tau$"
    assert escape_latex("漢") == "{[}U+6F22{]}"
    plain = re.sub(r"\\[a-z]+(\{\})?|\\[&%$#_{}]|\$[^$]*\$|\{[\[\]*]\}", "", escape_latex("".join(NASTY)))
    assert not set(plain) & set("&%$#_{}~^\\<>|[]*")


def test_a_latex_document_has_every_cell_in_its_place() -> None:
    text = to_latex("A_title", [TABLE, TABLE])
    begun, ended = re.findall(r"\\begin\{(\w+)\}", text), re.findall(r"\\end\{(\w+)\}", text)
    assert sorted(begun) == sorted(ended)
    assert begun.count("tabular") == 2
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert len(rows) == 2 * (len(NASTY) + 1)
    for row in rows:
        assert len(re.findall(r"(?<!\\)&", row)) == 2
        assert not re.match(r"\s*[\[*]", row)  # LaTeX would take it for an argument of the line break before
    assert all(ord(char) < 0x180 for char in text)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(tmp_path: Path) -> None:
    (tmp_path / "tables.tex").write_text(to_latex("A_title", [TABLE]))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode()[-2000:]


def test_a_markdown_table_keeps_its_columns() -> None:
    text = to_markdown("Title", [TABLE])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(NASTY)
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) == 4
    assert "| – |" in rows[2]
    assert "&lt;b>" in text

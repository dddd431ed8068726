"""Tables as Markdown and as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Table", "escape_latex", "to_latex", "to_markdown"]

Cell = str | float | int | None

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # Behind the end of a row, LaTeX would take a bracket or a star for an argument.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "κ": r"$\kappa$",
    "τ": r"$\tau$",
    "ρ": r"$\rho$",
    "α": r"$\alpha$",
    "Δ": r"$\Delta$",
    "→": r"$\to$",
    "≥": r"$\geq$",
    "–": "--",
    "−": "$-$",
    "×": r"$\times$",
}


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        title: what it shows.
        columns: the heads; the first column is text.
        rows: cells; floats are shown to three decimals, None as a dash.
        note: what one has to know to read it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


def to_markdown(title: str, tables: Sequence[Table]) -> str:
    """A Markdown document with all tables."""
    blocks = [f"# {_escape_markdown(title)}"]
    for table in tables:
        blocks.append(f"## {_escape_markdown(table.title)}")
        lines = [table.columns, ["---", *["---:"] * (len(table.columns) - 1)]]
        cells = [[_escape_markdown(_cell(value)) for value in row] for row in table.rows]
        blocks.append("\n".join(f"| {' | '.join(row)} |" for row in [*lines, *cells]))
        if table.note:
            blocks.append(_escape_markdown(table.note))
    return "\n\n".join(blocks) + "\n"


def to_latex(title: str, tables: Sequence[Table]) -> str:
    """A LaTeX document with all tables, which needs no package and whose tables can be taken out one by one."""
    blocks = [
        "\\documentclass{article}",
        "\\usepackage[T1]{fontenc}",
        "\\usepackage[utf8]{inputenc}",
        "\\begin{document}",
        f"\\section*{{{escape_latex(title)}}}",
    ]
    for table in tables:
        rows = [" & ".join(escape_latex(_cell(value)) for value in row) + r" \\" for row in table.rows]
        heads = " & ".join(escape_latex(column) for column in table.columns) + r" \\"
        body = ["\\hline", heads, "\\hline", *rows, "\\hline"]
        caption = escape_latex(f"{table.title}. {table.note}" if table.note else table.title)
        blocks += [
            "\\begin{table}[p]",
            "\\centering\\scriptsize",
            f"\\caption{{{caption}}}",
            f"\\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
            *body,
            "\\end{tabular}",
            "\\end{table}",
            "\\clearpage",
        ]
    return "\n".join([*blocks, "\\end{document}"]) + "\n"


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is; characters that a plain installation cannot print become their code points."""
    return "".join(_LATEX.get(char, char if _printable(char) else f"{{[}}U+{ord(char):04X}{{]}}") for char in text)


def _printable(char: str) -> bool:
    """Whether the T1 encoding has the character: ASCII and the letters of Western European languages."""
    return " " <= char <= "~" or "À" <= char <= "ÿ"


def _escape_markdown(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _cell(value: Cell) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)

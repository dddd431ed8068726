"""The report as Markdown: a table for each package, then what one needs to judge each claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from ir_shared.claims import Scale
from ir_shared.report.text import control_text, detail_text, measured_text, paper_text, seeds_text, summary_text
from ir_shared.reproduce.results import Result

__all__ = ["markdown"]


def markdown(results: Sequence[Result], *, scale: Scale, not_run: Sequence[str] = ()) -> str:
    """The whole report as one Markdown text."""
    lines = ["# What the papers claim, measured here", "", f"Scale {scale}: {summary_text(results)}.", ""]
    if not_run:
        lines += [f"The run was stopped early. Not run: {', '.join(not_run)}.", ""]
    for package, group in groupby(results, key=lambda result: f"{result.package} {result.version}"):
        claims = list(group)
        lines += [f"## {package}", "", "| claim | verdict | measured | criterion | paper |", "|---|---|---|---|---|"]
        lines += [_row(result) for result in claims]
        lines.append("")
        for result in claims:
            lines += _section(result)
    return "\n".join(lines).rstrip() + "\n"


def _row(result: Result) -> str:
    cells = [result.statement, str(result.verdict), measured_text(result), result.criterion, paper_text(result)]
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _section(result: Result) -> Iterator[str]:
    yield from (f"### {result.claim}", "", result.statement, "")
    facts = {
        "Measured": f"{measured_text(result)} ({seeds_text(result)})" if result.measured is not None else "",
        "On": result.data,
        "Paper": f"{paper_text(result)} ({result.paper_note})" if result.paper is not None else result.paper_note,
        "Must fail": control_text(result),
        **{name: detail_text(value) for name, value in result.details.items()},
        "Seconds": f"{result.seconds:.1f}" if result.measured is not None else "",
    }
    yield from (f"- {name}: {text}" for name, text in facts.items() if text)
    yield ""
    if result.note:
        yield from ("```text", *result.note.rstrip().splitlines(), "```", "")
    for figure in result.figures:
        yield from (f"![{figure['caption']}]({figure['path']})", "")

"""Renders the results of ``reproduce`` to ``index.html``, ``report.md`` and ``report.json``.

The page is one file: it opens without a network and needs no script.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ir_shared.claims import Scale
from ir_shared.report.text import measured_text, paper_text, summary_text
from ir_shared.reproduce.results import Result
from ir_shared.run_dir import atomic_write, write_json

__all__ = ["measured_text", "paper_text", "summary_text", "write"]


def write(results: Sequence[Result], out: str | Path, *, scale: Scale, not_run: Sequence[str] = ()) -> Path:
    """Writes the three files and returns the path of the page.

    Args:
        results: what to show, in order.
        out: folder of the report; figures are read from it.
        scale: scale of the run.
        not_run: ``package/claim`` of claims without a result, because the run was stopped early.
    """
    from ir_shared.report.markdown import markdown
    from ir_shared.report.page import page

    out = Path(out)
    write_json(out / "report.json", results)
    atomic_write(out / "report.md", markdown(results, scale=scale, not_run=not_run))
    atomic_write(out / "index.html", page(results, out, scale=scale, not_run=not_run))
    return out / "index.html"

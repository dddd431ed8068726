"""The report as one self-contained page."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from ir_shared.claims import Scale, Verdict
from ir_shared.report.range_plot import range_plot
from ir_shared.report.text import control_text, detail_text, measured_text, paper_text, seeds_text
from ir_shared.reproduce.results import Result
from ir_shared.run_dir import hardware

__all__ = ["page"]

SYMBOLS = {
    Verdict.REPRODUCED: "✓",
    Verdict.NOT_REPRODUCED: "✗",
    Verdict.INCONCLUSIVE: "~",
    Verdict.NEEDS_DATA: "…",
    Verdict.NEEDS_SCALE: "…",
    Verdict.ERROR: "!",
}
"""A sign beside each colour, for readers who do not see the colour."""

_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def page(results: Sequence[Result], out: Path, *, scale: Scale, not_run: Sequence[str] = ()) -> str:
    """The page's HTML, with every figure inside.

    Args:
        results: what to show, in order.
        out: folder that the figures' paths are relative to.
        scale: scale of the run.
        not_run: claims without a result.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("ir_shared", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    functions: dict[str, Callable[..., str]] = {
        "symbol": SYMBOLS.__getitem__,
        "range_plot": lambda result: Markup(range_plot(result)),  # noqa: S704 - numbers and a label, made by us
        "embed": lambda path: _embed(out / path),
        "measured_text": measured_text,
        "paper_text": paper_text,
        "seeds_text": seeds_text,
        "control_text": control_text,
        "detail_text": detail_text,
    }
    environment.globals.update(functions)
    counts = [(verdict, sum(result.verdict is verdict for result in results)) for verdict in Verdict]
    packages = [(name, list(group)) for name, group in groupby(results, key=lambda result: result.package)]
    return environment.get_template("index.html.j2").render(
        scale=scale,
        counts=[(verdict, count) for verdict, count in counts if count],
        packages=packages,
        not_run=not_run,
        hardware=hardware(),
        total=len(results),
    )


def _embed(path: Path) -> str:
    """A figure as a data URI."""
    return f"data:{_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"

"""Figures and verdicts in words, the same on the console, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Sequence

from ir_shared.claims import Verdict
from ir_shared.reproduce.results import Result

__all__ = ["control_text", "detail_text", "measured_text", "number", "paper_text", "seeds_text", "summary_text"]


def number(value: float) -> str:
    """Four significant digits, without an exponent where one can read it."""
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3e}"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def measured_text(result: Result) -> str:
    """The value with its interval and unit, or a dash."""
    if result.measured is None:
        return "–"
    interval = f" [{number(result.interval[0])}, {number(result.interval[1])}]" if result.interval else ""
    return f"{number(result.measured)}{interval} {result.unit}".rstrip()


def paper_text(result: Result) -> str:
    """The paper's figure with its unit, or a dash."""
    return "–" if result.paper is None else f"{number(result.paper)} {result.unit}".rstrip()


def seeds_text(result: Result) -> str:
    """What the interval is of."""
    if result.seeds:
        return f"mean and 95 % t-interval over {len(result.seeds)} seeds"
    return "95 % bootstrap interval" if result.interval else "exact" if result.measured is not None else ""


def control_text(result: Result) -> str:
    """The control in words, with what it gave where it was run."""
    described = str(result.control.get("description", ""))
    if "measured" not in result.control:
        return described
    return f"{described}: {number(result.control['measured'])} {result.unit}, {result.control['verdict']}".replace(
        "  ", " "
    )


def detail_text(value: object) -> str:
    """A further number as text."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, (int, float)):
        return number(value) if isinstance(value, float) else f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(detail_text(item) for item in value)
    return str(value)


def summary_text(results: Sequence[Result]) -> str:
    """How many claims got which verdict."""
    counts = {verdict: sum(result.verdict is verdict for result in results) for verdict in Verdict}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) or "no claims"

"""A small drawing of one claim: where it counts as reproduced, what was measured, and what the paper says.

Drawn as SVG by hand, because it must follow the page's colours in light and dark, and there is one for every claim.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from ir_shared.report.text import measured_text, number, paper_text
from ir_shared.reproduce.results import Result

__all__ = ["range_plot"]

WIDTH, HEIGHT, MARGIN = 320.0, 46.0, 14.0
_AXIS = 22.0


def range_plot(result: Result) -> str:
    """The drawing as an SVG element, or an empty string where nothing was measured.

    The shaded band is the criterion, the dot and bar are the value and its interval, the diamond is the paper's figure.
    """
    if result.measured is None:
        return ""
    low, high = _domain(result)

    def x(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(MARGIN + share * (WIDTH - 2 * MARGIN), 1)

    parts = [
        _band(result, x(low), x(high), x),
        f'<line class="axis" x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{_AXIS}" y2="{_AXIS}"/>',
    ]
    for bound in result.bounds:
        if bound is not None:
            parts.append(f'<line class="bound" x1="{x(bound)}" x2="{x(bound)}" y1="8" y2="36"/>')
            parts.append(f'<text x="{x(bound)}" y="45" text-anchor="middle">{number(bound)}</text>')
    if result.interval:
        left, right = x(result.interval[0]), x(result.interval[1])
        parts.append(f'<line class="interval" x1="{left}" x2="{right}" y1="{_AXIS}" y2="{_AXIS}"/>')
    if result.paper is not None:
        at = x(result.paper)
        parts.append(f'<path class="paper" d="M{at} {_AXIS - 6}l6 6l-6 6l-6 -6z"/>')
    parts.append(f'<circle class="value" cx="{x(result.measured)}" cy="{_AXIS}" r="5"/>')
    paper = "" if result.paper is None else f", paper {paper_text(result)}"
    label = escape(f"measured {measured_text(result)}, criterion {result.criterion}{paper}")
    return (
        f'<svg class="range" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _domain(result: Result) -> tuple[float, float]:
    """The values to show: all that is drawn, with a margin."""
    points = [
        value
        for value in (result.measured, result.paper, *result.bounds, *(result.interval or ()))
        if value is not None
    ]
    low, high = min(points), max(points)
    margin = (high - low) * 0.15 or abs(high) * 0.1 or 1.0
    return low - margin, high + margin


def _band(result: Result, left: float, right: float, x: Callable[[float], float]) -> str:
    low, high = result.bounds
    start = left if low is None else x(low)
    end = right if high is None else x(high)
    return f'<rect class="band" x="{start}" y="10" width="{max(end - start, 2):.1f}" height="24"/>'

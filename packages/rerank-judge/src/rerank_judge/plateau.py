"""Which of several equally good thresholds to take: a rule in place of chance.

Among the thresholds whose value is within 1e-12 of the maximum, the longest contiguous plateau wins, and its centre is
taken (the lower of two middle elements). Among plateaus of equal length the one nearest an anchor wins: the judge's own
decision where it has one, else the median score. An undefined value (NaN) is never selected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float64

from rerank_judge.collection import FloatArray

__all__ = ["TOLERANCE", "Plateau", "TieBreak", "best_plateau"]

TOLERANCE = 1e-12
"""Values closer than this are equal: they differ by the order of a summation only."""
TieBreak = Literal["center", "first", "last"]


@dataclass(frozen=True)
class Plateau:
    """The chosen threshold.

    Attributes:
        index: its place among the candidates in ascending order.
        threshold: the threshold.
        value: what it attains.
        low: lowest threshold of its plateau.
        high: highest threshold of its plateau.
        n_best: candidates that attain the maximum, on any plateau.
    """

    index: int
    threshold: float
    value: float
    low: float
    high: float
    n_best: int


def best_plateau(
    thresholds: Float64[FloatArray, " candidates"],
    values: Float64[FloatArray, " candidates"],
    *,
    tie_break: TieBreak = "center",
    anchor: float | None = None,
) -> Plateau:
    """Selects a threshold.

    Args:
        thresholds: candidates, ascending, [n].
        values: what each attains, NaN where undefined, [n].
        tie_break: "center" for the rule above; "first" or "last" for the lowest or highest of all best thresholds.
        anchor: the point that decides between plateaus of equal length; None takes the median threshold.

    Raises:
        UserError: there is no candidate, or all values are NaN.
    """
    if not len(values) or np.isnan(values).all():
        raise UserError(f"no threshold can be selected: the value is undefined at all {len(values)}")
    best = np.flatnonzero(values >= np.nanmax(values) - TOLERANCE)
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    if tie_break == "first":
        run, index = runs[0], runs[0][0]
    elif tie_break == "last":
        run, index = runs[-1], runs[-1][-1]
    else:
        centre = float(np.median(thresholds)) if anchor is None else anchor
        # Of two plateaus at the same distance the lower one comes first, and min() keeps the first.
        run = min(runs, key=lambda r: (-len(r), abs(thresholds[r[(len(r) - 1) // 2]] - centre)))
        index = run[(len(run) - 1) // 2]
    low, high = float(thresholds[run[0]]), float(thresholds[run[-1]])
    return Plateau(int(index), float(thresholds[index]), float(values[index]), low, high, len(best))

"""Which thresholds a selection may choose from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float64

from rerank_judge.collection import FloatArray
from rerank_judge.kappa_curve import cut_points
from rerank_judge.labeling import Scale, ScoreSet

__all__ = ["ThresholdGrid", "prevalence_threshold"]

_MOST_CANDIDATES = 1_000_000
GridKind = Literal["exact", "paper", "step", "logodds", "prevalence"]
_LARGEST_LOG_ODDS = 40.0
"""Beyond this, a probability in float64 is 0 or 1."""


@dataclass(frozen=True)
class ThresholdGrid:
    """A set of candidate thresholds; ``str()`` gives the form that :meth:`parse` reads.

    * ``exact``: one threshold for each distinct score, halfway to the next lower one.
    * ``step:x``: all multiples of x from just below the lowest to just above the highest score; 1/x is a whole number.
    * ``paper``: ``step:0.01`` for probabilities, ``step:0.1`` for other scores.
    * ``logodds:x``: multiples of x in log-odds, turned back into probabilities where the scores are such.
    * ``prevalence``: the one threshold that labels the given share of pairs relevant; it needs no labels where it is
      applied, because the share is what is carried over.

    Attributes:
        kind: one of these.
        size: x of ``step`` and ``logodds``.
    """

    kind: GridKind
    size: float | None = None

    def __post_init__(self) -> None:
        if (self.kind in ("step", "logodds")) != (self.size is not None):
            raise UserError(f"grid {self.kind!r}: give a size with step and logodds only, for example step:0.01")
        if self.size is not None and not (np.isfinite(self.size) and self.size > 0):
            raise UserError(f"grid {self.kind}: the size must be positive, found {self.size:g}")
        if self.kind == "step" and self.size is not None and abs(round(1 / self.size) * self.size - 1) > 1e-9:
            raise UserError(f"grid step:{self.size:g}: 1/step must be a whole number, as for 0.1, 0.05 or 0.01")

    def __str__(self) -> str:
        return self.kind if self.size is None else f"{self.kind}:{self.size:g}"

    @classmethod
    def parse(cls, text: str) -> ThresholdGrid:
        """Reads ``exact``, ``paper``, ``step:0.01``, ``logodds:0.25`` or ``prevalence``.

        Raises:
            UserError: anything else.
        """
        name, _, size = text.strip().partition(":")
        for kind in get_args(GridKind):
            if name == kind:
                try:
                    return cls(kind, float(size) if size else None)
                except ValueError:
                    break
        raise UserError(f"unknown grid {text!r}; use exact, paper, step:0.01, logodds:0.25 or prevalence")

    def resolve(self, scale: Scale) -> ThresholdGrid:
        """The grid that ``paper`` stands for on this scale; any other grid itself."""
        if self.kind != "paper":
            return self
        return ThresholdGrid("step", 0.01 if scale == "probability" else 0.1)

    def thresholds(self, scores: ScoreSet, positive_rate: float) -> Float64[FloatArray, " candidates"]:
        """The candidates for these scores, ascending, [n].

        Args:
            scores: the judge's scores.
            positive_rate: share of pairs that ``prevalence`` shall label relevant; other grids ignore it.

        Raises:
            UserError: no score is finite, or the steps are so small that there are more than a million candidates.
        """
        given = scores.scores[scores.known & np.isfinite(scores.scores)]
        if not len(given):
            raise UserError(f"{scores.name}: no score is finite, so there is no threshold to choose")
        grid = self.resolve(scores.scale)
        if grid.kind == "exact":
            return cut_points(np.unique(given))
        if grid.kind == "prevalence":
            return np.array([prevalence_threshold(given, positive_rate)])
        assert grid.size is not None
        if grid.kind == "step":
            scale = round(1 / grid.size)
            return _whole_numbers(given.min() * scale, given.max() * scale) / scale
        if scores.scale != "probability":
            return _multiples(given, grid.size)
        with np.errstate(divide="ignore"):
            log_odds = np.clip(np.log(given) - np.log1p(-given), -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS)
        return np.unique(1 / (1 + np.exp(-_multiples(log_odds, grid.size))))


def prevalence_threshold(scores: Float64[FloatArray, " pairs"], positive_rate: float) -> float:
    """The exact threshold under which the share of pairs labelled relevant is nearest to a rate; the higher of two."""
    distinct, counts = np.unique(scores, return_counts=True)
    share = np.cumsum(counts[::-1])[::-1] / len(scores)
    distance = np.abs(share - positive_rate)
    nearest = int(np.flatnonzero(distance == distance.min())[-1])
    return float(cut_points(distinct)[nearest])


def _multiples(values: FloatArray, size: float) -> FloatArray:
    return _whole_numbers(values.min() / size, values.max() / size) * size


def _whole_numbers(low: float, high: float) -> FloatArray:
    """From ``low`` rounded down to ``high`` rounded up."""
    if high - low > _MOST_CANDIDATES:
        raise UserError(f"the grid has more than {_MOST_CANDIDATES:,} thresholds over these scores; give a larger step")
    return np.arange(np.floor(low), np.ceil(high) + 1)

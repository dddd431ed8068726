"""Kappa at every threshold that can be told apart: one sort, exact in integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Bool, Float64, Int64

from rerank_judge.agreement import kappa_from_counts
from rerank_judge.collection import BoolArray, FloatArray, IntArray
from rerank_judge.plateau import Plateau, TieBreak, best_plateau

__all__ = ["KappaCurve", "cut_points", "kappa_at", "kappa_curve"]


@dataclass(frozen=True, eq=False)
class KappaCurve:
    """Kappa of "relevant iff score >= threshold" for each distinct score, in ascending order.

    Attributes:
        scores: the distinct scores: cut ``i`` labels every pair with at least ``scores[i]``, [n].
        thresholds: the number to use for it, halfway to the next lower score, [n].
        kappa: kappa of each cut, [n].
        tp: pairs that human and judge both call relevant, [n].
        m: pairs that the judge calls relevant, [n].
        n_pairs: N.
        positives: P, pairs that humans call relevant.
    """

    scores: Float64[FloatArray, " thresholds"]
    thresholds: Float64[FloatArray, " thresholds"]
    kappa: Float64[FloatArray, " thresholds"]
    tp: Int64[IntArray, " thresholds"]
    m: Int64[IntArray, " thresholds"]
    n_pairs: int
    positives: int

    def best(self, tie_break: TieBreak = "center", anchor: float | None = None) -> Plateau:
        """The best cut by the plateau rule (:func:`~rerank_judge.plateau.best_plateau`)."""
        return best_plateau(self.thresholds, self.kappa, tie_break=tie_break, anchor=anchor)


def kappa_curve(human: Bool[BoolArray, " pairs"], scores: Float64[FloatArray, " pairs"]) -> KappaCurve:
    """Kappa for every distinct threshold in O(N log N).

    Scores are sorted once and true positives cumulated; a cut is possible only at the end of a group of equal scores.

    Args:
        human: human labels, [N].
        scores: judge scores, [N]; -inf is never labelled relevant.

    Raises:
        UserError: a score is NaN, or none is finite.
    """
    human = np.asarray(human, dtype=np.bool_)
    scores = np.asarray(scores, dtype=np.float64)
    if np.isnan(scores).any():
        raise UserError("kappa needs scores that are numbers, but some are NaN")
    order = np.argsort(scores, kind="stable")[::-1]
    ranked = scores[order]
    running = np.cumsum(human[order], dtype=np.int64)
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    last = last[ranked[last] > -np.inf][::-1]
    if not len(last):
        raise UserError("kappa needs at least one finite score")
    distinct, m, tp = ranked[last], last + 1, running[last]
    positives = int(human.sum())
    kappa = kappa_from_counts(len(scores), positives, m, tp)
    return KappaCurve(distinct, cut_points(distinct), kappa, tp, m, len(scores), positives)


def kappa_at(
    human: Bool[BoolArray, " pairs"],
    scores: Float64[FloatArray, " pairs"],
    thresholds: Float64[FloatArray, " thresholds"],
) -> Float64[FloatArray, " thresholds"]:
    """Kappa of "relevant iff score >= threshold" at given thresholds, NaN where undefined.

    Args:
        human: human labels, [N].
        scores: judge scores, [N].
        thresholds: in any order, [n].
    """
    order = np.argsort(scores, kind="stable")
    below = np.searchsorted(scores[order], thresholds, side="left")
    running = np.concatenate([[0], np.cumsum(human[order])])
    positives = int(running[-1])
    return kappa_from_counts(len(scores), positives, len(scores) - below, positives - running[below])


def cut_points(distinct: Float64[FloatArray, " scores"]) -> Float64[FloatArray, " scores"]:
    """The threshold to use for "score >= distinct[i]": halfway to the next lower score, where that is a number between.

    Args:
        distinct: distinct scores, ascending, [n].
    """
    lower = np.concatenate([distinct[:1], distinct[:-1]])
    with np.errstate(invalid="ignore", over="ignore"):
        middle = lower + (distinct - lower) / 2
    usable = np.isfinite(middle) & (middle > lower) & (middle < distinct)
    return np.where(usable, middle, distinct)

"""How good a ranking, a click prediction and a position curve are. Ties are stated, never left to the sort.

The tie rule of nDCG and MRR is ``expected`` unless asked otherwise: the mean over all orders of tied documents, so that
the order in which documents are stored cannot matter. ``index`` lets the earlier document win, as the paper's code
does; with documents stored by falling label a constant score then reaches nDCG = 1.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from twotower_ident.cells import FloatArray, IntArray

__all__ = ["TieRule", "click_nll", "curve_error", "mrr", "ndcg", "perplexity"]

TieRule = Literal["expected", "index"]


def ndcg(
    scores: Float64[FloatArray, " documents"],
    labels: Float64[FloatArray, " documents"],
    offsets: Int64[IntArray, " bounds"],
    *,
    k: int | None = None,
    ties: TieRule = "expected",
    drop_empty: bool = False,
) -> Float64[FloatArray, " queries"]:
    """NDCG of each query with gain 2^label − 1 and discount 1/log₂(1 + rank).

    Args:
        scores: shape [N].
        labels: shape [N].
        offsets: documents of query q are ``offsets[q]:offsets[q + 1]``, shape [Q + 1].
        k: cut-off; none where not given.
        ties: the tie rule. ``expected`` gives tied documents the mean discount of their ranks (McSherry and Najork,
            ECIR 2008).
        drop_empty: leave out queries whose ideal is 0, instead of counting them 0.

    Returns:
        Shape [Q], or less where empty queries are dropped.
    """
    gain = np.exp2(labels) - 1
    found = _dcg(scores, gain, offsets, k, ties)
    ideal = _dcg(labels, gain, offsets, k, "index")
    values = np.divide(found, ideal, out=np.zeros(len(ideal)), where=ideal > 0)
    return values[ideal > 0] if drop_empty else values


def mrr(
    scores: Float64[FloatArray, " documents"],
    labels: Float64[FloatArray, " documents"],
    offsets: Int64[IntArray, " bounds"],
    *,
    k: int | None = None,
    ties: TieRule = "expected",
    relevant_from: float = 1.0,
) -> Float64[FloatArray, " queries"]:
    """Reciprocal rank of the first relevant document of each query, 0 where none is in the first k.

    Args:
        scores: shape [N].
        labels: shape [N].
        offsets: shape [Q + 1].
        k: cut-off; none where not given.
        ties: the tie rule; ``expected`` is the mean over the orders of tied documents, in closed form.
        relevant_from: lowest label that counts as relevant.

    Returns:
        Shape [Q].
    """
    order, rank = _ranked(scores, offsets)
    relevant = labels[order] >= relevant_from
    query = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    values = np.zeros(len(offsets) - 1)
    group = _tie_groups(scores[order], query) if ties == "expected" else np.arange(len(order))
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    sizes = np.diff(starts, append=len(order))
    hits = np.bincount(group, relevant)
    # Only the first group with a relevant document decides; reversed, so that the first is written last.
    for g in np.flatnonzero(hits)[::-1]:
        values[query[starts[g]]] = _expected_reciprocal(int(rank[starts[g]]), int(sizes[g]), int(hits[g]), k)
    return values


def click_nll(
    impressions: Float64[FloatArray, " cells"],
    clicks: Float64[FloatArray, " cells"],
    probability: Float64[FloatArray, " cells"],
) -> float:
    """Mean negative log-likelihood of an impression; cells of shape [C]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        hit = np.where(clicks > 0, clicks * np.log(probability), 0.0)
        missed = np.where(impressions > clicks, (impressions - clicks) * np.log1p(-probability), 0.0)
    return float(-(hit + missed).sum() / impressions.sum())


def perplexity(
    impressions: Float64[FloatArray, " cells"],
    clicks: Float64[FloatArray, " cells"],
    probability: Float64[FloatArray, " cells"],
) -> float:
    """2 to the mean negative log₂-likelihood: 1 is certain, 2 a coin; cells of shape [C]."""
    return float(np.exp(click_nll(impressions, clicks, probability)))


def curve_error(found: Float64[FloatArray, " positions"], truth: Float64[FloatArray, " positions"]) -> float:
    """Mean squared error of a position curve, both [K], relative to their first positions; ``nan`` is left out."""
    difference = (found - found[0]) - (truth - truth[0])
    return float(np.nanmean(difference**2))


def _dcg(
    scores: FloatArray,
    gain: FloatArray,
    offsets: IntArray,
    k: int | None,
    ties: TieRule,
) -> FloatArray:
    order, rank = _ranked(scores, offsets)
    discount = 1.0 / np.log2(1.0 + rank)
    if k is not None:
        discount[rank > k] = 0.0
    query = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    if ties == "expected":
        group = _tie_groups(scores[order], query)
        discount = (np.bincount(group, discount) / np.bincount(group))[group] if len(group) else discount
    return np.bincount(query, gain[order] * discount, len(offsets) - 1).astype(np.float64)


def _ranked(scores: FloatArray, offsets: IntArray) -> tuple[IntArray, IntArray]:
    """Documents of each query by falling score, and their ranks from 1; both [N]."""
    sizes = np.diff(offsets)
    order = np.lexsort((-scores, np.repeat(np.arange(len(sizes)), sizes)))
    return order, np.arange(len(order)) - np.repeat(offsets[:-1], sizes) + 1


def _tie_groups(ordered: FloatArray, query: IntArray) -> IntArray:
    """Numbers the runs of equal scores within a query, [N]."""
    new = np.ones(len(ordered), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]) | (query[1:] != query[:-1])
    return np.cumsum(new) - 1


def _expected_reciprocal(first: int, size: int, relevant: int, k: int | None) -> float:
    """Mean of 1/rank of the first of ``relevant`` among ``size`` tied documents whose ranks begin at ``first``.

    The first relevant one is j places in with probability C(size − j − 1, relevant − 1) / C(size, relevant); each
    follows from the one before by a ratio.
    """
    chance, total = relevant / size, 0.0
    for j in range(size - relevant + 1):
        if k is not None and first + j > k:
            break
        total += chance / (first + j)
        if j < size - relevant:
            chance *= (size - j - relevant) / (size - j - 1)
    return total

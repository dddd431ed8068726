"""Every system's mean at every threshold of a judge, in one pass.

Each metric is, as a function of the threshold, a sum of steps: a document adds its part to a list's value for all
thresholds up to its own score. So each topic is worked on once, whatever the number of thresholds:

* a pair's *level* is the number of thresholds it reaches: under threshold ``j`` it is relevant iff its level > ``j``;
* the parts that documents add are collected by level and summed from the top, which gives a list's value at each
  level that occurs in the topic, divided there by the topic's R or ideal DCG;
* only the differences between neighbouring levels are written to the result, and one cumulative sum at the end turns
  them into values at all thresholds.

Work is O(S T (K^2 + levels of a topic) + S thresholds); apart from the result, memory is that of one topic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float64

from rerank_judge.collection import Collection, FloatArray, IndexArray, IntArray
from rerank_judge.labeling import ScoreSet
from rerank_judge.leaderboard import MissingTopics, RRTruncation, check_depth, missing_mask
from rerank_judge.metrics import DEFAULT_METRICS, Metric, parse_metric

__all__ = ["sweep"]


def sweep(
    collection: Collection,
    scores: ScoreSet,
    thresholds: Float64[FloatArray, " thresholds"] | Sequence[float],
    metrics: Sequence[str | Metric] = DEFAULT_METRICS,
    *,
    missing_topics: MissingTopics = "zero",
    rr_truncation: RRTruncation = "trec",
) -> Float64[FloatArray, "thresholds systems metrics"]:
    """Mean over topics of each metric for each system, labels being ``score >= threshold``.

    The same as a :func:`~rerank_judge.leaderboard.leaderboard` for each threshold, up to rounding (1e-13).

    Args:
        collection: pairs and runs.
        scores: the judge's scores.
        thresholds: in any order, [n].
        metrics: names such as "AP@100"; judged@k does not depend on a threshold and is refused.
        missing_topics: as for a leaderboard.
        rr_truncation: as for a leaderboard.

    Returns:
        Means, [n, S, M].

    Raises:
        UserError: no runs, a threshold that is NaN, or a metric that cannot be swept.
    """
    chosen = [parse_metric(metric) for metric in metrics]
    check_depth(collection, chosen, rr_truncation)
    if any(metric.kind == "judged" for metric in chosen):
        raise UserError("judged@k does not depend on the threshold; ask leaderboard for it")
    given = np.asarray(thresholds, dtype=np.float64)
    if np.isnan(given).any():
        raise UserError("a threshold is NaN")
    order = np.argsort(given, kind="stable")
    levels = np.where(scores.known, np.searchsorted(given[order], scores.scores, side="right"), 0)

    steps = np.zeros((len(chosen), len(collection.systems), len(given)))
    for t in range(len(collection.topics)):
        first, end = collection.offsets[t], collection.offsets[t + 1]
        ranked = collection.runs[:, t]
        rr_ranked = collection.file_cut[:, t] if rr_truncation == "file-order" else ranked
        _add_topic(steps, chosen, levels[first:end], int(first), ranked, rr_ranked)
    sums = _sum_from_above(steps)
    counted = len(collection.topics) - (missing_mask(collection).sum(axis=1) if missing_topics == "skip" else 0)
    with np.errstate(invalid="ignore"):
        means = sums / np.broadcast_to(counted, len(collection.systems))[:, None]
    result = np.empty((len(given), len(collection.systems), len(chosen)))
    result[order] = means.transpose(2, 1, 0)
    return result


def _add_topic(
    steps: FloatArray,
    metrics: Sequence[Metric],
    levels: IntArray,
    first: int,
    ranked: IndexArray,
    rr_ranked: IndexArray,
) -> None:
    """Adds one topic's steps to ``steps`` [M, S, n]; levels [pairs of the topic], lists [S, K]."""
    # Levels that occur, renumbered 0, 1, ...; rank 0 is "never relevant".
    occurring, rank = np.unique(np.append(levels, 0), return_inverse=True)
    top = len(occurring) - 1
    if not top:
        return
    relevant = np.bincount(rank[:-1], minlength=top + 1)[::-1].cumsum()[::-1]  # pairs of at least that rank
    lists, rr_lists = _gather(rank, ranked, first), _gather(rank, rr_ranked, first)
    for i, metric in enumerate(metrics):
        if metric.kind == "AP":
            at, parts = _ap_parts(lists[:, : metric.k], metric.weights)
            norm = relevant.astype(np.float64)
        elif metric.kind == "RR":
            at, parts = _rr_parts(rr_lists[:, : metric.k], metric.weights)
            norm = np.ones(top + 1)
        else:
            at = lists[:, : metric.k]
            parts = np.broadcast_to(metric.weights[: at.shape[1]], at.shape)
            norm = np.cumsum(metric.weights)[np.clip(relevant, 1, metric.k) - 1]
        values = _sum_from_above(_by_rank(at, parts, top)) / norm
        values = np.append(values[:, 1:], np.zeros((len(values), 1)), axis=1)
        # A value holds from one occurring level up to the next, hence the differences sit just below the levels.
        steps[i][:, occurring[1:] - 1] += values[:, :-1] - values[:, 1:]


def _gather(rank: IntArray, lists: IndexArray, first: int) -> IndexArray:
    """Level ranks at the positions of lists [S, K]; the last entry of ``rank`` is the 0 of unknown documents."""
    return rank.astype(np.int32)[np.where(lists >= 0, lists - first, len(rank) - 1)]


def _by_rank(at: IndexArray, parts: FloatArray, top: int) -> FloatArray:
    """Sums parts [S, k] by system and level rank, [S, top + 1]."""
    cell = at + np.arange(len(at), dtype=np.int64)[:, None] * (top + 1)
    sums = np.bincount(cell.ravel(), weights=parts.ravel(), minlength=len(at) * (top + 1))
    return sums.astype(np.float64, copy=False).reshape(len(at), top + 1)


def _sum_from_above(values: FloatArray) -> FloatArray:
    return np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]


def _ap_parts(lists: IndexArray, weights: FloatArray) -> tuple[IndexArray, FloatArray]:
    """The parts of R * AP, which is the sum over pairs of positions h <= i of rel_h rel_i / i.

    A pair of positions counts while both are relevant, so its 1/i belongs to the lower level of the two.

    Args:
        lists: level ranks, 0 for never relevant, [S, K].
        weights: 1/rank, [k] with k >= K.

    Returns:
        Level ranks and parts, [S, J] each, J being the largest number of documents ever relevant in one list.
    """
    # Bring what can be relevant to the front, in order; the rest adds nothing.
    order = np.argsort(lists == 0, axis=1, kind="stable")
    width = int((lists > 0).sum(axis=1).max(initial=0))
    order = order[:, :width]
    at = np.ascontiguousarray(np.take_along_axis(lists, order, axis=1).T)  # [J, S]: a step is one contiguous operation
    weight = np.where(at > 0, weights[order.T], 0)
    parts = np.zeros(at.shape)
    for i in range(width):
        below = at[:i] < at[i]  # these own their pair with i, the others leave it to i
        parts[:i] += below * weight[i]
        parts[i] += weight[i] * (i + 1 - below.sum(axis=0))
    return at.T, parts.T


def _rr_parts(lists: IndexArray, weights: FloatArray) -> tuple[IndexArray, FloatArray]:
    """The parts of RR: position i is the first relevant one between the best level before it and its own.

    Args:
        lists: level ranks, [S, K].
        weights: 1/rank, [k] with k >= K.

    Returns:
        Level ranks and parts, [S, 2 K] each.
    """
    best = np.maximum.accumulate(lists, axis=1)
    before = np.concatenate([np.zeros((len(lists), 1), dtype=lists.dtype), best[:, :-1]], axis=1)
    weight = np.broadcast_to(weights[: lists.shape[1]], lists.shape)
    return np.concatenate([best, before], axis=1), np.concatenate([weight, -weight], axis=1)

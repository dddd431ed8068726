"""How alike two orderings of the same systems are, and how sure that is.

Means that differ by less than 1e-12 count as tied throughout: the order of a summation must not break a tie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ir_shared.console import UserError
from jaxtyping import Float64

from rerank_judge.bootstrap import Interval, percentile_interval, topic_weights
from rerank_judge.collection import FloatArray, IntArray, require_ordering
from rerank_judge.leaderboard import Board
from rerank_judge.plateau import TOLERANCE

__all__ = [
    "Correlation",
    "compare_judges",
    "correlate",
    "rbo",
    "rho",
    "tau_ap",
    "tau_b",
    "tau_b_many",
    "tau_interval",
]

_BLOCK = 2**21
"""Pair signs held at a time by :func:`tau_b_many`."""


@dataclass(frozen=True)
class Correlation:
    """One metric's system ordering by a judge against that by humans.

    Attributes:
        metric: the metric's name.
        n_systems: systems compared.
        tau: Kendall's tau-b, NaN where one side ties all systems.
        tau_p: its p-value.
        rho: Spearman's rho.
        rho_p: its p-value.
        tau_ap: AP correlation in its b form.
        rbo: rank-biased overlap, p = 0.9.
        interval: bootstrap interval of tau over topics, None if not asked for.
    """

    metric: str
    n_systems: int
    tau: float
    tau_p: float
    rho: float
    rho_p: float
    tau_ap: float
    rbo: float
    interval: Interval | None = None


def correlate(human: Board, judge: Board, *, n_boot: int = 0, seed: int = 0) -> list[Correlation]:
    """Compares two leaderboards of the same systems, metric by metric.

    Args:
        human: the reference.
        judge: the judge's.
        n_boot: resamples of topics for the interval of tau; 0 for none.
        seed: seed of the resamples.

    Raises:
        UserError: other systems, topics or metrics, or fewer than three systems.
    """
    _check_comparable(human, judge)
    found = []
    for i, metric in enumerate(human.metrics):
        x, y = human.means[:, i], judge.means[:, i]
        (tau, tau_p), (r, r_p) = tau_b(x, y), rho(x, y)
        interval = tau_interval(human.values[:, :, i], judge.values[:, :, i], n_boot, seed) if n_boot else None
        found.append(Correlation(metric, len(x), tau, tau_p, r, r_p, tau_ap(x, y), rbo(x, y), interval))
    return found


def tau_b(x: Float64[FloatArray, " systems"], y: Float64[FloatArray, " systems"]) -> tuple[float, float]:
    """Kendall's tau-b and its p-value (SciPy's defaults); NaN where one side is constant. Values [S] each."""
    from scipy.stats import kendalltau

    result = kendalltau(_ranks(x), _ranks(y))
    return float(result.statistic), float(result.pvalue)


def rho(x: Float64[FloatArray, " systems"], y: Float64[FloatArray, " systems"]) -> tuple[float, float]:
    """Spearman's rho and its p-value (SciPy's defaults); NaN where one side is constant. Values [S] each."""
    from scipy.stats import spearmanr

    a, b = _ranks(x), _ranks(y)
    if a.max() == a.min() or b.max() == b.min():
        return float("nan"), float("nan")
    result = spearmanr(a, b)
    return float(result.statistic), float(result.pvalue)


def tau_ap(x: Float64[FloatArray, " systems"], y: Float64[FloatArray, " systems"]) -> float:
    """AP correlation in the tie-averaged b form of Urbano and Marrero (2017).

    In one direction, each item is compared with those strictly above it in one ranking, the concordant share is
    averaged over all items that are not tied for its top, and scaled to [-1, 1] (Yilmaz et al. 2008, whose coefficient
    this is without ties); an item tied in either ranking is not concordant. The b form treats neither ranking as the
    truth: it is the mean of both directions. NaN where one side is constant. Values [S] each, higher is better.
    """
    a, b = _ranks(x), _ranks(y)
    return (_directed_tau_ap(a, b) + _directed_tau_ap(b, a)) / 2


def rbo(x: Float64[FloatArray, " systems"], y: Float64[FloatArray, " systems"], p: float = 0.9) -> float:
    """Rank-biased overlap of two complete rankings, in the form that lets tied items share a rank.

    Webber et al. (2010): the agreement at depth d is twice the overlap over the summed sizes of what stands at rank d
    or better, so a tie group enters as a whole at its top rank ("RBO^w" in the later literature). Below the last rank,
    where both rankings hold all systems, the agreement stays 1. Values [S] each, higher is better.
    """
    a, b = _top_rank(_ranks(x)), _top_rank(_ranks(y))
    depth = np.arange(1, len(a) + 1)
    in_a, in_b = a[:, None] <= depth, b[:, None] <= depth
    agreement = 2 * (in_a & in_b).sum(axis=0) / (in_a.sum(axis=0) + in_b.sum(axis=0))
    return float((1 - p) * (p ** (depth - 1) @ agreement) + p ** len(a))


def tau_b_many(
    x: Float64[FloatArray, "orderings systems"] | Float64[FloatArray, " systems"],
    y: Float64[FloatArray, "orderings systems"],
) -> Float64[FloatArray, " orderings"]:
    """Kendall's tau-b of many pairs of orderings at once, from the signs of all pairs of systems.

    Args:
        x: values, [n, S] or [S] for one reference against all rows of ``y``.
        y: values, [n, S].

    Returns:
        Tau-b, NaN where a side is constant, [n].
    """
    x = np.broadcast_to(x, y.shape)
    first, second = np.triu_indices(y.shape[1], 1)
    rows = max(1, _BLOCK // max(len(first), 1))
    taus = []
    for start in range(0, len(y), rows):
        a, b = (_signs(values[start : start + rows], first, second) for values in (x, y))
        agreement = np.einsum("np,np->n", a, b, dtype=np.int64)
        untied = np.count_nonzero(a, axis=1).astype(np.float64) * np.count_nonzero(b, axis=1)
        taus.append(np.where(untied > 0, agreement / np.sqrt(np.maximum(untied, 1)), np.nan))
    return np.concatenate(taus) if taus else np.zeros(0)


def tau_interval(
    human: Float64[FloatArray, "systems topics"],
    judge: Float64[FloatArray, "systems topics"],
    n_boot: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Bootstrap interval of tau-b over topics; per-topic values of one metric, NaN where skipped, [S, T] each.

    A resample holds fewer distinct topics, so both its orderings are noisier and its tau tends to be lower than that of
    all topics: the interval lies low, and may even end below it. For two judges, :func:`compare_judges` is fair.
    """
    weights = topic_weights(human.shape[1], n_boot, seed)
    return percentile_interval(tau_b_many(_means(human, weights), _means(judge, weights)), level)


def compare_judges(
    human: Float64[FloatArray, "systems topics"],
    first: Float64[FloatArray, "systems topics"],
    second: Float64[FloatArray, "systems topics"],
    n_boot: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Paired bootstrap interval of tau(first) - tau(second) over topics; values of one metric, [S, T] each."""
    weights = topic_weights(human.shape[1], n_boot, seed)
    reference = _means(human, weights)
    difference = tau_b_many(reference, _means(first, weights)) - tau_b_many(reference, _means(second, weights))
    return percentile_interval(difference, level)


def _check_comparable(human: Board, judge: Board) -> None:
    for what in ("systems", "topics", "metrics"):
        if getattr(human, what) != getattr(judge, what):
            raise UserError(
                f"{human.judge} and {judge.judge}: the leaderboards have different {what}; evaluate the same runs"
            )
    require_ordering(human.systems)


def _ranks(values: FloatArray) -> IntArray:
    """Dense ranks from 0, higher for better, values within the tolerance of their neighbour sharing one, [S]."""
    values = np.asarray(values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[order] = np.cumsum(np.diff(values[order], prepend=values[order[:1]]) > TOLERANCE)
    return ranks


def _top_rank(ranks: IntArray) -> IntArray:
    """The rank from 1 at which each item's tie group begins, [S]."""
    return np.asarray(1 + (ranks[None, :] > ranks[:, None]).sum(axis=1), dtype=np.int64)


def _directed_tau_ap(truth: IntArray, ranking: IntArray) -> float:
    above = ranking[None, :] > ranking[:, None]
    size = above.sum(axis=1)
    below_top = size > 0
    if not below_top.any():
        return float("nan")
    concordant = (above & (truth[None, :] > truth[:, None])).sum(axis=1)
    return float(2 * np.mean(concordant[below_top] / size[below_top]) - 1)


def _signs(values: FloatArray, first: IntArray, second: IntArray) -> npt.NDArray[np.int8]:
    difference = values[:, first] - values[:, second]
    return (difference > TOLERANCE).astype(np.int8) - (difference < -TOLERANCE).astype(np.int8)


def _means(values: FloatArray, weights: IntArray) -> FloatArray:
    """Weighted means of per-topic values [S, T] under weights [B, T], [B, S]; skipped topics have no weight."""
    counted = ~np.isnan(values)
    total = weights @ np.where(counted, values, 0).T
    size = weights @ counted.T.astype(np.int64)
    return np.where(size > 0, total / np.maximum(size, 1), np.nan)

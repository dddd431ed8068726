"""Three classic estimators of examination from swaps: pivot, adjacent chain and all pairs, as probability ratios.

They compare mean click-through rates of the same pairs at two positions (Agarwal et al. 2019, "Estimating position bias
without intrusive interventions"), which is right for products ``P(click) = e_k r`` and shown beside the conditional
estimator for comparison.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float64

from twotower_ident.cells import BoolArray, CellTable, FloatArray, IntArray
from twotower_ident.click_log import ClickLog
from twotower_ident.conditional_bias import FINITE, PositionBias

__all__ = ["Harvest", "harvested_position_bias", "swap_rates"]

Harvest = Literal["pivot", "chain", "all-pairs"]


def harvested_position_bias(log: ClickLog | CellTable, estimator: Harvest) -> PositionBias:
    """Estimates examination relative to the first seen position.

    ``pivot`` compares each position with the reference directly; ``chain`` multiplies the ratios of neighbours;
    ``all-pairs`` fits examination and one relevance for each pair of positions to all swaps by maximum likelihood.

    Args:
        log: a log, or its cells.
        estimator: which.
    """
    cells = log if isinstance(log, CellTable) else log.cells()
    rates, pairs = swap_rates(cells)
    impressions = cells.by_position(cells.impressions)
    seen = np.flatnonzero(impressions > 0)
    reference = int(seen[0]) if len(seen) else 0
    fit = {"pivot": _pivot, "chain": _chain, "all-pairs": _all_pairs}[estimator]
    ratio = fit(rates, pairs, seen)
    nothing = np.full(cells.n_positions, np.nan)
    return PositionBias(
        estimator=estimator,
        scale="ratio",
        labels=cells.labels(),
        bias=ratio,
        se=nothing,
        low=nothing,
        high=nothing,
        impressions=impressions,
        reason=[FINITE if np.isfinite(value) else "no swaps that this estimator can use" for value in ratio],
        reference=reference,
        covariance=np.full((cells.n_positions, cells.n_positions), np.nan),
    )


def swap_rates(
    cells: CellTable,
) -> tuple[Float64[FloatArray, "positions positions"], Float64[FloatArray, "positions positions"]]:
    """Sums over the pairs seen at both k and k' of their click-through rate at k, and how many pairs, both [K, K]."""
    k = cells.n_positions
    rates, pairs = np.zeros((k, k)), np.zeros((k, k))
    for part in cells.chunks():
        seen = part.matrix(np.ones(part.n_cells))
        rates += (part.matrix(part.clicks / part.impressions).T @ seen).toarray()
        pairs += (seen.T @ seen).toarray()
    return rates, pairs


def _pivot(rates: FloatArray, pairs: FloatArray, seen: IntArray) -> FloatArray:
    ratio = np.full(len(rates), np.nan)
    reference = seen[0]
    for k in seen:
        if pairs[k, reference] and rates[reference, k] > 0:
            ratio[k] = rates[k, reference] / rates[reference, k]
    return ratio


def _chain(rates: FloatArray, pairs: FloatArray, seen: IntArray) -> FloatArray:
    ratio = np.full(len(rates), np.nan)
    ratio[seen[0]] = 1.0
    for before, k in pairwise(seen):
        if pairs[k, before] and rates[before, k] > 0:
            ratio[k] = ratio[before] * rates[k, before] / rates[before, k]
    return ratio


def _all_pairs(rates: FloatArray, pairs: FloatArray, seen: IntArray) -> FloatArray:
    """Maximises ``Σ_{k≠k'} ĉ ln(e_k r_kk') + (N_kk' − ĉ) ln(1 − e_k r_kk')`` with r symmetric, all within (0, 1)."""
    from scipy.optimize import minimize
    from scipy.special import expit

    first, second = np.nonzero(np.triu(pairs, 1))
    m, k = len(first), len(rates)
    a, b = np.concatenate([first, second]), np.concatenate([second, first])
    link = np.concatenate([np.arange(m), np.arange(m)])
    shown, clicked = pairs[a, b], rates[a, b]

    def loss(free: FloatArray) -> tuple[float, FloatArray]:
        # Logits of both factors keep the probabilities inside (0, 1); ln(1 − e^s) through expm1 stays accurate near 0.
        examined, relevant = -np.logaddexp(0, -free[:k]), -np.logaddexp(0, -free[k:])
        log_p = np.minimum(examined[a] + relevant[link], -1e-12)
        value = -(clicked * log_p + (shown - clicked) * np.log(-np.expm1(log_p))).sum()
        slope = -(clicked - (shown - clicked) * np.exp(log_p) / -np.expm1(log_p))
        gradient = np.concatenate(
            [
                np.bincount(a, slope, k) * (1 - expit(free[:k])),
                np.bincount(link, slope, m) * (1 - expit(free[k:])),
            ]
        )
        return value / shown.sum(), gradient / shown.sum()

    ratio = np.full(k, np.nan)
    ratio[seen[0]] = 1.0
    if m == 0:
        return ratio
    options = {"maxiter": 10_000, "maxfun": 100_000, "ftol": 1e-15, "gtol": 1e-10}
    found = minimize(loss, np.zeros(k + m), jac=True, method="L-BFGS-B", options=options)
    examination = expit(found.x[:k])
    if rates[seen[0]].sum() <= 0:
        # No click at the reference: every ratio to it would be infinite.
        return np.full(k, np.nan)
    linked = _linked(pairs, int(seen[0]))
    ratio[linked] = examination[linked] / examination[seen[0]]
    return ratio


def _linked(pairs: FloatArray, reference: int) -> BoolArray:
    from twotower_ident.swap_graph import weak_components

    component = weak_components(pairs, np.diag(pairs) > 0)
    linked: BoolArray = (component == component[reference]) & (component >= 0)
    return linked

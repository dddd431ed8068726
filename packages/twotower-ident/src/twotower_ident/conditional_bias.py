"""Position bias without a relevance model: what swapped documents alone say, on the logit scale.

Fitting a parameter for every pair overstates the position effect where pairs have few impressions (with two impressions
a pair, exactly twofold). Conditioning the pair's relevance away avoids that; see :func:`conditional_position_bias`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from ir_shared.console import UserError
from jaxtyping import Float64, Int64

from twotower_ident.additivity import AdditivityTest, additivity_test
from twotower_ident.cells import BoolArray, CellTable, FloatArray, IntArray
from twotower_ident.click_log import ClickLog
from twotower_ident.jsonable import plain
from twotower_ident.paired_comparison import fit_paired_comparison, hessian, sigmoid_differences
from twotower_ident.query_blocks import query_blocks
from twotower_ident.swap_graph import UNSEEN, discordance, reachable, strong_components

__all__ = ["PositionBias", "conditional_position_bias", "pair_scores", "score_covariance"]

FINITE = "finite"


@dataclass(frozen=True, eq=False)
class PositionBias:
    """A position-bias curve.

    Attributes:
        estimator: how it was estimated.
        scale: ``logit`` (θ_k − θ_reference) or ``ratio`` (examination relative to the reference, a probability ratio).
        labels: what each position or bias factor is called, K names.
        bias: shape [K]; infinite or NaN where the log does not determine it.
        se: standard error, clustered by query; NaN where there is none, shape [K].
        low: lower end of the 95 % interval, shape [K].
        high: upper end, shape [K].
        impressions: shape [K].
        reason: ``finite``, or why the value is not, K texts.
        reference: index of the position that all values are relative to.
        covariance: of the finite values, zero for the reference, NaN elsewhere, shape [K, K].
        additivity: whether one curve explains all swaps; None where there is no cycle to test.
    """

    estimator: str
    scale: str
    labels: list[str]
    bias: Float64[FloatArray, " positions"]
    se: Float64[FloatArray, " positions"]
    low: Float64[FloatArray, " positions"]
    high: Float64[FloatArray, " positions"]
    impressions: Float64[FloatArray, " positions"]
    reason: list[str]
    reference: int
    covariance: Float64[FloatArray, "positions positions"]
    additivity: AdditivityTest | None = None

    @property
    def frame(self) -> pl.DataFrame:
        """One row a position: position, bias, se, low, high, impressions, reason."""
        return pl.DataFrame(
            {
                "position": self.labels,
                "bias": self.bias,
                "se": self.se,
                "low": self.low,
                "high": self.high,
                "impressions": self.impressions,
                "reason": self.reason,
            }
        )

    def to_json(self) -> dict[str, Any]:
        """The curve; infinities as ``"inf"`` and ``"-inf"``."""
        head = {"estimator": self.estimator, "scale": self.scale, "reference": self.labels[self.reference]}
        return {**head, "positions": plain(self.frame.to_dicts()), "additivity": plain(self.additivity)}


def conditional_position_bias(log: ClickLog | CellTable, *, test_additivity: bool = True) -> PositionBias:
    """Estimates θ_k − θ_1 from swapped pairs alone, whatever the relevance of the pairs.

    The discordances D (:func:`twotower_ident.swap_graph.discordance`) are fitted as a paired comparison. Consistent
    with many impressions a pair as with few; for two positions it is the Mantel–Haenszel log odds ratio. Standard
    errors are a sandwich clustered by query: ``H⁻¹ (Σ_q g_q g_qᵀ) H⁻¹``.

    Args:
        log: a log, or its cells.
        test_additivity: whether to test that one curve explains all swaps.

    Raises:
        UserError: no impressions at all.
    """
    cells = log if isinstance(log, CellTable) else log.cells()
    if cells.n_cells == 0:
        raise UserError("position bias: no impressions")
    found = discordance(cells)
    impressions = cells.by_position(cells.impressions)
    seen = impressions > 0
    strong = strong_components(found, seen)
    reference = int(np.flatnonzero(seen)[0])
    members = np.flatnonzero(strong == strong[reference])
    block = found[np.ix_(members, members)]
    theta = fit_paired_comparison(block).theta
    covariance = np.full((len(found), len(found)), np.nan)
    covariance[np.ix_(members, members)] = score_covariance(cells, members, theta, block)
    bias, reason = _diverging(found, seen, reference)
    bias[members] = theta
    for k in members:
        reason[k] = FINITE
    se = np.sqrt(np.diag(covariance))
    return PositionBias(
        estimator="conditional",
        scale="logit",
        labels=cells.labels(),
        bias=bias,
        se=se,
        low=bias - 1.959963984540054 * se,
        high=bias + 1.959963984540054 * se,
        impressions=impressions,
        reason=reason,
        reference=reference,
        covariance=covariance,
        additivity=additivity_test(cells, found, strong) if test_additivity else None,
    )


def _diverging(found: FloatArray, seen: BoolArray, reference: int) -> tuple[FloatArray, list[str]]:
    """The contrast of each position to the reference as if none were finite: ±∞ along one-way links, else NaN."""
    bias = np.full(len(found), np.nan)
    reason = ["no impressions" if not known else "no informative swap links it to the reference" for known in seen]
    above, below = reachable(found, reference), reachable(found.T, reference)
    bias[above] = np.inf
    bias[below] = -np.inf
    for k in np.flatnonzero(above):
        reason[k] = "never loses a swap against the positions that link it to the reference"
    for k in np.flatnonzero(below):
        reason[k] = "never wins a swap against the positions that link it to the reference"
    return bias, reason


def score_covariance(
    cells: CellTable,
    members: Int64[IntArray, " members"],
    theta: Float64[FloatArray, " members"],
    found: Float64[FloatArray, "members members"],
) -> Float64[FloatArray, "members members"]:
    """The sandwich covariance of the grounded fit, zero at the reference.

    Args:
        cells: the aggregated log.
        members: positions of one strong component, the reference first, shape [M].
        theta: their fitted values, shape [M].
        found: D of the members, shape [M, M].
    """
    m = len(members)
    covariance = np.zeros((m, m))
    if m == 1:
        return covariance
    meat = np.zeros((m, m))
    for scores in pair_scores(cells, members, theta):
        meat += scores.T @ scores
    bread = np.linalg.inv(hessian(found, theta)[1:, 1:])
    covariance[1:, 1:] = bread @ meat[1:, 1:] @ bread
    return covariance


def pair_scores(
    cells: CellTable, members: Int64[IntArray, " members"], theta: Float64[FloatArray, " members"]
) -> Iterator[Float64[FloatArray, "queries members"]]:
    """Scores of the paired comparison summed by query, a block of whole queries at a time, each of shape [queries, M].

    With p_kk' = σ(θ_k − θ_k') and f = n − c, pair i contributes to position k
    ``a_i [ c_ik Σ_k' f_ik' − Σ_k' (c_ik f_ik' + c_ik' f_ik) p_kk' ]``.
    """
    chosen = np.full(cells.n_positions, UNSEEN, dtype=np.int64)
    chosen[members] = np.arange(len(members))
    probability = sigmoid_differences(theta)
    for block in query_blocks(cells):
        c, n = block.matrix(block.clicks)[:, members], block.matrix(block.impressions)[:, members]
        f = n - c
        # a_i counts all impressions of the pair, those at positions outside the component too, as D does.
        a = 1 / np.maximum(block.by_pair(block.impressions), np.finfo(float).tiny)
        clicked, passed = c.toarray(), f.toarray()
        own = clicked * (passed.sum(axis=1, keepdims=True) - f @ probability.T) - passed * (c @ probability.T)
        starts = np.flatnonzero(np.diff(block.pair_query, prepend=-1))
        yield np.add.reduceat(a[:, None] * own, starts, axis=0)

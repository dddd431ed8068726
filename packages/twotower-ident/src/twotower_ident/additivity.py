"""Does one curve of position effects explain all swaps? A Wald test on the cycles of the swap graph.

Around a cycle of positions the log odds ratios ``ln(D_kk' / D_k'k)`` must sum to zero when the effect of position is
additive in logits. The ratios' covariance is clustered by query; ``1 / D`` is not a variance, because the D are
weighted sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from twotower_ident.cells import CellTable, FloatArray, IntArray
from twotower_ident.query_blocks import query_blocks

__all__ = ["AdditivityTest", "additivity_test"]

MIN_EVIDENCE = 25
"""Pairs that must speak for each side of a link; the log of a ratio of fewer is far from normal."""

_QUERIES_EACH = 10
"""Queries for each degree of freedom: with fewer, the covariance cannot be estimated."""

_MAX_CYCLES = 500
_PAIRS_EACH = 1 << 13  # a block is dense in links


@dataclass(frozen=True, eq=False)
class AdditivityTest:
    """The test of additivity in logits.

    Attributes:
        statistic: Wald statistic, scaled to an F distribution (Hotelling), as the covariance is estimated.
        degrees_of_freedom: independent cycles tested: links − positions + components.
        n_clusters: queries that inform the covariance.
        p_value: small where the position effect is not additive, which is misspecification.
        links: position indices of each link tested, shape [E, 2].
        residuals: ``ln(D_kk' / D_k'k)`` less the best-fitting differences (least squares), shape [E].
    """

    statistic: float
    degrees_of_freedom: int
    n_clusters: int
    p_value: float
    links: Int64[IntArray, "links 2"]
    residuals: Float64[FloatArray, " links"]

    def to_json(self) -> dict[str, Any]:
        """The figures, and the three links with the largest residuals, positions counted from 1."""
        worst = np.argsort(-np.abs(self.residuals))[:3]
        return {
            "statistic": self.statistic,
            "degrees_of_freedom": self.degrees_of_freedom,
            "n_clusters": self.n_clusters,
            "p_value": self.p_value,
            "largest_residuals": [
                {"positions": (self.links[e] + 1).tolist(), "residual": float(self.residuals[e])} for e in worst
            ],
        }


def additivity_test(
    cells: CellTable, found: Float64[FloatArray, "positions positions"], strong: Int64[IntArray, " positions"]
) -> AdditivityTest | None:
    """Tests the cycles of the links that have evidence on both sides.

    Where there are more cycles than a tenth of the queries, only the best-supported links are used.

    Args:
        cells: the aggregated log.
        found: D, shape [K, K].
        strong: strong component of each position, shape [K].

    Returns:
        The test, or None where no cycle has the evidence.
    """
    from scipy.linalg import null_space
    from scipy.stats import f as f_distribution

    n_clusters = sum(len(np.unique(block.pair_query)) for block in query_blocks(cells))
    links = _links(cells, found, strong, min(n_clusters // _QUERIES_EACH, _MAX_CYCLES))
    incidence = np.zeros((len(links), cells.n_positions))
    incidence[np.arange(len(links)), links[:, 0]] = 1.0
    incidence[np.arange(len(links)), links[:, 1]] = -1.0
    cycles = null_space(incidence.T) if len(links) else np.zeros((0, 0))
    df = cycles.shape[1]
    if df == 0:
        return None
    k, j = links[:, 0], links[:, 1]
    ratios = np.log(found[k, j] / found[j, k])
    moved = np.zeros((df, df))
    for block in query_blocks(cells, _PAIRS_EACH):
        moved += _covariance(block, links, found, cycles)
    around = cycles.T @ ratios
    wald = float(around @ np.linalg.solve(moved, around))
    statistic = wald * (n_clusters - df) / (df * (n_clusters - 1))
    residuals = cycles @ around
    p_value = float(f_distribution.sf(statistic, df, n_clusters - df))
    return AdditivityTest(statistic, df, n_clusters, p_value, links, residuals)


def _links(cells: CellTable, found: FloatArray, strong: IntArray, max_cycles: int) -> IntArray:
    """The best-supported links, as many as close at most ``max_cycles`` cycles, shape [E, 2]."""
    evidence = np.zeros_like(found)
    for part in cells.chunks():
        clicked = part.matrix((part.clicks > 0).astype(np.float64))
        passed = part.matrix((part.clicks < part.impressions).astype(np.float64))
        evidence += (clicked.T @ passed).toarray()
    both = np.triu(np.minimum(evidence, evidence.T), 1) * (strong[:, None] == strong[None, :])
    first, second = np.nonzero(both >= MIN_EVIDENCE)
    root = list(range(len(found)))
    chosen, cycles = [], 0
    for e in np.argsort(-both[first, second], kind="stable"):
        one, other = int(first[e]), int(second[e])
        closes = root[one] == root[other]
        if closes and cycles == max_cycles:
            continue
        cycles += closes
        chosen.append((one, other))
        root = [root[one] if r == root[other] else r for r in root] if not closes else root
    return np.array(sorted(chosen), dtype=np.int64).reshape(-1, 2)


def _covariance(block: CellTable, links: IntArray, found: FloatArray, cycles: FloatArray) -> FloatArray:
    """What a block of queries adds to the covariance of the sums around the cycles, by the delta method."""
    k, j = links[:, 0], links[:, 1]
    scale = 1 / block.by_pair(block.impressions)
    clicked = block.matrix(block.clicks * scale[block.pair]).toarray()
    passed = block.matrix(block.impressions - block.clicks).toarray()
    influence = clicked[:, k] * passed[:, j] / found[k, j] - clicked[:, j] * passed[:, k] / found[j, k]
    starts = np.flatnonzero(np.diff(block.pair_query, prepend=-1))
    around = np.add.reduceat(influence @ cycles, starts, axis=0)
    moved: FloatArray = around.T @ around
    return moved

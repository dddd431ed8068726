"""Which positions the log links, how many swaps link them, and which rankings can be learned at all.

A pair that was shown at two positions links them: its relevance cancels. Positions in one component have contrasts that
the data determine; the documents of a query can be ranked exactly when they lie in one component. Whether the
maximum-likelihood contrasts are finite as well is a question of direction: an edge k' → k where some pair was clicked
at k and not clicked at k' (the win graph of paired comparisons, Ford 1957).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped
from numpy.typing import NDArray

from twotower_ident.cells import BoolArray, CellTable, FloatArray, IntArray

__all__ = [
    "QueryVerdicts",
    "Shares",
    "SwapGraph",
    "discordance",
    "informative_pairs",
    "position_graph",
    "query_verdicts",
    "reachable",
    "strong_components",
    "weak_components",
]

UNSEEN = -1
"""The component of a position without impressions."""


@dataclass(frozen=True, eq=False)
class SwapGraph:
    """Positions and the swaps between them.

    Attributes:
        swap_pairs: pairs seen at both of two positions, shape [K, K]; on the diagonal, pairs seen at the position.
        swap_impressions: impressions of those pairs at the two positions, shape [K, K].
        discordance: D, see :func:`discordance`, shape [K, K].
        impressions: shape [K].
        clicks: shape [K].
        component: weak component of each position, numbered by first position; ``-1`` where unseen, shape [K].
        strong: strong component of each position, likewise, shape [K].
    """

    swap_pairs: Float64[FloatArray, "positions positions"]
    swap_impressions: Float64[FloatArray, "positions positions"]
    discordance: Float64[FloatArray, "positions positions"]
    impressions: Float64[FloatArray, " positions"]
    clicks: Float64[FloatArray, " positions"]
    component: Int64[IntArray, " positions"]
    strong: Int64[IntArray, " positions"]

    @property
    def n_components(self) -> int:
        """How many weak components there are."""
        return int(self.component.max(initial=UNSEEN)) + 1

    @property
    def n_strong(self) -> int:
        """How many strong components there are."""
        return int(self.strong.max(initial=UNSEEN)) + 1

    @property
    def seen(self) -> Bool[BoolArray, " positions"]:
        """Which positions have impressions, shape [K]."""
        return self.impressions > 0


def position_graph(cells: CellTable) -> SwapGraph:
    """Builds the graph of positions in one pass over the pairs; cost O(Σ s²) for s positions of a pair."""
    k = cells.n_positions
    swap_pairs, swap_impressions = np.zeros((k, k)), np.zeros((k, k))
    for part in cells.chunks():
        seen = part.matrix(np.ones(part.n_cells))
        swap_pairs += (seen.T @ seen).toarray()
        once = (part.matrix(part.impressions).T @ seen).toarray()
        swap_impressions += once + once.T
    np.fill_diagonal(swap_impressions, np.diag(swap_impressions) / 2)
    impressions, clicks = cells.by_position(cells.impressions), cells.by_position(cells.clicks)
    found = discordance(cells)
    return SwapGraph(
        swap_pairs=swap_pairs,
        swap_impressions=swap_impressions,
        discordance=found,
        impressions=impressions,
        clicks=clicks,
        component=weak_components(swap_pairs, impressions > 0),
        strong=strong_components(found, impressions > 0),
    )


def discordance(
    cells: CellTable, weights: Float64[FloatArray, " pairs"] | None = None
) -> Float64[FloatArray, "positions positions"]:
    """Weighted counts of one position's clicks meeting another's non-clicks within a pair.

    ``D_{kk'} = Σ_i a_i c_{ik} (n_{ik'} − c_{ik'})`` with ``a_i = 1 / Σ_k n_{ik}``: the relevance of the pair cancels in
    the odds ratio, so that ``E[D_{kk'}] / E[D_{k'k}] = exp(θ_k − θ_{k'})`` (Mantel and Haenszel 1959, for K = 2).

    Args:
        cells: the aggregated log.
        weights: a factor for each pair, such as how often a resample drew its query, shape [P].

    Returns:
        Shape [K, K], zero on the diagonal.
    """
    total = np.zeros((cells.n_positions, cells.n_positions))
    start = 0
    for part in cells.chunks():
        scale = 1 / np.maximum(part.by_pair(part.impressions), np.finfo(float).tiny)
        if weights is not None:
            scale = scale * weights[start : start + part.n_pairs]
        start += part.n_pairs
        clicked = part.matrix(part.clicks * scale[part.pair])
        total += (clicked.T @ part.matrix(part.impressions - part.clicks)).toarray()
    np.fill_diagonal(total, 0.0)
    return total


def weak_components(
    links: Float64[FloatArray, "positions positions"], seen: Bool[BoolArray, " positions"]
) -> Int64[IntArray, " positions"]:
    """Connected components of the positions, numbered by their first position; unseen positions get -1.

    Args:
        links: positive where two positions are linked, shape [K, K].
        seen: which positions have impressions, shape [K].
    """
    return _components(links, seen, "weak")


def strong_components(
    found: Float64[FloatArray, "positions positions"], seen: Bool[BoolArray, " positions"]
) -> Int64[IntArray, " positions"]:
    """Strongly connected components of the digraph with an edge k' → k where ``D_{kk'} > 0``; see module."""
    return _components(found, seen, "strong")


def reachable(found: Float64[FloatArray, "positions positions"], source: int) -> Bool[BoolArray, " positions"]:
    """Positions that a path of edges k' → k (where ``D_{kk'} > 0``) leads to from a position, itself included."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order

    graph = csr_array((found > 0).T.astype(np.int8))
    order = breadth_first_order(graph, source, directed=True, return_predecessors=False)
    reached = np.zeros(len(found), dtype=bool)
    reached[order] = True
    return reached


def _components(links: FloatArray, seen: BoolArray, connection: Literal["weak", "strong"]) -> IntArray:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    graph = csr_array((links > 0).astype(np.int8))
    _, raw = connected_components(graph, directed=True, connection=connection)
    numbered = np.full(len(links), UNSEEN, dtype=np.int64)
    _, first, where = np.unique(raw[seen], return_index=True, return_inverse=True)
    numbered[seen] = np.argsort(np.argsort(first))[where]
    return numbered


@dataclass(frozen=True)
class Shares:
    """How much of the log tells anything about the position effect.

    Attributes:
        pairs: share of pairs that are informative: seen at two positions or more, clicked and not clicked.
        impressions: share of impressions on such pairs.
        swapped_pairs: share of pairs seen at two positions or more.
        impressions_each: median impressions of an informative pair; NaN where there is none.
        single_session_queries: share of queries with one session only.
    """

    pairs: float
    impressions: float
    swapped_pairs: float
    impressions_each: float
    single_session_queries: float


def informative_pairs(cells: CellTable) -> tuple[Bool[BoolArray, " pairs"], Shares]:
    """Which pairs are informative, shape [P], and the shares; pairs with one outcome only tell nothing."""
    shown, clicked = cells.by_pair(cells.impressions), cells.by_pair(cells.clicks)
    swapped = np.bincount(cells.pair, minlength=cells.n_pairs) >= 2
    told = swapped & (clicked > 0) & (clicked < shown)
    n = max(cells.n_pairs, 1)
    sessions = cells.sessions()
    shares = Shares(
        pairs=float(told.sum() / n),
        impressions=float(shown[told].sum() / max(shown.sum(), np.finfo(float).tiny)),
        swapped_pairs=float(swapped.sum() / n),
        impressions_each=float(np.median(shown[told])) if told.any() else float("nan"),
        single_session_queries=float((sessions <= 1).mean()) if len(sessions) else 0.0,
    )
    return told, shares


@dataclass(frozen=True, eq=False)
class QueryVerdicts:
    """What can be learned of the ranking of each query.

    Attributes:
        n_documents: documents of each query, shape [Q].
        n_groups: components that its documents fall into; documents of different ones cannot be compared, shape [Q].
        impressions: traffic of each query, shape [Q].
    """

    n_documents: Int64[IntArray, " queries"]
    n_groups: Int64[IntArray, " queries"]
    impressions: Float64[FloatArray, " queries"]

    @property
    def verdict(self) -> Shaped[NDArray[np.str_], " queries"]:
        """``full``, ``partly`` (some documents can be compared) or ``none`` (no two), shape [Q]."""
        partly = np.where(self.n_groups == self.n_documents, "none", "partly")
        return np.where(self.n_groups <= 1, "full", partly)

    def shares(self) -> dict[str, dict[str, float]]:
        """Share of queries and of their traffic with each verdict."""
        verdict = self.verdict
        traffic = max(float(self.impressions.sum()), np.finfo(float).tiny)
        return {
            name: {
                "queries": float((verdict == name).mean()) if len(verdict) else 0.0,
                "impressions": float(self.impressions[verdict == name].sum() / traffic),
            }
            for name in ("full", "partly", "none")
        }


def query_verdicts(cells: CellTable, component: Int64[IntArray, " positions"]) -> QueryVerdicts:
    """Judges each query: its ranking is identified exactly when its documents lie in one component.

    Args:
        cells: the aggregated log.
        component: of each position, shape [K].
    """
    of_pair = np.full(cells.n_pairs, UNSEEN, dtype=np.int64)
    of_pair[cells.pair] = component[cells.index]
    query, pair = cells.membership()
    seen = of_pair[pair] != UNSEEN
    query, pair = query[seen], pair[seen]
    n = cells.n_queries
    width = int(component.max(initial=0)) + 1
    groups = np.unique(query * width + of_pair[pair]) // width
    # Where several queries share a pair, its traffic is spread evenly over them.
    owners = np.bincount(pair, minlength=cells.n_pairs)
    traffic = (cells.by_pair(cells.impressions) / np.maximum(owners, 1))[pair]
    return QueryVerdicts(
        n_documents=np.bincount(query, minlength=n),
        n_groups=np.bincount(groups, minlength=n),
        impressions=np.bincount(query, traffic, n).astype(np.float64, copy=False),
    )

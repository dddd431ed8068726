"""The pairs that inform on position effects, query by query: what sandwich covariances are summed over."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from twotower_ident.cells import CellTable

__all__ = ["query_blocks"]


def query_blocks(cells: CellTable, pairs_each: int = 1 << 16) -> Iterator[CellTable]:
    """Informative pairs sorted by query, in blocks that do not cut a query.

    Pairs are indexed anew in each block; queries keep their indices.

    Args:
        cells: the aggregated log.
        pairs_each: a block closes at the first query that reaches this many pairs.
    """
    shown, clicked = cells.by_pair(cells.impressions), cells.by_pair(cells.clicks)
    told = (np.bincount(cells.pair, minlength=cells.n_pairs) >= 2) & (clicked > 0) & (clicked < shown)
    pairs = np.flatnonzero(told)
    order = pairs[np.argsort(cells.pair_query[pairs], kind="stable")]
    queries = cells.pair_query[order]
    starts = np.searchsorted(cells.pair, order)
    lengths = np.searchsorted(cells.pair, order, side="right") - starts
    cuts = np.flatnonzero(np.diff(queries)) + 1
    edges = [0]
    for cut in [*cuts.tolist(), len(order)]:
        if cut - edges[-1] >= pairs_each or cut == len(order):
            edges.append(cut)
    for a, b in pairwise(edges):
        if a == b:
            continue
        sizes = lengths[a:b]
        pair = np.repeat(np.arange(b - a), sizes)
        offset = np.arange(len(pair)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        where = np.repeat(starts[a:b], sizes) + offset
        yield CellTable(
            pair=pair,
            position=cells.position[where],
            impressions=cells.impressions[where],
            clicks=cells.clicks[where],
            pair_query=queries[a:b],
            n_positions=cells.n_positions,
        )

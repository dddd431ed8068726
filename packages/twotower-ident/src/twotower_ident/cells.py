"""The aggregated log: one cell for each (pair, position), which is all that estimation and the audit ever need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from ir_shared.console import UserError
from jaxtyping import Bool, Float64, Int32, Int64, UInt64
from numpy.typing import NDArray
from scipy.sparse import csr_array

__all__ = ["BoolArray", "CellTable", "FloatArray", "IntArray", "group_rows", "run_ids", "sums"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
_Numbers = Sequence[Any] | NDArray[Any]


@dataclass(frozen=True, eq=False)
class CellTable:
    """Impressions and clicks of each cell, sorted by pair, then position; at most one row for a cell.

    Counts are floats, because in the population limit they are expectations.

    Attributes:
        pair: index of the pair, from 0, shape [C], int64, ascending.
        position: 1..K, shape [C], int32, ascending within a pair. With several bias columns this is the bias factor,
            whose meaning ``factors`` holds.
        impressions: shape [C], float64, positive.
        clicks: shape [C], float64, between 0 and the impressions.
        pair_query: index of the query of each pair, shape [P], int64.
        n_positions: K, the largest position that the table can hold.
        query_sessions: sessions of each query, shape [Q], where the log knows them.
        pairs: what each pair is called: columns ``qid`` and ``docid``, P rows.
        queries: what each query is called: column ``qid``, Q rows.
        factors: for several bias columns or merged positions: what each factor is, K rows in order.
        members: query index and pair index of each (query, pair) that the log holds, where a pair belongs to several
            queries (documents, feature vectors or buckets as pairs); None where ``pair_query`` says it all.
    """

    pair: Int64[IntArray, " cells"]
    position: Int32[NDArray[np.int32], " cells"]
    impressions: Float64[FloatArray, " cells"]
    clicks: Float64[FloatArray, " cells"]
    pair_query: Int64[IntArray, " pairs"]
    n_positions: int
    query_sessions: Float64[FloatArray, " queries"] | None = None
    pairs: pl.DataFrame | None = None
    queries: pl.DataFrame | None = None
    factors: pl.DataFrame | None = None
    members: tuple[Int64[IntArray, " memberships"], Int64[IntArray, " memberships"]] | None = None

    @classmethod
    def from_arrays(
        cls,
        pair: _Numbers,
        position: _Numbers,
        impressions: _Numbers,
        clicks: _Numbers,
        *,
        pair_query: _Numbers | None = None,
        n_positions: int | None = None,
    ) -> CellTable:
        """Builds a table from rows in any order; rows of one cell are added up, rows without impressions dropped.

        Args:
            pair: index of the pair, from 0, shape [R].
            position: 1..K, shape [R].
            impressions: shape [R], not negative.
            clicks: shape [R], between 0 and the impressions.
            pair_query: query of each pair, shape [P]; all pairs are of one query where not given.
            n_positions: K; the largest position where not given.

        Raises:
            UserError: counts or positions that cannot be.
        """
        pairs, positions = np.asarray(pair, dtype=np.int64), np.asarray(position, dtype=np.int64)
        shown, clicked = np.asarray(impressions, dtype=np.float64), np.asarray(clicks, dtype=np.float64)
        n_pairs = int(pairs.max(initial=-1)) + 1
        queries = np.zeros(n_pairs, dtype=np.int64) if pair_query is None else np.asarray(pair_query, dtype=np.int64)
        k = int(positions.max(initial=0)) if n_positions is None else n_positions
        _check(pairs, positions, shown, clicked, len(queries), k)
        kept = shown > 0
        unique, totals = _added(pairs[kept] * (k + 1) + positions[kept], n_pairs * (k + 1), shown[kept], clicked[kept])
        return cls(
            pair=unique // (k + 1),
            position=(unique % (k + 1)).astype(np.int32),
            impressions=totals[0],
            clicks=totals[1],
            pair_query=queries,
            n_positions=k,
        )

    @property
    def n_cells(self) -> int:
        """C, how many cells have impressions."""
        return len(self.pair)

    @property
    def n_pairs(self) -> int:
        """P, how many pairs the table counts, those without a cell included."""
        return len(self.pair_query)

    @property
    def n_queries(self) -> int:
        """Q, how many queries there are."""
        if self.queries is not None:
            return self.queries.height
        return int(self.pair_query.max(initial=-1)) + 1

    @property
    def index(self) -> Int64[IntArray, " cells"]:
        """The position from 0, as an array index, shape [C]."""
        return self.position.astype(np.int64) - 1

    def matrix(self, values: Float64[FloatArray, " cells"]) -> csr_array:
        """Values of the cells as a sparse matrix, shape [P, K]; nothing is copied but the row pointers."""
        starts = np.searchsorted(self.pair, np.arange(self.n_pairs + 1))
        return csr_array((values, self.position - np.int32(1), starts), shape=(self.n_pairs, self.n_positions))

    def by_pair(self, values: Float64[FloatArray, " cells"]) -> Float64[FloatArray, " pairs"]:
        """Sums of the cells' values over each pair, shape [P]."""
        return sums(self.pair, values, self.n_pairs)

    def by_position(self, values: Float64[FloatArray, " cells"]) -> Float64[FloatArray, " positions"]:
        """Sums of the cells' values over each position, shape [K]."""
        return sums(self.index, values, self.n_positions)

    def sessions(self) -> Float64[FloatArray, " queries"]:
        """Sessions of each query, shape [Q].

        Where the log does not say, the most impressions that the query has at any one position: in a session, a
        position holds one document.
        """
        if self.query_sessions is not None:
            return self.query_sessions
        cell = self.pair_query[self.pair] * self.n_positions + self.index
        if self.n_queries * self.n_positions <= 20 * max(self.n_cells, 1):
            counts = np.bincount(cell, self.impressions, self.n_queries * self.n_positions)
            most: FloatArray = counts.reshape(self.n_queries, self.n_positions).max(axis=1, initial=0.0)
            return most
        unique, where = np.unique(cell, return_inverse=True)
        most = np.zeros(self.n_queries)
        np.maximum.at(most, unique // self.n_positions, np.bincount(where, self.impressions))
        return most

    def keep_cells(self, kept: Bool[BoolArray, " cells"]) -> CellTable:
        """The table with only some of the cells; pairs and queries keep their indices."""
        return replace(
            self,
            pair=self.pair[kept],
            position=self.position[kept],
            impressions=self.impressions[kept],
            clicks=self.clicks[kept],
        )

    def rekey(self, key: Int64[IntArray, " pairs"]) -> CellTable:
        """Merges pairs into coarser ones, such as equal feature vectors.

        Args:
            key: new pair of each pair, from 0, shape [P].

        Returns:
            A table whose pairs are the keys; ``members`` says which queries hold which.
        """
        n_keys = int(key.max(initial=-1)) + 1
        queries, pairs = self.membership()
        together = np.unique(queries * max(n_keys, 1) + key[pairs])
        members = (together // max(n_keys, 1), together % max(n_keys, 1))
        first = np.zeros(n_keys, dtype=np.int64)
        first[members[1][::-1]] = members[0][::-1]
        merged = CellTable.from_arrays(
            key[self.pair],
            self.position,
            self.impressions,
            self.clicks,
            pair_query=first,
            n_positions=self.n_positions,
        )
        return replace(
            merged,
            members=members,
            query_sessions=self.query_sessions,
            queries=self.queries,
            factors=self.factors,
        )

    def membership(self) -> tuple[Int64[IntArray, " memberships"], Int64[IntArray, " memberships"]]:
        """Query index and pair index of every (query, pair), each of shape [M]."""
        return self.members or (self.pair_query, np.arange(self.n_pairs))

    def chunks(self, pairs_each: int = 1 << 18) -> Iterator[CellTable]:
        """The table in pieces of consecutive pairs, re-indexed from 0; queries keep their indices."""
        for start in range(0, self.n_pairs, pairs_each):
            stop = min(start + pairs_each, self.n_pairs)
            a, b = np.searchsorted(self.pair, (start, stop))
            yield CellTable(
                pair=self.pair[a:b] - start,
                position=self.position[a:b],
                impressions=self.impressions[a:b],
                clicks=self.clicks[a:b],
                pair_query=self.pair_query[start:stop],
                n_positions=self.n_positions,
            )

    def labels(self) -> list[str]:
        """What each position or bias factor is called, K names."""
        if self.factors is None:
            return [str(k) for k in range(1, self.n_positions + 1)]
        return [" · ".join(str(value) for value in row) for row in self.factors.iter_rows()]


def run_ids(ordered: UInt64[NDArray[np.uint64], " rows"]) -> Int64[IntArray, " rows"]:
    """Numbers the runs of equal values from 0, shape as given."""
    if len(ordered) == 0:
        return np.zeros(0, dtype=np.int64)
    return np.concatenate(([0], np.cumsum(ordered[1:] != ordered[:-1], dtype=np.int64)))


def group_rows(rows: Float64[FloatArray, "rows columns"]) -> Int64[IntArray, " rows"]:
    """Numbers the distinct rows of a matrix from 0 by a 64-bit hash, shape [P]; -0 and 0 are the same."""
    hashed = pl.from_numpy(rows + 0.0).hash_rows(seed=0).to_numpy()
    _, where = np.unique(hashed, return_inverse=True)
    return np.asarray(where, dtype=np.int64)


def _added(cell: IntArray, size: int, *values: FloatArray) -> tuple[IntArray, list[FloatArray]]:
    """The distinct cells, ascending, and the sums of each array over them."""
    if size <= 8 * len(cell):
        # Counting into a dense grid spares a sort.
        found = np.flatnonzero(np.bincount(cell, minlength=size))
        return found, [sums(cell, value, size)[found] for value in values]
    unique, where = np.unique(cell, return_inverse=True)
    return unique, [sums(where, value, len(unique)) for value in values]


def sums(
    index: Int64[IntArray, " values"], values: Float64[FloatArray, " values"], size: int
) -> Float64[FloatArray, " {size}"]:
    """Sums of values by index, shape [size]."""
    return np.bincount(index, values, size).astype(np.float64, copy=False)


def _check(
    pair: IntArray,
    position: IntArray,
    impressions: FloatArray,
    clicks: FloatArray,
    n_pairs: int,
    n_positions: int,
) -> None:
    if not len(pair) == len(position) == len(impressions) == len(clicks):
        raise UserError("cells: pair, position, impressions and clicks differ in length; give one of each a row")
    if len(pair) and (pair.min() < 0 or pair.max() >= n_pairs):
        raise UserError(f"cells: pair indices run from 0 to {n_pairs - 1}; found {pair.min()} to {pair.max()}")
    if len(position) and (position.min() < 1 or position.max() > n_positions):
        raise UserError(f"cells: positions run from 1 to {n_positions}; found {position.min()} to {position.max()}")
    # Expectations are sums of products, whose last digits may exceed the impressions.
    wrong = ~((impressions >= 0) & (clicks >= 0) & (clicks <= impressions * (1 + 1e-12)))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"cells: row {row} has {clicks[row]:g} clicks of {impressions[row]:g} impressions; "
            "clicks lie between 0 and the impressions"
        )

"""The group-by behind the cells: Polars streaming over ranges of hashed keys, so that parts need no merging.

A part is a range of the hash of the query, so its rows hold whole queries, and parts put one after the other are sorted
already. Two hashes of 64 bits name a pair; :func:`collision_probability` says how likely a confusion is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from ir_shared.console import UserError

from twotower_ident.cells import CellTable, run_ids

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from twotower_ident.log_source import LogColumns

__all__ = [
    "MAX_FACTORS",
    "Labels",
    "Weighting",
    "aggregate",
    "collision_probability",
    "doc_key",
    "merged_position",
    "query_key",
    "session_counts",
]

MAX_FACTORS = 1000
"""More positions or bias factors than this must be merged: the audit is dense in them."""

Labels = Literal["none", "queries", "pairs"]
Weighting = Literal["impression", "session"]


def query_key() -> pl.Expr:
    """The hashed query, a column of unsigned 64-bit numbers."""
    import polars as pl

    return pl.col("qid").hash(1)


def doc_key(keys: str, columns: LogColumns, available: list[str]) -> pl.Expr:
    """The hashed part of the pair's key that is not the query; see :meth:`ClickLog.cells` for ``keys``.

    Raises:
        UserError: an unknown kind of key, or columns that the log lacks.
    """
    import polars as pl

    if keys in ("pair", "doc"):
        return pl.col("docid").hash(2)
    kind, _, names = keys.partition(":")
    if kind == "exact":
        return _vector(columns.features, names)
    wanted = names.split(",") if names else []
    if kind != "bucket" or not wanted:
        raise UserError(f"keys {keys!r}: expected pair, doc, exact[:DIGITS] or bucket:COLUMN[,COLUMN]")
    for name in wanted:
        if name not in available:
            raise UserError(f"keys {keys!r}: the log has no column {name!r}; the columns are {', '.join(available)}")
    return pl.struct(*(pl.col(name) for name in wanted)).hash(2)


def _vector(features: Sequence[str], digits: str) -> pl.Expr:
    """The hashed feature vector, rounded to some decimals where ``digits`` says so."""
    import polars as pl

    if not features:
        raise UserError("log: keys 'exact' need feature columns; name them with --feature-column")
    if not digits:
        return pl.struct(*features).hash(2)
    if not digits.isdecimal():
        raise UserError(f"keys 'exact:{digits}': expected exact:DIGITS, the decimals to round to")
    # Adding zero makes one of the two zeros that rounding leaves.
    return pl.struct(*((pl.col(name).round(int(digits)) + 0.0) for name in features)).hash(2)


def aggregate(
    frame: pl.LazyFrame,
    columns: LogColumns,
    *,
    keys: str,
    partitions: int,
    labels: Labels,
    merge: tuple[int, ...],
    weighting: Weighting,
    query_sessions: NDArray[np.float64] | None,
) -> CellTable:
    """Aggregates a canonical frame to cells; the arguments are those of :meth:`ClickLog.cells`."""
    import polars as pl

    if weighting == "session" and keys != "pair":
        raise UserError(f"weighting by session goes with keys 'pair', not {keys!r}; use CellTable.rekey afterwards")
    key = doc_key(keys, columns, frame.collect_schema().names())
    part_key = query_key() if keys == "pair" else key
    own = ["q", "d"] if keys == "pair" else ["d"]
    found: dict[str, list[pl.DataFrame]] = {"cells": [], "members": [], "pairs": []}
    for part in range(partitions):
        rows = _rows(_part(frame, part_key, part, partitions), columns, key, merge, weighting)
        by = [*own, "position", *columns.bias]
        cells = rows.group_by(by).agg(pl.col("n", "c").sum()).filter(pl.col("n") > 0)
        found["cells"].append(cells.collect(engine="streaming").sort(by))
        if keys != "pair":
            found["members"].append(rows.select("q", "d").unique().collect(engine="streaming"))
        if labels == "pairs":
            named = rows.group_by(own).agg(pl.col("qid", "docid").min())
            found["pairs"].append(named.collect(engine="streaming").sort(own).drop(own))
    queries = _queries(frame) if labels != "none" else None
    members, named_pairs = (pl.concat(found[name]) if found[name] else None for name in ("members", "pairs"))
    return _table(pl.concat(found["cells"]), members, named_pairs, queries, columns, merge, query_sessions)


def session_counts(frame: pl.LazyFrame, partitions: int) -> NDArray[np.float64]:
    """Distinct sessions of each query, in the order of the cells' query indices."""
    import polars as pl

    counts = [
        _part(frame, query_key(), part, partitions)
        .select(query_key().alias("q"), "session")
        .unique()
        .group_by("q")
        .len()
        .collect(engine="streaming")
        .sort("q")["len"]
        for part in range(partitions)
    ]
    return pl.concat(counts).cast(pl.Float64).to_numpy()


def collision_probability(n_pairs: int) -> float:
    """Probability that two of n pairs share a hash, n² / 2⁶⁵ for 64 bits; an upper bound, as queries differ too."""
    return n_pairs**2 / 2.0**65


def _part(frame: pl.LazyFrame, key: pl.Expr, part: int, partitions: int) -> pl.LazyFrame:
    import polars as pl

    if partitions == 1:
        return frame
    step = -(-(2**64) // partitions)
    return frame.filter(key // pl.lit(step, dtype=pl.UInt64) == part)


def _rows(
    frame: pl.LazyFrame, columns: LogColumns, key: pl.Expr, merge: tuple[int, ...], weighting: Weighting
) -> pl.LazyFrame:
    import polars as pl

    names = frame.collect_schema().names()
    shown = pl.col("impressions").cast(pl.Float64) if "impressions" in names else pl.lit(1.0)
    clicked = pl.col("click").cast(pl.Float64)
    if weighting == "session":
        if "session" not in names:
            raise UserError("log: weighting by session needs a session column; name it with --column session=NAME")
        each = 1.0 / pl.len().over("session", "qid")
        shown, clicked = shown * each, clicked * each
    return frame.select(
        query_key().alias("q"),
        key.alias("d"),
        merged_position(merge).alias("position"),
        shown.alias("n"),
        clicked.alias("c"),
        "qid",
        "docid",
        *(pl.col(name).cast(pl.String) for name in columns.bias),
    )


def merged_position(merge: tuple[int, ...]) -> pl.Expr:
    """The position, or the number of its group from 1 where positions are merged."""
    import polars as pl

    position = pl.col("position")
    if merge:
        position = pl.sum_horizontal((position >= first).cast(pl.Int32) for first in merge)
    return position.cast(pl.Int32)


def _queries(frame: pl.LazyFrame) -> pl.DataFrame:
    import polars as pl

    named = frame.group_by(query_key().alias("q")).agg(pl.col("qid").min())
    return named.collect(engine="streaming").sort("q").select("qid")


def _table(
    cells: pl.DataFrame,
    members: pl.DataFrame | None,
    pairs: pl.DataFrame | None,
    queries: pl.DataFrame | None,
    columns: LogColumns,
    merge: tuple[int, ...],
    query_sessions: NDArray[np.float64] | None,
) -> CellTable:
    position, n_positions, factors = _factors(cells, columns.bias, merge)
    if members is None:
        pair, pair_query = _pairs_in_queries(cells["q"].to_numpy(), cells["d"].to_numpy())
        membership = None
    else:
        pair, pair_query, membership = _pairs_across_queries(cells["d"].to_numpy(), members)
    return CellTable(
        pair=pair,
        position=position,
        impressions=cells["n"].to_numpy(),
        clicks=cells["c"].to_numpy(),
        pair_query=pair_query,
        n_positions=n_positions,
        query_sessions=query_sessions,
        pairs=pairs,
        queries=queries,
        factors=factors,
        members=membership,
    )


def _pairs_in_queries(
    query: NDArray[np.uint64], doc: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair of each cell and query of each pair, from cells sorted by (query, document)."""
    query_of_cell = run_ids(query)
    starts = np.concatenate(([True], (query[1:] != query[:-1]) | (doc[1:] != doc[:-1])))
    return np.cumsum(starts, dtype=np.int64) - 1, query_of_cell[starts]


def _pairs_across_queries(
    key: NDArray[np.uint64], members: pl.DataFrame
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pair of each cell, first query of each pair, and who belongs to whom, from cells sorted by key."""
    pair = run_ids(key)
    _, query = np.unique(members["q"].to_numpy(), return_inverse=True)
    own = np.searchsorted(np.unique(key), members["d"].to_numpy())
    order = np.lexsort((own, query))
    membership = (query[order].astype(np.int64), own[order].astype(np.int64))
    first = np.zeros(int(pair[-1]) + 1, dtype=np.int64)
    first[membership[1][::-1]] = membership[0][::-1]
    return pair, first, membership


def _factors(
    cells: pl.DataFrame, bias: Sequence[str], merge: tuple[int, ...]
) -> tuple[NDArray[np.int32], int, pl.DataFrame | None]:
    """The factor of each cell from 1, how many there are, and what they are called; positions name themselves."""
    import polars as pl

    highest = int(cells["position"].max())  # type: ignore[arg-type]  # integers, at least one
    if not bias:
        _check_factors(highest)
        named = pl.DataFrame({"position": _merged_names(merge)}) if merge else None
        return cells["position"].to_numpy(), len(merge) or highest, named
    distinct = cells.select("position", *bias).unique().sort("position", *bias)
    _check_factors(distinct.height)
    index = distinct.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).alias("factor"))
    joined = cells.select("position", *bias).join(
        index, on=["position", *bias], how="left", nulls_equal=True, maintain_order="left"
    )
    if merge:
        names = dict(enumerate(_merged_names(merge), start=1))
        distinct = distinct.with_columns(pl.col("position").replace_strict(names, return_dtype=pl.String))
    return joined["factor"].to_numpy(), distinct.height, distinct


def _merged_names(merge: tuple[int, ...]) -> list[str]:
    ends = [*(first - 1 for first in merge[1:]), None]
    return [
        str(first) if first == last else f"{first}+" if last is None else f"{first}-{last}"
        for first, last in zip(merge, ends, strict=True)
    ]


def _check_factors(count: int) -> None:
    if count > MAX_FACTORS:
        raise UserError(
            f"log: {count} positions or bias factors; merge them to at most {MAX_FACTORS}, as --merge "
            "1,2,3,4,5,6,11,21,51 does; check-model and profile merge as the model does"
        )

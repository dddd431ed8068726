"""Features of the pairs, in the order of the cells: read from the log or from tables beside it, and checked."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from ir_shared.console import DataWarning, UserError
from jaxtyping import Float64, Int64

from twotower_ident.aggregate import doc_key, query_key
from twotower_ident.cells import CellTable, FloatArray, IntArray, group_rows
from twotower_ident.click_log import ClickLog
from twotower_ident.log_source import Source, feature_names, open_source, reading

__all__ = ["PairFeatures", "feature_buckets", "feature_key", "log_features", "position_leaks", "table_features"]

SENTINEL = 1e300
"""Istella writes a missing value as the largest double; anything this large is one."""

_LEAK_QUERIES, _LEAK_DOCUMENTS = 500, 50


@dataclass(frozen=True, eq=False)
class PairFeatures:
    """Features of each pair.

    Attributes:
        values: shape [P, F], finite.
        names: F names.
        constant: features that were dropped because they never vary.
    """

    values: Float64[FloatArray, "pairs features"]
    names: list[str]
    constant: list[str]

    @classmethod
    def checked(
        cls, values: Float64[FloatArray, "pairs features"], names: Sequence[str], *, drop_constant: bool = True
    ) -> PairFeatures:
        """Drops constant features, puts 0 where a value is missing by Istella's sentinel, and refuses NaN.

        Args:
            values: shape [P, F].
            names: F names.
            drop_constant: whether to; a fitted model needs the columns that it was fitted with.

        Raises:
            UserError: NaN or an infinity.
        """
        values = np.asarray(values, dtype=np.float64)
        missing = np.abs(values) > SENTINEL
        missing &= np.isfinite(values)
        if missing.any():
            warnings.warn(f"features: {int(missing.sum())} values of 1.797e308 mean missing; 0 is used", DataWarning, 2)
            values = np.where(missing, 0.0, values)
        wrong = ~np.isfinite(values)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise UserError(f"features: {names[column]} of pair {row} is {values[row, column]}; fill it in or drop it")
        if not drop_constant:
            return cls(values, list(names), [])
        varies = values.max(axis=0, initial=-np.inf) > values.min(axis=0, initial=np.inf)
        constant = [name for name, kept in zip(names, varies, strict=True) if not kept]
        if constant:
            warnings.warn(f"features: dropped as constant: {', '.join(constant[:5])}", DataWarning, 2)
        return cls(values[:, varies], [name for name, kept in zip(names, varies, strict=True) if kept], constant)


def log_features(log: ClickLog, *, drop_constant: bool = True) -> PairFeatures:
    """The feature columns of the log, one row a pair, in the order of ``log.cells()``; a pair's first row counts.

    Args:
        log: the log.
        drop_constant: see :meth:`PairFeatures.checked`.

    Raises:
        UserError: the log was opened without feature columns, or holds NaN.
    """
    names = list(log.columns.features)
    if not names:
        raise UserError("log: no feature columns; name them with --feature-column")
    key = doc_key("pair", log.columns, log.frame.collect_schema().names())
    rows = log.frame.group_by(query_key().alias("q"), key.alias("d")).agg(pl.col(names).first())
    with reading("log"):
        found = rows.collect(engine="streaming").sort("q", "d").drop("q", "d")
    return _matrix(found, drop_constant)


def table_features(
    log: ClickLog, source: Source, columns: Sequence[str] = ("f*",), *, drop_constant: bool = True
) -> PairFeatures:
    """Features from a table with columns ``qid`` and ``docid`` beside the log, in the order of ``log.cells()``.

    Args:
        log: the log.
        source: what :func:`twotower_ident.log_source.open_source` takes.
        columns: names or patterns of the feature columns.
        drop_constant: see :meth:`PairFeatures.checked`.

    Raises:
        UserError: a pair of the log that the table lacks or has twice, missing columns, or NaN.
    """
    own = log.frame.collect_schema()
    pairs = log.frame.select("qid", "docid").unique()
    with reading("features"):
        table = open_source(source)
        schema = table.collect_schema()
        for name in ("qid", "docid"):
            if name not in schema:
                raise UserError(f"features: no column {name!r}; the columns are {', '.join(schema)}")
        names = feature_names(columns, [name for name in schema if name not in ("qid", "docid")])
        # A name that is no number cannot be one of the log's where those are numbers: null, it meets no pair.
        keys = (pl.col(name).cast(own[name], strict=False) for name in ("qid", "docid"))
        joined = pairs.join(table.select(*keys, *names), on=["qid", "docid"], how="left", coalesce=True)
        keyed = joined.with_columns(query_key().alias("q"), pl.col("docid").hash(2).alias("d"))
        found = keyed.collect(engine="streaming").sort("q", "d")
    _check_join(found, names)
    return _matrix(found.select(names), drop_constant)


def _check_join(found: pl.DataFrame, names: Sequence[str]) -> None:
    twice = found.filter(pl.struct("q", "d").is_duplicated())
    if twice.height:
        raise UserError(f"features: query {twice['qid'][0]}, document {twice['docid'][0]} has two rows; keep one")
    absent = found.filter(pl.col(names[0]).is_null())
    if absent.height:
        raise UserError(
            f"features: {absent.height} pairs of the log have none, first query {absent['qid'][0]}, "
            f"document {absent['docid'][0]}; add their rows, or fill them in"
        )


def _matrix(frame: pl.DataFrame, drop_constant: bool) -> PairFeatures:
    columns, names = [], []
    for series in frame.iter_columns():
        kind = series.dtype.inner if isinstance(series.dtype, (pl.List, pl.Array)) else series.dtype
        if not (kind.is_numeric() or kind == pl.Boolean):
            raise UserError(f"features: {series.name} is a column of type {series.dtype}; give numbers")
        if isinstance(series.dtype, (pl.List, pl.Array)):
            lists = series.arr.to_list() if isinstance(series.dtype, pl.Array) else series
            widths = lists.list.len()
            if widths.n_unique() != 1:
                raise UserError(f"features: the lists of {series.name} differ in length; give as many for every pair")
            width = int(widths[0])
            columns.append(lists.explode().cast(pl.Float64).to_numpy().reshape(-1, width))
            names += [f"{series.name}[{i}]" for i in range(width)]
        else:
            columns.append(series.cast(pl.Float64).to_numpy().reshape(-1, 1))
            names.append(series.name)
    return PairFeatures.checked(np.hstack(columns), names, drop_constant=drop_constant)


def feature_key(features: PairFeatures, kind: str, detail: str) -> Int64[IntArray, " pairs"]:
    """A key of each pair by its features, from 0, shape [P].

    Args:
        features: of the pairs.
        kind: ``exact`` for equal vectors, ``bucket`` for one cell of :func:`feature_buckets`.
        detail: of ``exact``, decimals to round to first, or nothing; of ``bucket``, up to three features with commas
            between, or nothing for principal components.

    Raises:
        UserError: decimals or features that are none.
    """
    if kind == "bucket":
        return feature_buckets(features, columns=detail.split(",") if detail else ())
    if detail and not detail.isdecimal():
        raise UserError(f"keys 'exact:{detail}': expected exact:DIGITS, the decimals to round to")
    return group_rows(features.values.round(int(detail)) if detail else features.values)


def feature_buckets(
    features: PairFeatures, *, bins: int = 10, columns: Sequence[str] = ()
) -> Int64[IntArray, " pairs"]:
    """A coarse key of each pair: a grid of quantiles on at most three features, or on three principal components.

    Args:
        features: of the pairs.
        bins: quantiles of each axis.
        columns: up to three features; the first principal components where empty.

    Returns:
        Key of each pair, from 0, shape [P].

    Raises:
        UserError: more than three columns, or an unknown one.
    """
    if len(columns) > 3:
        raise UserError(f"buckets: {len(columns)} columns; a grid takes three at most")
    for name in columns:
        if name not in features.names:
            raise UserError(f"buckets: no feature {name!r} that varies; there are {', '.join(features.names[:20])}")
    axes = features.values[:, [features.names.index(name) for name in columns]] if columns else _components(features)
    grid = np.zeros(axes.shape, dtype=np.int64)
    for j in range(axes.shape[1]):
        edges = np.unique(np.quantile(axes[:, j], np.linspace(0, 1, bins + 1)[1:-1]))
        grid[:, j] = np.searchsorted(edges, axes[:, j], side="right")
    _, key = np.unique(grid, axis=0, return_inverse=True)
    return np.asarray(key, dtype=np.int64).reshape(-1)


def _components(features: PairFeatures) -> FloatArray:
    scaled = (features.values - features.values.mean(axis=0)) / features.values.std(axis=0)
    _, vectors = np.linalg.eigh(scaled.T @ scaled)
    leading: FloatArray = scaled @ vectors[:, ::-1][:, :3]
    return leading


def position_leaks(cells: CellTable, features: PairFeatures, *, threshold: float = 0.99) -> list[tuple[str, float]]:
    """Features that give the position away, such as a production score or a previous rank.

    A tower can trade such a feature for the position effect. The measure is the share of document pairs of a query that
    the feature orders as their mean positions (ties count half), turned so that it is at least one half.

    Args:
        cells: the aggregated log, keys ``pair``.
        features: of its pairs.
        threshold: what counts as giving away.

    Returns:
        Name and share, largest first.
    """
    mean = cells.by_pair(cells.impressions * cells.position) / np.maximum(cells.by_pair(cells.impressions), 1e-300)
    order = np.argsort(cells.pair_query, kind="stable")
    cuts = np.flatnonzero(np.diff(cells.pair_query[order])) + 1
    agreement, compared = np.zeros(len(features.names)), 0
    for members in np.split(order, cuts)[:_LEAK_QUERIES]:
        own = members[:_LEAK_DOCUMENTS]
        first, second = np.triu_indices(len(own), 1)
        ahead = np.sign(mean[own[second]] - mean[own[first]])
        agreement += (ahead[:, None] * np.sign(features.values[own[first]] - features.values[own[second]])).sum(axis=0)
        compared += int(np.count_nonzero(ahead))
    share = 0.5 + np.abs(agreement) / (2 * max(compared, 1))
    return [(features.names[j], float(share[j])) for j in np.argsort(-share, kind="stable") if share[j] >= threshold]

r"""Relative examination probabilities with standard errors, from the expected information of PBM or UBM.

A click in cell (document d, examination row c) has probability p = alpha_d theta_c. In the logarithms of alpha and
theta the expected information of a cell shown N times is w = N p / (1 - p), for every entry of the 2 x 2 block (d, c).
The information matrix is therefore

    [ D    W ]      D = diag(row sums of W),
    [ W^T  E ]      E = diag(column sums of W).

Only theta up to a common factor is identified; with one row c0 as reference, the covariance of log(theta_c / theta_c0)
is the inverse of the Schur complement E - W^T D^-1 W without row and column c0: no matrix larger than the number of
examination rows is inverted, whatever the number of documents.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ir_shared.console import DataWarning, UserError
from jaxtyping import Float64, Int

from clax.aggregation import aggregate
from clax.arrays import FloatArray, IntArray
from clax.batch import Batch
from clax.models import PBM, UBM, ClickModel
from clax.parameters import BrowsingTable, Params, PositionParam, Table, row_probabilities

__all__ = ["Propensities", "components", "propensities", "schur_covariance"]

_Z = 1.959963984540054


@dataclass(frozen=True)
class Propensities:
    """Examination relative to a reference row, by position (PBM) or by position and last click (UBM).

    Attributes:
        positions: [C], the rows that occur, ascending.
        last_clicks: [C], 0 = none; all 0 for PBM.
        ratio: theta / theta of the reference (the first row); NaN where it cannot be compared with it.
        standard_error: of the ratio; 0 for the reference.
        low: lower end of the 95 % interval (on the log scale).
        high: upper end.
        impressions: how often each row was shown.
        clicks: how often it was clicked.
        component: number of the connected component; rows in different components cannot be compared.
        pair_errors: standard error of log alpha by pair [num_pairs + 1], with the reference's theta held fixed;
            infinite for pairs never shown or never expected to be clicked.
    """

    positions: Int[IntArray, " rows"]
    last_clicks: Int[IntArray, " rows"]
    ratio: Float64[FloatArray, " rows"]
    standard_error: Float64[FloatArray, " rows"]
    low: Float64[FloatArray, " rows"]
    high: Float64[FloatArray, " rows"]
    impressions: Float64[FloatArray, " rows"]
    clicks: Float64[FloatArray, " rows"]
    component: Int[IntArray, " rows"]
    pair_errors: Float64[FloatArray, " pairs"]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per row of the table."""
        columns = {name: values.tolist() for name, values in vars(self).items() if name != "pair_errors"}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def to_json(self) -> dict[str, Any]:
        """The table."""
        return {"propensities": self.rows()}


def propensities(model: ClickModel, params: Params, data: Iterable[Batch]) -> Propensities:
    """The propensity table of a fitted PBM or UBM, with errors.

    Args:
        model: with a table of pairs as attraction, and of positions (or browsing states) as examination.
        params: its weights, at or near the maximum of the likelihood.
        data: the log it was fitted on.

    Raises:
        UserError: the model is another, or the log has pairs or positions that it does not know.

    Warns:
        DataWarning: some rows cannot be compared with the reference, since no chain of documents links them.
    """
    if not isinstance(model, (PBM, UBM)) or getattr(model, "bias", None) is not None:
        raise UserError(f"standard errors are for pbm and ubm without bias columns, not for {model.name}")
    attraction, examination = model.attraction, model.examination
    if not isinstance(attraction, Table) or not isinstance(examination, (PositionParam, BrowsingTable)):
        raise UserError("standard errors need a Table of pairs and a table of positions as parameters")
    cells = aggregate(data, model)
    model.check(cells)
    rows = np.asarray(examination.index(cells))[:, 0]
    used, row = np.unique(rows, return_inverse=True)
    pairs, weights, clicked = cells.pair_ids[:, 0], cells.weights[:, 0].astype(float), cells.clicks[:, 0]
    alpha = row_probabilities(attraction, params["attraction"])
    theta = row_probabilities(examination, params["examination"])[used]
    p = np.minimum(alpha[pairs] * theta[row], 1 - 1e-9)
    component = components(pairs, row)
    linked = component == component[0]
    _warn_if_split(component)
    keep = linked[row]
    width = int(linked.sum())
    places = np.cumsum(linked) - 1
    errors = np.full(len(used), np.nan)
    covariance, pair_variance = schur_covariance(
        pairs[keep], places[row[keep]], (weights * p / (1 - p))[keep], attraction.rows, width
    )
    errors[linked] = np.sqrt(np.diag(covariance))
    ratio = np.where(linked, theta / theta[0], np.nan)
    base = examination.max_positions + 1 if isinstance(examination, BrowsingTable) else 1
    return Propensities(
        positions=used // base,
        last_clicks=used % base,
        ratio=ratio,
        standard_error=ratio * errors,
        low=ratio * np.exp(-_Z * errors),
        high=ratio * np.exp(_Z * errors),
        impressions=np.bincount(row, weights, len(used)).astype(float),
        clicks=np.bincount(row, weights * clicked, len(used)).astype(float),
        component=component,
        pair_errors=np.sqrt(pair_variance),
    )


def schur_covariance(
    pairs: Int[IntArray, " cells"],
    rows: Int[IntArray, " cells"],
    information: Float64[FloatArray, " cells"],
    num_pairs: int,
    num_rows: int,
) -> tuple[Float64[FloatArray, "{num_rows} {num_rows}"], Float64[FloatArray, " {num_pairs}"]]:
    """Covariance of the log examination probabilities with row 0 fixed, and variances of the log attractions.

    Args:
        pairs: [N] the cells' pairs, from 0.
        rows: [N] the cells' examination rows, from 0; all must hang together.
        information: [N] the cells' information w.
        num_pairs: how many pairs.
        num_rows: how many rows.

    Returns:
        [num_rows, num_rows] with zeros for row 0, and [num_pairs] (infinite where there is no information).
    """
    from scipy.sparse import coo_array

    w = coo_array((information, (pairs, rows)), shape=(num_pairs, num_rows)).tocsr()
    by_pair = np.asarray(w.sum(1)).ravel()
    inverse = np.divide(1.0, by_pair, out=np.zeros(num_pairs), where=by_pair > 0)
    shares = w.multiply(inverse[:, None]).tocsr()
    complement = np.diag(np.asarray(w.sum(0)).ravel()) - (w.T @ shares).toarray()
    covariance = np.zeros((num_rows, num_rows))
    covariance[1:, 1:] = np.linalg.pinv(complement[1:, 1:], hermitian=True)
    spread = np.asarray(shares.multiply(shares @ covariance).sum(1)).ravel()
    return covariance, np.where(by_pair > 0, inverse + spread, np.inf)


def components(pairs: Int[IntArray, " cells"], rows: Int[IntArray, " cells"]) -> Int[IntArray, " rows"]:
    """Connected components of the rows, two rows being linked if one pair was shown in both.

    Args:
        pairs: [N], of each cell.
        rows: [N], of each cell, 0..C - 1, each occurring.

    Returns:
        [C], numbered from 0 in the order of the rows.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, pair = np.unique(pairs, return_inverse=True)
    count = int(rows.max()) + 1
    size = count + int(pair.max()) + 1
    graph = coo_array((np.ones(len(rows)), (rows, count + pair)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    _, first, numbers = np.unique(labels[:count], return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[numbers], np.int64)


def _warn_if_split(component: Int[IntArray, " rows"]) -> None:
    parts = int(component.max()) + 1
    if parts > 1:
        warnings.warn(
            f"examination falls into {parts} components that no document links, so their propensities cannot be "
            "compared; show some documents at several positions",
            DataWarning,
            stacklevel=3,
        )

"""Where a fitted model is wrong: residuals by position and relevance or placement, and calibration.

What hurts is a residual that goes with placement: then the policy decides how large the bias is. The test of that is in
:mod:`twotower_ident.weighting_test`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from ir_shared.console import UserError
from jaxtyping import Float64

from twotower_ident.cells import CellTable, FloatArray, sums
from twotower_ident.jsonable import plain

__all__ = ["Calibration", "ResidualMap", "calibration", "residual_map", "residual_placement_correlation"]


@dataclass(frozen=True, eq=False)
class ResidualMap:
    """Mean residuals by position and decile.

    Attributes:
        by: what the deciles are of, ``relevance`` or ``propensity``.
        edges: inner limits of the deciles, ascending; equal limits are merged.
        mean: observed less predicted click rate, NaN without impressions, shape [K, deciles].
        z: residual sum over its standard deviation under the model, shape [K, deciles].
        impressions: shape [K, deciles].
        labels: what each position is called.
    """

    by: str
    edges: Float64[FloatArray, " edges"]
    mean: Float64[FloatArray, "positions bins"]
    z: Float64[FloatArray, "positions bins"]
    impressions: Float64[FloatArray, "positions bins"]
    labels: list[str]

    @property
    def frame(self) -> pl.DataFrame:
        """One row a position and decile: position, decile, mean residual, z, impressions."""
        k, d = self.mean.shape
        return pl.DataFrame(
            {
                "position": np.repeat(self.labels, d),
                self.by + "_decile": np.tile(np.arange(1, d + 1), k),
                "mean_residual": self.mean.reshape(-1),
                "z": self.z.reshape(-1),
                "impressions": self.impressions.reshape(-1),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """The map."""
        return {"by": self.by, "edges": plain(self.edges), "cells": plain(self.frame.to_dicts())}


def residual_map(
    cells: CellTable,
    probabilities: FloatArray,
    values: FloatArray,
    *,
    by: Literal["relevance", "propensity"] = "relevance",
    bins: int = 10,
) -> ResidualMap:
    """Compares clicks with predictions, position by decile of a value of the cell.

    Args:
        cells: the aggregated log.
        probabilities: predicted click rate of each cell, shape [C].
        values: predicted relevance (logit) or placement propensity of each cell, shape [C].
        by: which of the two.
        bins: how many groups of equal impressions.

    Raises:
        UserError: shapes that do not fit, or predictions outside [0, 1].
    """
    _check(cells, probabilities)
    order = np.argsort(values, kind="stable")
    share = np.cumsum(cells.impressions[order]) / cells.impressions.sum()
    limits = values[order][np.searchsorted(share, np.linspace(0, 1, bins + 1)[1:-1])]
    edges = np.unique(limits[np.isfinite(limits)])
    decile = np.searchsorted(edges, values, side="left")
    n_bins = len(edges) + 1
    where, size = cells.index * n_bins + decile, cells.n_positions * n_bins
    expected = cells.impressions * probabilities
    residual = sums(where, cells.clicks - expected, size)
    variance = sums(where, expected * (1 - probabilities), size)
    shown = sums(where, cells.impressions, size)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, z = residual / shown, residual / np.sqrt(variance)
    shape = (cells.n_positions, n_bins)
    return ResidualMap(by, edges, mean.reshape(shape), z.reshape(shape), shown.reshape(shape), cells.labels())


def residual_placement_correlation(
    cells: CellTable, probabilities: FloatArray, propensities: FloatArray
) -> Float64[FloatArray, " positions"]:
    """Correlation of residual and placement propensity over the impressions of each position, shape [K].

    Away from zero where the model's errors go with placement, which is what makes a policy's bias; NaN where either
    does not vary.

    Args:
        cells: the aggregated log.
        probabilities: predicted click rate of each cell, shape [C].
        propensities: π̂ of each cell, shape [C].
    """
    _check(cells, probabilities)
    n = cells.impressions
    residual = cells.clicks / n - probabilities
    total = np.maximum(cells.by_position(n), np.finfo(float).tiny)
    centred = [
        value - (cells.by_position(n * value) / total)[cells.index] for value in (residual, propensities.astype(float))
    ]
    both = cells.by_position(n * centred[0] * centred[1])
    spread = [cells.by_position(n * value**2) / total for value in centred]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation: FloatArray = np.where(
            np.minimum(*spread) > 1e-18, both / total / np.sqrt(spread[0] * spread[1]), np.nan
        )
    return correlation


@dataclass(frozen=True, eq=False)
class Calibration:
    """Predicted and observed click rates.

    Attributes:
        predicted: mean prediction of each bin, shape [B].
        observed: click rate of each bin, shape [B].
        impressions: shape [B].
        error: expected calibration error, the mean absolute difference over impressions.
    """

    predicted: Float64[FloatArray, " bins"]
    observed: Float64[FloatArray, " bins"]
    impressions: Float64[FloatArray, " bins"]
    error: float


def calibration(cells: CellTable, probabilities: FloatArray, *, bins: int = 10) -> Calibration:
    """Groups impressions by predicted click rate, as many in each group, and compares with the clicks.

    Args:
        cells: the aggregated log.
        probabilities: predicted click rate of each cell, shape [C].
        bins: how many groups.
    """
    _check(cells, probabilities)
    order = np.argsort(probabilities, kind="stable")
    n = cells.impressions[order]
    group = np.minimum((bins * (np.cumsum(n) - n / 2) / n.sum()).astype(np.int64), bins - 1)
    shown = sums(group, n, bins)
    predicted = sums(group, n * probabilities[order], bins)
    clicked = sums(group, cells.clicks[order], bins)
    used = shown > 0
    error = float(np.abs(predicted - clicked).sum() / shown.sum())
    return Calibration(predicted[used] / shown[used], clicked[used] / shown[used], shown[used], error)


def _check(cells: CellTable, probabilities: FloatArray) -> None:
    if probabilities.shape != cells.impressions.shape:
        raise UserError(f"predictions: shape {probabilities.shape}; give one for each of the {cells.n_cells} cells")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise UserError("predictions: click rates are between 0 and 1; a pair or position without a fit has none")

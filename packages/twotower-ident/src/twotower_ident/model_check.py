"""Everything that a log says against a fitted model: weight test, residuals by placement, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ir_shared.console import UserError
from ir_shared.run_dir import atomic_write, write_json
from scipy.special import expit

from twotower_ident.cells import CellTable
from twotower_ident.features import PairFeatures
from twotower_ident.jsonable import plain
from twotower_ident.misfit import (
    Calibration,
    ResidualMap,
    calibration,
    residual_map,
    residual_placement_correlation,
)
from twotower_ident.placement import placement_weights
from twotower_ident.weighting_test import WeightTest, weight_test

if TYPE_CHECKING:
    import polars as pl

    from twotower_ident.towers import FittedModel

__all__ = ["ModelCheck", "check_model"]


@dataclass(frozen=True, eq=False)
class ModelCheck:
    """What was found.

    Attributes:
        labels: what each position is called.
        positions: one row a position: impressions, mean residual, correlation of residual and placement.
        by_relevance: residuals by position and predicted relevance.
        by_propensity: residuals by position and placement propensity.
        calibration: predicted and observed click rates.
        weight_test: of a linear tower on the model's features; None for a model without features.
        left_out: cells for which the model has no click rate.
    """

    labels: list[str]
    positions: pl.DataFrame
    by_relevance: ResidualMap
    by_propensity: ResidualMap
    calibration: Calibration
    weight_test: WeightTest | None
    left_out: int

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "positions": plain(self.positions.to_dicts()),
            "residuals": [self.by_relevance, self.by_propensity],
            "calibration": plain(self.calibration),
            "weight_test": self.weight_test,
            "left_out_cells": self.left_out,
        }

    def write(self, out: str | Path, *, plots: bool = True, **extra: object) -> None:
        """Writes ``check.json``, ``positions.csv``, ``residuals-*.csv`` and the plots.

        Args:
            out: folder; made if absent.
            plots: whether to draw; needs ``twotower-ident[plot]``.
            extra: further entries of the JSON, such as the provenance.
        """
        folder = Path(out)
        write_json(folder / "check.json", {**self.to_json(), **extra})
        atomic_write(folder / "positions.csv", self.positions.write_csv())
        for found in (self.by_relevance, self.by_propensity):
            atomic_write(folder / f"residuals-{found.by}.csv", found.frame.write_csv())
        if plots:
            from twotower_ident.plots import residual_plot, weight_test_plot

            for found in (self.by_relevance, self.by_propensity):
                residual_plot(found, folder / f"residuals-{found.by}")
            if self.weight_test is not None:
                weight_test_plot(self.weight_test, self.labels, folder / "weight-test")


def check_model(cells: CellTable, fitted: FittedModel, features: PairFeatures | None = None) -> ModelCheck:
    """Checks a fitted model against a log.

    Args:
        cells: the aggregated log, keys ``pair``.
        fitted: the model.
        features: of the cells' pairs, all columns that the model was fitted with and in their order, as they are in the
            log; None for an embedding tower.

    Raises:
        UserError: features or pairs that do not fit the model, or no cell with a predicted click rate.
    """
    import polars as pl

    relevance = fitted.score(None if features is None else features.values)
    if len(relevance) != cells.n_pairs:
        raise UserError(f"the model scores {len(relevance)} pairs, the log has {cells.n_pairs}; check with its own log")
    if len(fitted.position_bias) < cells.n_positions:
        raise UserError(f"the model has {len(fitted.position_bias)} positions, the log has {cells.n_positions}")
    with np.errstate(invalid="ignore"):
        logits = fitted.click_logits(cells, relevance)
    known = np.isfinite(logits)
    if not known.any():
        raise UserError("the model predicts a click rate for no cell of the log")
    weights = placement_weights(cells)
    shown, p, propensity = cells.keep_cells(known), expit(logits[known]), weights.propensity[known]
    n = shown.by_position(shown.impressions)
    with np.errstate(invalid="ignore"):
        mean = shown.by_position(shown.clicks - shown.impressions * p) / n
    return ModelCheck(
        labels=cells.labels(),
        positions=pl.DataFrame(
            {
                "position": cells.labels(),
                "impressions": n,
                "mean_residual": mean,
                "placement_correlation": residual_placement_correlation(shown, p, propensity),
            }
        ),
        by_relevance=residual_map(shown, p, relevance[shown.pair]),
        by_propensity=residual_map(shown, p, propensity, by="propensity"),
        calibration=calibration(shown, p),
        weight_test=None if features is None else weight_test(cells, features, weights.weight),
        left_out=int((~known).sum()),
    )

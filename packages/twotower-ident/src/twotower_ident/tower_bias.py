"""The position curve of a full two-tower fit with one value for each pair, in the form of the other estimators."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from twotower_ident.cells import CellTable
from twotower_ident.conditional_bias import FINITE, PositionBias
from twotower_ident.contrasts import cell_variances, resistances, swap_laplacian
from twotower_ident.exact_fit import fit_exact
from twotower_ident.swap_graph import UNSEEN, weak_components

__all__ = ["tower_position_bias"]


def tower_position_bias(cells: CellTable) -> PositionBias:
    """Fits θ and one γ a pair by maximum likelihood.

    Overstates position effects where pairs have few impressions: twofold with two of them. Standard errors are the
    effective resistances at the fit, and know nothing of that.

    Args:
        cells: the aggregated log.
    """
    fit = fit_exact(cells, "embedding")
    reference = fit.reference - 1
    with np.errstate(invalid="ignore"):
        p = np.nan_to_num(expit(fit.position_bias[cells.index] + fit.relevance[cells.pair]))
    variances = cell_variances(cells, probabilities=p)
    laplacian = swap_laplacian(cells, variances)
    finite = np.isfinite(fit.position_bias)
    joined = weak_components(np.where(np.outer(finite, finite), -laplacian, 0.0), finite)
    group = np.where(finite, joined, UNSEEN)
    resistance = resistances(laplacian, group).resistance[:, reference]
    se = np.sqrt(np.where(np.isfinite(resistance), resistance, np.nan))
    return PositionBias(
        estimator="two-tower",
        scale="logit",
        labels=cells.labels(),
        bias=fit.position_bias,
        se=se,
        low=fit.position_bias - 1.959963984540054 * se,
        high=fit.position_bias + 1.959963984540054 * se,
        impressions=cells.by_position(cells.impressions),
        reason=[fit.reasons.get(k + 1, FINITE) for k in range(cells.n_positions)],
        reference=reference,
        covariance=np.full((cells.n_positions, cells.n_positions), np.nan),
    )

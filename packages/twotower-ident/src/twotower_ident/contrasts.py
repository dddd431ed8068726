"""How well the log determines each position contrast: the swap Laplacian and its effective resistances.

Eliminating the relevance of every pair from the Fisher information of an additive model leaves

    L = Σ_i [ diag(w_i) − w_i w_iᵀ / W_i ],   w_ik = n_ik v_ik,   W_i = Σ_k w_ik,

a graph Laplacian over positions. The asymptotic variance of θ̂_k − θ̂_k' is the effective resistance between k and k'
(equal to the standard error of the full dummy-variable regression, without fitting it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from twotower_ident.cells import CellTable, FloatArray, IntArray
from twotower_ident.swap_graph import UNSEEN

__all__ = [
    "Contrasts",
    "Link",
    "Weights",
    "cell_variances",
    "exploration_resistance",
    "resistances",
    "swap_laplacian",
]

Link = Literal["logit", "log"]
Weights = Literal["unit", "plugin"]

_CERTAIN = 1 - 1e-6
"""The log link's information grows without bound as p → 1; a click-through rate is not taken to be above this."""


def cell_variances(
    cells: CellTable,
    weights: Weights = "plugin",
    link: Link = "logit",
    probabilities: Float64[FloatArray, " cells"] | None = None,
) -> Float64[FloatArray, " cells"]:
    """The information v of one impression in each cell, shape [C].

    Args:
        cells: the aggregated log.
        weights: ``unit`` takes v = 1, a matter of design alone; ``plugin`` takes p̂(1 − p̂), for the log link
            p̂ / (1 − p̂).
        link: ``logit`` for the additive two-tower model, ``log`` for products of probabilities (p = e_k r_i).
        probabilities: p̂ of each cell from a fit, shape [C]; the click-through rate of the position where not given,
            which hides how pairs differ: standard errors then come out somewhat small (by a tenth on simulated logs).
    """
    if weights == "unit":
        return np.ones(cells.n_cells)
    if probabilities is None:
        # Half a click and half a non-click keep a position without clicks from looking certain.
        shown, clicked = cells.by_position(cells.impressions), cells.by_position(cells.clicks)
        probabilities = ((clicked + 0.5) / (shown + 1))[cells.index]
    p = np.minimum(probabilities, _CERTAIN)
    variances: FloatArray = p * (1 - p) if link == "logit" else p / (1 - p)
    return variances


def swap_laplacian(
    cells: CellTable, variances: Float64[FloatArray, " cells"]
) -> Float64[FloatArray, "positions positions"]:
    """The profiled information L of the positions, shape [K, K].

    Args:
        cells: the aggregated log.
        variances: information of one impression in each cell, shape [C].
    """
    information = cells.impressions * variances
    laplacian = np.zeros((cells.n_positions, cells.n_positions))
    start = 0
    for part in cells.chunks():
        own = information[start : start + part.n_cells]
        start += part.n_cells
        total = np.maximum(part.by_pair(own), np.finfo(float).tiny)
        half = part.matrix(own / np.sqrt(total)[part.pair])
        laplacian -= (half.T @ half).toarray()
    # A diagonal made of the other entries keeps the rows summing to zero and small links from cancelling away.
    np.fill_diagonal(laplacian, 0.0)
    np.fill_diagonal(laplacian, -laplacian.sum(axis=1))
    return laplacian


@dataclass(frozen=True, eq=False)
class Contrasts:
    """Precision of the position contrasts.

    Attributes:
        resistance: variance of θ̂_k − θ̂_k', shape [K, K]; infinite across components, NaN for unseen positions.
        inverse: generalised inverse of the Laplacian, grounded at each component's first position, shape [K, K].
        reference: index of the position that θ is reported against: the first seen one.
        connectivity: second-smallest eigenvalue of each component's Laplacian; NaN for one position alone.
    """

    resistance: Float64[FloatArray, "positions positions"]
    inverse: Float64[FloatArray, "positions positions"]
    reference: int
    connectivity: list[float]

    @property
    def standard_errors(self) -> Float64[FloatArray, " positions"]:
        """Standard error of each θ_k − θ_reference, shape [K]."""
        errors: FloatArray = np.sqrt(self.resistance[:, self.reference])
        return errors

    def likelihood_ratio(self, shift: float) -> Float64[FloatArray, " positions"]:
        """Likelihood-ratio statistic 2 Δ log L of moving θ_k − θ_reference by a shift, refitting all else, shape [K].

        To second order ``δ² / R_k``, to be held against χ² with one degree of freedom: the profile that retraining
        would give for embedding towers. 0 where the contrast is not identified.
        """
        with np.errstate(divide="ignore"):
            statistic: FloatArray = shift**2 / self.resistance[:, self.reference]
        return statistic


def resistances(
    laplacian: Float64[FloatArray, "positions positions"], component: Int64[IntArray, " positions"]
) -> Contrasts:
    """Effective resistances, component by component, by Cholesky of the grounded Laplacian.

    No pseudo-inverse is taken: its cut-off may take the null direction for a weak link.

    Args:
        laplacian: shape [K, K].
        component: of each position, -1 where unseen, shape [K].
    """
    k = len(laplacian)
    resistance, inverse = np.full((k, k), np.inf), np.zeros((k, k))
    connectivity = []
    for c in range(int(component.max(initial=UNSEEN)) + 1):
        members = np.flatnonzero(component == c)
        block = laplacian[np.ix_(members, members)]
        grounded = np.zeros_like(block)
        grounded[1:, 1:] = _inverse(block[1:, 1:])
        diagonal = np.diag(grounded)
        inverse[np.ix_(members, members)] = grounded
        found = diagonal[:, None] + diagonal[None, :] - 2 * grounded
        np.fill_diagonal(found, 0.0)
        resistance[np.ix_(members, members)] = np.maximum(found, 0.0)
        connectivity.append(float(np.linalg.eigvalsh(block)[1]) if len(members) > 1 else float("nan"))
    unseen = component == UNSEEN
    resistance[unseen, :] = resistance[:, unseen] = np.nan
    reference = int(np.flatnonzero(~unseen)[0]) if not unseen.all() else 0
    return Contrasts(resistance, inverse, reference, connectivity)


def _inverse(grounded: FloatArray) -> FloatArray:
    """Inverse of a positive definite matrix, scaled to a unit diagonal first: traffic by rank spans many magnitudes."""
    from scipy.linalg import cho_factor, cho_solve

    if len(grounded) == 0:
        return grounded
    scale = 1 / np.sqrt(np.diag(grounded))
    factor = cho_factor(grounded * scale[:, None] * scale[None, :], lower=True)
    solved: FloatArray = cho_solve(factor, np.eye(len(grounded))) * scale[:, None] * scale[None, :]
    return (solved + solved.T) / 2


def exploration_resistance(sessions: float, temperature: float, variance: float = 1.0) -> float:
    """Variance of any contrast under ε-greedy logging, ``2 / (N v τ (2 − τ))``.

    Exact for equal v, one page of n documents for each of N sessions, a uniform shuffle with probability τ and each
    document's own rank otherwise, own ranks evenly spread. Full randomisation is τ = 1, so 5 % exploration has
    the efficiency τ (2 − τ) = 9.75 %.

    Args:
        sessions: N, over all queries.
        temperature: τ, above 0 and at most 1.
        variance: v of one impression.
    """
    return 2 / (sessions * variance * temperature * (2 - temperature))

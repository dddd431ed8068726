"""Newton's method for one parameter a pair: pairs are eliminated, and a K × K system in the positions remains.

Before anything is fitted, positions are split into groups whose contrasts have finite estimates: the strongly
connected parts of the graph in which k leads to k' if some pair was clicked at k and not clicked at k'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float64, Int64

from twotower_ident.cells import CellTable, FloatArray, IntArray
from twotower_ident.swap_graph import UNSEEN, discordance, reachable, strong_components

__all__ = ["EmbeddingSolution", "fit_embedding"]

_STEPS = 100
_GRADIENT = 1e-11
_LONGEST_STEP = 2.0


@dataclass(frozen=True, eq=False)
class EmbeddingSolution:
    """What :class:`twotower_ident.exact_fit.ExactFit` says of an embedding tower; the attributes are those."""

    position_bias: Float64[FloatArray, " positions"]
    reference: int
    relevance: Float64[FloatArray, " pairs"]
    reasons: dict[int, str]
    group: Int64[IntArray, " positions"]
    group_bias: Float64[FloatArray, " positions"]
    converged: bool
    iterations: int


def fit_embedding(
    cells: CellTable,
    *,
    ridge: float = 0.0,
    start: tuple[Float64[FloatArray, " positions"], Float64[FloatArray, " pairs"]] | None = None,
) -> EmbeddingSolution:
    """Fits θ and γ in every group of positions.

    Args:
        cells: weighted impressions and clicks.
        ridge: λ of the penalty λ/2 Σ (γ − γ̄)²; with one, all positions that have clicks and non-clicks are one group.
        start: bias within groups [K] and relevance [P] to begin at; values that are no number count as 0.

    Raises:
        UserError: no position has both clicks and non-clicks.
    """
    total, hit = cells.by_position(cells.impressions), cells.by_position(cells.clicks)
    over = discordance(cells)
    if ridge > 0:
        group = np.where((hit > 0) & (hit < total), 0, np.arange(1, len(total) + 1))
        group[total <= 0] = UNSEEN
    else:
        group = strong_components(over, total > 0)
    mixed = (hit > 0) & (hit < total)
    if not mixed.any():
        raise UserError("no position has both clicks and non-clicks; nothing can be fitted")
    reference = int(np.flatnonzero(mixed)[0])
    group_bias = np.where(group >= 0, 0.0, np.nan)
    relevance = np.full(cells.n_pairs, np.nan)
    converged, iterations = True, 0
    for number in np.unique(group[mixed]):
        members = group == number
        fit = _fit_group(cells.keep_cells(members[cells.index]), ridge, start)
        if fit is None:
            continue
        group_bias[members] = fit.theta[members] - fit.theta[np.flatnonzero(members)[0]]
        converged, iterations = converged and fit.converged, max(iterations, fit.iterations)
        if members[reference]:
            relevance = fit.gamma + fit.theta[reference]
    bias, reasons = _contrasts(over, group, group_bias, reference, total, hit, ridge)
    return EmbeddingSolution(bias, reference + 1, relevance, reasons, group, group_bias, converged, iterations)


@dataclass(frozen=True)
class _GroupFit:
    theta: FloatArray
    gamma: FloatArray
    converged: bool
    iterations: int


def _fit_group(
    kept: CellTable,
    ridge: float,
    start: tuple[FloatArray, FloatArray] | None,
) -> _GroupFit | None:
    """Fits the pairs that have clicks and non-clicks here; the others have an infinite γ and do not move θ."""
    n, c = kept.impressions, kept.clicks
    seen, hit = kept.by_pair(n), kept.by_pair(c)
    informative = (seen > 0) if ridge > 0 else (hit > 0) & (hit < seen)
    if not informative.any():
        return None
    inside = informative[kept.pair]
    pairs = np.flatnonzero(informative)
    number = np.zeros(kept.n_pairs, dtype=np.int64)
    number[pairs] = np.arange(len(pairs))
    positions, k = np.unique(kept.index, return_inverse=True)
    newton = _Newton(number[kept.pair[inside]], k[inside], n[inside], c[inside], ridge)
    theta, gamma = newton.begin(None if start is None else (start[0][positions], start[1][pairs]))
    theta, gamma, converged, iterations = newton.run(theta, gamma)
    full_theta = np.full(kept.n_positions, np.nan)
    full_theta[positions] = theta
    full_gamma = np.where(seen > 0, np.where(hit > 0, np.inf, -np.inf), np.nan)
    full_gamma[pairs] = gamma
    return _GroupFit(full_theta, full_gamma, converged, iterations)


class _Newton:
    """Maximises Σ [c s − n softplus(s)] − λ/2 Σ (γ − μ)² over θ, γ and, with a ridge, their mean μ; θ_first = 0."""

    def __init__(
        self,
        pair: IntArray,
        k: IntArray,
        n: FloatArray,
        c: FloatArray,
        ridge: float,
    ) -> None:
        from scipy.sparse import csr_array

        self.n_pairs, self.n_positions = int(pair[-1]) + 1, int(k.max()) + 1
        # Per pair, so that the stopping rule does not depend on the scale of the counts.
        mass = n.sum() / self.n_pairs
        self.pair, self.k, self.n, self.c = pair, k, n / mass, c / mass
        self.ridge = float(ridge / mass)
        starts = np.searchsorted(pair, np.arange(self.n_pairs + 1))
        self._sparse: Any = lambda values: csr_array((values, k, starts), shape=(self.n_pairs, self.n_positions))
        lengths = np.diff(starts).astype(np.float64)
        # A sparse product costs about ten times a dense one for each multiplication.
        self._dense = 10 * float(lengths @ lengths) > self.n_pairs * self.n_positions**2

    def begin(self, start: tuple[FloatArray, FloatArray] | None) -> tuple[FloatArray, FloatArray]:
        if start is not None:
            theta = np.nan_to_num(start[0], nan=0.0, posinf=0.0, neginf=0.0)
            return theta - theta[0], np.nan_to_num(start[1], nan=0.0, posinf=0.0, neginf=0.0)
        seen, hit = np.bincount(self.pair, self.n), np.bincount(self.pair, self.c)
        rate = (hit + 0.05) / (seen + 0.1)
        return np.zeros(self.n_positions), np.log(rate) - np.log1p(-rate)

    def run(self, theta: FloatArray, gamma: FloatArray) -> tuple[FloatArray, FloatArray, bool, int]:
        from scipy.special import expit

        mu = float(gamma.mean())
        value = self._objective(theta, gamma, mu)
        for steps in range(_STEPS):
            p = expit(theta[self.k] + gamma[self.pair])
            residual, w = self.c - self.n * p, self.n * p * (1 - p)
            g_theta = np.bincount(self.k, residual, self.n_positions).astype(np.float64)
            g_gamma = np.bincount(self.pair, residual, self.n_pairs) - self.ridge * (gamma - mu)
            size = max(np.abs(g_theta[1:]).max(initial=0.0) / self.n_pairs, np.abs(g_gamma).max())
            if size < _GRADIENT:
                return theta, gamma, True, steps
            d_theta, d_gamma, d_mu = self._step(w, g_theta, g_gamma, float(self.ridge * (gamma - mu).sum()))
            longest = max(np.abs(d_theta).max(), np.abs(d_gamma).max())
            step = min(1.0, _LONGEST_STEP / longest) if longest > 0 else 1.0
            while step > 1e-9:
                tried = theta + step * d_theta, gamma + step * d_gamma, mu + step * d_mu
                new = self._objective(*tried)
                if new >= value - 1e-14 * abs(value):
                    break
                step /= 2
            else:
                return theta, gamma, size < 1e3 * _GRADIENT, steps
            theta, gamma, mu = tried
            value = new
            if step * longest < 1e-13:
                return theta, gamma, True, steps + 1
        return theta, gamma, False, _STEPS

    def _objective(self, theta: FloatArray, gamma: FloatArray, mu: float) -> float:
        s = theta[self.k] + gamma[self.pair]
        penalty = 0.5 * self.ridge * float(((gamma - mu) ** 2).sum())
        likelihood = float(self.c @ s - self.n @ np.logaddexp(0.0, s))
        return likelihood - penalty

    def _step(
        self, w: FloatArray, g_theta: FloatArray, g_gamma: FloatArray, g_mu: float
    ) -> tuple[FloatArray, FloatArray, float]:
        from scipy.linalg import solve

        total = np.bincount(self.pair, w, self.n_pairs) + self.ridge
        schur = np.diag(np.bincount(self.k, w, self.n_positions)) - self._gram(w / np.sqrt(total)[self.pair])
        right = g_theta - np.bincount(self.k, w * (g_gamma / total)[self.pair], self.n_positions)
        if self.ridge > 0:
            # The mean of γ is one more parameter on the border; it meets every pair with −λ.
            column = self.ridge * np.bincount(self.k, w / total[self.pair], self.n_positions)
            corner = self.ridge * self.n_pairs - self.ridge**2 * (1 / total).sum()
            schur = np.block([[schur, column[:, None]], [column[None, :], np.array([[corner]])]])
            right = np.append(right, g_mu + self.ridge * (g_gamma / total).sum())
        border = np.zeros(len(right))
        if len(right) > 1:
            border[1:] = solve(schur[1:, 1:], right[1:], assume_a="pos")
        d_theta, d_mu = border[: self.n_positions], float(border[-1]) if self.ridge > 0 else 0.0
        met = np.bincount(self.pair, w * d_theta[self.k], self.n_pairs) - self.ridge * d_mu
        return d_theta, (g_gamma - met) / total, d_mu

    def _gram(self, values: FloatArray) -> FloatArray:
        """BᵀB of the cells' values as a matrix B [P, K]."""
        matrix = self._sparse(values)
        if not self._dense:
            gram: FloatArray = (matrix.T @ matrix).toarray()
            return gram
        gram = np.zeros((self.n_positions, self.n_positions))
        rows = max(1, (1 << 22) // self.n_positions)
        for start in range(0, self.n_pairs, rows):
            block = matrix[start : start + rows].toarray()
            gram += block.T @ block
        return gram


def _contrasts(
    over: FloatArray,
    group: IntArray,
    group_bias: FloatArray,
    reference: int,
    total: FloatArray,
    hit: FloatArray,
    ridge: float,
) -> tuple[FloatArray, dict[int, str]]:
    """Bias relative to the reference, [K], and why it is no number where it is none."""
    above, below = reachable(over, reference), reachable(over.T, reference)
    bias, reasons = np.full(len(group), np.nan), {}
    for k in range(len(group)):
        if group[k] == group[reference]:
            bias[k] = group_bias[k] - group_bias[reference]
        elif total[k] <= 0:
            reasons[k + 1] = "never shown"
        elif hit[k] <= 0 and (ridge > 0 or below[k]):
            bias[k], reasons[k + 1] = -np.inf, "no click here"
        elif hit[k] >= total[k] and (ridge > 0 or above[k]):
            bias[k], reasons[k + 1] = np.inf, "every impression clicked"
        elif above[k]:
            bias[k] = np.inf
            reasons[k + 1] = "one-sided: pairs clicked here and not nearer the reference, never the reverse"
        elif below[k]:
            bias[k] = -np.inf
            reasons[k + 1] = "one-sided: pairs clicked nearer the reference and not here, never the reverse"
        else:
            reasons[k + 1] = "not linked to the reference by any pair with clicks and non-clicks"
    return bias, reasons

"""Newton's method for position effects beside a linear relevance tower, the positions eliminated in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from twotower_ident.cells import CellTable, FloatArray

__all__ = ["LINEAR_RIDGE", "LinearSolution", "fit_linear"]

LINEAR_RIDGE: Final = 1e-9
"""Ridge on the standardised weights, beside the mean loss of an impression."""

_STEPS = 60
_GRADIENT = 1e-11
_RANK_TOLERANCE = 1e-10
_ROWS = 1 << 15


@dataclass(frozen=True, eq=False)
class LinearSolution:
    """A fitted linear tower.

    Attributes:
        weights: w, shape [F]; 0 for constant features.
        position: θ, shape [K]; 0 where not fitted.
        rank: dimensions of w that the data determine, out of F less the constant features.
        null_features: for each direction that they do not (at most three), the columns that matter most in it, with
            their part in the direction.
        constant: columns without variation.
        converged: whether the gradient vanished.
        iterations: Newton steps.
    """

    weights: Float64[FloatArray, " features"]
    position: Float64[FloatArray, " positions"]
    rank: int
    null_features: tuple[dict[int, float], ...]
    constant: tuple[int, ...]
    converged: bool
    iterations: int

    def to_json(self) -> dict[str, Any]:
        """Weights, rank and null directions."""
        return {
            "weights": self.weights,
            "rank": self.rank,
            "null_features": self.null_features,
            "constant": self.constant,
        }


def fit_linear(
    cells: CellTable,
    features: Float64[FloatArray, "pairs features"],
    *,
    ridge: float,
    start: LinearSolution | None = None,
) -> LinearSolution:
    """Minimises the mean loss plus ridge/2·‖w‖² over θ and w, w taken on standardised features.

    A step solves (G − Mᵀ D⁻¹ M) Δw = g_w − Mᵀ D⁻¹ g_θ with G = Zᵀ H Z, M the curvature sums by position and D their
    diagonal. H is summed over a pair's positions first, so G costs P·F² and not C·F².

    Args:
        cells: weighted impressions and clicks; every position that occurs has clicks and non-clicks.
        features: shape [P, F].
        ridge: 0 or more.
        start: where to begin.
    """
    problem = _Problem(cells, features, ridge)
    theta, weights = problem.begin(start)
    value = problem.objective(theta, weights)
    converged, steps = False, 0
    while steps < _STEPS:
        gradient_theta, gradient, curvature = problem.derivatives(theta, weights)
        size = max(np.abs(gradient_theta).max(), np.abs(gradient).max(initial=0.0))
        if size < _GRADIENT:
            converged = True
            break
        delta_theta, delta = curvature.solve(gradient_theta, gradient)
        step, (theta, weights, new) = _halve(problem, value, theta, weights, delta_theta, delta)
        steps += 1
        stalled = step == 0.0 or max(np.abs(delta_theta).max(), np.abs(delta).max(initial=0.0)) * step < 1e-13
        value = new
        if stalled:
            # Rounding ends the descent before the gradient's limit when the features are badly conditioned.
            converged = size < 1e3 * _GRADIENT
            break
    return problem.solution(theta, weights, converged, steps)


@dataclass(frozen=True)
class _Curvature:
    diagonal: FloatArray
    cross: FloatArray
    inner: FloatArray
    ridge: float

    @property
    def schur(self) -> FloatArray:
        """Curvature of w with the positions profiled out, without the ridge, shape [F, F]."""
        matrix: FloatArray = self.inner - self.cross.T @ (self.cross / self.diagonal[:, None])
        return matrix

    def solve(self, gradient_theta: FloatArray, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The Newton step that descends."""
        from scipy.linalg import LinAlgError, solve

        matrix = self.schur
        matrix[np.diag_indices_from(matrix)] += self.ridge + 1e-15 * np.trace(matrix)
        right = gradient - self.cross.T @ (gradient_theta / self.diagonal)
        try:
            delta = solve(matrix, right, assume_a="pos") if len(right) else right
        except LinAlgError:
            delta = np.linalg.lstsq(matrix, right, rcond=1e-14)[0]
        return -(gradient_theta - self.cross @ delta) / self.diagonal, -delta


class _Problem:
    """The mean loss on standardised features."""

    def __init__(self, cells: CellTable, features: FloatArray, ridge: float) -> None:
        self.cells, self.ridge = cells, ridge
        total = cells.impressions.sum()
        self.m, self.y = cells.impressions / total, cells.clicks / total
        self.mass = cells.by_position(self.m)
        self.usable = self.mass > 0
        mass = cells.by_pair(self.m)
        self.mean = mass @ features
        # Differences from the mean, not the difference of squares: large features would cancel.
        deviation = np.sqrt(mass @ (features - self.mean) ** 2)
        varies = deviation > 1e-12 * (np.abs(self.mean) + np.abs(features).max(axis=0, initial=0.0))
        self.constant = tuple(int(column) for column in np.flatnonzero(~varies))
        self.scale = np.where(varies, deviation, 1.0)
        self.varies = varies
        self.z = (features[:, varies] - self.mean[varies]) / self.scale[varies]

    def begin(self, start: LinearSolution | None) -> tuple[FloatArray, FloatArray]:
        if start is not None and start.weights.shape == self.scale.shape:
            theta = np.where(self.usable, start.position + self.mean @ start.weights, 0.0)
            return theta, (start.weights * self.scale)[self.varies]
        rate = self.cells.by_position(self.y)[self.usable] / self.mass[self.usable]
        theta = np.zeros(len(self.usable))
        theta[self.usable] = np.log(rate) - np.log1p(-rate)
        return theta, np.zeros(self.z.shape[1])

    def logits(self, theta: FloatArray, weights: FloatArray) -> FloatArray:
        scores: FloatArray = theta[self.cells.index] + (self.z @ weights)[self.cells.pair]
        return scores

    def objective(self, theta: FloatArray, weights: FloatArray) -> float:
        s = self.logits(theta, weights)
        return float(self.m @ np.logaddexp(0.0, s) - self.y @ s + 0.5 * self.ridge * weights @ weights)

    def derivatives(self, theta: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, _Curvature]:
        from scipy.special import expit

        p = expit(self.logits(theta, weights))
        residual, h = self.m * p - self.y, self.m * p * (1 - p)
        by_pair = self.cells.by_pair(h)
        inner = np.zeros((self.z.shape[1],) * 2)
        for start in range(0, len(self.z), _ROWS):
            rows = self.z[start : start + _ROWS]
            inner += (rows * by_pair[start : start + _ROWS, None]).T @ rows
        diagonal = np.where(self.usable, self.cells.by_position(h), 1.0)
        curvature = _Curvature(diagonal, self.cells.matrix(h).T @ self.z, inner, self.ridge)
        gradient = self.z.T @ self.cells.by_pair(residual) + self.ridge * weights
        return self.cells.by_position(residual), gradient, curvature

    def solution(self, theta: FloatArray, weights: FloatArray, converged: bool, steps: int) -> LinearSolution:
        values, directions = np.linalg.eigh(self.derivatives(theta, weights)[2].schur)
        determined = values > _RANK_TOLERANCE * values.max(initial=0.0)
        columns = np.flatnonzero(self.varies)
        full = np.zeros(len(self.scale))
        full[columns] = weights / self.scale[columns]
        null = directions[:, ~determined].T[:3]
        return LinearSolution(
            weights=full,
            position=np.where(self.usable, theta - self.mean @ full, 0.0),
            rank=int(determined.sum()),
            null_features=tuple(
                {int(columns[i]): round(float(direction[i]), 6) for i in np.argsort(-np.abs(direction))[:5]}
                for direction in null
            ),
            constant=self.constant,
            converged=converged,
            iterations=steps,
        )


def _halve(
    problem: _Problem,
    value: float,
    theta: FloatArray,
    weights: FloatArray,
    delta_theta: FloatArray,
    delta: FloatArray,
) -> tuple[float, tuple[FloatArray, FloatArray, float]]:
    """Shortens the step until the objective does not rise, rounding aside."""
    step = 1.0
    while step > 1e-9:
        tried = theta + step * delta_theta, weights + step * delta
        new = problem.objective(*tried)
        if new <= value + 1e-15 * abs(value):
            return step, (*tried, new)
        step /= 2
    return 0.0, (theta, weights, value)

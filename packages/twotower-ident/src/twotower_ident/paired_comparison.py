"""The paired-comparison fit behind the conditional estimator: positions that win and lose clicks against each other.

``θ̂`` solves ``Σ_k' [D_kk' − (D_kk' + D_k'k) σ(θ_k − θ_k')] = 0`` for every k, the score of a Bradley–Terry model
(Bradley and Terry 1952) whose counts are the discordances D.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float64

from twotower_ident.cells import FloatArray

__all__ = ["PairedFit", "fit_paired_comparison", "hessian", "sigmoid_differences"]

_MAX_STEPS = 200
_MAX_STEP = 2.0  # logits: a longer Newton step leaves the region where the quadratic means anything
_TOLERANCE = 1e-12  # of the score, relative to the total discordance


@dataclass(frozen=True, eq=False)
class PairedFit:
    """A fitted paired comparison of one strong component.

    Attributes:
        theta: strength of each position, the first being zero, shape [K].
        steps: Newton steps taken.
    """

    theta: Float64[FloatArray, " positions"]
    steps: int


def sigmoid_differences(theta: Float64[FloatArray, " positions"]) -> Float64[FloatArray, "positions positions"]:
    """``σ(θ_k − θ_k')``, shape [K, K]."""
    from scipy.special import expit

    probability: FloatArray = expit(theta[:, None] - theta[None, :])
    return probability


def hessian(
    found: Float64[FloatArray, "positions positions"], theta: Float64[FloatArray, " positions"]
) -> Float64[FloatArray, "positions positions"]:
    """Negative second derivative of the paired-comparison likelihood: a graph Laplacian, shape [K, K].

    Args:
        found: D, shape [K, K].
        theta: shape [K].
    """
    p = sigmoid_differences(theta)
    edges = (found + found.T) * p * (1 - p)
    np.fill_diagonal(edges, 0.0)
    laplacian: FloatArray = np.diag(edges.sum(axis=1)) - edges
    return laplacian


def fit_paired_comparison(found: Float64[FloatArray, "positions positions"]) -> PairedFit:
    """Fits strengths by Newton's method, grounded at the first position.

    Args:
        found: D, zero on the diagonal and strongly connected, shape [K, K].

    Raises:
        UserError: no convergence, as where D is not strongly connected.
    """
    from scipy.linalg import solve

    k = len(found)
    theta = np.zeros(k)
    both = found + found.T
    wins, scale = found.sum(axis=1), max(float(found.sum()), np.finfo(float).tiny)
    for step in range(_MAX_STEPS):
        score = wins - (both * sigmoid_differences(theta)).sum(axis=1)
        if k == 1 or np.abs(score).max() <= _TOLERANCE * scale:
            return PairedFit(theta, step)
        change = solve(hessian(found, theta)[1:, 1:], score[1:], assume_a="pos")
        theta[1:] += change * min(1.0, _MAX_STEP / max(float(np.abs(change).max()), np.finfo(float).tiny))
        if np.abs(change).max() < 1e-14 * max(1.0, float(np.abs(theta).max())):
            return PairedFit(theta, step + 1)
    raise UserError(
        "position bias: the paired comparison did not converge; some position wins or loses nearly every comparison, "
        "so merge it with its neighbour (--merge)"
    )

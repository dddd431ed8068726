"""Exact maximum-likelihood fits of the additive two-tower model, P(click) = σ(θ_position + γ_pair), by Newton's method.

A curve of position bias is reported relative to its reference position. What the data do not determine is not given a
number: a separated position is ``-inf`` or ``inf``, an unlinked one ``nan``, each with its reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from ir_shared.console import DataWarning, UserError
from jaxtyping import Float64, Int, Int64
from numpy.typing import NDArray

from twotower_ident.cells import CellTable, FloatArray, IntArray
from twotower_ident.embedding_fit import fit_embedding
from twotower_ident.jsonable import plain
from twotower_ident.linear_fit import LINEAR_RIDGE, LinearSolution, fit_linear

__all__ = ["ExactFit", "fit_exact", "list_weights", "mean_nll"]

_EXTREME_LOGIT = 15.0
"""Odds of three million to one: no click log of usual size supports them, so a fit that holds them is running away."""


@dataclass(frozen=True, eq=False)
class ExactFit:
    """A fitted two-tower model.

    Attributes:
        tower: ``embedding`` (one parameter a pair) or ``linear``.
        position_bias: θ_k − θ_reference, shape [K]; ``±inf`` where clicks separate, ``nan`` where undetermined.
        reference: the position whose bias is 0: the first, or the lowest that has a finite bias.
        relevance: relevance logit of each pair as if shown at the reference, shape [P]; ``±inf`` for pairs without
            clicks or without non-clicks, ``nan`` where the pair cannot be compared.
        reasons: why a position's bias is no number, by position.
        group: positions with one number have finite contrasts among themselves, shape [K]; −1 where never shown.
        group_bias: bias relative to the lowest position of the own group, shape [K].
        nll: mean negative log-likelihood of an impression, with the weights that the fit had.
        converged: whether Newton's method ended at a stationary point.
        iterations: Newton steps.
        linear: weights, rank and null directions of a linear tower.
    """

    tower: Literal["embedding", "linear"]
    position_bias: Float64[FloatArray, " positions"]
    reference: int
    relevance: Float64[FloatArray, " pairs"]
    reasons: dict[int, str]
    group: Int64[IntArray, " positions"]
    group_bias: Float64[FloatArray, " positions"]
    nll: float
    converged: bool
    iterations: int
    linear: LinearSolution | None = field(default=None, repr=False)

    def score(self, features: Float64[FloatArray, "documents features"]) -> Float64[FloatArray, " documents"]:
        """Relevance scores of documents, [N, F] to [N]; the bias tower has no part in them.

        Raises:
            UserError: the tower has one parameter a pair and knows no other pair.
        """
        if self.linear is None:
            raise UserError("an embedding tower knows only the pairs it was fitted on; fit a tower on features")
        scores: FloatArray = features @ self.linear.weights
        return scores

    def to_json(self) -> dict[str, Any]:
        """Everything but the relevance of single pairs; infinities are written as text."""
        found: dict[str, Any] = plain(
            {
                "tower": self.tower,
                "reference": self.reference,
                "position_bias": self.position_bias,
                "reasons": self.reasons,
                "group": self.group,
                "group_bias": self.group_bias,
                "nll": self.nll,
                "converged": self.converged,
                "iterations": self.iterations,
                "linear": self.linear,
            }
        )
        return found


def fit_exact(
    cells: CellTable,
    tower: Literal["embedding", "linear"] = "embedding",
    *,
    features: FloatArray | None = None,
    weights: FloatArray | None = None,
    ridge: float | None = None,
    start: ExactFit | None = None,
    names: Sequence[str] | None = None,
) -> ExactFit:
    """Fits a two-tower model to sampled or expected cells.

    The loss is Σ weight·[n softplus(s) − c s] with s = θ + γ; θ is never penalised.

    Args:
        cells: the log; in the population limit, its expectation.
        tower: ``embedding``, or ``linear`` (xᵀw without intercept).
        features: features of each pair, shape [P, F]; for the linear tower.
        weights: factor on the impressions and clicks of each cell, shape [C].
        ridge: linear: ridge/2 · ‖standardised w‖² beside the mean loss, default 1e-9. Embedding: ridge/2 · Σ (γ − γ̄)²
            beside the summed loss, default 0; it makes pairs without clicks finite, and ties unlinked positions
            together by supposing that their pairs are equally relevant.
        start: an earlier fit of the same kind to begin at.
        names: what the features are called, for warnings; the numbers of their columns where not given.

    Raises:
        UserError: no clicks, features that do not fit, or a negative weight or ridge.
    """
    weighted = _weighted(cells, weights)
    if ridge is not None and ridge < 0:
        raise UserError(f"ridge {ridge:g}: give 0 or more")
    if tower == "embedding":
        fit = _embedding(weighted, ridge or 0.0, start)
    else:
        fit = _linear(weighted, _checked(features, cells), LINEAR_RIDGE if ridge is None else ridge, start)
        _warn_constant(fit, names)
    if not fit.converged:
        warnings.warn(f"the {tower} fit has not converged in {fit.iterations} steps", DataWarning, stacklevel=2)
    return fit


def mean_nll(
    impressions: Float64[FloatArray, " cells"],
    clicks: Float64[FloatArray, " cells"],
    logits: Float64[FloatArray, " cells"],
) -> float:
    """Mean of softplus(s) − y s over impressions; cells of infinite logits cost 0 where the clicks agree, else inf."""
    missed = np.where(logits > 0, impressions - clicks, clicks)
    certain = np.isinf(logits)
    with np.errstate(invalid="ignore"):
        costs = impressions * np.logaddexp(0.0, logits) - clicks * logits
    costs = np.where(certain, np.where(missed > 0, np.inf, 0.0), costs)
    return float(np.nansum(costs) / impressions[~np.isnan(logits)].sum())


def list_weights(cells: CellTable, list_lengths: Int[NDArray[np.integer], " pairs"]) -> Float64[FloatArray, " cells"]:
    """The weight of each cell, [C], that makes a loss average over a session's documents first, then over sessions.

    Args:
        cells: the log.
        list_lengths: how many documents a session shows of each pair's query, shape [P].
    """
    weights: FloatArray = 1.0 / list_lengths[cells.pair]
    return weights


def _embedding(cells: CellTable, ridge: float, start: ExactFit | None) -> ExactFit:
    initial = None if start is None else (start.group_bias, start.relevance)
    found = fit_embedding(cells, ridge=ridge, start=initial)
    with np.errstate(invalid="ignore"):
        logits = found.position_bias[cells.index] + found.relevance[cells.pair]
    return ExactFit(
        tower="embedding",
        position_bias=found.position_bias,
        reference=found.reference,
        relevance=found.relevance,
        reasons=found.reasons,
        group=found.group,
        group_bias=found.group_bias,
        nll=mean_nll(cells.impressions, cells.clicks, logits),
        converged=found.converged,
        iterations=found.iterations,
    )


def _linear(cells: CellTable, features: FloatArray, ridge: float, start: ExactFit | None) -> ExactFit:
    total, hit = cells.by_position(cells.impressions), cells.by_position(cells.clicks)
    bias = np.where(total > 0, np.where(hit <= 0, -np.inf, np.where(hit >= total, np.inf, 0.0)), np.nan)
    reasons = {int(k) + 1: _reason(bias[k]) for k in np.flatnonzero(~np.isfinite(bias))}
    usable = np.isfinite(bias)
    if not usable.any():
        raise UserError("no position has both clicks and non-clicks; nothing can be fitted")
    kept = cells.keep_cells(usable[cells.index])
    solution = fit_linear(kept, features, ridge=ridge, start=None if start is None else start.linear)
    reference = int(np.flatnonzero(usable)[0])
    bias[usable] = solution.position[usable] - solution.position[reference]
    relevance = features @ solution.weights + solution.position[reference]
    logits = bias[cells.index] + relevance[cells.pair]
    _warn_separated(logits)
    return ExactFit(
        tower="linear",
        position_bias=bias,
        reference=reference + 1,
        relevance=relevance,
        reasons=reasons,
        group=np.where(usable, 0, np.where(total > 0, np.arange(1, len(bias) + 1), -1)),
        group_bias=np.where(usable, bias, np.where(total > 0, 0.0, np.nan)),
        nll=mean_nll(cells.impressions, cells.clicks, logits),
        converged=solution.converged,
        iterations=solution.iterations,
        linear=solution,
    )


def _reason(bias: float) -> str:
    if np.isnan(bias):
        return "never shown"
    return "no click here" if bias < 0 else "every impression clicked"


def _warn_constant(fit: ExactFit, names: Sequence[str] | None) -> None:
    assert fit.linear is not None
    constant = [str(column) if names is None else names[column] for column in fit.linear.constant]
    if constant:
        few = ", ".join(constant[:10]) + (f" and {len(constant) - 10} more" if len(constant) > 10 else "")
        warnings.warn(
            f"features {few} are constant and were dropped; a constant is part of the bias tower",
            DataWarning,
            stacklevel=3,
        )


def _warn_separated(logits: FloatArray) -> None:
    if np.abs(logits[np.isfinite(logits)]).max() > _EXTREME_LOGIT:
        warnings.warn(
            "the features separate clicks from non-clicks, and only the ridge keeps the fit finite; raise the ridge",
            DataWarning,
            stacklevel=4,
        )


def _weighted(cells: CellTable, weights: FloatArray | None) -> CellTable:
    if not cells.n_cells or cells.clicks.sum() <= 0:
        raise UserError("the log holds no click; nothing can be fitted")
    if weights is None:
        return cells
    if weights.shape != cells.impressions.shape or not (weights >= 0).all():
        raise UserError(f"weights: give each of the {cells.n_cells} cells one that is not negative")
    weighted = replace(cells, impressions=cells.impressions * weights, clicks=cells.clicks * weights)
    return weighted.keep_cells(weights > 0)


def _checked(features: FloatArray | None, cells: CellTable) -> FloatArray:
    if features is None:
        raise UserError("a linear tower needs features; give those of each pair")
    if features.ndim != 2 or len(features) != cells.n_pairs:
        raise UserError(f"features have shape {features.shape}; the log has {cells.n_pairs} pairs, one row for each")
    if not np.isfinite(features).all():
        row, column = np.argwhere(~np.isfinite(features))[0]
        raise UserError(f"features: pair {row} has {features[row, column]} in column {column}; mend or drop it")
    return np.asarray(features, dtype=np.float64)

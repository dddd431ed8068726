"""How firmly a log holds each position of a deep model: shift it, retrain the rest, and compare likelihoods.

For embedding and linear towers no retraining is needed: the likelihood ratio of a shift δ is δ² over the squared
standard error, which the audit gives in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ir_shared.console import UserError

from twotower_ident.exact_fit import mean_nll
from twotower_ident.towers import Deep, FittedModel
from twotower_ident.training import TrainConfig, TrainingData, train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["PROFILE_SHIFTS", "PositionProfile", "profile_position"]

PROFILE_SHIFTS = (-3.0, -1.5, 1.5, 3.0)


@dataclass(frozen=True)
class PositionProfile:
    """The likelihood around one position's contrast to the reference.

    Attributes:
        position: from 1.
        reference: whose bias is held fast as well, which fixes the level.
        bias: the fitted contrast.
        shifts: δ.
        statistic: 2 Δ log-likelihood of each shift against a retraining at δ = 0.
        p_values: of the statistic under χ² with one degree of freedom.
        verdict: ``identified`` if a fall and a rise are both rejected at 0.05/K, ``one-sided`` if one is, else
            ``unidentified``.
    """

    position: int
    reference: int
    bias: float
    shifts: tuple[float, ...]
    statistic: tuple[float, ...]
    p_values: tuple[float, ...]
    verdict: str


def profile_position(
    fitted: FittedModel,
    data: TrainingData,
    position: int,
    *,
    shifts: Sequence[float] = PROFILE_SHIFTS,
    reference: int = 1,
    config: TrainConfig | None = None,
    progress: Callable[[float], None] | None = None,
) -> PositionProfile:
    """Profiles θ_position − θ_reference of a deep model on the log that it was trained on.

    Every retraining starts at the fitted model and takes the same steps, the one at δ = 0 too, so that what further
    training gains does not count for a shift.

    Args:
        fitted: the model.
        data: the log; weights are ignored, because only the plain likelihood has a χ² law.
        position: from 1.
        shifts: δ, at least one below and one above 0.
        reference: from 1.
        config: how to retrain; the learning rate is twice that of training by default.
        progress: is told of every shift that is done.

    Raises:
        UserError: another tower, a position without a bias, or shifts of one sign.
    """
    from scipy.stats import chi2

    _check(fitted, position, reference, shifts)
    config = config or TrainConfig(learning_rate=6e-3, epochs=10)
    plain = replace(data, weights=None)
    level = fitted.level + float(fitted.position_bias[reference - 1])
    centre = fitted.level + float(fitted.position_bias[position - 1])
    costs = []
    for shift in (0.0, *shifts):
        pinned = {reference: level, position: centre + shift}
        costs.append(_cost(train(fitted.model, plain, plain, config, start=fitted, pinned=pinned).finished(), plain))
        if progress is not None:
            progress(shift)
    statistic = tuple(max(0.0, 2 * (cost - costs[0])) for cost in costs[1:])
    p_values = tuple(float(chi2.sf(value, 1)) for value in statistic)
    level_of_test = 0.05 / data.cells.n_positions
    rejected = [shift for shift, p in zip(shifts, p_values, strict=True) if p < level_of_test]
    sides = any(shift < 0 for shift in rejected) + any(shift > 0 for shift in rejected)
    return PositionProfile(
        position=position,
        reference=reference,
        bias=centre - level,
        shifts=tuple(shifts),
        statistic=statistic,
        p_values=p_values,
        verdict=("unidentified", "one-sided", "identified")[sides],
    )


def _cost(fitted: FittedModel, data: TrainingData) -> float:
    """Summed negative log-likelihood in float64: differences of a few units count, out of millions."""
    cells = data.cells
    features: NDArray[Any] | None = data.features
    logits = fitted.click_logits(cells, fitted.score(features))
    return mean_nll(cells.impressions, cells.clicks, logits) * float(cells.impressions.sum())


def _check(fitted: FittedModel, position: int, reference: int, shifts: Sequence[float]) -> None:
    if not isinstance(fitted.model.tower, Deep) or not fitted.model.bias:
        raise UserError("profile retrains deep two-tower models; for embedding and linear towers the audit is exact")
    for number in (position, reference):
        k = len(fitted.position_bias)
        if not 1 <= number <= k or not abs(fitted.position_bias[number - 1]) < float("inf"):
            raise UserError(f"position {number}: the model has no bias for it; it has positions 1 to {k}")
    if position == reference:
        raise UserError(f"position {position} is the reference itself; name another")
    if not min(shifts) < 0 < max(shifts):
        raise UserError("shifts: give at least one below and one above 0")

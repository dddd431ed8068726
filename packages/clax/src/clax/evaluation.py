"""How well a model predicts clicks: log-likelihood and perplexity per position, with counts and standard errors.

All sums are float64 on the host, so that a billion documents add up. Positions are those of the data, not list indices,
and each has its own count. Conditional figures use the probabilities given the clicks above, unconditional ones those
before any click is seen; the two are not comparable with each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from ir_shared.console import UserError
from jaxtyping import Bool, Float, Float64, Int32

from clax.arrays import BoolArray, FloatArray, IntArray
from clax.batch import Batch
from clax.logprob import observed
from clax.models.base import ClickModel
from clax.parameters import Params

__all__ = ["Calibration", "Evaluation", "PositionFigures", "evaluate"]

_Z = 1.959963984540054
_BINS = 20


@dataclass(frozen=True)
class PositionFigures:
    """Perplexity by position.

    Attributes:
        overall: the plain mean over the positions that occur.
        standard_error: of ``overall``, from the spread between sessions.
        per_position: [P] for positions 1..P; NaN where a position never occurs.
        per_position_errors: their standard errors.
        counts: how many documents each rests on, [P].
    """

    overall: float
    standard_error: float
    per_position: Float64[FloatArray, " positions"]
    per_position_errors: Float64[FloatArray, " positions"]
    counts: Float64[FloatArray, " positions"]

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of ``overall``."""
        return self.overall - _Z * self.standard_error, self.overall + _Z * self.standard_error


@dataclass(frozen=True)
class Calibration:
    """Predicted against observed click rates in equally wide bins of the conditional click probability.

    Attributes:
        counts: documents in each bin, [20].
        predicted: mean predicted probability; NaN in empty bins.
        observed: share clicked.
    """

    counts: Float64[FloatArray, " bins"]
    predicted: Float64[FloatArray, " bins"]
    observed: Float64[FloatArray, " bins"]


@dataclass(frozen=True)
class Evaluation:
    """What :func:`evaluate` finds.

    Attributes:
        log_likelihood: mean conditional log-likelihood of a document (natural logarithm).
        log_likelihood_error: its standard error, from the spread between sessions.
        perplexity: from unconditional probabilities.
        conditional_perplexity: from conditional ones.
        click_rate: share clicked by position, [P].
        calibration: of the conditional probabilities.
        sessions: sessions with a valid rank.
        documents: valid ranks.
        unseen: valid ranks whose pair was not in training; None if not asked for.
    """

    log_likelihood: float
    log_likelihood_error: float
    perplexity: PositionFigures
    conditional_perplexity: PositionFigures
    click_rate: Float64[FloatArray, " positions"]
    calibration: Calibration
    sessions: int
    documents: int
    unseen: int | None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the log-likelihood."""
        return (
            self.log_likelihood - _Z * self.log_likelihood_error,
            self.log_likelihood + _Z * self.log_likelihood_error,
        )

    def to_json(self) -> dict[str, Any]:
        """All figures, with arrays as lists."""
        return {
            "log_likelihood": self.log_likelihood,
            "log_likelihood_interval": list(self.interval),
            "perplexity": _to_json(self.perplexity),
            "conditional_perplexity": _to_json(self.conditional_perplexity),
            "click_rate": self.click_rate.tolist(),
            "calibration": {name: values.tolist() for name, values in vars(self.calibration).items()},
            "sessions": self.sessions,
            "documents": self.documents,
            "unseen": self.unseen,
        }


def evaluate(
    model: ClickModel, params: Params, data: Iterable[Batch], *, seen: Bool[BoolArray, " pairs"] | None = None
) -> Evaluation:
    """Scores a model on held-out sessions in one streaming pass.

    Args:
        model: any model.
        params: its weights.
        data: batches of whole sessions.
        seen: bool [num_pairs + 1], which pairs were in training, to count the others.

    Raises:
        UserError: there is no valid rank, the batches are aggregated cells, or one does not fit the model.
    """
    sums: _Sums | None = None
    unseen = None if seen is None else 0
    log_probs = _log_probs(model)
    for batch in data:
        if batch.weights is not None:
            raise UserError("evaluation needs whole sessions, not aggregated cells")
        model.check(batch)
        mask = np.asarray(batch.mask)
        positions = np.asarray(batch.positions)
        width = max(mask.shape[1], int(positions.max(initial=0)))
        sums = sums or _Sums(width)
        scores = (np.asarray(x) for x in log_probs(params, batch))
        sums.add(*scores, positions=positions, clicks=np.asarray(batch.clicks), mask=mask)
        if seen is not None:
            assert unseen is not None
            unseen += int((~seen[np.asarray(batch.pair_ids)[mask]]).sum())
    if sums is None or not sums.documents:
        raise UserError("the data to evaluate on holds no session with a valid rank")
    return sums.result(unseen)


@lru_cache(maxsize=32)
def _log_probs(model: ClickModel) -> Any:
    """Compiled: log-probabilities of what happened (marginal, conditional), ranks to score, P(click | above)."""

    def scores(params: Params, batch: Batch) -> tuple[jax.Array, ...]:
        conditional = model.conditional_log_probs(params, batch)
        marginal = observed(model.log_click_probs(params, batch), batch.clicks)
        given = observed(conditional, batch.clicks)
        return marginal, given, model.scored_mask(batch), jax.numpy.exp(conditional.yes)

    return jax.jit(scores)


class _Sums:
    """First and second moments over sessions of (log-probability, count) by position."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.first = np.zeros((2, 2 * width))
        self.second = np.zeros((2, 2 * width, 2 * width))
        self.clicks = np.zeros(width)
        self.bins = np.zeros((3, _BINS))
        self.sessions = self.documents = 0

    def add(
        self,
        marginal: Float[FloatArray, "sessions ranks"],
        given: Float[FloatArray, "sessions ranks"],
        scored: Bool[BoolArray, "sessions ranks"],
        probability: Float[FloatArray, "sessions ranks"],
        *,
        positions: Int32[IntArray, "sessions ranks"],
        clicks: Bool[BoolArray, "sessions ranks"],
        mask: Bool[BoolArray, "sessions ranks"],
    ) -> None:
        self.sessions += int(mask.any(1).sum())
        self.documents += int(mask.sum())
        self.clicks += np.bincount(positions[mask & clicks], minlength=self.width + 1)[1 : self.width + 1]
        for i, (values, valid) in enumerate(((marginal, mask), (given, scored))):
            rows, ranks = np.nonzero(valid)
            table = np.zeros((len(mask), 2 * self.width))
            places = positions[rows, ranks] - 1
            table[rows, places] = values[rows, ranks]
            table[rows, self.width + places] = 1.0
            self.first[i] += table.sum(0)
            self.second[i] += table.T @ table
        chosen = np.minimum((probability[scored] * _BINS).astype(int), _BINS - 1)
        for row, weights in enumerate((None, probability[scored], clicks[scored].astype(float))):
            self.bins[row] += np.bincount(chosen, weights, minlength=_BINS)

    def result(self, unseen: int | None) -> Evaluation:
        counts = self.first[0, self.width :]
        likelihood = self.first[1, : self.width].sum() / self.first[1, self.width :].sum()
        gradient = np.r_[np.ones(self.width), np.full(self.width, -likelihood)] / self.first[1, self.width :].sum()
        filled, predicted, clicked = self.bins
        with np.errstate(divide="ignore", invalid="ignore"):
            calibration = Calibration(filled, predicted / filled, clicked / filled)
            click_rate = self.clicks / counts
        return Evaluation(
            float(likelihood),
            float(np.sqrt(gradient @ self.second[1] @ gradient)),
            self._perplexity(0),
            self._perplexity(1),
            click_rate,
            calibration,
            self.sessions,
            self.documents,
            unseen,
        )

    def _perplexity(self, i: int) -> PositionFigures:
        """2^(-mean log2 p) by position; errors by the delta method, sessions being independent."""
        sums, counts = np.split(self.first[i], 2)
        occurs = counts > 0
        n = np.where(occurs, counts, 1.0)
        mean = sums / n
        values = np.where(occurs, np.exp(-mean), np.nan)
        slopes = np.where(occurs, -np.exp(-mean) / n, 0.0)
        jacobian = np.concatenate([np.diag(slopes), np.diag(-slopes * mean)], axis=1)
        covariance = jacobian @ self.second[i] @ jacobian.T
        share = np.where(occurs, 1.0, 0.0) / occurs.sum()
        errors = np.where(occurs, np.sqrt(np.maximum(np.diag(covariance), 0.0)), np.nan)
        overall = float(values[occurs].mean())
        return PositionFigures(overall, float(np.sqrt(share @ covariance @ share)), values, errors, counts)


def _to_json(figures: PositionFigures) -> dict[str, Any]:
    return {
        "overall": figures.overall,
        "interval": list(figures.interval),
        "per_position": figures.per_position.tolist(),
        "per_position_errors": figures.per_position_errors.tolist(),
        "counts": figures.counts.tolist(),
    }

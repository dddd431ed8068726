"""Estimates by counting once: maximum likelihood for click-through rates and CM, a known heuristic for SDBN and DCM."""

from __future__ import annotations

from collections.abc import Iterable

import jax
import numpy as np
from ir_shared.console import UserError
from numpy.typing import NDArray

from clax.batch import Batch
from clax.em.expectation import prior_of, share_logits, tabular_parameters
from clax.models.base import ClickModel
from clax.parameters import Params, PseudoCounts
from clax.steps import initialiser

__all__ = ["count_estimates"]

_Flags = NDArray[np.bool_]


def count_estimates(
    model: ClickModel, data: Iterable[Batch], *, prior: PseudoCounts | None = None, seed: int = 0
) -> Params:
    """Weights from one pass of counting.

    For the click-through-rate models clicks / impressions, and for CM clicks / impressions down to the first click:
    both are the maximum of the (penalised) likelihood. For SDBN and DCM ranks down to the last click count as examined
    (all ranks if there is none): alpha is the share clicked, sigma the share of clicks that are the last, lambda the
    share that are not. That is no maximum, but a good start for EM or training.

    Args:
        model: gctr, rctr, dctr, drctr, cm, sdbn or dcm, of tables.
        data: batches.
        prior: pseudo-counts, instead of the parameters' own.
        seed: of the weights that rows without any count keep.

    Raises:
        UserError: there is no such estimate for the model, or a batch does not fit it.
    """
    parameters = tabular_parameters(model)
    fresh = initialiser(model)(jax.random.key(seed))
    counts = {name: (np.zeros(p.rows), np.zeros(p.rows)) for name, p in parameters.items()}
    for batch in data:
        model.check(batch)
        weights = np.ones(np.shape(batch.mask)) if batch.weights is None else np.asarray(batch.weights, float)
        for name, (events, chances) in _events(model, batch).items():
            rows = np.asarray(parameters[name].index(batch))
            size = parameters[name].rows
            counts[name][0][:] += np.bincount(rows[events], weights[events], size)
            missed = chances & ~events
            counts[name][1][:] += np.bincount(rows[missed], weights[missed], size)
    result = {}
    for name, parameter in parameters.items():
        unseen = np.asarray(parameter.row_logits(fresh[name]), np.float64)
        result[name] = parameter.from_row_logits(share_logits(*counts[name], prior_of(parameter, prior), unseen))
    return result


def _events(model: ClickModel, batch: Batch) -> dict[str, tuple[_Flags, _Flags]]:
    """By parameter: at which ranks its event happened, and at which it could have."""
    mask = np.asarray(batch.mask)
    clicks = np.asarray(batch.clicks) & mask
    if model.name in ("gctr", "rctr", "dctr", "drctr"):
        return {"rate": (clicks, mask)}
    below_first = np.cumsum(clicks, 1) - clicks > 0
    if model.name == "cm":
        return {"attraction": (clicks & ~below_first, mask & ~below_first)}
    follows = np.flip(np.cumsum(np.flip(clicks, 1), 1), 1) - clicks > 0
    examined = mask & (clicks | follows | ~clicks.any(1, keepdims=True))
    if model.name == "sdbn":
        return {"attraction": (clicks, examined), "satisfaction": (clicks & ~follows, clicks)}
    if model.name == "dcm":
        return {"attraction": (clicks, examined), "continuation": (clicks & follows, clicks)}
    raise UserError(f"{model.name} has no estimate by counting; use EM or training")

"""The training loss: the negative log-likelihood per document or per session."""

from __future__ import annotations

from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Float

from clax.batch import Batch
from clax.models.base import ClickModel
from clax.parameters import Params

__all__ = ["Reduction", "loss_terms"]

Reduction: TypeAlias = Literal["document", "session"]
"""``"document"``: the sum over all valid ranks divided by their number, which is maximum likelihood. ``"session"``: the
mean over sessions of each session's mean, in which short lists weigh more. The same for lists of equal length."""


def loss_terms(
    model: ClickModel, params: Params, batch: Batch, reduction: Reduction = "document"
) -> tuple[Float[jax.Array, ""], Float[jax.Array, ""]]:
    """The loss of a batch as a sum and the weight it is to be divided by, so that batches can be added up exactly.

    A session without a valid rank contributes nothing to either.

    Args:
        model: any model.
        params: its weights.
        batch: B sessions.
        reduction: see :data:`Reduction`.

    Returns:
        Two scalars; their ratio is the batch's mean negative log-likelihood.
    """
    losses = -model.session_log_likelihood(params, batch)
    counted = model.scored_mask(batch).astype(losses.dtype)
    documents = (counted if batch.weights is None else counted * batch.weights).sum(1)
    if reduction == "document":
        return losses.sum(), documents.sum()
    return (losses / jnp.maximum(documents, 1.0)).sum(), (documents > 0).sum().astype(losses.dtype)

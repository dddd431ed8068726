"""The user browsing model: examination depends on the position and on where the last click above was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Float

from clax.batch import Batch
from clax.logprob import FLOOR, LogPair, log_and, log_bernoulli
from clax.models.base import ClickModel, Pairs, Sample, draw, log_probability
from clax.models.evidence import ProbPairs, examination_evidence
from clax.parameters import BrowsingTable, Parameter, Params

__all__ = ["UBM"]


@dataclass(frozen=True)
class UBM(ClickModel):
    """User browsing model: P(click | last click at l) = theta_{k,l} alpha_d (Dupret and Piwowarski, SIGIR 2008).

    Attributes:
        attraction: alpha.
        examination: theta.
        bias: added to the logit of theta, such as a function of bias features.
    """

    attraction: Parameter
    examination: BrowsingTable
    bias: Parameter | None = None
    name: ClassVar[str] = "ubm"
    cell_key: ClassVar[tuple[str, ...] | None] = ("pair_ids", "positions", "last_clicks")

    def pairs(self, params: Params, batch: Batch) -> Pairs:
        """Attraction, and examination given the clicks of the batch."""
        examination = self.examination.logits(params["examination"], batch)
        if self.bias is not None:
            examination = examination + self.bias.logits(params["bias"], batch)
        attraction = self.attraction.logits(params["attraction"], batch)
        return {"attraction": log_bernoulli(attraction), "examination": log_bernoulli(examination)}

    def conditional_log_probs(self, params: Params, batch: Batch) -> LogPair:
        """theta_{k,l} alpha; the last click l is in the examination's look-up."""
        pairs = self.pairs(params, batch)
        return log_and(pairs["attraction"], pairs["examination"])

    def log_click_probs(self, params: Params, batch: Batch) -> LogPair:
        """By a filter over the position of the last click, O(P²) for each session.

        With f[l] = log P(last click at l, none since), a click has probability ``sum_l exp f[l] theta_{k,l} alpha``;
        then ``f[l] += log P(no click | l)`` and f[k] becomes the click's log-probability.
        """
        attraction = log_bernoulli(self.attraction.logits(params["attraction"], batch))
        shape = batch.pair_ids.shape
        bias = jnp.zeros(shape) if self.bias is None else self.bias.logits(params["bias"], batch)
        matrix = self.examination.matrix(params["examination"])

        def step(last: jax.Array, rank: tuple[jax.Array, ...]) -> tuple[jax.Array, LogPair]:
            yes, no, position, shift, valid = (x[:, None] for x in rank)
            given = log_and(LogPair(yes, no), log_bernoulli(matrix[position[:, 0]] + shift))
            click, none = (jax.nn.logsumexp(last + x, axis=1) for x in given)
            here = jnp.arange(matrix.shape[0]) == position
            moved = jnp.where(here, click[:, None], last + given.no)
            return jnp.where(valid, moved, last), LogPair(click, none)

        start = jnp.full((shape[0], matrix.shape[0]), FLOOR).at[:, 0].set(0.0)
        ranks = (attraction.yes.T, attraction.no.T, batch.positions.T, bias.T, batch.mask.T)
        _, result = jax.lax.scan(step, start, ranks)
        return LogPair(result.yes.T, result.no.T)

    def sample(self, params: Params, batch: Batch, key: jax.Array) -> Sample:
        """From the top, remembering the position of the last click."""
        keys = jax.random.split(key)
        attraction = draw(keys[0], log_bernoulli(self.attraction.logits(params["attraction"], batch)))
        shape = batch.pair_ids.shape
        bias = jnp.zeros(shape) if self.bias is None else self.bias.logits(params["bias"], batch)
        matrix = self.examination.matrix(params["examination"])
        noise = jax.random.logistic(keys[1], shape)

        def step(last: jax.Array, rank: tuple[jax.Array, ...]) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            attracted, position, shift, valid, threshold = rank
            examined = matrix[position, last] + shift > threshold
            click = attracted & examined & valid
            return jnp.where(click, position, last), (click, examined)

        ranks = (attraction.T, batch.positions.T, bias.T, batch.mask.T, noise.T)
        _, (clicks, examination) = jax.lax.scan(step, jnp.zeros(shape[0], batch.positions.dtype), ranks)
        return Sample(clicks.T, {"attraction": attraction, "examination": examination.T})

    def relevance(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """Log alpha."""
        return log_probability(self.attraction, params["attraction"], batch)

    def evidence(self, pairs: ProbPairs, batch: Batch) -> Float[jax.Array, " sessions"]:
        """Over examination and attraction, both drawn at every rank."""
        return examination_evidence(pairs["attraction"], pairs["examination"], batch)

"""Click-through rates as models: one for all, per rank, per document, per document and rank."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Float

from clax.batch import Batch
from clax.logprob import LogPair, log_bernoulli
from clax.models.base import PairModel, Pairs, Sample, draw, log_probability
from clax.models.evidence import ProbPairs, click_evidence
from clax.parameters import GlobalParam, PairPositionTable, Parameter, Params

__all__ = ["DCTR", "DRCTR", "GCTR", "RCTR"]


class _ClickThroughRate(PairModel):
    """P(click) is the one parameter; clicks are independent."""

    def conditional(self, pairs: Pairs, batch: Batch) -> LogPair:  # noqa: ARG002
        """The rate itself."""
        return pairs["rate"]

    def unconditional(self, pairs: Pairs, batch: Batch) -> LogPair:  # noqa: ARG002
        """The rate itself."""
        return pairs["rate"]

    def evidence(self, pairs: ProbPairs, batch: Batch) -> Float[jax.Array, " sessions"]:
        """The click is the only event."""
        return click_evidence(pairs["rate"], batch.mask, batch)

    def sample(self, params: Params, batch: Batch, key: jax.Array) -> Sample:
        """One draw per rank."""
        return Sample(draw(key, self.pairs(params, batch)["rate"]) & batch.mask, {})


@dataclass(frozen=True)
class GCTR(_ClickThroughRate):
    """Global click-through rate: P(click) = rho. Ranks nothing."""

    rate: Parameter = field(default_factory=GlobalParam)
    name: ClassVar[str] = "gctr"
    cell_key: ClassVar[tuple[str, ...] | None] = ()
    constant_relevance: ClassVar[bool] = True

    def relevance(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:  # noqa: ARG002
        """0 everywhere."""
        return jnp.zeros(batch.pair_ids.shape)


@dataclass(frozen=True)
class RCTR(_ClickThroughRate):
    """Rank click-through rate: P(click) = rho_k. Ranks nothing: rho_k would reproduce the logged order."""

    rate: Parameter
    name: ClassVar[str] = "rctr"
    cell_key: ClassVar[tuple[str, ...] | None] = ("positions",)
    constant_relevance: ClassVar[bool] = True

    def relevance(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:  # noqa: ARG002
        """0 everywhere."""
        return jnp.zeros(batch.pair_ids.shape)


@dataclass(frozen=True)
class DCTR(_ClickThroughRate):
    """Document click-through rate: P(click) = rho_d."""

    rate: Parameter
    name: ClassVar[str] = "dctr"
    cell_key: ClassVar[tuple[str, ...] | None] = ("pair_ids",)

    def relevance(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """Log rho_d."""
        return log_probability(self.rate, params["rate"], batch)


@dataclass(frozen=True)
class DRCTR(_ClickThroughRate):
    """Document-rank click-through rate: P(click) = rho_{d,k}."""

    rate: PairPositionTable
    name: ClassVar[str] = "drctr"
    cell_key: ClassVar[tuple[str, ...] | None] = ("pair_ids", "positions")

    def relevance(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """Log sigmoid of the document's logit averaged over the positions."""
        return log_bernoulli(self.rate.over_positions(params["rate"], batch)).yes

"""The position-based model: a click is examination and attraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax
from jaxtyping import Float

from clax.batch import Batch
from clax.logprob import LogPair, log_and
from clax.models.base import PairModel, Pairs, Sample, draw, log_probability
from clax.models.evidence import ProbPairs, examination_evidence
from clax.parameters import Parameter, Params

__all__ = ["PBM"]


@dataclass(frozen=True)
class PBM(PairModel):
    """Position-based model: P(click) = theta_k alpha_d (Craswell et al., WSDM 2008).

    Attributes:
        attraction: alpha, by query-document pair or from features.
        examination: theta, by position or from bias features (a two-tower model).
    """

    attraction: Parameter
    examination: Parameter
    name: ClassVar[str] = "pbm"
    cell_key: ClassVar[tuple[str, ...] | None] = ("pair_ids", "positions")

    def conditional(self, pairs: Pairs, batch: Batch) -> LogPair:  # noqa: ARG002
        """Theta alpha, whatever was clicked above."""
        return log_and(pairs["attraction"], pairs["examination"])

    def unconditional(self, pairs: Pairs, batch: Batch) -> LogPair:
        """Theta alpha."""
        return self.conditional(pairs, batch)

    def sample(self, params: Params, batch: Batch, key: jax.Array) -> Sample:
        """Examination and attraction drawn independently at every rank."""
        pairs = self.pairs(params, batch)
        keys = jax.random.split(key)
        attraction, examination = draw(keys[0], pairs["attraction"]), draw(keys[1], pairs["examination"])
        clicks = attraction & examination & batch.mask
        return Sample(clicks, {"attraction": attraction, "examination": examination})

    def relevance(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """Log alpha."""
        return log_probability(self.attraction, params["attraction"], batch)

    def evidence(self, pairs: ProbPairs, batch: Batch) -> Float[jax.Array, " sessions"]:
        """Over examination and attraction, both drawn at every rank."""
        return examination_evidence(pairs["attraction"], pairs["examination"], batch)

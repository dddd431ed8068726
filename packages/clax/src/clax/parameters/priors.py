"""Priors: what a parameter is believed to be before any data, as penalties on logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
from ir_shared.console import UserError
from jaxtyping import Float

from clax.logprob import log_bernoulli

__all__ = ["L2", "Prior", "PseudoCounts"]


@dataclass(frozen=True)
class PseudoCounts:
    """A Beta prior on each probability, said as observations made before the data.

    The density is Beta(successes + 1, failures + 1). Both at 1 is what classic EM implementations add to each
    probability; EM uses the same numbers, so gradient training and EM climb the same hill.

    Attributes:
        successes: imagined successes.
        failures: imagined failures.
    """

    successes: float = 1.0
    failures: float = 1.0

    def __post_init__(self) -> None:
        if min(self.successes, self.failures) < 0:
            raise UserError(f"pseudo-counts {self.successes} and {self.failures}: neither may be negative")

    def penalty(self, logits: Float[jax.Array, "*shape"]) -> Float[jax.Array, ""]:
        """The negative log density, up to a constant, summed over all probabilities."""
        pair = log_bernoulli(logits)
        return -(self.successes * pair.yes + self.failures * pair.no).sum()


@dataclass(frozen=True)
class L2:
    """A Gaussian prior around 0 on each logit (for tables: on its deviation from the baseline) or network weight.

    Attributes:
        strength: the penalty is ``strength / 2`` times the sum of squares.
    """

    strength: float

    def penalty(self, values: Float[jax.Array, "*shape"]) -> Float[jax.Array, ""]:
        """Half the strength times the sum of squares."""
        return 0.5 * self.strength * jnp.sum(jnp.square(values))


Prior: TypeAlias = PseudoCounts | L2

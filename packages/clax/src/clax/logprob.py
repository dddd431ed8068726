r"""Probabilities as pairs of logarithms, so that neither a probability nor its complement is ever lost to rounding.

Every probability in this package is a :class:`LogPair`, ``(log p, log (1 - p))``. Pairs are built from logits and
combined by products and by sums of positive terms only; no function takes ``log p`` and computes its complement, which
is where other implementations lose digits and gradients.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from clax.arrays import Array

__all__ = ["FLOOR", "AnyPair", "LogPair", "ProbPair", "log_add", "log_and", "log_bernoulli", "log_choose", "observed"]

FLOOR = -1e30
"""The logarithm of an impossible event. Finite, because gradients through ``-inf`` are NaN."""


class LogPair(NamedTuple):
    """The logarithms of a probability and of its complement, of one shape.

    Attributes:
        yes: ``log p``.
        no: ``log (1 - p)``.
    """

    yes: Float[jax.Array, "*shape"]
    no: Float[jax.Array, "*shape"]

    def flipped(self) -> LogPair:
        """The complementary event."""
        return LogPair(self.no, self.yes)

    def both(self, other: LogPair) -> LogPair:
        """This event and an independent one; see :func:`log_and`."""
        return log_and(self, other)

    def choose(self, if_yes: LogPair, if_no: LogPair) -> LogPair:
        """One event if this one happens and another if not; see :func:`log_choose`."""
        return log_choose(self, if_yes, if_no)

    def never(self) -> LogPair:
        """The impossible event, in this pair's shape."""
        return LogPair(jnp.full_like(self.yes, FLOOR), jnp.zeros_like(self.no))


class ProbPair(NamedTuple):
    """A probability and its complement themselves, with the operations of :class:`LogPair`.

    EM computes with these in float64: it varies the two entries separately, and logarithms at every rank would be most
    of its time.

    Attributes:
        yes: p.
        no: 1 - p.
    """

    yes: Float[jax.Array, "*shape"]
    no: Float[jax.Array, "*shape"]

    def flipped(self) -> ProbPair:
        """The complementary event."""
        return ProbPair(self.no, self.yes)

    def both(self, other: ProbPair) -> ProbPair:
        """This event and an independent one, which is not looked at if this one fails."""
        return ProbPair(self.yes * other.yes, self.no + self.yes * other.no)

    def choose(self, if_yes: ProbPair, if_no: ProbPair) -> ProbPair:
        """One event if this one happens and another if not."""
        return ProbPair(*(self.yes * y + self.no * n for y, n in zip(if_yes, if_no, strict=True)))

    def never(self) -> ProbPair:
        """The impossible event, in this pair's shape."""
        return ProbPair(jnp.zeros_like(self.yes), jnp.ones_like(self.no))


AnyPair = TypeVar("AnyPair", LogPair, ProbPair)
"""Formulas that say when the user goes on are written once, for both kinds."""


def log_add(a: Float[jax.Array, "*#shape"], b: Float[jax.Array, "*#shape"]) -> Float[jax.Array, "*#shape"]:
    """``log(exp a + exp b)``, elementwise, with finite gradients also where both are at the floor."""
    high, low = jnp.maximum(a, b), jnp.minimum(a, b)
    return high + jnp.log1p(jnp.exp(low - high))


def log_bernoulli(logit: Float[jax.Array, "*shape"]) -> LogPair:
    """The pair of the probability ``sigmoid(logit)``; both entries share one exponential and one logarithm."""
    # Not abs: its derivative at 0 is 1 in JAX, while that of min and max is the mean of both sides, as needed here.
    tail = jnp.log1p(jnp.exp(jnp.minimum(logit, -logit)))
    return LogPair(jnp.minimum(logit, 0.0) - tail, jnp.minimum(-logit, 0.0) - tail)


def log_and(first: LogPair, second: LogPair) -> LogPair:
    """The pair of "both of two independent events".

    With probabilities a and b the complement is ``(1 - a) + a (1 - b)``, a sum of positive terms: nothing cancels.
    """
    return LogPair(first.yes + second.yes, log_add(first.no, first.yes + second.no))


def log_choose(chooser: LogPair, if_yes: LogPair, if_no: LogPair) -> LogPair:
    """The pair of ``c y + (1 - c) n``: the event has probability y if the chooser says yes, and n otherwise."""
    return LogPair(
        log_add(chooser.yes + if_yes.yes, chooser.no + if_no.yes),
        log_add(chooser.yes + if_yes.no, chooser.no + if_no.no),
    )


def observed(pair: LogPair, clicks: Bool[Array, "*shape"]) -> Float[jax.Array, "*shape"]:
    """The log-probability of what happened: ``log p`` where there was a click, ``log (1 - p)`` elsewhere."""
    return jnp.where(clicks, pair.yes, pair.no)

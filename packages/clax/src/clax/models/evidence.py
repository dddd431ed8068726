"""Likelihoods written out as sums over latent outcomes of products of probabilities: what EM differentiates.

Nowhere here is it used that a probability and its complement sum to 1. Therefore the derivative of the log-likelihood by
either, times its value, is the expected number of times that the event happened, or did not.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from clax.batch import Batch
from clax.logprob import ProbPair
from clax.models.chain import Transitions

__all__ = ["ProbPairs", "chain_evidence", "click_evidence", "examination_evidence"]

ProbPairs = dict[str, ProbPair]
"""The probabilities of a model's parameters by name, each [B, P]."""


def click_evidence(rate: ProbPair, mask: jax.Array, batch: Batch) -> jax.Array:
    """Where the click is the only event: its log-likelihood over the masked ranks; [B]."""
    return _log_sum(jnp.where(batch.clicks, rate.yes, rate.no), mask, batch)


def examination_evidence(attraction: ProbPair, examination: ProbPair, batch: Batch) -> jax.Array:
    """Where a click is attraction and examination, both drawn at every rank; [B].

    A click needs both; no click leaves the three other outcomes.
    """
    a, e = attraction, examination
    outcome = jnp.where(batch.clicks, a.yes * e.yes, a.no * (e.yes + e.no) + a.yes * e.no)
    return _log_sum(outcome, batch.mask, batch)


def chain_evidence(attraction: ProbPair, transitions: Transitions[ProbPair], batch: Batch) -> jax.Array:
    """For the cascade family by the forward algorithm, normalised at every rank; [B].

    Nothing is drawn once the user has left, nor after the last valid rank, where it could not be seen.
    """
    mask = jnp.asarray(batch.mask)
    more = jnp.flip(jax.lax.cummax(jnp.flip(mask, 1).astype(jnp.int32), axis=1), 1)
    more = jnp.pad(more[:, 1:], ((0, 0), (0, 1))) > 0
    always = attraction.never().flipped()
    none, click = transitions.after_none or always, transitions.after_click
    stays, leaves = (
        jnp.where(more, jnp.where(batch.clicks, k1, k0), certain)
        for k1, k0, certain in zip(click, none, always, strict=True)
    )
    here = jnp.where(batch.clicks, attraction.yes, attraction.no)

    def step(state: ProbPair, rank: tuple[jax.Array, ...]) -> tuple[ProbPair, jax.Array]:
        seen, stay, leave, valid, clicked = rank
        examined = state.yes * seen * stay
        left = state.yes * seen * leave + jnp.where(clicked, 0.0, state.no)
        total = examined + left
        after = ProbPair(examined / total, left / total)
        moved = ProbPair(*(jnp.where(valid, new, old) for new, old in zip(after, state, strict=True)))
        return moved, jnp.where(valid, total, 1.0)

    start = ProbPair(jnp.ones_like(here[:, 0]), jnp.zeros_like(here[:, 0]))
    _, totals = jax.lax.scan(step, start, tuple(x.T for x in (here, stays, leaves, mask, batch.clicks)))
    return jnp.log(totals).sum(0)


def _log_sum(outcome: jax.Array, mask: jax.Array, batch: Batch) -> jax.Array:
    terms = jnp.log(jnp.where(mask, outcome, 1.0))
    return (terms if batch.weights is None else terms * batch.weights).sum(1)

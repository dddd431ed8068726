"""Likelihoods written out as sums over latent outcomes of products of probabilities: what EM differentiates.

Nowhere here is it used that a probability and its complement sum to 1. Therefore the derivative of the log-likelihood
by either, times its value, is the expected number of times that the event happened, or did not.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from clax.arrays import Array
from clax.batch import Batch
from clax.logprob import ProbPair
from clax.models.chain import Transitions

__all__ = ["ProbPairs", "chain_evidence", "click_evidence", "examination_evidence"]

ProbPairs = dict[str, ProbPair]
"""The probabilities of a model's parameters by name, each [B, P]."""


def click_evidence(rate: ProbPair, mask: Bool[Array, "sessions ranks"], batch: Batch) -> Float[jax.Array, " sessions"]:
    """Where the click is the only event: its log-likelihood over the masked ranks; [B]."""
    return _log_sum(jnp.where(batch.clicks, rate.yes, rate.no), mask, batch)


def examination_evidence(attraction: ProbPair, examination: ProbPair, batch: Batch) -> Float[jax.Array, " sessions"]:
    """Where a click is attraction and examination, both drawn at every rank; [B].

    A click needs both; no click leaves the three other outcomes.
    """
    a, e = attraction, examination
    outcome = jnp.where(batch.clicks, a.yes * e.yes, a.no * (e.yes + e.no) + a.yes * e.no)
    return _log_sum(outcome, batch.mask, batch)


def chain_evidence(
    attraction: ProbPair, transitions: Transitions[ProbPair], batch: Batch
) -> Float[jax.Array, " sessions"]:
    """For the cascade family by the forward algorithm, normalised at every rank; [B].

    Nothing is drawn once the user has left, nor after the last valid rank, where it could not be seen.
    """
    mask = jnp.asarray(batch.mask)
    ranks = jnp.arange(mask.shape[1])
    more = ranks < jnp.where(mask, ranks, -1).max(1, keepdims=True)
    always = attraction.never().flipped()
    none, click = transitions.after_none or always, transitions.after_click
    stays, leaves = (
        jnp.where(more, jnp.where(batch.clicks, k1, k0), certain)
        for k1, k0, certain in zip(click, none, always, strict=True)
    )
    here = jnp.where(batch.clicks, attraction.yes, attraction.no)
    return _path_sum(*(x.T for x in (here, stays, leaves, mask, batch.clicks)))


@jax.custom_vjp
def _path_sum(
    here: Float[jax.Array, "ranks sessions"],
    stays: Float[jax.Array, "ranks sessions"],
    leaves: Float[jax.Array, "ranks sessions"],
    mask: Bool[jax.Array, "ranks sessions"],
    clicks: Bool[jax.Array, "ranks sessions"],
) -> Float[jax.Array, " sessions"]:
    """The log-probability of each session, [B], from columns [P, B].

    An examined rank has probability ``here`` of what happened there, and then the user stays or leaves. The derivatives
    are the forward-backward algorithm's; automatic ones would do the same at twice the cost.
    """
    return _forward(here, stays, leaves, mask, clicks)[0]


def _forward(*columns: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    def step(state: tuple[jax.Array, jax.Array], rank: tuple[jax.Array, ...]) -> tuple[Any, Any]:
        (examined, left), (seen, stay, leave, valid, clicked) = state, rank
        on = examined * seen * stay
        off = examined * seen * leave + jnp.where(clicked, 0.0, left)
        total = jnp.where(valid, on + off, 1.0)
        after = (jnp.where(valid, on / total, examined), jnp.where(valid, off / total, left))
        return after, (examined, total)

    ones = jnp.ones_like(columns[0][0])
    _, (examined, totals) = jax.lax.scan(step, (ones, jnp.zeros_like(ones)), columns)
    return jnp.log(totals).sum(0), (*columns, examined, totals)


def _backward(saved: tuple[jax.Array, ...], slope: jax.Array) -> tuple[jax.Array | None, ...]:
    here, stays, leaves, mask, clicks, examined, totals = saved

    def step(after: tuple[jax.Array, jax.Array], rank: tuple[jax.Array, ...]) -> tuple[Any, Any]:
        (if_on, if_off), (seen, stay, leave, valid, clicked, total) = after, rank
        on = jnp.where(valid, seen * (stay * if_on + leave * if_off) / total, if_on)
        off = jnp.where(valid, jnp.where(clicked, 0.0, if_off) / total, if_off)
        return (on, off), after

    ones = jnp.ones_like(slope)
    ranks = (here, stays, leaves, mask, clicks, totals)
    _, (if_on, if_off) = jax.lax.scan(step, (ones, ones), ranks, reverse=True)
    share = jnp.where(mask, slope * examined / totals, 0.0)
    by_stay, by_leave = share * here * if_on, share * here * if_off
    return share * (stays * if_on + leaves * if_off), by_stay, by_leave, None, None


_path_sum.defvjp(_forward, _backward)


def _log_sum(
    outcome: Float[jax.Array, "sessions ranks"], mask: Bool[Array, "sessions ranks"], batch: Batch
) -> Float[jax.Array, " sessions"]:
    terms = jnp.log(jnp.where(mask, outcome, 1.0))
    return (terms if batch.weights is None else terms * batch.weights).sum(1)

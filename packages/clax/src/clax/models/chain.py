r"""The kernel of the cascade family: the user goes down the list, may click, and may leave.

All five models say the same with other numbers. The first rank is examined. An examined rank is clicked with
probability alpha; then the next is examined with probability k0 after no click and k1 after a click, and once the user
has left, nothing more is examined. A hidden rank leaves all as it is.

The filter carries one number per session, ``w``, the log-odds that the next rank is *not* examined given the clicks so
far. With e = P(examined) and n = 1 - e, Bayes' rule says for no click (n and e updated and divided by the same sum)

    n' / e' = [n + e (1 - alpha) (1 - k0)] / [e (1 - alpha) k0],   hence
    w' = logaddexp(w, log(1 - alpha) + log(1 - k0)) - log(1 - alpha) - log k0,

for a click ``w' = log(1 - k1) - log k1``, and without looking (k = (1 - alpha) k0 + alpha k1)
``w' = logaddexp(w, log(1 - k)) - log k``. The click probability is that of two independent events, alpha and
``sigmoid(-w)``. Sums of positive terms only, so nothing cancels; the odds start at a finite floor, because with
``-inf`` the gradients of models with k0 = 1 are NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from clax.arrays import Array
from clax.batch import Batch
from clax.logprob import FLOOR, AnyPair, LogPair, log_add, log_and, log_bernoulli, log_choose

__all__ = ["Transitions", "conditional_clicks", "draw_examination", "unconditional_clicks"]


@dataclass(frozen=True)
class Transitions(Generic[AnyPair]):
    """Whether the user goes on.

    Attributes:
        after_none: the pair of k0, [B, P]; None if the user always goes on after no click.
        after_click: the pair of k1, [B, P].
    """

    after_none: AnyPair | None
    after_click: AnyPair


def conditional_clicks(attraction: LogPair, transitions: Transitions[LogPair], batch: Batch) -> LogPair:
    """Click probabilities given the clicks above; [B, P]."""
    left_after_click = transitions.after_click.no - transitions.after_click.yes
    if transitions.after_none is None:
        stays, leaves = attraction.no, None
    else:
        stays, leaves = (attraction.no + x for x in transitions.after_none)

    def step(w: jax.Array, rank: Any) -> tuple[jax.Array, jax.Array]:
        stay, leave, clicked, valid, click = rank
        none = (w if leave is None else log_add(w, leave)) - stay
        return jnp.where(valid, jnp.where(click, clicked, none), w), w

    columns = (stays, leaves, left_after_click, batch.mask, batch.clicks)
    return log_and(attraction, _examined(step, columns, attraction.yes))


def unconditional_clicks(attraction: LogPair, transitions: Transitions[LogPair], batch: Batch) -> LogPair:
    """Click probabilities before any click is seen; [B, P]."""
    after_none = transitions.after_none or attraction.never().flipped()
    stays, leaves = log_choose(attraction, transitions.after_click, after_none)

    def step(w: jax.Array, rank: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        stay, leave, valid = rank
        return jnp.where(valid, log_add(w, leave) - stay, w), w

    return log_and(attraction, _examined(step, (stays, leaves, batch.mask), attraction.yes))


def draw_examination(
    attraction: Bool[jax.Array, "sessions ranks"],
    after_none: Bool[jax.Array, "sessions ranks"],
    after_click: Bool[jax.Array, "sessions ranks"],
    mask: Bool[Array, "sessions ranks"],
) -> Bool[jax.Array, "sessions ranks"]:
    """Which ranks are examined, from draws at every rank of attraction and of going on; bool [B, P]."""
    goes_on = jnp.where(attraction, after_click, after_none) | ~mask
    reached = jax.lax.cummin(goes_on.astype(jnp.int32), axis=1) > 0
    return jnp.pad(reached[:, :-1], ((0, 0), (1, 0)), constant_values=True)


def _examined(
    step: Callable[..., tuple[jax.Array, jax.Array]],
    columns: tuple[Array | None, ...],
    like: Float[jax.Array, "sessions ranks"],
) -> LogPair:
    """Runs a step over the ranks and returns the pair of being examined, [B, P]."""
    start = jnp.full_like(like[:, 0], FLOOR)
    _, w = jax.lax.scan(step, start, tuple(None if x is None else x.T for x in columns))
    return log_bernoulli(-w.T)

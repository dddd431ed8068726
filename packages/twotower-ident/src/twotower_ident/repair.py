"""What to do about a log that does not identify its positions: which swaps to add, which positions to merge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from twotower_ident.cells import FloatArray, IntArray
from twotower_ident.contrasts import Contrasts
from twotower_ident.swap_graph import SwapGraph

__all__ = ["Exploration", "Merge", "Swap", "best_swap", "bridging_swaps", "exploration_for", "merges"]

EXTRA_IMPRESSIONS = 1000.0
"""Swap impressions that a suggestion adds, half of them at each of the two positions."""


@dataclass(frozen=True)
class Swap:
    """Documents to show at two positions.

    Attributes:
        first: position index from 0.
        second: the other.
        impressions: swap impressions, half at each position, that ``worst_after`` assumes or that bridging needs.
        worst_before: largest finite standard error of a contrast to the reference; infinite where unlinked.
        worst_after: the same with the swap; for a bridge, the standard error of the bridge itself.
    """

    first: int
    second: int
    impressions: float
    worst_before: float
    worst_after: float


@dataclass(frozen=True)
class Merge:
    """Neighbouring positions that would have to share one effect; an assumption, and no evidence.

    Attributes:
        first: position index from 0.
        second: the next seen one.
    """

    first: int
    second: int


@dataclass(frozen=True)
class Exploration:
    """How much uniform shuffling brings every contrast to a target.

    Attributes:
        target: standard error wanted.
        temperature: share of sessions to shuffle; None where even full shuffling of these sessions is too little.
        sessions: sessions of full shuffling that would do.
    """

    target: float
    temperature: float | None
    sessions: float


def bridging_swaps(graph: SwapGraph, variance: Float64[FloatArray, " positions"], target: float) -> list[Swap]:
    """The fewest swaps that connect a split graph: from each component's busiest position to the busiest of all.

    Args:
        graph: the graph of positions.
        variance: information of one impression at each position, shape [K].
        target: standard error that a bridge shall have by itself.
    """
    busiest = []
    for c in range(graph.n_components):
        members = np.flatnonzero(graph.component == c)
        busiest.append(int(members[np.argmax(graph.impressions[members])]))
    if len(busiest) < 2:
        return []
    hub = max(busiest, key=lambda k: graph.impressions[k])
    swaps = []
    for other in sorted(k for k in busiest if k != hub):
        each = _edge(variance[hub], variance[other])
        needed = float(np.ceil(1 / (target**2 * each)))
        swaps.append(Swap(min(hub, other), max(hub, other), needed, float("inf"), float(1 / np.sqrt(needed * each))))
    return swaps


def best_swap(
    contrasts: Contrasts, component: Int64[IntArray, " positions"], variance: Float64[FloatArray, " positions"]
) -> Swap | None:
    """The two positions whose extra swap impressions lower the largest standard error most.

    An extra edge of weight ω between a and b changes resistances by a rank-one update (Sherman and Morrison 1950):
    ``R'_kk' = R_kk' − ω ((e_k − e_k')ᵀ L⁺ (e_a − e_b))² / (1 + ω R_ab)``.

    Args:
        contrasts: of the log as it is.
        component: of each position, shape [K].
        variance: information of one impression at each position, shape [K].

    Returns:
        The swap within the reference's component, or None where that is a single position.
    """
    members = np.flatnonzero(component == component[contrasts.reference])
    if len(members) < 2:
        return None
    inverse = contrasts.inverse[np.ix_(members, members)]
    resistance = contrasts.resistance[np.ix_(members, members)]
    base = resistance[:, 0]
    # The reference is the component's first position, at which the inverse is grounded: its row is zero.
    best = (float("inf"), 0, 0)
    for a in range(len(members)):
        omega = EXTRA_IMPRESSIONS * _edge(variance[members[a]], variance[members])
        moved = (inverse[a][None, :] - inverse) ** 2
        after = base[None, :] - (omega / (1 + omega * resistance[a]))[:, None] * moved
        worst = after.max(axis=1)
        b = int(np.argmin(worst))
        best = min(best, (float(worst[b]), a, b))
    worst_after, a, b = best
    first, second = sorted((int(members[a]), int(members[b])))
    return Swap(first, second, EXTRA_IMPRESSIONS, float(np.sqrt(base.max())), float(np.sqrt(max(worst_after, 0.0))))


def merges(graph: SwapGraph) -> list[Merge]:
    """The fewest neighbouring positions that connect a split graph when they are taken to share one effect."""
    seen = np.flatnonzero(graph.seen)
    parent = list(range(graph.n_components))

    def root(c: int) -> int:
        while parent[c] != c:
            c = parent[c]
        return c

    found = []
    for first, second in zip(seen[:-1].tolist(), seen[1:].tolist(), strict=True):
        one, other = root(int(graph.component[first])), root(int(graph.component[second]))
        if one != other:
            parent[other] = one
            found.append(Merge(first, second))
    return found


def exploration_for(target: float, sessions: float, variance: Float64[FloatArray, " seen"]) -> Exploration:
    """The share of sessions to shuffle for a target standard error, from ``R = (1/v_k + 1/v_k') / (N τ (2 − τ))``.

    Exact at τ = 1, and for all τ where v is the same everywhere; otherwise an approximation.

    Args:
        target: standard error wanted of every contrast.
        sessions: N, sessions of the log.
        variance: information of one impression at each seen position, shape [K].
    """
    least = np.sort(1 / variance)[-2:].sum()
    needed = float(least / target**2)
    share = needed / sessions
    temperature = float(1 - np.sqrt(1 - share)) if share <= 1 else None
    return Exploration(target, temperature, needed)


def _edge(one: float, other: FloatArray | float) -> FloatArray:
    """Weight of one swap impression, half at each position: ``v_a v_b / (2 (v_a + v_b))``."""
    weight: FloatArray = np.asarray(one * other / (2 * (one + other)))
    return weight

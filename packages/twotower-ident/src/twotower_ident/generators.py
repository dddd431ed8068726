"""Small worlds with a known truth: learning-to-rank data, logs of a chosen design, features that overlap by degrees."""

from __future__ import annotations

from typing import Literal

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float64, Int64

from twotower_ident.cells import CellTable, FloatArray, IntArray
from twotower_ident.letor import RankingData

__all__ = ["Design", "factor_log", "gaussian_letor", "interval_features"]

Design = Literal["fixed", "two-random", "uniform", "epsilon-greedy"]

_INTERVALS = 10


def gaussian_letor(
    *, n_queries: int, n_docs: int = 25, n_features: int = 20, kind: Literal["linear", "tanh"] = "linear", seed: int = 0
) -> RankingData:
    """Standard normal features; labels are the grades 0..4 of a linear or tanh function of them, a fifth each.

    Args:
        n_queries: Q.
        n_docs: documents of each query.
        n_features: F.
        kind: xᵀw, or Wᵀ tanh(xV) with 16 hidden units.
        seed: the same seed gives the same data.
    """
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n_queries * n_docs, n_features))
    if kind == "linear":
        utility = features @ rng.standard_normal(n_features)
    else:
        utility = np.tanh(features @ rng.standard_normal((n_features, 16))) @ rng.standard_normal(16)
    grades = np.searchsorted(np.quantile(utility, (0.2, 0.4, 0.6, 0.8)), utility).astype(np.float64)
    return RankingData(features, grades, np.arange(n_queries + 1) * n_docs, tuple(str(q) for q in range(n_queries)))


def factor_log(
    *,
    n_pairs: int,
    n_positions: int,
    impressions: int,
    design: Design,
    bias_strength: float = 1.0,
    mean_relevance: float = -0.5,
    temperature: float = 0.1,
    seed: int = 0,
) -> CellTable:
    """Clicks of pairs with γ ~ N(μ, 1) at positions with θ_k = −b ln k; every pair is its own query.

    Args:
        n_pairs: P.
        n_positions: K.
        impressions: T of each pair.
        design: where a pair is shown: ``fixed`` at one position, ``two-random`` alternating between two,
            ``uniform`` anywhere each time, ``epsilon-greedy`` at its own position except for a uniform draw with
            probability ``temperature``.
        bias_strength: b.
        mean_relevance: μ.
        temperature: of ``epsilon-greedy``.
        seed: the same seed gives the same log.
    """
    rng = np.random.default_rng(seed)
    relevance = rng.normal(mean_relevance, 1.0, n_pairs)
    position = _positions(rng, n_pairs, n_positions, impressions, design, temperature)
    logits = relevance[:, None] - bias_strength * np.log(position)
    click = rng.random(position.shape) < 1 / (1 + np.exp(-logits))
    pair = np.repeat(np.arange(n_pairs), impressions)
    return CellTable.from_arrays(
        pair,
        position.reshape(-1),
        np.ones(pair.shape),
        click.reshape(-1),
        pair_query=np.arange(n_pairs),
        n_positions=n_positions,
    )


def interval_features(
    *, n_queries: int, overlap: float, seed: int = 0
) -> tuple[Float64[FloatArray, " documents"], Int64[IntArray, " documents"]]:
    """One feature whose range at position j = 1..10 is [j − 1 − s, j + s] within [0, 10], uniformly filled.

    With s = −0.3 no two positions share a value, with 0.3 only neighbours do, with 10 all do.

    Args:
        n_queries: each shows one document at each position.
        overlap: s, above −0.5.
        seed: the same seed gives the same features.

    Returns:
        Feature and position (from 1) of each document, both [10 Q].
    """
    if overlap <= -0.5:
        raise UserError(f"overlap {overlap:g}: an interval is empty at -0.5 and below")
    rng = np.random.default_rng(seed)
    position = np.tile(np.arange(1, _INTERVALS + 1), n_queries)
    low = np.where(position == 1, 0.0, np.maximum(0.0, position - 1 - overlap))
    high = np.where(position == _INTERVALS, float(_INTERVALS), np.minimum(_INTERVALS, position + overlap))
    return rng.uniform(low, high), position


def _positions(
    rng: np.random.Generator, n_pairs: int, n_positions: int, impressions: int, design: Design, temperature: float
) -> IntArray:
    """Positions from 1 of each impression, [P, T]."""
    shape = (n_pairs, impressions)
    own = np.broadcast_to(rng.integers(1, n_positions + 1, (n_pairs, 1)), shape)
    if design == "fixed":
        return own
    anywhere = rng.integers(1, n_positions + 1, shape)
    if design == "uniform":
        return anywhere
    if design == "epsilon-greedy":
        return np.where(rng.random(shape) < temperature, anywhere, own)
    other = 1 + (own - 1 + rng.integers(1, n_positions, (n_pairs, 1))) % n_positions
    return np.where(np.arange(impressions) % 2 == 0, own, other)

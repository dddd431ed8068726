"""Bootstrap over topics: resampling weights and percentile intervals.

Everything resampled here is a sum or a mean over topics, so a resample is a row of weights and a thousand resamples are
one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from rerank_judge.collection import FloatArray, IntArray

__all__ = ["Interval", "percentile_interval", "topic_weights"]


@dataclass(frozen=True)
class Interval:
    """A percentile interval.

    Attributes:
        low: lower end, NaN if no resample had a value.
        high: upper end.
        level: share of the resamples inside.
        n_boot: resamples drawn.
        n_valid: resamples on which the statistic was defined.
    """

    low: float
    high: float
    level: float
    n_boot: int
    n_valid: int


def topic_weights(n_topics: int, n_boot: int, seed: int) -> Int64[IntArray, "resamples topics"]:
    """How often each topic occurs in each resample of T topics with replacement, [B, T]; rows sum to T."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_topics, np.full(n_topics, 1 / n_topics), size=n_boot).astype(np.int64)


def percentile_interval(values: Float64[FloatArray, " resamples"], level: float = 0.95) -> Interval:
    """The central ``level`` of resampled values [B], undefined ones (NaN) left out and counted."""
    valid = values[~np.isnan(values)]
    tail = (1 - level) / 2
    low, high = np.quantile(valid, [tail, 1 - tail]).tolist() if len(valid) else (np.nan, np.nan)
    return Interval(low, high, level, len(values), len(valid))

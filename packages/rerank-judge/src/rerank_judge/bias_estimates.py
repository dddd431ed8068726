"""Means of centred differences with bootstrap intervals and the share of judged documents behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from rerank_judge.bootstrap import Interval, percentile_interval, topic_weights
from rerank_judge.collection import FloatArray, IntArray

__all__ = ["Differences", "Estimate"]


@dataclass(frozen=True)
class Estimate:
    """A figure with what one needs to know to trust it.

    Attributes:
        value: the figure.
        interval: bootstrap interval over topics, None if not asked for.
        judged: judged@10 and judged@100 by humans, mean over the systems that the figure is about; None if unknown.
    """

    value: float
    interval: Interval | None = None
    judged: tuple[float, ...] | None = None


@dataclass(frozen=True, eq=False)
class Differences:
    """Judge minus human of every judge, system and topic, and means of it.

    Attributes:
        leniency: mean over systems, [J, T].
        centred: difference minus leniency, [J, S, T].
        judged: judged@10 and judged@100 of each system, [S, 2]; None if unknown.
        weights: how often each topic occurs in each resample, [B, T]; None without intervals.
    """

    leniency: Float64[FloatArray, "judges topics"]
    centred: Float64[FloatArray, "judges systems topics"]
    judged: Float64[FloatArray, "systems 2"] | None
    weights: Int64[IntArray, "resamples topics"] | None

    @classmethod
    def of(cls, differences: FloatArray, judged: FloatArray | None, n_boot: int, seed: int) -> Differences:
        """Splits differences [J, S, T]; draws ``n_boot`` resamples, none if 0."""
        leniency = differences.mean(axis=1)
        weights = topic_weights(differences.shape[2], n_boot, seed) if n_boot else None
        return cls(leniency, differences - leniency[:, None], judged, weights)

    def mean_leniency(self, judge: int) -> Estimate:
        """A judge's leniency."""
        return self._estimate(self.leniency[judge], range(self.centred.shape[1]))

    def mean(self, parts: Sequence[tuple[int, Sequence[int]]]) -> Estimate | None:
        """The mean over judges of their mean c over systems of theirs; None without any."""
        if not parts:
            return None
        per_topic = np.mean([self.centred[judge, list(systems)].mean(axis=0) for judge, systems in parts], axis=0)
        return self._estimate(per_topic, [s for _, systems in parts for s in systems])

    def each(self, judge: int) -> list[Estimate]:
        """The centred difference of a judge on each system."""
        return [self._estimate(values, [s]) for s, values in enumerate(self.centred[judge])]

    def _estimate(self, per_topic: FloatArray, systems: Sequence[int]) -> Estimate:
        interval = None
        if self.weights is not None:
            interval = percentile_interval(self.weights @ per_topic / len(per_topic))
        judged = None if self.judged is None else tuple(self.judged[list(systems)].mean(axis=0).tolist())
        return Estimate(float(per_topic.mean()), interval, judged)

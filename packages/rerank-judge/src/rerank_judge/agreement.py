"""Agreement of a judge's binary labels with human ones, pooled over all pairs: Cohen's kappa, exact in integers.

With N pairs, P human positives, m judge positives and tp both,

    kappa = 2 (N tp - P m) / (N (P + m) - 2 P m),

undefined (NaN) exactly where the denominator is 0: both sides constant and equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int64

from rerank_judge.bootstrap import Interval, percentile_interval, topic_weights
from rerank_judge.collection import BoolArray, Collection, FloatArray, IntArray
from rerank_judge.labeling import Coverage, LabelSet

__all__ = [
    "Agreement",
    "Confusion",
    "agree",
    "compare_kappa",
    "confusion",
    "kappa_from_counts",
    "kappa_interval",
    "topic_counts",
    "topic_kappa",
]

Counts: TypeAlias = Int64[IntArray, "..."] | np.int64 | int
"""One count or many, which broadcast."""


@dataclass(frozen=True)
class Confusion:
    """Counts of a two-by-two table: rows judge, columns human."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def n(self) -> int:
        """Pairs."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def kappa(self) -> float:
        """Cohen's kappa; NaN where both sides are constant and equal."""
        positives, judged_positive = self.tp + self.fn, self.tp + self.fp
        numerator = 2 * (self.n * self.tp - positives * judged_positive)
        denominator = self.n * (positives + judged_positive) - 2 * positives * judged_positive
        return numerator / denominator if denominator else float("nan")

    @property
    def accuracy(self) -> float:
        """Share of equal labels; NaN without pairs."""
        return (self.tp + self.tn) / self.n if self.n else float("nan")

    @property
    def precision(self) -> float:
        """Macro precision: the mean over both classes, an empty class counting 0."""
        return (_ratio(self.tp, self.tp + self.fp) + _ratio(self.tn, self.tn + self.fn)) / 2

    @property
    def recall(self) -> float:
        """Macro recall."""
        return (_ratio(self.tp, self.tp + self.fn) + _ratio(self.tn, self.tn + self.fp)) / 2

    @property
    def f1(self) -> float:
        """Macro F1: the mean of the classes' F1, not the F1 of the means."""
        wrong = self.fp + self.fn
        return (_ratio(2 * self.tp, 2 * self.tp + wrong) + _ratio(2 * self.tn, 2 * self.tn + wrong)) / 2


@dataclass(frozen=True)
class Agreement:
    """What :func:`agree` finds.

    Attributes:
        judge: the judge.
        confusion: the pooled table.
        coverage: how the judge's pairs meet the human ones.
        per_topic: kappa by qid; NaN where it is undefined.
        interval: bootstrap interval of the pooled kappa over topics, None if not asked for.
    """

    judge: str
    confusion: Confusion
    coverage: Coverage
    per_topic: dict[str, float]
    interval: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        """Counts, measures, coverage, interval and the per-topic kappas."""
        table = self.confusion
        return {
            "judge": self.judge,
            "kappa": table.kappa,
            "accuracy": table.accuracy,
            "precision": table.precision,
            "recall": table.recall,
            "f1": table.f1,
            "confusion": table,
            "coverage": self.coverage,
            "interval": self.interval,
            "per_topic": self.per_topic,
        }


def agree(collection: Collection, labels: LabelSet, *, n_boot: int = 0, seed: int = 0) -> Agreement:
    """Agreement of a judge with the humans on the pairs that both judged.

    Args:
        collection: the pairs with their human grades.
        labels: the judge's labels for them.
        n_boot: resamples of topics for the interval of kappa; 0 for none.
        seed: seed of the resamples.
    """
    counts = topic_counts(collection, labels)
    both = collection.judged & labels.known
    return Agreement(
        judge=labels.name,
        confusion=confusion(collection.relevant[both], labels.relevant[both]),
        coverage=labels.coverage,
        per_topic=dict(zip(collection.topics, topic_kappa(counts).tolist(), strict=True)),
        interval=kappa_interval(counts, n_boot, seed) if n_boot else None,
    )


def confusion(human: Bool[BoolArray, " pairs"], judge: Bool[BoolArray, " pairs"]) -> Confusion:
    """The table of two label vectors, [N] each."""
    human, judge = np.asarray(human, dtype=np.bool_), np.asarray(judge, dtype=np.bool_)
    tp = int((human & judge).sum())
    fp, fn = int(judge.sum()) - tp, int(human.sum()) - tp
    return Confusion(tp, fp, fn, len(human) - tp - fp - fn)


def kappa_from_counts(n: Counts, positives: Counts, m: Counts, tp: Counts) -> Float64[FloatArray, "*tables"]:
    """Kappa of many tables at once: N, P, m and tp broadcast, NaN where undefined.

    int64 is exact here up to about 10^9 pairs.
    """
    numerator = np.asarray(2 * (n * tp - positives * m), dtype=np.float64)
    denominator = np.asarray(n * (positives + m) - 2 * positives * m, dtype=np.float64)
    undefined = denominator == 0
    return np.where(undefined, np.nan, numerator / np.where(undefined, 1, denominator))


def topic_counts(collection: Collection, labels: LabelSet) -> Int64[IntArray, "topics 4"]:
    """N, P, m and tp of each topic over the pairs both judged, [T, 4]."""
    both = collection.judged & labels.known
    human, judge = collection.relevant & both, labels.relevant & both
    columns = np.stack([both, human, judge, human & judge], axis=1).astype(np.int64)
    running = np.concatenate([np.zeros((1, 4), dtype=np.int64), np.cumsum(columns, axis=0)])
    return np.diff(running[collection.offsets], axis=0)


def topic_kappa(counts: Int64[IntArray, "*batch 4"]) -> Float64[FloatArray, "*batch"]:
    """Kappa within each topic; counts as :func:`topic_counts` gives them, [..., 4]."""
    n, positives, m, tp = np.moveaxis(counts, -1, 0)
    return kappa_from_counts(n, positives, m, tp)


def kappa_interval(
    counts: Int64[IntArray, "topics 4"], n_boot: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Bootstrap interval of the pooled kappa over topics, from per-topic counts [T, 4]."""
    weights = topic_weights(len(counts), n_boot, seed)
    return percentile_interval(topic_kappa(weights @ counts), level)


def compare_kappa(
    first: Int64[IntArray, "topics 4"],
    second: Int64[IntArray, "topics 4"],
    n_boot: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Paired bootstrap interval of kappa(first) - kappa(second), both counted on the same topics, [T, 4] each."""
    weights = topic_weights(len(first), n_boot, seed)
    return percentile_interval(topic_kappa(weights @ first) - topic_kappa(weights @ second), level)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

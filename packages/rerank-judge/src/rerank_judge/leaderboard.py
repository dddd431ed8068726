"""The systems of a collection evaluated with one label set: what trec_eval would print, for all systems at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, TypeVar

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Bool, Float64

from rerank_judge.collection import ABSENT, BoolArray, Collection, FloatArray, IndexArray, IntArray
from rerank_judge.labeling import LabelSet
from rerank_judge.metrics import (
    DEFAULT_METRICS,
    Metric,
    average_precision,
    ideal_dcg,
    judged_share,
    ndcg,
    parse_metric,
    reciprocal_rank,
)

__all__ = ["Board", "BoardOptions", "MissingTopics", "RRTruncation", "leaderboard"]

ValuesT = TypeVar("ValuesT", BoolArray, IntArray)
MissingTopics = Literal["zero", "skip"]
"""A topic without a list counts 0 (trec_eval -c), or is left out of that system's mean."""
RRTruncation = Literal["trec", "file-order"]
"""How RR@k cuts a list whose scores tie across rank k: in trec_eval's order, or in the order of the file."""


class BoardOptions(TypedDict, total=False):
    """The options of :func:`leaderboard` that what builds on it hands through."""

    missing_topics: MissingTopics
    rr_truncation: RRTruncation


@dataclass(frozen=True, eq=False)
class Board:
    """Every system on every topic.

    Attributes:
        judge: whose labels were used.
        metrics: names of the metrics, [M].
        systems: names of the systems, [S].
        topics: qids, [T].
        values: the measurements; NaN where a topic is missing and skipped, [S, T, M].
    """

    judge: str
    metrics: tuple[str, ...]
    systems: tuple[str, ...]
    topics: tuple[str, ...]
    values: Float64[FloatArray, "systems topics metrics"]

    @property
    def means(self) -> Float64[FloatArray, "systems metrics"]:
        """Mean over topics, [S, M]; NaN for a system without any topic."""
        counted = ~np.isnan(self.values)
        total = np.where(counted, self.values, 0).sum(axis=1)
        size = counted.sum(axis=1)
        return np.where(size > 0, total / np.maximum(size, 1), np.nan)

    def mean(self, metric: str) -> Float64[FloatArray, " systems"]:
        """Mean of one metric, [S]."""
        return self.means[:, self.metrics.index(str(parse_metric(metric)))]

    def to_json(self) -> dict[str, Any]:
        """The means by system and metric, and the values by system, topic and metric."""
        return {
            "judge": self.judge,
            "topics": len(self.topics),
            "mean": {system: self._named(row) for system, row in zip(self.systems, self.means, strict=True)},
            "per_topic": {
                system: {qid: self._named(row) for qid, row in zip(self.topics, rows, strict=True)}
                for system, rows in zip(self.systems, self.values, strict=True)
            },
        }

    def _named(self, row: FloatArray) -> dict[str, float]:
        return dict(zip(self.metrics, row.tolist(), strict=True))


def leaderboard(
    collection: Collection,
    labels: LabelSet,
    metrics: Sequence[str | Metric] = DEFAULT_METRICS,
    *,
    missing_topics: MissingTopics = "zero",
    rr_truncation: RRTruncation = "trec",
) -> Board:
    """Evaluates the runs with one label set.

    Labels >= ``labels.binarize_at`` are relevant for AP and RR; nDCG takes the grades as gains, and a judge without
    grades gives 0 and 1. What the judge did not label is not relevant.

    Args:
        collection: pairs and runs.
        labels: human labels (:func:`~rerank_judge.labeling.human_labels`) or a judge's.
        metrics: names such as "AP@100".
        missing_topics: what becomes of a topic that a run lacks.
        rr_truncation: how RR@k cuts a list with ties; "file-order" needs the collection's ``file_cut``.

    Raises:
        UserError: there are no runs, or a metric is unknown or deeper than the collection's lists.
    """
    chosen = [parse_metric(metric) for metric in metrics]
    check_depth(collection, chosen, rr_truncation)
    values = np.zeros((len(collection.systems), len(collection.topics), len(chosen)))
    for t in range(len(collection.topics)):
        pairs = slice(collection.offsets[t], collection.offsets[t + 1])
        relevant, grades, known = labels.relevant[pairs], labels.labels[pairs], labels.known[pairs]
        first = int(collection.offsets[t])
        ranked = collection.runs[:, t]
        for i, metric in enumerate(chosen):
            if metric.kind == "AP":
                values[:, t, i] = average_precision(_gather(relevant, ranked, first), int(relevant.sum()), metric.k)
            elif metric.kind == "RR":
                lists = collection.file_cut[:, t] if rr_truncation == "file-order" else ranked
                values[:, t, i] = reciprocal_rank(_gather(relevant, lists, first), metric.k)
            elif metric.kind == "nDCG":
                gains = np.where(known, grades, 0)
                values[:, t, i] = ndcg(_gather(gains, ranked, first), ideal_dcg(gains, metric.k), metric.k)
            else:
                values[:, t, i] = judged_share(_gather(known, ranked, first), ranked != ABSENT, metric.k)
    if missing_topics == "skip":
        values[missing_mask(collection)] = np.nan
    return Board(labels.name, tuple(map(str, chosen)), collection.systems, collection.topics, values)


def check_depth(collection: Collection, metrics: Sequence[Metric], rr_truncation: RRTruncation) -> None:
    """Checks that the collection holds what the metrics look at.

    Raises:
        UserError: no runs, lists cut above a metric's cut-off, or another file-order cut than RR's.
    """
    if not collection.systems:
        raise UserError("a leaderboard needs runs, but the collection has none; give run files")
    for metric in metrics:
        if metric.k > collection.depth:
            raise UserError(
                f"{metric}: the collection keeps {collection.depth} documents a list; load it with depth={metric.k}"
            )
        cut = collection.file_cut.shape[2]
        if metric.kind == "RR" and rr_truncation == "file-order" and metric.k != cut:
            raise UserError(
                f"{metric}: lists were cut to {cut} in file order; ask for one RR cut-off at a time "
                f"(in Python, load the collection with file_cut={metric.k})"
            )


def missing_mask(collection: Collection) -> Bool[BoolArray, "systems topics"]:
    """Where a system has no list for a topic, [S, T]."""
    return np.asarray(collection.runs[:, :, 0] == ABSENT, dtype=np.bool_)


def _gather(values: ValuesT, lists: IndexArray, first: int) -> ValuesT:
    """Values [n] of one topic's pairs at the positions of lists [S, K], 0 where the document is unknown."""
    padded = np.append(values, np.zeros(1, dtype=values.dtype))
    return padded[np.where(lists >= 0, lists - first, len(values))]

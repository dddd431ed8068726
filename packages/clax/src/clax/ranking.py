"""Ranking metrics against judgements: DCG, nDCG and MRR of the relevance that a click model gives to documents.

DCG uses the gain 2^label - 1 and the discount 1 / log2(1 + rank). A query without any positive label says nothing about
a ranking: it is left out of all three and counted. Ties keep the order of the list (a stable sort). MRR needs to know
which documents are relevant: those with a positive grade, where labels are grades (whole numbers). Other labels, such
as true attraction, are positive nearly everywhere; they give an MRR only if it is said which label is the lowest that
counts as relevant.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from ir_shared.console import DataWarning, UserError
from ir_shared.stats import Interval, bootstrap_interval
from jaxtyping import Bool, Float64

from clax.arrays import BoolArray, FloatArray
from clax.batch import Batch
from clax.models.base import ClickModel
from clax.parameters import Params

__all__ = ["Ranking", "evaluate_ranking", "ranking_metrics"]


@dataclass(frozen=True)
class Ranking:
    """Ranking quality over annotated queries.

    Attributes:
        per_query: values of each metric, such as ``"ndcg@10"``, by query with a positive label.
        skipped: how many lists had no positive label.
        relevant_from: the lowest label that counted as relevant for MRR; None = any positive grade.
    """

    per_query: dict[str, Float64[FloatArray, " queries"]]
    skipped: int
    relevant_from: float | None = None

    @property
    def means(self) -> dict[str, float]:
        """The mean of each metric."""
        return {name: float(values.mean()) for name, values in self.per_query.items()}

    def interval(self, metric: str, *, seed: int = 0) -> Interval:
        """A 95 % bootstrap interval over queries."""
        return bootstrap_interval(self.per_query[metric], seed=seed)

    def to_json(self) -> dict[str, Any]:
        """Means with intervals, and counts."""
        intervals = {name: self.interval(name) for name in self.per_query}
        metrics = {name: {"mean": i.estimate, "low": i.low, "high": i.high} for name, i in intervals.items()}
        queries = len(next(iter(self.per_query.values())))
        return {
            "metrics": metrics,
            "queries": queries,
            "skipped": self.skipped,
            "relevant_from": self.relevant_from,
        }


def evaluate_ranking(
    model: ClickModel,
    params: Params,
    data: Iterable[Batch],
    *,
    at: Sequence[int] = (1, 3, 5, 10),
    relevant_from: float | None = None,
) -> Ranking:
    """Ranks each annotated list by the model's relevance and scores it.

    Args:
        model: any model.
        params: its weights.
        data: batches with labels; each session is one query's list.
        at: cut-offs.
        relevant_from: the lowest label that counts as relevant for MRR; by default any positive grade.

    Raises:
        UserError: the data has no labels, or no list with a positive label.

    Warns:
        DataWarning: the model ranks nothing; or labels are no grades and MRR is left out.
    """
    if relevant_from is not None and not relevant_from > 0:
        raise UserError(f"relevant from label {relevant_from} (--relevant-from): must be above 0, the label of no gain")
    if model.constant_relevance:
        warnings.warn(
            f"{model.name} gives all documents the same relevance: this ranks nothing", DataWarning, stacklevel=2
        )
    relevance = _relevance(model)
    parts: list[dict[str, FloatArray]] = []
    skipped, graded = 0, True
    for batch in data:
        if batch.labels is None:
            raise UserError("ranking metrics need labels, which this data does not have")
        model.check(batch)
        mask = np.asarray(batch.mask)
        labels = np.where(mask, np.asarray(batch.labels, float), 0.0)
        judged = (labels > 0).any(1)
        skipped += int((mask.any(1) & ~judged).sum())
        scores = np.asarray(relevance(params, batch), float)
        graded = graded and bool((labels % 1 == 0).all())
        found = ranking_metrics(scores[judged], labels[judged], mask[judged], at=at, relevant_from=relevant_from)
        parts.append(found)
    if not parts or not sum(len(part["mrr"]) for part in parts):
        raise UserError("no list has a positive label, so there is nothing to rank")
    names = [name for name in parts[0] if graded or relevant_from is not None or not name.startswith("mrr")]
    if len(names) < len(parts[0]):
        warnings.warn(
            "labels are no whole grades, so any document may count as relevant and MRR is left out; say from which "
            "label on one is (relevant_from, --relevant-from)",
            DataWarning,
            stacklevel=2,
        )
    return Ranking({name: np.concatenate([part[name] for part in parts]) for name in names}, skipped, relevant_from)


def ranking_metrics(
    scores: Float64[FloatArray, "queries ranks"],
    labels: Float64[FloatArray, "queries ranks"],
    mask: Bool[BoolArray, "queries ranks"],
    *,
    at: Sequence[int],
    relevant_from: float | None = None,
) -> dict[str, Float64[FloatArray, " queries"]]:
    """DCG, nDCG and MRR of each list.

    Args:
        scores: [Q, P], higher is better.
        labels: [Q, P], 0 and up. Each list must have a positive one.
        mask: [Q, P].
        at: cut-offs for DCG, nDCG and MRR; ``"mrr"`` without one looks at the whole list.
        relevant_from: the lowest label that is relevant for MRR, which is 0 for a list without one; None = any above 0.

    Returns:
        Values [Q] by ``"dcg@k"``, ``"ndcg@k"``, ``"mrr@k"`` and ``"mrr"``.
    """
    by_score, by_label = _sorted(scores, labels, mask), _sorted(labels, labels, mask)
    discounts = 1 / np.log2(np.arange(2, labels.shape[1] + 2))
    relevant = by_score > 0 if relevant_from is None else by_score >= relevant_from
    reciprocal = np.where(relevant, 1 / np.arange(1, labels.shape[1] + 1), 0.0)
    metrics = {"mrr": reciprocal.max(1, initial=0.0)}
    for k in at:
        gained, ideal = (((2.0**x - 1) * discounts)[:, :k].sum(1) for x in (by_score, by_label))
        metrics[f"dcg@{k}"] = gained
        metrics[f"ndcg@{k}"] = gained / ideal
        metrics[f"mrr@{k}"] = reciprocal[:, :k].max(1, initial=0.0)
    return metrics


def _sorted(
    scores: Float64[FloatArray, "queries ranks"],
    labels: Float64[FloatArray, "queries ranks"],
    mask: Bool[BoolArray, "queries ranks"],
) -> Float64[FloatArray, "queries ranks"]:
    order = np.argsort(np.where(mask, -scores, np.inf), axis=1, kind="stable")
    return np.take_along_axis(np.where(mask, labels, 0.0), order, 1)


@lru_cache(maxsize=32)
def _relevance(model: ClickModel) -> Any:
    return jax.jit(model.relevance)

"""Metric names, discounts and the evaluation of relevance arrays, all as trec_eval defines them.

A metric is written ``AP@100``, ``RR@10``, ``nDCG@10`` or ``judged@10``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Bool, Float64, Int64

from rerank_judge.collection import BoolArray, FloatArray, IntArray

__all__ = ["DEFAULT_METRICS", "Metric", "ideal_dcg", "parse_metric"]

DEFAULT_METRICS = ("AP@100", "RR@10", "nDCG@10")
Kind = Literal["AP", "RR", "nDCG", "judged"]
_KINDS: dict[str, Kind] = {"ap": "AP", "map": "AP", "rr": "RR", "mrr": "RR", "ndcg": "nDCG", "judged": "judged"}


@dataclass(frozen=True)
class Metric:
    """A measure with its cut-off; ``str()`` gives its name."""

    kind: Kind
    k: int

    def __str__(self) -> str:
        return f"{self.kind}@{self.k}"

    @property
    def weights(self) -> Float64[FloatArray, " k"]:
        """What a relevant document at each position counts, [k]: 1/log2(rank + 1) for nDCG, 1/rank otherwise."""
        rank = np.arange(1, self.k + 1)
        return 1 / np.log2(rank + 1) if self.kind == "nDCG" else 1 / rank


def parse_metric(name: str | Metric) -> Metric:
    """Reads a metric's name; case is free, and MAP and MRR are taken for AP and RR.

    Raises:
        UserError: an unknown measure, or no cut-off from 1 to 99999.
    """
    if isinstance(name, Metric):
        return name
    match = re.fullmatch(r"([A-Za-z]+)@([1-9][0-9]{0,4})", name.strip())
    kind = _KINDS.get(match[1].lower()) if match else None
    if match is None or kind is None:
        raise UserError(f"unknown metric {name!r}; use AP@k, RR@k, nDCG@k or judged@k with k < 100000, as nDCG@10")
    return Metric(kind, int(match[2]))


def average_precision(
    relevant: Bool[BoolArray, "*lists positions"], total: int, k: int
) -> Float64[FloatArray, "*lists"]:
    """AP@k = (1/R) * sum over ranks i <= k of rel_i * precision@i, with R all relevant documents of the topic.

    Args:
        relevant: relevance by position, [..., K].
        total: R; 0 gives 0.
        k: cut-off.
    """
    top = relevant[..., :k]
    precision = np.cumsum(top, axis=-1) / np.arange(1, top.shape[-1] + 1)
    return np.asarray((top * precision).sum(axis=-1) / max(total, 1), dtype=np.float64)


def reciprocal_rank(relevant: Bool[BoolArray, "*lists positions"], k: int) -> Float64[FloatArray, "*lists"]:
    """RR@k = 1 / rank of the first relevant document, 0 if it is below k; relevance [..., K]."""
    top = relevant[..., :k]
    return np.where(top.any(axis=-1), 1 / (1 + top.argmax(axis=-1)), 0.0)


def ndcg(gains: Int64[IntArray, "*lists positions"], ideal: float, k: int) -> Float64[FloatArray, "*lists"]:
    """nDCG@k with linear gain; negative grades gain nothing.

    Args:
        gains: grade by position, 0 where unjudged, [..., K].
        ideal: DCG@k of the best possible list; 0 gives 0.
        k: cut-off.
    """
    top = np.maximum(gains[..., :k], 0)
    dcg = top @ Metric("nDCG", k).weights[: top.shape[-1]]
    return dcg / ideal if ideal > 0 else np.zeros_like(dcg)


def ideal_dcg(grades: Int64[IntArray, " documents"], k: int) -> float:
    """DCG@k of all judged documents of a topic in the best order; grades [n]."""
    best = np.maximum(np.sort(grades)[::-1][:k], 0)
    return float(best @ Metric("nDCG", k).weights[: len(best)])


def judged_share(
    judged: Bool[BoolArray, "*lists positions"], retrieved: Bool[BoolArray, "*lists positions"], k: int
) -> Float64[FloatArray, "*lists"]:
    """Judged documents among the first min(k, retrieved) positions, 0 for an empty list; masks [..., K]."""
    size = retrieved[..., :k].sum(axis=-1)
    return np.asarray(judged[..., :k].sum(axis=-1) / np.maximum(size, 1), dtype=np.float64)

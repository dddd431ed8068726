"""Which pairs to judge: those of qrels, the tops of runs, and the holes that a pool leaves.

A pool holds docids by qid. :func:`make_pairs` adds the texts, :func:`write_pairs` writes the exchange format.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from ir_shared.console import UserError
from ir_shared.run_dir import atomic_write

from rerank_judge.passages import Passage, PassageStore
from rerank_judge.scorers.base import Pair
from rerank_judge.scorers.texts import clean_text

__all__ = ["Pool", "holes", "make_pairs", "pool_from_qrels", "pool_from_runs", "write_pairs"]

Pool: TypeAlias = dict[str, tuple[str, ...]]
"""Docids by qid, each once."""

_SHOWN = 3


def pool_from_qrels(qrels: Mapping[str, Mapping[str, int]]) -> Pool:
    """The judged pairs, in the order of the qrels."""
    return {qid: tuple(grades) for qid, grades in qrels.items()}


def pool_from_runs(runs: Iterable[Mapping[str, Mapping[str, float]]], depth: int) -> Pool:
    """The union of the first documents of every run, qids and docids sorted.

    Args:
        runs: score by qid and docid, of each system.
        depth: documents of each list, in trec_eval's order (float32 score, then docid, both descending).

    Raises:
        UserError: the depth is not positive, or no run holds a document.
    """
    if depth < 1:
        raise UserError(f"depth {depth}: must be positive")
    found: dict[str, set[str]] = {}
    for run in runs:
        for qid, scores in run.items():
            found.setdefault(qid, set()).update(_top(scores, depth))
    if not any(found.values()):
        raise UserError("the runs hold no documents to pool")
    return {qid: tuple(sorted(found[qid])) for qid in sorted(found)}


def holes(pool: Pool, qrels: Mapping[str, Mapping[str, int]]) -> Pool:
    """The pairs of a pool that nobody judged; only topics of the qrels count, and only those with a hole remain."""
    unjudged = {
        qid: tuple(docid for docid in docids if docid not in qrels[qid]) for qid, docids in pool.items() if qid in qrels
    }
    return {qid: docids for qid, docids in unjudged.items() if docids}


def make_pairs(pool: Pool, topics: Mapping[str, str], passages: PassageStore) -> list[Pair]:
    """Adds the texts to a pool, in its order.

    Args:
        pool: docids by qid.
        topics: query by qid.
        passages: where the texts are.

    Raises:
        UserError: a topic has no query, or a document no text; the message counts and names them.
    """
    _require("queries", [qid for qid in pool if qid not in topics], len(pool), "give the topics file of these qids")
    wanted = dict.fromkeys(docid for docids in pool.values() for docid in docids)
    texts = passages.fetch(wanted)
    missing = [docid for docid in wanted if docid not in texts]
    _require("passages", missing, len(wanted), "give the passages that these docids come from")
    return [_pair(qid, docid, topics[qid], texts[docid]) for qid, docids in pool.items() for docid in docids]


def write_pairs(path: str | Path, pairs: Iterable[Pair]) -> None:
    """Writes JSON lines with ``query_id``, ``query``, ``docid``, ``title`` and ``text``, as re-rankers take them."""
    lines = (
        json.dumps(
            {
                "query_id": pair.qid,
                "query": pair.query,
                "docid": pair.docid,
                "title": pair.title,
                "text": pair.text,
            },
            ensure_ascii=False,
        )
        for pair in pairs
    )
    atomic_write(path, "".join(f"{line}\n" for line in lines))


def _pair(qid: str, docid: str, query: str, passage: Passage) -> Pair:
    return Pair(qid, docid, clean_text(query), passage.text, passage.title)


def _top(scores: Mapping[str, float], depth: int) -> list[str]:
    with np.errstate(over="ignore"):
        single = np.fromiter(scores.values(), dtype=np.float64, count=len(scores)).astype(np.float32).tolist()
    return [docid for _, docid in heapq.nlargest(depth, zip(single, scores, strict=True))]


def _require(what: str, missing: list[str], total: int, remedy: str) -> None:
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
        raise UserError(f"{what} are missing for {len(missing)} of {total} ({shown}); {remedy}")

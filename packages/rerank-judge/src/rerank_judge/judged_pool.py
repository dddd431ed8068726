"""Judges as systems without a first stage: each ranks the judged documents of every topic.

A substitute for re-ranking the results of a retriever where those runs are not at hand. It has no holes, and it has no
first stage to compare with; what it shows is how a judge's labels treat its own and others' orders of the pool.
"""

from __future__ import annotations

from collections.abc import Sequence

from rerank_judge.collection import Collection
from rerank_judge.labeling import ScoreSet

__all__ = ["judged_pool"]


def judged_pool(collection: Collection, judges: Sequence[ScoreSet], *, depth: int = 100) -> Collection:
    """The same pairs with one system for each judge, which ranks them by its scores as trec_eval would.

    Pairs without a score are not ranked.

    Args:
        collection: pairs with human grades; its own runs are left out.
        judges: the judges' scores for these pairs.
        depth: documents kept per list.
    """
    qrels: dict[str, dict[str, int]] = {}
    runs: dict[str, dict[str, dict[str, float]]] = {judge.name: {} for judge in judges}
    rows = zip(collection.pairs(), collection.grades.tolist(), collection.judged.tolist(), strict=True)
    for i, ((qid, docid), grade, judged) in enumerate(rows):
        if not judged:
            continue
        qrels.setdefault(qid, {})[docid] = grade
        for judge in judges:
            if judge.known[i]:
                runs[judge.name].setdefault(qid, {})[docid] = float(judge.scores[i])
    return Collection.from_mappings(qrels, runs, binarize_at=collection.binarize_at, depth=depth)

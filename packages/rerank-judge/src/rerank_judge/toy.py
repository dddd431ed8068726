"""Synthetic collections and texts for tests, demonstrations and quick claims.

The order of the calls to the frozen generator ``numpy.random.RandomState`` is part of the definition: a seed gives the
same collection everywhere and always.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ir_shared.trec import Qrels, Run, Topics, write_qrels, write_run

from rerank_judge.collection import Collection
from rerank_judge.labeling import ScoreSet, align_scores

__all__ = ["ToyCollection", "ToyText", "toy_collection", "toy_text"]

_GRADE_SHARES = [0.55, 0.20, 0.15, 0.10]


@dataclass(frozen=True)
class ToyCollection:
    """Human grades, one judge's scores and the runs of several systems.

    Attributes:
        qrels: grade 0 to 3 by qid and docid.
        scores: the judge's log-odds by qid and docid.
        runs: run by system; sys00 is the weakest.
    """

    qrels: Qrels
    scores: Run
    runs: dict[str, Run]

    def load(self) -> tuple[Collection, ScoreSet]:
        """The collection and the judge's scores, aligned."""
        collection = Collection.from_mappings(self.qrels, self.runs)
        return collection, align_scores(collection, self.scores, "toy", scale="log-odds")

    def write(self, folder: str | Path) -> Path:
        """Writes ``qrels.txt``, ``runs/sysKK.txt`` and ``judges/toy.scores`` and returns the folder."""
        folder = Path(folder)
        write_qrels(folder / "qrels.txt", self.qrels)
        write_run(folder / "judges" / "toy.scores", self.scores, "toy")
        for system, run in self.runs.items():
            write_run(folder / "runs" / f"{system}.txt", run, system)
        return folder


@dataclass(frozen=True)
class ToyText:
    """Queries, documents and grades where the grade is the number of query words in the document.

    Attributes:
        topics: query by qid.
        documents: text by docid.
        qrels: grade 0 to 3 by qid and docid.
    """

    topics: Topics
    documents: dict[str, str]
    qrels: Qrels


def toy_collection(seed: int, T: int = 20, D: int = 60, S: int = 12, K: int = 40) -> ToyCollection:
    """T topics with D judged documents each, and S systems that retrieve K documents, better and better.

    Scores are 1.5 (g - 1.3) plus normal noise of deviation 2, so a judge's decision at 0 is informative and far from
    perfect; system k scores (0.2 + 0.05 k) g plus noise, rounded to 0.1 so that ties are frequent.
    """
    rs = np.random.RandomState(seed)
    grades = rs.choice(4, size=(T, D), p=_GRADE_SHARES)
    scores = np.round(1.5 * (grades - 1.3) + 2.0 * rs.standard_normal((T, D)), 3)
    qids = [f"t{t:02d}" for t in range(T)]
    docids = [[f"d{t:02d}{d:03d}" for d in range(D)] for t in range(T)]
    runs: dict[str, Run] = {}
    for k in range(S):
        x = np.round((0.2 + 0.05 * k) * grades + rs.standard_normal((T, D)), 1)
        runs[f"sys{k:02d}"] = {qid: _top(docids[t], x[t].tolist(), K) for t, qid in enumerate(qids)}
    return ToyCollection(
        qrels={qid: dict(zip(docids[t], grades[t].tolist(), strict=True)) for t, qid in enumerate(qids)},
        scores={qid: dict(zip(docids[t], scores[t].tolist(), strict=True)) for t, qid in enumerate(qids)},
        runs=runs,
    )


def toy_text(seed: int, T: int = 12, D: int = 40) -> ToyText:
    """T queries of three words; D documents each, of 8 to 24 filler words with 0 to 3 of the query words inserted."""
    rs = np.random.RandomState(seed)
    topics: Topics = {}
    documents: dict[str, str] = {}
    qrels: Qrels = {}
    for t in range(T):
        qid = f"t{t:02d}"
        keywords = [f"w{word:03d}" for word in rs.choice(100, 3, replace=False)]
        topics[qid] = " ".join(keywords)
        qrels[qid] = {}
        for d in range(D):
            grade = int(rs.choice(4, p=_GRADE_SHARES))
            words = [f"w{word:03d}" for word in rs.choice(np.arange(100, 300), rs.randint(8, 25))]
            for keyword in keywords[:grade]:
                words.insert(rs.randint(0, len(words) + 1), keyword)
            docid = f"d{t:02d}{d:03d}"
            documents[docid] = " ".join(words)
            qrels[qid][docid] = grade
    return ToyText(topics, documents, qrels)


def _top(docids: list[str], scores: list[float], k: int) -> dict[str, float]:
    ranked = sorted(zip(np.array(scores, dtype=np.float32).tolist(), docids, scores, strict=True), reverse=True)
    return {docid: score for _, docid, score in ranked[:k]}

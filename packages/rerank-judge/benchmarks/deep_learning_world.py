"""Synthetic files of the shape of TREC Deep Learning 2021 passages, and the literal way to sweep over them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from ir_shared.trec import read_run
from rerank_judge.collection import Collection
from rerank_judge.labeling import ScoreSet, align_scores

SYSTEMS, TOPICS, DEPTH, ALL_TOPICS = 63, 53, 100, 477


def write_world(folder: Path, topics: int, judged: int, seed: int = 0) -> None:
    """Run files of DL21's shape: ``topics`` topics of 100 lines, of which ``judged`` have 204 judged documents."""
    rng = np.random.default_rng(seed)
    grades = rng.choice(4, size=(judged, 204), p=[0.4, 0.28, 0.22, 0.10])
    scores = 1 / (1 + np.exp(-(1.5 * (grades - 1.3) + 2 * rng.standard_normal(grades.shape))))
    (folder / "runs").mkdir()
    for s in range(SYSTEMS):
        lines = []
        for t in range(topics):
            order = rng.permutation(400)[:DEPTH]  # about half of the documents are judged
            values = np.sort(np.round(20 * rng.random(DEPTH), 3))[::-1]
            lines += [
                f"{2000000 + t} Q0 msmarco_passage_{d % 70:02d}_{d * 7919 + t} {i} {x} s{s:02d}\n"
                for i, (d, x) in enumerate(zip(order.tolist(), values.tolist(), strict=True), start=1)
            ]
        (folder / "runs" / f"s{s:02d}").write_text("".join(lines))
    qrels, scored = [], []
    for t in range(judged):
        for d, (grade, score) in enumerate(zip(grades[t].tolist(), scores[t].tolist(), strict=True)):
            docid = f"msmarco_passage_{d % 70:02d}_{d * 7919 + t}"
            qrels.append(f"{2000000 + t} 0 {docid} {grade}\n")
            scored.append(f"{2000000 + t} Q0 {docid} 0 {score!r} judge\n")
    (folder / "qrels").write_text("".join(qrels))
    (folder / "scores").write_text("".join(scored))


def load(folder: Path) -> tuple[Collection, ScoreSet]:
    collection = Collection.load(folder / "qrels", folder / "runs")
    return collection, align_scores(collection, read_run(folder / "scores"), "judge")


def literal_loop(
    folder: Path, collection: Collection, scores: ScoreSet, thresholds: np.ndarray
) -> tuple[float, float, np.ndarray]:
    """Seconds for 101 thresholds, by pytrec_eval with and without reading the runs each time, and the means."""
    import pytrec_eval

    paths = sorted((folder / "runs").iterdir())
    reading, evaluating, means = 0.0, 0.0, []
    for at in thresholds:
        qrels: dict[str, dict[str, int]] = {}
        for (qid, docid), score in zip(collection.pairs(), scores.scores.tolist(), strict=True):
            qrels.setdefault(qid, {})[docid] = int(score >= at)
        rows = []
        for path in paths:
            start = time.perf_counter()
            with path.open() as file:
                run = pytrec_eval.parse_run(file)
            middle = time.perf_counter()
            evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"map_cut.100", "ndcg_cut.10", "recip_rank"})
            found = evaluator.evaluate(run).values()
            rr = [x["recip_rank"] if x["recip_rank"] > 0.0999 else 0.0 for x in found]
            ap, ndcg = [x["map_cut_100"] for x in found], [x["ndcg_cut_10"] for x in found]
            rows.append([np.mean(ap), np.mean(rr), np.mean(ndcg)])
            reading += middle - start
            evaluating += time.perf_counter() - middle
        means.append(rows)
    scale = 101 / len(thresholds)
    return (reading + evaluating) * scale, evaluating * scale, np.array(means)

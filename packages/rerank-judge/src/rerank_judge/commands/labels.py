"""``score`` and ``label``: from pairs to scores, and from scores to labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from ir_shared.console import UserError, notice, print_json, track
from ir_shared.run_dir import hash_file
from ir_shared.trec import read_run, run_name, write_qrels, write_run

from rerank_judge.calibration import read_calibration, threshold_for
from rerank_judge.collection import Collection
from rerank_judge.commands.options import Json, Quiet, ScaleOption, document
from rerank_judge.labeling import LabelSet, ScoreSet, align_scores, direct, same_scale, threshold
from rerank_judge.scorers import load_scorer, read_pairs, score_run

__all__ = ["label", "score"]


def score(
    judge: Annotated[
        str, typer.Option("--judge", help="lexical (BM25 over the pairs) or file:PATH (scores or labels).")
    ],
    pairs: Annotated[
        Path, typer.Option("--pairs", help="JSON lines with query_id, query, docid, text and, if any, title.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Score file to write, in run format.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score (query, document) pairs with a judge."""
    scorer = load_scorer(judge)
    given = read_pairs(pairs)
    run, counts = score_run(track(scorer.score(given), "scoring", total=len(given), quiet=quiet))
    if not run:
        raise UserError(f"{scorer.judge_id}: has a score for none of the {len(given)} pairs")
    write_run(out, run, scorer.judge_id)
    if json:
        card = {"judge": scorer.judge_id, "scale": scorer.scale, "status": counts}
        print_json(document("score", {"pairs": pairs}, judge=card, out=out))
    else:
        shown = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        notice(f"{out}: {scorer.judge_id}, {shown}")


def label(
    scores: Annotated[Path, typer.Option("--scores", help="Score file of a judge, in run format.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Label file to write, in qrels format.")],
    direct_: Annotated[
        bool, typer.Option("--direct", help="Take the judge's own decision: probability >= 0.5, log-odds >= 0.")
    ] = False,
    threshold_: Annotated[
        float | None, typer.Option("--threshold", help="Relevant where the score is at least this number.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Take the threshold that calibrate selected.")
    ] = None,
    scale: ScaleOption = "auto",
    json: Json = False,
) -> None:
    """Turn a judge's scores into relevance labels; give one of --direct, --threshold and --calibration."""
    if [direct_, threshold_ is not None, calibration is not None].count(True) != 1:
        raise UserError("label: give exactly one of --direct, --threshold and --calibration")
    run = read_run(scores)
    # Labels need no human grades: the scored pairs are the collection.
    collection = Collection.from_mappings({qid: dict.fromkeys(docs, 0) for qid, docs in run.items()})
    given = align_scores(collection, run, run_name(scores), scale=scale)
    facts: dict[str, Any] = {}
    if calibration is not None:
        labels, facts = _calibrated(given, calibration, scores)
    else:
        labels = direct(given) if threshold_ is None else threshold(given, threshold_)
    positives = int(labels.relevant.sum())
    grades: dict[str, dict[str, int]] = {}
    for (qid, docid), grade in zip(collection.pairs(), labels.labels.tolist(), strict=True):
        grades.setdefault(qid, {})[docid] = grade
    write_qrels(out, grades)
    applied = facts.get("threshold", given.direct_threshold if direct_ else threshold_)
    if json:
        inputs = {"scores": scores} | ({"calibration": calibration} if calibration else {})
        result = {"pairs": collection.n_pairs, "relevant": positives, **facts, "threshold": applied, "out": out}
        print_json(document("label", inputs, judge=given.name, **result))
    else:
        notice(f"{out}: {positives} of {collection.n_pairs} pairs relevant at score >= {applied:.6g}")


def _calibrated(given: ScoreSet, calibration: Path, scores: Path) -> tuple[LabelSet, dict[str, Any]]:
    """Labels at a calibration's threshold, and whether the scores are those it was selected on.

    Logits and log-odds differ in whether 0 means something, which no longer matters; probabilities are another scale.
    """
    selection, source = read_calibration(calibration)
    if same_scale(selection.scale, given.scale):
        given = replace(given, scale=selection.scale)
    else:
        raise UserError(
            f"{scores}: the calibration was made on {selection.scale} scores, these are {given.scale}; "
            "use scores of the same kind, or say --scale"
        )
    in_sample = source.get("inputs", {}).get("scores") == hash_file(scores)
    if in_sample:
        notice(f"in-sample: {calibration} was selected on these scores; do not report agreement with its own qrels")
    at = threshold_for(selection, given)
    return threshold(given, at), {"threshold": at, "in_sample": in_sample, "target": selection.target}

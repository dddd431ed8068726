"""``label`` and ``panel``: from scores to labels, and from several judges to one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import typer
from ir_shared.console import UserError, notice, print_json
from ir_shared.run_dir import hash_file
from ir_shared.trec import write_qrels, write_run

from rerank_judge.calibration import read_calibration, threshold_for
from rerank_judge.collection import Collection
from rerank_judge.commands.inputs import keep_inputs, label_sets, named, pairs_of, read_judges, read_scores
from rerank_judge.commands.options import At, BinarizeJudge, Json, Judges, ScaleOption, document
from rerank_judge.judged import align_judge
from rerank_judge.labeling import LabelSet, ScoreSet, align_scores, direct, graded, same_scale, threshold
from rerank_judge.panels import majority, mean_log_odds, tied_votes

__all__ = ["label", "panel"]

Value = TypeVar("Value", int, float)


def label(
    scores: Annotated[Path, typer.Option("--scores", help="Scores of a judge: what score wrote, or run format.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Label file to write, in qrels format.")],
    direct_: Annotated[
        bool, typer.Option("--direct", help="Take the judge's own decision: probability >= 0.5, log-odds >= 0.")
    ] = False,
    threshold_: Annotated[
        list[float] | None,
        typer.Option(
            "--threshold",
            help="Relevant where the score is at least this number; given several times, how many of the numbers the "
            "score reaches is the grade.",
        ),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Take the threshold that calibrate selected.")
    ] = None,
    scale: ScaleOption = "auto",
    json: Json = False,
) -> None:
    """Turn a judge's scores into relevance labels; give one of --direct, --threshold and --calibration."""
    cuts = threshold_ or []
    if [direct_, bool(cuts), calibration is not None].count(True) != 1:
        raise UserError("label: give exactly one of --direct, --threshold and --calibration")
    keep_inputs(out, scores, calibration)
    run, file = read_scores(scores)
    # Labels need no human grades: the scored pairs are the collection.
    collection = Collection.from_mappings({qid: dict.fromkeys(docs, 0) for qid, docs in run.items()})
    given = align_scores(collection, run, file.name, scale=file.scale_of(scale))
    facts: dict[str, Any]
    if calibration is not None:
        labels, facts = _calibrated(given, calibration, scores)
    elif len(cuts) > 1:
        labels, facts = graded(given, cuts), {"threshold": cuts}
    elif cuts:
        labels, facts = threshold(given, cuts[0]), {"threshold": cuts[0]}
    else:
        labels, facts = direct(given), {"threshold": given.direct_threshold}
    grades = np.bincount(labels.labels, minlength=max(2, len(cuts) + 1)).tolist()
    write_qrels(out, _by_pair(collection, labels.labels.tolist()))
    if json:
        inputs = {"scores": scores} | ({"calibration": calibration} if calibration else {})
        found = {"grades": grades} if len(cuts) > 1 else {"relevant": grades[1]}
        print_json(document("label", inputs, judge=given.name, pairs=collection.n_pairs, **found, **facts, out=out))
    elif len(cuts) > 1:
        shown = ", ".join(f"{count} of grade {grade}" for grade, count in enumerate(grades))
        notice(f"{out}: {collection.n_pairs} pairs, {shown}")
    else:
        notice(f"{out}: {grades[1]} of {collection.n_pairs} pairs relevant at score >= {facts['threshold']:.6g}")


def panel(
    judge: Judges,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="File to write: labels in qrels format, or with mean-log-odds a run of scores."
        ),
    ],
    rule: Annotated[
        Literal["majority", "mean-log-odds"],
        typer.Option("--rule", help="The label that most give, or the mean of scores, which decides at 0."),
    ] = "majority",
    ties: Annotated[
        Literal["relevant", "non-relevant"], typer.Option("--ties", help="What a pair with equal votes is.")
    ] = "relevant",
    at: At = None,
    binarize_judge: BinarizeJudge = "auto",
    scale: ScaleOption = "auto",
    json: Json = False,
) -> None:
    """Combine several judges into one; a judge without an answer to a pair abstains."""
    keep_inputs(out, *judge)
    files = read_judges(judge)
    if len(files) < 2:
        raise UserError("panel: give --judge at least twice")
    collection = Collection.from_mappings(pairs_of(files))
    facts: dict[str, Any] = {"pairs": collection.n_pairs}
    if rule == "majority":
        members = label_sets(collection, files, at=at, binarize_judge=binarize_judge, scale=scale, on_missing="skip")
        labels = majority(collection, members, ties=ties)
        write_qrels(out, _by_pair(collection, labels.labels.tolist()))
        facts |= {"relevant": int(labels.relevant.sum()), "tied": tied_votes(members)}
    else:
        known = [align_judge(collection, file, scale=scale, on_missing="skip") for file in files]
        scored = [one for one in known if isinstance(one, ScoreSet)]
        if at or len(scored) < len(known):
            raise UserError("panel --rule mean-log-odds: needs scores of every judge, and no --at")
        write_run(out, _by_pair(collection, mean_log_odds(collection, scored).scores.tolist()), "mean-log-odds")
    if json:
        print_json(document("panel", named(judge), rule=rule, members=[file.name for file in files], **facts, out=out))
    else:
        shown = ", ".join(f"{count} {what}" for what, count in facts.items())
        notice(f"{out}: {rule} of {len(files)} judges, {shown}")


def _by_pair(collection: Collection, values: list[Value]) -> dict[str, dict[str, Value]]:
    found: dict[str, dict[str, Value]] = {}
    for (qid, docid), value in zip(collection.pairs(), values, strict=True):
        found.setdefault(qid, {})[docid] = value
    return found


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

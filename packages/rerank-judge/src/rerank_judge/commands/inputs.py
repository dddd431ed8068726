"""Reading judges' files for the commands that compare judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from ir_shared.console import UserError, notice
from ir_shared.trec import Qrels, run_name

from rerank_judge.collection import Collection, OnDuplicate, ReadOptions
from rerank_judge.commands.options import parse_at, parse_binarize_judge
from rerank_judge.judged import align_judge
from rerank_judge.labeling import Coverage, LabelSet, OnMissing, Scale, ScoreSet, direct, threshold
from rerank_judge.metrics import DEFAULT_METRICS, parse_metric
from rerank_judge.scorers import JudgeFile, read_judge

__all__ = ["distinct_metrics", "label_sets", "named", "pairs_of", "read_judges", "reading_for", "report_coverage"]


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Judges' files by the name of the judge.

    Raises:
        UserError: two files name one judge.
    """
    files: dict[str, Path] = {}
    for path in paths:
        name = run_name(path)
        if name in files:
            raise UserError(f"{path}: judge {name} is also in {files[name]}; rename one of the two files")
        files[name] = path
    return files


def read_judges(paths: Sequence[Path]) -> list[JudgeFile]:
    """Reads judges' files, each under its own name."""
    return [read_judge(path) for path in named(paths).values()]


def label_sets(
    collection: Collection,
    files: Sequence[JudgeFile],
    *,
    at: Sequence[str] | None,
    binarize_judge: str,
    scale: Scale | Literal["auto"],
    on_missing: OnMissing,
) -> list[LabelSet]:
    """Every judge's labels: those of its file, or its scores at a threshold of ``at``, or else its own decisions."""
    thresholds = parse_at(at, [file.name for file in files if file.scores is not None])
    lowest = parse_binarize_judge(binarize_judge)
    labels = []
    for file in files:
        known = align_judge(collection, file, binarize_at=lowest, scale=scale, on_missing=on_missing)
        if isinstance(known, ScoreSet):
            known = threshold(known, thresholds[file.name]) if file.name in thresholds else direct(known)
        labels.append(known)
    return labels


def pairs_of(files: Sequence[JudgeFile]) -> Qrels:
    """All pairs that any of the judges has, with 0 for a grade."""
    pairs: Qrels = {}
    for file in files:
        for qid, docs in (file.scores or file.labels or {}).items():
            pairs.setdefault(qid, {}).update(dict.fromkeys(docs, 0))
    return pairs


def distinct_metrics(given: Sequence[str] | None) -> list[str]:
    """The metrics asked for, each once and in its canonical form, or else the default ones."""
    return list(dict.fromkeys(str(parse_metric(name)) for name in given or DEFAULT_METRICS))


def reading_for(metrics: Sequence[str], binarize_at: int, on_duplicate: OnDuplicate) -> ReadOptions:
    """How to read a collection for metrics: as deep as they look, at least 100, and RR's own cut in file order."""
    parsed = [parse_metric(metric) for metric in metrics]
    return {
        "binarize_at": binarize_at,
        "depth": max([100, *(metric.k for metric in parsed)]),
        "file_cut": next((metric.k for metric in parsed if metric.kind == "RR"), 10),
        "on_duplicate": on_duplicate,
    }


def report_coverage(human: str, coverages: Mapping[str, Coverage]) -> None:
    """Says how the judges' pairs meet the human ones: one line for all that have exactly those, one for each other."""
    exact = [judge for judge, coverage in coverages.items() if not coverage.missing and not coverage.extra]
    if exact:
        pairs = coverages[exact[0]].human
        notice(f"{human}: {len(exact)} judge(s) have exactly the {pairs} human pairs")
    for judge, coverage in coverages.items():
        if judge not in exact:
            notice(f"{human}: {judge} has {coverage}")

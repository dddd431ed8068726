"""``agree`` and ``leaderboard``: labels compared pair by pair, and systems evaluated with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from ir_shared.console import notice, print_json, print_table
from ir_shared.run_dir import write_json

from rerank_judge.agreement import Agreement, agree
from rerank_judge.collection import Collection
from rerank_judge.commands.inputs import distinct_metrics, label_sets, named, read_judges, reading_for
from rerank_judge.commands.options import (
    At,
    BinarizeHuman,
    BinarizeJudge,
    Bootstrap,
    Human,
    Json,
    Judges,
    Metrics,
    MissingTopicsOption,
    OnDuplicateOption,
    OnMissingOption,
    RRTruncationOption,
    Runs,
    ScaleOption,
    Seed,
    document,
    show_interval,
)
from rerank_judge.labeling import human_labels
from rerank_judge.leaderboard import leaderboard

__all__ = ["agree_command", "leaderboard_command"]


def agree_command(
    human: Human,
    judge: Judges,
    at: At = None,
    binarize_human: BinarizeHuman = 2,
    binarize_judge: BinarizeJudge = "auto",
    scale: ScaleOption = "auto",
    on_missing: OnMissingOption = "error",
    per_topic: Annotated[bool, typer.Option("--per-topic", help="Show kappa of each topic too.")] = False,
    bootstrap: Bootstrap = 0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Measure how judges agree with humans: Cohen's kappa and more, pooled over all pairs.

    A file of labels is taken as it is; scores are labelled by the judge's own decision, or at a threshold of --at.
    """
    files = read_judges(judge)
    collection = Collection.load(human, binarize_at=binarize_human)
    labels = label_sets(collection, files, at=at, binarize_judge=binarize_judge, scale=scale, on_missing=on_missing)
    results = [agree(collection, known, n_boot=bootstrap, seed=seed) for known in labels]
    if json:
        inputs = {"human": human, **named(judge)}
        print_json(document("agree", inputs, seed if bootstrap else None, results=results))
        return
    _print_agreement(results)
    if per_topic:
        rows = [[qid, *(result.per_topic[qid] for result in results)] for qid in collection.topics]
        print_table("\nkappa by topic", ["qid", *(result.judge for result in results)], rows)


def leaderboard_command(
    runs: Runs,
    qrels: Annotated[Path, typer.Option("--qrels", help="Labels of humans or of a judge, in qrels format.")],
    metric: Metrics = None,
    binarize: Annotated[
        int, typer.Option("--binarize", help="Lowest grade that counts as relevant for AP and RR; 1 for binary labels.")
    ] = 2,
    missing_topics: MissingTopicsOption = "zero",
    rr_truncation: RRTruncationOption = "trec",
    on_duplicate: OnDuplicateOption = "error",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="JSON file for the values of each topic.")] = None,
    json: Json = False,
) -> None:
    """Evaluate systems exactly as trec_eval does, best first by the first metric."""
    metrics = distinct_metrics(metric)
    collection = Collection.load(qrels, runs, **reading_for(metrics, binarize, on_duplicate))
    labels = human_labels(collection)
    board = leaderboard(collection, labels, metrics, missing_topics=missing_topics, rr_truncation=rr_truncation)
    result = document("leaderboard", {"qrels": qrels, "runs": runs}, board=board)
    if out is not None:
        write_json(out, result)
        notice(f"{out}: {len(board.systems)} systems on {len(board.topics)} topics")
    if json:
        print_json(result)
        return
    means = board.means
    order = sorted(range(len(board.systems)), key=lambda s: (-means[s, 0], board.systems[s]))
    print_table("", ["system", *board.metrics], [[board.systems[s], *means[s].tolist()] for s in order])


def _print_agreement(results: Sequence[Agreement]) -> None:
    columns = ["judge", "kappa", "95% interval", "accuracy", "precision", "recall", "F1", "coverage"]
    rows = []
    for result in results:
        table = result.confusion
        measures = [table.accuracy, table.precision, table.recall, table.f1]
        rows.append([result.judge, table.kappa, show_interval(result.interval), *measures, str(result.coverage)])
    print_table("", columns, rows)
    for result in results:
        if result.confusion.kappa != result.confusion.kappa:
            notice(f"{result.judge}: kappa is undefined, because human and judge give every pair the same one label")

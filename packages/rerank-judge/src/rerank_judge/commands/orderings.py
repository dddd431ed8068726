"""``correlate``: do judges order systems as humans do?"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer
from ir_shared.console import DataWarning, UserError, notice, print_json, print_table

from rerank_judge.bootstrap import Interval
from rerank_judge.collection import Collection, require_ordering
from rerank_judge.commands.inputs import (
    distinct_metrics,
    label_sets,
    named,
    pairs_of,
    read_judges,
    reading_for,
    report_coverage,
)
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
from rerank_judge.labeling import Coverage, LabelSet, human_labels
from rerank_judge.leaderboard import Board, leaderboard
from rerank_judge.ordering import Correlation, compare_judges, correlate, tau_b

__all__ = ["correlate_command"]


@dataclass(frozen=True)
class _Row:
    """One judge and metric.

    Attributes:
        judge: the judge.
        correlation: its ordering against the humans'.
        coverage: how the judge's pairs meet the human ones.
        tau_all_pairs: tau where pairs that only the judge labelled count too; None if not asked for or without such.
        difference: interval of tau minus that of another judge; None if not asked for.
    """

    judge: str
    correlation: Correlation
    coverage: Coverage
    tau_all_pairs: float | None
    difference: Interval | None


def correlate_command(
    runs: Runs,
    human: Human,
    judge: Judges,
    at: At = None,
    metric: Metrics = None,
    binarize_human: BinarizeHuman = 2,
    binarize_judge: BinarizeJudge = "auto",
    scale: ScaleOption = "auto",
    on_missing: OnMissingOption = "error",
    missing_topics: MissingTopicsOption = "zero",
    rr_truncation: RRTruncationOption = "trec",
    on_duplicate: OnDuplicateOption = "error",
    all_pairs: Annotated[
        bool, typer.Option("--all-pairs", help="Show too the tau with the pairs that only the judge labelled.")
    ] = False,
    against: Annotated[
        str | None, typer.Option("--against", help="A judge; show the others' tau minus its own, by paired bootstrap.")
    ] = None,
    bootstrap: Bootstrap = 0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Compare the judges' orderings of systems with the humans': Kendall's tau-b and more, by judge and metric.

    A file of labels is taken as it is; scores are labelled by the judge's own decision, or at a threshold of --at.
    """
    metrics = distinct_metrics(metric)
    files = read_judges(judge)
    if against is not None and (against not in [file.name for file in files] or not bootstrap):
        raise UserError(f"--against {against}: needs --bootstrap, and the name of one of the judges")
    collection = Collection.load(
        human,
        runs,
        extra_pairs=pairs_of(files) if all_pairs else None,
        **reading_for(metrics, binarize_human, on_duplicate),
    )
    require_ordering(collection.systems)
    labels = label_sets(collection, files, at=at, binarize_judge=binarize_judge, scale=scale, on_missing=on_missing)
    _warn_self_judging([known.name for known in labels], collection.systems)

    def board(known: LabelSet) -> Board:
        return leaderboard(collection, known, metrics, missing_topics=missing_topics, rr_truncation=rr_truncation)

    reference = board(human_labels(collection))
    boards = {known.name: board(replace(known, known=known.known & collection.judged)) for known in labels}
    rows = []
    for known in labels:
        own = boards[known.name]
        extended = board(known) if all_pairs and known.coverage.extra else None
        for i, found in enumerate(correlate(reference, own, n_boot=bootstrap, seed=seed)):
            tau_all = None if extended is None else tau_b(reference.means[:, i], extended.means[:, i])[0]
            difference = None
            if against is not None and known.name != against:
                ours, theirs = own.values[:, :, i], boards[against].values[:, :, i]
                difference = compare_judges(reference.values[:, :, i], ours, theirs, bootstrap, seed)
            rows.append(_Row(known.name, found, known.coverage, tau_all, difference))
    if json:
        inputs = {"human": human, "runs": runs, **named(judge)}
        print_json(document("correlate", inputs, seed if bootstrap else None, against=against, results=rows))
    else:
        report_coverage(human.name, {row.judge: row.coverage for row in rows})
        _print_rows(rows, against)


def _print_rows(rows: Sequence[_Row], against: str | None) -> None:
    columns = ["judge", "metric", "tau-b", "95% interval", "rho", "tau-AP", "RBO", "all pairs", f"minus {against}"]
    shown = [
        [
            row.judge,
            row.correlation.metric,
            row.correlation.tau,
            show_interval(row.correlation.interval),
            row.correlation.rho,
            row.correlation.tau_ap,
            row.correlation.rbo,
            row.tau_all_pairs,
            show_interval(row.difference),
        ]
        for row in rows
    ]
    # A column without a single entry was not asked for.
    kept = [i for i in range(len(columns)) if any(row[i] is not None for row in shown)]
    title = f"{rows[0].correlation.n_systems} systems"
    print_table(title, [columns[i] for i in kept], [[row[i] for i in kept] for row in shown], left=2)
    undefined = [f"{row.judge} {row.correlation.metric}" for row in rows if math.isnan(row.correlation.tau)]
    if undefined:
        notice(f"tau is undefined where humans or judge give all systems one value: {', '.join(undefined)}")


def _warn_self_judging(judges: Sequence[str], systems: Sequence[str]) -> None:
    own = [name for name in judges if name in systems]
    if own:
        message = f"self-judging: {', '.join(own)} is judge and system at once, and judges favour their own ranking"
        warnings.warn(f"{message}; compare with the orderings without it", DataWarning, stacklevel=2)

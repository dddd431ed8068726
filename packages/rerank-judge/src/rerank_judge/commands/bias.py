"""``bias``: whom judges favour."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from ir_shared.console import DataWarning, UserError, notice, print_json, print_table
from ir_shared.run_dir import to_jsonable

from rerank_judge.bias import BiasReport, bias_report
from rerank_judge.collection import Collection
from rerank_judge.commands.inputs import label_sets, pairs_of
from rerank_judge.commands.options import (
    At,
    BinarizeHuman,
    BinarizeJudge,
    Human,
    Json,
    OnDuplicateOption,
    OnMissingOption,
    RRTruncationOption,
    Runs,
    ScaleOption,
    Seed,
    document,
)
from rerank_judge.families import Families
from rerank_judge.holes import Holes, on_judged
from rerank_judge.labeling import LabelSet, human_labels
from rerank_judge.leaderboard import RRTruncation, leaderboard
from rerank_judge.metrics import parse_metric
from rerank_judge.ordering import tau_b
from rerank_judge.panels import leave_family_out_board
from rerank_judge.scorers import JudgeFile, read_judge
from rerank_judge.study_tables import bias_tables

__all__ = ["bias_command"]

Value = TypeVar("Value", int, float)
_DEPTH = 1000
"""Lists are read this deep, so that they can be condensed."""


def bias_command(
    runs: Runs,
    human: Human,
    judge: Annotated[
        list[str],
        typer.Option("--judge", metavar="[NAME=]FILE", help="Labels or scores of a judge; repeat for several."),
    ],
    families: Annotated[
        Path, typer.Option("--families", help="TOML: [families] NAME = [judges and systems], baselines, [own].")
    ],
    metric: Annotated[str, typer.Option("--metric", help="AP@k, RR@k or nDCG@k.")] = "AP@100",
    condensed: Annotated[
        bool, typer.Option("--condensed", help="Repeat with lists from which unjudged documents are taken out.")
    ] = False,
    fill_holes: Annotated[
        list[str] | None,
        typer.Option(
            "--fill-holes",
            metavar="[NAME=]FILE",
            help="Repeat with holes filled: a judge's labels or scores for unjudged documents; repeat for several.",
        ),
    ] = None,
    at: At = None,
    binarize_human: BinarizeHuman = 2,
    binarize_judge: BinarizeJudge = "auto",
    scale: ScaleOption = "auto",
    on_missing: OnMissingOption = "error",
    on_duplicate: OnDuplicateOption = "error",
    rr_truncation: RRTruncationOption = "trec",
    bootstrap: Annotated[
        int, typer.Option("--bootstrap", help="Resamples of topics for 95% intervals, 0 for none.", min=0)
    ] = 1000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Measure whom judges favour beyond their leniency: their own system, their family's, and others'.

    A file of labels is taken as it is; scores are labelled by the judge's own decision, or at a threshold of --at.
    """
    kin = Families.read(families)
    given, fillers = _read(judge), _read(fill_holes or [])
    for name in fillers:
        if name not in given:
            raise UserError(f"--fill-holes: no judge is called {name}; the judges are {', '.join(given)}")
    files = [_join(file, fillers.get(name)) for name, file in given.items()]
    parsed = parse_metric(metric)
    collection = Collection.load(
        human,
        runs,
        binarize_at=binarize_human,
        depth=max(_DEPTH, parsed.k),
        file_cut=parsed.k,
        on_duplicate=on_duplicate,
        extra_pairs=pairs_of(files) if fillers else None,
    )
    labels = label_sets(collection, files, at=at, binarize_judge=binarize_judge, scale=scale, on_missing=on_missing)
    kin.warn_unknown(list(given), collection.systems)

    def report(who: Sequence[LabelSet], holes: Holes) -> BiasReport:
        # Condensed lists have no file order.
        cut: RRTruncation = "trec" if holes == "condensed" else rr_truncation
        return bias_report(collection, who, kin, metric, holes=holes, n_boot=bootstrap, seed=seed, rr_truncation=cut)

    reports = [report(labels, "raw")]
    if condensed:
        reports.append(report(labels, "condensed"))
    if fillers:
        reports.append(report([one for one in labels if one.name in fillers], "filled"))
    panel = _panel_tau(collection, labels, kin, metric)
    _warn_self_judging(reports[0], panel)
    if json:
        inputs = (
            {"human": human, "runs": runs, "families": families} | _inputs(judge, "") | _inputs(fill_holes, "fill ")
        )
        print_json(document("bias", inputs, seed if bootstrap else None, reports=reports, panel_tau=panel))
        return
    for one in reports:
        for table in bias_tables(to_jsonable(one), f"{len(one.human)} systems, {one.metric}, holes {one.holes}"):
            print_table(table.title, table.columns, table.rows)
            notice(table.note)


def _named(text: str) -> tuple[str | None, Path]:
    """Reads ``[NAME=]FILE``; a path may hold a "=" behind a slash."""
    name, sign, path = text.partition("=")
    return (name, Path(path)) if sign and name and "/" not in name else (None, Path(text))


def _read(given: Sequence[str]) -> dict[str, JudgeFile]:
    files: dict[str, JudgeFile] = {}
    for name, path in map(_named, given):
        file = read_judge(path)
        if (name or file.name) in files:
            raise UserError(f"{path}: judge {name or file.name} is given twice; name one of them with NAME=FILE")
        files[name or file.name] = replace(file, name=name or file.name)
    return files


def _inputs(given: Sequence[str] | None, prefix: str) -> dict[str, Path]:
    return {f"{prefix}{name or path.name}": path for name, path in map(_named, given or ())}


def _join(file: JudgeFile, filler: JudgeFile | None) -> JudgeFile:
    """A judge's file with the pairs of another that it lacks."""
    if filler is None:
        return file
    if (file.scores is None) != (filler.scores is None):
        raise UserError(
            f"--fill-holes {file.name}: give scores where --judge has scores, and labels where it has labels"
        )
    return replace(file, scores=_over(file.scores, filler.scores), labels=_over(file.labels, filler.labels))


def _over(
    first: dict[str, dict[str, Value]] | None, second: dict[str, dict[str, Value]] | None
) -> dict[str, dict[str, Value]] | None:
    if first is None or second is None:
        return first
    return {qid: second.get(qid, {}) | first.get(qid, {}) for qid in first | second}


def _panel_tau(collection: Collection, labels: Sequence[LabelSet], families: Families, metric: str) -> float | None:
    """Tau of the panel that leaves out each system's family; None where a family leaves no judge."""
    members = [one for one in labels if families.of(one.name) is not None]
    try:
        panel = leave_family_out_board(collection, [on_judged(collection, one) for one in members], families, [metric])
    except UserError:
        return None
    human = leaderboard(collection, human_labels(collection), [metric])
    return tau_b(human.means[:, 0], panel.means[:, 0])[0]


def _warn_self_judging(report: BiasReport, panel_tau: float | None) -> None:
    if not report.self_judging:
        return
    advice = "add judges of other families, so that each system can be judged without its own"
    if panel_tau is not None:
        advice = f"a panel that leaves out each system's family orders the systems with tau {panel_tau:.3f}"
    message = f"self-judging: {', '.join(report.self_judging)} judge their own systems; {advice}"
    warnings.warn(message, DataWarning, stacklevel=2)

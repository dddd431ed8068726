"""``calibrate`` and ``transfer``: selecting thresholds, and what they are worth elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from ir_shared.console import UserError, notice, print_json, print_table, track
from ir_shared.run_dir import provenance
from ir_shared.trec import read_run, run_name

from rerank_judge.calibration import KAPPA, parse_target, select_threshold, write_calibration
from rerank_judge.collection import Collection, ReadOptions
from rerank_judge.commands.inputs import reading_for, report_coverage
from rerank_judge.commands.options import (
    BinarizeHuman,
    Json,
    MissingTopicsOption,
    OnDuplicateOption,
    OnMissingOption,
    Quiet,
    RRTruncationOption,
    ScaleOption,
    TieBreakOption,
    document,
    parse_at,
    parse_scales,
)
from rerank_judge.judged import JudgedCollection
from rerank_judge.labeling import OnMissing, Scale, align_scores
from rerank_judge.leaderboard import BoardOptions
from rerank_judge.metrics import DEFAULT_METRICS
from rerank_judge.reference import Figures, read_reference
from rerank_judge.transfer import shared_judges
from rerank_judge.transfer_table import TransferTable, transfer_row

__all__ = ["calibrate", "transfer_command"]

_GRIDS = "exact (every distinct score), step:0.01, paper (0.01 for probabilities, else 0.1), logodds:0.25 or prevalence"


def calibrate(
    scores: Annotated[Path, typer.Option("--scores", help="Score file of the judge, in run format.")],
    qrels: Annotated[Path, typer.Option("--qrels", help="Human judgements of the same pairs, in qrels format.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Calibration to write, for label --calibration.")],
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Folder of run files; needed for a target tau:METRIC.")
    ] = None,
    target: Annotated[
        str, typer.Option("--target", help="What the threshold shall be best for: kappa, or tau:METRIC.")
    ] = KAPPA,
    grid: Annotated[str, typer.Option("--grid", help=f"Thresholds to choose from: {_GRIDS}.")] = "exact",
    tie_break: TieBreakOption = "center",
    binarize_human: BinarizeHuman = 2,
    scale: ScaleOption = "auto",
    on_missing: OnMissingOption = "error",
    missing_topics: MissingTopicsOption = "zero",
    rr_truncation: RRTruncationOption = "trec",
    on_duplicate: OnDuplicateOption = "error",
    json: Json = False,
) -> None:
    """Select a judge's threshold on a collection with human judgements, to be used on another one."""
    if parse_target(target) != KAPPA and runs is None:
        raise UserError(f"--target {target}: an ordering of systems needs runs; give their folder with --runs")
    collection = Collection.load(qrels, runs or (), **reading_for(_metrics([target]), binarize_human, on_duplicate))
    given = align_scores(collection, read_run(scores), run_name(scores), on_missing=on_missing, scale=scale)
    selection = select_threshold(
        collection,
        given,
        target,
        grid,
        tie_break=tie_break,
        missing_topics=missing_topics,
        rr_truncation=rr_truncation,
    )
    inputs = {"scores": scores, "qrels": qrels} | ({"runs": runs} if runs else {})
    write_calibration(out, selection, provenance("rerank-judge", inputs=inputs))
    if json:
        print_json(document("calibrate", inputs, selection=selection, coverage=given.coverage, in_sample=True, out=out))
        return
    low, high = selection.plateau
    notice(f"coverage: {given.coverage}")
    columns = ["judge", "target", "threshold", "value (in-sample)", "plateau", "equally good", "candidates"]
    plateau = f"{low:.6g} to {high:.6g}"
    row = [selection.judge, selection.target, f"{selection.threshold:.6g}", selection.value, plateau]
    print_table("", columns, [[*row, selection.n_best, selection.n_candidates]], left=2)
    notice(f"{out}: use it with 'rerank-judge label --calibration', on another collection")


def transfer_command(
    source: Annotated[
        str,
        typer.Option(
            "--source",
            metavar="NAME=FOLDER",
            help="Collection to select thresholds on: a folder with qrels*, judges/ and, for orderings, runs/; "
            "or NAME=SCORES,QRELS[,RUNS] for one judge.",
        ),
    ],
    to: Annotated[
        list[str],
        typer.Option("--to", metavar="NAME=FOLDER", help="Collection to apply them to, likewise; repeat for several."),
    ],
    both: Annotated[bool, typer.Option("--both", help="Also select on each --to and apply to --source.")] = False,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="kappa or tau:METRIC; repeat for several. Default: all that the files allow."),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid", help=f"Thresholds to choose from: {_GRIDS}; repeat for several.", show_default="paper, exact"
        ),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", help="JUDGE=THRESHOLD: show too what a threshold of yours attains; repeat for several."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference", help="TOML file of published figures to show beside ours, or 'published' for the paper's."
        ),
    ] = None,
    scale: Annotated[
        list[str] | None,
        typer.Option(
            "--scale",
            metavar="[JUDGE=]SCALE",
            help="What the scores of all judges, or of one, are: probability, log-odds (which decide at 0) or logit; "
            "repeat for several.",
            show_default="as the file says, else probability within [0, 1] and logit outside",
        ),
    ] = None,
    tie_break: TieBreakOption = "center",
    binarize_human: BinarizeHuman = 2,
    on_missing: OnMissingOption = "error",
    missing_topics: MissingTopicsOption = "zero",
    rr_truncation: RRTruncationOption = "trec",
    on_duplicate: OnDuplicateOption = "error",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Select thresholds on one collection and show what they are worth on another, for all judges at once.

    Judges are matched by the name of their files. Each judge's own decision, where it makes one, stands beside.
    """
    grids = list(dict.fromkeys(grid or ["paper", "exact"]))
    scales = parse_scales(scale)
    _distinct_names([source, *to])
    reading = reading_for(_metrics(target), binarize_human, on_duplicate)
    first = _load(source, on_missing, reading)
    others = [_scaled(_one_name(first, _load(spec, on_missing, reading)), scales) for spec in to]
    first = _scaled(first, scales)
    figures = read_reference(reference) if reference else {}
    if figures and not figures.keys() & {first.name if both else None, *(other.name for other in others)}:
        notice(f"--reference {reference}: has figures of {', '.join(figures)} only; call collections by these names")
    options: BoardOptions = {"missing_topics": missing_topics, "rr_truncation": rr_truncation}
    tables = []
    for other in others:
        for a, b in [(first, other), (other, first)] if both else [(first, other)]:
            judges = shared_judges(a, b)
            thresholds = parse_at(at, judges)
            for wanted in _targets(target, a, b):
                rows = [
                    transfer_row(
                        a,
                        b,
                        judge,
                        wanted,
                        grids,
                        at=thresholds.get(judge),
                        published=figures.get(b.name),
                        tie_break=tie_break,
                        **options,
                    )
                    for judge in track(judges, f"{a.name} to {b.name}: {wanted}", quiet=quiet)
                ]
                tables.append(TransferTable(a.name, b.name, wanted, rows))
    if json:
        inputs = {name: path for spec in (source, *to) for name, path in _input_paths(spec).items()}
        print_json(document("transfer", inputs, tables=tables))
        return
    for known in [first, *others]:
        report_coverage(known.name, {judge: labels.coverage for judge, labels in known.judges.items()})
    for table in tables:
        _show(table, grids)


def _metrics(targets: Sequence[str] | None) -> list[str]:
    """The metrics whose orderings are targets."""
    parsed = [parse_target(target) for target in targets or ()]
    return [target.removeprefix("tau:") for target in parsed if target != KAPPA]


def _load(spec: str, on_missing: OnMissing, reading: ReadOptions) -> JudgedCollection:
    """Reads NAME=FOLDER or NAME=SCORES,QRELS[,RUNS]."""
    name = spec.partition("=")[0]
    paths = list(_input_paths(spec).values())
    if len(paths) == 1:
        return JudgedCollection.from_folder(name, paths[0], on_missing=on_missing, **reading)
    scores, qrels, *runs = paths
    return JudgedCollection.load(name, qrels=qrels, judges=[scores], runs=runs, on_missing=on_missing, **reading)


def _input_paths(spec: str) -> dict[str, Path]:
    """The paths of a collection by what they are, for its reading and its hashes."""
    name, sign, rest = spec.partition("=")
    parts = [rest] if Path(rest).is_dir() else rest.split(",")
    if not (name and sign and rest) or len(parts) > 3:
        raise UserError(f"{spec!r}: expected NAME=FOLDER or NAME=SCORES,QRELS[,RUNS]")
    if len(parts) == 1 and not Path(rest).is_dir():
        raise UserError(f"{rest}: no such folder; give a folder, or SCORES,QRELS[,RUNS] separated by commas")
    roles = [name] if len(parts) == 1 else [f"{name}/{role}" for role in ("scores", "qrels", "runs")]
    return {role: Path(part) for role, part in zip(roles, parts, strict=False)}


def _distinct_names(specs: Sequence[str]) -> None:
    names = [spec.partition("=")[0] for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{name}=...: two collections of one name; give each its own")


def _scaled(judged: JudgedCollection, scales: Sequence[tuple[str | None, Scale]]) -> JudgedCollection:
    for judge, scale in scales:
        judged = judged.with_scale(scale, judge)
    return judged


def _one_name(source: JudgedCollection, other: JudgedCollection) -> JudgedCollection:
    """Where each side has one judge, they are the same one, whatever their files are called."""
    if len(source.judges) != 1 or len(other.judges) != 1:
        return other
    name, (judge,) = next(iter(source.judges)), other.judges.values()
    return replace(other, judges={name: replace(judge, name=name)})


def _targets(asked: Sequence[str] | None, a: JudgedCollection, b: JudgedCollection) -> list[str]:
    """The targets asked for, or else kappa and, where both sides have runs, the orderings."""
    if asked:
        return list(dict.fromkeys(parse_target(target) for target in asked))
    orderings = a.collection.systems and b.collection.systems
    return [KAPPA, *(f"tau:{metric}" for metric in DEFAULT_METRICS if orderings)]


def _show(table: TransferTable, grids: Sequence[str]) -> None:
    mark = " (in-sample: this is no evidence of transfer)" if table.in_sample else ""
    columns = ["judge", "direct", *(name for grid in grids for name in (f"{grid} t", table.target))]
    extra_at = any(row.at is not None for row in table.rows)
    published = any(row.published is not None for row in table.rows)
    columns += ["--at t", table.target] * extra_at
    columns += ["published direct", "published t", f"{table.target} at it", "published"] * published
    rows: list[list[object]] = []
    for row in table.rows:
        cells: list[object] = [row.judge, row.direct]
        for i in range(len(grids)):
            cells += (
                [_number(row.transferred[i].threshold), row.transferred[i].value] if row.transferred else [None, None]
            )
        if extra_at:
            cells += [_number(row.at), row.value_at]
        if published:
            figures = row.published or Figures()
            cells += [figures.direct, _number(figures.threshold), row.at_published, figures.kappa]
        rows.append(cells)
    print_table(f"{table.source} -> {table.to}: {table.target}{mark}", columns, rows)
    if published:
        equal, compared = table.equal_to_published()
        typer.echo(f"{equal} of {compared} published figures reproduced to three decimals")
        for note in table.notes():
            typer.echo(f"- {note}")
    typer.echo()


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"

"""``evaluate`` and ``predict``: how well a fitted model predicts clicks, and the relevance that it found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from ir_shared.console import UserError, notice, print_json, print_table
from ir_shared.run_dir import write_json

from clax.commands.options import DataFiles, Json, ModelFolder, PartOption, Quiet, document

if TYPE_CHECKING:
    from clax.batch import Batch
    from clax.checkpoint import SavedModel
    from clax.evaluation import Evaluation
    from clax.ranking import Ranking

__all__ = ["evaluate", "predict"]


def evaluate(
    model: ModelFolder,
    data: DataFiles,
    part: PartOption = "auto",
    annotations: Annotated[
        list[str] | None,
        typer.Option("--annotations", help="Parquet with labels, one list per query, for ranking metrics."),
    ] = None,
    relevant_from: Annotated[
        float | None,
        typer.Option("--relevant-from", help="Lowest label that is relevant for MRR; by default any positive grade."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="JSON file for all figures.")] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="Folder for plots; needs clax[plot].")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Evaluate a model: log-likelihood and perplexities with 95% intervals, by position, and ranking metrics."""
    from clax.checkpoint import load_model
    from clax.evaluation import evaluate as run
    from clax.logs import held_out
    from clax.pair_counts import load_pair_counts
    from clax.ranking import evaluate_ranking

    saved = load_model(model)
    log = held_out(saved, data, part)
    counts = load_pair_counts(model / "pairs.safetensors")
    found = run(saved.model, saved.params, log, seen=None if counts is None else counts.seen)
    ranking = None
    if annotations:
        lists = _annotated(saved, annotations)
        ranking = evaluate_ranking(saved.model, saved.params, lists, relevant_from=relevant_from)
    result = document(
        "evaluate",
        model=saved.about["model"].get("class"),
        folder=model,
        fingerprint=log.source.fingerprint(),
        window=[log.start, log.stop],
        evaluation=found,
        ranking=ranking,
    )
    if out is not None:
        write_json(out, result)
    if plots is not None:
        _plot(found, plots, saved.model.name)
    if json:
        print_json(result)
        return
    if not quiet:
        notice(f"sessions {log.start} to {log.stop}")
    _print(found, ranking)


def predict(
    model: ModelFolder,
    out: Annotated[Path, typer.Option("--out", "-o", help="File: .parquet, .csv or .tsv, or .run for a TREC run.")],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="Log whose lists to score, instead of every pair; needed where features count."),
    ] = None,
    vocabulary: Annotated[
        Path | None, typer.Option("--vocabulary", help="Names of the pairs; needed for a TREC run.")
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write the relevance that a model found: a log-probability per pair, with impressions and clicks behind it."""
    from clax.checkpoint import load_model
    from clax.data import Vocabulary
    from clax.logs import held_out
    from clax.pair_counts import load_pair_counts
    from clax.prediction import relevance_of_lists, relevance_of_pairs, write_predictions

    saved = load_model(model)
    names = None if vocabulary is None else Vocabulary.load(vocabulary)
    if names is not None and saved.about["data"]["vocabulary"] not in (None, names.fingerprint):
        raise UserError(f"{vocabulary}: is not the vocabulary of the log that {model} was fitted to; give that one")
    if data:
        frame = relevance_of_lists(saved.model, saved.params, held_out(saved, data, "all"))
    else:
        counts = load_pair_counts(model / "pairs.safetensors")
        num_pairs = saved.about["data"]["num_pairs"]
        frame = relevance_of_pairs(saved.model, saved.params, num_pairs, counts, names)
    write_predictions(frame, out, saved.model.name)
    if json:
        print_json(document("predict", folder=model, file=out, rows=len(frame)))
    if not quiet:
        notice(f"{out}: {len(frame)} documents")


def _annotated(saved: SavedModel, paths: list[str]) -> Iterator[Batch]:
    """Annotated lists, which may be longer than what a log shows: relevance does not depend on where a document is."""
    from clax.data import Columns, ParquetSource, SessionData
    from clax.data.parquet import parquet_files
    from clax.logs import check_vocabulary

    known = saved.about["data"]
    longest = ParquetSource(parquet_files(paths)).metadata.get("max_positions") or 1_000
    lists = SessionData.from_parquet(
        paths,
        max_positions=longest,
        num_pairs=known["num_pairs"],
        columns=Columns(clicks=None, positions=None),
        zero_based=bool((saved.about.get("config") or {}).get("data", {}).get("zero_based")),
        batch_size=256,
    )
    check_vocabulary(lists, known["vocabulary"], known["num_pairs"])
    for batch in lists:
        yield batch._replace(positions=batch.mask.astype("int32"))


def _plot(found: Evaluation, folder: Path, name: str) -> None:
    from clax.plots import plot_calibration, plot_perplexity

    plot_perplexity({name: found}, folder / "perplexity")
    plot_calibration(found, folder / "calibration")


def _print(found: Evaluation, ranking: Ranking | None) -> None:
    def cells(value: float, low: float, high: float) -> list[object]:
        return [f"{value:.4f}", f"{low:.4f} to {high:.4f}"]

    plain, given = found.perplexity, found.conditional_perplexity
    rows: list[list[object]] = [
        ["log-likelihood", *cells(found.log_likelihood, *found.interval)],
        ["perplexity", *cells(plain.overall, *plain.interval)],
        ["conditional perplexity", *cells(given.overall, *given.interval)],
    ]
    if ranking is not None:
        for name in [name for name in ("ndcg@10", "mrr") if name in ranking.per_query]:
            interval = ranking.interval(name)
            rows.append([name, *cells(interval.estimate, interval.low, interval.high)])
    unseen = "" if found.unseen is None else f", {found.unseen} of pairs not seen in training"
    print_table(f"{found.sessions} sessions, {found.documents} documents{unseen}", ["", "value", "95% interval"], rows)
    columns = ["position", "documents", "click rate", "perplexity", "conditional"]
    by_position = zip(plain.counts, found.click_rate, plain.per_position, given.per_position, strict=True)
    print_table(
        "\nby position", columns, [[k, int(n), *map(float, r)] for k, (n, *r) in enumerate(by_position, 1) if n]
    )

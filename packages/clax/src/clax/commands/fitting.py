"""``fit`` and ``compare``: one model kept, or several side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from ir_shared.console import UserError, notice, print_json, print_table
from ir_shared.run_dir import write_json

from clax.commands.options import (
    BinariseClicks,
    ClipToUnknown,
    DataFiles,
    Json,
    MaxPositions,
    Quiet,
    ZeroBased,
    document,
    epoch_notice,
    step_progress,
)

if TYPE_CHECKING:
    from clax.comparison import Compared
    from clax.config import FitConfig

__all__ = ["compare", "fit"]

Config = Annotated[Path | None, typer.Option("--config", help="TOML file; options on the command line win.")]
Method = Annotated[
    Literal["gradient", "em"] | None, typer.Option("--method", help="Gradient descent, or EM for tables.")
]
PseudoCountsOption = Annotated[
    float | None,
    typer.Option("--pseudo-counts", help="Imagined successes and as many failures behind each probability.", min=0.0),
]
Epochs = Annotated[int | None, typer.Option("--epochs", help="At most so many epochs, or EM iterations.", min=0)]
LearningRate = Annotated[float | None, typer.Option("--lr", help="Learning rate of AdamW.")]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Sessions per step.", min=1)]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of the weights and the order.", min=0)]

_COLUMNS = ("log-likelihood", "±", "perplexity", "±", "conditional", "±", "best epoch", "seconds")
_EVERY = "rctr,dctr,cm,pbm,ubm,dcm,ccm,dbn,sdbn"


def fit(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model.")],
    data: Annotated[list[str] | None, typer.Argument(help="Parquet files, folders or patterns.")] = None,
    config: Config = None,
    model: Annotated[
        str | None, typer.Option("--model", help="A model's name, or several joined by + for a mixture.")
    ] = None,
    method: Method = None,
    epochs: Epochs = None,
    lr: LearningRate = None,
    batch_size: BatchSize = None,
    pseudo_counts: PseudoCountsOption = None,
    max_positions: MaxPositions = None,
    binarise_clicks: BinariseClicks = False,
    clip_to_unknown: ClipToUnknown = False,
    zero_based: ZeroBased = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")] = False,
    seed: SeedOption = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit a model on the first 80% of a log, and keep the weights that predict the next 10% best.

    Ctrl-C keeps the last checkpoint and exits with 3; --resume goes on from it.
    """
    from clax.fitting import fit as run
    from clax.logs import open_logs

    settings = _settings(config, data, model, method, epochs, lr, batch_size, pseudo_counts, max_positions, seed)
    settings = _repairing(settings, binarise_clicks, clip_to_unknown, zero_based)
    logs = open_logs(settings.data, settings.seed)
    with step_progress(len(logs.train), quiet) as on_step:
        fitted = run(settings, out, logs=logs, resume=resume, on_epoch=epoch_notice(quiet), on_step=on_step)
    result = document(
        "fit",
        settings.seed,
        model=settings.model,
        folder=out,
        best_epoch=fitted.best_epoch,
        stopped=fitted.stopped,
        seconds=fitted.seconds,
        counts=logs.train.counts,
        history=fitted.history,
    )
    write_json(out / "fit.json", result)
    if json:
        print_json(result)
        return
    best = fitted.history[fitted.best_epoch - 1] if fitted.best_epoch and "epoch" in fitted.history[0] else {}
    rows: list[list[object]] = [
        ["best epoch" if best else "iterations", fitted.best_epoch],
        ["stopped by", fitted.stopped],
    ]
    rows += [["seconds", fitted.seconds], ["validation loss", best.get("valid_loss")]]
    print_table(f"{settings.model} in {out}", ["", "value"], rows)


def compare(
    data: DataFiles,
    models: Annotated[str, typer.Option("--models", help="Names separated by commas.")] = _EVERY,
    config: Config = None,
    method: Method = None,
    epochs: Epochs = None,
    lr: LearningRate = None,
    batch_size: BatchSize = None,
    pseudo_counts: PseudoCountsOption = None,
    max_positions: MaxPositions = None,
    binarise_clicks: BinariseClicks = False,
    clip_to_unknown: ClipToUnknown = False,
    zero_based: ZeroBased = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for a folder per model.")] = None,
    seed: SeedOption = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit several models on one log and evaluate them on its test part, best log-likelihood first."""
    from clax.comparison import compare as run
    from clax.logs import open_log

    settings = _settings(config, data, None, method, epochs, lr, batch_size, pseudo_counts, max_positions, seed)
    settings = _repairing(settings, binarise_clicks, clip_to_unknown, zero_based)
    names = [name.strip() for name in models.split(",") if name.strip()]
    results: list[Compared] = []
    for line in run(settings, names, out, on_epoch=lambda name, epoch: epoch_notice(quiet, f"{name}: ")(epoch)):
        results.append(line)
        if not quiet:
            notice(f"{line.model}: log-likelihood {line.evaluation.log_likelihood:.4f} after {line.seconds:.1f} s")
    results.sort(key=lambda line: line.evaluation.log_likelihood, reverse=True)
    fingerprint = open_log(settings.data.train, settings.data).source.fingerprint()
    result = document("compare", settings.seed, results=results, fingerprint=fingerprint)
    if out is not None:
        write_json(out / "compare.json", result)
    if json:
        print_json(result)
        return
    print_table("", ["model", *_COLUMNS], [_row(line) for line in results])


def _row(line: Compared) -> list[object]:
    found = line.evaluation
    figures = [found.log_likelihood, found.log_likelihood_error]
    figures += [found.perplexity.overall, found.perplexity.standard_error]
    figures += [found.conditional_perplexity.overall, found.conditional_perplexity.standard_error]
    return [line.model, *(f"{x:.4f}" for x in figures), line.best_epoch, f"{line.seconds:.1f}"]


def _settings(
    config: Path | None,
    data: list[str] | None,
    model: str | None,
    method: Literal["gradient", "em"] | None,
    epochs: int | None,
    lr: float | None,
    batch_size: int | None,
    pseudo_counts: float | None,
    max_positions: int | None,
    seed: int | None,
) -> FitConfig:
    """The configuration file, or the defaults, with what the command line says instead."""
    from clax.config import FitConfig, PriorSettings, read_config

    base = FitConfig() if config is None else read_config(config)
    if lr is not None and not lr > 0:
        raise UserError(f"--lr {lr}: must be above 0")
    return replace(
        base,
        model=model or base.model,
        method=method or base.method,
        seed=base.seed if seed is None else seed,
        data=replace(
            base.data,
            train=tuple(data) if data else base.data.train,
            batch_size=batch_size or base.data.batch_size,
            max_positions=max_positions or base.data.max_positions,
        ),
        prior=base.prior if pseudo_counts is None else PriorSettings(pseudo_counts, pseudo_counts),
        train=replace(
            base.train,
            epochs=base.train.epochs if epochs is None else epochs,
            lr=base.train.lr if lr is None else lr,
        ),
    )


def _repairing(settings: FitConfig, binarise_clicks: bool, clip_to_unknown: bool, zero_based: bool) -> FitConfig:
    """The settings with the repairs of the log that the command line asks for, besides those of the file."""
    data = replace(
        settings.data,
        binarise_clicks=binarise_clicks or settings.data.binarise_clicks,
        clip_to_unknown=clip_to_unknown or settings.data.clip_to_unknown,
        zero_based=zero_based or settings.data.zero_based,
    )
    return replace(settings, data=data)

"""``train``: a two-tower model from a click log, by an exact fit or by gradient descent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from ir_shared.console import PartialResult, UserError, notice, print_json, print_table
from ir_shared.run_dir import write_json

from twotower_ident.commands.log_options import (
    Column,
    FeatureColumn,
    Features,
    Json,
    Merge,
    PositionBase,
    Quiet,
    Seed,
    document,
    read_log,
)
from twotower_ident.commands.model_options import Folder, NFeatures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from twotower_ident.cells import CellTable
    from twotower_ident.commands.train_inputs import TrainInputs
    from twotower_ident.exact_fit import ExactFit
    from twotower_ident.placement import Scheme
    from twotower_ident.towers import Tower
    from twotower_ident.training import TrainConfig, TrainingResult

__all__ = ["train_command"]

_Weighting = Literal["none", "raw", "clip", "self-normalised", "stabilised"]


def train_command(
    out: Folder,
    log: Annotated[
        list[str] | None,
        typer.Argument(help="Click log, as audit reads it; or give --letor instead.", metavar="[LOG]..."),
    ] = None,
    letor: Annotated[
        Path | None, typer.Option("--letor", help="LETOR svmlight file: train on a log simulated on its documents.")
    ] = None,
    strength: Annotated[float, typer.Option(help="With --letor: α of the expert policy.")] = 1.0,
    temperature: Annotated[float, typer.Option(help="With --letor: τ, the share of shuffled sessions.")] = 0.0,
    sessions: Annotated[int, typer.Option(help="With --letor: how many sessions.", min=1)] = 10_000,
    signed_log: Annotated[bool, typer.Option("--log/--no-log", help="With --letor: signed logarithms.")] = True,
    n_features: NFeatures = None,
    tower: Annotated[
        Literal["embedding", "linear", "deep"], typer.Option(help="Relevance tower; deep needs the extra deep.")
    ] = "linear",
    features: Features = None,
    feature_column: FeatureColumn = None,
    column: Column = None,
    position_base: PositionBase = 1,
    merge: Merge = None,
    weighting: Annotated[_Weighting, typer.Option(help="Placement weights.")] = "none",
    clip: Annotated[float | None, typer.Option(help="Largest weight, for --weighting clip.")] = None,
    solver: Annotated[
        Literal["auto", "exact", "adamw"], typer.Option(help="auto: exact, and adamw for deep towers and baselines.")
    ] = "auto",
    ridge: Annotated[float | None, typer.Option(help="Ridge of an exact fit.", min=0)] = None,
    naive: Annotated[bool, typer.Option("--naive", help="Baseline: no bias tower.")] = False,
    bias_dropout: Annotated[float, typer.Option(help="Baseline: dropout rate of the bias logit.", min=0)] = 0.0,
    gradient_reversal: Annotated[float, typer.Option(help="Baseline: strength of gradient reversal.", min=0)] = 0.0,
    layers: Annotated[int, typer.Option(help="Hidden layers of a deep tower.", min=1)] = 2,
    width: Annotated[int, typer.Option(help="Units of a hidden layer.", min=1)] = 32,
    epochs: Annotated[int, typer.Option(help="Epochs of adamw, at most.", min=1)] = 50,
    steps: Annotated[int, typer.Option(help="Steps of an epoch.", min=1)] = 1000,
    learning_rate: Annotated[float, typer.Option(help="Of adamw.")] = 3e-3,
    validation_share: Annotated[float, typer.Option(help="Queries kept for early stopping.", min=0.01, max=0.9)] = 0.1,
    allow_unidentified: Annotated[
        bool, typer.Option("--allow-unidentified", help="Fit an embedding tower to a log that splits positions.")
    ] = False,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a two-tower model: model.json, parameters.npz and training.json; adamw goes on from its checkpoint."""
    from twotower_ident.commands.train_inputs import Simulation, from_letor, from_log
    from twotower_ident.towers import Deep, Embedding, FittedModel, Linear, TwoTower
    from twotower_ident.training import TrainConfig, TrainingResult

    towers: dict[str, Tower] = {"embedding": Embedding(), "linear": Linear(), "deep": Deep(layers, width)}
    shape = towers[tower]
    model = TwoTower(shape, not naive, bias_dropout, gradient_reversal)
    exact = solver == "exact" or (solver == "auto" and model == TwoTower(shape) and tower != "deep")
    if exact and (model != TwoTower(shape) or tower == "deep"):
        raise UserError("--solver exact fits embedding and linear towers beside a bias tower; use --solver adamw")
    if (letor is None) == (not log):
        raise UserError("give either a click log, or documents to simulate one on with --letor")
    if letor is not None and merge is not None:
        raise UserError("--merge merges positions of a click log; leave it out with --letor")
    embedding = tower == "embedding"
    if letor is not None:
        simulation = Simulation(strength, temperature, sessions, signed_log, n_features)
        read = from_letor(letor, simulation, seed, embedding=embedding)
    else:
        opened = read_log(
            log or [],
            column=column,
            position_base=position_base,
            feature_column=feature_column,
            features=features,
            merge=merge,
        )
        read = from_log(opened, features, feature_column, embedding=embedding)
    if embedding and not allow_unidentified:
        _refuse_split(read.cells)
    weights = _weights(read, weighting, clip, quiet)
    out.mkdir(parents=True, exist_ok=True)
    report: ExactFit | TrainingResult
    if exact:
        report = _fit(read, tower, weights, ridge)
        fitted = FittedModel.from_exact(report, read.inputs)
    else:
        config = TrainConfig(learning_rate=learning_rate, epochs=epochs, steps=steps, seed=seed)
        report = _descend(model, read, weights, config, validation_share, out / "checkpoint.safetensors")
        fitted = report.fitted
    replace(fitted, merge=read.merge).save(out)
    result = document(
        "train", log or [str(letor)], seed, tower=tower, solver="exact" if exact else "adamw", training=report
    )
    write_json(out / "training.json", result)
    if json:
        print_json(result)
    else:
        _show(out, read.cells.labels(), fitted.position_bias, report, quiet)
    if isinstance(report, TrainingResult) and report.stopped in ("interrupted", "non-finite"):
        saved = "the best epoch" if report.best_epoch else "no epoch was finished, and the model as it began"
        raise PartialResult(f"{report.detail}; {saved} is saved in {out}")


def _refuse_split(cells: CellTable) -> None:
    from twotower_ident.swap_graph import position_graph

    graph = position_graph(cells)
    if graph.n_components > 1:
        raise UserError(
            f"the log splits its positions into {graph.n_components} components, between which an embedding tower is "
            "not identified; run audit for what would link them, or train with --allow-unidentified"
        )


def _weights(read: TrainInputs, weighting: _Weighting, clip: float | None, quiet: bool) -> NDArray[np.float64] | None:
    """Placement weights times 1 / (documents of the session), where the log knows its sessions; shape [C]."""
    from twotower_ident.placement import placement_weights

    if weighting == "none":
        return read.session_weights
    scheme: Scheme = weighting
    placed = placement_weights(read.cells, scheme, clip=clip)
    if not quiet:
        for note in placed.notes:
            notice(note)
    return placed.weight if read.session_weights is None else read.session_weights * placed.weight


def _fit(
    read: TrainInputs,
    tower: Literal["embedding", "linear", "deep"],
    weights: NDArray[np.float64] | None,
    ridge: float | None,
) -> ExactFit:
    from twotower_ident.exact_fit import fit_exact

    kind: Literal["embedding", "linear"] = "embedding" if tower == "embedding" else "linear"
    names = None if read.inputs is None else read.inputs.names
    return fit_exact(read.cells, kind, features=read.features, weights=weights, ridge=ridge, names=names)


def _descend(
    model: Any,
    read: TrainInputs,
    weights: NDArray[np.float64] | None,
    config: TrainConfig,
    share: float,
    checkpoint: Path,
) -> TrainingResult:
    """Trains on some queries and stops by the others; an embedding tower, which must see all pairs, by its own log."""
    import numpy as np

    from twotower_ident.training import TrainingData, train

    cells, features = read.cells, read.features
    weights = np.ones(cells.n_cells) if weights is None else weights
    kept = np.random.default_rng(config.seed).random(cells.n_queries) < share
    held = kept[cells.pair_query][cells.pair]
    if features is None or not held.any() or held.all():
        data = validation = TrainingData(cells, features, weights)
    else:
        data = TrainingData(cells.keep_cells(~held), features, weights[~held])
        validation = TrainingData(cells.keep_cells(held), features, weights[held])
    return train(model, data, validation, config, inputs=read.inputs, checkpoint=checkpoint)


def _show(
    out: Path, labels: list[str], bias: NDArray[np.float64], report: ExactFit | TrainingResult, quiet: bool
) -> None:
    reasons = getattr(report, "reasons", {})
    rows = [
        (label, float(value), reasons.get(k, "")) for k, (label, value) in enumerate(zip(labels, bias, strict=True), 1)
    ]
    print_table("position bias (logit, relative to the reference)", ["position", "bias", "why"], rows)
    if not quiet:
        notice(f"{out}: {getattr(report, 'detail', 'fitted exactly')}")

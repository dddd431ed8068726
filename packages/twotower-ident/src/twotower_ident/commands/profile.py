"""``profile``: how firmly the log holds each position of a deep model, by retraining with that position shifted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from ir_shared.console import PartialResult, UserError, notice, print_json, print_table
from ir_shared.run_dir import write_json

from twotower_ident.commands.log_options import (
    Column,
    FeatureColumn,
    Features,
    Json,
    Log,
    PositionBase,
    Quiet,
    Seed,
    document,
    read_log,
)
from twotower_ident.commands.model_options import Folder, features_of

__all__ = ["profile_command"]


def profile_command(
    log: Log,
    model: Annotated[Path, typer.Option("--model", help="Folder that train wrote.")],
    out: Folder,
    features: Features = None,
    feature_column: FeatureColumn = None,
    column: Column = None,
    position_base: PositionBase = 1,
    positions: Annotated[str, typer.Option(help="Positions, e.g. 2,5-8; all but the reference if empty.")] = "",
    shifts: Annotated[str, typer.Option(help="Shifts of the position's bias, below and above 0.")] = "-3,-1.5,1.5,3",
    reference: Annotated[int, typer.Option(help="Position that fixes the level.", min=1)] = 1,
    epochs: Annotated[int, typer.Option(help="Epochs of each retraining, at most.", min=1)] = 10,
    steps: Annotated[int, typer.Option(help="Steps of an epoch.", min=1)] = 1000,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Profile the likelihood around each position (deep models; the audit is exact for the others)."""
    from twotower_ident.profile import profile_position
    from twotower_ident.towers import FittedModel
    from twotower_ident.training import TrainConfig, TrainingData

    fitted = FittedModel.load(model)
    wanted = feature_column or (list(fitted.inputs.names) if fitted.inputs else None)
    opened = read_log(
        log, column=column, position_base=position_base, feature_column=wanted, features=features, merge=fitted.merge
    )
    data = TrainingData(opened.cells(), features_of(opened, features, wanted).values)
    k = data.cells.n_positions
    chosen = _positions(positions, k) if positions else list(range(1, k + 1))
    config = TrainConfig(learning_rate=6e-3, epochs=epochs, steps=steps, seed=seed)
    deltas, found = _numbers(shifts), []
    interrupted = False
    try:
        for position in chosen:
            if position == reference:
                continue
            found.append(profile_position(fitted, data, position, shifts=deltas, reference=reference, config=config))
            if not quiet:
                notice(f"position {position}: {found[-1].verdict}")
    except KeyboardInterrupt:
        interrupted = True
    result = document("profile", {"model": model}, seed, positions=found, reference=reference)
    write_json(out / "profile.json", result)
    if interrupted:
        raise PartialResult(f"{out}: {len(found)} positions are profiled; name the others with --positions")
    if json:
        print_json(result)
        return
    columns = ["position", "verdict", "bias", *(f"{delta:+g}" for delta in deltas)]
    rows = [(row.position, row.verdict, row.bias, *row.statistic) for row in found]
    print_table("likelihood ratio of each shift", columns, rows, left=2)


def _positions(text: str, k: int) -> list[int]:
    from twotower_ident.letor import parse_columns

    try:
        return [int(position) for position in parse_columns(text, k + 1)]
    except UserError:
        raise UserError(f"--positions {text!r}: expected positions from 1 to {k}, e.g. 2,5-8") from None


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--shifts {text!r}: expected numbers with commas between, e.g. -3,-1.5,1.5,3") from None

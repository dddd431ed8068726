"""``propensities`` and ``diagnose``: position bias with errors, and whether the log can tell it from relevance."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated, Any

import typer
from ir_shared.console import Exit, UserError, notice, print_json, print_table
from ir_shared.run_dir import atomic_write, write_json

from clax.commands.options import (
    BinariseClicks,
    ClipToUnknown,
    DataFiles,
    Json,
    MaxPositions,
    ModelFolder,
    Quiet,
    ZeroBased,
    document,
)

__all__ = ["diagnose", "propensities"]


def propensities(
    model: ModelFolder,
    data: DataFiles,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File: .json or .csv.")] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="Folder for a plot; needs clax[plot].")] = None,
    json: Json = False,
) -> None:
    """Export examination by position relative to the first, with standard errors, from a fitted pbm or ubm.

    Only ratios are known: attraction and examination share a common factor that no log can tell. The errors rest on
    the training part of DATA, which must be the log that the model was fitted to.
    """
    from clax.checkpoint import load_model
    from clax.logs import held_out
    from clax.standard_errors import propensities as run

    if out is not None and out.suffix not in (".json", ".csv"):
        raise UserError(f"{out}: name it .json or .csv")
    saved = load_model(model)
    log = held_out(saved, data, "train")
    if log.source.fingerprint() != saved.about["data"]["fingerprint"]:
        raise UserError("the log is not the one that the model was fitted to, so that its errors would not be right")
    found = run(saved.model, saved.params, log)
    result = document("propensities", folder=model, model=saved.model.name, **found.to_json())
    rows = found.rows()
    if out is not None and out.suffix == ".json":
        write_json(out, result)
    elif out is not None:
        atomic_write(out, _csv(rows))
    if plots is not None:
        from clax.plots import plot_examination

        plot_examination({saved.model.name: found}, plots / "examination")
    if json:
        print_json(result)
        return
    columns = ["position", "last click", "ratio", "standard error", "95% interval", "impressions", "clicks"]
    print_table("", columns, [_row(row) for row in rows])


def diagnose(
    data: DataFiles,
    max_positions: MaxPositions = None,
    binarise_clicks: BinariseClicks = False,
    clip_to_unknown: ClipToUnknown = False,
    zero_based: ZeroBased = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check what a log can tell before a model is fitted; exit 4 if position bias cannot be told from relevance."""
    from clax.data import SessionData
    from clax.diagnostics import diagnose as run

    log = SessionData.from_parquet(
        data,
        max_positions=max_positions,
        binarise_clicks=binarise_clicks,
        clip_to_unknown=clip_to_unknown,
        zero_based=zero_based,
    )
    found = run(log)
    if json:
        print_json(document("diagnose", fingerprint=log.source.fingerprint(), counts=log.counts, diagnosis=found))
    else:
        rows: list[list[object]] = [
            ["documents shown", found.documents],
            ["clicks", found.clicks],
            ["pairs", found.pairs],
            ["pairs shown at several positions", found.moving_pairs],
            ["cells of pair and position", found.cells],
            ["impressions per cell (10%, 50%, 90%)", ", ".join(f"{x:g}" for x in found.impressions_per_cell)],
            ["groups of positions that can be compared", max(found.component) + 1],
        ]
        print_table("", ["", "value"], rows)
        by_position = zip(found.positions, found.impressions, found.clicks_at, found.component, strict=True)
        table = [[k, shown, clicked, clicked / shown, group] for k, shown, clicked, group in by_position]
        print_table("\nby position", ["position", "impressions", "clicks", "click rate", "group"], table)
    if not quiet:
        for warning in found.warnings:
            notice(f"warning: {warning}")
    if not found.identifiable:
        raise typer.Exit(Exit.CHECK_FAILED)


def _row(row: dict[str, Any]) -> list[object]:
    interval = f"{row['low']:.3f} to {row['high']:.3f}"
    return [
        row["positions"],
        row["last_clicks"],
        row["ratio"],
        row["standard_error"],
        interval,
        int(row["impressions"]),
        int(row["clicks"]),
    ]


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()

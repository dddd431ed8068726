"""Options that several commands share, and what they show while they run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from ir_shared.console import notice
from ir_shared.run_dir import provenance

__all__ = [
    "BinariseClicks",
    "ClipToUnknown",
    "DataFiles",
    "Json",
    "MaxPositions",
    "ModelFolder",
    "ModelName",
    "PartOption",
    "Quiet",
    "Seed",
    "ZeroBased",
    "document",
    "epoch_notice",
    "step_progress",
]

DataFiles = Annotated[
    list[str], typer.Argument(help="Parquet files with one row per session, folders of them, or glob patterns.")
]
ModelFolder = Annotated[Path, typer.Argument(help="Folder that fit wrote.")]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help="gctr, rctr, dctr, drctr, cm, pbm, ubm, dcm, ccm, dbn or sdbn; several joined by + make a mixture.",
    ),
]
MaxPositions = Annotated[
    int | None, typer.Option("--max-positions", help="Ranks to keep; known for files that clax wrote.", min=1)
]
BinariseClicks = Annotated[bool, typer.Option("--binarise-clicks", help="Make counts of clicks 1.")]
ClipToUnknown = Annotated[
    bool, typer.Option("--clip-to-unknown", help="Let all ids beyond the table share one row, the last.")
]
ZeroBased = Annotated[bool, typer.Option("--zero-based", help="Ids start at 0.")]
PartOption = Annotated[
    Literal["auto", "all", "train", "valid", "test"],
    typer.Option("--part", help="Part of the log; auto = the test part of the log fitted on, all of any other."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, with versions and seed.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.", min=0)]


def document(command: str, seed: int | None = None, **result: object) -> dict[str, Any]:
    """A result with its provenance, as ``--json`` prints it; a log is named by its fingerprint, not hashed whole."""
    return {"command": command, **result, "provenance": provenance("clax", seed=seed)}


def epoch_notice(quiet: bool, name: str = "") -> Callable[[Mapping[str, Any]], None]:
    """What prints one line per epoch or iteration on stderr."""

    def show(line: Mapping[str, Any]) -> None:
        if quiet:
            return
        if "objective" in line:
            notice(f"{name}iteration {line['iteration']}: objective {line['objective']:.6g}")
            return
        valid = "" if line["valid_loss"] is None else f", validation {line['valid_loss']:.5f}"
        best = " (best)" if line["improved"] and line["valid_loss"] is not None else ""
        notice(f"{name}epoch {line['epoch']}: loss {line['train_loss']:.5f}{valid}{best}")

    return show


@contextmanager
def step_progress(steps: int, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar of the steps in an epoch, on a terminal only."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("epoch {task.fields[epoch]}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("epoch", total=steps, epoch=1)
        yield lambda epoch, step: progress.update(task, completed=step, epoch=epoch)

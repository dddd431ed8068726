"""``study``: all research questions from one file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from ir_shared.console import notice, print_json

from rerank_judge.commands.options import Json, Quiet, document
from rerank_judge.study import run_study
from rerank_judge.study_config import StudyConfig

__all__ = ["study_command"]


def study_command(
    study: Annotated[Path, typer.Argument(metavar="STUDY.TOML", help="What to do; see the example in docs/.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for results.json, tables.md, tables.tex and plots/.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Folder that relative paths start from; without it they start from the file's own folder, then from "
            "$IR_DATA.",
        ),
    ] = None,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw plots too.")] = True,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a whole study: agreement, orderings, thresholds carried over and bias, as tables, plots and JSON.

    Parts that are finished and unchanged are taken from an earlier run in the same folder.
    """
    config = StudyConfig.read(study, _bases(study, data))

    def tell(done: int, total: int, name: str, computed: bool) -> None:
        if not quiet:
            notice(f"[{done}/{total}] {name}" + ("" if computed else ": unchanged"))

    result = run_study(config, out, plots=plots, on_part=tell)
    if json:
        parts = {name: name in result.computed for name in result.parts}
        print_json(document("study", {"study": study}, config.seed, out=out, computed=parts, plots=result.plots))
    else:
        drawn = f", {len(result.plots)} plots" if result.plots else ""
        notice(f"{out}: results.json, tables.md, tables.tex{drawn}; {len(result.computed)} of {len(result.parts)} new")


def _bases(study: Path, data: Path | None) -> tuple[Path, ...]:
    if data is not None:
        return (data,)
    root = os.environ.get("IR_DATA")
    return (study.resolve().parent, *([Path(root)] if root else []))

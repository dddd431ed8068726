"""The command ``rerank-judge``."""

from __future__ import annotations

import typer
from ir_shared.console import run_app

from rerank_judge.commands.bias import bias_command
from rerank_judge.commands.evaluation import agree_command, leaderboard_command
from rerank_judge.commands.labels import label, score
from rerank_judge.commands.orderings import correlate_command
from rerank_judge.commands.study import study_command
from rerank_judge.commands.thresholds import calibrate, transfer_command

__all__ = ["app", "main"]

app = typer.Typer(
    name="rerank-judge",
    help="Turn any re-ranker into a relevance judge: score pairs, choose a threshold on one collection, label another, "
    "and measure how far the labels can be trusted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("score")(score)
app.command("label")(label)
app.command("calibrate")(calibrate)
app.command("transfer")(transfer_command)
app.command("agree")(agree_command)
app.command("leaderboard")(leaderboard_command)
app.command("correlate")(correlate_command)
app.command("bias")(bias_command)
app.command("study")(study_command)


def main() -> None:
    """Runs the command line with the house's exit codes."""
    run_app(app)

"""The command ``clax``."""

from __future__ import annotations

import typer
from ir_shared.console import run_app

from clax.commands.analysis import diagnose, propensities
from clax.commands.conversion import convert
from clax.commands.evaluation import evaluate, predict
from clax.commands.fitting import compare, fit
from clax.commands.simulation import simulate

__all__ = ["app", "main"]

app = typer.Typer(
    name="clax",
    help="Fit click models to any amount of log: simulate or convert a log, fit a model, evaluate it, and read off "
    "relevance and propensities.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("simulate")(simulate)
app.command("convert")(convert)
app.command("fit")(fit)
app.command("evaluate")(evaluate)
app.command("predict")(predict)
app.command("propensities")(propensities)
app.command("diagnose")(diagnose)
app.command("compare")(compare)


def main() -> None:
    """Runs the command line with the house's exit codes."""
    run_app(app)

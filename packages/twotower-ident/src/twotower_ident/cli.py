"""The command ``twotower-ident``."""

from __future__ import annotations

import typer
from ir_shared.console import run_app

from twotower_ident.commands.audit_command import audit_command
from twotower_ident.commands.check_model import check_model_command
from twotower_ident.commands.estimates import position_bias_command, weights_command
from twotower_ident.commands.profile import profile_command
from twotower_ident.commands.rank import rank_command
from twotower_ident.commands.reproduce import reproduce_command
from twotower_ident.commands.simulate import simulate_command
from twotower_ident.commands.train import train_command

__all__ = ["app", "main"]

app = typer.Typer(
    name="twotower-ident",
    help="Can this click log identify this two-tower model, and what to do about it: audit a log, estimate position "
    "bias, weigh impressions, check a model; and simulate logs, train and rank.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("audit")(audit_command)
app.command("position-bias")(position_bias_command)
app.command("weights")(weights_command)
app.command("check-model")(check_model_command)
app.command("simulate")(simulate_command)
app.command("train")(train_command)
app.command("rank")(rank_command)
app.command("profile")(profile_command)
app.command("reproduce")(reproduce_command)


def main() -> None:
    """Runs the command line with the house's exit codes."""
    run_app(app)

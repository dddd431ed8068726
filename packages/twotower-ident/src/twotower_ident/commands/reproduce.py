"""``reproduce``: one of the paper's experiments on learning-to-rank data, beside the official figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from ir_shared.console import PartialResult, UserError, print_json, print_table, track
from ir_shared.run_dir import RunDir, write_json

from twotower_ident.commands.log_options import Json, Quiet, document
from twotower_ident.commands.model_options import Folder, NFeatures

__all__ = ["reproduce_command"]

_SHOWN = ("ndcg@10", "nll", "theta_2", "theta_5", "theta_10", "theta_25", "curve_error")
_OFFICIAL = ("official_ndcg@10", "official_theta_25")


def reproduce_command(
    experiment: Annotated[str, typer.Argument(help="e.g. 3-expert-policy; see the list in an error for others.")],
    letor: Annotated[Path, typer.Option("--letor", help="Folder with train.txt, vali.txt and test.txt.")],
    out: Folder,
    sessions: Annotated[int | None, typer.Option(help="Training sessions; the paper's number if not given.")] = None,
    population: Annotated[bool, typer.Option("--population", help="Expected cells: no sampling noise.")] = False,
    compat: Annotated[
        Literal["none", "official"], typer.Option(help="official: with the habits of the paper's code.")
    ] = "none",
    seeds: Annotated[int, typer.Option(help="How many seeds, from 2021.", min=1)] = 3,
    epochs: Annotated[int, typer.Option(help="Epochs of gradient descent, at most.", min=1)] = 50,
    steps: Annotated[int, typer.Option(help="Steps of an epoch.", min=1)] = 1000,
    log: Annotated[bool, typer.Option("--log/--no-log", help="Take features to signed logarithms (MSLR yes).")] = True,
    n_features: NFeatures = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run an experiment of the paper; a second run goes on where the first was stopped."""
    from twotower_ident.experiments import EXPERIMENTS, Protocol, SeededData, run_setting, seeded_data, settings
    from twotower_ident.splits import read_splits
    from twotower_ident.training import TrainConfig

    if experiment not in EXPERIMENTS:
        raise UserError(f"{experiment}: no such experiment; there are {', '.join(EXPERIMENTS)}")
    chosen = EXPERIMENTS[experiment]
    splits = read_splits(letor, log=log, n_features=n_features)
    config = TrainConfig(epochs=epochs, steps=steps)
    protocol = Protocol(official=compat == "official", population=population, sessions=sessions, config=config)
    asked = {"experiment": experiment, "protocol": protocol, "log": log, "n_features": n_features}
    folder = RunDir(out, "twotower-ident", arguments=asked, inputs={"letor": letor})
    done = {_key(row): row for row in folder.metrics()}
    seeded: dict[int, SeededData] = {}
    grid = list(settings(chosen, tuple(range(2021, 2021 + seeds))))
    try:
        for setting in track(grid, experiment, quiet=quiet):
            if _key(setting.__dict__) not in done:
                if setting.seed not in seeded:
                    seeded = {setting.seed: seeded_data(chosen, splits, setting.seed, protocol)}
                row = run_setting(chosen, seeded[setting.seed], setting, protocol)
                done[_key(row)] = row
                folder.log(**row)
    except KeyboardInterrupt:
        raise PartialResult(f"{out}: {len(done)} of {len(grid)} settings; run again to go on") from None
    _report(out, [done[_key(setting.__dict__)] for setting in grid], json, {"letor": letor})


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    numbers = round(float(row["strength"]), 6), round(float(row["temperature"]), 6)
    return row["policy"], *numbers, row["seed"], row["weighted"]


def _report(out: Path, rows: list[dict[str, Any]], json: bool, inputs: dict[str, Path]) -> None:
    from importlib.util import find_spec

    from twotower_ident.experiment_report import plot_experiment, summary_rows

    summary = summary_rows(rows)
    write_json(out / "results.json", summary)
    if find_spec("matplotlib") is not None:
        for policy, weighted in sorted({(row["policy"], row["weighted"]) for row in rows}):
            part = [row for row in rows if (row["policy"], row["weighted"]) == (policy, weighted)]
            plot_experiment(part, out / f"{policy}-{'weighted' if weighted else 'unweighted'}")
    if json:
        print_json(document("reproduce", inputs, None, rows=summary))
        return
    names = (*_SHOWN, *_OFFICIAL)
    table = [
        (
            row["policy"],
            f"{row['strength']:+.2f}",
            f"{row['temperature']:.2f}",
            row["weighted"],
            *(row[n] for n in names),
        )
        for row in summary
    ]
    print_table(str(out), ["policy", "strength", "temperature", "weighted", *names], table, left=4)

"""``position-bias`` and ``weights``: what a log says of positions, and of its own policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer
from ir_shared.console import UserError, notice, print_json, print_table
from ir_shared.run_dir import atomic_write, write_json

from twotower_ident.commands.log_options import (
    BiasColumns,
    Column,
    FeatureColumn,
    Features,
    Json,
    Log,
    Merge,
    Out,
    Partitions,
    PositionBase,
    Quiet,
    Seed,
    document,
    plots_wanted,
    read_features,
    read_log,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from twotower_ident.cells import CellTable
    from twotower_ident.click_log import ClickLog
    from twotower_ident.conditional_bias import PositionBias
    from twotower_ident.features import PairFeatures

__all__ = ["position_bias_command", "weights_command"]


def position_bias_command(
    log: Log,
    estimator: Annotated[
        Literal["conditional", "pivot", "chain", "all-pairs", "two-tower"],
        typer.Option(
            "--estimator",
            help="conditional needs no relevance model; pivot, chain and all-pairs are ratios of click rates; "
            "two-tower fits a value for each pair.",
        ),
    ] = "conditional",
    bias_columns: BiasColumns = None,
    column: Column = None,
    position_base: PositionBase = 1,
    merge: Merge = None,
    partitions: Partitions = 1,
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Estimate the position effects from swapped documents, with standard errors and a test of additivity."""
    opened = read_log(log, column=column, position_base=position_base, bias_columns=bias_columns, merge=merge)
    curve = _curve(opened.cells(partitions=partitions), estimator)
    result = document("position-bias", log, position_bias=curve)
    if out is not None:
        write_json(out / "position-bias.json", result)
        atomic_write(out / "position-bias.csv", curve.frame.write_csv())
        if plots_wanted(quiet):
            from twotower_ident.plots import bias_plot

            bias_plot([curve], out / "position-bias")
    if json:
        print_json(result)
        return
    columns = ["position", "bias", "se", "low", "high", "impressions", "reason"]
    print_table(f"{curve.estimator}, {curve.scale} scale", columns, curve.frame.rows())
    test = curve.additivity
    if test is not None and not quiet:
        notice(
            f"additivity in logits: p = {test.p_value:.3g} on {test.degrees_of_freedom} cycles"
            + ("; one curve does not explain all swaps" if test.p_value < 0.01 else "")
        )


def weights_command(
    log: Log,
    scheme: Annotated[
        Literal["raw", "clip", "self-normalised", "stabilised"],
        typer.Option("--scheme", help="raw is the paper's 1 / propensity."),
    ] = "raw",
    clip: Annotated[float | None, typer.Option("--clip", help="Largest weight, for --scheme clip.")] = None,
    propensities: Annotated[
        Literal["empirical", "logged", "modelled"],
        typer.Option(
            "--propensities",
            help="Share of the query's sessions, the log's own column, or a classifier of features (for rare queries).",
        ),
    ] = "empirical",
    features: Features = None,
    feature_column: FeatureColumn = None,
    column: Column = None,
    position_base: PositionBase = 1,
    merge: Merge = None,
    partitions: Partitions = 1,
    out: Out = None,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Weigh impressions by the inverse probability of their placement, and say what that costs."""
    from twotower_ident.placement import placement_weights, weighted_rows

    opened = read_log(
        log,
        column=column,
        position_base=position_base,
        feature_column=feature_column,
        features=features,
        merge=merge,
    )
    labels: Literal["pairs", "none"] = "pairs" if out is not None else "none"
    cells = opened.cells(partitions=partitions, labels=labels, count_sessions=True)
    found = read_features(opened, features, feature_column)
    weights = placement_weights(
        cells, scheme, clip=clip, propensities=_propensities(opened, cells, propensities, found, seed)
    )
    result = document("weights", log, seed, weights=weights)
    if out is not None:
        write_json(out / "weights.json", result)
        weighted_rows(opened, cells, weights).sink_parquet(out / "weights.parquet", mkdir=True)
    if not quiet:
        for note in weights.notes:
            notice(note)
    if json:
        print_json(result)
        return
    title = (
        f"{scheme}: effective sample size {weights.ess_share:.1%}, largest weight {weights.max_weight:.1f}, "
        f"heaviest 1 % of impressions hold {weights.top_mass:.1%} of the weight"
    )
    print_table(title, weights.by_position.columns, weights.by_position.rows())


def _curve(cells: CellTable, estimator: str) -> PositionBias:
    from twotower_ident.conditional_bias import conditional_position_bias
    from twotower_ident.intervention_harvesting import harvested_position_bias
    from twotower_ident.tower_bias import tower_position_bias

    if estimator == "conditional":
        return conditional_position_bias(cells)
    if estimator == "two-tower":
        return tower_position_bias(cells)
    if estimator in ("pivot", "chain", "all-pairs"):
        return harvested_position_bias(cells, estimator)  # type: ignore[arg-type]  # narrowed by the line above
    raise UserError(f"--estimator {estimator!r}: unknown")


def _propensities(
    log: ClickLog, cells: CellTable, kind: str, features: PairFeatures | None, seed: int
) -> NDArray[np.float64]:
    from twotower_ident.placement import empirical_propensities, logged_propensities, modelled_propensities

    if kind == "logged":
        return logged_propensities(log)
    if kind == "empirical":
        return empirical_propensities(cells)
    if features is None:
        raise UserError("--propensities modelled: needs features; give them with --features or --feature-column")
    return modelled_propensities(cells, features, seed=seed)

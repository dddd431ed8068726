"""``check-model``: where a fitted model is wrong, and whether that goes with placement."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from ir_shared.console import notice, print_json, print_table

from twotower_ident.commands.log_options import (
    Column,
    FeatureColumn,
    Features,
    Json,
    Log,
    Out,
    PositionBase,
    Quiet,
    document,
    plots_wanted,
    read_features,
    read_log,
)

__all__ = ["check_model_command"]


def check_model_command(
    log: Log,
    model: Annotated[Path, typer.Option("--model", help="Folder of a model that train wrote.")],
    features: Features = None,
    feature_column: FeatureColumn = None,
    column: Column = None,
    position_base: PositionBase = 1,
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Test a model for misspecification: weight test, residuals by placement, calibration.

    The weight test refits a linear tower on the model's features with and without placement weights.
    """
    from twotower_ident.model_check import check_model
    from twotower_ident.towers import FittedModel

    fitted = FittedModel.load(model)
    names = feature_column if fitted.inputs is None else feature_column or list(fitted.inputs.names)
    opened = read_log(
        log, column=column, position_base=position_base, feature_column=names, features=features, merge=fitted.merge
    )
    cells = opened.cells(count_sessions=True)
    found = read_features(opened, features, names, drop_constant=False) if fitted.inputs is not None else None
    check = check_model(cells, fitted, found)
    result = document("check-model", log, check=check)
    if out is not None:
        check.write(out, plots=plots_wanted(quiet), provenance=result["provenance"])
    if json:
        print_json(result)
        return
    columns = ["position", "impressions", "mean residual", "correlation with placement"]
    print_table(f"calibration error {check.calibration.error:.4f}", columns, check.positions.rows())
    test = check.weight_test
    if quiet:
        return
    if test is None:
        notice("no weight test: the model has no features")
    else:
        notice(
            f"weight test of a linear tower on these features: p = {test.p_value:.3g}"
            + ("; such a tower is misspecified" if test.p_value < 0.01 else "")
        )

"""Options that the commands about models share, beside those of the log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from ir_shared.console import UserError

from twotower_ident.commands.log_options import read_features

if TYPE_CHECKING:
    from twotower_ident.click_log import ClickLog
    from twotower_ident.features import PairFeatures

__all__ = ["Folder", "NFeatures", "features_of"]

Folder = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
NFeatures = Annotated[
    int | None,
    typer.Option("--n-features", help="Features of the LETOR data, where a file leaves out the last ones.", min=1),
]


def features_of(log: ClickLog, features: str | None, feature_column: list[str] | None) -> PairFeatures:
    """Features of the log's pairs, constant ones included: a model keeps the columns that it was given.

    Raises:
        UserError: none are named.
    """
    found = read_features(log, features, feature_column, drop_constant=False)
    if found is None:
        raise UserError("this tower needs features; give --features TABLE, or --feature-column for columns of the log")
    return found

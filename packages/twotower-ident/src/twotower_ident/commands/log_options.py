"""The options of every command that reads a click log, and the reading itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from ir_shared.console import UserError, notice
from ir_shared.run_dir import provenance

from twotower_ident.jsonable import plain

if TYPE_CHECKING:
    from twotower_ident.click_log import ClickLog
    from twotower_ident.features import PairFeatures

__all__ = [
    "BiasColumns",
    "Column",
    "FeatureColumn",
    "Features",
    "Json",
    "Log",
    "Merge",
    "Out",
    "Partitions",
    "PositionBase",
    "Quiet",
    "Seed",
    "document",
    "plots_wanted",
    "read_features",
    "read_log",
]

ROLES = ("qid", "docid", "position", "click", "session", "impressions", "propensity")

Log = Annotated[
    list[str],
    typer.Argument(
        help="Click log: Parquet, CSV, Arrow or JSON lines; files, a folder or a quoted glob.", metavar="LOG"
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="ROLE=NAME", help=f"Which column holds what; repeat. Roles: {', '.join(ROLES)}."),
]
FeatureColumn = Annotated[
    list[str] | None,
    typer.Option("--feature-column", help="Feature column, or a pattern such as 'f*', or a column of lists; repeat."),
]
Features = Annotated[
    str | None,
    typer.Option("--features", help="Table with qid, docid and feature columns (those of --feature-column, else f*)."),
]
BiasColumns = Annotated[
    list[str] | None,
    typer.Option("--bias-columns", help="Further column on which examination may depend, e.g. device; repeat."),
]
PositionBase = Annotated[int, typer.Option("--position-base", help="What the first position is called.", min=0, max=1)]
Merge = Annotated[
    str | None,
    typer.Option("--merge", help="First position of each group that counts as one position, e.g. 1,2,3,6,11."),
]
Partitions = Annotated[
    int, typer.Option("--partitions", help="Passes over the log; memory falls in proportion.", min=1)
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for tables, report and plots.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything that is drawn.", min=0)]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, with versions and hashes of the inputs.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No notices on stderr.")]


def read_log(
    log: Sequence[str],
    *,
    column: Sequence[str] | None,
    position_base: int = 1,
    feature_column: Sequence[str] | None = None,
    features: str | None = None,
    bias_columns: Sequence[str] | None = None,
    merge: str | tuple[int, ...] | None = None,
) -> ClickLog:
    """Opens the log as the options say; ``merge`` as --merge gives it, or as a model holds it.

    Raises:
        UserError: options that cannot be read, or a log that cannot be used.
    """
    from twotower_ident.click_log import ClickLog, LogColumns

    names = dict(_role(text) for text in column or ())
    own = feature_column if features is None else None
    columns = LogColumns(**names, bias=tuple(bias_columns or ()), features=tuple(own or ()))
    return ClickLog.scan(list(log), columns, position_base=position_base, merge=_merge(merge))


def read_features(
    log: ClickLog,
    features: str | None,
    feature_column: Sequence[str] | None,
    *,
    drop_constant: bool = True,
) -> PairFeatures | None:
    """Features of the log's pairs, from a table or the log itself; None where neither is named."""
    from twotower_ident.features import log_features, table_features

    if features is not None:
        return table_features(log, features, tuple(feature_column or ("f*",)), drop_constant=drop_constant)
    return log_features(log, drop_constant=drop_constant) if log.columns.features else None


def document(
    command: str, inputs: Sequence[str] | Mapping[str, Path], seed: int | None = None, **result: object
) -> dict[str, Any]:
    """A result with its provenance, as ``--json`` prints it; ``inputs`` are a log as its option names it, or files."""
    if not isinstance(inputs, Mapping):
        from twotower_ident.log_source import matching_files

        files = [Path(file) for pattern in inputs for file in matching_files(pattern)]
        inputs = {file.name: file for file in files}
    found: dict[str, Any] = plain(result)
    return {"command": command, **found, "provenance": provenance("twotower-ident", inputs=inputs, seed=seed)}


def plots_wanted(quiet: bool) -> bool:
    """Whether plots can be drawn; says how to get them where not."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is not None:
        return True
    if not quiet:
        notice("no plots: install twotower-ident[plot] for them")
    return False


def _role(text: str) -> tuple[str, str]:
    role, sign, name = text.partition("=")
    if not sign or role not in ROLES or not name:
        raise UserError(f"--column {text!r}: expected ROLE=NAME with a role out of {', '.join(ROLES)}")
    return role, name


def _merge(text: str | tuple[int, ...] | None) -> tuple[int, ...]:
    if not isinstance(text, str):
        return text or ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--merge {text!r}: expected positions separated by commas, e.g. 1,2,3,6,11") from None

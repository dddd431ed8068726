"""What a click log must satisfy before anything is concluded from it: one pass, one clear line for each fault."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from ir_shared.console import DataWarning, UserError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MAX_POSITION", "check_counts", "check_duplicates", "check_log", "numeric_columns"]

MAX_POSITION = 10_000
"""A rank above this is some other number."""

_NUMBERS = {
    "position": "give ranks from 1",
    "click": "give 0 or 1",
    "impressions": "give counts",
    "propensity": "give probabilities",
}


def numeric_columns(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Reads positions, counts and propensities that are written as text.

    Raises:
        UserError: one of them is no number, or a column is of another kind.
    """
    import polars as pl

    schema = frame.collect_schema()
    for name in _NUMBERS:
        kind = schema.get(name)
        if kind is None or kind.is_numeric() or kind == pl.Boolean:
            continue
        if kind != pl.String:
            raise UserError(f"log: {name} is a column of type {kind}; give numbers")
        parsed = pl.col(name).str.strip_chars().cast(pl.Float64, strict=False)
        wrong = frame.filter(parsed.is_null() & pl.col(name).is_not_null()).select(name).head(1).collect()
        if wrong.height:
            raise UserError(f"log: {name} {wrong.item()!r} is not a number; {_NUMBERS[name]}")
        frame = frame.with_columns(parsed)
    return frame


def check_log(frame: pl.LazyFrame, *, position_base: int) -> int:
    """Checks the values of a canonical log in one streaming pass.

    Args:
        frame: as :func:`twotower_ident.log_source.canonical` gives it, positions numeric.
        position_base: what the first position is called, 0 or 1.

    Returns:
        The number of rows.

    Raises:
        UserError: an empty log, missing values, positions or counts that cannot be.
    """
    import polars as pl

    names = frame.collect_schema().names()
    position, click = pl.col("position"), pl.col("click")
    checks = {
        "rows": pl.len(),
        "no_position": _missing(frame, "position"),
        "no_click": _missing(frame, "click"),
        "no_qid": pl.col("qid").null_count(),
        "no_docid": pl.col("docid").null_count(),
        "lowest": position.min(),
        "highest": position.max(),
        "fractional": (position.cast(pl.Float64) % 1 != 0).sum(),
        "click_low": click.cast(pl.Float64).min(),
        "click_high": click.cast(pl.Float64).max(),
        "click_between": ((click.cast(pl.Float64) != 0) & (click.cast(pl.Float64) != 1)).sum(),
    }
    if "impressions" in names:
        shown = pl.col("impressions").cast(pl.Float64)
        checks |= {
            "no_impressions": _missing(frame, "impressions"),
            "shown_low": shown.min(),
            "shown": shown.sum(),
            "too_many": (click.cast(pl.Float64) > shown).sum(),
        }
    if "propensity" in names:
        checks["improper"] = (~((pl.col("propensity") > 0) & (pl.col("propensity") <= 1))).fill_null(True).sum()
    found = frame.select(**checks).collect(engine="streaming").row(0, named=True)
    _check_values(found, position_base)
    if "impressions" in names:
        check_counts(found)
    elif found["click_between"]:
        raise UserError(
            f"log: {found['click_between']} rows have a click other than 0 and 1 (from {found['click_low']:g} to "
            f"{found['click_high']:g}); aggregated rows need a column of impressions"
        )
    if found.get("improper"):
        raise UserError(_improper(frame, found["improper"]))
    return int(found["rows"])


def check_counts(found: dict[str, Any]) -> None:
    """Refuses aggregated counts that cannot be.

    Raises:
        UserError: negative counts, or more clicks than impressions.
    """
    if found["shown_low"] < 0 or found["click_low"] < 0:
        raise UserError("log: negative impressions or clicks; give counts")
    if found["shown"] == 0:
        raise UserError("log: all rows have 0 impressions; an audit needs some")
    if found["too_many"]:
        raise UserError(
            f"log: {found['too_many']} rows have more clicks than impressions; count one click a row at most"
        )


def check_duplicates(frame: pl.LazyFrame) -> None:
    """Refuses a log that shows one document twice in one session.

    Args:
        frame: canonical, with a session column.

    Raises:
        UserError: naming the first such session.
    """
    import polars as pl

    key = pl.struct("session", "qid", "docid")
    rows, distinct = frame.select(pl.len(), key.hash(7).n_unique().alias("n")).collect(engine="streaming").row(0)
    if rows == distinct:
        return
    twice = frame.group_by("session", "qid", "docid").len().filter(pl.col("len") > 1).sort("session", "qid", "docid")
    example = twice.head(1).collect(engine="streaming")
    if example.height:
        session, qid, docid, times = example.row(0)
        raise UserError(
            f"log: session {session} shows document {docid} of query {qid} {times} times; keep one impression "
            "a session, or give aggregated rows with impressions and clicks and no session"
        )


def _missing(frame: pl.LazyFrame, name: str) -> pl.Expr:
    import polars as pl

    column = pl.col(name)
    if not frame.collect_schema()[name].is_float():
        return column.null_count()
    return (~column.is_finite()).fill_null(True).sum()


def _check_values(found: dict[str, Any], position_base: int) -> None:
    if not found["rows"]:
        raise UserError("log: no rows; an audit needs impressions")
    for name in ("qid", "docid", "position", "click", "impressions"):
        if found.get(f"no_{name}"):
            raise UserError(f"log: {found[f'no_{name}']} of {found['rows']} rows have no {name}; drop or mend them")
    lowest, highest = found["lowest"], found["highest"]
    if found["fractional"]:
        raise UserError(f"log: {found['fractional']} positions are not whole numbers; give ranks from 1")
    if lowest < position_base:
        hint = "pass --position-base 0" if lowest == 0 else "give ranks from 1"
        raise UserError(f"log: the lowest position is {lowest:g}, where {position_base} is the first; {hint}")
    if position_base == 0 and lowest > 0:
        warnings.warn("log: --position-base 0, but no row has position 0; the top rank may be missing", DataWarning, 2)
    if highest > MAX_POSITION:
        raise UserError(f"log: the highest position is {highest:g}; ranks above {MAX_POSITION} are some other number")


def _improper(frame: pl.LazyFrame, count: int) -> str:
    import polars as pl

    wrong = ~((pl.col("propensity") > 0) & (pl.col("propensity") <= 1))
    rows = frame.with_row_index("row").filter(wrong.fill_null(True)).select("row").head(3).collect()
    where = ", ".join(str(row) for row in rows["row"])
    return f"log: {count} propensities are not in (0, 1], first in rows {where} (from 0); what was logged was possible"

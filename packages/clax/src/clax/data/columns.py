"""Which columns of a file or frame hold what. The defaults are the names of the field's published Parquet logs."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from ir_shared.console import UserError

__all__ = ["Columns", "LongColumns"]


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a log with one row per session; ``None`` = the log has no such column.

    A column that is named here by default but absent from the log counts as None, except the clicks of a log without
    labels. ``bias_features`` may name several columns, which are laid side by side.
    """

    pair_ids: str | None = "query_doc_ids"
    clicks: str | None = "clicks"
    positions: str | None = "positions"
    mask: str | None = "mask"
    features: str | None = "query_doc_features"
    bias_features: str | tuple[str, ...] | None = "query_doc_bias_features"
    labels: str | None = "labels"
    query_ids: str | None = "query_id"

    def present(self, names: list[str], file: str) -> Columns:
        """The mapping restricted to the columns that a file has.

        Raises:
            UserError: a column that was named on purpose is missing, or there is nothing to learn from.
        """
        found: dict[str, str | tuple[str, ...] | None] = {}
        for field in fields(self):
            wanted = getattr(self, field.name)
            missing = [] if wanted is None else [n for n in _names(wanted) if n not in names]
            if missing and wanted != field.default:
                raise UserError(f"{file}: no column {missing[0]!r}; the columns are {', '.join(names)}")
            found[field.name] = None if missing else wanted
        if found["clicks"] is None and found["labels"] is None:
            raise UserError(
                f"{file}: no column {self.clicks or 'clicks'!r}; name the columns, which are {', '.join(names)}"
            )
        if found["pair_ids"] is None and found["features"] is None:
            raise UserError(
                f"{file}: neither ids ({self.pair_ids!r}) nor features ({self.features!r}) of the documents; "
                f"name the columns, which are {', '.join(names)}"
            )
        return replace(self, **found)  # type: ignore[arg-type]

    def names(self) -> list[str]:
        """All columns to read."""
        return [name for field in fields(self) for name in _names(getattr(self, field.name))]


@dataclass(frozen=True)
class LongColumns:
    """Names of the columns of a long log, with one row per document shown.

    ``position`` may be None: the rows of a session are then in the order of the list. So may ``label``.
    """

    session: str = "session"
    query: str = "query"
    document: str = "document"
    position: str | None = "position"
    click: str = "click"
    label: str | None = None

    def names(self) -> list[str]:
        """All columns to read."""
        return [name for field in fields(self) if (name := getattr(self, field.name)) is not None]

    def check(self, names: list[str], file: str) -> None:
        """Raises UserError if a column is missing."""
        missing = [name for name in self.names() if name not in names]
        if missing:
            raise UserError(f"{file}: no column {missing[0]!r}; give the names of yours, which are {', '.join(names)}")


def _names(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value

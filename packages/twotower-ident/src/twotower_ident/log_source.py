"""Opening a click log: files, frames and session lists, brought to one row an impression with known column names."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ir_shared.console import UserError

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "ALIASES",
    "LogColumns",
    "Source",
    "canonical",
    "feature_names",
    "list_columns",
    "matching_files",
    "open_source",
    "reading",
]

Source = Any
"""A path, a glob, several of either, or a Polars, pandas or Arrow table."""

ALIASES: Mapping[str, Sequence[str]] = {
    "qid": ("qid", "query", "query_id", "query_md5"),
    "docid": ("docid", "doc", "doc_id", "query_doc_ids", "url_md5"),
    "position": ("position", "positions", "pos", "rank"),
    "click": ("click", "clicks"),
    "session": ("session", "session_id", "query_no"),
    "impressions": ("impressions",),
    "propensity": ("propensity",),
}
"""Column names that are recognised without being told: ours, and those of the published logs that the field uses."""

_REQUIRED = ("qid", "docid", "position", "click")
_READERS = {
    ".parquet": "scan_parquet",
    ".csv": "scan_csv",
    ".arrow": "scan_ipc",
    ".feather": "scan_ipc",
    ".ipc": "scan_ipc",
    ".jsonl": "scan_ndjson",
}


@dataclass(frozen=True)
class LogColumns:
    """Which columns of a log hold what; None is looked for under the names in :data:`ALIASES`.

    Attributes:
        qid: the query.
        docid: the document.
        position: its rank in the result list.
        click: 0 or 1, or the number of clicks where rows are aggregated.
        session: the result page; optional.
        impressions: how many impressions a row stands for; optional, one where there is none.
        propensity: probability with which the logging policy put the document at this position; optional.
        bias: further columns on which examination may depend, such as the device.
        features: feature columns of the (query, document), names or patterns such as ``f*``, or one column that holds a
            list of numbers.
    """

    qid: str | None = None
    docid: str | None = None
    position: str | None = None
    click: str | None = None
    session: str | None = None
    impressions: str | None = None
    propensity: str | None = None
    bias: Sequence[str] = field(default=())
    features: Sequence[str] = field(default=())


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Within it, what Polars cannot read becomes one line for the user.

    Args:
        what: what is read, e.g. ``log``.

    Raises:
        UserError: in place of Polars' own errors and those of the file system.
    """
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).strip().split("\n", 1)[0] or type(error).__name__
        raise UserError(f"{what}: cannot be read ({first}); mend the files, or write them anew as Parquet") from error


def open_source(source: Source) -> pl.LazyFrame:
    """Opens a log lazily.

    Args:
        source: path, glob or several of them (Parquet, CSV, Arrow/Feather, JSON lines; a folder holds such files), or a
            Polars frame, or a table of pandas or Arrow.

    Raises:
        UserError: no such file, or a kind that is not known.
    """
    import polars as pl

    if isinstance(source, pl.LazyFrame):
        return source
    if isinstance(source, pl.DataFrame):
        return source.lazy()
    if isinstance(source, (str, Path)):
        return _open_files([source])
    if isinstance(source, (list, tuple)):
        return _open_files(source)
    try:
        frame = pl.DataFrame(source)
    except Exception as error:
        raise UserError(f"log of type {type(source).__name__}: not a path nor a table ({error})") from error
    return frame.lazy()


def _open_files(patterns: Iterable[str | Path]) -> pl.LazyFrame:
    import polars as pl

    files = [file for pattern in patterns for file in matching_files(str(pattern))]
    kinds = {Path(file).suffix.lower() for file in files}
    if len(kinds) != 1 or not kinds <= _READERS.keys():
        raise UserError(f"{files[0]}: a log is files of one kind out of {', '.join(_READERS)}; found {sorted(kinds)}")
    reader = getattr(pl, _READERS[kinds.pop()])
    options = {"infer_schema_length": 10_000} if reader.__name__ in ("scan_csv", "scan_ndjson") else {}
    return reader(files, **options)  # type: ignore[no-any-return]  # looked up by name


def matching_files(pattern: str) -> list[str]:
    """The files that a path, folder or glob names.

    Raises:
        UserError: none.
    """
    if Path(pattern).is_dir():
        found = sorted(str(file) for file in Path(pattern).rglob("*") if file.suffix.lower() in _READERS)
        if not found:
            raise UserError(f"{pattern}: the folder holds no file of a known kind ({', '.join(_READERS)})")
        return found
    # A path that exists is taken as it is: brackets in it are no pattern.
    found = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    if not found:
        raise UserError(f"{pattern}: no such file")
    return found


def canonical(frame: pl.LazyFrame, columns: LogColumns) -> pl.LazyFrame:
    """Renames columns to ours, unrolls session lists, and keeps nothing that was not asked for.

    Returns:
        Columns ``qid``, ``docid`` (Int64 or String), ``position``, ``click``, and as present ``session``,
        ``impressions`` and ``propensity``, then the bias and feature columns under their own names.

    Raises:
        UserError: a column that is missing, or named twice.
    """
    import polars as pl

    frame = _unrolled(frame, columns)
    schema = frame.collect_schema()
    names = _found(columns, list(schema))
    for name in columns.bias:
        if name not in schema:
            raise _missing(name, list(schema))
    extra = [*columns.bias, *feature_names(columns.features, list(schema))]
    chosen = [pl.col(old).alias(new) for new, old in names.items()]
    frame = frame.select(*chosen, *(pl.col(name) for name in dict.fromkeys(extra)))
    return frame.with_columns(_identifier(name, schema[names[name]]) for name in ("qid", "docid"))


def feature_names(patterns: Sequence[str], available: Sequence[str]) -> list[str]:
    """The columns that names or shell patterns such as ``f*`` stand for, in the log's order.

    Raises:
        UserError: a pattern that matches nothing.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        found = [pattern] if pattern in available else fnmatch.filter(available, pattern)
        if not found:
            raise _missing(pattern, available)
        chosen.update(found)
    return [name for name in available if name in chosen]


def list_columns(columns: LogColumns, schema: Mapping[str, Any]) -> bool:
    """Whether the log holds a session a row, with lists of documents and clicks."""
    import polars as pl

    docid = columns.docid or next((name for name in ALIASES["docid"] if name in schema), None)
    return docid is not None and docid in schema and isinstance(schema[docid], (pl.List, pl.Array))


def _unrolled(frame: pl.LazyFrame, columns: LogColumns) -> pl.LazyFrame:
    """One row a document where rows are sessions; the position is the place in the list unless a column gives it."""
    import polars as pl

    schema = frame.collect_schema()
    if not list_columns(columns, schema):
        return frame
    lists = [name for name, kind in schema.items() if isinstance(kind, (pl.List, pl.Array))]
    if "session" not in schema and columns.session is None and not set(ALIASES["session"]) & set(schema):
        frame = frame.with_row_index("session")
    if not (columns.position or set(ALIASES["position"]) & set(schema)):
        docid = columns.docid or next(name for name in ALIASES["docid"] if name in schema)
        lists.append("position")
        frame = frame.with_columns(pl.int_ranges(1, pl.col(docid).list.len() + 1).alias("position"))
    return frame.explode(lists)


def _found(columns: LogColumns, available: Sequence[str]) -> dict[str, str]:
    found = {}
    for role, names in ALIASES.items():
        given = getattr(columns, role)
        if given is not None:
            if given not in available:
                raise _missing(given, available)
            found[role] = given
            continue
        match = next((name for name in names if name in available), None)
        if match is not None:
            found[role] = match
        elif role in _REQUIRED:
            raise UserError(
                f"log: no column for the {role} (looked for {', '.join(names)}); name it with --column {role}=NAME; "
                f"the columns are {', '.join(available)}"
            )
    return found


def _missing(name: str, available: Sequence[str]) -> UserError:
    return UserError(f"log: no column {name!r}; the columns are {', '.join(available)}")


def _identifier(name: str, kind: pl.DataType) -> pl.Expr:
    import polars as pl

    return pl.col(name).cast(pl.Int64 if kind.is_integer() and kind != pl.UInt64 else pl.String)

"""Long logs, one row per document shown: CSV, TSV or Parquet files read as a stream, and frames in memory.

In a file, a session's rows must stand together (8 bytes per session are kept to check it); a frame is put in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from ir_shared.console import UserError
from numpy.typing import NDArray

from clax.data.columns import LongColumns
from clax.data.keys import codes
from clax.data.raw import RawSessions

__all__ = ["LongFile", "LongFrame"]

_BLOCK_BYTES = 1 << 24
_ROWS_AT_ONCE = 1 << 19


@dataclass(frozen=True)
class LongFile:
    """A CSV, TSV or Parquet file; text may be compressed (by its suffix).

    Attributes:
        path: the file.
        columns: which column holds what.
    """

    path: Path
    columns: LongColumns = field(default_factory=LongColumns)

    def chunks(self) -> Iterator[RawSessions]:
        """The sessions in the order of the file.

        Raises:
            UserError: with the line: a missing value or a session with two queries; or a session's rows do not stand
                together, or the file cannot be read.
        """
        rest: pa.Table | None = None
        seen: list[NDArray[np.uint64]] = []
        line = 1 if _is_parquet(self.path) else 2  # the first line of a text file holds the names
        for block in self._blocks():
            table = block if rest is None else pa.concat_tables([rest, block])
            starts = _session_starts(table, self.columns, self.path, line)
            raw = _raw(table.slice(0, starts[-1]), starts, self.columns, str(self.path), line)
            if len(raw.queries):
                seen.append(codes(table.column(self.columns.session).take(pa.array(starts[:-1]))))
                yield raw
            rest, line = table.slice(starts[-1]), line + int(starts[-1])
        if rest is None or not rest.num_rows:
            raise UserError(f"{self.path}: is empty")
        seen.append(codes(rest.column(self.columns.session).slice(0, 1)))
        _check_contiguous(np.concatenate(seen), self.path)
        yield _raw(rest, np.array([0, rest.num_rows]), self.columns, str(self.path), line)

    def _blocks(self) -> Iterator[pa.Table]:
        try:
            if _is_parquet(self.path):
                yield from self._parquet_blocks()
            else:
                yield from self._text_blocks()
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{self.path}: cannot be read ({str(error).splitlines()[0]})") from error

    def _parquet_blocks(self) -> Iterator[pa.Table]:
        with pq.ParquetFile(self.path) as reader:
            self.columns.check(reader.schema_arrow.names, str(self.path))
            for part in reader.iter_batches(_ROWS_AT_ONCE, columns=self.columns.names(), use_threads=False):
                yield pa.Table.from_batches([part])

    def _text_blocks(self) -> Iterator[pa.Table]:
        tabs = ".tsv" in self.path.suffixes
        with pa.input_stream(str(self.path), compression="detect") as stream:
            reader = pyarrow.csv.open_csv(
                stream,
                read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
                parse_options=pyarrow.csv.ParseOptions(delimiter="\t" if tabs else ","),
                # An empty field is missing; a document may be called NA.
                convert_options=pyarrow.csv.ConvertOptions(null_values=[""], strings_can_be_null=True),
            )
            self.columns.check(reader.schema.names, str(self.path))
            for part in reader:
                yield pa.Table.from_batches([part]).select(self.columns.names())


@dataclass(frozen=True)
class LongFrame:
    """A frame in memory: polars, pandas, an Arrow table, or a dictionary of columns.

    Attributes:
        frame: rows in any order; the rows of a session are in the order of the list unless there is a position.
        columns: which column holds what.
    """

    frame: Any
    columns: LongColumns = field(default_factory=LongColumns)

    def chunks(self) -> Iterator[RawSessions]:
        """All sessions at once, in the order in which they first appear.

        Raises:
            UserError: with the row: a missing value, or a session with two queries; or the frame is empty.
        """
        try:
            table = pa.table(self.frame)
        except (TypeError, ValueError, pa.ArrowException) as error:
            why = str(error).splitlines()[0]
            kind = type(self.frame).__name__
            raise UserError(f"a frame of polars or pandas is needed, which this {kind} is not ({why})") from error
        self.columns.check(table.column_names, "the frame")
        table = _plain(table.select(self.columns.names()))
        if not table.num_rows:
            raise UserError("the frame is empty")
        sessions = table.column(self.columns.session).combine_chunks().dictionary_encode()
        place = sessions.indices.fill_null(0).to_numpy(zero_copy_only=False)
        if (place[1:] < place[:-1]).any():
            table = table.take(pa.array(np.argsort(place, kind="stable")))
        starts = _session_starts(table, self.columns, "the frame", 0)
        yield _raw(table, np.append(starts, table.num_rows), self.columns, "the frame", 0)


def _is_parquet(path: Path) -> bool:
    return path.suffix in (".parquet", ".pq")


def _plain(table: pa.Table) -> pa.Table:
    """The table with views and categories of texts as ordinary texts, which is what Arrow's functions work on."""
    for i, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type) or pa.types.is_string_view(column.type):
            chunks = [_without_view(chunk) for chunk in table.column(i).chunks]
            table = table.set_column(i, column.name, pa.chunked_array(chunks))
    return table


def _without_view(chunk: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(chunk.type):
        return _without_view(chunk.dictionary).take(chunk.indices)
    return chunk.cast(pa.large_string()) if pa.types.is_string_view(chunk.type) else chunk


def _session_starts(table: pa.Table, columns: LongColumns, file: str | Path, line: int) -> NDArray[np.int64]:
    """The rows at which sessions begin; also refuses missing values, and names that are fractions."""
    for name in (columns.session, columns.query, columns.document):
        if pa.types.is_floating(table.column(name).type):
            raise UserError(f"{file}: column {name!r} holds {table.column(name).type}: use whole numbers or texts")
    for name in columns.names():
        column = table.column(name)
        if column.null_count:
            at = int(np.argmax(column.is_null().to_numpy()))
            raise UserError(f"{file}:{line + at}: {name!r} is missing")
    session = table.column(columns.session).combine_chunks()
    changes = pc.not_equal(session.slice(1), session.slice(0, len(session) - 1)).to_numpy(zero_copy_only=False)
    return np.flatnonzero(np.r_[True, changes])


def _raw(table: pa.Table, starts: NDArray[np.int64], columns: LongColumns, file: str, line: int) -> RawSessions:
    """Sessions from whole sessions' rows; ``starts`` ends with the number of rows."""
    begins, lengths = starts[:-1], np.diff(starts)
    query = table.column(columns.query).combine_chunks()
    firsts = query.take(pa.array(begins))
    repeated = firsts.take(pa.array(np.repeat(np.arange(len(begins)), lengths)))
    other = pc.not_equal(query, repeated).to_numpy(zero_copy_only=False)
    if other.any():
        raise UserError(f"{file}:{line + int(np.argmax(other))}: a session has two queries; give each its own session")
    label = columns.label

    def numbers(name: str) -> NDArray[Any]:
        values = table.column(name)
        if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or values.type == pa.bool_()):
            raise UserError(f"{file}: column {name!r} holds {values.type}, but numbers are needed")
        flat: NDArray[Any] = values.to_numpy()
        return flat

    return RawSessions(
        offsets=starts.astype(np.int64),
        queries=firsts,
        documents=table.column(columns.document).combine_chunks(),
        clicks=numbers(columns.click),
        positions=None if columns.position is None else _whole(numbers(columns.position), file, line),
        labels=None if label is None else numbers(label).astype(np.float32),
        file=file,
        lines=line + begins,
    )


def _whole(values: NDArray[Any], file: str, line: int) -> NDArray[np.int64]:
    if values.dtype.kind == "f" and not (values == np.floor(values)).all():
        at = int(np.argmin(values == np.floor(values)))
        raise UserError(f"{file}:{line + at}: position {values[at]} is no whole number")
    return values.astype(np.int64)


def _check_contiguous(sessions: NDArray[np.uint64], path: Path) -> None:
    rising = (sessions[1:] > sessions[:-1]).all()
    if not rising and len(np.unique(sessions)) < len(sessions):
        raise UserError(f"{path}: the rows of a session do not stand together; sort the file by session first")

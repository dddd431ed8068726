"""Reading and writing Parquet logs with one row per session, a few thousand rows at a time.

Memory is bounded by one slice of a row group, whatever the size of the file. Files that this package writes carry the
size of the table, the number of positions and the vocabulary's fingerprint in the schema's metadata.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ir_shared.console import UserError

from clax.data.arrow import sessions_from_arrow
from clax.data.columns import Columns
from clax.data.sessions import Sessions

__all__ = ["ParquetSource", "SessionWriter", "Unit", "parquet_files"]

_METADATA_KEY = b"clax"
_ROWS_AT_ONCE = 1 << 16
_FOOTER_BYTES = 1 << 16
_ROW_GROUP = 1 << 17


class Unit(NamedTuple):
    """A run of rows that is read in one go: sessions ``start`` to ``stop`` of the whole log."""

    start: int
    stop: int
    place: tuple[int, int]


def parquet_files(paths: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    """The Parquet files meant by paths, folders and glob patterns, in the order given, each pattern's sorted by name.

    Of a folder that this package wrote, ``sessions.parquet`` is meant, and not the vocabulary beside it.

    Raises:
        UserError: a path or pattern matches no file.
    """
    found: list[Path] = []
    for path in [paths] if isinstance(paths, (str, Path)) else paths:
        path = Path(path)
        if path.is_dir():
            matched = sorted(path.glob("sessions.parquet")) or sorted(path.glob("*.parquet"))
        elif path.is_file():
            matched = [path]
        else:
            matched = sorted(path.parent.glob(path.name))
        if not matched:
            raise UserError(f"{path}: no such file, and no folder or pattern with Parquet files")
        found.extend(matched)
    return tuple(found)


@dataclass(frozen=True)
class ParquetSource:
    """Parquet files with one row per session, read by row group.

    Attributes:
        files: the files, in the order of the log.
        columns: which column holds what.
    """

    files: tuple[Path, ...]
    columns: Columns = field(default_factory=Columns)

    @cached_property
    def footers(self) -> tuple[pq.FileMetaData, ...]:
        """The footers of all files."""
        return tuple(_footer(file) for file in self.files)

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The row groups, in the order of the log."""
        units, start = [], 0
        for i, footer in enumerate(self.footers):
            for group in range(footer.num_row_groups):
                rows = footer.row_group(group).num_rows
                if rows:
                    units.append(Unit(start, start + rows, (i, group)))
                start += rows
        return tuple(units)

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        """What this package wrote about the log, empty for other people's files; all files must agree.

        Raises:
            UserError: two files were made with different vocabularies or sizes.
        """
        found = [_own_metadata(footer) for footer in self.footers]
        for file, metadata in zip(self.files, found, strict=True):
            if metadata != found[0]:
                raise UserError(f"{file}: made with another vocabulary or size than {self.files[0]}")
        return found[0]

    def read(self, unit: Unit, start: int, stop: int) -> Iterator[Sessions]:
        """Reads the sessions ``start`` to ``stop`` of the log, which lie in one unit.

        Raises:
            UserError: see :func:`~clax.data.arrow.sessions_from_arrow`; or the file cannot be decoded.
        """
        index, group = unit.place
        file, footer = self.files[index], self.footers[index]
        columns = self.columns.present(footer.schema.to_arrow_schema().names, str(file))
        row = sum(footer.row_group(i).num_rows for i in range(group))
        skip, wanted = start - unit.start, stop - start
        try:
            with pq.ParquetFile(file, metadata=footer) as reader:
                parts = reader.iter_batches(_ROWS_AT_ONCE, [group], columns.names(), use_threads=False)
                for part in parts:
                    rows = part.slice(skip, wanted)
                    if rows.num_rows:
                        yield sessions_from_arrow(rows, columns, str(file), row + skip)
                    row += part.num_rows
                    skip, wanted = max(0, skip - part.num_rows), wanted - rows.num_rows
                    if not wanted:
                        return
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{file}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error

    def largest_id(self) -> int:
        """The largest pair id, from the statistics in the footers where they are, else by reading the column."""
        largest = 0
        for i, footer in enumerate(self.footers):
            columns = self.columns.present(footer.schema.to_arrow_schema().names, str(self.files[i]))
            if columns.pair_ids is None:
                return 1
            for group in range(footer.num_row_groups):
                largest = max(largest, self._largest_in(i, group, columns.pair_ids))
        return largest

    def _largest_in(self, index: int, group: int, name: str) -> int:
        footer = self.footers[index].row_group(group)
        for column in range(footer.num_columns):
            chunk = footer.column(column)
            if chunk.path_in_schema.partition(".")[0] != name:
                continue
            if chunk.is_stats_set and chunk.statistics.has_min_max and isinstance(chunk.statistics.max, int):
                return chunk.statistics.max
        ids_only = ParquetSource((self.files[index],), replace(self.columns, features=None, bias_features=None))
        units = [unit for unit in ids_only.units if unit.place == (0, group)]
        parts = (part for unit in units for part in ids_only.read(unit, unit.start, unit.stop))
        return max((int(p.pair_ids.max()) for p in parts if p.pair_ids is not None and len(p.pair_ids)), default=0)

    def fingerprint(self) -> str:
        """A hash of the files' sizes and footers, which hold statistics of every column; not of all bytes."""
        digest = hashlib.sha256()
        for file in self.files:
            size = file.stat().st_size
            with file.open("rb") as handle:
                handle.seek(max(0, size - _FOOTER_BYTES))
                digest.update(f"{size}\n".encode() + handle.read())
        return digest.hexdigest()


class SessionWriter:
    """Writes sessions to one Parquet file, row group by row group; the file appears when it is complete.

    Args:
        path: the file.
        metadata: what to say about the log: ``num_pairs``, ``max_positions``, ``unknown_id``, ``vocabulary``.
    """

    def __init__(self, path: str | Path, metadata: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.metadata = dict(metadata)
        self.sessions = 0
        self._pending: list[pa.Table] = []
        self._waiting = 0
        self._part = self.path.with_name(f".{self.path.name}.part")
        self._writer: pq.ParquetWriter | None = None

    def write(self, sessions: Sessions) -> None:
        """Appends clean sessions (see :func:`~clax.data.validation.clean`)."""
        self._pending.append(_table(sessions))
        self._waiting += len(sessions)
        self.sessions += len(sessions)
        if self._waiting >= _ROW_GROUP:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None and self._waiting:
            self._flush()
        if self._writer is not None:
            self._writer.close()
        if kind is not None:
            self._part.unlink(missing_ok=True)
        elif self._writer is None:
            raise UserError(f"{self.path}: there are no sessions to write")
        else:
            self._part.replace(self.path)

    def _flush(self) -> None:
        table = pa.concat_tables(self._pending)
        if self._writer is None:
            self._writer = self._open(table.schema)
        self._writer.write_table(table, row_group_size=_ROW_GROUP)
        self._pending, self._waiting = [], 0

    def _open(self, schema: pa.Schema) -> pq.ParquetWriter:
        schema = schema.with_metadata({_METADATA_KEY: json.dumps(self.metadata).encode()})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Ids do not repeat often enough for a dictionary to pay, and decoding without one is twice as fast.
            return pq.ParquetWriter(self._part, schema, use_dictionary=False, compression="lz4")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror or error})") from error


def _table(sessions: Sessions) -> pa.Table:
    names = Columns()
    columns: dict[str, pa.Array] = {}
    if sessions.query_ids is not None:
        columns[str(names.query_ids)] = pa.array(sessions.query_ids, pa.int32())
    lists: Iterable[tuple[str | None, Any]] = (
        (names.pair_ids, sessions.pair_ids),
        (names.positions, sessions.positions),
        (names.clicks, sessions.clicks),
        (names.labels, sessions.labels),
    )
    offsets = pa.array(sessions.offsets, pa.int32())
    for name, values in lists:
        if values is not None:
            columns[str(name)] = pa.ListArray.from_arrays(offsets, pa.array(values))
    for name, matrix in ((names.features, sessions.features), (str(names.bias_features), sessions.bias_features)):
        if matrix is not None:
            flat = pa.array(np.ascontiguousarray(matrix).reshape(-1), pa.float32())
            vectors = pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
            columns[str(name)] = pa.ListArray.from_arrays(offsets, vectors)
    return pa.table(columns)


def _footer(file: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(file)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error


def _own_metadata(footer: pq.FileMetaData) -> dict[str, Any]:
    raw = (footer.schema.to_arrow_schema().metadata or {}).get(_METADATA_KEY)
    return json.loads(raw) if raw else {}

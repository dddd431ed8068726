"""One Arrow record batch with a row per session, as :class:`~clax.data.sessions.Sessions`; lists are never unpacked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from ir_shared.console import UserError
from numpy.typing import NDArray

from clax.data.columns import Columns
from clax.data.sessions import Sessions

__all__ = ["sessions_from_arrow"]

Offsets = NDArray[np.int64]


def sessions_from_arrow(batch: pa.RecordBatch, columns: Columns, file: str = "data", first_row: int = 0) -> Sessions:
    """Reads the columns of a record batch.

    Args:
        batch: one row per session; documents in list columns of any Arrow kind.
        columns: the mapping, restricted to what the batch has.
        file: where the batch is from.
        first_row: the number of its first row there.

    Raises:
        UserError: with file and row: a null, lists of different lengths in one row, features of mixed width, or a
            column of the wrong type.
    """
    reader = _Reader(batch, file, first_row)
    found: dict[str, NDArray[Any]] = {}
    for field in ("pair_ids", "clicks", "positions", "mask", "labels"):
        name = getattr(columns, field)
        if name is not None:
            found[field] = reader.scalars(name, integer=field in ("pair_ids", "positions"))
    if columns.features is not None:
        found["features"] = reader.features((columns.features,))
    if columns.bias_features is not None:
        names = columns.bias_features
        found["bias_features"] = reader.features((names,) if isinstance(names, str) else names)
    offsets = reader.offsets
    assert offsets is not None  # a mapping without any list column is refused before
    if "mask" in found:
        found["mask"] = found["mask"].astype(bool, copy=False)
    if "labels" in found:
        found["labels"] = found["labels"].astype(np.float32, copy=False)
    found.setdefault("clicks", np.zeros(offsets[-1], bool))
    if columns.query_ids is not None:
        found["query_ids"] = reader.query_ids(columns.query_ids)
    return Sessions(offsets=offsets, file=file, first_row=first_row, **found)


class _Reader:
    """Reads list columns of one batch, which must all have the same lengths."""

    def __init__(self, batch: pa.RecordBatch, file: str, first_row: int) -> None:
        self.batch, self.file, self.first_row = batch, file, first_row
        self.offsets: Offsets | None = None
        self._first_name = ""

    def scalars(self, name: str, *, integer: bool) -> NDArray[Any]:
        """A column of lists of numbers, flat."""
        values = self._flat(name)
        if pa.types.is_null(values.type):  # all lists are empty, so that the writer knew no type
            values = values.cast(pa.int64())
        if pa.types.is_boolean(values.type) or pa.types.is_floating(values.type):
            if integer:
                raise UserError(f"{self.file}: column {name!r} holds {values.type}, but whole numbers are needed")
        elif not pa.types.is_integer(values.type):
            raise UserError(f"{self.file}: column {name!r} holds {values.type}, but numbers are needed")
        return _numpy(values)

    def features(self, names: tuple[str, ...]) -> NDArray[np.float32]:
        """Columns of lists of vectors or numbers, side by side; [M, F]."""
        return np.concatenate([self._vectors(name) for name in names], axis=1)

    def query_ids(self, name: str) -> NDArray[np.int32]:
        """A column of one number per row; larger or textual ones are hashed to 31 bits."""
        from clax.data.keys import query_numbers

        column = self.batch.column(name)
        if column.null_count:
            raise UserError(f"{self._row(_first_null(column))}: {name!r} is missing")
        return query_numbers(column)

    def _vectors(self, name: str) -> NDArray[np.float32]:
        values = self._flat(name)
        if not _is_list(values.type):
            return _numpy(values).astype(np.float32, copy=False)[:, None]
        offsets, flat = _unnest(values)
        widths = np.diff(offsets)
        if len(widths) and (widths != widths[0]).any():
            at = int(np.argmax(widths != widths[0]))
            assert self.offsets is not None
            row = int(np.searchsorted(self.offsets, at, side="right")) - 1
            raise UserError(f"{self._row(row)}: {name!r} has {widths[at]} values, others have {widths[0]}")
        numbers = _numpy(flat).astype(np.float32, copy=False)
        return numbers.reshape(len(widths), int(widths[0]) if len(widths) else 0)

    def _flat(self, name: str) -> pa.Array:
        column = self.batch.column(name)
        if not _is_list(column.type):
            raise UserError(
                f"{self.file}: column {name!r} holds {column.type}, but one list per session is needed; "
                "for one row per document use the long format"
            )
        if column.null_count:
            raise UserError(f"{self._row(_first_null(column))}: {name!r} is missing")
        offsets, values = _unnest(column)
        if self.offsets is None:
            self.offsets, self._first_name = offsets, name
        elif not np.array_equal(offsets, self.offsets):
            lengths, others = np.diff(offsets), np.diff(self.offsets)
            row = int(np.argmax(lengths != others))
            raise UserError(
                f"{self._row(row)}: {name!r} has {lengths[row]} values, but {self._first_name!r} has {others[row]}"
            )
        if values.null_count:
            row = int(np.searchsorted(offsets, _first_null(values), side="right")) - 1
            raise UserError(f"{self._row(row)}: {name!r} holds a missing value")
        return values

    def _row(self, row: int) -> str:
        return f"{self.file}: row {self.first_row + row}"


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _unnest(column: pa.Array) -> tuple[Offsets, pa.Array]:
    """Offsets from 0 and the flat values of a list array, without copying the values."""
    if pa.types.is_fixed_size_list(column.type):
        size = column.type.list_size
        return np.arange(len(column) + 1) * size, column.values.slice(column.offset * size, len(column) * size)
    raw = column.offsets.to_numpy().astype(np.int64)
    return raw - raw[0], column.values.slice(int(raw[0]), int(raw[-1] - raw[0]))


def _numpy(values: pa.Array) -> NDArray[Any]:
    numbers: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return numbers


def _first_null(column: pa.Array) -> int:
    return int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))

"""Sessions as they are logged, with queries and documents by their own names, before they are numbered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clax.data.keys import query_numbers
from clax.data.sessions import Sessions

__all__ = ["PairNumbering", "RawLog", "RawSessions", "number"]


@dataclass(frozen=True)
class RawSessions:
    """N sessions with M documents.

    Attributes:
        offsets: int64 [N + 1].
        queries: Arrow array of whole numbers or texts, [N].
        documents: the same, [M].
        clicks: [M].
        positions: [M]; None = 1, 2, ...
        labels: [M].
        file: where they come from.
        lines: int64 [N], where each session begins in the file.
    """

    offsets: NDArray[np.int64]
    queries: pa.Array
    documents: pa.Array
    clicks: NDArray[Any]
    positions: NDArray[Any] | None
    labels: NDArray[np.float32] | None
    file: str
    lines: NDArray[np.int64]


class RawLog(Protocol):
    """A log that can be read again and again, a part at a time."""

    def chunks(self) -> Iterator[RawSessions]:
        """The sessions in order."""
        ...


class PairNumbering(Protocol):
    """What gives each query-document pair an id from 1."""

    @property
    def num_pairs(self) -> int:
        """The largest id."""
        ...

    @property
    def unknown_id(self) -> int | None:
        """The id of all pairs that have none of their own."""
        ...

    @property
    def fingerprint(self) -> str:
        """What tells two numberings apart."""
        ...

    def encode(self, queries: pa.Array, documents: pa.Array, lengths: NDArray[np.int64]) -> NDArray[np.int32]:
        """The ids of the documents of some sessions."""
        ...


def number(raw: RawSessions, numbering: PairNumbering) -> Sessions:
    """The sessions with pairs replaced by their ids."""
    return Sessions(
        offsets=raw.offsets,
        clicks=raw.clicks,
        pair_ids=numbering.encode(raw.queries, raw.documents, np.diff(raw.offsets)),
        positions=raw.positions,
        labels=raw.labels,
        query_ids=query_numbers(raw.queries),
        file=raw.file,
        lines=raw.lines,
    )

"""Ragged sessions as flat NumPy columns with offsets, and their padding to a fixed width, without looping over them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sessions", "pad_ragged", "ranks"]


@dataclass(frozen=True)
class Sessions:
    """N consecutive sessions of one file, with M documents in total.

    Attributes:
        offsets: int64 [N + 1]; session i holds the documents ``offsets[i]`` to ``offsets[i + 1]``.
        clicks: [M].
        pair_ids: [M], 1..num_pairs; None where the log has features only.
        positions: [M], 1..P; None = 1, 2, ... in the order of the list.
        mask: bool [M], false for a hidden rank; None = all are visible.
        features: float32 [M, F].
        bias_features: float32 [M, G].
        labels: float32 [M].
        query_ids: int32 [N].
        file: where they come from, for messages.
        first_row: the number of the first session in that file, counted from 0.
        lines: int64 [N], the line of the text file where each session begins; None for a file with a row per session.
    """

    offsets: NDArray[np.int64]
    clicks: NDArray[Any]
    pair_ids: NDArray[Any] | None = None
    positions: NDArray[Any] | None = None
    mask: NDArray[np.bool_] | None = None
    features: NDArray[np.float32] | None = None
    bias_features: NDArray[np.float32] | None = None
    labels: NDArray[np.float32] | None = None
    query_ids: NDArray[np.int32] | None = None
    file: str = "data"
    first_row: int = 0
    lines: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """How many sessions."""
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Documents of each session, [N]."""
        return np.diff(self.offsets)

    @cached_property
    def num_documents(self) -> int:
        """M."""
        return int(self.offsets[-1])

    def where(self, document: int) -> str:
        """File and row (or line) of a document's session, for a message."""
        session = int(np.searchsorted(self.offsets, document, side="right")) - 1
        if self.lines is not None:
            return f"{self.file}: session at line {self.lines[session]}"
        return f"{self.file}: row {self.first_row + session}"

    def pick(self, documents: NDArray[Any], offsets: NDArray[np.int64] | None = None) -> Self:
        """The sessions with some of their documents, or with their documents in another order.

        Args:
            documents: boolean [M] or indices, within the sessions' order.
            offsets: the new offsets; the old ones by default.
        """
        columns = {
            field.name: value[documents]
            for field in fields(self)
            if field.name in _DOCUMENT_COLUMNS and (value := getattr(self, field.name)) is not None
        }
        return replace(self, offsets=self.offsets if offsets is None else offsets, **columns)

    def rows(self, start: int, stop: int) -> Self:
        """The sessions ``start`` to ``stop``, as views."""
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        part = self.pick(slice(first, last), self.offsets[start : stop + 1] - first)  # type: ignore[arg-type]
        query_ids = None if self.query_ids is None else self.query_ids[start:stop]
        lines = None if self.lines is None else self.lines[start:stop]
        return replace(part, query_ids=query_ids, lines=lines, first_row=self.first_row + start)


_DOCUMENT_COLUMNS = frozenset({"clicks", "pair_ids", "positions", "mask", "features", "bias_features", "labels"})


def ranks(sessions: Sessions) -> NDArray[np.int32]:
    """The place of each document in its list, 1, 2, ...; [M]."""
    starts = np.repeat(sessions.offsets[:-1], sessions.lengths)
    return (np.arange(sessions.num_documents) - starts + 1).astype(np.int32)


def pad_ragged(values: NDArray[Any], lengths: NDArray[np.int64], width: int) -> NDArray[Any]:
    """Lays ragged values out as [N, width, ...], zero beyond each session's length.

    Args:
        values: [M, ...].
        lengths: [N], each at most ``width``.
        width: P.
    """
    shape = (len(lengths), width, *values.shape[1:])
    if len(values) == len(lengths) * width:  # every list is full, so the layout is there already
        return values.reshape(shape)
    padded = np.zeros(shape, values.dtype)
    padded[np.arange(width) < lengths[:, None]] = values
    return padded

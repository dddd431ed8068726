"""A log that lies in memory, read like a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from clax.data.parquet import Unit
from clax.data.sessions import Sessions

__all__ = ["MemorySource"]

_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class MemorySource:
    """Sessions in memory.

    Attributes:
        sessions: all of them.
        metadata: what is known of them: ``num_pairs``, ``max_positions``, ``unknown_id``, ``vocabulary``.
    """

    sessions: Sessions
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """Slices of the sessions."""
        n = len(self.sessions)
        starts = range(0, n, _ROWS_AT_ONCE)
        return tuple(Unit(start, min(n, start + _ROWS_AT_ONCE), (0, i)) for i, start in enumerate(starts))

    def read(self, unit: Unit, start: int, stop: int) -> Iterator[Sessions]:  # noqa: ARG002 - a file needs the unit
        """The sessions ``start`` to ``stop``, as views."""
        yield self.sessions.rows(start, stop)

    def largest_id(self) -> int:
        """The largest pair id."""
        ids = self.sessions.pair_ids
        return 1 if ids is None else int(ids.max(initial=0))

    def fingerprint(self) -> str:
        """A hash of all columns."""
        digest = hashlib.sha256()
        for column in fields(self.sessions):
            values = getattr(self.sessions, column.name)
            if isinstance(values, np.ndarray):
                digest.update(f"{column.name} {values.dtype} {values.shape}\n".encode())
                digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

"""Numbering query-document pairs: by a saved vocabulary, or by hashing with a stated seed.

A vocabulary gives the pairs seen at least ``min_count`` times the ids 1, 2, ..., the most frequent first, and all
others one common id after them: rare pairs of the training log teach that row, unseen pairs of a test log read it. It
needs memory in proportion to the distinct pairs (some 100 bytes each while it is built). Hashing needs none, but there
pairs collide.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ir_shared.console import UserError
from numpy.typing import NDArray

from clax.data.keys import mix, pair_codes
from clax.data.raw import RawLog, RawSessions

if TYPE_CHECKING:
    import polars as pl

__all__ = ["HashedPairs", "Vocabulary"]

_FOLD_ROWS = 1 << 22
_LARGEST_ID = 2**31 - 2


@dataclass(frozen=True)
class Vocabulary:
    """Query-document pairs and how often each was shown.

    Attributes:
        pairs: columns ``query``, ``document`` and ``count``; row i has the id i + 1.
    """

    pairs: pl.DataFrame

    @classmethod
    def build(cls, log: RawLog, *, min_count: int = 1, max_sessions: int | None = None) -> Self:
        """Counts the pairs of a log.

        Args:
            log: read once.
            min_count: pairs shown less often share the unknown id.
            max_sessions: count these first sessions only, so that later ones can test for unseen pairs.

        Raises:
            UserError: no pair is left, or two pairs share a 64-bit code.
        """
        import polars as pl

        counted, waiting, size, left = None, [], 0, max_sessions
        for raw in log.chunks():
            chunk = _pair_counts(raw, left)
            left = None if left is None else left - len(raw.queries)
            waiting.append(chunk)
            size += len(chunk)
            # Folding when as much is waiting as is counted keeps the work in proportion to the log.
            if size >= max(_FOLD_ROWS, 0 if counted is None else len(counted)):
                counted, waiting, size = _fold(counted, waiting), [], 0
            if left is not None and left <= 0:
                break
        counted = _fold(counted, waiting) if waiting else counted
        if counted is None:
            raise UserError(f"{getattr(log, 'path', 'the log')}: has no sessions, so there is no vocabulary to build")
        kept = counted.filter(pl.col("count") >= min_count)
        if not len(kept):
            raise UserError(f"no pair was shown {min_count} times; lower the frequency cut")
        return cls(kept.sort("count", "query", "document", descending=[True, False, False]))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a vocabulary.

        Raises:
            UserError: no such file, or not a vocabulary.
        """
        import polars as pl

        try:
            pairs = pl.DataFrame(pq.read_table(path))
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path}: cannot be read as a vocabulary ({str(error).splitlines()[0]})") from error
        if not {"query", "document", "count"} <= set(pairs.columns):
            raise UserError(f"{path}: a vocabulary has the columns query, document and count; here: {pairs.columns}")
        return cls(pairs)

    def save(self, path: str | Path) -> None:
        """Writes the pairs and their ids as Parquet."""
        import polars as pl

        Path(path).parent.mkdir(parents=True, exist_ok=True)
        ids = pl.Series("id", np.arange(1, len(self.pairs) + 1, dtype=np.int32))
        pq.write_table(self.pairs.drop("id", strict=False).with_columns(ids).to_arrow(), path, compression="zstd")

    @property
    def num_pairs(self) -> int:
        """The largest id, which is the unknown one."""
        return len(self.pairs) + 1

    @property
    def unknown_id(self) -> int:
        """The id of all pairs outside the vocabulary."""
        return len(self.pairs) + 1

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the pairs in their order."""
        return hashlib.sha256(self._codes.tobytes()).hexdigest()[:16]

    def encode(self, queries: pa.Array, documents: pa.Array, lengths: NDArray[np.int64]) -> NDArray[np.int32]:
        """The ids of documents, [M].

        Args:
            queries: one per session, [N].
            documents: [M].
            lengths: documents of each session, [N].
        """
        wanted = pair_codes(queries, documents, lengths)
        codes, ids = self._sorted
        at = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
        return np.where(codes[at] == wanted, ids[at], np.int32(self.unknown_id))

    @cached_property
    def _codes(self) -> NDArray[np.uint64]:
        once = np.ones(len(self.pairs), np.int64)
        return pair_codes(self.pairs["query"].to_arrow(), self.pairs["document"].to_arrow(), once)

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        order = np.argsort(self._codes)
        codes = self._codes[order]
        if (codes[1:] == codes[:-1]).any():
            raise UserError("the vocabulary holds a pair twice, or two pairs with one 64-bit code; rename one of them")
        return codes, (order + 1).astype(np.int32)


@dataclass(frozen=True)
class HashedPairs:
    """Ids by hashing: pairs that collide share one.

    Attributes:
        num_pairs: how many ids.
        seed: another seed makes other pairs collide.
    """

    num_pairs: int
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.num_pairs <= _LARGEST_ID:
            raise UserError(f"{self.num_pairs} hashed ids: choose 1 to {_LARGEST_ID}")

    @property
    def unknown_id(self) -> None:
        """Every pair has an id."""
        return

    @property
    def fingerprint(self) -> str:
        """Size and seed."""
        return f"hashed-{self.num_pairs}-seed-{self.seed}"

    def encode(self, queries: pa.Array, documents: pa.Array, lengths: NDArray[np.int64]) -> NDArray[np.int32]:
        """The ids of documents, [M]; see :meth:`Vocabulary.encode`."""
        salt = mix(np.array([self.seed + 1], np.uint64))
        hashed = mix(pair_codes(queries, documents, lengths) ^ salt)
        # The high 32 bits times the size, shifted back: even over the ids, without a division.
        return (((hashed >> np.uint64(32)) * np.uint64(self.num_pairs)) >> np.uint64(32)).astype(np.int32) + np.int32(1)


def _pair_counts(raw: RawSessions, max_sessions: int | None) -> pl.DataFrame:
    import polars as pl

    lengths = np.diff(raw.offsets)
    queries = raw.queries.take(pa.array(np.repeat(np.arange(len(lengths)), lengths)))
    frame = pl.DataFrame({"query": pl.Series(queries), "document": pl.Series(raw.documents)})
    if max_sessions is not None:
        frame = frame.head(int(raw.offsets[min(max_sessions, len(lengths))]))
    return frame.group_by("query", "document").agg(pl.len().cast(pl.Int64).alias("count"))


def _fold(counted: pl.DataFrame | None, waiting: list[pl.DataFrame]) -> pl.DataFrame:
    import polars as pl

    parts = waiting if counted is None else [counted, *waiting]
    return pl.concat(parts).group_by("query", "document").agg(pl.col("count").sum())

"""A click log as a re-iterable of fixed-shape batches: streaming, shuffled if wanted, in bounded memory.

    data = SessionData.from_parquet("clicks/*.parquet", max_positions=10)
    for batch in data.train: ...

The order of the sessions depends on nothing but the seed and the epoch, so that a resumed run sees the same batches.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from ir_shared.console import DataWarning, UserError

from clax.data.columns import Columns
from clax.data.parquet import ParquetSource, Unit, parquet_files
from clax.data.prefetch import prefetch
from clax.data.rows import concatenate, cut, shuffled, to_rows, unit_order
from clax.data.sessions import Sessions
from clax.data.validation import Counts, Rules, check_alike, clean

if TYPE_CHECKING:
    from clax.batch import Batch
    from clax.data.vocabulary import Vocabulary

__all__ = ["SessionData", "Source"]

_BUFFER_BYTES = 1 << 26


class Source(Protocol):
    """Where sessions come from: runs of rows that are read one by one."""

    @property
    def units(self) -> tuple[Unit, ...]:
        """The runs, in the order of the log."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the maker of the log says of it."""
        ...

    def read(self, unit: Unit, start: int, stop: int) -> Iterator[Sessions]:
        """Reads the sessions ``start`` to ``stop`` of one run."""
        ...

    def largest_id(self) -> int:
        """The largest pair id."""
        ...

    def fingerprint(self) -> str:
        """A hash that changes when the log does."""
        ...


@dataclass
class SessionData:
    """A click log, or a window of one. Iterating yields :class:`~clax.batch.Batch` of NumPy arrays, all of one shape.

    Attributes:
        source: where the sessions come from.
        rules: what is accepted.
        batch_size: sessions per batch; the last batch is filled up with empty ones (mask false).
        shuffle: seed of a new order in each epoch; None keeps the order of the log.
        start: first session of the window.
        stop: end of the window.
        fractions: the shares that :attr:`train`, :attr:`valid` and :attr:`test` take of the window, in this order.
        buffer_bytes: padded sessions that are shuffled among themselves; bounds memory.
        read_ahead: whether a thread reads while the consumer computes.
        vocabulary: the pairs behind the ids, where they are known.
        counts: what the last complete pass met; None before one.
    """

    source: Source
    rules: Rules
    batch_size: int = 4096
    shuffle: int | None = None
    start: int = 0
    stop: int = -1
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    buffer_bytes: int = _BUFFER_BYTES
    read_ahead: bool = True
    vocabulary: Vocabulary | None = None
    counts: Counts | None = field(default=None, init=False, compare=False)
    _epoch: int = field(default=0, init=False, compare=False)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"batch size {self.batch_size}: must be at least 1")
        if min(self.fractions) < 0 or sum(self.fractions) > 1 + 1e-9:
            raise UserError(f"split {self.fractions}: shares are not negative and sum to at most 1")
        units = self.source.units
        total = units[-1].stop if units else 0
        self.stop = total if self.stop < 0 else self.stop
        if not 0 <= self.start < self.stop <= total:
            raise UserError(f"sessions {self.start} to {self.stop} are not there: the log has {total}")

    @classmethod
    def from_parquet(
        cls,
        paths: str | Path | Sequence[str | Path],
        *,
        max_positions: int | None = None,
        num_pairs: int | None = None,
        columns: Columns | None = None,
        clip_to_unknown: bool = False,
        **options: Any,
    ) -> Self:
        """Opens Parquet files with one row per session; nothing but their footers is read.

        Args:
            paths: files, folders or glob patterns.
            max_positions: P; needed unless this package wrote the files.
            num_pairs: the largest id; by default from the files. Give the training log's for any other log.
            columns: names of the columns, where they differ from the usual ones.
            clip_to_unknown: ids above ``num_pairs`` share one more row, the last, instead of being refused.
            options: of :class:`SessionData` and, as ``zero_based`` and ``binarise_clicks``, of
                :class:`~clax.data.validation.Rules`.

        Raises:
            UserError: no such file, no sessions, or no ``max_positions``.
        """
        source = ParquetSource(parquet_files(paths), columns or Columns())
        if not source.units:
            raise UserError(f"{source.files[0]}: there are no sessions")
        return cls.from_source(
            source, max_positions=max_positions, num_pairs=num_pairs, clip_to_unknown=clip_to_unknown, **options
        )

    @classmethod
    def from_source(
        cls,
        source: Source,
        *,
        max_positions: int | None = None,
        num_pairs: int | None = None,
        clip_to_unknown: bool = False,
        zero_based: bool = False,
        binarise_clicks: bool = False,
        **options: Any,
    ) -> Self:
        """Opens any source; see :meth:`from_parquet`."""
        known = source.metadata
        positions = known.get("max_positions") if max_positions is None else max_positions
        if positions is None:
            raise UserError("how many positions does the log show? give max_positions (--max-positions)")
        pairs = known.get("num_pairs") if num_pairs is None else num_pairs
        if pairs is None:
            pairs = max(1, source.largest_id() + zero_based)
        unknown = known.get("unknown_id")
        if clip_to_unknown and unknown is None:
            pairs = unknown = pairs + 1
        rules = Rules(pairs, positions, zero_based, binarise_clicks, unknown, clip_to_unknown)
        return cls(source, rules, **options)

    @property
    def num_pairs(self) -> int:
        """The largest id: the size that tables need."""
        return self.rules.num_pairs

    @property
    def max_positions(self) -> int:
        """P."""
        return self.rules.max_positions

    @property
    def num_sessions(self) -> int:
        """Rows in the window, empty sessions included."""
        return self.stop - self.start

    @property
    def vocabulary_name(self) -> str | None:
        """The fingerprint of the vocabulary that the log was made with; None for other people's ids."""
        name: str | None = self.source.metadata.get("vocabulary")
        return name

    @property
    def train(self) -> Self:
        """The first part of the window, shuffled (by seed 0, if the log itself is not shuffled)."""
        return replace(self._part(0), shuffle=self.shuffle or 0)

    @property
    def valid(self) -> Self:
        """The part after :attr:`train`."""
        return self._part(1)

    @property
    def test(self) -> Self:
        """The part after :attr:`valid`."""
        return self._part(2)

    def window(self, start: int, stop: int) -> Self:
        """The sessions ``start`` to ``stop`` of this window, in the order of the log."""
        return replace(self, start=self.start + start, stop=self.start + stop, shuffle=None)

    def batched(self, batch_size: int, shuffle: int | None = None) -> Self:
        """The same sessions in batches of another size, and in another order."""
        return replace(self, batch_size=batch_size, shuffle=shuffle)

    def shard(self, index: int, count: int) -> Self:
        """One of ``count`` equally long parts, one for each process of a distributed run.

        All parts have equally many batches; up to ``count - 1`` sessions at the end are left out.
        """
        rows = self.num_sessions // count
        return replace(self.window(index * rows, (index + 1) * rows), shuffle=self.shuffle)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of the sessions, a function of the seed and this number."""
        self._epoch = epoch

    def __len__(self) -> int:
        """How many batches."""
        return -(-self.num_sessions // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Yields the batches.

        Raises:
            UserError: with file and row, at the first session that cannot be used.
        """
        counts: list[Counts] = []
        rows: Iterator[Batch] = self._rows(counts)
        if self.shuffle is not None:
            rows = shuffled(rows, (self.shuffle, self._epoch), self.buffer_bytes)
        yield from cut(prefetch(rows) if self.read_ahead else rows, self.batch_size)
        self._report(sum(counts, Counts()))

    def arrays(self) -> Batch:
        """All sessions of the window as one batch, in memory."""
        counts: list[Counts] = []
        batch = concatenate(list(self._rows(counts)))
        self._report(sum(counts, Counts()))
        return batch

    def _part(self, index: int) -> Self:
        ends = [round(self.num_sessions * sum(self.fractions[:i])) for i in range(4)]
        if ends[index] == ends[index + 1]:
            raise UserError(f"the split {self.fractions} of {self.num_sessions} sessions leaves a part empty")
        return self.window(ends[index], ends[index + 1])

    def _rows(self, counts: list[Counts]) -> Iterator[Batch]:
        first: Sessions | None = None
        for unit in unit_order(self.source.units, self.start, self.stop, self.shuffle, self._epoch):
            for sessions in self.source.read(unit, max(unit.start, self.start), min(unit.stop, self.stop)):
                first = first or sessions
                check_alike(first, sessions)
                tidy, met = clean(sessions, self.rules)
                counts.append(met)
                yield to_rows(tidy, self.max_positions)

    def _report(self, counts: Counts) -> None:
        first = self.counts is None
        self.counts = counts
        if not counts.sessions:
            raise UserError(f"none of the {self.num_sessions} sessions has a document that can be used")
        if first and (repairs := counts.repairs()):
            warnings.warn(f"of {self.num_sessions} sessions: {', '.join(repairs)}", DataWarning, stacklevel=3)

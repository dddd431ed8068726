"""Reading a click log of any size: scanned lazily, checked, aggregated to cells by streaming, in parts if need be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ir_shared.console import UserError

from twotower_ident.aggregate import Labels, Weighting, aggregate, session_counts
from twotower_ident.cells import CellTable
from twotower_ident.log_checks import check_duplicates, check_log, numeric_columns
from twotower_ident.log_source import LogColumns, Source, canonical, feature_names, open_source, reading

if TYPE_CHECKING:
    import polars as pl

__all__ = ["CellTable", "ClickLog", "LogColumns"]


@dataclass(frozen=True)
class ClickLog:
    """A checked click log that has not been read into memory.

    Attributes:
        frame: columns ``qid``, ``docid``, ``position`` (from 1), ``click`` and, as present, ``impressions``,
            ``session``, ``propensity``, bias and feature columns.
        n_rows: rows of the log.
        columns: the names of the bias and feature columns.
        merge: first position of each group, where positions count as one; empty where not.
    """

    frame: pl.LazyFrame
    n_rows: int
    columns: LogColumns
    merge: tuple[int, ...] = ()

    @classmethod
    def scan(
        cls,
        source: Source,
        columns: LogColumns | None = None,
        *,
        position_base: int = 1,
        merge: tuple[int, ...] = (),
        check_sessions: bool = True,
    ) -> ClickLog:
        """Opens a log and checks it.

        Args:
            source: what :func:`twotower_ident.log_source.open_source` takes.
            columns: which columns hold what, where the names are not known.
            position_base: what the first position is called, 0 or 1.
            merge: first position of each group of positions that shall count as one, ascending from 1, e.g.
                (1, 2, 3, 6, 11).
            check_sessions: whether to look for documents that a session shows twice; a second pass.

        Raises:
            UserError: a log that cannot be used; the line says why.
        """
        import polars as pl

        if merge and (merge[0] != 1 or list(merge) != sorted(set(merge))):
            raise UserError(f"merged positions {merge}: give the first position of each group, ascending from 1")
        names = columns or LogColumns()
        with reading("log"):
            frame = numeric_columns(canonical(open_source(source), names))
            n_rows = check_log(frame, position_base=position_base)
            found = frame.collect_schema().names()
            if check_sessions and "session" in found and "impressions" not in found:
                check_duplicates(frame)
        frame = frame.with_columns(pl.col("position").cast(pl.Int32) + (1 - position_base))
        if "impressions" in found:
            frame = frame.filter(pl.col("impressions") > 0)
        features = tuple(feature_names(names.features, frame.collect_schema().names()))
        return cls(frame, n_rows, replace(names, features=features), merge)

    @property
    def has_sessions(self) -> bool:
        """Whether a column says which impressions belong to one result page."""
        return "session" in self.frame.collect_schema().names()

    def cells(
        self,
        *,
        keys: str = "pair",
        partitions: int = 1,
        labels: Labels = "none",
        count_sessions: bool = False,
        weighting: Weighting = "impression",
    ) -> CellTable:
        """Aggregates the log; the result depends neither on the order of the rows nor on the number of partitions.

        Args:
            keys: what makes a pair: ``pair`` (query and document), ``doc`` (the document, in all queries), ``exact``
                (equal feature vectors; ``exact:DIGITS`` rounds them first) or ``bucket:COLUMN[,COLUMN]`` (equal values
                of columns of the log).
            partitions: how many passes; memory falls in proportion.
            labels: which names to keep: ``none``, those of the ``queries``, or of the ``pairs`` as well.
            count_sessions: whether to count each query's sessions exactly, where the log has a session column.
            weighting: ``impression`` counts impressions; ``session`` gives each the weight 1 / (documents of its
                session), as a loss that averages over a session's documents does.

        Raises:
            UserError: columns that this needs and the log lacks, or too many positions.
        """
        if partitions < 1:
            raise UserError(f"{partitions} partitions: give 1 or more")
        sessions = session_counts(self.frame, partitions) if count_sessions and self.has_sessions else None
        return aggregate(
            self.frame,
            self.columns,
            keys=keys,
            partitions=partitions,
            labels=labels,
            merge=self.merge,
            weighting=weighting,
            query_sessions=sessions,
        )

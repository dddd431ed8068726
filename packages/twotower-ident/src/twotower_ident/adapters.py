"""The same aggregation on a SQL engine, for logs that outgrow one machine: DuckDB, Spark, or the statement itself.

The engine groups the log; what comes back is aggregated rows, a small fraction of it, which
:meth:`ClickLog.scan <twotower_ident.click_log.ClickLog.scan>` takes like any other log.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ir_shared.console import UserError

from twotower_ident.click_log import ClickLog
from twotower_ident.log_source import LogColumns

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import DataFrame

__all__ = ["SqlLog", "duckdb_log", "spark_log"]

Dialect = Literal["duckdb", "spark"]


@dataclass(frozen=True)
class SqlLog:
    """A click log in a table, one row an impression.

    Attributes:
        table: name of the table or view, or a table expression such as ``read_parquet('clicks/*.parquet')``.
        columns: which columns hold what; ``qid``, ``docid``, ``position`` and ``click`` where not named.
        position_base: what the first position is called.
        dialect: how names are quoted.
    """

    table: str
    columns: LogColumns = field(default_factory=LogColumns)
    position_base: int = 1
    dialect: Dialect = "duckdb"

    @property
    def cells(self) -> str:
        """The statement that aggregates: one row a query, document, position and bias column."""
        columns = self.columns
        bias = [self._quoted(name) for name in columns.bias]
        keys = [self._name("qid"), self._name("docid"), self._name("position"), *bias]
        shown = "COUNT(*)" if columns.impressions is None else f"SUM({self._quoted(columns.impressions)})"
        shift = f" + {1 - self.position_base}" if self.position_base != 1 else ""
        chosen = [
            f"{keys[0]} AS qid",
            f"{keys[1]} AS docid",
            f"{keys[2]}{shift} AS position",
            *bias,
            f"{shown} AS impressions",
            f"SUM({self._name('click')}) AS click",
        ]
        return f"SELECT {', '.join(chosen)} FROM {self.table} GROUP BY {', '.join(keys)}"  # noqa: S608 - quoted

    @property
    def sessions(self) -> str:
        """The statement that counts each query's sessions.

        Raises:
            UserError: no session column is named.
        """
        if self.columns.session is None:
            raise UserError("SQL log: counting sessions needs a session column; name it in the columns")
        session = self._quoted(self.columns.session)
        qid = self._name("qid")
        return f"SELECT {qid} AS qid, COUNT(DISTINCT {session}) AS sessions FROM {self.table} GROUP BY {qid}"  # noqa: S608

    @property
    def checks(self) -> str:
        """The statement that finds rows which grouping would hide; it gives one row, all zeros for a sound log."""
        click = self._name("click")
        missing = {role: f"{self._name(role)} IS NULL" for role in ("qid", "docid", "position", "click")}
        counts = [f"SUM(CASE WHEN {test} THEN 1 ELSE 0 END) AS no_{role}" for role, test in missing.items()]
        if self.columns.impressions is None:
            counts.append(f"SUM(CASE WHEN {click} NOT IN (0, 1) THEN 1 ELSE 0 END) AS bad_click")
        return f"SELECT {', '.join(counts)} FROM {self.table}"  # noqa: S608

    def _name(self, role: str) -> str:
        return self._quoted(getattr(self.columns, role) or role)

    def _quoted(self, name: str) -> str:
        sign = "`" if self.dialect == "spark" else '"'
        return sign + name.replace(sign, sign * 2) + sign


def duckdb_log(connection: duckdb.DuckDBPyConnection, log: SqlLog) -> ClickLog:
    """Aggregates on DuckDB.

    Args:
        connection: an open connection that sees the table.
        log: the table and its columns.

    Raises:
        UserError: rows that cannot be used.
    """
    import polars as pl

    checks = connection.sql(log.checks)
    _refuse(dict(zip(checks.columns, checks.fetchall()[0], strict=True)))
    frame = pl.DataFrame(connection.sql(log.cells).to_arrow_table())
    return ClickLog.scan(frame, _aggregated(log.columns))


def spark_log(frame: DataFrame, log: SqlLog, folder: str | Path) -> ClickLog:
    """Aggregates on Spark; the cells go through Parquet files, so the driver never holds them.

    Args:
        frame: the log; ``log.table`` is the name under which it is registered for the statement.
        log: its columns, dialect ``spark``.
        folder: where the cells go, on a file system that this process reads too.

    Raises:
        UserError: another dialect, or rows that cannot be used.
    """
    if log.dialect != "spark":
        raise UserError(f"SQL log: dialect {log.dialect!r} on Spark; give dialect='spark'")
    session = frame.sparkSession
    frame.createOrReplaceTempView(log.table)
    _refuse(session.sql(log.checks).collect()[0].asDict())
    session.sql(log.cells).write.mode("overwrite").parquet(str(folder))
    return ClickLog.scan(Path(folder), _aggregated(log.columns))


def _aggregated(columns: LogColumns) -> LogColumns:
    """The columns of the aggregated rows."""
    named: dict[str, Any] = {item.name: None for item in fields(LogColumns)}
    roles = {role: role for role in ("qid", "docid", "position", "click", "impressions")}
    return LogColumns(**{**named, **roles, "bias": columns.bias, "features": ()})


def _refuse(found: dict[str, Any]) -> None:
    for name, count in found.items():
        if count:
            what = "a click other than 0 and 1" if name == "bad_click" else f"no {name.removeprefix('no_')}"
            raise UserError(f"log: {count} rows have {what}; drop or mend them")

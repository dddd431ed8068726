"""What cannot be read or cannot be is one line with a remedy, from the library as from the command line."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from ir_shared.console import DataWarning, UserError
from twotower_ident.cells import CellTable
from twotower_ident.click_log import ClickLog
from twotower_ident.features import table_features
from twotower_ident.intervention_harvesting import harvested_position_bias
from twotower_ident.letor import read_letor
from twotower_ident.log_audit import audit
from twotower_ident.user_models import UserModel

Run = Callable[..., Any]

ROWS = pl.DataFrame({"qid": [1, 1, 1, 1], "docid": [1, 1, 2, 2], "position": [1, 2, 1, 2], "click": [1, 0, 0, 1]})
COUNTED = ROWS.with_columns(impressions=pl.lit(5))
HEAD = b"qid,docid,position,click\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("broken.parquet", b"PAR1 and no more"),
        ("empty.parquet", b""),
        ("empty.csv", b""),
        ("ragged.csv", HEAD + b"1,2,1,0\n1,2,1,0,5,6\n"),
        ("latin.csv", HEAD + b"caf\xe9,2,1,0\n"),
        ("late-words.csv", HEAD + b"1,2,1,0\n" * 10_001 + b"a,b,1,1\n"),
        ("broken.jsonl", b'{"qid":1,"docid":2,"position":1,"click":0}\n{oops\n'),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_and_code_two(
    cli: Run, name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=r"^log: cannot be read"):
        ClickLog.scan(tmp_path / name)
    result = cli("audit", tmp_path / name)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "Traceback" not in result.err


def test_files_of_one_log_with_different_columns_or_kinds_are_refused(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "a.parquet")
    for other in (ROWS.rename({"click": "clack"}), ROWS.cast({"qid": pl.String})):
        other.write_parquet(tmp_path / "b.parquet")
        with pytest.raises(UserError, match="cannot be read"):
            ClickLog.scan(tmp_path)


def test_lists_of_different_length_in_one_session_are_refused() -> None:
    frame = pl.DataFrame({"query_id": [1], "query_doc_ids": [[1, 2]], "clicks": [[0]]})
    with pytest.raises(UserError, match="cannot be read"):
        ClickLog.scan(frame)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("impressions", [1.0, float("nan"), 1, 1], "1 of 4 rows have no impressions"),
        ("impressions", [1, None, 1, 1], "1 of 4 rows have no impressions"),
        ("impressions", [float("inf"), 1, 1, 1], "1 of 4 rows have no impressions"),
        ("impressions", ["1", "many", "1", "1"], "impressions 'many' is not a number; give counts"),
        ("click", ["yes", "no", "no", "yes"], "click 'yes' is not a number"),
        ("position", [date(2025, 1, 1)] * 4, "position is a column of type Date; give numbers"),
        ("propensity", ["x"] * 4, "propensity 'x' is not a number"),
    ],
)
def test_values_that_are_no_numbers_are_named(column: str, values: list[object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ClickLog.scan(ROWS.with_columns(pl.Series(column, values, strict=False)))


def test_rows_without_any_impression_are_no_log() -> None:
    with pytest.raises(UserError, match="all rows have 0 impressions"):
        ClickLog.scan(COUNTED.with_columns(impressions=pl.lit(0), click=pl.lit(0)))


@pytest.mark.filterwarnings("ignore::ir_shared.console.DataWarning")
def test_counts_and_clicks_written_as_text_are_read() -> None:
    text = COUNTED.with_columns(pl.col("impressions", "click").cast(pl.String))
    assert audit(ClickLog.scan(text)).graph.impressions.tolist() == [10, 10]


FEATURES = pl.DataFrame({"qid": [1, 1], "docid": [1, 2], "f0": [0.5, 0.2], "f1": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (FEATURES.with_columns(qid=pl.lit("q1")), "2 pairs of the log have none"),
        (FEATURES.with_columns(f1=pl.lit("red")), "f1 is a column of type String; give numbers"),
        (FEATURES.with_columns(f1=pl.concat_list(pl.lit("red"))), "f1 is a column of type List"),
        (FEATURES.with_columns(f1=pl.Series([1.0, None])), "f1 of pair . is nan"),
    ],
)
def test_features_that_do_not_fit_the_log_are_refused(table: pl.DataFrame, message: str) -> None:
    with pytest.raises(UserError, match=message):
        table_features(ClickLog.scan(ROWS), table)


def test_a_table_of_features_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "f.parquet").write_bytes(b"junk")
    with pytest.raises(UserError, match=r"^features: cannot be read"):
        table_features(ClickLog.scan(ROWS), tmp_path / "f.parquet")


@pytest.mark.filterwarnings("ignore:the log has one query:ir_shared.console.DataWarning")
def test_features_that_never_vary_leave_the_audit_to_swaps() -> None:
    log = ClickLog.scan(COUNTED)
    with pytest.warns(DataWarning, match="dropped as constant: f0, f1"):
        constant = table_features(log, FEATURES.with_columns(f0=pl.lit(1.0), f1=pl.lit(1.0)))
    assert audit(log, features=constant).overlap is None
    with pytest.raises(UserError, match="need features that vary"):
        audit(log, features=constant, keys="linear")


def test_letor_text_that_is_broken_or_absurd_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"1 qid:a 1:0.5\n" * 500)
    (tmp_path / "cut.txt.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="a broken gzip file"):
        read_letor(tmp_path / "cut.txt.gz")
    (tmp_path / "wide.txt").write_text("1 qid:a 1000000000:1\n")
    with pytest.raises(UserError, match=r"wide.txt:1: feature 1000000000 lies beyond"):
        read_letor(tmp_path / "wide.txt")


def test_a_qid_in_another_encoding_keeps_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"1 qid:caf\xe9 1:1\n0 qid:caf\xe9 1:2\n")
    assert read_letor(tmp_path / "latin.txt").qids == ("caf\\xe9",)


def test_users_of_no_finite_bias_are_refused() -> None:
    with pytest.raises(UserError, match="finite"):
        UserModel(bias_strength=float("nan"))


@pytest.mark.parametrize("estimator", ["pivot", "all-pairs"])
def test_without_clicks_at_the_reference_no_ratio_is_finite(estimator: str) -> None:
    cells = CellTable.from_arrays([0, 0, 1, 1], [1, 2, 1, 2], [5, 5, 5, 5], [0, 2, 0, 3])
    assert np.isnan(harvested_position_bias(cells, estimator).bias).all()  # type: ignore[arg-type]

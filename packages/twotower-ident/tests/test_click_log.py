"""Aggregation is the same for any order, partition and format, and a log that cannot be used is refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_shared.console import DataWarning, UserError
from twotower_ident.cells import CellTable
from twotower_ident.click_log import ClickLog, LogColumns


def same(one: CellTable, other: CellTable) -> None:
    for name in ("pair", "position", "impressions", "clicks", "pair_query"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.n_positions == other.n_positions
    if one.members is not None and other.members is not None:
        assert np.array_equal(one.members[0], other.members[0])
        assert np.array_equal(one.members[1], other.members[1])


def counts(frame: pl.DataFrame) -> dict[tuple[str, str, int], tuple[int, int]]:
    """The literal aggregation: a dictionary."""
    found: dict[tuple[str, str, int], tuple[int, int]] = {}
    for qid, docid, position, click in frame.select("qid", "docid", "position", "click").iter_rows():
        n, c = found.get((qid, docid, position), (0, 0))
        found[qid, docid, position] = (n + 1, c + click)
    return found


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), partitions=st.integers(1, 7), keys=st.sampled_from(["pair", "doc", "bucket:kind"]))
def test_any_partition_and_row_order_give_the_same_cells(seed: int, partitions: int, keys: str) -> None:
    rng = np.random.default_rng(seed)
    n = 300
    frame = pl.DataFrame(
        {
            "qid": rng.integers(0, 20, n),
            "docid": [f"d{d}" for d in rng.integers(0, 8, n)],
            "position": rng.integers(1, 6, n),
            "click": rng.integers(0, 2, n),
            "kind": rng.integers(0, 3, n),
        }
    )
    columns = LogColumns(features=("kind",))
    whole = ClickLog.scan(frame, columns).cells(keys=keys, labels="pairs")
    shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
    parts = ClickLog.scan(shuffled, columns).cells(keys=keys, partitions=partitions, labels="pairs")
    same(whole, parts)
    if keys != "pair":
        return
    assert whole.pairs is not None
    assert whole.pairs.equals(parts.pairs)
    named = whole.pairs[whole.pair].iter_rows()
    rows = zip(named, whole.position.tolist(), whole.impressions, whole.clicks, strict=True)
    assert {(str(q), d, k): (n, c) for (q, d), k, n, c in rows} == {
        (str(q), d, k): v for (q, d, k), v in counts(frame).items()
    }


@pytest.mark.parametrize("suffix", ["parquet", "csv", "arrow", "jsonl", "pandas", "to_arrow"])
def test_every_format_gives_the_same_cells(impressions: pl.DataFrame, suffix: str, tmp_path: Path) -> None:
    frame = impressions.select("qid", "docid", "position", "click", "session")
    whole = ClickLog.scan(frame).cells()
    if suffix in ("pandas", "to_arrow"):
        source = frame.to_arrow() if suffix == "to_arrow" else frame.to_pandas()
        same(whole, ClickLog.scan(source).cells())
        return
    writer = {"parquet": "write_parquet", "csv": "write_csv", "arrow": "write_ipc", "jsonl": "write_ndjson"}[suffix]
    for i, part in enumerate((frame[:20_000], frame[20_000:])):
        getattr(part, writer)(tmp_path / f"part{i}.{suffix}")
    same(whole, ClickLog.scan(str(tmp_path / f"part*.{suffix}")).cells())
    same(whole, ClickLog.scan(tmp_path).cells())


def test_sessions_as_lists_are_unrolled_with_the_place_as_position(impressions: pl.DataFrame) -> None:
    lists = impressions.group_by("session", "qid", maintain_order=True).agg("docid", "click")
    theirs = lists.select(
        pl.col("qid").alias("query_id"), pl.col("docid").alias("query_doc_ids"), pl.col("click").alias("clicks")
    )
    same(ClickLog.scan(impressions).cells(), ClickLog.scan(theirs).cells())


def test_aggregated_rows_count_as_many_impressions(impressions: pl.DataFrame) -> None:
    grouped = impressions.group_by("qid", "docid", "position").agg(
        pl.len().alias("impressions"), pl.col("click").sum().alias("clicks")
    )
    empty = grouped.head(1).with_columns(docid=pl.lit("never"), impressions=pl.lit(0, pl.UInt32), clicks=pl.lit(0))
    both = pl.concat([grouped, empty], how="vertical_relaxed")
    same(ClickLog.scan(impressions).cells(), ClickLog.scan(both).cells())


def test_zero_based_positions_are_shifted_when_told() -> None:
    frame = pl.DataFrame({"qid": [1, 1], "docid": [1, 2], "position": [0, 3], "click": [0, 1]})
    with pytest.raises(UserError, match="--position-base 0"):
        ClickLog.scan(frame)
    assert ClickLog.scan(frame, position_base=0).cells().position.tolist() in ([1, 4], [4, 1])
    with pytest.warns(DataWarning, match="no row has position 0"):
        ClickLog.scan(frame[1:], position_base=0)


def test_merged_positions_and_bias_columns_make_factors(impressions: pl.DataFrame) -> None:
    device = pl.when(pl.col("session") % 3 == 0).then(pl.lit("phone")).otherwise(pl.lit("desk"))
    frame = impressions.with_columns(device=device)
    merged = ClickLog.scan(frame, merge=(1, 2, 4)).cells()
    assert merged.labels() == ["1", "2-3", "4+"]
    expected = [6000, 12_000, 18_000]
    assert merged.by_position(merged.impressions).tolist() == expected
    both = ClickLog.scan(frame, LogColumns(bias=("device",)), merge=(1, 2, 4)).cells(partitions=3)
    assert both.labels() == ["1 · desk", "1 · phone", "2-3 · desk", "2-3 · phone", "4+ · desk", "4+ · phone"]
    assert (np.diff(both.pair * 10 + both.position) > 0).all()
    with pytest.raises(UserError, match="ascending from 1"):
        ClickLog.scan(frame, merge=(2, 4))


def test_session_weighting_is_the_mean_over_documents_then_sessions() -> None:
    rng = np.random.default_rng(0)
    rows = [
        (session, f"q{session % 3}", f"d{d}", k + 1, int(rng.random() < 0.4))
        for session in range(200)
        for k, d in enumerate(rng.permutation(6)[: rng.integers(2, 6)])
    ]
    frame = pl.DataFrame(rows, schema=["session", "qid", "docid", "position", "click"], orient="row")
    cells = ClickLog.scan(frame).cells(weighting="session", labels="pairs", partitions=2)
    theta, gamma = rng.normal(size=6), {(f"q{q}", f"d{d}"): rng.normal() for q in range(3) for d in range(6)}
    literal = []
    for _, session in frame.group_by("session"):
        s = np.array([theta[k - 1] + gamma[q, d] for q, d, k in session.select("qid", "docid", "position").iter_rows()])
        literal.append(np.mean(np.logaddexp(0, s) - session["click"].to_numpy() * s))
    assert cells.pairs is not None
    own = np.array([gamma[q, d] for q, d in cells.pairs.iter_rows()])
    logits = theta[cells.index] + own[cells.pair]
    ours = (cells.impressions * np.logaddexp(0, logits) - cells.clicks * logits).sum() / 200
    assert ours == pytest.approx(np.mean(literal), abs=1e-10)


SOUND = {"qid": [1, 1, 2], "docid": [1, 2, 1], "position": [1, 2, 1], "click": [0, 1, 0]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": [1.5, 2, 1]}, "1 positions are not whole numbers"),
        ({"position": [1.0, float("nan"), 1]}, "1 of 3 rows have no position"),
        ({"position": ["1", "two", "1"]}, "position 'two' is not a number"),
        ({"position": [1, -2, 1]}, "lowest position is -2"),
        ({"position": [1, 10_001, 1]}, "highest position is 10001"),
        ({"click": [0, 2, 0]}, "1 rows have a click other than 0 and 1"),
        ({"click": [0, None, 0]}, "1 of 3 rows have no click"),
        ({"qid": [1, None, 2]}, "1 of 3 rows have no qid"),
        ({"impressions": [1, 1, -1]}, "negative impressions or clicks"),
        ({"impressions": [1, 0, 1]}, "1 rows have more clicks than impressions"),
        ({"session": [7, 7, 7], "docid": [1, 1, 1], "qid": [1, 1, 1]}, "session 7 shows document 1 of query 1 3 times"),
        ({"position": [1, 1001, 1]}, "merge them to at most 1000"),
    ],
)
def test_a_log_that_cannot_be_used_is_refused(change: dict[str, list[object]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ClickLog.scan(pl.DataFrame({**SOUND, **change}, strict=False)).cells()


def test_missing_columns_files_and_rows_are_named(tmp_path: Path) -> None:
    frame = pl.DataFrame(SOUND)
    with pytest.raises(UserError, match=r"no column for the click .*--column click=NAME; the columns are qid, docid"):
        ClickLog.scan(frame.drop("click"))
    with pytest.raises(UserError, match="no column 'c'; the columns are"):
        ClickLog.scan(frame, LogColumns(click="c"))
    with pytest.raises(UserError, match="no rows"):
        ClickLog.scan(frame.clear())
    with pytest.raises(UserError, match="no such file"):
        ClickLog.scan(tmp_path / "none.parquet")
    (tmp_path / "log.txt").write_text("x")
    with pytest.raises(UserError, match="files of one kind"):
        ClickLog.scan(tmp_path / "log.txt")
    with pytest.raises(UserError, match=r"expected pair, doc, exact\[:DIGITS\] or bucket:COLUMN"):
        ClickLog.scan(frame).cells(keys="pears")
    with pytest.raises(UserError, match="no column 'kind'"):
        ClickLog.scan(frame).cells(keys="bucket:kind")


def test_positions_written_as_text_are_read() -> None:
    frame = pl.DataFrame({**SOUND, "position": ["1", " 2", "1"]})
    same(ClickLog.scan(frame).cells(), ClickLog.scan(pl.DataFrame(SOUND)).cells())


def test_exact_keys_take_a_list_column_and_unite_queries() -> None:
    frame = pl.DataFrame({**SOUND, "x": [[1.0, 0.0], [2.0, 1.0], [1.0, -0.0]]})
    cells = ClickLog.scan(frame, LogColumns(features=("x",))).cells(keys="exact")
    assert cells.n_pairs == 2
    assert cells.members is not None
    assert len(cells.members[0]) == 3


def test_exact_keys_can_be_rounded_first() -> None:
    frame = pl.DataFrame({**SOUND, "f0": [0.12, 0.14, 0.31], "f1": [-0.01, 0.01, 0.0]})
    log = ClickLog.scan(frame, LogColumns(features=("f*",)))
    assert log.cells(keys="exact").n_pairs == 3
    assert log.cells(keys="exact:1").n_pairs == 2
    with pytest.raises(UserError, match="exact:DIGITS"):
        log.cells(keys="exact:x")


def test_cells_from_arrays_add_up_rows_and_refuse_impossible_ones() -> None:
    cells = CellTable.from_arrays([1, 0, 1, 0], [2, 1, 2, 3], [1, 2, 3, 0], [0, 1, 2, 0])
    assert cells.pair.tolist() == [0, 1]
    assert cells.impressions.tolist() == [2, 4]
    assert cells.n_positions == 3
    for bad in (([0], [0], [1], [0]), ([0], [1], [1], [2]), ([-1], [1], [1], [0]), ([0, 1], [1], [1], [0])):
        with pytest.raises(UserError, match="cells: "):
            CellTable.from_arrays(*bad)

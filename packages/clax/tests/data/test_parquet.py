from __future__ import annotations

import contextlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clax.data import Columns, ParquetSource, SessionData, Sessions, SessionWriter
from ir_shared.console import UserError

IDS, CLICKS = [[1, 2], [], [3]], [[0, 1], [], [1]]


def arrays(path, **options):
    return SessionData.from_parquet(path, **{"max_positions": 3, **options}).arrays()


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int32()), pa.large_list(pa.int64()), pa.list_(pa.uint8()), pa.list_(pa.int16())]
)
def test_every_kind_of_list_reads_alike(tmp_path, kind):
    table = pa.table({"query_doc_ids": pa.array(IDS, kind), "clicks": pa.array(CLICKS, kind)})
    pq.write_table(table, tmp_path / "log.parquet")
    batch = arrays(tmp_path / "log.parquet")
    assert batch.pair_ids.tolist() == [[1, 2, 0], [0, 0, 0], [3, 0, 0]]
    assert batch.pair_ids.dtype == batch.positions.dtype == np.int32
    assert batch.clicks.tolist() == [[False, True, False], [False] * 3, [True, False, False]]


def test_fixed_size_lists_and_vectors_read_alike(tmp_path):
    ids = pa.array([[1, 2], [3, 4]], pa.list_(pa.int32(), 2))
    clicks = pa.array([[True, False], [False, True]], pa.list_(pa.bool_(), 2))
    vectors = pa.array([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [0, 1, 2]]], pa.list_(pa.list_(pa.float64(), 3), 2))
    pq.write_table(
        pa.table({"query_doc_ids": ids, "clicks": clicks, "query_doc_features": vectors}), tmp_path / "a.parquet"
    )
    batch = arrays(tmp_path / "a.parquet", max_positions=2)
    assert batch.pair_ids.tolist() == [[1, 2], [3, 4]]
    assert batch.features.dtype == np.float32
    assert batch.features[1].tolist() == [[7, 8, 9], [0, 1, 2]]


def test_several_columns_make_one_bias_vector(log):
    path = log([[1, 2]], [[0, 1]], media=[[4, 5]], geometry=[[[0.5, 1.5], [2.5, 3.5]]])
    batch = arrays(path, columns=Columns(bias_features=("media", "geometry")))
    assert batch.bias_features[0, :2].tolist() == [[4, 0.5, 1.5], [5, 2.5, 3.5]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"ids": [[1], None], "clicks": [[0], [1]]}, r"row 1: 'query_doc_ids' is missing"),
        ({"ids": [[1], [2, None]], "clicks": [[0], [1, 0]]}, r"row 1: 'query_doc_ids' holds a missing value"),
        ({"ids": [[1], [2]], "clicks": [[0], [1, 0]]}, r"row 1: 'clicks' has 2 values, but 'query_doc_ids' has 1"),
        ({"ids": [[1.5]], "clicks": [[0]]}, "'query_doc_ids' holds double, but whole numbers are needed"),
        ({"ids": [["a"]], "clicks": [[0]]}, "'query_doc_ids' holds string, but numbers are needed"),
        ({"ids": [1, 2], "clicks": [0, 1]}, "'query_doc_ids' holds int64, but one list per session is needed"),
        ({"ids": [[1], [2]], "clicks": [[0], [1]], "query_id": [3, None]}, r"row 1: 'query_id' is missing"),
    ],
)
def test_columns_that_cannot_be_used_are_named_with_the_row(log, columns, message):
    with pytest.raises(UserError, match=message):
        arrays(log(**columns), num_pairs=9)


def test_what_is_written_is_read_back(tmp_path):
    sessions = Sessions(
        offsets=np.array([0, 2, 2, 3]),
        clicks=np.array([True, False, True]),
        pair_ids=np.array([4, 5, 6], np.int32),
        positions=np.array([1, 3, 2], np.int32),
        features=np.arange(6, dtype=np.float32).reshape(3, 2),
        bias_features=np.arange(3, dtype=np.float32)[:, None],
        labels=np.array([0, 1, 2], np.float32),
        query_ids=np.array([7, 8, 9], np.int32),
    )
    with SessionWriter(tmp_path / "s.parquet", {"num_pairs": 10, "max_positions": 3, "vocabulary": "v"}) as writer:
        writer.write(sessions)
    data = SessionData.from_parquet(tmp_path / "s.parquet")
    assert (data.num_pairs, data.max_positions, data.vocabulary_name) == (10, 3, "v")
    source = ParquetSource((tmp_path / "s.parquet",))
    (again,) = source.read(source.units[0], 0, 3)
    for column in ("offsets", "clicks", "pair_ids", "positions", "features", "bias_features", "labels", "query_ids"):
        np.testing.assert_array_equal(getattr(again, column), getattr(sessions, column))


def test_an_unfinished_file_never_appears(tmp_path):
    path = tmp_path / "s.parquet"
    with contextlib.suppress(RuntimeError), SessionWriter(path, {}) as writer:
        writer.write(Sessions(np.array([0, 1]), np.array([True]), np.array([1], np.int32)))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="there are no sessions to write"), SessionWriter(path, {}):
        pass


@pytest.mark.parametrize("statistics", [True, False])
def test_the_largest_id_is_found_with_and_without_statistics(tmp_path, statistics):
    table = pa.table({"query_doc_ids": [[3, 17], [5]], "shown": [[0, 1], [0]]})
    pq.write_table(table, tmp_path / "a.parquet", write_statistics=statistics, row_group_size=1)
    source = ParquetSource((tmp_path / "a.parquet",), Columns(clicks="shown"))
    assert source.largest_id() == 17


def test_files_of_different_vocabularies_are_not_mixed(tmp_path):
    one = Sessions(np.array([0, 1]), np.array([True]), np.array([1], np.int32))
    for name in "ab":
        with SessionWriter(tmp_path / f"{name}.parquet", {"num_pairs": 3, "max_positions": 2, "vocabulary": name}) as w:
            w.write(one)
    with pytest.raises(UserError, match=r"b\.parquet: made with another vocabulary or size than .*a\.parquet"):
        SessionData.from_parquet(tmp_path)


def test_paths_are_files_folders_or_patterns(log, tmp_path):
    for name in ("part-0", "part-1", "other"):
        log([[1]], [[0]], name=name)
    assert SessionData.from_parquet(tmp_path, max_positions=1).num_sessions == 3
    assert SessionData.from_parquet(tmp_path / "part-*.parquet", max_positions=1).num_sessions == 2
    assert SessionData.from_parquet([tmp_path / "other.parquet"], max_positions=1).num_sessions == 1
    with pytest.raises(UserError, match="no such file, and no folder or pattern"):
        SessionData.from_parquet(tmp_path / "nothing-*.parquet", max_positions=1)


def test_what_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"not a parquet file")
    with pytest.raises(UserError, match=r"a\.parquet: cannot be read as Parquet"):
        SessionData.from_parquet(tmp_path / "a.parquet", max_positions=1)


def test_the_number_of_positions_must_be_known(log):
    with pytest.raises(UserError, match="give max_positions"):
        SessionData.from_parquet(log([[1]], [[0]]))


def test_the_fingerprint_follows_the_content(log):
    first = ParquetSource((log([[1, 2]], [[0, 1]], name="a"),)).fingerprint()
    assert first == ParquetSource((log([[1, 2]], [[0, 1]], name="b"),)).fingerprint()
    assert first != ParquetSource((log([[1, 3]], [[0, 1]], name="c"),)).fingerprint()

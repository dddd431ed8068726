from __future__ import annotations

import gzip

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from clax.data import LongColumns, LongFile, LongFrame, SessionData, Vocabulary, convert, read_frame
from ir_shared.console import UserError


def frame(n=200, seed=0, texts=True):
    """Sessions of 1 to 6 documents, in order."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 7, n)
    session = np.repeat(np.arange(n), lengths)
    query = np.repeat(random.integers(0, 5, n), lengths)
    starts = np.repeat(np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    columns = {
        "session": session,
        "query": [f"q{q}" for q in query] if texts else query,
        "document": random.integers(0, 9, len(session)),
        "position": np.arange(len(session)) - starts + 1,
        "click": (random.random(len(session)) < 0.3).astype(int),
    }
    return pl.DataFrame(columns)


def lists(raw_chunks):
    """Sessions as plain lists, whatever the chunks."""
    found = []
    for raw in raw_chunks:
        for i, query in enumerate(raw.queries.to_pylist()):
            here = slice(int(raw.offsets[i]), int(raw.offsets[i + 1]))
            documents = raw.documents.to_pylist()[here]
            positions = None if raw.positions is None else raw.positions[here].tolist()
            found.append((query, documents, raw.clicks[here].tolist(), positions))
    return found


def expected(log):
    groups = log.group_by("session", maintain_order=True).agg(pl.first("query"), "document", "click", "position")
    return [(q, d, c, p) for _, q, d, c, p in groups.iter_rows()]


@pytest.mark.parametrize("texts", [True, False])
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "tsv", "parquet", "frame"])
def test_every_kind_of_long_log_reads_alike(tmp_path, monkeypatch, kind, texts):
    monkeypatch.setattr("clax.data.long._BLOCK_BYTES", 512)
    monkeypatch.setattr("clax.data.long._ROWS_AT_ONCE", 13)
    log, path = frame(texts=texts), tmp_path / f"log.{kind}"
    if kind == "frame":
        assert lists(LongFrame(log).chunks()) == expected(log)
        return
    if kind == "parquet":
        log.write_parquet(path)
    elif kind == "csv.gz":
        path.write_bytes(gzip.compress(log.write_csv().encode()))
    else:
        log.write_csv(path, separator="\t" if kind == "tsv" else ",")
    assert lists(LongFile(path).chunks()) == expected(log)


def test_a_frame_may_come_in_any_order_and_from_any_library():
    log = frame()
    mixed = log.sample(fraction=1.0, shuffle=True, seed=1)
    data = read_frame(mixed)
    ordered = read_frame(log, vocabulary=data.vocabulary)
    key = lambda batch: sorted(map(tuple, np.hstack([batch.pair_ids, batch.clicks]).tolist()))  # noqa: E731
    assert key(data.arrays()) == key(ordered.arrays())
    categories = log.with_columns(pl.col("query").cast(pl.Categorical))
    for other in (log.to_arrow(), log.to_dict(as_series=False), categories):
        assert lists(LongFrame(other).chunks()) == expected(log)
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    assert lists(LongFrame(pandas.DataFrame(log.to_dict(as_series=False))).chunks()) == expected(log)


def test_own_column_names_and_no_positions():
    log = frame().rename({"document": "url", "click": "clicked"}).drop("position")
    columns = LongColumns(document="url", click="clicked", position=None)
    data = read_frame(log, columns=columns)
    assert data.max_positions == 6
    assert data.arrays().positions[0].tolist() == [*range(1, 1 + int((log["session"] == 0).sum())), *[0] * 6][:6]


def test_labels_travel_along():
    log = frame().with_columns(grade=pl.col("document") % 3)
    batch = read_frame(log, columns=LongColumns(label="grade")).arrays()
    assert batch.labels[batch.mask].tolist() == [float(d % 3) for d in log["document"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            pl.when(pl.int_range(pl.len()) == 7).then(None).otherwise(pl.col("click")).alias("click"),
            "'click' is missing",
        ),
        (
            pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("x")).otherwise(pl.col("query")).alias("query"),
            "two queries",
        ),
        (pl.lit("yes").alias("click"), "'click' holds .* but numbers are needed"),
        (pl.lit(1.5).alias("position"), "position 1.5 is no whole number"),
        (pl.lit(0).alias("position"), "position"),
        (pl.lit(3).alias("click"), "click 3 is neither 0 nor 1"),
        (pl.lit(1.5).alias("document"), "whole numbers or texts"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(change, message):
    # One session of ten rows, so that row 7 is inside it.
    log = frame().head(10).with_columns(session=pl.lit(4), query=pl.lit("q"), position=pl.int_range(1, 11))
    with pytest.raises(UserError, match=message):
        read_frame(log.with_columns(change))


def test_the_line_of_a_bad_row_is_named(tmp_path):
    rows = ["session,query,document,position,click", "1,q,a,1,0", "1,q,b,2,1", "2,q,a,1,0", "2,r,b,2,0"]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(rows) + "\n")
    with pytest.raises(UserError, match=r"log\.csv:5: a session has two queries"):
        list(LongFile(path).chunks())
    path.write_text("\n".join(rows[:4]).replace("2,q,a,1,0", "2,q,a,1,4") + "\n")
    log = LongFile(path)
    with pytest.raises(UserError, match=r"log\.csv: session at line 4: click 4"):
        convert(log, tmp_path / "s.parquet", Vocabulary.build(log), max_positions=2)
    assert not (tmp_path / "s.parquet").exists()


def test_scattered_sessions_in_a_file_are_refused(tmp_path):
    path = tmp_path / "log.csv"
    frame().sort("position").write_csv(path)
    with pytest.raises(UserError, match="do not stand together; sort the file by session"):
        list(LongFile(path).chunks())


def test_sessions_in_falling_order_are_fine(tmp_path):
    log = frame().sort("session", descending=True, maintain_order=True)
    log.write_csv(tmp_path / "log.csv")
    assert lists(LongFile(tmp_path / "log.csv").chunks()) == expected(log)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read"),
        ("session,query,document,position,click\n", "is empty"),
        ("session,query,document,position\n1,q,a,1\n", "no column 'click'"),
    ],
)
def test_files_that_hold_no_log_are_refused(tmp_path, content, message):
    (tmp_path / "log.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        list(LongFile(tmp_path / "log.csv").chunks())


def test_what_is_no_frame_is_refused():
    with pytest.raises(UserError, match="a frame of polars or pandas is needed, which this int is not"):
        read_frame(3)
    with pytest.raises(UserError, match=r"which this dict is not \(.*length"):
        read_frame({"session": [1, 2], "query": [1]})
    with pytest.raises(UserError, match="the frame is empty"):
        read_frame(frame().clear())


def test_converted_and_framed_logs_are_the_same(tmp_path):
    log = frame()
    log.write_csv(tmp_path / "log.csv")
    file = LongFile(tmp_path / "log.csv")
    vocabulary = Vocabulary.build(file)
    convert(file, tmp_path / "s.parquet", vocabulary, max_positions=6)
    ours = SessionData.from_parquet(tmp_path / "s.parquet").arrays()
    theirs = read_frame(log)
    assert theirs.vocabulary.fingerprint == vocabulary.fingerprint
    for a, b in zip(ours, theirs.arrays(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_later_frame_is_numbered_by_the_vocabulary_of_the_first():
    first = read_frame(frame(seed=0))
    later = frame(5, seed=9).with_columns(document=pl.lit(77))
    data = read_frame(later, vocabulary=first.vocabulary)
    assert data.num_pairs == first.num_pairs
    with pytest.warns(UserWarning, match="outside the vocabulary"):
        batch = data.arrays()
    assert set(batch.pair_ids[batch.mask].tolist()) == {first.vocabulary.unknown_id}
    assert pa.table(first.vocabulary.pairs).num_rows + 1 == first.num_pairs


def test_an_empty_field_is_missing_but_a_document_may_be_called_na(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("session,query,document,position,click\n1,q,NA,1,0\n1,q,null,2,1\n")
    [part] = list(LongFile(path).chunks())
    assert part.documents.to_pylist() == ["NA", "null"]
    path.write_text("session,query,document,position,click\n1,q,a,1,0\n1,q,,2,1\n")
    with pytest.raises(UserError, match=r"log.csv:3: 'document' is missing"):
        list(LongFile(path).chunks())


def test_queries_that_are_fractions_are_refused_with_file_and_column(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("session,query,document,position,click\n1,1.5,a,1,0\n")
    with pytest.raises(UserError, match=r"log.csv: column 'query' holds double: use whole numbers or texts"):
        list(LongFile(path).chunks())

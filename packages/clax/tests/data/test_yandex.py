from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from clax.data import Vocabulary, YandexJudgements, YandexLog, convert
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_shared.console import UserError

EXAMPLE = "\n".join(
    [
        "0\t0\tQ\t8\t0\t7\t103\t51\t92",
        "0\t103\tC\t51",
        "0\t104\tC\t51",
        "0\t110\tC\t999",
        "0\t300\tQ\t9\t0\t92\t7",
        "0\t301\tC\t92",
        "1\t0\tC\t7",
        "1\t5\tQ\t8\t3\t1\t1",
        "1\t6\tC\t1",
        "",
    ]
)


def read(path: Path) -> tuple[list[tuple[int, list[int], list[bool], int]], int]:
    log = YandexLog(path)
    sessions = []
    for raw in log.chunks():
        for i, query in enumerate(raw.queries.to_pylist()):
            here = slice(raw.offsets[i], raw.offsets[i + 1])
            documents = raw.documents.slice(here.start, here.stop - here.start).to_pylist()
            sessions.append((query, documents, raw.clicks[here].tolist(), int(raw.lines[i])))
    return sessions, log.dropped_clicks


def read_by_loop(text: str) -> tuple[list[tuple[int, list[int], list[bool], int]], int]:
    """The same in plain Python, line by line."""
    sessions, owners, dropped = [], [], 0
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split("\t")
        if fields[2] == "Q":
            urls = [int(x) for x in fields[5:]]
            sessions.append((int(fields[3]), urls, [False] * len(urls), number))
            owners.append(fields[0])
        elif sessions and owners[-1] == fields[0] and int(fields[3]) in sessions[-1][1]:
            sessions[-1][2][sessions[-1][1].index(int(fields[3]))] = True
        else:
            dropped += 1
    return sessions, dropped


def test_the_example_of_the_challenge(tmp_path):
    (tmp_path / "log.txt").write_text(EXAMPLE)
    sessions, dropped = read(tmp_path / "log.txt")
    assert sessions == [
        (8, [7, 103, 51, 92], [False, False, True, False], 1),
        (9, [92, 7], [True, False], 5),
        (8, [1, 1], [True, False], 8),
    ]
    assert dropped == 2  # one on a URL that was not shown, one before any query of its session


line_of = st.one_of(
    st.tuples(st.integers(0, 2), st.integers(0, 99), st.just("C"), st.integers(0, 4)),
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 99),
        st.just("Q"),
        st.integers(0, 10**9),
        st.integers(0, 3),
        st.lists(st.integers(0, 4) | st.integers(0, 10**12), max_size=10),
    ),
)


@settings(deadline=None)
@given(st.lists(line_of, min_size=1, max_size=30), st.sampled_from([64, 1 << 20]), st.sampled_from(["\n", "\r\n"]))
def test_any_log_is_parsed_as_by_a_loop_over_its_lines(tmp_path_factory, lines, block, end):
    fields = [[*line[:5], *line[5]] if line[2] == "Q" else line for line in lines]
    text = "".join("\t".join(map(str, f)) + "\n" for f in fields)
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(text.replace("\n", end).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clax.data.yandex._BLOCK_BYTES", block)
        assert read(path) == read_by_loop(text)


def test_compressed_logs_and_a_missing_last_newline(tmp_path):
    with gzip.open(tmp_path / "log.gz", "wt") as file:
        file.write(EXAMPLE.rstrip("\n"))
    assert read(tmp_path / "log.gz") == read_by_loop(EXAMPLE)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("0\t1\tX\t7", r"log\.txt:10: the third field is Q or C"),
        ("0\t1\tQ\t7", r":10: a query line has at least 5 fields"),
        ("0\t1\tC\t7\t8", r":10: a click line has 4 fields"),
        ("0 1 C 7", r":10: a line has at least 4 fields"),
        ("0\t1\tQ\t7\t0\t1\t\t3", r":10: '' is not a whole number"),
        ("0\t1\tC\tabc", r":10: 'abc' is not a whole number"),
        ("0\t1\tQ\t7\t0\t-1", r":10: '-1' is not a whole number"),
        ("0\t1\tQ\t7\t0\t" + "9" * 19, r":10: '9{19}' is not a whole number"),
    ],
)
@pytest.mark.parametrize("block", [40, 1 << 20])
def test_a_bad_line_is_named(tmp_path, monkeypatch, bad, message, block):
    monkeypatch.setattr("clax.data.yandex._BLOCK_BYTES", block)
    (tmp_path / "log.txt").write_text(EXAMPLE + bad + "\n")
    with pytest.raises(UserError, match=message):
        read(tmp_path / "log.txt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.txt: cannot be read"):
        read(tmp_path / "none.txt")


def test_judgements_are_lists_by_query_with_the_best_label_of_any_region(tmp_path):
    (tmp_path / "j.txt").write_text("9\t1\t7\t0\n8\t0\t5\t1\n9\t2\t7\t1\n9\t1\t3\t0\n")
    (raw,) = YandexJudgements(tmp_path / "j.txt").chunks()
    assert raw.queries.to_pylist() == [8, 9]
    assert raw.offsets.tolist() == [0, 1, 3]
    assert raw.documents.to_pylist() == [5, 3, 7]
    assert raw.labels.tolist() == [1, 0, 1]
    (tmp_path / "k.txt").write_text("9\t1\t7\n")
    with pytest.raises(UserError, match=r"k\.txt:1: a judgement has 4 fields"):
        list(YandexJudgements(tmp_path / "k.txt").chunks())


def test_converting_cuts_names_and_counts(tmp_path):
    from clax.data import SessionData

    (tmp_path / "log.txt").write_text(EXAMPLE)
    log = YandexLog(tmp_path / "log.txt")
    vocabulary = Vocabulary.build(log)
    with pytest.warns(UserWarning, match="1 documents below the last position"):
        done = convert(log, tmp_path / "s.parquet", vocabulary, max_positions=3)
    assert (done.counts.sessions, done.counts.documents, done.counts.clicks) == (3, 7 + 0 + 1 - 1 + 0, 3)
    data = SessionData.from_parquet(tmp_path / "s.parquet")
    batch = data.arrays()
    assert batch.query_ids.tolist() == [8, 9, 8]
    assert data.vocabulary_name == vocabulary.fingerprint
    names = [(8, 7), (8, 103), (8, 51)]
    ids = dict(zip(vocabulary.pairs.select("query", "document").iter_rows(), vocabulary.pairs["count"], strict=True))
    assert [list(ids).index(name) + 1 for name in names] == batch.pair_ids[0].tolist()

from __future__ import annotations

import gzip
import os
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_shared.console import DataWarning, UserError
from ir_shared.trec import (
    TrecFormatError,
    read_qrels,
    read_run,
    read_topics,
    run_name,
    write_qrels,
    write_run,
    write_topics,
)


def _file(folder, text, name="file.txt"):
    path = folder / name
    path.write_text(text)
    return path


IDS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=6)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(IDS, st.dictionaries(IDS, FINITE, min_size=1, max_size=5), min_size=1, max_size=4))
def test_runs_round_trip_exactly(tmp_path_factory, run):
    path = tmp_path_factory.getbasetemp() / "run.gz"
    write_run(path, run, "tag")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # ranks are written in the order of the scores
        assert read_run(path) == run


@given(st.dictionaries(IDS, st.dictionaries(IDS, st.integers(-2, 4), min_size=1, max_size=5), min_size=1, max_size=4))
def test_qrels_round_trip(tmp_path_factory, qrels):
    path = tmp_path_factory.getbasetemp() / "qrels.txt"
    write_qrels(path, qrels)
    assert read_qrels(path) == qrels


def test_topics_round_trip_with_whitespace_normalised(tmp_path):
    write_topics(tmp_path / "t.tsv", {"001": "how  much\tis it", "1": "größe"})
    assert read_topics(tmp_path / "t.tsv") == {"001": "how much is it", "1": "größe"}


def test_ids_are_opaque_strings(tmp_path):
    path = _file(tmp_path, "001 0 d1 1\n1 0 d1 2\n")
    assert read_qrels(path) == {"001": {"d1": 1}, "1": {"d1": 2}}


def test_blanks_tabs_both_iteration_names_and_a_byte_order_mark_are_read(tmp_path):
    path = _file(tmp_path, "\ufeffq1\t0 d1   2\r\nq1 Q0\td2 -1\n\n")
    assert read_qrels(path) == {"q1": {"d1": 2, "d2": -1}}


def test_compressed_bytes_do_not_depend_on_the_clock(tmp_path):
    write_qrels(tmp_path / "a.gz", {"q": {"d": 1}})
    os.utime(tmp_path / "a.gz", (0, 0))
    write_qrels(tmp_path / "b.gz", {"q": {"d": 1}})
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q1 Q0 d2 2 0.5", "expected 6 columns"),
        ("q1 Q0 d2 2 0.5 tag more", "expected 6 columns"),
        ("qid Q0 docid rank score tag", "finite number, found 'score'"),
        ("q1 Q0 d2 2 nan tag", "finite number, found 'nan'"),
        ("q1 Q0 d2 2 -inf tag", "finite number, found '-inf'"),
        ("q1 Q0 d2 2 1_0 tag", "finite number, found '1_0'"),
        ("q1 Q0 d2 2 ٣ tag", "finite number"),
        ("q1 Q0 d1 2 0.5 tag", "q1 d1 was retrieved before"),
    ],
)
def test_a_bad_run_line_is_named(tmp_path, line, problem):
    path = _file(tmp_path, f"q1 Q0 d1 1 1e-3 tag\n{line}\n")
    with pytest.raises(TrecFormatError, match=problem) as error:
        read_run(path)
    assert error.value.line == 2
    assert str(error.value).startswith(f"{path}:2: ")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q1 0 d2", "expected 4 columns"),
        ("q1 0 d2 1.0", "must be an integer of at most nine digits, found '1.0'"),
        ("q1 0 d2 99999999999999999999", "at most nine digits"),
        ("q1 0 d2 high", "must be an integer"),
        ("q1 0 d1 2", "given grade 1 before"),
    ],
)
def test_a_bad_qrels_line_is_named(tmp_path, line, problem):
    with pytest.raises(TrecFormatError, match=problem) as error:
        read_qrels(_file(tmp_path, f"q1 0 d1 1\n{line}\n"))
    assert error.value.line == 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("no tab here", "no tab"),
        ("\tquery", "one word"),
        ("q 1\tquery", "one word"),
        ("q2\t ", "empty"),
        ("q1\tx", "before"),
    ],
)
def test_a_bad_topics_line_is_named(tmp_path, line, problem):
    with pytest.raises(TrecFormatError, match=problem) as error:
        read_topics(_file(tmp_path, f"q1\tquery\n{line}\n"))
    assert error.value.line == 2


def test_equal_repetitions_in_qrels_are_kept_once_with_a_warning(tmp_path):
    with pytest.warns(DataWarning, match="1 repeated line"):
        assert read_qrels(_file(tmp_path, "q 0 d 1\nq 0 d 1\n")) == {"q": {"d": 1}}


def test_the_best_of_duplicates_is_kept_on_request(tmp_path):
    path = _file(tmp_path, "q Q0 d 1 0.5 t\nq Q0 d 2 0.75 t\n")
    assert read_run(path, on_duplicate="keep-best") == {"q": {"d": 0.75}}


@pytest.mark.parametrize(
    ("ranks", "scores", "topics"),
    [
        ((1, 2), (0.1, 0.9), 1),
        ((2, 1), (0.9, 0.1), 1),
        ((0, 1), (0.9, 0.1), 0),
        ((2, 1), (0.1, 0.9), 0),
        ((1, 1), (1, 1), 0),
    ],
)
def test_ranks_that_contradict_scores_are_counted_once(tmp_path, ranks, scores, topics):
    path = _file(
        tmp_path, "".join(f"q Q0 d{i} {r} {s} t\n" for i, (r, s) in enumerate(zip(ranks, scores, strict=True)))
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = read_run(path)
    assert list(run["q"].values()) == list(scores)
    assert ["contradicts the scores in 1 topic(s)" in str(one.message) for one in caught] == [True] * topics


def test_other_topics_are_dropped_but_their_lines_checked(tmp_path):
    path = _file(tmp_path, "q1 Q0 d 1 1 t\nq2 Q0 d 1 1 t\nq2 Q0 e 1 broken t\n")
    assert read_run(path, topics=["q1"]) == {"q1": {"d": 1.0}}
    with pytest.raises(TrecFormatError, match="6 columns"):
        read_run(_file(tmp_path, "q1 Q0 d 1 1 t\nq2 Q0 d\n"), topics=["q1"])
    with pytest.raises(TrecFormatError, match=r":1: the score must be .* 'score'"):
        read_run(_file(tmp_path, "qid Q0 docid rank score tag\nq1 Q0 d 1 1 t\n"), topics=["q1"])
    with pytest.warns(DataWarning, match="none of the 1 wanted topics"):
        assert read_run(_file(tmp_path, "q1 Q0 d 1 1 t\n"), topics=["q3"]) == {}


def test_missing_empty_truncated_and_binary_files_are_told_apart(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_run(tmp_path / "absent")
    with pytest.raises(UserError, match="holds no run"):
        read_run(_file(tmp_path, "\n"))
    with pytest.raises(UserError, match="holds no run"):
        read_run(_file(tmp_path, ""), topics=["q"])
    with pytest.raises(UserError, match="is a folder"):
        read_run(tmp_path)
    whole = gzip.compress(b"q Q0 d 1 1 t\n" * 100)
    (tmp_path / "cut.gz").write_bytes(whole[:-10])
    with pytest.raises(UserError, match="is the file complete"):
        read_run(tmp_path / "cut.gz")
    (tmp_path / "latin").write_bytes(b"q Q0 d 1 1 t\nq Q0 \xe9 1 1 t\n")
    with pytest.raises(UserError, match=r"latin:2: not UTF-8"):
        read_run(tmp_path / "latin")


@given(st.binary(max_size=200))
def test_no_bytes_end_in_anything_but_a_user_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(data)
    for read in (read_run, read_qrels, read_topics):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            message = _message_of(read, path)
        assert message is None or str(path) in message


def _message_of(read, path):
    """The message of the user error that reading ends in, or None; any other exception goes through."""
    try:
        read(path)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("input.sys.gz", "sys"),
        ("a.b.txt.txt.gz", "a.b"),
        ("sys", "sys"),
        (".txt", ".txt"),
        ("monot5.scores.gz", "monot5"),
    ],
)
def test_a_run_is_named_after_its_file(name, expected):
    assert run_name(f"folder/{name}") == expected


def test_real_files_are_read():
    data = os.environ.get("IR_DATA")
    if not data:
        pytest.skip("needs IR_DATA with trec-dl and llmjudge")
    folder = Path(data) / "trec-dl" / "dl22"
    qrels = read_qrels(folder / "qrels.txt.gz")
    assert (len(qrels), sum(map(len, qrels.values()))) == (76, 23522)
    with pytest.warns(DataWarning, match="webis-dl-duot5.* contradicts the scores in 76 topic"):
        runs = [read_run(path, topics=qrels) for path in sorted((folder / "runs").iterdir())]
    assert len(runs) == 59
    other = read_qrels(Path(data) / "llmjudge" / "dev_qrels.txt.gz")
    assert (len(other), sum(map(len, other.values()))) == (25, 7263)

"""LETOR text is read whatever its qids, order, line ends and gaps, and what cannot be used is named by its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from ir_shared.console import DataWarning, UserError
from sklearn.datasets import dump_svmlight_file, load_svmlight_file
from twotower_ident.letor import parse_columns, prepare, read_letor


@pytest.fixture
def write(tmp_path: Path):
    def writer(text: str, name: str = "data.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return writer


def test_it_reads_what_scikit_learn_wrote(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((40, 7)), rng.integers(0, 5, 40)
    path = tmp_path / "data.txt"
    dump_svmlight_file(features, labels, str(path), zero_based=False, query_id=np.repeat(np.arange(8), 5))
    expected, expected_labels = load_svmlight_file(str(path))
    data = read_letor(path)
    np.testing.assert_array_equal(data.features, expected.toarray())
    np.testing.assert_array_equal(data.labels, expected_labels)
    assert data.sizes.tolist() == [5] * 8


def test_a_qid_may_be_text_and_its_lines_may_lie_apart(write) -> None:
    data = read_letor(write("2 qid:cats 1:1\n0 qid:d:7 1:2\n1 qid:cats 2:3\n"))
    assert data.qids == ("cats", "d:7")
    assert data.offsets.tolist() == [0, 2, 3]
    np.testing.assert_array_equal(data.features, [[1, 0], [0, 3], [2, 0]])
    np.testing.assert_array_equal(data.labels, [2, 1, 0])


def test_comments_windows_line_ends_blank_lines_and_gzip_change_nothing(write) -> None:
    plain = read_letor(write("2 qid:a 1:1.5 2:0\n1 qid:a 2:3\n"))
    odd = read_letor(write("# head\r\n2 qid:a 1:1.5 2:0 # doc qid:9 7:7\r\n\r\n1 qid:a 2:3#x\r\n", "odd.txt.gz"))
    np.testing.assert_array_equal(plain.features, odd.features)
    np.testing.assert_array_equal(plain.labels, odd.labels)
    assert plain.qids == odd.qids


def test_the_largest_double_means_missing_and_becomes_zero_with_a_warning(write) -> None:
    with pytest.warns(DataWarning, match="2 values are the largest double"):
        data = read_letor(write("1 qid:1 1:1.7976931348623157e308 2:2\n0 qid:1 1:-1.797e308 2:1\n"))
    np.testing.assert_array_equal(data.features, [[0, 2], [0, 1]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 qid:1 1:1\n1 qid:1 1:nan\n", "data.txt:2: a value is no number"),
        ("1 qid:1 1:1\n\n1 qid:1 1:inf\n", "data.txt:3: a value is no number"),
        ("nan qid:1 1:1\n", "data.txt:1: a value is no number"),
        ("1 qid:1 1:1\n1 1:1\n", "data.txt:2: no qid"),
        ("1 qid:1 1:1\n1 qid:1 1:x\n", "data.txt:2: "),
        ("1 qid:1 0:1\n", "data.txt:1: "),
        ("1 qid:1 1:1\n1 qid:1 2:1 1:2 2:3\n", "data.txt:2: a feature is given twice"),
        ("# nothing\n", "holds no line"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(write, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_letor(write(text))
    assert "\n" not in str(caught.value)


def test_features_may_come_in_any_order(write) -> None:
    ordered = read_letor(write("1 qid:a 1:5 2:6 10:7\n0 qid:b 3:1\n"))
    mixed = read_letor(write("1 qid:a 10:7 2:6 1:5 # odd\n0 qid:b 3:1\n"))
    np.testing.assert_array_equal(mixed.features, ordered.features)
    assert mixed.qids == ordered.qids


def test_the_declared_number_of_features_pads_and_limits(write) -> None:
    path = write("1 qid:1 1:1 3:1\n0 qid:1 2:1\n")
    assert read_letor(path).features.shape == (2, 3)
    assert read_letor(path, n_features=5).features.shape == (2, 5)
    with pytest.raises(UserError, match=r"data.txt:1: feature 3 lies beyond the 2 declared"):
        read_letor(path, n_features=2)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_letor(tmp_path / "absent.txt")


def test_streaming_with_k_keeps_what_preparing_the_whole_would_keep(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = 12_000  # several blocks, queries spread over all of them
    query, labels = rng.integers(0, 300, rows), rng.integers(0, 5, rows)
    lines = [f"{y} qid:q{q} 1:{i} 2:{q}" for i, (q, y) in enumerate(zip(query, labels, strict=True))]
    path = tmp_path / "data.txt"
    path.write_text("\n".join(lines) + "\n")
    whole, streamed = prepare(read_letor(path), k=7), prepare(read_letor(path, k=7), k=7)
    np.testing.assert_array_equal(whole.features, streamed.features)
    np.testing.assert_array_equal(whole.labels, streamed.labels)
    assert whole.qids == streamed.qids
    assert read_letor(path, k=7).sizes.max() == 7


def test_preparing_follows_the_paper(write) -> None:
    data = read_letor(write("0 qid:a 1:0\n2 qid:a 1:-3\n2 qid:a 1:7\n1 qid:a 1:1\n0 qid:b 1:5\n"))
    ready = prepare(data, k=3)
    assert ready.qids == ("a",)  # b has no relevant document
    np.testing.assert_array_equal(ready.labels, [2, 2, 1])
    np.testing.assert_allclose(ready.features[:, 0], [-np.log(4), np.log(8), np.log(2)])
    np.testing.assert_array_equal(prepare(data, k=3, log=False).features[:, 0], [-3, 7, 1])
    with pytest.raises(UserError, match="no query has a label of at least 3"):
        prepare(data, min_label=3)


def test_columns_are_read_as_the_paper_writes_them() -> None:
    assert parse_columns("all", 4).tolist() == [0, 1, 2, 3]
    assert parse_columns("0-2", 4).tolist() == [0, 1, 2]
    assert parse_columns("1,3,2-3", 4).tolist() == [1, 2, 3]
    for wrong in ("0-4", "3-1", "x", "", "1,,2"):
        with pytest.raises(UserError, match="columns"):
            parse_columns(wrong, 4)

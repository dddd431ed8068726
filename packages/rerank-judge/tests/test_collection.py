from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_shared.console import DataWarning, UserError
from rerank_judge.collection import ABSENT, UNJUDGED, Collection, run_files

QRELS = {"1": {"a": 2, "b": 0, "c": 3}, "2": {"a": 1}}


def test_pairs_keep_topics_together_and_grades_in_place() -> None:
    collection = Collection.from_mappings(QRELS)
    assert list(collection.pairs()) == [("1", "a"), ("1", "b"), ("1", "c"), ("2", "a")]
    assert collection.offsets.tolist() == [0, 3, 4]
    assert collection.pair_topic.tolist() == [0, 0, 0, 1]
    assert collection.relevant.tolist() == [True, False, True, False]


def test_runs_become_pair_indices_with_unjudged_and_absent_told_apart() -> None:
    run = {"1": {"x": 1.0, "c": 3.0, "a": 2.0}, "2": {"a": 1.0}}
    collection = Collection.from_mappings(QRELS, {"s": run})
    assert collection.runs[0].tolist() == [[2, 0, UNJUDGED], [3, ABSENT, ABSENT]]


def test_order_is_float32_score_then_docid_descending_in_byte_order() -> None:
    # The first two scores are one number in float32; é sorts after every ASCII letter in bytes.
    run = {"1": {"a": 1.00000001, "b": 1.00000002, "é": 1.0, "c": 1.0}}
    collection = Collection.from_mappings({"1": {"a": 0, "b": 0, "c": 0, "é": 0}}, {"s": run})
    order = [collection.docids[i] for i in collection.runs[0, 0]]
    assert order == ["é", "c", "b", "a"]


@given(st.dictionaries(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1), st.integers(0, 3)))
def test_text_order_is_the_byte_order_of_utf_8(scores: dict[str, int]) -> None:
    if not scores:
        return
    collection = Collection.from_mappings({"1": dict.fromkeys(scores, 0)}, {"s": {"1": scores}})
    order = [collection.docids[i] for i in collection.runs[0, 0] if i >= 0]
    assert order == sorted(scores, key=lambda docid: (scores[docid], docid.encode()), reverse=True)[:100]


def test_file_order_cut_keeps_the_first_of_the_tied_in_the_file() -> None:
    run = {"1": {"a": 1.0, "b": 1.0, "c": 1.0}}
    collection = Collection.from_mappings({"1": {"a": 0, "b": 0, "c": 0}}, {"s": run}, file_cut=2)
    assert [collection.docids[i] for i in collection.file_cut[0, 0]] == ["b", "a"]
    assert [collection.docids[i] for i in collection.runs[0, 0]] == ["c", "b", "a"]


def test_lists_are_cut_at_depth() -> None:
    run = {"1": {f"d{i}": float(-i) for i in range(50)}}
    collection = Collection.from_mappings({"1": {"d0": 1}}, {"s": run}, depth=7)
    assert collection.runs.shape == (1, 1, 7)


def test_missing_topics_are_noticed_once() -> None:
    with pytest.warns(DataWarning, match=r"1 run\(s\) miss judged topics \(s: 1\); a missing topic counts 0"):
        collection = Collection.from_mappings(QRELS, {"s": {"1": {"a": 1.0}}})
    assert (collection.runs[0, 1] == ABSENT).all()


def test_extra_pairs_are_there_but_not_judged() -> None:
    run = {"1": {"x": 1.0, "a": 0.5}, "2": {"a": 1.0}}
    collection = Collection.from_mappings(QRELS, {"s": run}, extra_pairs={"1": {"x": 0, "a": 0}, "9": {"y": 0}})
    assert list(collection.pairs())[3] == ("1", "x")
    assert collection.judged.tolist() == [True, True, True, False, True]
    assert collection.runs[0, 0].tolist() == [3, 0]


def test_reading_keeps_judged_topics_of_plain_and_gzipped_runs(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("1 0 a 2\n2\tQ0\tb\t0\n")
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "input.first").write_text("1 Q0 a 1 2.5 x\n3 Q0 a 1 2.5 x\n2 Q0 b 1 1e-3 x\n")
    (runs / "second.txt.gz").write_bytes(gzip.compress(b"1\tQ0\tz\t0\t1\tx\n2\tQ0\tb\t0\t1\tx\n"))
    (runs / ".hidden").write_text("not a run")
    collection = Collection.load(tmp_path / "qrels", runs)
    assert collection.systems == ("first", "second")
    assert collection.topics == ("1", "2")
    assert collection.runs[:, :, 0].tolist() == [[0, 1], [UNJUDGED, 1]]


def test_topics_can_be_restricted(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("001 0 a 2\n1 0 b 0\n")
    assert Collection.load(tmp_path / "qrels", topics={"001"}).topics == ("001",)
    with pytest.raises(UserError, match="none of the 1 topics"):
        Collection.load(tmp_path / "qrels", topics={"01"})


def test_two_files_of_one_system_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "input.a").write_text("")
    (tmp_path / "a.txt.gz").write_text("")
    with pytest.raises(UserError, match=r"system a is also in .*rename or remove"):
        run_files(tmp_path)


def test_a_folder_without_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run files"):
        run_files(tmp_path)


def test_index_tensor_is_small() -> None:
    collection = Collection.from_mappings(QRELS, {"s": {"1": {"a": 1.0}, "2": {"a": 1.0}}})
    assert collection.runs.dtype == np.int32

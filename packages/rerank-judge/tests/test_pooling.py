from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st
from ir_shared.console import UserError
from rerank_judge.passages import open_passages
from rerank_judge.pooling import holes, make_pairs, pool_from_qrels, pool_from_runs, write_pairs
from rerank_judge.scorers import Pair, read_pairs
from rerank_judge.toy import toy_collection


def test_judged_pairs_are_pooled_in_their_order() -> None:
    assert pool_from_qrels({"b": {"x": 0, "a": 1}, "a": {"y": -1}}) == {"b": ("x", "a"), "a": ("y",)}


def test_the_pool_of_runs_is_the_union_of_their_tops() -> None:
    toy = toy_collection(11)
    pool = pool_from_runs(toy.runs.values(), depth=7)
    judged = {qid: dict.fromkeys(docids, 1) for qid, docids in pool.items()}
    # Oracle: every document of every run's first seven is judged, so precision at seven is 1 for each.
    evaluator = pytrec_eval.RelevanceEvaluator(judged, {"P.7"})
    for run in toy.runs.values():
        assert all(values["P_7"] == 1.0 for values in evaluator.evaluate(run).values())
    assert max(map(len, pool.values())) <= 7 * len(toy.runs)
    assert list(pool) == sorted(pool)
    assert all(list(docids) == sorted(set(docids)) for docids in pool.values())


@given(
    scores=st.dictionaries(
        st.text(alphabet="abc", min_size=1, max_size=3),
        st.floats(-2, 2, width=16) | st.just(1 + 1e-12),
        min_size=1,
        max_size=20,
    ),
    depth=st.integers(1, 25),
)
def test_tops_follow_the_order_of_trec_eval(scores: dict[str, float], depth: int) -> None:
    ranked = sorted(scores, key=lambda docid: (float(np.float32(scores[docid])), docid.encode()), reverse=True)
    assert pool_from_runs([{"q": scores}], depth) == {"q": tuple(sorted(ranked[:depth]))}


def test_holes_are_what_nobody_judged_in_topics_of_the_qrels() -> None:
    pool = {"a": ("1", "2", "3"), "b": ("1",), "c": ("9",)}
    assert holes(pool, {"a": {"2": 0, "7": 1}, "b": {"1": 3}}) == {"a": ("1", "3")}


def test_pairs_get_their_texts_and_survive_the_exchange_format(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(
        '{"docid": "1", "title": "A  title", "text": "one\\ttwo"}\n{"docid": "2", "text": ""}\n'
    )
    pairs = make_pairs({"q": ("2", "1")}, {"q": "what\u0007 is"}, open_passages(tmp_path / "p.jsonl"))
    assert pairs == [Pair("q", "2", "what is", ""), Pair("q", "1", "what is", "one two", "A title")]
    assert pairs[1].document == "A title one two"
    write_pairs(tmp_path / "pairs.jsonl", pairs)
    assert read_pairs(tmp_path / "pairs.jsonl") == pairs
    first = json.loads((tmp_path / "pairs.jsonl").read_text().splitlines()[0])
    assert list(first) == ["query_id", "query", "docid", "title", "text"]


def test_missing_queries_and_passages_are_counted_and_named(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text("1\tone\n")
    passages = open_passages(tmp_path / "p.tsv")
    with pytest.raises(UserError, match=r"queries are missing for 1 of 2 \(b\); give the topics file"):
        make_pairs({"a": ("1",), "b": ("1",)}, {"a": "x"}, passages)
    with pytest.raises(UserError, match=r"passages are missing for 4 of 5 \(2, 3, 4, …\)"):
        make_pairs({"a": ("1", "2", "3", "4", "5")}, {"a": "x"}, passages)


def test_impossible_pools_are_refused() -> None:
    with pytest.raises(UserError, match="depth 0: must be positive"):
        pool_from_runs([{"q": {"d": 1.0}}], 0)
    with pytest.raises(UserError, match="hold no documents"):
        pool_from_runs([{"q": {}}], 3)

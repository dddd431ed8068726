from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_shared.console import UserError
from rerank_judge.collection import Collection
from rerank_judge.labeling import align_labels, human_labels
from rerank_judge.leaderboard import leaderboard

Scores = dict[str, float]


def board_of(grades: dict[str, int], scores: Scores, metrics: list[str], binarize_at: int = 1) -> list[float]:
    collection = Collection.from_mappings({"q": grades}, {"s": {"q": scores}}, binarize_at=binarize_at)
    return [float(x) for x in leaderboard(collection, human_labels(collection), metrics).means[0]]


def ranked(*docids: str) -> Scores:
    return {docid: float(-i) for i, docid in enumerate(docids)}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1.00000001, 1.00000002, [0.5, 0.5, 0.6509209298]),  # one number in float32, so b stands before a
        (1.0000003, 1.0000001, [1.0, 0.75, 0.8772153153]),
    ],
)
def test_order_follows_float32_scores_as_in_trec_eval(a: float, b: float, expected: list[float]) -> None:
    found = board_of({"a": 1, "b": 0, "c": 1}, {"a": a, "b": b, "x": 0.9, "c": 0.5}, ["RR@10", "AP@100", "nDCG@10"])
    assert found == pytest.approx(expected, abs=1e-10)


def test_ap_divides_by_all_relevant_documents() -> None:
    found = board_of({"a": 1, "b": 1, "c": 1}, ranked("a", "z", "b", "c"), ["AP@2", "AP@3"])
    assert found == pytest.approx([1 / 3, 5 / 9])


def test_ndcg_has_linear_gain_and_the_ideal_of_all_judged() -> None:
    found = board_of({"a": 3, "b": 2, "c": 1, "d": 0}, ranked("c", "a", "d", "u", "b"), ["nDCG@3", "nDCG@10"])
    assert found == pytest.approx([0.6074915180, 0.7699712412], abs=1e-10)


def test_topic_without_relevant_label_contributes_zero_and_is_counted() -> None:
    runs = {"s": {"q": {"a": 1.0}, "r": {"a": 1.0}}}
    collection = Collection.from_mappings({"q": {"a": 1}, "r": {"a": 0}}, runs, binarize_at=1)
    board = leaderboard(collection, human_labels(collection))
    assert board.means.tolist() == [[0.5, 0.5, 0.5]]


@st.composite
def collections(draw: st.DrawFn) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, Scores]]]:
    """Topics with negative to high grades, and runs whose scores often tie or nearly tie, with unjudged documents."""
    docids = [f"d{i}" for i in range(15)]
    grade = st.integers(-2, 3)
    score = st.sampled_from([0.0, 1.0, 1.00000001, 1.0000001, 2.5, -3.0, 1e-8, 3e38])
    topics = [f"t{i}" for i in range(draw(st.integers(1, 3)))]
    qrels = {t: draw(st.dictionaries(st.sampled_from(docids), grade, min_size=1)) for t in topics}
    lists = st.dictionaries(st.sampled_from(docids), score, min_size=1)
    return qrels, {f"s{i}": {t: draw(lists) for t in topics} for i in range(draw(st.integers(1, 3)))}


def trec_eval(qrels: Any, run: Any, k: int, level: int) -> np.ndarray[Any, Any]:
    """AP@k, RR@k and nDCG@k by topic from pytrec_eval, which may crash on negative grades: they are not relevant."""
    qrels = {t: {d: max(grade, 0) for d, grade in docs.items()} for t, docs in qrels.items()}
    evaluator = pytrec_eval.RelevanceEvaluator(
        qrels, {f"map_cut.{k}", f"ndcg_cut.{k}", "recip_rank"}, relevance_level=level
    )
    found = evaluator.evaluate(run)
    rows = []
    for t in qrels:
        rr = found[t]["recip_rank"]
        rows.append([found[t][f"map_cut_{k}"], rr if rr * k >= 1 - 1e-9 else 0.0, found[t][f"ndcg_cut_{k}"]])
    return np.array(rows)


@given(collections(), st.sampled_from([1, 3, 10]), st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_values_equal_pytrec_eval_with_many_ties(data: Any, k: int, level: int) -> None:
    qrels, runs = data
    collection = Collection.from_mappings(qrels, runs, binarize_at=level)
    board = leaderboard(collection, human_labels(collection), [f"AP@{k}", f"RR@{k}", f"nDCG@{k}"])
    for s, run in enumerate(runs.values()):
        assert board.values[s] == pytest.approx(trec_eval(qrels, run, k, level), abs=1e-12)


@given(collections(), st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_file_order_truncation_equals_a_stable_cut_before_trec_eval(data: Any, k: int) -> None:
    qrels, runs = data
    collection = Collection.from_mappings(qrels, runs, binarize_at=1, file_cut=k)
    board = leaderboard(collection, human_labels(collection), [f"RR@{k}"], rr_truncation="file-order")
    for s, run in enumerate(runs.values()):
        cut = {t: dict(sorted(docs.items(), key=lambda item: item[1], reverse=True)[:k]) for t, docs in run.items()}
        assert board.values[s, :, 0] == pytest.approx(trec_eval(qrels, cut, k, 1)[:, 1], abs=1e-12)


def test_the_two_truncations_differ_where_a_tie_crosses_the_cut() -> None:
    collection = Collection.from_mappings(
        {"q": {"a": 1}}, {"s": {"q": {"a": 1.0, "b": 1.0}}}, binarize_at=1, file_cut=1
    )
    labels = human_labels(collection)
    assert leaderboard(collection, labels, ["RR@1"]).means.item() == 0
    assert leaderboard(collection, labels, ["RR@1"], rr_truncation="file-order").means.item() == 1
    with pytest.raises(UserError, match="file_cut=5"):
        leaderboard(collection, labels, ["RR@5"], rr_truncation="file-order")


@pytest.mark.filterwarnings("ignore::ir_shared.console.DataWarning")
def test_a_missing_topic_counts_zero_or_is_left_out() -> None:
    collection = Collection.from_mappings({"q": {"a": 1}, "r": {"a": 1}}, {"s": {"q": {"a": 1.0}}}, binarize_at=1)
    labels = human_labels(collection)
    assert leaderboard(collection, labels, ["AP@10"]).means.item() == 0.5
    skipped = leaderboard(collection, labels, ["AP@10"], missing_topics="skip")
    assert skipped.means.item() == 1
    assert np.isnan(skipped.values[0, 1, 0])


def test_judged_share_divides_by_what_was_retrieved() -> None:
    found = board_of({"a": 0, "b": 1}, ranked("a", "x", "b"), ["judged@1", "judged@2", "judged@10"])
    assert found == pytest.approx([1, 1 / 2, 2 / 3])


def test_what_a_judge_does_not_label_is_not_relevant() -> None:
    collection = Collection.from_mappings({"q": {"a": 2, "b": 2}}, {"s": {"q": ranked("a", "b")}})
    labels = align_labels(collection, {"q": {"b": 1}}, "judge", on_missing="skip")
    board = leaderboard(collection, labels, ["AP@10", "RR@10", "nDCG@10", "judged@10"])
    assert board.means[0].tolist() == pytest.approx([0.5, 0.5, 1 / np.log2(3), 0.5])


@pytest.mark.parametrize("name", ["P@10", "AP", "AP@0", "nDCG@x", ""])
def test_unknown_metrics_say_which_there_are(name: str) -> None:
    with pytest.raises(UserError, match="use AP@k, RR@k, nDCG@k or judged@k"):
        board_of({"a": 1}, {"a": 1.0}, [name])


def test_metric_deeper_than_the_lists_and_no_runs_are_errors() -> None:
    collection = Collection.from_mappings({"q": {"a": 1}}, {"s": {"q": {"a": 1.0}}}, depth=10)
    with pytest.raises(UserError, match="load it with depth=20"):
        leaderboard(collection, human_labels(collection), ["AP@20"])
    bare = Collection.from_mappings({"q": {"a": 1}})
    with pytest.raises(UserError, match="needs runs"):
        leaderboard(bare, human_labels(bare))

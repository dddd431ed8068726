"""BM25 in this process, over bm25s: the retriever that needs no server, no Java and no network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from ir_shared.console import UserError
from ir_shared.folders import new_folder
from ir_shared.retrieval.documents import Documents, iter_documents
from ir_shared.retrieval.protocol import Hit, Ranking, check_request
from ir_shared.run_dir import read_json, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["WORD", "BM25Retriever", "Method"]

Method: TypeAlias = Literal["robertson", "atire", "lucene", "bm25l", "bm25+"]
"""Variants of BM25 as named by Kamphuis et al. (ECIR 2020)."""

WORD = r"(?u)\b\w\w+\b"
"""bm25s' own idea of a word: two or more letters, digits or underscores. One-letter words are lost."""

_SETTINGS = "retriever.json"
_DOCIDS = "docids.json"


class BM25Retriever:
    """Searches documents held in memory.

    A hit is a document that holds at least one word of the query; documents with equal scores are ordered by docid.
    With the method ``lucene`` scores are those of Lucene 8 and later, which leaves out the factor k1 + 1.

    bm25s imports jax where that is installed, so jax may be loaded by the first retriever that is made.

    Args:
        documents: text by docid, or (docid, text) pairs.
        k1: saturation of repeated words, at least 0.
        b: influence of the document's length, from 0 to 1.
        method: which BM25.
        stop_words: lower-case words to leave out of documents and queries.
        stemmer: maps a lower-case word to its stem, for documents and queries; a saved index does not hold it.
        token_pattern: regular expression of a word, found in the lower-cased text.

    Raises:
        UserError: no documents, a docid given twice, no word in any document, or a setting out of range.
    """

    def __init__(
        self,
        documents: Documents,
        *,
        k1: float = 1.5,
        b: float = 0.75,
        method: Method = "lucene",
        stop_words: Iterable[str] = (),
        stemmer: Callable[[str], str] | None = None,
        token_pattern: str = WORD,
    ) -> None:
        _check_settings(k1, b, method)
        self._words = _Words(frozenset(stop_words), stemmer, token_pattern)
        self.docids: list[str] = []
        vocabulary: dict[str, int] = {}
        corpus = []
        for docid, text in iter_documents(documents):
            self.docids.append(docid)
            corpus.append([vocabulary.setdefault(word, len(vocabulary)) for word in self._words(text)])
        if not vocabulary:
            raise UserError("no document holds a word to search for; check texts, stop words and token pattern")
        import bm25s

        self._index = bm25s.BM25(k1=k1, b=b, method=method)
        # Vocabulary and ids are ours, in the order of reading: bm25s would number words in the order of a set.
        self._index.index((corpus, vocabulary), create_empty_token=False, show_progress=False)
        self._tie_order = _ranks(self.docids)

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        """Finds the best documents of each query; a query without a known word finds none.

        A word that stands twice in a query counts twice.

        Raises:
            UserError: one string in place of a list of queries, or k below 1.
        """
        check_request(queries, k)
        return [self._search(query, k) for query in queries]

    def _search(self, query: str, k: int) -> Ranking:
        import numpy as np

        vocabulary = self._index.vocab_dict
        ids = [vocabulary[word] for word in self._words(query) if word in vocabulary]
        if not ids:
            return []
        starts, holders = self._index.scores["indptr"], self._index.scores["indices"]
        holds_a_word = np.zeros(len(self.docids), dtype=bool)
        for i in set(ids):
            holds_a_word[holders[starts[i] : starts[i + 1]]] = True
        candidates = np.flatnonzero(holds_a_word)
        scores = self._index.get_scores_from_ids(ids)[candidates]
        if len(candidates) > k:
            # Everything that ties with the k-th stays in, so that docids decide among equals.
            kept = scores >= np.partition(scores, -k)[-k]
            candidates, scores = candidates[kept], scores[kept]
        order = np.lexsort((self._tie_order[candidates], -scores))[:k]
        return [Hit(self.docids[candidates[i]], float(scores[i])) for i in order]

    def save(self, folder: str | Path) -> None:
        """Saves the index to a new folder: arrays as ``.npy`` and the rest as JSON, nothing pickled.

        Raises:
            UserError: the folder holds something already, or cannot be made.
        """
        settings = {
            "stop_words": sorted(self._words.stop_words),
            "stemmed": self._words.stemmer is not None,
            "token_pattern": self._words.pattern,
        }
        with new_folder(folder) as temporary:
            self._index.save(temporary, show_progress=False)
            write_json(temporary / _SETTINGS, settings)
            write_json(temporary / _DOCIDS, self.docids)

    @classmethod
    def load(cls, folder: str | Path, *, stemmer: Callable[[str], str] | None = None) -> BM25Retriever:
        """Opens a saved index.

        Args:
            folder: what :meth:`save` wrote.
            stemmer: the same function that the index was made with, if any.

        Raises:
            UserError: the folder holds no index, or the stemmer is missing or one too many.
        """
        folder = Path(folder)
        if not (folder / _SETTINGS).is_file():
            raise UserError(f"{folder}: holds no BM25 index; make one with BM25Retriever(documents).save(folder)")
        settings = read_json(folder / _SETTINGS)
        if settings["stemmed"] != (stemmer is not None):
            how = "with" if settings["stemmed"] else "without"
            raise UserError(f"{folder}: this index was made {how} a stemmer; load it {how} one")
        retriever = cls.__new__(cls)
        retriever._words = _Words(frozenset(settings["stop_words"]), stemmer, settings["token_pattern"])
        retriever._index = _load_index(folder)
        retriever.docids = read_json(folder / _DOCIDS)
        retriever._tie_order = _ranks(retriever.docids)
        return retriever


class _Words:
    """Splits a text into the words that are indexed."""

    def __init__(self, stop_words: frozenset[str], stemmer: Callable[[str], str] | None, pattern: str) -> None:
        self.stop_words = stop_words
        self.stemmer = stemmer
        self.pattern = pattern
        try:
            self._find = re.compile(pattern).findall
        except re.error as error:
            raise UserError(f"token pattern {pattern!r}: not a regular expression ({error})") from error
        if re.compile(pattern).groups > 1:
            raise UserError(f"token pattern {pattern!r}: has several groups; write them as (?:...)")

    def __call__(self, text: str) -> list[str]:
        words = [word for word in self._find(text.lower()) if word not in self.stop_words]
        return words if self.stemmer is None else [self.stemmer(word) for word in words]


def _check_settings(k1: float, b: float, method: str) -> None:
    if not k1 >= 0 or not 0 <= b <= 1:
        raise UserError(f"k1 = {k1}, b = {b}: k1 must be at least 0 and b from 0 to 1")
    if method not in get_args(Method):
        raise UserError(f"method {method!r}: not known; choose one of {', '.join(get_args(Method))}")


def _ranks(docids: list[str]) -> NDArray[np.int64]:
    """The position of each document in the order of docids, which decides between equal scores."""
    import numpy as np

    ranks = np.empty(len(docids), dtype=np.int64)
    ranks[sorted(range(len(docids)), key=docids.__getitem__)] = np.arange(len(docids))
    return ranks


def _load_index(folder: Path) -> Any:
    import bm25s

    try:
        return bm25s.BM25.load(folder, load_corpus=False, show_progress=False)
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise UserError(f"{folder}: the index is damaged ({error}); make it anew") from error

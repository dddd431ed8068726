"""A judge that needs no model: BM25 over the pairs it is given.

It is a floor for what a re-ranker should beat, and lets everything run end to end offline. The pairs are its
collection: document frequencies and lengths come from their distinct documents, so all pairs must be given at once.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from rerank_judge.labeling import Scale
from rerank_judge.scorers.base import NOTHING_DONE, Batch, Pair, PairKey, ScoredPair
from rerank_judge.scorers.card import JudgeCard

__all__ = ["LexicalScorer"]

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class LexicalScorer:
    """BM25 (Robertson's weighting with Lucene's never-negative idf) of each pair.

    Attributes:
        k1: saturation of term frequency.
        b: strength of length normalisation.
    """

    k1: float = 0.9
    b: float = 0.4
    judge_id: str = "lexical"
    scale: Scale = "logit"

    @property
    def card(self) -> JudgeCard:
        """All that the scores depend on, the pairs aside."""
        settings = {"k1": self.k1, "b": self.b}
        return JudgeCard(self.judge_id, "lexical", "lexical", self.scale, settings=settings)

    def score(self, pairs: Sequence[Pair]) -> Iterator[ScoredPair]:
        """Scores pairs, in their order; a pair without a common word scores 0.

        The score is the sum over the query's words of idf * tf / (tf + k1 (1 - b + b length / mean length)), with
        idf = ln(1 + (n - df + 0.5) / (df + 0.5)) over the n distinct documents given.
        """
        documents = {(pair.docid, pair.document): Counter(_words(pair.document)) for pair in pairs}
        lengths = {key: sum(counts.values()) for key, counts in documents.items()}
        mean_length = max(sum(lengths.values()) / max(len(documents), 1), 1.0)
        frequency = Counter(word for counts in documents.values() for word in counts)
        for pair in pairs:
            key = (pair.docid, pair.document)
            slack = self.k1 * (1 - self.b + self.b * lengths[key] / mean_length)
            score = 0.0
            for word in _words(pair.query):
                tf = documents[key][word]
                df = frequency[word]
                score += math.log(1 + (len(documents) - df + 0.5) / (df + 0.5)) * tf / (tf + slack)
            yield ScoredPair(pair.qid, pair.docid, score)

    def batches(self, pairs: Sequence[Pair], done: Container[PairKey] = NOTHING_DONE) -> Iterator[Batch]:
        """All pairs in one batch, leaving out those that are done."""
        yield [(i, scored) for i, scored in enumerate(self.score(pairs)) if (scored.qid, scored.docid) not in done]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())

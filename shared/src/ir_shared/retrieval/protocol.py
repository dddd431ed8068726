"""What every retriever promises: a list of hits for each query, best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from ir_shared.console import UserError
from ir_shared.trec import Run

__all__ = ["Hit", "Ranking", "Retriever", "as_run", "check_request"]


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that was found.

    Attributes:
        docid: the document.
        score: the higher, the better; comparable within one query only.
    """

    docid: str
    score: float


Ranking: TypeAlias = list[Hit]
"""Hits of one query, best first, each document once."""


@runtime_checkable
class Retriever(Protocol):
    """Whatever finds documents for queries."""

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        """Finds the best documents of each query.

        Args:
            queries: query texts; a text may occur more than once.
            k: at most so many hits a query; fewer where fewer documents match.

        Returns:
            One ranking for each query, in the order of the queries.
        """
        ...


def as_run(qids: Sequence[str], rankings: Sequence[Ranking]) -> Run:
    """Turns rankings into a run: score by qid and docid.

    Scores alone decide the order in a run, so trec_eval may order documents with equal scores otherwise than here.

    Raises:
        UserError: not one ranking for each qid, or a qid given twice.
    """
    if len(qids) != len(rankings):
        raise UserError(f"{len(qids)} qids and {len(rankings)} rankings: give one ranking for each qid")
    run = {qid: {hit.docid: hit.score for hit in ranking} for qid, ranking in zip(qids, rankings, strict=True)}
    if len(run) != len(qids):
        repeated = next(qid for i, qid in enumerate(qids) if qid in qids[:i])
        raise UserError(f"qid {repeated}: given twice; give each topic one qid")
    return run


def check_request(queries: Sequence[str], k: int) -> None:
    """Refuses what no retriever can answer.

    Raises:
        UserError: one string in place of a list of queries, or k below 1.
    """
    if isinstance(queries, str):
        raise UserError(f"queries must be a list of texts, found one text {queries[:40]!r}; put it in a list")
    if k < 1:
        raise UserError(f"k = {k}: ask for at least one document a query")

"""A test collection as arrays: judged pairs with human grades, and runs as tensors of pair indices.

A :class:`Collection` is built once from qrels and runs; labels, agreement, leaderboards and threshold sweeps are then
array operations on it. Pairs are sorted by topic, so the pairs of topic ``t`` are ``offsets[t]:offsets[t + 1]``.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection as Sized
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict

import numpy as np
from ir_shared.console import DataWarning, UserError
from ir_shared.trec import Qrels, read_qrels, read_run
from jaxtyping import Bool, Int32, Int64

from rerank_judge.runs import (
    ABSENT,
    UNJUDGED,
    BoolArray,
    FloatArray,
    IndexArray,
    IntArray,
    OnDuplicate,
    encode_runs,
    require_ordering,
    run_files,
)

__all__ = [
    "ABSENT",
    "UNJUDGED",
    "BoolArray",
    "Collection",
    "FloatArray",
    "IndexArray",
    "IntArray",
    "OnDuplicate",
    "ReadOptions",
    "require_ordering",
    "run_files",
]


class ReadOptions(TypedDict, total=False):
    """The options of :meth:`Collection.load` that what builds on it hands through."""

    topics: Sized[str] | None
    binarize_at: int
    depth: int
    file_cut: int
    on_duplicate: OnDuplicate


@dataclass(frozen=True, eq=False)
class Collection:
    """Human grades and ranked lists over one set of pairs.

    Attributes:
        topics: qids, [T].
        docids: docid of each pair, [N].
        offsets: first pair of each topic, and N at the end, [T + 1].
        grades: human grade of each pair, 0 where ``judged`` is false, [N].
        judged: whether a human judged the pair, [N]; false only for pairs added with ``extra_pairs``.
        systems: names of the runs, [S].
        runs: pair index at each position of each list, best first in trec_eval's order (float32 score descending, then
            docid descending in byte order), :data:`UNJUDGED` or :data:`ABSENT`, [S, T, K].
        file_cut: the same for lists cut to a few documents by a stable sort in file order and only then put in
            trec_eval's order, [S, T, F]: what ``rr_truncation="file-order"`` evaluates.
        depth: how many documents of each list were kept at most (``runs`` is narrower where all lists are shorter).
        binarize_at: lowest human grade that counts as relevant.
    """

    topics: tuple[str, ...]
    docids: tuple[str, ...]
    offsets: Int64[IntArray, " boundaries"]
    grades: Int64[IntArray, " pairs"]
    judged: Bool[BoolArray, " pairs"]
    systems: tuple[str, ...]
    runs: Int32[IndexArray, "systems topics depth"]
    file_cut: Int32[IndexArray, "systems topics cut"]
    depth: int
    binarize_at: int = 2

    @classmethod
    def load(
        cls,
        qrels: str | Path,
        runs: str | Path | Sequence[str | Path] = (),
        *,
        topics: Sized[str] | None = None,
        binarize_at: int = 2,
        depth: int = 100,
        file_cut: int = 10,
        on_duplicate: OnDuplicate = "error",
        extra_pairs: Qrels | None = None,
    ) -> Collection:
        """Reads qrels and run files; lines of topics without judgements are dropped while parsing.

        Args:
            qrels: qrels file.
            runs: a folder of run files, one file, or several; a system is named by its file.
            topics: keep only these qids. None keeps every topic of the qrels.
            binarize_at: lowest human grade that counts as relevant.
            depth: documents kept per list; the deepest metric cut-off that can be asked.
            file_cut: cut-off that ``rr_truncation="file-order"`` will use.
            on_duplicate: a docid retrieved twice for a topic is an error, or keeps its best score.
            extra_pairs: pairs to add that no human judged, such as those that only a judge labelled.

        Raises:
            UserError: a file cannot be used, or two files name the same system.
        """
        grades = _restrict(read_qrels(qrels), topics, str(qrels))
        named = (
            (name, read_run(path, topics=grades.keys(), on_duplicate=on_duplicate))
            for name, path in run_files(runs).items()
        )
        collection = cls._build(grades, named, binarize_at, depth, file_cut, extra_pairs)
        if not collection.relevant.any():
            message = f"{qrels}: no grade is >= {binarize_at}, so nothing is relevant; binary labels are binarised at 1"
            warnings.warn(message, DataWarning, stacklevel=2)
        return collection

    @classmethod
    def from_mappings(
        cls,
        qrels: Mapping[str, Mapping[str, int]],
        runs: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
        *,
        binarize_at: int = 2,
        depth: int = 100,
        file_cut: int = 10,
        extra_pairs: Mapping[str, Mapping[str, int]] | None = None,
    ) -> Collection:
        """The same from mappings: grades by qid and docid, scores by system, qid and docid (in file order)."""
        return cls._build(qrels, (runs or {}).items(), binarize_at, depth, file_cut, extra_pairs)

    @classmethod
    def _build(
        cls,
        qrels: Mapping[str, Mapping[str, int]],
        runs: Iterable[tuple[str, Mapping[str, Mapping[str, float]]]],
        binarize_at: int,
        depth: int,
        file_cut: int,
        extra_pairs: Mapping[str, Mapping[str, int]] | None,
    ) -> Collection:
        pairs = {qid: dict.fromkeys((*docs, *(extra_pairs or {}).get(qid, ()))) for qid, docs in qrels.items()}
        index = _index_pairs(pairs)
        offsets = np.cumsum([0, *map(len, pairs.values())])
        grades = [qrels[qid].get(docid) for qid, docs in pairs.items() for docid in docs]
        systems, tensor, cut = encode_runs(runs, index, depth, file_cut)
        return cls(
            topics=tuple(pairs),
            docids=tuple(docid for docs in pairs.values() for docid in docs),
            offsets=offsets.astype(np.int64),
            grades=np.array([grade or 0 for grade in grades], dtype=np.int64),
            judged=np.array([grade is not None for grade in grades], dtype=np.bool_),
            systems=systems,
            runs=tensor,
            file_cut=cut,
            depth=depth,
            binarize_at=binarize_at,
        )

    @property
    def n_pairs(self) -> int:
        """Number of pairs, N."""
        return len(self.docids)

    @cached_property
    def pair_topic(self) -> Int64[IntArray, " pairs"]:
        """Index of each pair's topic, [N]."""
        return np.repeat(np.arange(len(self.topics)), np.diff(self.offsets))

    @cached_property
    def relevant(self) -> Bool[BoolArray, " pairs"]:
        """Whether a human judged the pair relevant: grade >= ``binarize_at``, [N]."""
        return self.judged & (self.grades >= self.binarize_at)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """The (qid, docid) pairs in order."""
        for t, qid in enumerate(self.topics):
            for docid in self.docids[self.offsets[t] : self.offsets[t + 1]]:
                yield qid, docid


def _restrict(qrels: Qrels, topics: Sized[str] | None, source: str) -> Qrels:
    if topics is None:
        return qrels
    kept = {qid: grades for qid, grades in qrels.items() if qid in topics}
    if not kept:
        raise UserError(f"{source}: holds none of the {len(topics)} topics asked for; qids are compared as text")
    return kept


def _index_pairs(pairs: Mapping[str, Iterable[str]]) -> dict[str, dict[str, int]]:
    index: dict[str, dict[str, int]] = {}
    first = 0
    for qid, docs in pairs.items():
        index[qid] = {docid: first + i for i, docid in enumerate(docs)}
        first += len(index[qid])
    return index

"""The protocol of a judge, the pairs it scores, and their exchange format."""

from __future__ import annotations

import json
import math
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from ir_shared.console import UserError
from ir_shared.trec import Run, TrecFormatError

from rerank_judge.labeling import Scale
from rerank_judge.scorers.card import JudgeCard
from rerank_judge.scorers.texts import clean_text

__all__ = [
    "ANSWERED",
    "NOTHING_DONE",
    "Batch",
    "Pair",
    "PairKey",
    "PairScorer",
    "ScoredPair",
    "Status",
    "in_order",
    "read_pairs",
    "score_run",
]

Status = Literal["ok", "query_truncated", "forced", "failed", "invalid", "refused", "missing"]
"""How a score came about.

``query_truncated``: scored with a query cut to fit; ``forced``: answered after an unfinished trace was cut off;
``failed``: the judge gave no answer; ``invalid``: its answer cannot be read; ``refused``: it declined; ``missing``: a
file lacks the pair. The last four have no score and never get a label.
"""

ANSWERED: frozenset[Status] = frozenset({"ok", "query_truncated", "forced"})
"""Statuses of pairs that have a score."""

PairKey: TypeAlias = tuple[str, str]
"""A qid and a docid."""

NOTHING_DONE: frozenset[PairKey] = frozenset()


@dataclass(frozen=True)
class Pair:
    """A query and a document to judge."""

    qid: str
    docid: str
    query: str
    text: str
    title: str = ""

    @property
    def document(self) -> str:
        """The title, if there is one, and the text."""
        return f"{self.title} {self.text}" if self.title else self.text


@dataclass(frozen=True)
class ScoredPair:
    """A judge's score of one pair; NaN unless the status is in :data:`ANSWERED`."""

    qid: str
    docid: str
    score: float
    status: Status = "ok"
    trace: str | None = None


Batch: TypeAlias = list[tuple[int, ScoredPair]]
"""Scored pairs with their positions among the given ones."""


class PairScorer(Protocol):
    """What every judge offers."""

    @property
    def judge_id(self) -> str:
        """Name of the judge, one word."""
        ...

    @property
    def scale(self) -> Scale:
        """What its scores are."""
        ...

    @property
    def card(self) -> JudgeCard:
        """All that its scores depend on."""
        ...

    def score(self, pairs: Sequence[Pair]) -> Iterator[ScoredPair]:
        """Scores pairs, in their order."""
        ...

    def batches(self, pairs: Sequence[Pair], done: Container[PairKey] = NOTHING_DONE) -> Iterator[Batch]:
        """Scores pairs batch by batch, in the order that suits the judge, leaving out those that are done.

        What is computed together depends on ``pairs`` alone and not on ``done``: a run that was stopped and goes on
        gives the same scores to the last bit.
        """
        ...


def in_order(batches: Iterable[Batch]) -> Iterator[ScoredPair]:
    """The pairs of batches in the order in which they were given, each as soon as all before it are there."""
    waiting: dict[int, ScoredPair] = {}
    position = 0
    for batch in batches:
        waiting.update(batch)
        while position in waiting:
            yield waiting.pop(position)
            position += 1


def score_run(pairs: Iterable[ScoredPair]) -> tuple[Run, dict[str, int]]:
    """Collects the scores of answered pairs by qid and docid, and counts all pairs by status."""
    run: Run = {}
    counts: dict[str, int] = {}
    for pair in pairs:
        counts[pair.status] = counts.get(pair.status, 0) + 1
        if pair.status in ANSWERED and math.isfinite(pair.score):
            run.setdefault(pair.qid, {})[pair.docid] = pair.score
    return run, counts


def read_pairs(path: str | Path) -> list[Pair]:
    """Reads pairs from JSON lines with ``query_id``, ``query``, ``docid``, ``text`` and, if there is one, ``title``.

    Raises:
        TrecFormatError: a line that is no such object, an id that is empty or holds blanks, or a pair given twice.
        UserError: the file is missing, empty or not UTF-8 text.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    pairs: dict[PairKey, Pair] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        pair = _read_pair(path, number, line)
        if (pair.qid, pair.docid) in pairs:
            raise TrecFormatError(path, number, line, f"pair {pair.qid} {pair.docid} was given before; keep one line")
        pairs[pair.qid, pair.docid] = pair
    if not pairs:
        raise UserError(f"{path}: holds no pairs; is it the right file?")
    return list(pairs.values())


def _read_pair(path: Path, number: int, line: str) -> Pair:
    try:
        record = json.loads(line)
        qid, docid, query, text = (record[key] for key in ("query_id", "docid", "query", "text"))
        title = record.get("title", "")
    except json.JSONDecodeError as error:
        raise TrecFormatError(path, number, line, f"not a JSON object ({error.msg})") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise TrecFormatError(path, number, line, "expected an object with query_id, query, docid and text") from error
    fields = (qid, docid, query, text, title)
    if not all(isinstance(value, str) for value in fields):
        raise TrecFormatError(path, number, line, "ids and texts must be strings, in quotes")
    if any(len(value.split()) != 1 or value != value.strip() for value in (qid, docid)):
        raise TrecFormatError(path, number, line, "query_id and docid must be one word without blanks")
    return Pair(qid, docid, clean_text(query), clean_text(text), clean_text(title))

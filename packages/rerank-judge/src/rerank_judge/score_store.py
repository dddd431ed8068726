"""Scores on disk, appended batch by batch, so that a run that was stopped goes on where it was.

A store is a text file: one JSON object with the judge's card, then one short JSON array for each pair, ``[qid, docid,
score, status, check]`` and the trace where it was asked for. ``check`` is a checksum of the pair's texts. A line that a
crash cut short is dropped on opening, and scores of two different judges are never mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ir_shared.console import UserError
from ir_shared.run_dir import atomic_write
from ir_shared.trec import Run

from rerank_judge.labeling import Scale
from rerank_judge.score_rows import Rows, checksum, header_line, load_rows, row_line, row_of, scored_pair
from rerank_judge.scorers.base import ANSWERED, Batch, Pair, PairScorer, ScoredPair, Status
from rerank_judge.scorers.card import JudgeCard

__all__ = ["ScoreStore", "score_pairs"]


class ScoreStore:
    """Scores by qid and docid, in memory and on disk.

    Open one to write with :meth:`open`, or to look at with :meth:`read`.

    Attributes:
        path: the file.
        card: the judge's card as a JSON object.
    """

    def __init__(self, path: Path, card: Mapping[str, Any], rows: Rows, file: BinaryIO | None) -> None:
        self.path = path
        self.card = dict(card)
        self._rows = rows
        self._file = file

    @classmethod
    def open(cls, path: str | Path, card: JudgeCard, *, resume: bool = False) -> ScoreStore:
        """Opens a store to append to; use it as a context manager.

        Args:
            path: the file; made if absent.
            card: the judge whose scores will come.
            resume: go on with a file that is there. Without it such a file is an error.

        Raises:
            UserError: the file is there and not to be resumed, is no score store, or holds another judge's scores; the
                message names what differs.
        """
        path = Path(path)
        there = path.exists() and path.stat().st_size > 0
        if there and not resume:
            raise UserError(f"{path}: exists; resume it, choose another file or delete this one")
        stored, rows, end = load_rows(path) if there else (None, {}, 0)
        if stored is not None and stored.get("fingerprint") != card.fingerprint:
            differing = "; ".join(card.differences(stored)) or "the fingerprint"
            raise UserError(f"{path}: holds scores of another judge ({differing}); choose another file")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab")
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror or error}); choose another place") from error
        file.truncate(end)
        store = cls(path, card.to_json(), rows, file)
        if stored is None:
            store._write([header_line(card.to_json())])
        return store

    @classmethod
    def read(cls, path: str | Path) -> ScoreStore:
        """Reads a store that will not be changed.

        Raises:
            UserError: it is missing or no score store.
        """
        path = Path(path)
        if not path.exists():
            raise UserError(f"{path}: no such file")
        card, rows, _ = load_rows(path)
        if card is None:
            raise UserError(f"{path}: is no score store; its first line must be a judge's card")
        return cls(path, card, rows, None)

    def __enter__(self) -> ScoreStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def __contains__(self, key: object) -> bool:
        qid, docid = key if isinstance(key, tuple) else (None, None)
        return docid in self._rows.get(qid, ())

    def __iter__(self) -> Iterator[ScoredPair]:
        return (scored_pair(row) for docs in self._rows.values() for row in docs.values())

    @property
    def scale(self) -> Scale:
        """What the scores are."""
        scale: Scale = self.card["scale"]
        return scale

    def get(self, qid: str, docid: str) -> ScoredPair | None:
        """What is known of a pair."""
        row = self._rows.get(qid, {}).get(docid)
        return None if row is None else scored_pair(row)

    def run(self) -> Run:
        """The scores of answered pairs by qid and docid."""
        run: Run = {}
        for qid, docs in self._rows.items():
            scores = {docid: row[2] for docid, row in docs.items() if row[3] in ANSWERED}
            if scores:
                run[qid] = scores
        return run

    def counts(self) -> dict[str, int]:
        """Number of pairs by status."""
        counts: dict[str, int] = {}
        for docs in self._rows.values():
            for row in docs.values():
                counts[row[3]] = counts.get(row[3], 0) + 1
        return dict(sorted(counts.items()))

    def append(self, scored: Iterable[tuple[Pair, ScoredPair]], *, traces: bool = False) -> None:
        """Adds pairs and hands them to the operating system, so that a killed process loses none of them.

        A pair that is there is replaced; of its lines the last one counts.

        Args:
            scored: pairs with their scores.
            traces: whether to keep what the judge wrote.
        """
        rows = [row_of(pair, result, traces) for pair, result in scored]
        for row in rows:
            self._rows.setdefault(row[0], {})[row[1]] = row
        self._write(map(row_line, rows))

    def check(self, pairs: Iterable[Pair]) -> None:
        """Checks that pairs that are there were scored with the texts that they have now.

        Raises:
            UserError: one was scored with another query or document.
        """
        for pair in pairs:
            row = self._rows.get(pair.qid, {}).get(pair.docid)
            if row is not None and row[4] != checksum(pair):
                raise UserError(
                    f"{self.path}: pair {pair.qid} {pair.docid} was scored with another query or document; "
                    "choose another file"
                )

    def finalise(self, pairs: Sequence[Pair]) -> None:
        """Rewrites the file in the order of ``pairs``, other pairs behind them, with counts by status in its card.

        However often the work was stopped, the same scores give the same bytes. The store is closed.
        """
        self.close()
        self.write_table(self.path, pairs)

    def write_table(self, path: str | Path, pairs: Sequence[Pair]) -> None:
        """Writes the same to another file, atomically."""
        first = dict.fromkeys((pair.qid, pair.docid) for pair in pairs)
        others = sorted((qid, docid) for qid, docs in self._rows.items() for docid in docs if (qid, docid) not in first)
        rows = (self._rows[qid][docid] for qid, docid in (*first, *others) if (qid, docid) in self)
        header = header_line(self.card | {"status": self.counts()})
        atomic_write(path, "".join([header, *map(row_line, rows)]))

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, lines: Iterable[str]) -> None:
        if self._file is None:
            raise UserError(f"{self.path}: is not open for writing")
        self._file.write("".join(lines).encode())
        self._file.flush()


def score_pairs(
    store: ScoreStore,
    scorer: PairScorer,
    pairs: Sequence[Pair],
    *,
    traces: bool = False,
    retry: Iterable[Status] = (),
) -> Iterator[Batch]:
    """Scores the pairs that a store lacks and appends every batch to it before it is yielded.

    Args:
        store: an open store of this judge.
        scorer: the judge.
        pairs: what to score; all of them on every call, because batches are planned over the whole.
        traces: whether to keep what the judge wrote.
        retry: statuses of stored pairs that are tried again, such as "failed" after an endpoint broke down.

    Raises:
        UserError: a stored pair had another query or document.
    """
    store.check(pairs)
    again = frozenset(retry)
    for batch in scorer.batches(pairs, _Done(store, again)):
        store.append(((pairs[i], scored) for i, scored in batch), traces=traces)
        yield batch


class _Done:
    """The pairs that need no work."""

    def __init__(self, store: ScoreStore, retry: frozenset[Status]) -> None:
        self._store = store
        self._retry = retry

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, tuple) or key not in self._store:
            return False
        scored = self._store.get(*key)
        return scored is not None and scored.status not in self._retry

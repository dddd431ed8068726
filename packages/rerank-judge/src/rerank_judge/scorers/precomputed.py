"""A judge whose work is already done: a file of scores (run format or score store) or of labels (qrels format)."""

from __future__ import annotations

import gzip
import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ir_shared.console import UserError
from ir_shared.run_dir import hash_file
from ir_shared.trec import Qrels, Run, read_qrels, read_run, run_name

from rerank_judge.labeling import Scale
from rerank_judge.score_store import ScoreStore
from rerank_judge.scorers.base import NOTHING_DONE, Batch, Pair, PairKey, ScoredPair
from rerank_judge.scorers.card import JudgeCard

__all__ = ["JudgeFile", "PrecomputedScorer", "read_judge"]


@dataclass(frozen=True)
class JudgeFile:
    """What a judge's file holds: scores or labels, the other being None.

    Attributes:
        name: the judge, named by its file.
        scores: score by qid and docid.
        labels: grade by qid and docid.
        scale: what the scores are, where the file says so.
    """

    name: str
    scores: Run | None
    labels: Qrels | None
    scale: Scale | None = None


def read_judge(path: str | Path) -> JudgeFile:
    """Reads a judge's file; six columns are scores in run format, four are labels in qrels format, JSON a score store.

    Raises:
        UserError: neither, or a broken line.
    """
    path = Path(path)
    first = _first_line(path)
    if first.startswith("{"):
        store = ScoreStore.read(path)
        return JudgeFile(store.card["judge_id"], store.run(), None, store.scale)
    columns = len(first.split())
    if columns == 6:
        return JudgeFile(run_name(path), read_run(path), None)
    if columns == 4:
        return JudgeFile(run_name(path), None, read_qrels(path))
    found = f"the first line has {columns} columns"
    raise UserError(f"{path}:1: {found}; a judge's file has 6 (scores in run format) or 4 (labels in qrels format)")


class PrecomputedScorer:
    """Looks pairs up in a judge's file; labels serve as scores.

    Args:
        path: the file.

    Raises:
        UserError: the file cannot be used.
    """

    def __init__(self, path: str | Path) -> None:
        file = read_judge(path)
        self.judge_id = file.name
        self.scale: Scale = file.scale or "logit"
        self.card = JudgeCard(
            self.judge_id, "file", "precomputed", self.scale, Path(path).name, checkpoint_hash=hash_file(path)[:16]
        )
        self._scores: dict[str, dict[str, float]] = file.scores or {
            qid: {docid: float(grade) for docid, grade in grades.items()} for qid, grades in (file.labels or {}).items()
        }

    def score(self, pairs: Sequence[Pair]) -> Iterator[ScoredPair]:
        """Scores pairs, in their order; a pair that the file lacks is "missing"."""
        for pair in pairs:
            score = self._scores.get(pair.qid, {}).get(pair.docid)
            if score is None:
                yield ScoredPair(pair.qid, pair.docid, math.nan, "missing")
            else:
                yield ScoredPair(pair.qid, pair.docid, score)

    def batches(self, pairs: Sequence[Pair], done: Container[PairKey] = NOTHING_DONE) -> Iterator[Batch]:
        """All pairs in one batch, leaving out those that are done."""
        yield [(i, scored) for i, scored in enumerate(self.score(pairs)) if (scored.qid, scored.docid) not in done]


def _first_line(path: Path) -> str:
    """The first line that is not blank; empty if there is none."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return next((line.decode("utf-8", "replace") for line in file if line.strip()), "")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error}); is the file complete?") from error
